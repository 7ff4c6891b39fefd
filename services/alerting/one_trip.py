"""Plain presses, decided without a lock and written in one round trip if nothing has changed meanwhile.

Nearly every batch of an office is one press about which nothing is known. To lock, load, decide, write and commit takes
five round trips to the database, and an alarm waits for each of them. Here it takes two, and no lock is held while
Python computes; or one, when it is guessed that nothing is known, and the writing finds that true. What is not plain,
and what changed in between, goes the way with locks (`Engine.apply`), which makes the same of it. Straight through
asyncpg: SQLAlchemy would double the time of a round trip.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.events import Event, Reported
from services.alerting.bulk import statement
from services.alerting.candidates import Candidates
from services.alerting.changes import Changes
from services.alerting.core.devices import signs_in
from services.alerting.core.incident import Incident
from services.alerting.core.learning import keys_of
from services.alerting.handover import Handover
from services.alerting.reading.leases import Move
from services.alerting.reading.repeats import digest
from services.alerting.saving import INSERTS, rows_of
from services.alerting.store import from_json

log = structlog.get_logger()

_WITHIN: Final = 2.0
"""Seconds for a round trip; then the way with locks is tried, over another connection."""
_GUESSED_AT_MOST: Final = 50
"""Events of a batch: deciding more of them in vain would take long."""
_GUESS_AGAIN_AFTER: Final = 1.0
"""Seconds after a wrong guess: where one press joins an incident, more will."""
_PLANS: Final = """
    EXISTS (SELECT FROM silences WHERE starts_at <= {now} AND ends_at > {now} AND told_at IS NULL)
    OR EXISTS (SELECT FROM announced_tests WHERE starts_at <= {now} AND ends_at > {now})
"""
_LOOK: Final = f"""
    SELECT special, id, version, state
    FROM (SELECT EXISTS (SELECT FROM events WHERE id = ANY($1))
              OR EXISTS (SELECT FROM held WHERE incident_id = ANY($1))
              OR {_PLANS.format(now="$3")} AS special) AS about
    LEFT JOIN (
        SELECT id, xmin::text::bigint AS version, state FROM incidents
        WHERE merge_keys && $2 AND NOT imported AND (status <> 'closed' OR closed_at >= $4)
    ) AS known ON true
    ORDER BY id
"""  # noqa: S608 – our own condition
# No partition stands at −1, so with a plan in force it ends as with any other change.
_BEGIN: Final = f"""
    begun AS MATERIALIZED (
        SELECT begin_unchanged(
            $1, $2, $3, CASE WHEN {_PLANS.format(now="$7")} THEN -1 ELSE $4::bigint END,
            $5, $6, $7::timestamptz, $8, $9, $10, $11, $12, $13
        ) AS so
    )
"""
_ROWS: Final = {insert.table.name: f"${number}" for number, insert in enumerate(INSERTS, start=14)}
_SAVE: Final = statement(INSERTS, _ROWS.__getitem__, first=_BEGIN, after="begun")


@dataclass(frozen=True, slots=True)
class _Seen:
    """Incidents that the reports may belong to, by id in order of id, each with the version of its row."""

    known: dict[str, Incident]
    versions: list[int]


_NOTHING: Final = _Seen({}, [])


@dataclass(slots=True)
class Guess:
    """That nothing is known of a press, which nearly always is so."""

    clock: Callable[[], float] = time.monotonic
    _again_at: float = 0.0

    def ways(self, events: Sequence[Event]) -> Iterator[bool]:
        """Whether to guess, try after try; whoever is asked for a second one has guessed wrong."""
        if len(events) <= _GUESSED_AT_MOST and self.clock() >= self._again_at:
            yield True
            self._again_at = self.clock() + _GUESS_AGAIN_AFTER
        yield False


def is_plain(events: Sequence[Event]) -> bool:
    """Whether these are nothing but reports of today, each once."""
    ids = {event.id for event in events}
    return bool(events) and len(ids) == len(events) and all(map(_is_plain, events))


def _is_plain(event: Event) -> bool:
    return isinstance(event.data, Reported) and not event.imported and not event.subject


async def apply(
    database: AsyncEngine,
    events: Sequence[Event],
    move: Move,
    changes: Changes,
    handover: Handover,
    *,
    guessing: bool = False,
) -> bool:
    """Decide plain events, move the position and write everything; `guessing` that nothing is known of them.

    Returns:
        Whether it was done. Else it was not possible so, and nothing was written – or it was, and the connection broke
        before that was known: then the position has moved.
    """
    new: set[uuid.UUID] | None = None
    try:
        async with _connection(database) as connection:
            new = await _apply(connection, events, move, changes, handover, guessing=guessing)
    except Exception as error:  # noqa: BLE001 – whatever it is, the way with locks meets it again, and says so
        log.debug("batch.redone", error=type(error).__name__)
    finally:
        handover.keep(new or set())
        handover.end(committed=new is not None)
    return new is not None


@asynccontextmanager
async def _connection(database: AsyncEngine) -> AsyncIterator[Any]:
    """Asyncpg's own connection, out of the same pool."""
    raw = await database.raw_connection()
    try:
        yield raw.driver_connection
    except asyncpg.PostgresError:
        raise  # an answer: the connection is as good as before
    except BaseException:
        raw.invalidate()
        raise
    finally:
        raw.close()


async def _apply(
    connection: Any, events: Sequence[Event], move: Move, changes: Changes, handover: Handover, *, guessing: bool
) -> set[uuid.UUID] | None:
    keys = {event.id: keys_of(event, changes.rules) for event in events}
    places = sorted({key for of_one in keys.values() for key in of_one})
    closed_after = changes.now - changes.rules.configuration.merge.within
    seen = _NOTHING if guessing else await _look(connection, list(keys), places, changes.now, closed_after)
    if seen is None:
        return None
    _decide(events, keys, seen.known, changes)
    if changes.withdrawn:  # no report does that today; should one ever, its mails are withdrawn under locks
        return None
    handover.lease(changes)
    position = move.position
    rows = rows_of(changes)
    saving = asyncio.ensure_future(
        connection.fetchval(
            _SAVE, position.topic, position.partition, move.owner, position.next_offset, move.end_offset,
            move.last_event_id, changes.now, places, list(keys), [digest(event) for event in events], closed_after,
            list(seen.known), seen.versions, *(rows[name] for name in _ROWS), timeout=_WITHIN,
        )
    )  # fmt: skip
    try:
        await asyncio.sleep(0)  # it is on its way; meanwhile
        handover.write()
        return set(await saving)
    except BaseException:
        saving.cancel()
        raise


async def _look(
    connection: Any, ids: list[str], places: list[str], now: datetime, closed_after: datetime
) -> _Seen | None:
    found = await connection.fetch(_LOOK, ids, places, now, closed_after, timeout=_WITHIN)
    if found[0]["special"]:
        return None
    rows = [row for row in found if row["id"] is not None]
    return _Seen({row["id"]: from_json(row["state"]) for row in rows}, [row["version"] for row in rows])


def _decide(
    events: Sequence[Event], keys: dict[str, tuple[str, ...]], known: dict[str, Incident], changes: Changes
) -> None:
    changes.known = dict(known)
    changes.signs = signs_in(events, changes.rules.configuration, changes.now)
    candidates = Candidates(changes.known)
    for event in events:
        decision = changes.decide(candidates.of(event, keys[event.id], changes.known), event)
        if decision.incident is not None:
            candidates.note(decision.incident)
