"""Events that come again: each is applied once, whatever comes under its id later."""

import hashlib
from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.events import Event
from services.alerting import store

log = structlog.get_logger()


async def first_of_each(tx: AsyncConnection, events: Sequence[Event], new: set[str]) -> list[Event]:
    """The events that were never applied, each once, in their order; others are logged."""
    fresh: list[Event] = []
    repeated: list[Event] = []
    for event in events:
        (fresh if event.id in new else repeated).append(event)
        new.discard(event.id)
    if repeated:
        first = await store.digests_of(tx, {event.id for event in repeated})
        for event in repeated:
            differs = first.get(event.id) != digest(event)
            log.info("event.duplicate", event_id=event.id, source=event.source, differs=differs)
    return fresh


def digest(event: Event) -> str:
    """What tells a repetition from a different event under the same id."""
    # JSON of the data alone: the envelope's time differs when a sender repeats itself.
    return hashlib.sha256(event.data.model_dump_json().encode()).hexdigest()
