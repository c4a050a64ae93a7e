"""The S3 half of UNLOAD and COPY. PostgreSQL asks through files in the spool folder; a named pipe wakes the lab.

The question is asked inside the session's own transaction, so an UNLOAD sees uncommitted rows and a COPY rolls back.
"""

from __future__ import annotations

import bz2
import gzip
import json
import os
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from windrose_lab import objects, redshift_sql
from windrose_lab.accounts import Accounts, Principal, principal_of_key, role_exists, role_principal
from windrose_lab.aws_answer import AwsError
from windrose_lab.postgres import Postgres
from windrose_lab.redshift_load_error import Source, load_error
from windrose_lab.redshift_transfer import Credentials, Transfer, TransferError, parse

NOT_EMPTY = ("Specified unload destination on S3 is not empty. Consider using a different bucket / prefix, manually removing the "
             "target files in S3, or using the ALLOWOVERWRITE option.")

SUFFIXES = {"gzip": ".gz", "bzip2": ".bz2"}
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bzip2": bz2.compress}
DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "bzip2": bz2.decompress}
ANSWER_SECONDS = 60.0


def s3_error(error: AwsError) -> TransferError:
    return TransferError(f"S3ServiceException:{error.message},Status {error.status},Error {error.code},Rid LAB0000000000000,CanRetry 1")


class TransferService:
    """Answers questions of kind `unload`, `unload_done`, `copy`, `copy_done` and `copy_failed`."""

    def __init__(self, postgres: Postgres, accounts: Accounts, default_role: str | None) -> None:
        self._address = postgres.address
        self._spool = postgres.spool
        self._accounts = accounts
        self._default_role = default_role
        self._running: dict[str, Transfer] = {}
        self._sources: dict[str, list[Source]] = {}
        pipe = self._spool / "requests"
        os.mkfifo(pipe)
        postgres.give(pipe)
        # Open for writing too, so that it never reports an end and PostgreSQL never waits for a reader.
        self._pipe = os.open(pipe, os.O_RDWR)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with os.fdopen(self._pipe, "r", encoding="ascii") as lines:
            for line in iter(lines.readline, ""):
                threading.Thread(target=self._answer, args=(line.strip(),), daemon=True).start()

    def _answer(self, question_id: str) -> None:
        question_file = self._spool / f"{question_id}.question"
        try:
            question = json.loads(bytes.fromhex(question_file.read_text().strip()))
            question_file.unlink()
            answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
                "unload": self._unload, "unload_done": self._unload_done, "copy": self._copy, "copy_done": self._copy_done,
                "copy_failed": self._copy_failed,
            }
            answer = answers[question["kind"]]({**question, "id": question.get("id", question_id)})
        except TransferError as error:
            answer = {"error": error.text, "state": error.state}
        except AwsError as error:
            failure = s3_error(error)
            answer = {"error": failure.text, "state": failure.state}
        except Exception as problem:
            traceback.print_exc()
            answer = {"error": f"The lab failed: {type(problem).__name__}: {problem}", "state": "XX000"}
        waiting = self._spool / f"{question_id}.writing"
        waiting.write_text(json.dumps(answer))
        waiting.chmod(0o644)
        answer_file = waiting.rename(self._spool / f"{question_id}.answer")
        # PostgreSQL cannot remove a file, so the lab does, long after it was read.
        timer = threading.Timer(ANSWER_SECONDS, answer_file.unlink, kwargs={"missing_ok": True})
        timer.daemon = True
        timer.start()

    def _principal(self, credentials: Credentials) -> Principal:
        if credentials.access_key:
            return principal_of_key(credentials.access_key)
        roles = [self._default_role if role == "default" else role for role in credentials.roles]
        for role in roles:
            if not role or not role_exists(role):
                user = "arn:aws:redshift:us-east-1:123456789012:dbuser:lab"
                raise TransferError(f"User {user} is not authorized to assume IAM Role {role or 'default'}")
        return role_principal(str(roles[-1]))

    def _target(self, transfer: Transfer, write: bool) -> tuple[str, str]:
        try:
            bucket, prefix = objects.split_url(transfer.url)
        except ValueError:
            raise TransferError(f"The S3 path {transfer.url!r} is not valid; use s3://bucket/prefix.", "22023") from None
        if objects.owner_of(bucket) is None:
            raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
        self._accounts.check(self._principal(transfer.credentials), bucket, write)
        return bucket, prefix

    def _unload(self, question: dict[str, Any]) -> dict[str, Any]:
        transfer = parse(question["statement"])
        bucket, prefix = self._target(transfer, write=True)
        if not transfer.allow_overwrite and not transfer.clean_path and objects.list_objects(bucket, prefix):
            raise TransferError(NOT_EMPTY)
        self._running[question["id"]] = transfer
        file = self._data_file(question["id"])
        query = redshift_sql.rewrite(transfer.query)
        return {"id": question["id"], "run": f"COPY ({query}\n) TO {redshift_sql.literal(str(file))} WITH ({unload_options(transfer)})"}

    def _unload_done(self, question: dict[str, Any]) -> dict[str, Any]:
        transfer = self._running.pop(question["id"])
        file = self._data_file(question["id"])
        data = file.read_bytes()
        file.unlink()
        bucket, prefix = objects.split_url(transfer.url)
        if not (transfer.csv or transfer.add_quotes or transfer.escape):
            data = unescape(data)
        if transfer.clean_path:
            for found in objects.list_objects(bucket, prefix):
                objects.delete(bucket, found.key)
        name = prefix + ("0000_part_00" if transfer.parallel else "000")
        name += f".{transfer.extension.lstrip('.')}" if transfer.extension else SUFFIXES.get(transfer.compression or "", "")
        packed = COMPRESS[transfer.compression](data) if transfer.compression else data
        objects.write(bucket, name, packed)
        if transfer.manifest:
            entry: dict[str, Any] = {"url": f"s3://{bucket}/{name}"}
            if transfer.verbose:
                entry["meta"] = {"content_length": len(packed), "record_count": question["rows"]}
            objects.write(bucket, f"{prefix}manifest", json.dumps({"entries": [entry]}).encode())
        return {"objects": [f"s3://{bucket}/{name}"]}

    def _copy(self, question: dict[str, Any]) -> dict[str, Any]:
        transfer = parse(question["statement"])
        bucket, prefix = self._target(transfer, write=False)
        if transfer.manifest:
            listed = json.loads(objects.read(bucket, prefix))
            sources = [objects.split_url(entry["url"]) for entry in listed["entries"]]
            principal = self._principal(transfer.credentials)
            for other, _ in sources:
                self._accounts.check(principal, other, write=False)
        else:
            sources = [(bucket, found.key) for found in objects.list_objects(bucket, prefix) if not found.key.endswith("/")]
        if not sources:
            raise TransferError(f"The specified S3 prefix '{prefix}' does not exist")
        self._running[question["id"]] = transfer
        file = self._data_file(question["id"])
        with open(file, "wb") as out:
            read = self._sources[question["id"]] = []
            for source in sources:
                data = loadable(objects.read(*source), transfer)
                out.write(data)
                read.append(Source(f"s3://{source[0]}/{source[1]}", data.count(b"\n"), transfer.ignore_header))
        file.chmod(0o644)
        columns = f" ({transfer.columns})" if transfer.columns else ""
        command = f"COPY {transfer.table}{columns} FROM {redshift_sql.literal(str(file))} WITH ({copy_options(transfer)})"
        return {"id": question["id"], "run": command, "table": transfer.table.strip('"')}

    def _copy_done(self, question: dict[str, Any]) -> dict[str, Any]:
        self._running.pop(question["id"], None)
        self._sources.pop(question["id"], None)
        self._data_file(question["id"]).unlink(missing_ok=True)
        return {}

    def _copy_failed(self, question: dict[str, Any]) -> dict[str, Any]:
        """Keeps the reason in stl_load_errors."""
        transfer, sources = self._running.pop(question["id"], None), self._sources.pop(question["id"], [])
        error = load_error(question["place"], question["reason"], sources)
        with self._address.connect(question["database"]) as connection:
            types = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s"
            kind = connection.execute(types, (question["table"], error.column)).fetchone()
            connection.execute(
                "INSERT INTO public.stl_load_errors (session, query, tbl, filename, line_number, colname, type, raw_field_value, err_reason) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (question["session"], question["query"], question["table"], error.file or (transfer.url if transfer else None), error.line,
                 error.column, kind[0] if kind else None, error.value, error.reason),
            )
        return self._copy_done(question)

    def _data_file(self, transfer_id: str) -> Path:
        return self._spool / f"{transfer_id}.data"


