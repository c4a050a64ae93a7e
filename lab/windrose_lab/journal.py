"""The record of every AWS call and every SQL statement, kept in memory: a test's oracle for what really was asked."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from typing import Any
from urllib.parse import parse_qsl

from windrose_lab.aws_request import AwsRequest

KEEP = 100_000
SECRET_FIELDS = re.compile(r"password|secretstring|secretbinary|secretaccesskey|sessiontoken|^value$", re.IGNORECASE)
SECRETS_IN_SQL = (
    re.compile(r"(aws_secret_access_key\s*=\s*)[^;'\s]+", re.IGNORECASE),
    re.compile(r"(\btoken\s*=\s*)[^;'\s]+", re.IGNORECASE),
    re.compile(r"(\b(?:secret_access_key|session_token|password)\s+(?:as\s+)?')[^']*", re.IGNORECASE),
)
LONGEST_TEXT = 2_000


def mask_sql(sql: str) -> str:
    """The statement without the credentials in it, as Redshift's own query history shows it."""
    for pattern in SECRETS_IN_SQL:
        sql = pattern.sub(r"\1***", sql)
    return sql


class Journal:
    """Numbered entries, oldest first. Entries of kind `aws` are calls, of kind `sql` statements seen on the wire."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEEP)
        self._next = 1

    def add(self, entry: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            entry = {"seq": self._next, "time": time.time(), **entry}
            self._next += 1
            self._entries.append(entry)
        return entry

    def call(self, request: AwsRequest) -> dict[str, Any]:
        """Notes a call before it is answered; `status` and `error` are set on the returned entry afterwards."""
        return self.add(
            {
                "kind": "aws",
                "service": request.service,
                "operation": request.operation,
                "target": summary(request),
                "access_key": request.access_key,
                "account": request.account,
                "region": request.region,
                "user_agent": request.user_agent,
            }
        )

    def sql(self, via: str, user: str, database: str, statement: str) -> None:
        self.add({"kind": "sql", "via": via, "user": user, "database": database, "sql": mask_sql(statement)})

    def since(self, seq: int) -> list[dict[str, Any]]:
        """Entries whose number is greater than `seq`."""
        with self._lock:
            return [dict(entry) for entry in self._entries if entry["seq"] > seq]

    def reset(self) -> None:
        """Forgets all entries; numbers go on, so that a `since` taken before stays meaningful."""
        with self._lock:
            self._entries.clear()


def summary(request: AwsRequest) -> dict[str, Any]:
    """The request's parameters without secrets and long texts."""
    if request.service == "s3":
        bucket, key = request.bucket_and_key()
        given = {"Bucket": bucket, "Key": key, **dict(parse_qsl(request.query))}
        return {name: value for name, value in given.items() if value and not name.startswith("X-Amz-")}
    try:
        parameters: Any = request.document() if request.environ.get("HTTP_X_AMZ_TARGET") else request.form()
    except Exception:
        return {}
    return masked(parameters)


def masked(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: "***" if SECRET_FIELDS.search(key) and isinstance(item, str) else masked(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, name) for item in value[:100]]
    if isinstance(value, str):
        return mask_sql(value)[:LONGEST_TEXT]
    return value
