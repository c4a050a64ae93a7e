"""Glue jobs that run: every job run is a Python process with the job's script, role and arguments."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from moto.moto_api._internal import mock_random

from windrose_lab import glue_catalog
from windrose_lab.app import Operation
from windrose_lab.aws_answer import AwsError
from windrose_lab.aws_request import AwsRequest
from windrose_lab.holds import Holds
from windrose_lab.job_process import JobFailed, JobProcess, JobProcesses
from windrose_lab.lab_api import Settings

ACTIVE = ("STARTING", "RUNNING", "STOPPING", "WAITING")
DEFAULT_TIMEOUT_MINUTES = 2_880
RUN_PARAMETERS = ("AllocatedCapacity", "Timeout", "MaxCapacity", "WorkerType", "NumberOfWorkers", "NotificationProperty",
                  "SecurityConfiguration", "ExecutionClass")
START_PARAMETERS = {"JobName", "JobRunId", "Arguments", "JobRunQueuingEnabled", "ExecutionRoleSessionPolicy", *RUN_PARAMETERS}


@dataclass
class JobRun:
    """One run; `shown` is what GetJobRun answers (times in epoch seconds)."""

    account: str
    region: str
    shown: dict[str, Any]
    attempt: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def id(self) -> str:
        return str(self.shown["Id"])


class Jobs:
    def __init__(self, processes: JobProcesses, holds: Holds, settings: Settings) -> None:
        self._processes = processes
        self._holds = holds
        self._settings = settings
        self._lock = threading.Lock()
        self._runs: dict[tuple[str, str, str], list[JobRun]] = {}

    def operations(self) -> dict[str, Operation]:
        return {
            "StartJobRun": self.start_job_run,
            "GetJobRun": self.get_job_run,
            "GetJobRuns": self.get_job_runs,
            "BatchStopJobRun": self.batch_stop_job_run,
            "UpdateJob": self.update_job,
        }

    def stop_all(self) -> None:
        """At the lab's exit: no process of a job outlives it."""
        with self._lock:
            runs = [run for runs in self._runs.values() for run in runs]
        for run in runs:
            run.stop.set()
        self._holds.release()
        self._processes.kill_all()

    def start_job_run(self, request: AwsRequest) -> dict[str, Any]:
        given = request.document()
        unknown = sorted(set(given) - START_PARAMETERS)
        if unknown:
            raise AwsError("InvalidInputException", f"The lab does not support the parameter {unknown[0]} of StartJobRun yet.")
        job = glue_catalog.job(request.account, request.region, str(given.get("JobName", "")))
        with self._lock:
            runs = self._runs.setdefault((request.account, request.region, job.name), [])
            limit = (job.execution_property or {}).get("MaxConcurrentRuns") or 1
            active = [run for run in runs if run.shown["JobRunState"] in ACTIVE]
            if len(active) >= limit:
                raise AwsError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {job.name}")
            run = JobRun(request.account, request.region, self._describe(job, given))
            runs.append(run)
        threading.Thread(target=self._run, args=(job, run), daemon=True).start()
        return {"JobRunId": run.id}

    @staticmethod
    def _describe(job: Any, given: dict[str, Any]) -> dict[str, Any]:
        """The run as AWS describes it; a run's own figures win over the job's, and both are kept as given."""
        definition = job.as_dict()
        now = time.time()
        arguments = {**(job.default_arguments or {}), **(given.get("Arguments") or {}), **(job.non_overridable_arguments or {})}
        shown: dict[str, Any] = {
            "Id": f"jr_{mock_random.get_random_hex(64)}", "Attempt": 0, "JobName": job.name, "StartedOn": now, "LastModifiedOn": now,
            "JobRunState": "STARTING", "JobMode": "SCRIPT", "Arguments": arguments, "PredecessorRuns": [], "ExecutionTime": 0,
            "LogGroupName": "/aws-glue/jobs", "GlueVersion": job.glue_version or "0.9",
        }
        if given.get("JobRunId"):
            shown["PreviousRunId"] = given["JobRunId"]
        for name in RUN_PARAMETERS:
            value = given.get(name) if given.get(name) is not None else definition.get(name)
            if value is not None:
                shown[name] = value
        shown.setdefault("Timeout", DEFAULT_TIMEOUT_MINUTES)
        return shown

    def _find(self, request: AwsRequest, job_name: str, run_id: str) -> JobRun:
        runs = self._runs.get((request.account, request.region, job_name), [])
        found = next((run for run in runs if run.id == run_id), None)
        if found is None:
            raise AwsError("EntityNotFoundException", f"Job Run {run_id} not found for job {job_name}.")
        return found

    def _view(self, run: JobRun) -> dict[str, Any]:
        shown = dict(run.shown)
        if shown["JobRunState"] in ACTIVE:
            shown["ExecutionTime"] = int(time.time() - shown["StartedOn"])
        return shown

    def get_job_run(self, request: AwsRequest) -> dict[str, Any]:
        given = request.document()
        with self._lock:
            return {"JobRun": self._view(self._find(request, str(given.get("JobName", "")), str(given.get("RunId", ""))))}

    def get_job_runs(self, request: AwsRequest) -> dict[str, Any]:
        given = request.document()
        job = glue_catalog.job(request.account, request.region, str(given.get("JobName", "")))
        start, size = _page_start(given.get("NextToken")), int(given.get("MaxResults") or 200)
        with self._lock:
            runs = list(reversed(self._runs.get((request.account, request.region, job.name), [])))
            page = [self._view(run) for run in runs[start : start + size]]
        more = {"NextToken": str(start + size)} if start + size < len(runs) else {}
        return {"JobRuns": page, **more}

    def batch_stop_job_run(self, request: AwsRequest) -> dict[str, Any]:
        given = request.document()
        name, stopped, errors = str(given.get("JobName", "")), [], []
        for run_id in given.get("JobRunIds") or []:
            try:
                with self._lock:
                    run = self._find(request, name, run_id)
                    if run.shown["JobRunState"] not in ("STARTING", "RUNNING", "WAITING"):
                        raise AwsError("InvalidInputException", f"Job Run {run_id} is in state {run.shown['JobRunState']}, it cannot be stopped.")
                    self._set(run, "STOPPING")
                run.stop.set()
                stopped.append({"JobName": name, "JobRunId": run_id})
            except AwsError as error:
                detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
                errors.append({"JobName": name, "JobRunId": run_id, "ErrorDetail": detail})
        return {"SuccessfulSubmissions": stopped, "Errors": errors}

    def update_job(self, request: AwsRequest) -> dict[str, Any]:
        given = request.document()
        job = glue_catalog.job(request.account, request.region, str(given.get("JobName", "")))
        update = given.get("JobUpdate") or {}
        # UpdateJob replaces the definition: what is not given falls back to the service's defaults.
        for name in ("DefaultArguments", "ExecutionProperty"):
            update.setdefault(name, {})
        for name in ("Description", "LogUri", "MaxRetries", "AllocatedCapacity", "Timeout", "MaxCapacity", "WorkerType", "NumberOfWorkers",
                     "GlueVersion", "Connections", "NonOverridableArguments", "SecurityConfiguration", "NotificationProperty"):
            update.setdefault(name, None)
        with self._lock:
            glue_catalog.set_fields(job, update)
        return {"JobName": job.name}

    def _set(self, run: JobRun, state: str, error: str | None = None) -> None:
        now = time.time()
        run.shown.update(JobRunState=state, LastModifiedOn=now)
        if error:
            run.shown["ErrorMessage"] = error
        if state not in ACTIVE:
            run.shown.update(CompletedOn=now, ExecutionTime=int(now - run.shown["StartedOn"]))

    def _run(self, job: Any, run: JobRun) -> None:
        deadline = time.monotonic() + float(run.shown["Timeout"]) * self._settings.glue_minute_seconds
        run.stop.wait(self._settings.glue_start_seconds)
        with self._lock:
            if not run.stop.is_set():
                self._set(run, "RUNNING")
        text = " ".join(f"{key} {value}" for key, value in run.shown["Arguments"].items())
        self._holds.wait("glue_job", f"{job.name}/{run.id}", text, lambda: run.stop.is_set() or time.monotonic() > deadline)
        state, error = self._outcome(job, run, deadline)
        with self._lock:
            self._set(run, state, error)
        if state == "FAILED" and run.attempt < int(job.max_retries or 0):
            self._retry(job, run)

    def _outcome(self, job: Any, run: JobRun, deadline: float) -> tuple[str, str | None]:
        process: JobProcess | None = None
        try:
            if not run.stop.is_set() and time.monotonic() <= deadline:
                process = self._processes.start(job, run.account, run.region, run.id, run.shown["Arguments"])
            while process and process.running():
                if run.stop.wait(0.02) or time.monotonic() > deadline:
                    process.terminate()
        except JobFailed as problem:
            return "FAILED", str(problem)
        finally:
            if process:
                process.close()
        if run.stop.is_set():
            return "STOPPED", None
        if time.monotonic() > deadline:
            return "TIMEOUT", "Job run exceeded its timeout."
        return ("SUCCEEDED", None) if process and process.exit_code == 0 else ("FAILED", process.last_error if process else None)

    def _retry(self, job: Any, failed: JobRun) -> None:
        """The service's own retry (MaxRetries): a run of its own whose id tells the attempt."""
        attempt = failed.attempt + 1
        shown = {key: value for key, value in failed.shown.items() if key not in ("CompletedOn", "ErrorMessage")}
        shown.update(Id=f"{failed.id.split('_attempt_')[0]}_attempt_{attempt}", Attempt=attempt, PreviousRunId=failed.id,
                     JobRunState="STARTING", StartedOn=time.time(), ExecutionTime=0)
        run = JobRun(failed.account, failed.region, shown, attempt)
        with self._lock:
            self._runs[failed.account, failed.region, job.name].append(run)
        self._run(job, run)


def _page_start(token: Any) -> int:
    if not token:
        return 0
    if not str(token).isdigit():
        raise AwsError("InvalidInputException", "NextToken is not valid.")
    return int(token)
