"""Faults on demand: rules that make a call fail, be slow, or fail after it was carried out."""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import dataclass, field
from typing import Any

from windrose_lab.aws_request import AwsRequest

FIELDS = {"service", "operation", "match", "times", "probability", "seed", "delay_ms", "status", "code", "message", "when"}


@dataclass
class FaultRule:
    """One rule. It applies to calls of `service` and `operation` (both optional) whose request holds the text `match`.

    `times` bounds how often it strikes (None: no bound); `probability` with `seed` makes a repeatable sequence.
    `when` is `before` (the call is not carried out) or `after` (it is, and only the answer is lost).
    """

    id: int
    service: str | None = None
    operation: str | None = None
    match: str | None = None
    times: int | None = 1
    probability: float = 1.0
    seed: int = 0
    delay_ms: int = 0
    status: int = 400
    code: str | None = None
    message: str = "Injected by the lab"
    when: str = "before"
    hits: int = 0
    random: random.Random = field(default_factory=random.Random, repr=False)

    def applies_to(self, request: AwsRequest) -> bool:
        if self.service and self.service != request.service:
            return False
        if self.operation and self.operation != request.operation:
            return False
        if self.match:
            haystack = f"{request.path}?{request.query}\n{request.body.decode('utf-8', 'replace')}"
            return self.match in haystack
        return True

    def public(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "random"}


class FaultError(ValueError):
    """A rule that cannot be; the message says what to change."""


class Faults:
    """The rules in the order they were posted; the first that strikes wins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[FaultRule] = []
        self._ids = itertools.count(1)

    def add(self, given: dict[str, Any]) -> FaultRule:
        unknown = sorted(set(given) - FIELDS)
        if unknown:
            raise FaultError(f"Unknown key {unknown[0]!r} in the fault rule; use {', '.join(sorted(FIELDS))}.")
        if given.get("when", "before") not in ("before", "after"):
            raise FaultError("`when` must be 'before' or 'after'.")
        try:
            rule = FaultRule(id=next(self._ids), **given)
            rule.probability, rule.delay_ms, rule.status = float(rule.probability), int(rule.delay_ms), int(rule.status)
            rule.times = None if rule.times is None else int(rule.times)
        except (TypeError, ValueError) as problem:
            raise FaultError(f"A number in the fault rule is not one: {problem}.") from None
        rule.random = random.Random(rule.seed)
        with self._lock:
            self._rules.append(rule)
        return rule

    def strike(self, request: AwsRequest) -> FaultRule | None:
        """The rule that hits this call, already counted."""
        with self._lock:
            for rule in self._rules:
                spent = rule.times is not None and rule.hits >= rule.times
                if spent or not rule.applies_to(request):
                    continue
                if rule.random.random() < rule.probability:
                    rule.hits += 1
                    return rule
        return None

    def list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [rule.public() for rule in self._rules]

    def remove(self, rule_id: int | None = None) -> None:
        with self._lock:
            self._rules = [] if rule_id is None else [rule for rule in self._rules if rule.id != rule_id]
