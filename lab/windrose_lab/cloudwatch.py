"""Log lines into moto's CloudWatch Logs, where Glue's real ones would be."""

from __future__ import annotations

import threading
import time

from moto.logs.models import logs_backends

_lock = threading.Lock()


def ensure_group(account: str, region: str, group: str) -> None:
    with _lock:
        backend = logs_backends[account][region]
        if group not in backend.groups:
            backend.create_log_group(group, {})


def put_lines(account: str, region: str, group: str, stream: str, lines: list[str]) -> None:
    """Appends lines to a stream, making group and stream if need be. Empty lines are left out, as CloudWatch refuses them."""
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in lines if line.strip()]
    if not events:
        return
    ensure_group(account, region, group)
    with _lock:
        backend = logs_backends[account][region]
        backend.ensure_log_stream(group, stream)
        backend.put_log_events(group, stream, events)
