"""A real SMTP server for tests: it records what it takes, and misbehaves as it is told."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from services.embedded.ports import free_port

Fault = Literal["drop", "stall", "garbage"]
Stage = Literal["CONNECT", "MAIL", "RCPT", "DATA"]


@dataclass(frozen=True, slots=True)
class Received:
    """One message as the sink took it. `at` is `time.monotonic()`."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    at: float
    answered: str
    """What the sender heard: `250 …`, an error, or `drop` and `stall` when it heard nothing."""
    greeting: str = ""
    """Who the sender said it is."""

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    def text(self, subtype: str = "plain") -> str:
        """The plain text, or with `html` the HTML body."""
        body = self.message.get_body((subtype,))
        assert isinstance(body, EmailMessage), f"the mail has no {subtype} body"
        return str(body.get_content())


@dataclass(slots=True)
class _Programme:
    answer: str
    times: int | None


@dataclass(slots=True)
class SmtpSink:
    """Listens on a free port. `accepted` holds what was answered with 250, `received` also what was not."""

    port: int = field(default_factory=free_port)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    pipelining: bool = True
    """Whether it offers that, as nearly all mail servers do."""
    host: str = "127.0.0.1"
    """As others write it in its address."""
    options: str = ""
    """More for its address, such as `&connections=2`."""
    _rcpt: dict[str, _Programme] = field(default_factory=dict)
    _stages: dict[Stage, list[_Programme]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _protocols: list[SMTP] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://{self.host}:{self.port}?starttls=off{self.options}"

    @property
    def accepted(self) -> list[Received]:
        return [mail for mail in self.received if mail.answered.startswith("250")]

    async def start(self) -> None:
        """Listen; also again after `stop`, on the same port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Close the port and every connection, as a mail server that goes away."""
        if self._server is not None:
            self._server.close()
            for protocol in self._protocols:
                if protocol.transport is not None:
                    protocol.transport.close()
            await self._server.wait_closed()
            self._server = None

    def refuse_recipient(self, address: str, answer: str = "550 5.1.1 unknown", times: int | None = None) -> None:
        """Answer RCPT TO for this address with an error, `times` times or always."""
        self._rcpt[address.casefold()] = _Programme(answer, times)

    def answer_data(self, answer: str, times: int | None = 1) -> None:
        """Answer the end of DATA with an error such as `451 4.3.0 later`."""
        self.answer("DATA", answer, times)

    def answer(self, stage: Stage, answer: str, times: int | None = None) -> None:
        """Answer at this stage with an error, `times` times or always; `CONNECT` is the greeting."""
        self._stages.setdefault(stage, []).append(_Programme(answer, times))

    def misbehave(self, fault: Fault, times: int | None = 1, *, at: Stage = "DATA") -> None:
        """At this stage `drop` the connection without an answer, `stall` (say nothing), or say what is no SMTP."""
        self.answer(at, fault, times)

    def lie(self, times: int | None = 1) -> None:
        """Answer the end of DATA with 250, and drop the connection before that arrives whole."""
        self.answer("DATA", "lie", times)

    def behave(self) -> None:
        """Forget all faults."""
        self._rcpt.clear()
        self._stages.clear()

    async def wait_for(self, count: int, timeout: float = 30.0) -> list[Received]:  # noqa: ASYNC109 – reads best so
        """Wait until `count` mails were accepted (more are no error); returns all that were."""
        return await self.wait_until(lambda mails: len(mails) >= count, timeout)

    async def wait_until(
        self,
        predicate: Callable[[Sequence[Received]], bool],
        timeout: float = 30.0,  # noqa: ASYNC109 – reads best so
    ) -> list[Received]:
        """Wait until the accepted mails satisfy the predicate."""
        try:
            async with asyncio.timeout(timeout):
                while not predicate(self.accepted):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            subjects = [f"{mail.recipients}: {mail.subject}" for mail in self.accepted]
            raise AssertionError(f"not within {timeout} s; accepted so far: {subjects}") from None
        return self.accepted

    def _protocol(self) -> SMTP:
        self.connections += 1
        protocol = _Server(
            self,
            hostname="sink.test",
            enable_SMTPUTF8=True,
            data_size_limit=50_000_000,
            auth_require_tls=False,
            authenticator=_let_nobody_in,
        )
        self._protocols.append(protocol)
        return protocol

    def programmed(self, stage: Stage) -> str | None:
        """What was asked for at this stage; takes one of its times."""
        return next((p.answer for p in self._stages.get(stage, ()) if _use(p)), None)

    async def handle_EHLO(  # noqa: N802 – aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], *(["250-PIPELINING"] if self.pipelining else []), responses[-1]]

    async def handle_MAIL(  # noqa: N802 – likewise
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if (answer := await _misbehaving(server, self.programmed("MAIL"))) is not None:
            return answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 – likewise
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        programme = self._rcpt.get(address.casefold())
        if programme is not None and _use(programme):
            return programme.answer
        if (answer := await _misbehaving(server, self.programmed("RCPT"))) is not None:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> Any:  # noqa: N802 – likewise
        answer = self.programmed("DATA") or "250 2.0.0 taken"
        content = envelope.content
        assert isinstance(content, bytes)
        self.received.append(
            Received(
                envelope.mail_from or "",
                tuple(envelope.rcpt_tos),
                content,
                time.monotonic(),
                answer,
                str(session.host_name),
            )
        )
        self._changed.set()
        return await _misbehaving(server, answer)


class _Server(SMTP):
    """Greets as it is told."""

    _greeted = False

    async def push(self, status: Any) -> None:
        if isinstance(status, str):
            status = status.encode("utf-8", "surrogateescape")
        handler = self.event_handler
        if not self._greeted and isinstance(handler, SmtpSink):
            self._greeted = True
            status = await _misbehaving(self, handler.programmed("CONNECT")) or status
            await super().push(status)
            if status[:3] not in (b"220", "220") and self.transport is not None:
                self.transport.close()
            return
        await super().push(status)


def _let_nobody_in(*_: object) -> AuthResult:
    """Every password is wrong."""
    return AuthResult(success=False, handled=False)


async def _misbehaving(server: SMTP, answer: str | None) -> str | None:
    """The answer to give; what is none is done here."""
    match answer:
        case "drop" if server.transport is not None:
            server.transport.close()
        case "lie":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.write(b"250-2.0.0 taken")
            server.transport.close()
        case "stall":
            await asyncio.Event().wait()
        case "garbage":
            return "\x00\x07 what?"
    return answer


def _use(programme: _Programme) -> bool:
    """Whether it still applies; takes one of its times."""
    if programme.times is None:
        return True
    programme.times -= 1
    return programme.times >= 0
