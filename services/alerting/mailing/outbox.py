"""The mails that wait: claimed under a lease, worst first, and what became of them."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerting.changes import MAIL_COLUMNS, Mail, outbox_id
from services.alerting.core.effects import Notify, Purpose
from services.alerting.core.incident import Recipient
from services.alerting.core.policy import Rules
from services.alerting.database import TEXTS, driver_connection
from services.alerting.mailing.holder import LENGTH
from services.alerting.mailing.outcomes import Outcome
from services.alerting.store import from_json
from services.alerting.tables import mail_attempts, outbox

ATTEMPTS_KEPT: Final = 20
"""Failed attempts of which each answer is kept; of a longer row the count and the last answer are."""

_CLAIMED: Final = (
    "id", "lease", "recipient", "role", "name", "purpose", "cycle", "step", "repetition", "urgency", "created_at",
    "attempts", "crashes", "incident_id",
)  # fmt: skip
# A lease that ran out was held by a process that ended, or stood still, with the mail in hand. Who is dead is told from
# others that lived on for longer: after an outage of the database nobody has shown life for a while, and who comes back
# first is no witness.
_CLAIM: Final = f"""
    UPDATE outbox SET lease = ($1 || substr(gen_random_uuid()::text, {LENGTH + 1}))::uuid,
                      lease_until = clock_timestamp() + interval '60 seconds',
                      attempts = attempts + 1, crashes = crashes + CASE WHEN lease IS NULL THEN 0 ELSE 1 END
    FROM (
        SELECT id FROM outbox
        WHERE state = 'due' AND attempt_at <= clock_timestamp() AND id <> ALL($3::text[]::uuid[])
          AND (lease_until IS NULL OR lease_until < clock_timestamp()
               OR left(lease::text, {LENGTH}) = ANY(ARRAY(
                   SELECT holder FROM senders
                   WHERE holder <> $1 AND seen_at < interval '-5 seconds' + (
                       SELECT max(seen_at) FROM senders
                       WHERE seen_at - since >= interval '5 seconds' AND seen_at <= clock_timestamp()))))
        ORDER BY urgency, created_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED
    ) AS chosen JOIN incidents ON true
    WHERE outbox.id = chosen.id AND incidents.id = outbox.incident_id
    RETURNING {", ".join(f"outbox.{name}" for name in _CLAIMED)}, incidents.state
"""  # noqa: S608 – names and a number of ours

# Not waited for by the disk: what is forgotten is said again.
_LIVE = sa.text("""
    WITH gone AS (DELETE FROM senders WHERE seen_at < clock_timestamp() - interval '1 hour' AND holder <> :me)
    INSERT INTO senders (holder, seen_at, since)
    SELECT :me, clock_timestamp(), clock_timestamp() FROM set_config('synchronous_commit', 'off', true)
    ON CONFLICT (holder) DO UPDATE SET
        since = CASE WHEN senders.seen_at BETWEEN excluded.seen_at - interval '3 seconds' AND excluded.seen_at
                     THEN senders.since ELSE excluded.since END,
        seen_at = excluded.seen_at
""").bindparams(sa.bindparam("me", type_=sa.Text))


def recording(ids: str, leases: str, states: str, texts: str, vias: str, delays: str) -> str:
    """The statement that writes what became of mails, from how the arrays of `columns` are bound, as text[].

    It answers the ids and leases of those that were in our hands.
    """
    return f"""
        UPDATE outbox SET state = CASE WHEN told.state = 'due' AND outbox.state = 'recalled' THEN 'withdrawn'
                                       ELSE told.state END,
                          answer = told.text, via = told.via, crashes = 0,
                          lease = NULL, lease_until = NULL,
                          answered_at = CASE WHEN told.state <> 'due' THEN clock_timestamp() END,
                          attempt_at = clock_timestamp() + told.delay * interval '1 second'
        FROM unnest(CAST({ids} AS uuid[]), CAST({leases} AS uuid[]), {states}, {texts}, {vias},
                    CAST({delays} AS float8[])) AS told (id, lease, state, text, via, delay)
        WHERE outbox.id = told.id AND outbox.lease = told.lease AND outbox.state IN ('due', 'recalled')
        RETURNING told.id, told.lease
    """  # noqa: S608 – names of parameters


_RECORD = sa.text(recording(":ids", ":leases", ":states", ":texts", ":vias", ":delays")).bindparams(
    *(sa.bindparam(name, type_=TEXTS) for name in ("ids", "leases", "states", "texts", "vias", "delays"))
)

_RENEW = sa.text("""
    UPDATE outbox SET lease_until = clock_timestamp() + interval '60 seconds'
    WHERE id = :id AND lease = :lease AND state = 'due' RETURNING 1
