"""An offline AWS in which the data really moves: moto, PostgreSQL in Redshift's place, and the parts moto leaves out."""
