"""The real binary: `windrose standalone` in a folder of its own, and the command line beside it."""

import contextlib
import datetime
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time


def instant(text: str) -> float:
    """Seconds since 1970 of a time in an answer: RFC 3339 in UTC."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Failed(Exception):
    """A measurement that cannot be made, with the reason."""


class Windrose:
    """One installation: DAG files, data folder, database. Ends its process when left."""

    def __init__(self, binary: str, database, dags: dict, environment=None):
        self.binary = binary
        self._folder = tempfile.TemporaryDirectory(prefix="windrose-bench-")
        self.folder = pathlib.Path(self._folder.name)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "WINDROSE__DAG_DEFAULTS__PAUSED_AT_CREATION": "false",
            **(environment or {}),
        }
        if database:
            self.environment["WINDROSE__DATABASE"] = database
        (self.folder / "dags").mkdir()
        for name, text in dags.items():
            self.write_dag(name, text)
        self.process = None
        self.spawned_at = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self._folder.cleanup()

    def write_dag(self, name: str, text: str):
        half = self.folder / "dags" / f".{name}"
        half.write_text(text)
        half.rename(self.folder / "dags" / f"{name}.toml")

    def start(self):
        """Starts standalone and waits until it is ready."""
        with open(self.folder / "standalone.log", "ab") as log:
            self.spawned_at = time.time()
            self.process = subprocess.Popen(
                [self.binary, "standalone", "--bind", "127.0.0.1:0"],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                text=True,
            )
        for line in self.process.stdout:
            if "ready: " in line:
                break
        else:
            raise Failed("standalone ended before it was ready:\n" + (self.folder / "standalone.log").read_text())
        # Somebody must read on, or the process would block on a full pipe.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        return self

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.binary, *arguments], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True,
        )

    def json(self, *arguments: str):
        done = self.run("--json", *arguments)
        if done.returncode:
            raise Failed(f"windrose {' '.join(arguments)}: {done.stderr.strip()}\n{done.stdout[-2000:]}")
        return json.loads(done.stdout)

    def trigger(self, dag_id: str) -> dict:
        """Runs a DAG to its end; the answer of `runs show`."""
        run_id = f"bench-{time.time_ns()}"
        done = self.run("--json", "dags", "trigger", dag_id, "--run-id", run_id, "--wait")
        if done.returncode:
            log = (self.folder / "standalone.log").read_text()[-3000:]
            raise Failed(f"the run of {dag_id} failed: {done.stderr.strip()}\n{done.stdout[-2000:]}\n{log}")
        return self.json("runs", "show", dag_id, run_id)

    def runs_when_done(self, dag_id: str, count: int, patience: float) -> list:
        """All runs of a DAG once `count` of them have succeeded. Looks seldom, so as not to disturb."""
        deadline = time.time() + patience
        while time.time() < deadline:
            time.sleep(0.5)
            with contextlib.suppress(Failed):
                runs = self.json("runs", "list", dag_id, "--state", "success", "--limit", str(count + 1))
                if len(runs) >= count:
                    return runs
        raise Failed(f"{dag_id}: {count} runs were not done within {patience:.0f} s")
