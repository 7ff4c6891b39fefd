"""Sends mails about devices: over a connection of its own, and only while no alarm mail is waiting."""

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr
from typing import Any, assert_never

import sqlalchemy as sa
import structlog
from pydantic import TypeAdapter
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting.core.devices import News
from services.alerting.core.incident import Recipient
from services.alerting.core.maintenance import Notice, Snapshot, compose
from services.alerting.database import in_transaction, patiently
from services.alerting.engine import Engine
from services.alerting.tables import notices
from services.alerting.upkeep import repeat
from services.common.outage import Outage
from services.common.smtp import SmtpServer
from services.common.smtp_session import SmtpAnswer, SmtpSession, Verdict

log = structlog.get_logger()

_CLOCK = sa.func.clock_timestamp()
_LOOK_EVERY = 1.0
_LONGEST_DELAY = 300.0
_SNAPSHOTS: TypeAdapter[tuple[Snapshot, ...]] = TypeAdapter(tuple[Snapshot, ...])

_CLAIM = sa.text("""
    UPDATE notices SET lease = gen_random_uuid(), lease_until = clock_timestamp() + interval '60 seconds',
                       attempts = attempts + 1
    WHERE id = (
        SELECT id FROM notices
        WHERE state = 'due' AND attempt_at <= clock_timestamp()
          AND (lease_until IS NULL OR lease_until < clock_timestamp())
          AND NOT EXISTS (SELECT 1 FROM outbox WHERE state = 'due' AND attempt_at <= clock_timestamp())
        ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING *
""").columns(*notices.c)


async def add(tx: AsyncConnection, notice: Notice, people: Iterable[Recipient], now: datetime) -> None:
    """One mail to each."""
    devices = json.dumps([asdict(device) for device in notice.devices], default=datetime.isoformat)
    about = {"site": notice.site, "news": notice.news.value, "devices": devices, "created_at": now}
    rows = [
        {"id": uuid.uuid4(), "recipient": person.email, "role": person.role, "name": person.name} | about
        for person in people
    ]
    await tx.execute(insert(notices).values(rows))


async def forget(tx: AsyncConnection, before: datetime) -> None:
    """Drop what was told long ago; what could not be sent in all that time is of no use any more."""
    await tx.execute(sa.delete(notices).where(notices.c.created_at < before))


class NoticeMailer:
    """`sender` is the From address. Any number of processes may run it."""

    def __init__(self, engine: Engine, server: SmtpServer, sender: str, database: Outage) -> None:
        self._engine = engine
        self._server = server
        self._sender = sender
        self._envelope_sender = parseaddr(sender)[1]
        self._domain = self._envelope_sender.rpartition("@")[2]
        self._database = database

    async def run(self) -> None:
        """Send for ever."""
        await repeat("notices", self._send_all, _LOOK_EVERY)

    async def _send_all(self) -> None:
        session = SmtpSession(self._server)
        try:
            # These mails are rare: between them no connection is held.
            while await self._send_next(session):
                pass
        finally:
            await session.close()

    async def _send_next(self, session: SmtpSession) -> bool:
        row = await patiently(self._database, self._claim)
        if row is None:
            return False
        try:
            message = self._build(row)
        except Exception:
            log.exception("mail.unwritable", mail_id=str(row.id), attempt=row.attempts)
            values: Mapping[str, Any] = {"answer": "COMPOSE", "attempt_at": _in(_LONGEST_DELAY)}
        else:
            started = time.perf_counter()
            answer = await session.send(self._envelope_sender, row.recipient, message)
            values = _outcome(row, answer, time.perf_counter() - started)
        await patiently(self._database, lambda: self._record(row, values))
        return True

    async def _claim(self) -> sa.Row[Any] | None:
        return await in_transaction(self._engine.database, _claim)

    async def _record(self, row: sa.Row[Any], values: Mapping[str, Any]) -> None:
        ours = sa.update(notices).where(notices.c.id == row.id, notices.c.lease == row.lease)

        async def write(tx: AsyncConnection) -> None:
            await tx.execute(ours.values({"lease": None, "lease_until": None, **values}))

        await in_transaction(self._engine.database, write)

    def _build(self, row: sa.Row[Any]) -> bytes:
        now = self._engine.clock()
        notice = Notice(row.site, News(row.news), _SNAPSHOTS.validate_json(row.devices))
        text = compose(notice, self._engine.rules(), now)
        mime = MIMEText(text.body, "plain", "utf-8")
        headers = {
            "Date": format_datetime(now),
            "From": self._sender,
            "To": formataddr((row.name or "", row.recipient)),
            "Subject": text.subject,
            "Message-ID": f"<{row.id}@{self._domain}>",
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            "X-Rufkette-Maintenance": row.news,
            "X-Rufkette-Attempt": str(row.attempts),
        }
        for name, value in headers.items():
            mime[name] = value
        return mime.as_bytes()


def _outcome(row: sa.Row[Any], answer: SmtpAnswer, took: float) -> Mapping[str, Any]:
    """Says what became of the mail; returns what is recorded of it."""
    about = {
        "mail_id": str(row.id),
        "purpose": f"device_{row.news}",
        "site": row.site,
        "role": row.role,
        "attempt": row.attempts,
        "stage": answer.stage,
        "code": answer.code,
        "duration_ms": round(took * 1000, 1),
    }
    text = f"{answer.stage} {answer.code or '-'} {answer.text}"[:500]
    match answer.verdict:
        case Verdict.ACCEPTED:
            log.info("mail.accepted", **about)
            return {"answer": text, "state": "accepted", "answered_at": _CLOCK}
        case Verdict.REFUSED:
            log.error("mail.refused", **about)
            return {"answer": text, "state": "refused", "answered_at": _CLOCK}
        case Verdict.DEFERRED:
            seconds = min(_LONGEST_DELAY, 2.0 ** min(row.attempts - 1, 10))
            log.warning("mail.deferred", **about, seconds=seconds)
            return {"answer": text, "attempt_at": _in(seconds)}
        case _:
            assert_never(answer.verdict)


def _in(seconds: float) -> sa.ColumnElement[datetime]:
    return _CLOCK + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)


async def _claim(tx: AsyncConnection) -> sa.Row[Any] | None:
    return (await tx.execute(_CLAIM)).one_or_none()
