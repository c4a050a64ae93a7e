"""Raw baselines: the same work with nothing around it. Each answers with seconds."""

import pathlib
import sqlite3
import subprocess
import tempfile
import time

from dag_files import COMMAND


def timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def spawns(count: int, in_parallel: int) -> float:
    """`bash -c COMMAND` so many times, started by xargs."""
    numbers = "\n".join(str(i) for i in range(count))
    command = ["xargs", "-n1", f"-P{in_parallel}", "bash", "-c", COMMAND]
    return timed(lambda: subprocess.run(command, input=numbers, text=True, check=True))


def durable_rows(count: int) -> float:
    """So many task rows inserted and then updated in one durable transaction of SQLite, by Python."""
    with tempfile.TemporaryDirectory(prefix="windrose-bench-raw-") as folder:
        database = sqlite3.connect(f"{folder}/raw.db", isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE task (run INTEGER, id TEXT, state TEXT, at INTEGER, PRIMARY KEY (run, id))")

        def work():
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO task VALUES (1, ?, 'none', 0)", [(f"t{i}",) for i in range(count)])
            database.executemany("UPDATE task SET state = 'success', at = 1 WHERE run = 1 AND id = ?",
                                 [(f"t{i}",) for i in range(count)])
            database.execute("COMMIT")

        seconds = timed(work)
        database.close()
        return seconds


def reading(folder: pathlib.Path) -> float:
    """Every file of a folder read by `cat`."""
    command = f"find '{folder}' -name '*.toml' -print0 | xargs -0 cat > /dev/null"
    return timed(lambda: subprocess.run(command, shell=True, check=True))
