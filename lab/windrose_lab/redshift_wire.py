"""Redshift on the wire: a proxy before PostgreSQL that takes Redshift's clients and Redshift's SQL."""

from __future__ import annotations

import asyncio
import struct
import threading

from windrose_lab.journal import Journal
from windrose_lab.postgres import Address
from windrose_lab.redshift_sql import rewrite

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
LARGEST_MESSAGE = 256 * 1024 * 1024
# Redshift's drivers send start-up parameters PostgreSQL refuses (client_protocol_version, driver_version …).
KNOWN_PARAMETERS = {"user", "database", "application_name", "options", "client_encoding", "datestyle", "timezone",
                    "extra_float_digits", "search_path", "statement_timeout"}
REDSHIFT_VERSION = b"8.0.2"


def startup_message(code: int, parameters: dict[str, str]) -> bytes:
    pairs = b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in parameters.items())
    body = struct.pack("!I", code) + pairs + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


class WireProxy:
    """Listens on a free port of the loopback interface, in a thread with an event loop of its own."""

    def __init__(self, address: Address, journal: Journal) -> None:
        self._address = address
        self._journal = journal
        self._ready = threading.Event()
        self.port = 0

    def start(self) -> None:
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._ready.wait()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        backend: asyncio.StreamWriter | None = None
        try:
            code, body = await self._first(reader, writer)
            from_server, backend = await asyncio.open_connection(self._address.host, self._address.port)
            if code == CANCEL_REQUEST:
                backend.write(struct.pack("!II", len(body) + 8, code) + body)
                await backend.drain()
                return
            given = _parameters(body)
            kept = {name: value for name, value in given.items() if name.lower() in KNOWN_PARAMETERS}
            backend.write(startup_message(code, kept))
            user, database = given.get("user", ""), given.get("database", given.get("user", ""))
            pumps = [asyncio.ensure_future(self._to_server(reader, backend, user, database)),
                     asyncio.ensure_future(self._to_client(from_server, writer))]
            _, pending = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pending:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError, struct.error, UnicodeDecodeError, OSError, ValueError):
            pass
        finally:
            for one in (writer, backend):
                if one is not None:
                    one.close()

    async def _first(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, bytes]:
        """The start-up or cancel request; TLS and GSS are declined."""
        while True:
            length, code = struct.unpack("!II", await reader.readexactly(8))
            if not 8 <= length <= 10_000:
                raise ValueError("not a start-up message")
            body = await reader.readexactly(length - 8)
            if code not in (SSL_REQUEST, GSS_REQUEST):
                return code, body
            writer.write(b"N")
            await writer.drain()

    async def _to_server(self, reader: asyncio.StreamReader, backend: asyncio.StreamWriter, user: str, database: str) -> None:
        while True:
            kind, body = await _read_message(reader)
            if kind == b"Q":
                sql = body[:-1].decode()
                self._journal.sql("wire", user, database, sql)
                body = rewrite(sql).encode() + b"\0"
            elif kind == b"P":
                name, query, rest = body.split(b"\0", 2)
                if query:
                    self._journal.sql("wire", user, database, query.decode())
                body = b"\0".join((name, rewrite(query.decode()).encode(), rest))
            backend.write(message(kind, body))
            await backend.drain()

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the first ReadyForQuery messages are looked at, for the version; then bytes just flow."""
        kind = b""
        while kind != b"Z":
            kind, body = await _read_message(reader)
            if kind == b"S" and body.startswith(b"server_version\0"):
                body = b"server_version\0" + REDSHIFT_VERSION + b"\0"
            writer.write(message(kind, body))
            await writer.drain()
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


def _parameters(body: bytes) -> dict[str, str]:
    parts = body.rstrip(b"\0").split(b"\0")
    return {parts[n].decode(): parts[n + 1].decode() for n in range(0, len(parts) - 1, 2)}


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    header = await reader.readexactly(5)
    (length,) = struct.unpack("!I", header[1:])
    if not 4 <= length <= LARGEST_MESSAGE:
        raise ValueError("message too long")
    return header[:1], await reader.readexactly(length - 4)
