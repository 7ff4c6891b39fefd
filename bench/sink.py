"""A mail server that does nothing but take mails fast and say when, in a process of its own.

Both systems under test deliver to it, so what it costs is the same for both.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import re
import threading
import time
from collections import deque
from email.header import decode_header, make_header
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, NamedTuple, Self, cast

import uvloop

ROOM: Final = re.compile(r"\bR\d+-\d+\b")
"""Names of rooms as the benchmark makes them up; a mail's subject holds one."""
_SUBJECT: Final = re.compile(rb"^Subject: ([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.MULTILINE)


class Taken(NamedTuple):
    """`at` is `time.monotonic_ns()` when the answer to DATA was written; that clock is the same in all processes."""

    subject: bytes
    at: int

    @property
    def room(self) -> str:
        """The room that the subject names, or nothing; read here, so that the server does not spend time on it."""
        found = ROOM.search(str(make_header(decode_header(self.subject.decode("ascii", "replace")))))
        return found.group() if found else ""


class Sink:
    """The process and its port. `take` returns the next mail, in the order of arrival."""

    def __init__(self, gather: float = 0.0) -> None:
        """`gather`: seconds after which it tells of mails, where nobody waits for each: being told costs computing."""
        context = multiprocessing.get_context("spawn")
        self._mails, theirs = context.Pipe(duplex=False)
        self._taken: deque[Taken] = deque()
        self._process = context.Process(target=_serve, args=(theirs, gather), name="sink", daemon=True)
        self._process.start()
        theirs.close()
        self.port: int = self._mails.recv()

    def take(self, timeout: float) -> Taken | None:
        """The next mail, or None when none comes within `timeout` seconds."""
        if not self._taken and self._mails.poll(timeout):
            self._taken.extend(itertools.starmap(Taken, self._mails.recv()))
        return self._taken.popleft() if self._taken else None

    def ignore_mails(self) -> None:
        """Read and forget what comes, so that it need not wait for us."""
        threading.Thread(target=self._forget, daemon=True).start()

    def _forget(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._mails.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.join()


class _Conversation(asyncio.Protocol):
    """As little SMTP as both clients need."""

    def __init__(self, report: "_Report") -> None:
        self._report = report
        self._buffer = b""
        self._in_message = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not `isinstance`: uvloop's transports are not asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            end = b"\r\n.\r\n" if self._in_message else b"\r\n"
            head, found, rest = self._buffer.partition(end)
            if not found:
                return
            self._buffer = rest
            if self._in_message:
                self._taken(head)
            else:
                self._command(head[:4].upper())

    def _command(self, verb: bytes) -> None:
        assert self._transport is not None
        match verb:
            case b"EHLO":
                self._transport.write(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            case b"DATA":
                self._in_message = True
                self._transport.write(b"354 go on\r\n")
            case b"QUIT":
                self._transport.write(b"221 bye\r\n")
                self._transport.close()
            case _:
                self._transport.write(b"250 OK\r\n")

    def _taken(self, message: bytes) -> None:
        assert self._transport is not None
        self._in_message = False
        self._transport.write(b"250 taken\r\n")
        at = time.monotonic_ns()
        # Read only now: whoever sent the mail has the answer already.
        found = _SUBJECT.search(message)
        self._report.add(found[1] if found else b"", at)


class _Report:
    """Tells of mails, those of one turn of the event loop, or of `gather` seconds, at once: each wakes who is told."""

    def __init__(self, mails: Connection, gather: float) -> None:
        self._mails = mails
        self._gather = gather
        self._new: list[tuple[bytes, int]] = []

    def add(self, subject: bytes, at: int) -> None:
        if not self._new:
            asyncio.get_running_loop().call_later(self._gather, self._send)
        self._new.append((subject, at))

    def _send(self) -> None:
        self._mails.send(self._new)
        self._new = []


def _serve(mails: Connection, gather: float) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_listen(mails, gather))


async def _listen(mails: Connection, gather: float) -> None:
    report = _Report(mails, gather)
    server = await asyncio.get_running_loop().create_server(lambda: _Conversation(report), "127.0.0.1", 0)
    mails.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()
