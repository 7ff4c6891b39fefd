"""Records what became of mails, and decides what follows from it.

Nearly always all of them were accepted, and nothing happened to their incidents since the mails were decided or
claimed: then it takes one round trip to the database (see `one_trip.py`).
"""

import asyncio
import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting import one_trip, store
from services.alerting.changes import Changes
from services.alerting.core.codes import code_of
from services.alerting.core.effects import Purpose
from services.alerting.core.incident import Incident
from services.alerting.database import in_transaction, passes
from services.alerting.engine import Engine
from services.alerting.handover import Handover
from services.alerting.mailing import outbox, troubles
from services.alerting.mailing.outcomes import EXPIRES, Outcome, State
from services.alerting.mailing.troubles import Trouble
from services.common.loops import beat

log = structlog.get_logger()

_TOLD: Final = outbox.recording("$1::text[]", "$2::text[]", "$3::text[]", "$4::text[]", "$5::text[]", "$6::text[]")
_HELD: Final = "hold_unchanged($7, $8::text[]::bigint[], $1::text[]::uuid[], $2::text[]::uuid[])"
_BEGIN: Final = f"begun AS MATERIALIZED (SELECT {_HELD} AS so), recorded AS ({_TOLD})"
_AT_ONCE: Final = 16
_SAVE: Final = one_trip.saving_if(_BEGIN, arguments=8)


async def record(engine: Engine, outcomes: Sequence[Outcome]) -> None:
    """Write them and decide on them; what another process has meanwhile is left to that one.

    Raises:
        sqlalchemy.exc.DBAPIError, OSError: the database is away; what is not written then is written when it is tried
            again.
    """
    try:
        await _record_together(engine, outcomes)
    except Exception as error:
        if passes(error):
            raise
        # Not recorded they would be mailed again, and again end the process: which of them is it?
        for outcome in outcomes:
            beat()
            await _record_alone(engine, outcome)


async def _record_together(engine: Engine, outcomes: Sequence[Outcome]) -> None:
    plain = all(outcome.state is State.ACCEPTED and not outcome.failed for outcome in outcomes)
    if not plain or not await engine.in_one_trip(partial(record_unchanged, outcomes=outcomes)):
        await record_under_locks(engine, outcomes)


async def record_unchanged(
    connection: Any, outcomes: Sequence[Outcome], changes: Changes, handover: Handover
) -> set[uuid.UUID] | None:
    """Decide on accepted mails by their incidents as the mails know them; for `Engine.in_one_trip`.

    Raises:
        asyncpg.PostgresError: an incident has changed since, or a mail is in other hands; nothing was written.
    """
    seen: dict[str, Incident] = {}
    for outcome in outcomes:
        incident = outcome.mail.incident
        if incident.id not in seen or seen[incident.id].revision < incident.revision:
            seen[incident.id] = incident
    changes.known = dict(seen)
    for number, outcome in enumerate(outcomes, start=1):
        _decide(changes, outcome)
        if number % _AT_ONCE == 0:
            changes.write_down()
            await asyncio.sleep(0)  # alarms and mails go on meanwhile
    revisions = [str(incident.revision) for incident in seen.values()]
    arguments = (*outbox.columns(outcomes).values(), list(seen), revisions)
    return await one_trip.write(connection, _SAVE, arguments, changes, handover)


async def record_under_locks(engine: Engine, outcomes: Sequence[Outcome]) -> None:
    """Decide on any outcomes by their incidents as they are now; raises as `record`."""
    warnings = 0

    async def work(tx: AsyncConnection, changes: Changes) -> None:
        nonlocal warnings
        # Incidents first, as everything that changes both locks them.
        changes.known = await store.load_for_update(tx, [outcome.mail.incident.id for outcome in outcomes])
        ours = [outcomes[index] for index in sorted(await outbox.record(tx, outcomes))]
        lost = [outcome.mail for outcome in ours if _nobody_knows(outcome)]
        warnings = await outbox.warn(tx, lost, changes.rules, changes.now) if lost else 0
        for outcome in ours:
            _decide(changes, outcome)

    await engine.commit(work)
    if warnings:
        engine.signals.mail.set()


async def _record_alone(engine: Engine, outcome: Outcome) -> None:
    """What came of the mail counts, also where it cannot be decided what follows: then the emergency contacts hear."""
    try:
        await record_under_locks(engine, [outcome])
    except Exception as error:
        if passes(error):
            raise
        log.exception("mail.undecided", incident_id=outcome.mail.incident.id, mail_id=str(outcome.mail.id))
        await in_transaction(engine.database, partial(_record_undecided, engine, outcome))


async def _record_undecided(engine: Engine, outcome: Outcome, tx: AsyncConnection) -> None:
    incident = outcome.mail.incident
    ours = await outbox.record(tx, [outcome])
    if ours and not incident.learning and outcome.mail.notify.purpose not in EXPIRES:
        code = code_of(incident.id)
        trouble = Trouble(incident.site, troubles.UNDECIDED, incident_id=incident.id, code=code)
        await troubles.tell(tx, trouble, engine.rules(), engine.clock())


def _decide(changes: Changes, outcome: Outcome) -> None:
    incident = changes.known.get(outcome.mail.incident.id)
    if incident is not None and outcome.answer is not None:
        changes.decide([incident], outcome.mail.result(outcome.answer))


def _nobody_knows(outcome: Outcome) -> bool:
    """Whether an alarm mail failed for its own sake: then the emergency contacts get one that is made otherwise."""
    return outcome.state is State.SET_ASIDE and outcome.mail.notify.purpose is Purpose.ALARM
