"""Sends what is in the outbox: several connections kept open, urgent mails first, one recipient a mail."""

import asyncio
import random
import time
from collections.abc import Sequence
from email.utils import format_datetime, formataddr, parseaddr
from functools import partial
from uuid import NAMESPACE_URL, uuid5

import structlog

from services.alerting import outbox
from services.alerting.changes import Mail
from services.alerting.core.effects import Answer
from services.alerting.core.messages import Message, compose
from services.alerting.database import in_transaction, patiently
from services.alerting.desk.tokens import Tokens
from services.alerting.engine import Engine
from services.alerting.mime import build
from services.common.loops import run_together
from services.common.outage import Outage, wait_for
from services.common.smtp import SmtpServer
from services.common.smtp_session import WHOLE_CONVERSATION, SmtpAnswer, SmtpSession, Verdict

log = structlog.get_logger()

CONNECTIONS = 8
FIRST_ATTEMPT = 5.0
"""Seconds for the first attempt at a mail: shorter than its first lease (`store.BORN_LEASE`)."""
_COLLECT = 0.05
"""Seconds to let answers gather before they are recorded together."""
_LOOK_EVERY = 1.0
"""Seconds between looks at the outbox when nobody in this process says that there is a mail."""
_PROBE_EVERY = 2.0
_LONGEST_DELAY = 60.0
_FINISH_WITHIN = 5.0


