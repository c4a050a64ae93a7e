"""What a Python task may ask of Windrose.

    import windrose

    def load(day):
        rows = windrose.xcom_pull("extract")
        if not rows:
            raise windrose.Skip("nothing to load")
        windrose.xcom_push("count", len(rows))
"""

import json
import socket

_context = {}
_address = None
_token = None
_pushed = []


class Skip(Exception):
    """Raise it to skip the task."""


class Fail(Exception):
    """Raise it to fail the task for good: it is not retried."""


def context():
    """Airflow's template context: ds, ts, params, run_id, ti and so on."""
    return _context


def xcom_push(key, value):
    """Leaves a value for other tasks."""
    _pushed.append([key, value])


def xcom_pull(task_ids=None, key="return_value", map_indexes=None):
    """A value that another task of this run left; a list of values for a list of tasks."""
    if task_ids is None:
        task_ids = _context.get("task_id")
    if isinstance(task_ids, (list, tuple)):
        return [xcom_pull(task_id, key, map_indexes) for task_id in task_ids]
    return _ask({"call": "xcom_pull", "task_id": task_ids, "key": key, "map_index": map_indexes})


_MISSING = object()


def variable(key, default=_MISSING, deserialize_json=False):
    """A variable."""
    value = _ask({"call": "variable", "key": key})
    if value is None:
        if default is _MISSING:
            raise KeyError(f"Variable {key} does not exist")
        return default
    return json.loads(value) if deserialize_json else value


class Connection:
    """A connection; `password` and `extra_dejson` may hold secrets, which are masked in the task's log."""

    def __init__(self, fields):
        self.__dict__.update(fields)
        self.extra_dejson = json.loads(fields.get("extra") or "{}")


def connection(conn_id):
    """A connection."""
    return Connection(_ask({"call": "connection", "conn_id": conn_id}))


class OutletEvent:
    """What the event of one outlet carries; of an alias, which assets came through it."""

    def __init__(self, name):
        self._name = name
        self.extra = {}
        self._added = []

    def add(self, asset, extra=None):
        """The asset came through this alias: a URI, or something with a `uri`."""
        self._added.append({"uri": getattr(asset, "uri", asset), "alias": self._name, "extra": dict(extra or {})})


class OutletEvents:
    """`outlet_events` in a task's context, by URI or alias: `outlet_events["s3://b/k"].extra = {"rows": 3}`."""

    def __init__(self):
        self._events = {}

    def __getitem__(self, key):
        name = getattr(key, "uri", None) or getattr(key, "name", None) or key
        return self._events.setdefault(name, OutletEvent(name))

    def _changed(self):
        changed = []
        for name, event in self._events.items():
            changed += event._added
            if event.extra:
                changed.append({"uri": name, "extra": event.extra})
        return changed


outlet_events = OutletEvents()


class TaskInstance:
    """`ti` in a task's context."""

    def __init__(self, facts):
        self.__dict__.update(facts)

    def xcom_push(self, key, value):
        """Leaves a value for other tasks."""
        xcom_push(key, value)

    def xcom_pull(self, task_ids=None, key="return_value", map_indexes=None, default=None):
        """A value that another task of this run left."""
        value = xcom_pull(task_ids, key, map_indexes)
        return default if value is None else value


def _ask(question):
    if _address is None:
        raise RuntimeError("this works only inside a task of Windrose")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
        wire.connect("\0" + _address)
        wire.sendall(json.dumps({"token": _token, **question}).encode() + b"\n")
        answer = json.loads(wire.makefile("rb").readline())
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["value"]
