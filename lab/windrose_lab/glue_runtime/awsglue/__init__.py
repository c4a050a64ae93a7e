"""A stand-in for AWS Glue's library: enough for scripts that only need arguments and a job. There is no Spark here."""
