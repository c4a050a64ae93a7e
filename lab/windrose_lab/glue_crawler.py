"""Glue crawlers that crawl: moto keeps their definitions, this keeps their states and does the work."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from windrose_lab import cloudwatch, glue_catalog
from windrose_lab.accounts import Accounts, role_arn_of, role_principal
from windrose_lab.app import Moto, Operation
from windrose_lab.aws_answer import AwsError
from windrose_lab.aws_request import AwsRequest
from windrose_lab.crawl import CrawlFailed, crawl
from windrose_lab.holds import Holds
from windrose_lab.lab_api import Settings

LOG_GROUP = "/aws-glue/crawlers"
Key = tuple[str, str, str]


@dataclass
class Crawl:
    """One run of a crawler; times are epoch seconds."""

    id: str
    started: float
    status: str = "RUNNING"
    ended: float | None = None
    error: str | None = None
    created: int = 0
    updated: int = 0


@dataclass
class CrawlerState:
    """READY → RUNNING → STOPPING → READY. `stale_answers` counts the GetCrawler answers that do not yet show the start."""

    state: str = "READY"
    crawls: list[Crawl] = field(default_factory=list)
    stale_answers: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def finished(self) -> Crawl | None:
        return next((crawl for crawl in reversed(self.crawls) if crawl.ended is not None), None)


class Crawlers:
    def __init__(self, moto: Moto, accounts: Accounts, holds: Holds, settings: Settings) -> None:
        self._moto = moto
        self._accounts = accounts
        self._holds = holds
        self._settings = settings
        self._lock = threading.Lock()
        self._states: dict[Key, CrawlerState] = {}

    def operations(self) -> dict[str, Operation]:
        return {
            "GetCrawler": self.get_crawler,
            "GetCrawlers": self.get_crawlers,
            "GetCrawlerMetrics": self.get_crawler_metrics,
            "ListCrawls": self.list_crawls,
            "StartCrawler": self.start_crawler,
            "StopCrawler": self.stop_crawler,
            "UpdateCrawler": self.update_crawler,
            "DeleteCrawler": self.delete_crawler,
        }

    def _state(self, request: AwsRequest, name: str) -> CrawlerState:
        return self._states.setdefault((request.account, request.region, name), CrawlerState())

    def _known(self, request: AwsRequest, parameter: str = "Name") -> tuple[str, Any]:
        name = str(request.document().get(parameter, ""))
        return name, glue_catalog.crawler(request.account, request.region, name)

    def _ask_moto(self, request: AwsRequest) -> dict[str, Any]:
        answer = self._moto.answer(request)
        document = json.loads(answer.body or b"{}")
        if answer.status >= 400:
            code = str(document.get("__type", "InternalServiceException")).rsplit("#", 1)[-1]
            raise AwsError(code, str(document.get("message", document.get("Message", ""))), answer.status)
        return document

    def get_crawler(self, request: AwsRequest) -> dict[str, Any]:
        self._known(request)
        document = self._ask_moto(request)
        self._show(request, document["Crawler"])
        return document

    def get_crawlers(self, request: AwsRequest) -> dict[str, Any]:
        document = self._ask_moto(request)
        for crawler in document["Crawlers"]:
            self._show(request, crawler)
        return document

    def _show(self, request: AwsRequest, crawler: dict[str, Any]) -> None:
        """Puts the real state over moto's, and the defaults AWS fills in."""
        for target in (crawler.get("Targets") or {}).get("S3Targets") or []:
            target.setdefault("Exclusions", [])
        with self._lock:
            state = self._state(request, crawler["Name"])
            last, running = state.finished(), state.crawls[-1] if state.crawls else None
            crawler["State"] = state.state
            if state.stale_answers > 0:
                state.stale_answers -= 1
                crawler["State"] = "READY"
                last = next((crawl for crawl in reversed(state.crawls[:-1]) if crawl.ended is not None), None)
            elif running and running.ended is None:
                crawler["CrawlElapsedTime"] = int((time.time() - running.started) * 1000)
            crawler.pop("LastCrawl", None)
            if last:
                crawler["LastCrawl"] = self._last_crawl(crawler["Name"], last)

    @staticmethod
    def _last_crawl(name: str, last: Crawl) -> dict[str, Any]:
        shown = {"Status": last.status, "LogGroup": LOG_GROUP, "LogStream": name, "MessagePrefix": last.id, "StartTime": last.started}
        return {**shown, "ErrorMessage": last.error} if last.error else shown

    def get_crawler_metrics(self, request: AwsRequest) -> dict[str, Any]:
        wanted = request.document().get("CrawlerNameList") or []
        metrics = []
        with self._lock:
            for name in wanted or list(glue_catalog.backend(request.account, request.region).crawlers):
                state = self._state(request, name)
                times = sorted(crawl.ended - crawl.started for crawl in state.crawls if crawl.ended)
                last = state.finished()
                metrics.append(
                    {
                        "CrawlerName": name,
                        "TimeLeftSeconds": 0.0,
                        "StillEstimating": False,
                        "LastRuntimeSeconds": last.ended - last.started if last and last.ended else 0.0,
                        "MedianRuntimeSeconds": times[len(times) // 2] if times else 0.0,
                        "TablesCreated": last.created if last else 0,
                        "TablesUpdated": last.updated if last else 0,
                        "TablesDeleted": 0,
                    }
                )
        return {"CrawlerMetricsList": metrics}

    def list_crawls(self, request: AwsRequest) -> dict[str, Any]:
        name, _ = self._known(request, "CrawlerName")
        with self._lock:
            crawls = list(reversed(self._state(request, name).crawls))
        states = {"SUCCEEDED": "COMPLETED", "CANCELLED": "STOPPED"}
        shown = [
            {
                "CrawlId": one.id, "State": states.get(one.status, one.status), "StartTime": one.started, "LogGroup": LOG_GROUP,
                "LogStream": name, "MessagePrefix": one.id,
                **({"EndTime": one.ended} if one.ended else {}),
                **({"ErrorMessage": one.error} if one.error else {}),
            }
            for one in crawls
        ]
        return {"Crawls": shown}

    def start_crawler(self, request: AwsRequest) -> dict[str, Any]:
        name, _ = self._known(request)
        with self._lock:
            state = self._state(request, name)
            if state.state != "READY":
                raise AwsError("CrawlerRunningException", f"Crawler with name {name} has already started")
            one = Crawl(str(uuid.uuid4()), time.time())
            state.state, state.stop, state.stale_answers = "RUNNING", threading.Event(), self._settings.crawler_start_lag
            state.crawls.append(one)
        threading.Thread(target=self._run, args=(request, name, state, one), daemon=True).start()
        return {}

    def stop_crawler(self, request: AwsRequest) -> dict[str, Any]:
        name, _ = self._known(request)
        with self._lock:
            state = self._state(request, name)
            if state.state == "STOPPING":
                raise AwsError("CrawlerStoppingException", f"Crawler with name {name} is already stopping")
            if state.state != "RUNNING":
                raise AwsError("CrawlerNotRunningException", f"Crawler with name {name} isn't running")
            state.state = "STOPPING"
            state.stop.set()
        return {}

    def update_crawler(self, request: AwsRequest) -> dict[str, Any]:
        name, crawler = self._known(request)
        with self._lock:
            if self._state(request, name).state != "READY":
                raise AwsError("CrawlerRunningException", f"Crawler with name {name} is currently running")
            given = {key: value for key, value in request.document().items() if key not in ("Name", "Tags")}
            glue_catalog.set_fields(crawler, given)
            glue_catalog.touch_crawler(crawler)
        return {}

    def delete_crawler(self, request: AwsRequest) -> dict[str, Any]:
        name, _ = self._known(request)
        with self._lock:
            if self._state(request, name).state != "READY":
                raise AwsError("CrawlerRunningException", f"Crawler with name {name} is currently running")
            self._states.pop((request.account, request.region, name), None)
        return self._ask_moto(request)

    def _run(self, request: AwsRequest, name: str, state: CrawlerState, one: Crawl) -> None:
        self._holds.wait("crawler", name, "", state.stop.is_set)
        state.stop.wait(self._settings.crawler_seconds)
        status, error = "SUCCEEDED", None
        try:
            if not state.stop.is_set():
                self._crawl(request, name, one)
        except CrawlFailed as problem:
            status, error = "FAILED", str(problem)
        except Exception as problem:
            status, error = "FAILED", f"Internal Service Exception: {problem}"
        if state.stop.is_set():
            status, error = "CANCELLED", None
        lines = [f"[{one.id}] BENCHMARK : Running Start Crawl for Crawler {name}"]
        lines.append(f"[{one.id}] ERROR : {error}" if error else f"[{one.id}] BENCHMARK : Crawler has finished running and is in state READY")
        cloudwatch.put_lines(request.account, request.region, LOG_GROUP, name, lines)
        with self._lock:
            one.status, one.error, one.ended, state.state = status, error, time.time(), "READY"

    def _crawl(self, request: AwsRequest, name: str, one: Crawl) -> None:
        account, region = request.account, request.region
        crawler = glue_catalog.crawler(account, region, name)
        role = role_arn_of(crawler.role, account)
        if role is None:
            raise CrawlFailed(f"Service is unable to assume role {crawler.role}. Please verify role's TrustPolicy")
        if crawler.database_name not in glue_catalog.backend(account, region).databases:
            raise CrawlFailed(f"Database {crawler.database_name} not found (EntityNotFoundException).")
        for table in crawl(crawler.targets or {}, crawler.table_prefix or "", role_principal(role), self._accounts):
            new = glue_catalog.save_table(account, region, crawler.database_name, table.table_input(name))
            one.created, one.updated = one.created + new, one.updated + (not new)
            for partition in table.partition_inputs():
                glue_catalog.save_partition(account, region, crawler.database_name, table.name, partition)
