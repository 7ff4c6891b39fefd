"""The mails that wait: claimed under a lease, worst first, and what became of them."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting.changes import Mail
from services.alerting.core.effects import Answer, Notify, Purpose
from services.alerting.core.incident import Recipient
from services.alerting.store import from_json
from services.alerting.tables import outbox

_CLOCK = sa.func.clock_timestamp()

_CLAIM = sa.text("""
    UPDATE outbox SET lease = gen_random_uuid(), lease_until = clock_timestamp() + interval '60 seconds',
                      attempts = attempts + 1
    FROM (
        SELECT id FROM outbox
        WHERE state = 'due' AND attempt_at <= clock_timestamp()
          AND (lease_until IS NULL OR lease_until < clock_timestamp())
        ORDER BY urgency, created_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ) AS chosen JOIN incidents ON true
    WHERE outbox.id = chosen.id AND incidents.id = outbox.incident_id
    RETURNING outbox.*, incidents.state AS incident_state
""").columns(*outbox.c, sa.column("incident_state", sa.Text))


_RECORD = sa.text("""
    UPDATE outbox SET state = answered.state, answer = answered.text, answered_at = clock_timestamp(),
                      lease = NULL, lease_until = NULL
    FROM unnest(:ids, :leases, :states, :texts) AS answered (id, lease, state, text)
    WHERE outbox.id = answered.id AND outbox.lease = answered.lease AND outbox.state = 'due'
    RETURNING outbox.id
""").bindparams(
    *(sa.bindparam(name, type_=sa.ARRAY(sa.Uuid)) for name in ("ids", "leases")),
    *(sa.bindparam(name, type_=sa.ARRAY(sa.Text)) for name in ("states", "texts")),
)


async def claim(tx: AsyncConnection, limit: int) -> list[Mail]:
    """Take up to `limit` mails that are due and that nobody else is sending."""
    rows = (await tx.execute(_CLAIM, {"limit": limit})).all()
    mails = [
        Mail(
            id=row.id,
            lease=row.lease,
            incident=from_json(row.incident_state),
            notify=Notify(
                recipient=Recipient(row.recipient, row.role, row.name),
                purpose=Purpose(row.purpose),
                cycle=row.cycle,
                step=row.step,
                repetition=row.repetition,
                urgency=row.urgency,
            ),
            created_at=row.created_at,
            attempt=row.attempts,
        )
        for row in rows
    ]
    # RETURNING has no order of its own.
    return sorted(mails, key=lambda mail: (mail.notify.urgency, mail.created_at))


async def record(tx: AsyncConnection, answers: Sequence[tuple[Mail, Answer, str]]) -> set[int]:
    """Write final answers; returns the indexes of those whose lease was still ours."""
    rows = {
        "ids": [mail.id for mail, _, _ in answers],
        "leases": [mail.lease for mail, _, _ in answers],
        "states": [answer.value for _, answer, _ in answers],
        "texts": [text for _, _, text in answers],
    }
    ours = set((await tx.execute(_RECORD, rows)).scalars())
    return {index for index, (mail, _, _) in enumerate(answers) if mail.id in ours}


async def defer(tx: AsyncConnection, mail: Mail, seconds: float, text: str) -> None:
    """Try this mail again after a while."""
    again = _CLOCK + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    statement = (
        sa.update(outbox)
        .where(outbox.c.id == mail.id, outbox.c.lease == mail.lease, outbox.c.state == "due")
        .values(attempt_at=again, lease=None, lease_until=None, answer=text)
    )
    await tx.execute(statement)
