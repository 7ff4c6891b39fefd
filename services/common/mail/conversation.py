"""The envelope and the message over a connection that is open: the part of SMTP that each mail pays for.

Connecting, TLS and logging in are aiosmtplib's. It asks command by command, though, and an alarm would wait for three
answers before its first byte is under way: where the server offers PIPELINING (RFC 2920; nearly all do), MAIL, RCPT and
DATA go out together here. It also takes a fifth of the computing.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, cast

import aiosmtplib
from aiosmtplib.email import quote_address

from services.common.mail.wire import OnTheWire

_LONGEST: Final = 64 * 1024
"""Bytes of a server's answers that are not read yet; more is no mail server."""


QUIT: Final = b"QUIT\r\n"
_GO_ON: Final = 354


class Reply(NamedTuple):
    """What a server said; several lines are joined by line feeds."""

    code: int
    text: str


class Command(NamedTuple):
    """What is written, and the codes that mean success."""

    stage: str
    line: bytes
    expects: Sequence[int]


def commands(from_: bytes, to: bytes, message: OnTheWire | None, *, together: bool) -> list[Sequence[Command]]:
    """One mail, or without `message` only what comes before it, as groups of what goes out at once.

    `from_` and `to` are paths (see `path_of`).
    """
    envelope: Sequence[Command] = _envelope(from_, to)
    if message is None:
        envelope = envelope[:-1]
    groups: list[Sequence[Command]] = [envelope] if together else [(command,) for command in envelope]
    if message is not None:
        groups.append((Command("DATA", message, (250,)),))
    return groups


@lru_cache(maxsize=4096)
def _envelope(from_: bytes, to: bytes) -> tuple[Command, ...]:
    return (
        Command("MAIL", b"MAIL FROM:" + from_ + b"\r\n", (250,)),
        Command("RCPT", b"RCPT TO:" + to + b"\r\n", (250, 251)),
        Command("DATA", b"DATA\r\n", (_GO_ON,)),
    )


class ConversationError(Exception):
    """The connection is gone, or the other side speaks no SMTP."""


class Conversation(asyncio.Protocol):
    """Used by one mail at a time; after an error it is of no use any more."""

    def __init__(self, transport: asyncio.Transport, *, pipelining: bool) -> None:
        self.pipelining = pipelining
        """Whether commands may go out before the answers to those before them."""
        self._transport = transport
        self._unread = b""
        self._lines: list[str] = []
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._asked = 0
        self._error: ConversationError | None = None

    @classmethod
    def take_over(cls, client: aiosmtplib.SMTP) -> "Conversation":
        """Go on where a client has connected."""
        # Not `isinstance`: uvloop's transports are not asyncio's.
        transport = cast("asyncio.Transport", client.transport)
        conversation = cls(transport, pipelining=client.supports_extension("pipelining"))
        transport.set_protocol(conversation)
        return conversation

    @property
    def is_open(self) -> bool:
        """Whether the connection is there, as far as anybody has told us."""
        return self._error is None and not self._transport.is_closing()

    def ask(self, *commands: bytes) -> None:
        """Write commands, each of which will be answered once, or the message after DATA.

        Raises:
            ConversationError: the connection is gone.
        """
        if self._error is not None:
            raise self._error
        self._asked += len(commands)
        self._transport.write(b"".join(commands))

    async def reply(self) -> Reply:
        """The next answer, in the order of what was asked.

        Raises:
            ConversationError: there will be none.
        """
        while not self._replies:
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._replies.popleft()

    async def reset(self, unanswered: int) -> None:
        """Forget the mail that was begun, so that another one can follow.

        Args:
            unanswered: commands of a group after the one that failed.

        Raises:
            ConversationError: as `reply`.
        """
        for _ in range(unanswered):
            if (await self.reply()).code == _GO_ON:
                # No recipient is left, but the server waits for a message (RFC 2920, 3.1): it gets an empty one.
                self.ask(b".\r\n")
                await self.reply()
        self.ask(b"RSET\r\n")
        await self.reply()

    def close(self) -> None:
        """End it without a word."""
        self._fail("closed")
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """The server said something."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            if self._error is None:
                self._read(line.rstrip(b"\r"))
        if len(self._unread) + sum(map(len, self._lines)) > _LONGEST:
            self._speaks_no_smtp()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server, or the network, ended it."""
        self._fail(type(exc).__name__ if exc is not None else "closed")

    def _read(self, line: bytes) -> None:
        code, separator = line[:3], line[3:4]
        if not (len(code) == 3 and code.isdigit() and separator in (b" ", b"-", b"")):
            self._speaks_no_smtp()
            return
        self._lines.append(line[4:].decode("utf-8", "surrogateescape").strip(" \t"))
        if separator == b"-":
            return
        if self._asked == 0:
            # Such as "421 closing, you were idle": what comes unasked must never pass for the answer to the next mail.
            self.close()
            return
        self._asked -= 1
        self._replies.append(Reply(int(code), "\n".join(self._lines)))
        self._lines.clear()

    def _speaks_no_smtp(self) -> None:
        self._fail("no SMTP")
        self._transport.close()

    def _fail(self, why: str) -> None:
        self._error = self._error or ConversationError(why)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@lru_cache(maxsize=4096)
def path_of(address: str) -> bytes:
    """`<address>` as MAIL and RCPT take it.

    Raises:
        UnicodeEncodeError: SMTP cannot carry it.
        ValueError: it would be more than an address.
    """
    return quote_address(address).encode("ascii")
