"""The Python half of local_etl.toml."""

import csv
import sqlite3


def load(csv_path, database):
    """Replaces the table `sales` with the rows of the file."""
    with open(csv_path, newline="") as file, sqlite3.connect(database) as connection:
        rows = [(int(r["id"]), r["city"], float(r["amount"])) for r in csv.DictReader(file)]
        connection.execute("DROP TABLE IF EXISTS sales")
        connection.execute("CREATE TABLE sales (id INTEGER PRIMARY KEY, city TEXT, amount REAL)")
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?)", rows)
    print(f"loaded {len(rows)} rows into {database}")
    return len(rows)


def count(database):
    """How many rows there are."""
    with sqlite3.connect(database) as connection:
        return connection.execute("SELECT count(*) FROM sales").fetchone()[0]


def report(database, day):
    """Prints and returns the sum per city."""
    with sqlite3.connect(database) as connection:
        totals = dict(connection.execute("SELECT city, sum(amount) FROM sales GROUP BY city ORDER BY city"))
    print(f"sales as of {day}")
    for city, total in totals.items():
        print(f"  {city:10} {total:12.2f}")
    return totals
