"""Why a row could not be loaded, as stl_load_errors tells it: from PostgreSQL's words."""

from __future__ import annotations

import re
from dataclasses import dataclass

PLACE = re.compile(r'COPY .*?, line (?P<line>\d+)(?:, column (?P<column>[^:\n]+): (?:"(?P<value>.*?)"(?=\n|$)|null input))?', re.DOTALL)
# What PostgreSQL says, what Redshift says of the same, with the first group in it.
REASONS = [
    (r'invalid input syntax for type (?:integer|bigint|smallint): "(.?)', "Invalid digit, Value '{0}', Pos 0, Type: Integer"),
    (r'invalid input syntax for type numeric: "(.?)', "Invalid digit, Value '{0}', Pos 0, Type: Decimal"),
    (r"invalid input syntax for type (?:real|double precision)", "Invalid digit"),
    (r"out of range for type (\w+)", "Overflow, the value does not fit the column's type {0}"),
    (r"(?:invalid input syntax for type|date/time field value out of range).*date", "Invalid Date Format - length must be 10 or more"),
    (r"(?:invalid input syntax for type|date/time field value out of range).*timestamp", "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]"),
    (r"value too long for type", "String length exceeds DDL length"),
    (r"null value in column", "Missing data for not-null field"),
    (r"missing data for column", "Delimiter not found"),
    (r"extra data after last expected column", "Extra column(s) found"),
    (r"unterminated CSV quoted field", "Invalid quote formatting for CSV"),
]


@dataclass(frozen=True)
class Source:
    """An object that is part of what was loaded: its URL, its lines without the header's, and the header's."""

    url: str
    lines: int
    header: int


@dataclass(frozen=True)
class LoadError:
    """`line` counts from 1 within the file, the header included; what is not known is None."""

    file: str | None
    line: int | None
    column: str | None
    value: str | None
    reason: str


def load_error(place: str, message: str, sources: list[Source]) -> LoadError:
    """From PostgreSQL's context, `COPY t, line 3, column price: "x"`, and its message."""
    found = PLACE.search(place)
    line = int(found["line"]) if found else None
    column = found["column"] if found else None
    named = re.search(r'column "([^"]+)"', message)
    file = None
    for source in sources:
        if line is None or line <= source.lines or source is sources[-1]:
            file, line = source.url, None if line is None else line + source.header
            break
        line -= source.lines
    return LoadError(file, line, column or (named[1] if named else None), found["value"] if found else None, reason(message))


def reason(message: str) -> str:
    """In Redshift's words where they are known."""
    for pattern, words in REASONS:
        if found := re.search(pattern, message):
            return words.format(*found.groups())
    return message
