"""UNLOAD and COPY statements as data: where, with whose rights, in which form. Parsing only, no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from windrose_lab import redshift_sql
from windrose_lab.redshift_sql import Token

IGNORED_UNLOAD = {"encrypted", "auto"}
ON_OFF = {"on", "off", "true", "false"}
NOT_YET = {"parquet", "json", "avro", "orc", "shapefile", "fixedwidth", "partition", "partitioned", "lzop", "zstd", "maxfilesize",
           "rowgroupsize", "ssh", "readratio", "maxerror", "fillrecord", "noload", "kms_key_id", "master_symmetric_key"}


class TransferError(Exception):
    """The statement cannot be carried out; `text` is what Redshift would say, `state` its SQLSTATE."""

    def __init__(self, text: str, state: str = "XX000") -> None:
        super().__init__(text)
        self.text = text
        self.state = state


@dataclass(frozen=True)
class Credentials:
    """Whose rights the transfer uses: a chain of roles (the last one acts) or a pair of keys."""

    roles: tuple[str, ...] = ()
    access_key: str | None = None


@dataclass
class Transfer:
    """One UNLOAD or COPY. `query` is UNLOAD's, `table` and `columns` are COPY's, as written."""

    kind: str
    url: str
    credentials: Credentials
    query: str = ""
    table: str = ""
    columns: str = ""
    csv: bool = False
    delimiter: str | None = None
    header: bool = False
    ignore_header: int = 0
    null: str | None = None
    quote: str | None = None
    escape: bool = False
    add_quotes: bool = False
    compression: str | None = None
    parallel: bool = True
    allow_overwrite: bool = False
    clean_path: bool = False
    manifest: bool = False
    verbose: bool = False
    extension: str | None = None
    flags: set[str] = field(default_factory=set)


class Reader:
    """Walks over the solid tokens of a statement."""

    def __init__(self, sql: str) -> None:
        self._tokens = redshift_sql.solid(redshift_sql.tokens(sql))
        self._at = 0

    def peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def word(self) -> str:
        token = self.peek()
        return token.word if token else ""

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            raise TransferError("syntax error at end of input", "42601")
        self._at += 1
        return token

    def expect(self, *words: str) -> None:
        for word in words:
            token = self.take()
            if token.word != word and token.text != word:
                raise TransferError(f'syntax error at or near "{token.text}"', "42601")

    def accept(self, word: str) -> bool:
        if self.word() == word:
            self._at += 1
            return True
        return False

    def string(self) -> str:
        token = self.take()
        return text_of(token)

    def bracketed(self) -> str:
        """The text up to the closing bracket, the opening one being taken already."""
        depth = 1
        parts: list[str] = []
        while True:
            token = self.take()
            depth += (token.text == "(") - (token.text == ")")
            if depth == 0:
                return " ".join(parts)
            parts.append(token.text)


def text_of(token: Token) -> str:
    """The value of a string or dollar-quoted token."""
    if token.kind == "dollar":
        return token.text.split("$", 2)[2].rsplit("$", 2)[0]
    if token.kind == "string" and token.text[0] == "'":
        # In Redshift a backslash escapes inside any string.
        return re.sub(r"\\(.)", lambda m: {"t": "\t", "n": "\n"}.get(m.group(1), m.group(1)), token.text[1:-1].replace("''", "'"))
    raise TransferError(f'syntax error at or near "{token.text}"', "42601")


def parse(sql: str) -> Transfer:
    """The transfer a statement asks for; TransferError for what Redshift or the lab refuses."""
    reader = Reader(sql.strip().rstrip(";"))
    transfer = _unload(reader) if reader.word() == "unload" else _copy(reader)
    while reader.peek() is not None:
        _option(reader, transfer)
    if not (transfer.credentials.roles or transfer.credentials.access_key):
        raise TransferError("CREDENTIALS argument is required but was not provided. Provide CREDENTIALS or IAM_ROLE.", "42601")
    if transfer.clean_path and transfer.allow_overwrite:
        raise TransferError("ALLOWOVERWRITE and CLEANPATH cannot both be specified in the UNLOAD command.")
    return transfer


def _unload(reader: Reader) -> Transfer:
    reader.expect("unload", "(")
    query = text_of(reader.take()).strip().rstrip(";")
    reader.expect(")", "to")
    return Transfer("unload", reader.string(), Credentials(), query=query)


def _copy(reader: Reader) -> Transfer:
    reader.expect("copy")
    table, columns = "", ""
    while not reader.accept("from"):
        token = reader.take()
        if token.text == "(":
            columns = reader.bracketed()
        else:
            table += f'"{token.text.lower()}"' if token.kind == "temp" else token.text
    return Transfer("copy", reader.string(), Credentials(), table=table, columns=columns)


def _option(reader: Reader, transfer: Transfer) -> None:
    token = reader.take()
    word = token.word
    unload = transfer.kind == "unload"
    if word in NOT_YET:
        raise TransferError(f"The lab does not support {word.upper()} in {transfer.kind.upper()} yet.", "0A000")
    if word in ("with", "format", "as", "compression"):
        return
    if word in ("credentials", "iam_role", "access_key_id", "secret_access_key", "session_token"):
        _credentials(word, reader, transfer)
    elif word == "csv":
        transfer.csv = True
        if reader.accept("quote"):
            reader.accept("as")
            transfer.quote = reader.string()
    elif word in ("delimiter", "null", "extension"):
        reader.accept("as")
        setattr(transfer, word, reader.string())
    elif word == "gzip" or word == "bzip2":
        transfer.compression = word
    elif word == "manifest":
        transfer.manifest, transfer.verbose = True, reader.accept("verbose")
    elif word == "escape":
        transfer.escape = True
    elif word == "parallel" and unload:
        transfer.parallel = reader.take().word in ("on", "true")
    elif unload and word in ("header", "allowoverwrite", "cleanpath", "addquotes"):
        name = {"allowoverwrite": "allow_overwrite", "cleanpath": "clean_path", "addquotes": "add_quotes"}.get(word, word)
        setattr(transfer, name, True)
    elif word == "ignoreheader" and not unload:
        reader.accept("as")
        transfer.ignore_header = int(reader.take().text)
    elif not _harmless(word, reader, transfer):
        raise TransferError(f'syntax error at or near "{token.text}"', "42601")


def _harmless(word: str, reader: Reader, transfer: Transfer) -> bool:
    """Options that change nothing for PostgreSQL, with their arguments."""
    if word == "region" or (transfer.kind == "copy" and word in ("dateformat", "timeformat", "encoding")):
        reader.accept("as")
        reader.take()
        return True
    if transfer.kind == "unload":
        return word in IGNORED_UNLOAD
    if word in ("compupdate", "statupdate"):
        if reader.word() in ON_OFF:
            reader.take()
        return True
    if word in ("removequotes", "emptyasnull", "blanksasnull", "ignoreblanklines", "truncatecolumns", "acceptinvchars", "acceptanydate",
                "trimblanks", "roundec", "explicit_ids"):
        transfer.flags.add(word)
        return True
    return False


def _credentials(word: str, reader: Reader, transfer: Transfer) -> None:
    reader.accept("as")
    if word == "iam_role" and reader.accept("default"):
        transfer.credentials = Credentials(roles=("default",))
        return
    value = reader.string()
    if word == "iam_role":
        transfer.credentials = Credentials(roles=tuple(part.strip() for part in value.split(",")))
    elif word == "access_key_id":
        transfer.credentials = Credentials(access_key=value)
    elif word == "credentials":
        pairs = dict(part.split("=", 1) for part in value.split(";") if "=" in part)
        role, key = pairs.get("aws_iam_role"), pairs.get("aws_access_key_id")
        if role:
            transfer.credentials = Credentials(roles=tuple(part.strip() for part in role.split(",")))
        elif key and pairs.get("aws_secret_access_key"):
            transfer.credentials = Credentials(access_key=key)
        else:
            raise TransferError("Invalid credentials. Must be of the format: credentials 'aws_iam_role=…' or "
                                "'aws_access_key_id=<access-key>;aws_secret_access_key=<secret-key>[;token=<token>]'")
