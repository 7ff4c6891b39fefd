"""Who was mailed what, when, with which answer: about incidents, devices, and what could not be processed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting.core.codes import ALPHABET, code_of
from services.alerting.core.policy import EMERGENCY_ROLE
from services.alerting.tables import incidents, mail_attempts, notices, outbox, troubles

CODE_LENGTH: Final = 4
_MOST_NAMESAKES: Final = 20
# The number that `code_of` writes in its alphabet.
_BY_CODE = sa.text("""
    SELECT id FROM incidents
    WHERE ('x' || encode(substr(sha256(convert_to(id, 'UTF8')), 1, 4), 'hex'))::bit(32)::bigint % :span = :number
    ORDER BY opened_at DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A server's answer that was not yes; `via`: normal or fallback."""

    number: int
    at: datetime
    via: str
    answer: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One mail. `state` as in the outbox; `answer` is the last one, and `attempts` counts those that it stands for.

    `mode`: actual or exercise, of its incident. Mails about devices have no incident; their `purpose` begins with
    `device_`. That of mails about what could not be processed begins with `trouble_`; of these is not kept when the
    answer came, nor from which server.
    """

    mail_id: str
    incident_id: str | None
    site: str | None
    purpose: str
    cycle: int | None
    step: int | None
    repetition: int | None
    recipient: str
    role: str
    created_at: datetime
    state: str
    attempts: int
    answered_at: datetime | None
    via: str | None
    answer: str | None
    mode: str | None
    failed: tuple[Attempt, ...] = field(default=())

    @property
    def code(self) -> str | None:
        """The incident's code, as its mails show it."""
        return code_of(self.incident_id) if self.incident_id else None


async def find_incidents(tx: AsyncConnection, name: str) -> tuple[str, ...]:
    """The incidents with this id or code; several may share a code, the newest is first."""
    if await tx.scalar(sa.select(incidents.c.id).where(incidents.c.id == name)):
        return (name,)
    code = name.strip().upper()
    if len(code) != CODE_LENGTH or not set(code) <= set(ALPHABET):
        return ()
    number = sum(ALPHABET.index(character) * len(ALPHABET) ** place for place, character in enumerate(code))
    wanted = {"span": len(ALPHABET) ** CODE_LENGTH, "number": number, "most": _MOST_NAMESAKES}
    return tuple((await tx.execute(_BY_CODE, wanted)).scalars())


async def deliveries(
    tx: AsyncConnection, *, incident_ids: Sequence[str] | None = None, since: datetime | None = None, limit: int
) -> tuple[list[Delivery], int]:
    """The newest `limit` mails, oldest first, and how many there are in all.

    Args:
        tx: a connection.
        incident_ids: only mails about these; None: about all of them, devices, and records that were set aside.
        since: only mails that were wanted, or answered, since then.
        limit: how many at most.
    """
    parts = [_of_incidents(incident_ids, since), _about_troubles(incident_ids, since)]
    if incident_ids is None:
        parts.append(_about_devices(since))
    found = sa.union_all(*parts).subquery()
    total = await tx.scalar(sa.select(sa.func.count()).select_from(found))
    order = (found.c.created_at.desc(), found.c.answered_at.desc().nulls_first(), found.c.mail_id)
    newest = sa.select(found).order_by(*order).limit(limit)
    rows = (await tx.execute(newest)).all()
    failed = await _attempts(tx, [row.mail_id for row in rows])
    return [_delivery(row, failed) for row in reversed(rows)], int(total or 0)


def _of_incidents(incident_ids: Sequence[str] | None, since: datetime | None) -> sa.Select[Any]:
    o = outbox.c
    query = sa.select(
        o.id.label("mail_id"), o.incident_id, incidents.c.site, o.purpose, o.cycle, o.step, o.repetition, o.recipient,
        o.role, o.created_at, o.state, o.attempts, o.answered_at, o.via, o.answer,
        incidents.c.mode,
    ).select_from(outbox.outerjoin(incidents, incidents.c.id == o.incident_id))  # fmt: skip
    if incident_ids is not None:
        query = query.where(o.incident_id.in_(list(incident_ids)))
    return query if since is None else query.where(sa.or_(o.created_at >= since, o.answered_at >= since))


def _about_devices(since: datetime | None) -> sa.Select[Any]:
    n, none, text = notices.c, sa.cast(sa.null(), sa.Integer), sa.cast(sa.null(), sa.Text)
    query = sa.select(
        n.id.label("mail_id"), text, n.site, sa.literal("device_") + n.news, none, none, none,
        n.recipient, n.role, n.created_at, n.state, n.attempts, n.answered_at, n.via, n.answer,
        text.label("mode"),
    )  # fmt: skip
    return query if since is None else query.where(sa.or_(n.created_at >= since, n.answered_at >= since))


def _about_troubles(incident_ids: Sequence[str] | None, since: datetime | None) -> sa.Select[Any]:
    t, none, text = troubles.c, sa.cast(sa.null(), sa.Integer), sa.cast(sa.null(), sa.Text)
    incident_id = t.about["incident_id"].astext
    deadline = t.about["minutes"].astext != "0"
    kind = sa.case((incident_id.is_(None), "trouble_record"), (deadline, "trouble_deadline"), else_="trouble_mail")
    query = sa.select(
        t.id.label("mail_id"), incident_id, t.about["site"].astext, kind, none, none, none,
        t.recipient, sa.literal(EMERGENCY_ROLE), t.created_at, t.state, t.attempts,
        sa.cast(sa.null(), t.created_at.type), text, t.answer, text.label("mode"),
    )  # fmt: skip
    if incident_ids is not None:
        query = query.where(incident_id.in_(list(incident_ids)))
    return query if since is None else query.where(t.created_at >= since)


async def _attempts(tx: AsyncConnection, mail_ids: Sequence[object]) -> dict[object, list[Attempt]]:
    a = mail_attempts.c
    # One array: a list of parameters could be longer than PostgreSQL takes.
    wanted = sa.bindparam("mails", list(mail_ids), type_=sa.ARRAY(sa.Uuid))
    query = sa.select(mail_attempts).where(a.mail_id == sa.func.any(wanted)).order_by(a.attempt, a.at)
    found: dict[object, list[Attempt]] = {}
    for row in await tx.execute(query):
        found.setdefault(row.mail_id, []).append(Attempt(row.attempt, row.at, row.via, row.answer))
    return found


def _delivery(row: sa.Row[Any], failed: dict[object, list[Attempt]]) -> Delivery:
    values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - the documented way to a row by names
    return Delivery(**values | {"mail_id": str(row.mail_id), "failed": tuple(failed.get(row.mail_id, ()))})
