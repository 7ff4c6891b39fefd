"""Plain presses, which are decided without a lock (see `one_trip.py`).

Nearly every batch of an office is one press about which nothing is known. It takes two round trips to the database,
and no lock is held while Python computes; or one, when it is guessed that nothing is known, and the writing finds that
true. What is not plain, and what changed in between, goes the way with locks (`Engine.apply`).
"""

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from schemas.events import Event, Reported
from services.alerting import one_trip
from services.alerting.candidates import Candidates
from services.alerting.changes import Changes
from services.alerting.core.devices import signs_in
from services.alerting.core.incident import Incident
from services.alerting.core.learning import keys_of
from services.alerting.handover import Handover
from services.alerting.reading.leases import Move
from services.alerting.reading.repeats import digest
from services.alerting.store import from_json

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
              OR (SELECT count(*) FROM events WHERE id = ANY($5)) < cardinality($5)
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
            $5, $6, $7::timestamptz, $8, $9, $10, $11, $12, $13::text[]::bigint[]
        ) AS so
    )
"""
_SAVE: Final = one_trip.saving_if(_BEGIN, arguments=13)


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
    connection: Any,
    events: Sequence[Event],
    move: Move,
    changes: Changes,
    handover: Handover,
    *,
    let_past: Collection[str] = (),
    guessing: bool = False,
) -> set[uuid.UUID] | None:
    """Decide plain events, move the position and write everything; `guessing` that nothing is known of them.

    `let_past` have been applied before; should the database have forgotten one, it is not possible so.

    Returns:
        The mails that are new, or None where it is not possible so; then nothing was written.

    Raises:
        asyncpg.PostgresError: anything is otherwise than it was seen, or the database refuses; nothing was written.
    """
    keys = {event.id: keys_of(event, changes.rules) for event in events}
    places = sorted({key for of_one in keys.values() for key in of_one})
    closed_after = changes.now - changes.rules.configuration.merge.within
    seen = _NOTHING if guessing else await _look(connection, list(keys), places, changes.now, closed_after, let_past)
    if seen is None:
        return None
    await _decide(events, keys, seen.known, changes)
    position = move.position
    arguments = (
        position.topic, position.partition, move.owner, position.next_offset, move.end_offset, move.last_event_id,
        changes.now, places, list(keys), [digest(event) for event in events], closed_after, list(seen.known),
        list(map(str, seen.versions)),
    )  # fmt: skip
    return await one_trip.write(connection, _SAVE, arguments, changes, handover)


async def _look(
    connection: Any,
    ids: list[str],
    places: list[str],
    now: datetime,
    closed_after: datetime,
    let_past: Collection[str],
) -> _Seen | None:
    found = await connection.fetch(_LOOK, ids, places, now, closed_after, list(let_past), timeout=one_trip.WITHIN)
    if found[0]["special"]:
        return None
    rows = [row for row in found if row["id"] is not None]
    return _Seen({row["id"]: from_json(row["state"]) for row in rows}, [row["version"] for row in rows])


async def _decide(
    events: Sequence[Event], keys: dict[str, tuple[str, ...]], known: dict[str, Incident], changes: Changes
) -> None:
    changes.known = dict(known)
    changes.signs = signs_in(events, changes.rules.configuration, changes.now)
    candidates = Candidates(changes.known)
    for event in events:
        decision = changes.decide(candidates.of(event, keys[event.id], changes.known), event)
        if decision.incident is not None:
            candidates.note(decision.incident)
        await changes.pause()
