"""Tells the emergency contacts what the alarm chain could not process. No content: where it is, and what to do now."""

import json
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.ids import named_id
from services.alerting.core.policy import Rules
from services.alerting.database import in_transaction, patiently
from services.alerting.engine import Engine
from services.alerting.mailing.outcomes import delay_after
from services.alerting.mailing.trouble_words import WORDS
from services.alerting.tables import listed, troubles
from services.alerting.upkeep.repeating import repeat
from services.common.mail.route import MailRoute
from services.common.mail.session import Verdict
from services.common.mail.wire import as_data
from services.common.outage import Outage

log = structlog.get_logger()

UNREADABLE: Final = "no process can read it"
UNDECIDED: Final = "what its answer means could not be decided"
_LOOK_EVERY: Final = 1.0
_CLAIM = sa.text(f"""
    UPDATE troubles SET lease = gen_random_uuid(), attempts = attempts + 1,
                        attempt_at = clock_timestamp() + interval '60 seconds'
    WHERE id = (
        SELECT id FROM troubles WHERE state = 'due' AND attempt_at <= clock_timestamp()
        ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING {listed(troubles.c)}
""").columns(*troubles.c)  # noqa: S608 – names of ours
_RECORD = sa.text("""
    UPDATE troubles SET state = :state, answer = :answer, lease = NULL,
                        attempt_at = clock_timestamp() + make_interval(secs => :pause)
    WHERE id = :id AND lease = :lease
""").bindparams(*(sa.bindparam(name, type_=sa.Uuid) for name in ("id", "lease")))


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was set aside: a record (`topic`, `partition`, `offset`), an incident's due time, or (no `minutes`) a mail.

    No field more: an older version that runs beside this one reads it, too.
    """

    site: str | None
    reason: str
    topic: str = ""
    partition: int = 0
    offset: int = 0
    incident_id: str | None = None
    code: str | None = None
    attempts: int = 0
    minutes: int = 0

    @property
    def kind(self) -> str:
        """Of what was set aside: record, deadline or mail."""
        if self.incident_id is None:
            return "record"
        return "deadline" if self.minutes else "mail"

    def mail_id(self, recipient: str, now: datetime) -> uuid.UUID:
        """One mail to a person for all records of a site within a minute: a flood of them says no more than one."""
        what = (self.incident_id, self.attempts) if self.incident_id else (self.site, now.strftime("%Y-%m-%d %H:%M"))
        return uuid.UUID(named_id(uuid.NAMESPACE_OID, json.dumps((*what, recipient))))


async def tell(tx: AsyncConnection, trouble: Trouble, rules: Rules, now: datetime) -> None:
    """One mail to each emergency contact of the site, else of the organisation; again is the same mail."""
    about = json.dumps(asdict(trouble))
    rows = [
        {"id": trouble.mail_id(person.email, now), "recipient": person.email, "about": about, "created_at": now}
        for person in rules.emergency(trouble.site)
    ]
    await tx.execute(insert(troubles).values(rows).on_conflict_do_nothing())


async def forget(tx: AsyncConnection, before: datetime) -> None:
    """Drop what was told long ago."""
    await tx.execute(sa.delete(troubles).where(troubles.c.created_at < before))


class TroubleMailer:
    """`sender` is the From address. Any number of processes may run it."""

    def __init__(self, engine: Engine, route: MailRoute, sender: str, database: Outage) -> None:
        self._engine = engine
        self._route = route
        self._sender = sender
        self._envelope_sender = parseaddr(sender)[1]
        self._database = database

    async def run(self) -> None:
        """Send for ever."""
        await repeat("troubles", self._send_all, _LOOK_EVERY)

    async def _send_all(self) -> None:
        while await self._send_next():
            pass

    async def _send_next(self) -> bool:
        row = await patiently(self._database, lambda: in_transaction(self._engine.database, _claim))
        if row is None:
            return False
        tries = await self._route.send(self._envelope_sender, row.recipient, as_data(self._build(row)))
        answer = tries[-1].answer
        if answer.verdict is Verdict.ACCEPTED:
            log.info("trouble.told", mail_id=str(row.id), attempt=row.attempts)
        else:
            log.error("trouble.untold", mail_id=str(row.id), attempt=row.attempts, stage=answer.stage, code=answer.code)
        values = {
            "id": row.id,
            "lease": row.lease,
            "state": "accepted" if answer.verdict is Verdict.ACCEPTED else "due",
            "answer": str(answer),
            "pause": _pause(answer.verdict, row.attempts),
        }

        async def write(tx: AsyncConnection) -> None:
            await tx.execute(_RECORD, values)

        await patiently(self._database, lambda: in_transaction(self._engine.database, write))
        return True

    def _build(self, row: sa.Row[Any]) -> bytes:
        trouble = Trouble(**json.loads(row.about))
        subject, text = written(trouble, self._engine.rules())
        mime = MIMEText(text, "plain", "utf-8")
        headers = {
            "Date": format_datetime(self._engine.clock()),
            "From": self._sender,
            "To": formataddr(("", row.recipient)),
            "Subject": subject,
            "Message-ID": f"<{row.id}@{self._envelope_sender.rpartition('@')[2]}>",
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            "Importance": "high",
            "X-Rufkette-Trouble": trouble.kind,
            "X-Rufkette-Attempt": str(row.attempts),
        }
        for name, value in headers.items():
            mime[name] = value
        return mime.as_bytes()


def _pause(verdict: Verdict, attempts: int) -> float:
    """Seconds until it is tried again, also when refused: a press may be behind it, and nobody else hears of it."""
    return min(3600.0, 60.0 * attempts) if verdict is Verdict.REFUSED else delay_after(attempts)


def written(trouble: Trouble, rules: Rules) -> tuple[str, str]:
    """Subject and plain text, in the language of the site."""
    words = WORDS[rules.language(trouble.site)]
    site = rules.site(trouble.site)
    place = (site.short or site.name) if site else words.site_unknown
    values = asdict(trouble) | {"place": place, "code": trouble.code or trouble.incident_id}
    match trouble.kind:
        case "record":
            subject, text = words.record_subject, words.record_text
        case "deadline":
            subject, text = words.deadline_subject, words.deadline_text
        case _:
            subject, text = words.mail_subject, words.mail_text
    return subject.format(**values), text.format(**values)


async def _claim(tx: AsyncConnection) -> sa.Row[Any] | None:
    return (await tx.execute(_CLAIM)).one_or_none()
