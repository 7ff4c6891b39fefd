"""Sends mails about devices: one at a time, and only while no alarm mail is waiting."""

import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr
from typing import Any

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
from services.alerting.mailing.outcomes import MOST_FAULTS, State, delay_after, weigh
from services.alerting.tables import listed, notices
from services.alerting.upkeep.repeating import repeat
from services.common.mail.route import MailRoute, Try
from services.common.mail.wire import as_data
from services.common.outage import Outage

log = structlog.get_logger()

_CLOCK = sa.func.clock_timestamp()
_LOOK_EVERY = 1.0
_LONGEST_DELAY = 300.0
EXPIRES = timedelta(days=7)
"""Older news of a device is of no use: if it still holds, the board and `/devices` say so."""
_SNAPSHOTS: TypeAdapter[tuple[Snapshot, ...]] = TypeAdapter(tuple[Snapshot, ...])

_CLAIM = sa.text(f"""
    UPDATE notices SET lease = gen_random_uuid(), lease_until = clock_timestamp() + interval '60 seconds',
                       attempts = attempts + 1
    WHERE id = (
        SELECT id FROM notices
        WHERE state = 'due' AND attempt_at <= clock_timestamp()
          AND (lease_until IS NULL OR lease_until < clock_timestamp())
          AND NOT EXISTS (SELECT 1 FROM outbox WHERE state = 'due' AND attempt_at <= clock_timestamp())
        ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING {listed(notices.c)}
""").columns(*notices.c)  # noqa: S608 – names of ours


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

    def __init__(self, engine: Engine, route: MailRoute, sender: str, database: Outage) -> None:
        self._engine = engine
        self._route = route
        self._sender = sender
        self._envelope_sender = parseaddr(sender)[1]
        self._domain = self._envelope_sender.rpartition("@")[2]
        self._database = database

    async def run(self) -> None:
        """Send for ever."""
        await repeat("notices", self._send_all, _LOOK_EVERY)

    async def _send_all(self) -> None:
        while await self._send_next():
            pass

    async def _send_next(self) -> bool:
        row = await patiently(self._database, self._claim)
        if row is None:
            return False
        values = await self._attempt(row)
        await patiently(self._database, lambda: self._record(row, values))
        return True

    async def _attempt(self, row: sa.Row[Any]) -> Mapping[str, Any]:
        if self._engine.clock() - row.created_at > EXPIRES:
            log.info("mail.expired", mail_id=str(row.id), purpose=f"device_{row.news}", attempt=row.attempts)
            return {"answer": "EXPIRED - too old to be of use", "state": State.EXPIRED.value, "answered_at": _CLOCK}
        started = time.perf_counter()
        try:
            message = as_data(self._build(row))
            tries = await self._route.send(self._envelope_sender, row.recipient, message)
        except Exception as error:
            log.exception("mail.unwritable", mail_id=str(row.id), attempt=row.attempts)
            if row.attempts >= MOST_FAULTS:
                return {
                    "answer": f"BUG - {type(error).__name__}",
                    "state": State.SET_ASIDE.value,
                    "answered_at": _CLOCK,
                }
            return {"answer": f"BUG - {type(error).__name__}", "attempt_at": _in(delay_after(row.attempts))}
        return _outcome(row, tries, time.perf_counter() - started)

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


def _outcome(row: sa.Row[Any], tries: Sequence[Try], took: float) -> Mapping[str, Any]:
    """Says what became of the mail; returns what is recorded of it."""
    # Without a count of faults of its own: after so many attempts a mail that one server finds faulty is given up.
    state, by = weigh(tries, row.attempts - 1)
    about = {
        "mail_id": str(row.id),
        "purpose": f"device_{row.news}",
        "site": row.site,
        "role": row.role,
        "attempt": row.attempts,
        "via": by.via,
        "stage": by.answer.stage,
        "code": by.answer.code,
        "duration_ms": round(took * 1000, 1),
    }
    recorded = {"answer": str(by.answer), "via": by.via}
    if state is State.DUE:
        seconds = delay_after(row.attempts, _LONGEST_DELAY)
        log.warning("mail.deferred", **about, seconds=round(seconds, 1))
        return recorded | {"attempt_at": _in(seconds)}
    if state is State.ACCEPTED:
        log.info("mail.accepted", **about)
    elif state is State.REFUSED:
        log.error("mail.refused", **about)
    else:
        log.error("mail.set_aside", **about)
    return recorded | {"state": state.value, "answered_at": _CLOCK}


def _in(seconds: float) -> sa.ColumnElement[datetime]:
    return _CLOCK + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)


async def _claim(tx: AsyncConnection) -> sa.Row[Any] | None:
    return (await tx.execute(_CLAIM)).one_or_none()
