"""Records and due times that may have crashed the process: each attempt is counted before it is made.

Nothing is written while all goes well. Only after a process died without a goodbye is what it may have died of
suspected: due times are taken one by one, records once more together and then one by one, so that a crash can be told
from bad luck. What was tried three times and ended the process each time is set aside.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting.database import LIGHTLY
from services.alerting.reading.leases import Position
from services.common.loops import beat

CRASHES: Final = 3
"""Counted attempts that never ended, after which something is set aside."""
TOGETHER: Final = 1
"""The attempt at the first suspected record at which all of them are tried with it."""
FIRST_PAUSE_MINUTES: Final = 5
"""Until a due time that was set aside is tried again; doubled each time, an hour at most."""

_LOOK_EVERY: Final = 1.0


class _OneAtATime:
    """A lock; who waits for it shows life, also where the one that holds it waits for the database."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> None:
        while True:
            beat()
            try:
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._lock.acquire()
            except TimeoutError:
                continue
            return

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


one_at_a_time = _OneAtATime()
"""Held by a process during a counted attempt: what else is tried meanwhile would share the blame."""

_COUNT_RECORD = sa.text("""
    INSERT INTO suspects (kind, key, place, attempts) VALUES ('record', :key, :place, 1)
    ON CONFLICT (kind, key) DO UPDATE SET place = excluded.place,
        attempts = CASE WHEN suspects.place = excluded.place THEN suspects.attempts + 1 ELSE 1 END
    RETURNING attempts
""")
_CLEAR = sa.text("DELETE FROM suspects WHERE kind = :kind AND key = :key")
_SOMEBODY_DIED = sa.text("""
    SELECT EXISTS (SELECT 1 FROM processes WHERE seen_at < clock_timestamp() - interval '3 seconds'
                                             AND seen_at > clock_timestamp() - interval '5 minutes')
""")
_NEXT_KNOWN = sa.text("""
    SELECT suspects.key, suspects.attempts, suspects.aside, incidents.site
    FROM suspects LEFT JOIN incidents ON incidents.id = suspects.key
    WHERE kind = 'deadline' AND retry_at <= clock_timestamp()
    ORDER BY retry_at LIMIT 1 FOR UPDATE OF suspects SKIP LOCKED
""")
_NEXT_NEW = sa.text("""
    SELECT id FROM incidents WHERE due_at <= clock_timestamp()
      AND NOT EXISTS (SELECT 1 FROM suspects WHERE kind = 'deadline' AND key = incidents.id)
    ORDER BY urgency, due_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_COUNT_DEADLINE = sa.text("""
    INSERT INTO suspects (kind, key, attempts, retry_at)
    VALUES ('deadline', :key, 1, clock_timestamp() + interval '10 seconds')
    ON CONFLICT (kind, key) DO UPDATE
    SET attempts = suspects.attempts + 1, aside = false, retry_at = excluded.retry_at
""")
_SET_ASIDE = sa.text("""
    UPDATE suspects SET aside = true, retry_at = clock_timestamp() + make_interval(mins => :minutes)
    WHERE kind = 'deadline' AND key = :key
""")


@dataclass(frozen=True, slots=True)
class DueAlone:
    """An incident whose due time is to be handled alone; `minutes`: it was set aside for so long instead."""

    incident_id: str
    site: str | None = None
    attempts: int = 0
    minutes: int | None = None


async def count_record(tx: AsyncConnection, position: Position, offset: int) -> int:
    """Count an attempt at one record, or at all from it on, before it is made; returns which in a row it is."""
    await tx.execute(LIGHTLY)  # a process may end without loss of it, and only that is counted
    key = f"{position.topic}/{position.partition}"
    return int(await tx.scalar(_COUNT_RECORD, {"key": key, "place": offset}) or 0)


async def clear_record(tx: AsyncConnection, topic: str, partition: int) -> None:
    """What was suspected on this partition has passed."""
    await tx.execute(_CLEAR, {"kind": "record", "key": f"{topic}/{partition}"})


async def somebody_died(tx: AsyncConnection) -> bool:
    """Whether a process ended within the last minutes without saying goodbye."""
    return bool(await tx.scalar(_SOMEBODY_DIED))


async def next_deadline(tx: AsyncConnection, *, all_of_them: bool) -> DueAlone | None:
    """The next due time that is to be handled alone, its attempt counted; or one that was set aside just now.

    With `all_of_them` every due time is suspected, else only those that were tried before and never ended.
    """
    known = (await tx.execute(_NEXT_KNOWN)).one_or_none()
    if known is not None and not known.aside and known.attempts >= CRASHES:
        return await _set_aside(tx, known)
    key = known.key if known is not None else await tx.scalar(_NEXT_NEW) if all_of_them else None
    if key is None:
        return None
    await tx.execute(_COUNT_DEADLINE, {"key": key})
    return DueAlone(str(key))


async def _set_aside(tx: AsyncConnection, row: sa.Row[Any]) -> DueAlone:
    minutes = min(60, FIRST_PAUSE_MINUTES * 2 ** min(row.attempts - CRASHES, 6))
    await tx.execute(_SET_ASIDE, {"key": row.key, "minutes": minutes})
    return DueAlone(row.key, row.site, row.attempts, minutes)


async def clear_deadline(tx: AsyncConnection, incident_id: str) -> None:
    """It was handled, and we are still here."""
    await tx.execute(_CLEAR, {"kind": "deadline", "key": incident_id})
