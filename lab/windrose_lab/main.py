"""Starts the lab, prints one line of JSON when it is ready, and leaves nothing behind when it ends."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from windrose_lab.guard import Guard, end_postgres, watch_parent
from windrose_lab.postgres import Postgres, PostgresError
from windrose_lab.seed import Seed, SeedError

HERE = Path(__file__).resolve().parent


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab", description="An offline AWS in which the data really moves.")
    parser.add_argument("--port", type=int, default=0, help="port of the AWS endpoint (default: a free one)")
    parser.add_argument("--seed", type=Path, default=HERE.parent / "seed", help="folder with seed.toml (default: lab/seed)")
    parser.add_argument("--ready-file", type=Path, help="also write the endpoints there, when ready")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when the process that started the lab is gone")
    parser.add_argument("--data", type=Path, help="folder in which the lab keeps its files while it runs (default: a temporary one)")
    return parser.parse_args(argv)


class Lab:
    """The running parts, in the order they are ended."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.seed = Seed.read(options.seed)
        if options.data:
            options.data.mkdir(parents=True, exist_ok=True)
        # Resolved, because the database server must reach it under the same name.
        self.folder = Path(tempfile.mkdtemp(prefix="windrose-lab-", dir=options.data)).resolve()
        self.folder.chmod(0o755)
        self.guard = Guard(self.folder)
        self.ended = threading.Event()
        self.postgres = Postgres(self.folder)
        self.jobs: Any = None
        self.server: Any = None

    def start(self) -> dict[str, Any]:
        """Starts all parts and returns the endpoints."""
        self.postgres.start()
        # Late, because moto takes a second too, in which PostgreSQL can start.
        from windrose_lab.wiring import wire

        wired = wire(self.seed, self.postgres, self.folder, self.options.port)
        self.jobs, self.server = wired.jobs, wired.server
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return wired.endpoints

    def end(self) -> None:
        if self.jobs:
            self.jobs.stop_all()
        if self.server:
            self.server.shutdown()
        self.postgres.settle()
        end_postgres(self.postgres.process)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.guard.dismiss()


def announce(endpoints: dict[str, Any], ready_file: Path | None) -> None:
    line = json.dumps(endpoints)
    if ready_file:
        partial = ready_file.with_name(ready_file.name + ".partial")
        partial.write_text(line + "\n")
        partial.replace(ready_file)
    print(line, flush=True)


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    # The parent is told by the starting script, so that its end during the set-up is noticed too.
    parent = int(os.environ.get("WINDROSE_LAB_PARENT") or os.getppid())
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    try:
        lab = Lab(options)
    except (SeedError, PostgresError, OSError) as problem:
        print(f"lab: {problem}", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: lab.ended.set())
    if options.exit_with_parent:
        watch_parent(parent, lab.ended.set)
    try:
        endpoints = lab.start()
        if not lab.ended.is_set():
            announce(endpoints, options.ready_file)
        while not lab.ended.wait(0.5):
            if lab.postgres.process and lab.postgres.process.poll() is not None:
                print("lab: PostgreSQL ended unexpectedly, so the lab ends too.", file=sys.stderr)
                return 1
    except (SeedError, PostgresError, OSError, ImportError) as problem:
        print(f"lab: {problem}", file=sys.stderr)
        return 1
    finally:
        lab.end()
    return 0


