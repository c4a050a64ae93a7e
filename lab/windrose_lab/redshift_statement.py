"""Statements of the Data API: their states, and the thread that carries them out on a connection."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from windrose_lab import redshift_sql

TERMINAL = ("FINISHED", "FAILED", "ABORTED")
INTEGERS, FLOATS, BOOLEAN, BYTEA = {20, 21, 23, 26}, {700, 701}, 16, 17
TYPE_NAMES = {16: "bool", 17: "varbyte", 20: "int8", 21: "int2", 23: "int4", 25: "varchar", 700: "float4", 701: "float8", 1042: "bpchar",
              1043: "varchar", 1082: "date", 1083: "time", 1114: "timestamp", 1184: "timestamptz", 1700: "numeric", 3802: "super"}


@dataclass
class Result:
    """A result set as the API answers it."""

    columns: list[dict[str, Any]]
    rows: list[list[dict[str, Any]]]
    size: int


@dataclass
class SubStatement:
    """One SQL text; `rows` is affected or returned rows, -1 if neither is known. Times are epoch seconds."""

    id: str
    sql: str
    status: str = "SUBMITTED"
    error: str | None = None
    rows: int = -1
    result: Result | None = None
    query_id: int = 0
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    duration: int = 0

    def set(self, status: str, error: str | None = None) -> None:
        self.status, self.error, self.updated = status, error, time.time()

    def outcome(self) -> dict[str, Any]:
        """The fields DescribeStatement has for a statement and for a sub-statement alike."""
        shown: dict[str, Any] = {
            "Id": self.id, "Status": self.status, "CreatedAt": self.created, "UpdatedAt": self.updated, "Duration": self.duration,
            "HasResultSet": self.result is not None, "RedshiftQueryId": self.query_id, "ResultRows": self.rows,
            "ResultSize": self.result.size if self.result else (0 if self.status == "FINISHED" else -1), "QueryString": self.sql,
        }
        if self.error:
            shown["Error"] = self.error
        return shown


@dataclass
class Statement:
    """An ExecuteStatement or BatchExecuteStatement. `given` are the request's own fields, kept for the answers."""

    main: SubStatement
    parts: list[SubStatement]
    batch: bool
    account: str
    given: dict[str, Any]
    user: str
    session_id: str | None = None
    parameters: list[dict[str, str]] = field(default_factory=list)
    pid: int = 0
    cancel: threading.Event = field(default_factory=threading.Event)
    connection: psycopg.Connection | None = None

    @property
    def id(self) -> str:
        return self.main.id

    def find(self, statement_id: str) -> SubStatement | None:
        return next((part for part in [self.main, *self.parts] if part.id == statement_id), None)


def run(statement: Statement, open_connection: Callable[[], psycopg.Connection], wait: Callable[[], None], close: bool) -> None:
    """Carries the statement out. `wait` returns when nothing holds it back; `close` ends the connection afterwards."""
    started = time.monotonic_ns()
    _set_all(statement, "PICKED")
    try:
        connection = open_connection()
    except psycopg.Error as problem:
        _set_all(statement, "FAILED", _error_text(problem))
        return
    statement.connection, statement.pid = connection, connection.info.backend_pid
    statement.main.set("STARTED")
    wait()
    try:
        if statement.cancel.is_set():
            _set_all(statement, "ABORTED", "Query cancelled on user's request")
        elif statement.batch:
            _run_batch(connection, statement)
        else:
            _run_one(connection, statement.parts[0], statement)
            _mirror(statement, statement.parts[0])
    finally:
        statement.connection = None
        if close:
            connection.close()
        statement.main.duration = time.monotonic_ns() - started


def _set_all(statement: Statement, status: str, error: str | None = None) -> None:
    for part in [*statement.parts, statement.main]:
        part.set(status, error)


def _mirror(statement: Statement, part: SubStatement) -> None:
    main = statement.main
    main.rows, main.result, main.query_id = part.rows, part.result, part.query_id
    main.set(part.status, part.error)


