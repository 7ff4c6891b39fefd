"""One SMTP conversation kept open over many mails, and what each answer means for the mail."""

import asyncio
import contextlib
import errno
import os
import re
import socket
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import aiosmtplib
from aiosmtplib.errors import SMTPAuthenticationError, SMTPException, SMTPHeloError, SMTPResponseException

from services.common.mail.conversation import QUIT, Conversation, ConversationError, commands, path_of
from services.common.mail.names import KNOWN, Names
from services.common.mail.smtp import SmtpServer
from services.common.mail.wire import OnTheWire

WHOLE_CONVERSATION = 20.0
"""Seconds for one mail, whatever the server does."""
NOT_LET_IN: Final = ("CONNECT", "AUTH")
"""Stages of a conversation before any mail is spoken of: the server is in trouble, or we are at its door."""
_ENHANCED = re.compile(r"5\.(\d{1,3})\.\d{1,3}\b")
_ABOUT_US = frozenset({521, 530, 534, 535, 538})
"""Codes that refuse us, not the recipient, wherever they come."""


class Verdict(StrEnum):
    """What a mail server's answer means. `deferred`: try again; `refused`: never again for this recipient."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"


class Blame(StrEnum):
    """Whose fault it is that a mail was not taken."""

    SERVER = "server"
    """It is away, slow, or says "not now"."""
    OPERATOR = "operator"
    """It does not take mails from us: the password, the sender's address, a permission."""
    RECIPIENT = "recipient"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class SmtpAnswer:
    """`code` is None when there was no answer; `stage` is where the conversation ended; `text` may hold addresses."""

    verdict: Verdict
    stage: str
    code: int | None
    text: str

    @property
    def blames(self) -> Blame | None:
        """None: the mail was taken."""
        if self.verdict is Verdict.ACCEPTED:
            return None
        if self.verdict is Verdict.REFUSED:
            # Some servers look at the recipient only when they have the mail.
            about_the_recipient = self.stage == "RCPT" or _subject_of(self.text) in ("1", "2")
            return Blame.RECIPIENT if about_the_recipient else Blame.MESSAGE
        if self.code is None or self.code < 400 or self.code == 421:
            return Blame.SERVER  # also for what is no answer to the question
        if self.code >= 500:
            return Blame.OPERATOR
        return Blame.RECIPIENT if self.stage == "RCPT" else Blame.SERVER

    @property
    def refuses_us_at_rcpt(self) -> bool:
        """Whether it says of the recipient no more than that we may not write to it."""
        return self.stage == "RCPT" and self.blames is Blame.OPERATOR

    def __str__(self) -> str:
        """As it is recorded: stage, code and what the server said, without what a database cannot hold."""
        said = self.text[:400]
        if not said.isprintable():
            said = "".join(character if character.isprintable() else " " for character in said)
        return f"{self.stage} {self.code or '-'} {said}"


