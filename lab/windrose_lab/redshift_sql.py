"""Redshift's SQL in PostgreSQL's words: what must be said differently is rewritten, all else goes through untouched."""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<dollar>\$(?P<tag>[A-Za-z_]\w*|)\$.*?(?:\$(?P=tag)\$|\Z))
  | (?P<string>[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)|'(?:[^']|'')*(?:'|\Z))
  | (?P<quoted>"(?:[^"]|"")*(?:"|\Z))
  | (?P<temp>\#[A-Za-z_]\w*)
  | (?P<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<parameter>\$\d+)
  | (?P<cast>::)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
NOW = "(now() at time zone 'utc')::timestamp(0)"
RENAMED = {"nvl": "coalesce", "isnull": "coalesce", "len": "length", "rand": "random", "nvarchar": "varchar"}
DATE_PARTS = {"dateadd", "datediff", "date_diff", "date_add"}
SESSION_SETTINGS = {"query_group", "wlm_query_slot_count", "enable_result_cache_for_session", "enable_case_sensitive_identifier"}


@dataclass
class Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        """The keyword in lower case; empty for anything but a bare word."""
        return self.text.lower() if self.kind == "word" else ""


def tokens(sql: str) -> list[Token]:
    return [Token(str(found.lastgroup if found.lastgroup != "tag" else "dollar"), found.group()) for found in TOKEN.finditer(sql)]


def join(parts: list[Token]) -> str:
    return "".join(part.text for part in parts)


def statements(sql: str) -> list[list[Token]]:
    """The statements of a text, each with its trailing semicolon."""
    result: list[list[Token]] = [[]]
    for token in tokens(sql):
        result[-1].append(token)
        if token.text == ";":
            result.append([])
    return [part for part in result if part]


def solid(parts: list[Token]) -> list[Token]:
    """The tokens without blanks and comments."""
    return [part for part in parts if part.kind != "space"]


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'" if "\\" not in text else "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def transfer_kind(parts: list[Token]) -> str | None:
    """`unload` or `copy` for the statements that move data between Redshift and S3."""
    firm = solid(parts)
    if not firm:
        return None
    if firm[0].word == "unload":
        return "unload"
    if firm[0].word == "copy" and any(t.kind == "string" and t.text.lower().startswith("'s3") for t in firm):
        return "copy"
    return None


def rewrite(sql: str) -> str:
    """The text for PostgreSQL. UNLOAD and COPY become calls of the lab's procedures."""
    return "".join(_rewrite_statement(part) for part in statements(sql))


def _rewrite_statement(parts: list[Token]) -> str:
    kind = transfer_kind(parts)
    if kind:
        semicolon = ";" if parts[-1].text == ";" else ""
        text = join(parts[:-1] if semicolon else parts)
        return f"CALL windrose_lab.{kind}({literal(text.strip())}){semicolon}"
    words = [part.word for part in solid(parts)]
    if words[:1] == ["set"] and len(words) > 1 and words[1] in SESSION_SETTINGS:
        parts = [Token("word", f"windrose_lab.{part.text}") if part.word == words[1] else part for part in parts]
    elif words[:1] == ["create"] and "table" in words[:5]:
        parts = _create_table(parts)
    elif words[:1] == ["create"] and {"procedure", "function"} & set(words[:4]) or words[:1] == ["do"]:
        parts = [_rewrite_body(part) if part.kind == "dollar" else part for part in parts]
    elif any(part.kind == "temp" for part in parts):
        parts = _select_into_temp(parts)
    return join(_everywhere(parts))


def _rewrite_body(part: Token) -> Token:
    delimiter = part.text[: part.text.index("$", 1) + 1]
    inner = part.text[len(delimiter) : -len(delimiter)]
    return Token("dollar", delimiter + rewrite(inner) + delimiter)


def _next_solid(parts: list[Token], position: int) -> int:
    position += 1
    while position < len(parts) and parts[position].kind == "space":
        position += 1
    return position


def _everywhere(parts: list[Token]) -> list[Token]:
    """Function names, `#temp` names and date parts, wherever they stand."""
    result: list[Token] = []
    position = 0
    while position < len(parts):
        token = parts[position]
        after = _next_solid(parts, position)
        called = after < len(parts) and parts[after].text == "("
        if token.kind == "temp":
            token = Token("quoted", f'"{token.text.lower()}"')
        elif token.word == "sysdate":
            token = Token("other", NOW)
        elif token.word == "getdate" and called:
            closing = _next_solid(parts, after)
            if closing < len(parts) and parts[closing].text == ")":
                token, position = Token("other", NOW), closing
        elif token.word in RENAMED and called:
            token = Token("word", RENAMED[token.word])
        elif token.word in DATE_PARTS and called:
            name = _next_solid(parts, after)
            if name < len(parts) and parts[name].kind == "word":
                result += [Token("word", f"windrose_lab.{token.word.replace('_', '')}"), parts[after], Token("string", literal(parts[name].word))]
                position = name + 1
                continue
        result.append(token)
        position += 1
    return result


def _select_into_temp(parts: list[Token]) -> list[Token]:
    """`SELECT … INTO #t` makes a temporary table."""
    result = []
    for position, token in enumerate(parts):
        before = solid(parts[:position])
        words = [part.word for part in before]
        if token.kind == "temp" and words[-1:] == ["into"] and words[:1] in (["select"], ["with"]):
            result.append(Token("word", "TEMP "))
        result.append(token)
    return result


def _create_table(parts: list[Token]) -> list[Token]:
    """Drops what only Redshift's storage knows (DISTKEY, SORTKEY, ENCODE …) and makes `#t` a TEMP table."""
    result: list[Token] = []
    position = 0
    while position < len(parts):
        token = parts[position]
        after = _next_solid(parts, position)
        if token.word in ("compound", "interleaved") and after < len(parts) and parts[after].word == "sortkey":
            position += 1
        elif token.word in ("distkey", "sortkey"):
            position = _after_parentheses(parts, position)
        elif token.word in ("diststyle", "encode"):
            position = after + 1
        elif token.word == "backup":
            position = after + 1
        elif token.word == "identity" and after < len(parts) and parts[after].text == "(":
            result.append(Token("word", "GENERATED BY DEFAULT AS IDENTITY"))
            position = _after_parentheses(parts, position)
        elif token.word == "max" and solid(result) and solid(result)[-1].text == "(":
            result.append(Token("number", "65535"))
            position += 1
        else:
            result.append(Token("word", "jsonb") if token.word == "super" else token)
            position += 1
    return _temp_table(result)


def _after_parentheses(parts: list[Token], position: int) -> int:
    """The position behind the word and, if one follows, its bracketed list."""
    after = _next_solid(parts, position)
    if after >= len(parts) or parts[after].text != "(":
        return position + 1
    while after < len(parts) and parts[after].text != ")":
        after += 1
    return after + 1


def _temp_table(parts: list[Token]) -> list[Token]:
    table = next((n for n, part in enumerate(parts) if part.word == "table"), None)
    if table is None:
        return parts
    name = _next_solid(parts, table)
    while name < len(parts) and parts[name].word in ("if", "not", "exists"):
        name = _next_solid(parts, name)
    already = any(part.word in ("temp", "temporary") for part in parts[:table])
    if name < len(parts) and parts[name].kind == "temp" and not already:
        return [*parts[:table], Token("word", "TEMP "), *parts[table:]]
    return parts


def bind_names(sql: str, names: list[str]) -> tuple[str, list[str]]:
    """`:name` parameters of the Data API as `$1`, `$2` …; returns the text and the names in order of first use."""
    order: list[str] = []
    result: list[str] = []
    parts = tokens(sql)
    position = 0
    while position < len(parts):
        token = parts[position]
        following = parts[position + 1] if position + 1 < len(parts) else None
        if token.text == ":" and following is not None and following.kind == "word" and following.text in names:
            if following.text not in order:
                order.append(following.text)
            result.append(f"${order.index(following.text) + 1}")
            position += 2
            continue
        result.append(token.text)
        position += 1
    return "".join(result), order