class Mailer:
    """`public_url` is the desk as recipients reach it, `sender` the From address."""

    def __init__(
        self, engine: Engine, server: SmtpServer, sender: str, public_url: str, tokens: Tokens, database: Outage
    ) -> None:
        self.outage = Outage("mail_server")
        self._engine = engine
        self._server = server
        self._sender = sender
        self._envelope_sender = parseaddr(sender)[1]
        self._domain = self._envelope_sender.rpartition("@")[2]
        self._public_url = public_url
        self._tokens = tokens
        self._database = database
        self._work: asyncio.Queue[Mail] = asyncio.Queue()
        self._answers: asyncio.Queue[tuple[Mail, Answer, str]] = asyncio.Queue()
        self._sessions: list[SmtpSession] = []
        self._busy = 0
        self._unrecorded = 0
        self._stopping = False
        self._backlog = False
        engine.senders = self

    async def run(self) -> None:
        """Send for ever."""
        senders = {f"sender {number}": self._send_on for number in range(1, CONNECTIONS + 1)}
        try:
            await run_together({"claim": self._claim, "record": self._record, "probe": self._probe} | senders)
        finally:
            await asyncio.gather(*(session.close() for session in self._sessions))

    async def finish(self) -> None:
        """Claim nothing more; wait, for a few seconds at most, until what is being sent has its answer recorded.

        A mail left half-sent would be sent again only when its lease ends.
        """
        self._stopping = True
        deadline = time.monotonic() + _FINISH_WITHIN
        while (self._busy or self._unrecorded) and time.monotonic() < deadline:  # noqa: ASYNC110 - once, at the stop
            await asyncio.sleep(0.02)

    async def _claim(self) -> None:
        while True:
            free = 0 if self._stopping else CONNECTIONS - self._busy
            claimed = await patiently(self._database, partial(self._take, free)) if free > 0 else []
            self._busy += len(claimed)
            for mail in claimed:
                self._work.put_nowait(mail)
            # As many as asked for: there may be more, and the worst of them must not be overtaken.
            self._backlog = len(claimed) >= free
            if len(claimed) < max(free, 1):
                await wait_for(self._engine.signals.mail, _LOOK_EVERY)

    def reserve(self, wanted: int) -> int:
        """Connections for mails that are being decided; none while others wait, or the server is away."""
        if self._stopping or self._backlog or self.outage.down is not None:
            return 0
        reserved = min(wanted, CONNECTIONS - self._busy)
        self._busy += reserved
        return reserved

    def send(self, mails: Sequence[Mail], reserved: int) -> None:
        """Send at once what was leased to this process by the commit that decided it."""
        self._busy -= reserved - len(mails)
        for mail in mails:
            self._work.put_nowait(mail)

    async def _take(self, limit: int) -> list[Mail]:
        # A single statement needs no BEGIN and COMMIT of its own: two round trips less on the way of every alarm.
        async with self._engine.database.connect() as connection:
            single = await connection.execution_options(isolation_level="AUTOCOMMIT")
            return await outbox.claim(single, limit)

    async def _send_on(self) -> None:
        while True:
            mail = await self._work.get()
            # The connection used last is the one that is most likely still open.
            session = self._sessions.pop() if self._sessions else SmtpSession(self._server)
            try:
                await self._deliver(session, mail)
            finally:
                self._sessions.append(session)
                self._busy -= 1
                if self._backlog:
                    self._engine.signals.mail.set()

    async def _deliver(self, session: SmtpSession, mail: Mail) -> None:
        started = time.perf_counter()
        message = self._build_or_say(mail)
        if message is None:
            await patiently(self._database, partial(self._defer, mail, _delay(mail.attempt), "COMPOSE"))
            return
        within = FIRST_ATTEMPT if mail.attempt == 1 else WHOLE_CONVERSATION
        answer = await session.send(self._envelope_sender, mail.notify.recipient.email, message, within)
        self._heard(reached=answer.stage != "CONNECT")
        about = self._about(mail, answer, started)
        text = f"{answer.stage} {answer.code or '-'} {answer.text}"[:500]
        match answer.verdict:
            case Verdict.ACCEPTED:
                log.info("mail.accepted", **about)
                self._answered(mail, Answer.ACCEPTED, text)
            case Verdict.REFUSED:
                log.error("mail.refused", **about)
                self._answered(mail, Answer.REFUSED, text)
            case Verdict.DEFERRED:
                delay = _delay(mail.attempt)
                log.warning("mail.deferred", **about, seconds=round(delay, 1))
                await patiently(self._database, lambda: self._defer(mail, delay, text))

    async def _defer(self, mail: Mail, delay: float, text: str) -> None:
        await in_transaction(self._engine.database, lambda tx: outbox.defer(tx, mail, delay, text))

    async def _probe(self) -> None:
        """While the server is not known to be there, look: readiness must not wait for the first alarm."""
        while True:
            if self.outage.down is not None:
                session = SmtpSession(self._server)
                self._heard(reached=await session.probe())
                await session.close()
            await asyncio.sleep(_PROBE_EVERY)

    def _heard(self, *, reached: bool) -> None:
        if reached:
            self.outage.over()
        else:
            self.outage.noticed(ConnectionError())

    async def _record(self) -> None:
        """Record answers, all that have come in since the last commit in one."""
        while True:
            answers = [await self._answers.get()]
            if answers[0][1] is Answer.ACCEPTED:
                await asyncio.sleep(_COLLECT)  # a refusal may mean that the next step is due now
            while not self._answers.empty() and len(answers) < 100:
                answers.append(self._answers.get_nowait())
            await patiently(self._database, partial(self._write, answers))
            self._unrecorded -= len(answers)

    def _answered(self, mail: Mail, answer: Answer, text: str) -> None:
        self._unrecorded += 1
        self._answers.put_nowait((mail, answer, text))

    async def _write(self, answers: list[tuple[Mail, Answer, str]]) -> None:
        results = [mail.result(answer) for mail, answer, _ in answers]
        await self._engine.delivered(results, lambda tx: outbox.record(tx, answers))

    def _about(self, mail: Mail, answer: SmtpAnswer, started: float) -> dict[str, object]:
        return {
            "incident_id": mail.incident.id,
            "mail_id": str(mail.id),
            "purpose": mail.notify.purpose.value,
            "role": mail.notify.recipient.role,
            "step": mail.notify.step,
            "cycle": mail.notify.cycle,
            "repetition": mail.notify.repetition,
            "attempt": mail.attempt,
            "stage": answer.stage,
            "code": answer.code,
            "duration_ms": round((time.perf_counter() - started) * 1000, 1),
        }

    def _build_or_say(self, mail: Mail) -> bytes | None:
        """The message, or None when our own code cannot write it: one such mail must not hold back all others."""
        try:
            return self._build(mail)
        except Exception:
            log.exception("mail.unwritable", incident_id=mail.incident.id, mail_id=str(mail.id), attempt=mail.attempt)
            return None

    def _build(self, mail: Mail) -> bytes:
        now = self._engine.clock()
        token = self._tokens.issue(mail.incident.id, mail.notify.recipient.email, now)
        link = f"{self._public_url}/a/{token}"
        message = compose(mail.incident, mail.notify, self._engine.rules(), now=now, link=link)
        headers = {"Date": format_datetime(now)} | self._headers(mail, message)
        return build(headers, message.text, message.html, boundary=f"rufkette-{mail.id}")

    def _headers(self, mail: Mail, message: Message) -> dict[str, str]:
        recipient, incident = mail.notify.recipient, mail.incident
        thread = f"<{uuid5(NAMESPACE_URL, f'rufkette:incident:{incident.id}')}@{self._domain}>"
        notify = mail.notify
        level = "unknown" if incident.danger_level is None else str(incident.danger_level)
        headers = {
            "From": self._sender,
            "To": formataddr((recipient.name or "", recipient.email)),
            "Subject": message.subject,
            "Message-ID": f"<{mail.id}@{self._domain}>",
            "In-Reply-To": thread,
            "References": thread,
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            "X-Rufkette-Incident": incident.id,
            "X-Rufkette-Level": level,
            "X-Rufkette-Step": f"{notify.purpose.value}-{notify.cycle}-{notify.step}-{notify.repetition}",
            "X-Rufkette-Attempt": str(mail.attempt),
        }
        return headers | ({"Importance": "high"} if message.importance_high else {})


def _delay(attempt: int) -> float:
    """Seconds before the next attempt: 1, 2, 4 … 60, with jitter so that a recovering server is not stormed."""
    return min(_LONGEST_DELAY, 2.0 ** (attempt - 1)) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