class SmtpSession:
    """Used by one worker at a time."""

    def __init__(self, server: SmtpServer, names: Names = KNOWN) -> None:
        self._server = server
        self._names = names
        self._conversation: Conversation | None = None

    async def send(
        self, sender: str, recipient: str, message: OnTheWire, within: float = WHOLE_CONVERSATION
    ) -> SmtpAnswer:
        """Hand one mail to the server, in `within` seconds. Never raises for what a server or a network can do."""
        deadline = asyncio.get_running_loop().time() + within
        kept_open = self._conversation is not None
        answer = await self._attempt(sender, recipient, message, deadline)
        if kept_open and answer.code is None and answer.stage == "MAIL":
            # The server had closed the idle connection; nothing was handed over yet.
            answer = await self._attempt(sender, recipient, message, deadline)
        return answer

    async def probe(self) -> bool:
        """Whether the server can be reached and lets us in."""
        return (await self.greet()).verdict is Verdict.ACCEPTED

    async def greet(self) -> SmtpAnswer:
        """Connect, and log in where that is configured, without handing over a mail."""
        deadline = asyncio.get_running_loop().time() + WHOLE_CONVERSATION
        return await self._attempt("", None, None, deadline)

    async def rehearse(self, sender: str, recipient: str) -> SmtpAnswer:
        """Everything up to the server's acceptance of the recipient; no mail is handed over."""
        deadline = asyncio.get_running_loop().time() + WHOLE_CONVERSATION
        return await self._attempt(sender, recipient, None, deadline)

    async def close(self) -> None:
        """End the conversation politely, or at least end it."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            with contextlib.suppress(ConversationError, TimeoutError):
                async with asyncio.timeout(2):
                    conversation.ask(QUIT)
                    await conversation.reply()
            conversation.close()

    async def _attempt(
        self, sender: str, recipient: str | None, message: OnTheWire | None, deadline: float
    ) -> SmtpAnswer:
        stage = "CONNECT"
        try:
            async with asyncio.timeout_at(deadline):
                conversation = await self._connected()
                if recipient is None:
                    return SmtpAnswer(Verdict.ACCEPTED, stage, None, "")
                stage = "MAIL"
                from_ = path_of(sender)
                stage = "RCPT"
                to = path_of(recipient)
                said = None
                for group in commands(from_, to, message, together=conversation.pipelining):
                    stage = group[0].stage
                    conversation.ask(*[command.line for command in group])
                    for position, command in enumerate(group, start=1):
                        stage = command.stage
                        said = await conversation.reply()
                        if said.code not in command.expects:
                            await self._start_afresh(conversation, len(group) - position, deadline)
                            return SmtpAnswer(_verdict(stage, said.code, said.text), stage, *said)
                assert said is not None
                if message is None:
                    await self._start_afresh(conversation, 0, deadline)
                return SmtpAnswer(Verdict.ACCEPTED, stage, *said)
        except SMTPAuthenticationError as error:
            return SmtpAnswer(Verdict.DEFERRED, "AUTH", error.code, error.message)
        except SMTPResponseException as error:  # connecting
            return SmtpAnswer(Verdict.DEFERRED, stage, error.code, error.message)
        except UnicodeError as error:
            verdict = Verdict.REFUSED if stage == "RCPT" else Verdict.DEFERRED
            return SmtpAnswer(verdict, stage, None, type(error).__name__)
        except (ConversationError, SMTPException, OSError, TimeoutError, ValueError) as error:
            self._drop()
            _let_cancellation_through()
            return SmtpAnswer(Verdict.DEFERRED, stage, None, _kind_of(error))

    async def _connected(self) -> Conversation:
        if self._conversation is not None and self._conversation.is_open:
            return self._conversation
        starttls = {"required": True, "opportunistic": None, "off": False}[self._server.starttls]
        with contextlib.ExitStack() as otherwise:
            connection = await self._names.connect(self._server.host, self._server.port)
            otherwise.callback(connection.close)
            client = aiosmtplib.SMTP(
                hostname=self._server.host,  # by which its certificate is checked
                sock=connection,
                local_hostname=await self._names.me(connection),
                username=self._server.username,
                password=self._server.password,
                use_tls=self._server.tls,
                start_tls=False if self._server.tls else starttls,
                timeout=WHOLE_CONVERSATION,
            )
            otherwise.callback(client.close)
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await _introduce(client)
            otherwise.pop_all()
        self._conversation = Conversation.take_over(client)
        return self._conversation

    async def _start_afresh(self, conversation: Conversation, unanswered: int, deadline: float) -> None:
        """After a refusal the next mail follows on the same connection, if the server still talks to us."""
        try:
            async with asyncio.timeout_at(min(deadline, asyncio.get_running_loop().time() + 5)):
                await conversation.reset(unanswered)
        except (ConversationError, OSError, TimeoutError):
            self._drop()
            _let_cancellation_through()

    def _drop(self) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.close()


async def _introduce(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except SMTPHeloError:
        await client.helo()


def _kind_of(error: BaseException) -> str:
    """What went wrong, without the addresses that the libraries name."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.errno):
        cause = cause.__cause__ or cause.__context__
    name = type(error).__name__
    if isinstance(cause, socket.gaierror):
        return f"{name}: its name cannot be looked up"
    known = isinstance(cause, OSError) and cause.errno in errno.errorcode
    return f"{name}: {os.strerror(cause.errno)}" if known else name  # type: ignore[union-attr, arg-type]  # it is one


def _let_cancellation_through() -> None:
    """A cancelled command can end in SMTPServerDisconnected; a stop must not be taken for an outage."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _verdict(stage: str, code: int, text: str) -> Verdict:
    """5xx for the recipient or the message is final; for us as sender it is an operator's error, and tried again."""
    if not 500 <= code < 600 or stage not in {"RCPT", "DATA"}:
        return Verdict.DEFERRED
    about_us = stage == "RCPT" and _refuses_us(code, text)
    return Verdict.DEFERRED if about_us else Verdict.REFUSED


def _refuses_us(code: int, text: str) -> bool:
    """`550 5.7.1 relaying denied` is no word about the recipient, `550 5.1.1 unknown` is."""
    subject = _subject_of(text)
    return code in _ABOUT_US or code == 554 if subject is None else subject == "7"


def _subject_of(text: str) -> str | None:
    """The middle of an enhanced status code (RFC 3463): 1 and 2 speak of the recipient, 7 of permission."""
    found = _ENHANCED.match(text.strip())
    return found[1] if found else None
