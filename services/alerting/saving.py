"""What one transaction decided, as rows."""

import uuid
from collections.abc import Iterable
from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting.bulk import Insert, as_json, statement
from services.alerting.changes import MAIL_COLUMNS, Changes
from services.alerting.core.effects import Purpose
from services.alerting.core.incident import Incident
from services.alerting.store import to_json
from services.alerting.tables import device_signs, incidents, inputs, outbox, relay

BORN_LEASE = "6 seconds"
"""How long a mail is left to the process that decided it; longer than its first attempt may take."""
_STATE = (
    "merge_keys", "status", "urgency", "due_at", "opened_at", "closed_at", "joined_into", "joined_at", "revision",
    "state",
)  # fmt: skip
_FIXED = ("id", "site", "mode", "imported")
INSERTS = (
    Insert(incidents, _FIXED + _STATE, f"(id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in _STATE)}"),
    Insert(inputs, ("incident_id", "revision", "at", "reason", "by", "body", "plans")),
    Insert(
        outbox,
        MAIL_COLUMNS,
        "DO NOTHING",
        computed=(
            ("attempts", "CASE WHEN r.lease IS NULL THEN 0 ELSE 1 END"),
            (
                "lease_until",
                f"CASE WHEN r.lease IS NULL THEN NULL ELSE clock_timestamp() + interval '{BORN_LEASE}' END",
            ),
        ),
        returning="id",
    ),
    Insert(relay, ("topic", "key", "value", "headers")),
    Insert(device_signs, ("device_id", "at", "battery")),
)
_SAVE = sa.text(statement(INSERTS, ":{}".format)).bindparams(
    *(sa.bindparam(insert.table.name, type_=sa.Text) for insert in INSERTS)
)


async def save(tx: AsyncConnection, changes: Changes) -> set[uuid.UUID]:
    """Write everything gathered; mails that exist already are the same decision, made before.

    Returns:
        The ids of the mails that are new.
    """
    if changes.withdrawn:
        await _withdraw(tx, changes.withdrawn)
    if changes.changed or changes.relayed or changes.signs:
        return set(map(uuid.UUID, (await tx.execute(_SAVE, rows_of(changes))).scalar_one()))
    return set()


def rows_of(changes: Changes) -> dict[str, str]:
    """Everything gathered but what is withdrawn, as JSON by the names of `INSERTS`' tables."""
    return {
        "incidents": as_json([to_row(incident) for incident in sorted(changes.changed.values(), key=lambda i: i.id)]),
        "inputs": as_json(changes.timeline),
        "outbox": as_json(list(changes.mails.values())),
        "relay": as_json(changes.relayed),
        "device_signs": as_json([asdict(sign) for sign in changes.signs]),
    }


def to_row(incident: Incident) -> dict[str, object]:
    """The row of `incidents`."""
    return {
        "id": incident.id,
        "site": incident.site,
        "merge_keys": list(incident.keys),
        "mode": "learning" if incident.learning else incident.mode.value,
        "status": incident.status.value,
        "urgency": incident.urgency,
        "due_at": incident.due_at,
        "opened_at": incident.opened_at,
        "closed_at": incident.ended_at,
        "joined_into": incident.joined.into.id if incident.joined else None,
        "joined_at": incident.joined.at if incident.joined else None,
        "revision": incident.revision,
        "imported": incident.imported,
        "state": to_json(incident),
    }


async def _withdraw(tx: AsyncConnection, incident_ids: Iterable[str]) -> None:
    """A mail that a mailer has in hand may still arrive, so it is recalled: the attempt at it is the last one."""
    unclaimed = sa.or_(outbox.c.lease_until.is_(None), outbox.c.lease_until < sa.func.clock_timestamp())
    statement = (
        sa.update(outbox)
        .where(outbox.c.incident_id.in_(list(incident_ids)), outbox.c.purpose == Purpose.ALARM.value)
        .where(outbox.c.state == "due")
        .values(state=sa.case((unclaimed, "withdrawn"), else_="recalled"))
    )
    await tx.execute(statement)