def _run_batch(connection: psycopg.Connection, statement: Statement) -> None:
    """One transaction: the first failure rolls all back, and what follows is ABORTED."""
    connection.execute("BEGIN")
    for number, part in enumerate(statement.parts, start=1):
        if statement.cancel.is_set():
            part.set("ABORTED", "Query cancelled on user's request")
        else:
            _run_one(connection, part, statement)
        if part.status != "FINISHED":
            connection.execute("ROLLBACK")
            for later in statement.parts[number:]:
                later.set("ABORTED", f"Connection or an prior query failed in batch with error: {part.error}")
            statement.main.set(part.status, f"Query #{number} failed with {part.error}")
            return
    try:
        connection.execute("COMMIT")
        statement.main.set("FINISHED")
    except psycopg.Error as problem:
        statement.main.set("FAILED", _error_text(problem))


def _run_one(connection: psycopg.Connection, part: SubStatement, statement: Statement) -> None:
    started = time.monotonic_ns()
    part.set("STARTED")
    try:
        kind = redshift_sql.transfer_kind(redshift_sql.tokens(part.sql))
        text, names = redshift_sql.bind_names(part.sql, [parameter["name"] for parameter in statement.parameters])
        values = {parameter["name"]: parameter.get("value") for parameter in statement.parameters}
        cursor = psycopg.RawCursor(connection)
        # So that stl_load_errors can say which query it was.
        connection.execute("SELECT set_config('windrose_lab.query_id', %s, false)", [str(part.query_id)])
        # Prepared, so that PostgreSQL itself refuses several statements in one text, as the API does.
        cursor.execute(redshift_sql.rewrite(text), [values[name] for name in names], prepare=True)
        part.rows = cursor.rowcount
        if cursor.description is not None:
            part.result = _result(cursor)
            part.rows = len(part.result.rows)
        if kind:
            counted = connection.execute(f"SELECT pg_last_{kind}_count()").fetchone()
            part.rows = int(counted[0]) if counted else -1
        part.set("FINISHED")
    except psycopg.errors.QueryCanceled as problem:
        cancelled = statement.cancel.is_set()
        part.set("ABORTED" if cancelled else "FAILED", "Query cancelled on user's request" if cancelled else _error_text(problem))
    except psycopg.Error as problem:
        part.set("FAILED", _error_text(problem))
    finally:
        part.duration = time.monotonic_ns() - started


def _error_text(problem: psycopg.Error) -> str:
    primary = problem.diag.message_primary
    if not primary:
        return "FATAL: " + str(problem).strip().split("FATAL:")[-1].strip()
    detail = f"\n  Detail: {problem.diag.message_detail}" if problem.diag.message_detail else ""
    position = f"\n  Position: {problem.diag.statement_position}" if problem.diag.statement_position else ""
    return f"ERROR: {primary}{detail}{position}"


def _result(cursor: psycopg.RawCursor) -> Result:
    """Cells from the text the server sent, so that nothing is lost in Python's types."""
    raw = cursor.pgresult
    if raw is None:
        return Result([], [], 0)
    columns = []
    for column in cursor.description or []:
        name = TYPE_NAMES.get(column.type_code, "varchar")
        columns.append(
            {
                "name": column.name, "label": column.name, "typeName": name, "length": column.internal_size or 0,
                "precision": column.precision or 0, "scale": column.scale or 0, "nullable": 1, "isCaseSensitive": name in ("varchar", "bpchar"),
                "isCurrency": False, "isSigned": name.startswith(("int", "float", "numeric")), "schemaName": "", "tableName": "",
                "columnDefault": "",
            }
        )
    kinds = [column.type_code for column in cursor.description or []]
    size, rows = 0, []
    for row in range(raw.ntuples):
        cells = []
        for position, kind in enumerate(kinds):
            data = raw.get_value(row, position)
            size += len(data or b"")
            cells.append(_cell(kind, data))
        rows.append(cells)
    return Result(columns, rows, size)


def _cell(kind: int, data: bytes | None) -> dict[str, Any]:
    if data is None:
        return {"isNull": True}
    text = data.decode()
    if kind in INTEGERS:
        return {"longValue": int(text)}
    if kind in FLOATS and text not in ("NaN", "Infinity", "-Infinity"):
        return {"doubleValue": float(text)}
    if kind == BOOLEAN:
        return {"booleanValue": text == "t"}
    if kind == BYTEA:
        return {"blobValue": base64.b64encode(bytes.fromhex(text[2:])).decode()}
    return {"stringValue": text}
