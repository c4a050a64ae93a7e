"""Cleaning up when the lab cannot do it itself: a shell that outlives a SIGKILL, ends PostgreSQL and removes the folder."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

# The read ends when the lab's end of the pipe closes: by its death or, after a clean exit, with the word `done`.
GUARD = """
trap '' INT TERM HUP
read -r word
[ "$word" = done ] && exit 0
pid=$(head -n 1 "$1/postgres/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
    kill -QUIT "$pid" 2>/dev/null
    for turn in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null
fi
rm -rf "$1"
"""


class Guard:
    """Watches over the lab's folder from now on."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "windrose-lab-guard", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
        )

    def dismiss(self) -> None:
        """The lab has cleaned up by itself."""
        self._process.communicate(b"done\n")


def end_postgres(process: subprocess.Popen[bytes] | None) -> None:
    """At once and without a checkpoint: the data is thrown away."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def watch_parent(parent: int, gone: Callable[[], None]) -> None:
    """Calls `gone` once the parent is no longer our parent. Watching its id works for every way a parent can end."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.1)
        gone()

    threading.Thread(target=watch, daemon=True).start()
