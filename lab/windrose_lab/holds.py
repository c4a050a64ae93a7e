"""Holds keep a crawl, a Glue job or a statement in its running state until they are released: what kill tests need."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KINDS = ("glue_job", "crawler", "statement")


@dataclass
class Hold:
    """Work of `kind` whose name, arguments or SQL contain `match` waits; `holding` names what waits now."""

    id: int
    kind: str
    match: str
    holding: list[str] = field(default_factory=list)


class HoldError(ValueError):
    """A hold that cannot be; the message says what to change."""


class Holds:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holds: dict[int, Hold] = {}
        self._ids = itertools.count(1)

    def add(self, kind: str, match: str = "") -> Hold:
        if kind not in KINDS:
            raise HoldError(f"A hold's `kind` must be one of {', '.join(KINDS)}.")
        with self._changed:
            hold = Hold(next(self._ids), kind, match)
            self._holds[hold.id] = hold
        return hold

    def release(self, hold_id: int | None = None) -> None:
        """Lets the work of one hold, or of all, go on."""
        with self._changed:
            for key in [hold_id] if hold_id is not None else list(self._holds):
                self._holds.pop(key, None)
            self._changed.notify_all()

    def list(self) -> list[dict[str, Any]]:
        with self._changed:
            return [dict(vars(hold), holding=list(hold.holding)) for hold in self._holds.values()]

    def wait(self, kind: str, name: str, text: str, stopped: Callable[[], bool]) -> None:
        """Returns when no hold matches any more, or when `stopped` says that the work is to end."""
        with self._changed:
            while not stopped():
                hold = next((h for h in self._holds.values() if h.kind == kind and h.match in f"{name}\n{text}"), None)
                if hold is None:
                    return
                if name not in hold.holding:
                    hold.holding.append(name)
                # `stopped` may turn true without a notification (a time limit), so the wait is bounded.
                self._changed.wait(0.1)
                if name in hold.holding:
                    hold.holding.remove(name)
