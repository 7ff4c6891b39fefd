"""One mail server with its kept-open conversations, and what its answers taught us about it."""

import asyncio
import time
from collections.abc import Callable
from functools import cache
from typing import Final, Literal

import structlog
from prometheus_client import Counter, Gauge

from services.common.mail.session import NOT_LET_IN, Blame, SmtpAnswer, SmtpSession, Verdict
from services.common.mail.smtp import SmtpServer
from services.common.mail.wire import OnTheWire
from services.common.outage import Outage

log = structlog.get_logger()

Via = Literal["normal", "fallback"]
ALL_REFUSED: Final = 3
"""So many different recipients refused in a row: then it is not about them."""
NOT_TAKEN: Final = 5
"""So many mails in a row were not taken: then hardly one is."""
_TRUSTED_FOR: Final = 600.0
"""Seconds for which a server that took a mail is believed to take mails from us."""
_PROBE_EVERY: Final = 2.0
_PROBE_A_LOCKED_DOOR: Final = 30.0
"""A wrong password tried every two seconds would lock the account."""
_PROBE_IN_PEACE: Final = 60.0
_ATTEMPTS: Final = Counter(
    "rufkette_mail_attempts_total",
    "Attempts to hand a mail to a server, by server and outcome.",
    ("via", "outcome"),
)
_REACHABLE: Final = Gauge("rufkette_mail_server_reachable", "1 while this mail server lets us in, else 0.", ("via",))


@cache
def _counted(via: Via, verdict: Verdict) -> Counter:
    """Looked up once: finding a counter by its labels takes longer than counting."""
    return _ATTEMPTS.labels(via, verdict.value)


class Lane:
    """Any number of mails at once, each over a conversation of its own."""

    def __init__(self, via: Via, server: SmtpServer, recovered: Callable[[], None] | None = None) -> None:
        self.via: Via = via
        self.outage = Outage("mail_server" if via == "normal" else "mail_fallback", recovered)
        self._server = server
        self._reachable = _REACHABLE.labels(via)
        self.connections = server.connections
        """Over so many at most mails go at once; to look at the server takes one more."""
        self._slots = asyncio.Semaphore(server.connections)
        self._idle: list[SmtpSession] = []
        self._refused: set[str] = set()
        self._took_at: float | None = None
        self._heard_at = 0.0
        self._locked = False
        self._not_taken = 0
        """Mails in a row that it did not take, for whatever reason."""
        self._answered = ""

    async def send(self, sender: str, recipient: str, message: OnTheWire, within: float) -> SmtpAnswer:
        """Hand one mail over, in `within` seconds. Never raises for what a server or a network can do."""
        began_at = time.monotonic()
        if not await self._slot(within):
            return SmtpAnswer(Verdict.DEFERRED, "CONNECT", None, "all connections to it are busy")
        # The connection used last is the one that is most likely still open.
        session = self._idle.pop() if self._idle else SmtpSession(self._server)
        try:
            answer = await session.send(sender, recipient, message, within - (time.monotonic() - began_at))
        finally:
            self._idle.append(session)
            self._slots.release()
        self._learn(answer)
        self._count(answer)
        if answer.verdict is Verdict.ACCEPTED:
            self._took_at = time.monotonic()
            self._refused.clear()
        elif answer.refuses_us_at_rcpt or (answer.blames is Blame.RECIPIENT and answer.verdict is Verdict.REFUSED):
            self._refused.add(recipient)
        _counted(self.via, answer.verdict).inc()
        return answer

    async def _slot(self, within: float) -> bool:
        """Whether there is one for this mail, in time."""
        if not self._slots.locked():
            return await self._slots.acquire()  # at once
        try:
            async with asyncio.timeout(within):
                return await self._slots.acquire()
        except TimeoutError:
            return False

    @property
    def takes_mails(self) -> bool:
        """Whether mails go out, as far as this process knows."""
        return self.outage.down is None and self._not_taken < NOT_TAKEN

    @property
    def trouble(self) -> str | None:
        """A sentence for `/readyz` where it lets us in, and then takes nothing."""
        if self._not_taken < NOT_TAKEN:
            return None
        return f"the last {self._not_taken} mails were not taken, whoever they were for ({self._answered})"

    @property
    def refuses_all(self) -> bool:
        """Whether the last recipients, several, were all refused: more likely an operator's error than theirs."""
        return len(self._refused) >= ALL_REFUSED

    @property
    def took_lately(self) -> bool:
        """Whether it took a mail from us within the last minutes."""
        return self._took_at is not None and time.monotonic() - self._took_at < _TRUSTED_FOR

    def due_for_probe(self, *, in_doubt: bool) -> bool:
        """Whether to look at it now: often while it is away or `in_doubt`, else once in a while."""
        doubtful = in_doubt or self.outage.down is not None
        every = (_PROBE_A_LOCKED_DOOR if self._locked else _PROBE_EVERY) if doubtful else _PROBE_IN_PEACE
        return not self._heard_at or time.monotonic() - self._heard_at >= every

    async def greet(self) -> SmtpAnswer:
        """Look whether it lets us in."""
        session = SmtpSession(self._server)
        try:
            answer = await session.greet()
        finally:
            await session.close()
        self._learn(answer)
        return answer

    async def rehearse(self, sender: str, recipient: str) -> SmtpAnswer:
        """Whether it would take a mail for this recipient."""
        session = SmtpSession(self._server)
        try:
            answer = await session.rehearse(sender, recipient)
        finally:
            await session.close()
        self._learn(answer)
        return answer

    async def close(self) -> None:
        """End the conversations that wait."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.close() for session in idle))

    def _count(self, answer: SmtpAnswer) -> None:
        """Somebody has to hear of it when a server lets us in and then takes nothing."""
        if answer.verdict is Verdict.ACCEPTED:
            if self._not_taken >= NOT_TAKEN:
                log.info("mails.taken_again", via=self.via)
            self._not_taken = 0
        elif answer.stage not in NOT_LET_IN:
            self._not_taken += 1
            self._answered = f"{answer.stage} {answer.code or '-'}"
            if self._not_taken == NOT_TAKEN:
                log.error("mails.not_taken", via=self.via, stage=answer.stage, code=answer.code)

    def _learn(self, answer: SmtpAnswer) -> None:
        self._heard_at = time.monotonic()
        self._locked = answer.blames is Blame.OPERATOR
        away = answer.verdict is not Verdict.ACCEPTED and answer.stage in NOT_LET_IN
        if away or self.outage.down is not None:  # else it is known
            self._reachable.set(not away)
        if away:
            # Without a code the text is ours; with one it is the server's, and may name people.
            self.outage.noticed(f"{answer.stage} {answer.text if answer.code is None else answer.code}")
        else:
            self.outage.over()
