"""One SMTP conversation kept open over many mails, and what each answer means for the mail."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

import aiosmtplib
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPResponseException,
)

from services.common.smtp import SmtpServer

WHOLE_CONVERSATION = 20.0
"""Seconds for one mail, whatever the server does."""


class Verdict(StrEnum):
    """What a mail server's answer means. `deferred`: try again; `refused`: never again for this recipient."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class SmtpAnswer:
    """`code` is None when there was no answer; `stage` is where the conversation ended; `text` may hold addresses."""

    verdict: Verdict
    stage: str
    code: int | None
    text: str


class SmtpSession:
    """Used by one worker at a time."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._client: aiosmtplib.SMTP | None = None

    async def send(self, sender: str, recipient: str, message: bytes, within: float = WHOLE_CONVERSATION) -> SmtpAnswer:
        """Hand one mail to the server, in `within` seconds. Never raises for what a server or a network can do."""
        deadline = asyncio.get_running_loop().time() + within
        kept_open = self._client is not None
        answer = await self._attempt(sender, recipient, message, deadline)
        if kept_open and answer.code is None and answer.stage == "MAIL":
            # The server had closed the idle connection; nothing was handed over yet.
            answer = await self._attempt(sender, recipient, message, deadline)
        return answer

    async def probe(self) -> bool:
        """Whether the server can be reached at all."""
        try:
            async with asyncio.timeout(WHOLE_CONVERSATION):
                await self._connected()
        except (SMTPException, OSError, TimeoutError):
            self._drop()
            return False
        return True

    async def close(self) -> None:
        """End the conversation politely, or at least end it."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            async with asyncio.timeout(2):
                await client.quit()
        except (SMTPException, OSError, TimeoutError):
            client.close()

    async def _attempt(self, sender: str, recipient: str, message: bytes, deadline: float) -> SmtpAnswer:
        stage = "CONNECT"
        try:
            async with asyncio.timeout_at(deadline):
                client = await self._connected()
                stage = "MAIL"
                await client.mail(sender)
                stage = "RCPT"
                await client.rcpt(recipient)
                stage = "DATA"
                answer = await client.data(message)
                return SmtpAnswer(Verdict.ACCEPTED, stage, answer.code, answer.message)
        except SMTPAuthenticationError as error:
            self._drop()
            return SmtpAnswer(Verdict.DEFERRED, "AUTH", error.code, error.message)
        except SMTPConnectError as error:
            self._drop()
            return SmtpAnswer(Verdict.DEFERRED, stage, None, str(error))
        except SMTPResponseException as error:
            await self._reset()
            return SmtpAnswer(_verdict(stage, error.code), stage, error.code, error.message)
        except (SMTPException, OSError, TimeoutError) as error:
            self._drop()
            _let_cancellation_through()
            return SmtpAnswer(Verdict.DEFERRED, stage, None, type(error).__name__)

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client is not None and self._client.is_connected:
            return self._client
        starttls = {"required": True, "opportunistic": None, "off": False}[self._server.starttls]
        client = aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            username=self._server.username,
            password=self._server.password,
            use_tls=self._server.tls,
            start_tls=False if self._server.tls else starttls,
            timeout=WHOLE_CONVERSATION,
        )
        await client.connect()
        self._client = client
        return client

    async def _reset(self) -> None:
        """After a refusal the next mail starts afresh on the same connection, if the server still talks to us."""
        if self._client is None:
            return
        try:
            async with asyncio.timeout(5):
                await self._client.rset()
        except (SMTPException, OSError, TimeoutError):
            self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _let_cancellation_through() -> None:
    """A cancelled command can end in SMTPServerDisconnected; a stop must not be taken for an outage."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _verdict(stage: str, code: int) -> Verdict:
    """5xx for the recipient or the message is final; for us as sender it is an operator's error, and tried again."""
    final = 500 <= code < 600 and stage in {"RCPT", "DATA"}
    return Verdict.REFUSED if final else Verdict.DEFERRED