""").bindparams(*(sa.bindparam(name, type_=sa.Uuid) for name in ("id", "lease")))

_GIVE_BACK = sa.text("""
    UPDATE outbox SET state = CASE WHEN outbox.state = 'recalled' THEN 'withdrawn' ELSE 'due' END,
                      lease = NULL, lease_until = NULL, attempts = attempts - 1,
                      attempt_at = clock_timestamp() + make_interval(secs => :pause)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:leases AS uuid[])) AS ours (id, lease)
    WHERE outbox.id = ours.id AND outbox.lease = ours.lease AND outbox.state IN ('due', 'recalled')
""").bindparams(*(sa.bindparam(name, type_=TEXTS) for name in ("ids", "leases")))


_HASTEN = sa.text("""
    UPDATE outbox SET attempt_at = clock_timestamp()
    WHERE state = 'due' AND lease IS NULL AND attempt_at > clock_timestamp() AND answer ~ '^(CONNECT|AUTH) '
""")
_UNANSWERED = sa.text("""
    UPDATE outbox SET state = 'withdrawn', lease = NULL, lease_until = NULL, answered_at = clock_timestamp(),
                      answer = 'CRASH - recalled from a process that ended; it may have been sent'
    WHERE state = 'recalled' AND lease_until < clock_timestamp() - interval '1 minute'
""")


class Leased(Protocol):
    """A mail in our hands."""

    @property
    def id(self) -> uuid.UUID:
        """Of its row."""

    @property
    def lease(self) -> uuid.UUID:
        """What shows that it is ours."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A leased mail of which this version does not know what it says; `error` is the kind of failure."""

    id: uuid.UUID
    lease: uuid.UUID
    incident_id: str
    purpose: str
    created_at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """`mails`: the worst first; `unread`: what is to be given back."""

    mails: Sequence[Mail] = ()
    unread: Sequence[Unread] = field(default=())

    @property
    def count(self) -> int:
        """Rows that were claimed."""
        return len(self.mails) + len(self.unread)


async def claim(database: AsyncEngine, me: str, limit: int, without: Collection[uuid.UUID] = ()) -> Claimed:
    """Take up to `limit` mails that are due and that nobody who lives is sending; `me` is a holder.

    Raises:
        sqlalchemy.exc.DBAPIError, asyncpg's errors, OSError: the database refuses or cannot be reached.
    """
    async with driver_connection(database) as connection:
        rows = await connection.fetch(_CLAIM, me, limit, [str(id_) for id_ in without])
    mails: list[Mail] = []
    unread: list[Unread] = []
    for row in rows:
        try:
            mails.append(_mail(*row))
        except Exception as error:  # noqa: BLE001 – whatever it is, the other mails of this claim are in our hands
            of_row = (row["id"], row["lease"], row["incident_id"], row["purpose"], row["created_at"])
            unread.append(Unread(*of_row, type(error).__name__))
    # RETURNING has no order of its own.
    mails.sort(key=lambda mail: (mail.notify.urgency, mail.created_at))
    return Claimed(mails, unread)


# The columns of `_CLAIMED`: a row that is taken apart at once costs a third of asking it name by name.
def _mail(
    id_: uuid.UUID, lease: uuid.UUID, recipient: str, role: str, name: str | None, purpose: str, cycle: int, step: int,
    repetition: int, urgency: int, created_at: datetime, attempts: int, crashes: int, _: str, state: str,
) -> Mail:  # fmt: skip
    notify = Notify(Recipient(recipient, role, name), Purpose(purpose), cycle, step, repetition, urgency)
    return Mail(id_, lease, from_json(state), notify, created_at, attempts, crashes)


