"""The page /lab/sql: a look into the warehouse as its owner, past the wire and the journal."""

from __future__ import annotations

from typing import Any

import psycopg

from windrose_lab import redshift_sql
from windrose_lab.postgres import Address
from windrose_lab.redshift_users import Login, connect


class SqlError(ValueError):
    """A text that cannot be carried out; the message says why."""


class SqlPage:
    """Runs SQL in the seed's database, every request on a connection of its own."""

    def __init__(self, address: Address, owner: Login, database: str) -> None:
        self._address = address
        self._owner = owner
        self._database = database

    def run(self, given: dict[str, Any]) -> dict[str, Any]:
        """Carries out the statements of `sql`, one by one; answers with the rows of the last, values as Redshift's text."""
        text = given.get("sql")
        if not isinstance(text, str) or not text.strip():
            raise SqlError("Send the statements as text in `sql`.")
        answer: dict[str, Any] = {"columns": [], "rows": []}
        with connect(self._address, self._owner, self._database) as connection:
            for parts in redshift_sql.statements(text):
                statement = redshift_sql.join(parts)
                if redshift_sql.solid(parts):
                    try:
                        answer = _rows(connection.execute(redshift_sql.rewrite(statement).encode()))
                    except psycopg.Error as problem:
                        raise SqlError(str(problem).strip()) from None
        return answer


def _rows(cursor: psycopg.Cursor[Any]) -> dict[str, Any]:
    raw = cursor.pgresult
    if raw is None or cursor.description is None:
        return {"columns": [], "rows": []}
    rows = []
    for row in range(raw.ntuples):
        values = (raw.get_value(row, column) for column in range(raw.nfields))
        rows.append([None if value is None else value.decode() for value in values])
    return {"columns": [column.name for column in cursor.description], "rows": rows}
