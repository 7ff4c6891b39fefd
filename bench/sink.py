"""A mail server that does nothing but take mails fast and say when, in a process of its own.

Both systems under test deliver to it, so what it costs is the same for both.
"""

import asyncio
import contextlib
import multiprocessing
import re
import threading
import time
from email.header import decode_header, make_header
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, NamedTuple, Self

ROOM: Final = re.compile(r"\bR\d+-\d+\b")
"""Names of rooms as the benchmark makes them up; a mail's subject holds one."""
_SUBJECT: Final = re.compile(rb"^Subject: ([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.MULTILINE)


class Taken(NamedTuple):
    """`at` is `time.monotonic_ns()` when the answer to DATA was written; that clock is the same in all processes."""

    room: str
    at: int


class Sink:
    """The process and its port. `take` returns the next mail, in the order of arrival."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._mails, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_serve, args=(theirs,), name="sink", daemon=True)
        self._process.start()
        theirs.close()
        self.port: int = self._mails.recv()

    def take(self, timeout: float) -> Taken | None:
        """The next mail, or None when none comes within `timeout` seconds."""
        return Taken(*self._mails.recv()) if self._mails.poll(timeout) else None

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

    def __init__(self, mails: Connection) -> None:
        self._mails = mails
        self._buffer = b""
        self._in_message = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(b"220 sink ESMTP\r\n")

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
        subject = str(make_header(decode_header(found[1].decode("ascii", "replace")))) if found else ""
        room = ROOM.search(subject)
        self._mails.send((room.group() if room else "", at))


def _serve(mails: Connection) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_listen(mails))


async def _listen(mails: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Conversation(mails), "127.0.0.1", 0)
    mails.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()
