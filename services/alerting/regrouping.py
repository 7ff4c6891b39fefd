"""A person joins two incidents or splits one: both sides are decided and stored in one commit."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting import store
from services.alerting.changes import Changes
from services.alerting.core.effects import Decision, Joined
from services.alerting.core.joining import to_the_other
from services.alerting.core.splitting import leaving, to_the_new_one
from services.alerting.engine import Engine


async def join(engine: Engine, incident_id: str, into: str, *, by: str, reason: str) -> Decision:
    """Make an incident part of another one.

    Returns:
        What became of the one that goes on; a reason outside `core.joining.TAKEN_IN` says why nothing changed.

    Raises:
        LookupError: one of them does not exist.
        sqlalchemy.exc.DBAPIError, OSError: the database refuses or cannot be reached; nothing was written.
    """

    async def work(tx: AsyncConnection, changes: Changes) -> None:
        ids = (incident_id, into)
        await store.lock_places_of(tx, ids)
        known = await store.load_for_update(tx, ids)
        what = Joined(by, reason, known[incident_id])
        follows = to_the_other(what, changes.decide([known[into]], what))
        if follows is not None:
            changes.decide([known[incident_id]], follows)

    return (await engine.commit(work)).journeys[0][1]


async def split(engine: Engine, incident_id: str, event_ids: Sequence[str], *, by: str, reason: str) -> Decision:
    """Let reports of an incident be a matter of their own.

    Returns:
        What became of the reports (`SPLIT_OFF`), or why nothing changed.

    Raises:
        LookupError: the incident does not exist.
        sqlalchemy.exc.DBAPIError, OSError: the database refuses or cannot be reached; nothing was written.
    """

    async def work(tx: AsyncConnection, changes: Changes) -> None:
        await store.lock_places_of(tx, [incident_id])
        known = await store.load_for_update(tx, [incident_id, *event_ids])
        before = known[incident_id]
        formers = [one for id_ in event_ids if (one := known.get(id_)) is not None and one.joined is not None]
        what = leaving(before, event_ids, next(iter(formers), None), by=by, reason=reason)
        opens = to_the_new_one(before, what, changes.decide([before], what))
        if opens is None:
            return
        changes.decide(formers, opens)

    journeys = (await engine.commit(work)).journeys
    return journeys[min(1, len(journeys) - 1)][1]
