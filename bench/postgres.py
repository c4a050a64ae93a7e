"""A PostgreSQL server of our own, with its durable defaults."""

import glob
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile


def programs() -> pathlib.Path:
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: float(path.split("/")[4]))
    path = found[-1] if found else shutil.which("initdb")
    if not path:
        raise SystemExit("initdb is missing: install PostgreSQL's server programs (apt-get install postgresql)")
    return pathlib.Path(path).parent


class Postgres:
    """Started when entered; gone, with its data, when left."""

    def __enter__(self):
        self.bin = programs()
        self.folder = tempfile.mkdtemp(prefix="windrose-bench-postgres-")
        self.identity = {}
        if os.geteuid() == 0:
            # The server refuses to run as root.
            names = [entry.pw_name for entry in pwd.getpwall()]
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.data = f"{self.folder}/data"
        self.output = f"{self.folder}/output"
        self._run("initdb", "--pgdata", self.data, "--username=windrose", "--encoding=UTF8", "--auth=trust")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as settings:
            settings.write(
                f"\nlisten_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = '{self.folder}'\n"
            )
        self._run("pg_ctl", "start", "--pgdata", self.data, "--log", f"{self.folder}/log", "--wait")
        self.made = 0
        return self

    def __exit__(self, *_):
        self._run("pg_ctl", "stop", "--pgdata", self.data, "--mode=immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """The URL of an empty database."""
        self.made += 1
        name = f"bench{self.made}"
        self._run("createdb", "--host=127.0.0.1", f"--port={self.port}", "--username=windrose", name)
        return f"postgres://windrose@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str):
        # Into a file: the server keeps what it inherits, and would hold a pipe open.
        with open(self.output, "ab") as output:
            done = subprocess.run(
                [str(self.bin / program), *arguments], cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}, **self.identity,
            )
        if done.returncode:
            raise SystemExit(f"{program} failed:\n{pathlib.Path(self.output).read_text()}")