def unload_options(transfer: Transfer) -> str:
    options = ["FORMAT csv" if transfer.csv or transfer.add_quotes else "FORMAT text"]
    options.append(f"DELIMITER {redshift_sql.literal(transfer.delimiter or (',' if transfer.csv else '|'))}")
    options.append(f"NULL {redshift_sql.literal(transfer.null or '')}")
    if transfer.header:
        options.append("HEADER")
    if transfer.add_quotes:
        options.append("FORCE_QUOTE *")
    return ", ".join(options)


def copy_options(transfer: Transfer) -> str:
    quoted = transfer.csv or "removequotes" in transfer.flags
    options = ["FORMAT csv" if quoted else "FORMAT text"]
    options.append(f"DELIMITER {redshift_sql.literal(transfer.delimiter or (',' if transfer.csv else '|'))}")
    options.append(f"NULL {redshift_sql.literal(transfer.null or '')}")
    if transfer.quote:
        options.append(f"QUOTE {redshift_sql.literal(transfer.quote)}")
    return ", ".join(options)


def unescape(data: bytes) -> bytes:
    """PostgreSQL escapes in its text form what Redshift writes plainly unless ESCAPE is asked for."""
    plain = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
    if b"\\" not in data:
        return data
    parts, position = [], 0
    while (found := data.find(b"\\", position)) >= 0 and found + 1 < len(data):
        following = data[found + 1 : found + 2]
        parts += [data[position:found], plain.get(following, following)]
        position = found + 2
    return b"".join([*parts, data[position:]])


def loadable(data: bytes, transfer: Transfer) -> bytes:
    """An object's lines as PostgreSQL's COPY wants them: unpacked, without header, ending in a newline."""
    try:
        data = DECOMPRESS[transfer.compression](data) if transfer.compression else data
    except OSError:
        raise TransferError(f"The object is not {transfer.compression} data; leave out {str(transfer.compression).upper()}.") from None
    data = data.replace(b"\r\n", b"\n")
    for _ in range(transfer.ignore_header):
        data = data.partition(b"\n")[2]
    if "ignoreblanklines" in transfer.flags:
        data = b"".join(line + b"\n" for line in data.split(b"\n") if line.strip())
    if not (transfer.csv or transfer.escape or "removequotes" in transfer.flags):
        data = data.replace(b"\\", b"\\\\")
    return data if not data or data.endswith(b"\n") else data + b"\n"