async def show_life(tx: AsyncConnection, me: str) -> None:
    """Say that this holder lives; another one takes what it has in hand when it has not done so for five seconds."""
    await tx.execute(_LIVE, {"me": me})


async def renew(tx: AsyncConnection, mail: Mail) -> bool:
    """Hold the mail for another minute; False when it is no longer ours, or was withdrawn."""
    return await tx.scalar(_RENEW, {"id": mail.id, "lease": mail.lease}) is not None


async def give_back(tx: AsyncConnection, mails: Sequence[Leased], pause: float) -> None:
    """Let others take mails that were claimed and not tried, in `pause` seconds."""
    of = {"ids": [str(mail.id) for mail in mails], "leases": [str(mail.lease) for mail in mails]}
    await tx.execute(_GIVE_BACK, of | {"pause": pause})


async def hasten(tx: AsyncConnection) -> None:
    """A mail server lets us in again: what only waited for that is due now, the worst first."""
    await tx.execute(_HASTEN)


async def give_up_recalled(tx: AsyncConnection) -> None:
    """Of a mail that was recalled while a process had it in hand, and which ended then, nobody knows more than that."""
    await tx.execute(_UNANSWERED)


def columns(outcomes: Sequence[Outcome]) -> dict[str, list[str | None]]:
    """What became of mails, as `recording` takes it."""
    return {
        "ids": [str(outcome.mail.id) for outcome in outcomes],
        "leases": [str(outcome.mail.lease) for outcome in outcomes],
        "states": [outcome.state.value for outcome in outcomes],
        "texts": [outcome.text for outcome in outcomes],
        "vias": [outcome.via for outcome in outcomes],
        "delays": [str(outcome.delay) for outcome in outcomes],
    }


async def record(tx: AsyncConnection, outcomes: Sequence[Outcome]) -> set[int]:
    """Write what became of mails; returns the indexes of those whose lease was still ours."""
    rows = (await tx.execute(_RECORD, columns(outcomes))).all()
    # Of one mail there may be two: this process stood still, and claimed it again when it woke up.
    ours = {(row.id, row.lease) for row in rows}
    found = {index for index, one in enumerate(outcomes) if (one.mail.id, one.mail.lease) in ours}
    await _keep_attempts(tx, [outcomes[index] for index in sorted(found)])
    return found


async def _keep_attempts(tx: AsyncConnection, outcomes: Sequence[Outcome]) -> None:
    rows = [
        {"mail_id": outcome.mail.id, "attempt": outcome.mail.attempt, "via": one.via, "answer": str(one.answer)}
        for outcome in outcomes
        if outcome.mail.attempt <= ATTEMPTS_KEPT
        for one in outcome.failed
    ]
    if rows:
        await tx.execute(insert(mail_attempts).values(rows).on_conflict_do_nothing())


async def warn(tx: AsyncConnection, mails: Sequence[Mail], rules: Rules, now: datetime) -> int:
    """Have the emergency contacts told that alarm mails could not be sent: one plain mail each for a step.

    Returns:
        How many such mails are new.
    """
    rows: dict[Any, dict[str, Any]] = {}
    for mail in (one for one in mails if not one.incident.learning):  # nobody but the test address hears of these
        of = mail.notify
        for person in rules.emergency(mail.incident.site):
            notify = Notify(person, Purpose.UNSENDABLE, of.cycle, of.step, of.repetition, of.urgency)
            id_ = outbox_id(mail.incident.id, notify)
            values = (
                id_, mail.incident.id, of.cycle, of.step, of.repetition, person.email, person.role, person.name,
                notify.purpose.value, of.urgency, now, None,
            )  # fmt: skip
            rows[id_] = dict(zip(MAIL_COLUMNS, values, strict=True))
    if not rows:
        return 0
    statement = insert(outbox).values(list(rows.values())).on_conflict_do_nothing().returning(outbox.c.id)
    return len((await tx.execute(statement)).all())
