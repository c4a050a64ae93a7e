"""The process behind a Glue job run: script from S3, credentials of the job's role, output into CloudWatch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from windrose_lab import cloudwatch, objects
from windrose_lab.accounts import Accounts, Principal, role_arn_of, role_principal
from windrose_lab.aws_answer import AwsError

RUNTIME = Path(__file__).parent / "glue_runtime"
KILL_AFTER_SECONDS = 5.0
OUTPUT_GROUP, ERROR_GROUP = "/aws-glue/jobs/output", "/aws-glue/jobs/error"
# Nothing else of the lab's environment reaches a job: a user's real AWS keys must not.
KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")


class JobFailed(Exception):
    """The run ends as FAILED; the text becomes its ErrorMessage."""


class JobProcess:
    """A running script. Its lines go to CloudWatch as they come; the last line of stderr is the error."""

    def __init__(self, child: subprocess.Popen[str], account: str, region: str, run_id: str) -> None:
        self._child = child
        self.last_error: str | None = None
        self._readers = [
            threading.Thread(target=self._copy, args=(child.stdout, account, region, OUTPUT_GROUP, run_id), daemon=True),
            threading.Thread(target=self._copy, args=(child.stderr, account, region, ERROR_GROUP, run_id), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _copy(self, stream: IO[str], account: str, region: str, group: str, run_id: str) -> None:
        for line in stream:
            text = line.rstrip("\n")
            if group == ERROR_GROUP and text.strip():
                self.last_error = text.strip()
            cloudwatch.put_lines(account, region, group, run_id, [text])

    def running(self) -> bool:
        return self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._child.poll()

    def terminate(self) -> None:
        """SIGTERM to the whole group, SIGKILL to what is left of it."""
        self._signal(signal.SIGTERM)
        try:
            self._child.wait(KILL_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._child.wait()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        """Ends what the script left behind in its group and waits until its last line is in the log."""
        self._child.wait()
        self._signal(signal.SIGKILL)
        for reader in self._readers:
            reader.join(2)
        if self.last_error is None and self.exit_code:
            self.last_error = f"Command failed with exit code {self.exit_code}"


class JobProcesses:
    """Starts job processes and knows all that are alive."""

    def __init__(self, folder: Path, endpoint: str, accounts: Accounts) -> None:
        self._folder = folder
        self._endpoint = endpoint
        self._accounts = accounts
        self._lock = threading.Lock()
        self._alive: list[JobProcess] = []
        self._ending = False

    def start(self, job: Any, account: str, region: str, run_id: str, arguments: dict[str, str]) -> JobProcess:
        """Must be called from the thread that outlives the process: the process dies with that thread."""
        role = role_arn_of(job.role or "", account)
        if role is None:
            raise JobFailed(f"Role {job.role} should be given assume role permissions for Glue Service.")
        script = self._fetch_script((job.command or {}).get("ScriptLocation"), role_principal(role), run_id)
        command = [sys.executable, str(RUNTIME / "run_script.py"), str(os.getpid()), str(script)]
        command += ["--JOB_NAME", job.name, "--JOB_RUN_ID", run_id]
        for name, value in arguments.items():
            command += [name] if value == "" else [name, str(value)]
        for group in (OUTPUT_GROUP, ERROR_GROUP):
            cloudwatch.ensure_group(account, region, group)
        with self._lock:
            if self._ending:
                raise JobFailed("The lab is ending.")
            child = subprocess.Popen(
                command, env=self._environment(role, region), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True, cwd=script.parent,
            )
            process = JobProcess(child, account, region, run_id)
            self._alive = [one for one in self._alive if one.running()] + [process]
        return process

    def _fetch_script(self, location: str | None, principal: Principal, run_id: str) -> Path:
        if not location:
            raise JobFailed("The job has no script; give Command.ScriptLocation.")
        try:
            bucket, key = objects.split_url(location)
            self._accounts.check(principal, bucket, write=False)
            text = objects.read(bucket, key)
        except ValueError:
            raise JobFailed(f"Invalid script location {location}.") from None
        except AwsError as error:
            raise JobFailed(f"An error occurred ({error.code}) reading the script {location}: {error.message}") from None
        folder = self._folder / run_id[:24]
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / (Path(key).name or "script.py")
        script.write_bytes(text)
        return script

    def _environment(self, role: str, region: str) -> dict[str, str]:
        from moto.sts.models import sts_backends

        account = role_principal(role).account
        session = sts_backends[account]["aws"].assume_role(
            region_name=region, role_session_name="GlueJobRunnerSession", role_arn=role, policy="", duration=3600, external_id=""
        )
        kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
        return kept | {
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_ACCESS_KEY_ID": session.access_key_id,
            "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
            "AWS_SESSION_TOKEN": session.session_token,
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(RUNTIME),
        }

    def kill_all(self) -> None:
        with self._lock:
            self._ending = True
            alive = list(self._alive)
        for process in alive:
            if process.running():
                process.kill()
