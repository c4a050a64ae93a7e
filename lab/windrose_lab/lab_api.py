"""The lab's own pages under /lab/: endpoints, journal, faults, holds, settings, SQL."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qs

from windrose_lab.aws_answer import Answer, json_answer
from windrose_lab.aws_request import Environ
from windrose_lab.faults import FaultError, Faults
from windrose_lab.holds import HoldError, Holds
from windrose_lab.journal import Journal
from windrose_lab.lab_sql import SqlError, SqlPage

JSON = "application/json"


@dataclass
class Settings:
    """Knobs of the lab's speed. Times in seconds.

    `glue_minute_seconds` is how long Glue's minute (the unit of a job's Timeout) lasts here.
    `crawler_start_lag` is for how many GetCrawler answers a started crawler still looks READY, with the crawl before as
    LastCrawl: the race AWS has.
    """

    glue_start_seconds: float = 0.1
    glue_minute_seconds: float = 60.0
    crawler_seconds: float = 0.1
    crawler_start_lag: int = 0

    def change(self, given: dict[str, Any]) -> None:
        known = {field.name: field.type for field in fields(self)}
        for name, value in given.items():
            if name not in known or isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise SettingError(f"Setting {name!r} must be one of {', '.join(known)}, with a number that is not negative.")
            setattr(self, name, int(value) if name == "crawler_start_lag" else float(value))


class SettingError(ValueError):
    """A setting that cannot be; the message says what to change."""


class LabPages:
    """Answers /lab/… requests."""

    def __init__(self, journal: Journal, faults: Faults, holds: Holds, settings: Settings, sql: SqlPage, endpoints: dict[str, Any]) -> None:
        self._journal = journal
        self._faults = faults
        self._holds = holds
        self._settings = settings
        self._sql = sql
        self._endpoints = endpoints

    def __call__(self, environ: Environ, body: bytes) -> Answer:
        method = str(environ["REQUEST_METHOD"])
        page, _, number = str(environ["PATH_INFO"]).strip("/").removeprefix("lab").strip("/").partition("/")
        query = parse_qs(str(environ.get("QUERY_STRING", "")))
        try:
            given = json.loads(body) if body else {}
            if not isinstance(given, dict):
                raise ValueError("not an object")
            handler: Callable[..., Any] | None = getattr(self, f"_{method.lower()}_{page or 'endpoints'}", None)
            if handler is None:
                return json_answer({"error": f"There is no {method} /lab/{page}."}, 404, JSON)
            return json_answer(handler(number, query, given), 200, JSON)
        except (FaultError, HoldError, SettingError, SqlError) as problem:
            return json_answer({"error": str(problem)}, 400, JSON)
        except ValueError:
            return json_answer({"error": "Send a JSON object, and numbers where numbers belong."}, 400, JSON)

    def _get_endpoints(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        return self._endpoints

    def _get_journal(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        entries = self._journal.since(int(query.get("since", ["0"])[0]))
        for name in ("kind", "service", "operation", "account"):
            if name in query:
                entries = [entry for entry in entries if entry.get(name) == query[name][0]]
        return {"entries": entries}

    def _post_journal(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        if number != "reset":
            raise ValueError("only reset")
        self._journal.reset()
        return {}

    def _get_faults(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        return {"faults": self._faults.list()}

    def _post_faults(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        return self._faults.add(given).public()

    def _delete_faults(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        self._faults.remove(int(number) if number else None)
        return {}

    def _get_hold(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        return {"holds": self._holds.list()}

    def _post_hold(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        hold = self._holds.add(str(given.get("kind", "")), str(given.get("match", "")))
        return {"id": hold.id, "kind": hold.kind, "match": hold.match}

    def _delete_hold(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        self._holds.release(int(number) if number else None)
        return {}

    def _get_settings(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        return vars(self._settings)

    def _post_settings(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        self._settings.change(given)
        return vars(self._settings)

    def _post_sql(self, number: str, query: dict[str, list[str]], given: dict[str, Any]) -> Any:
        return self._sql.run(given)
