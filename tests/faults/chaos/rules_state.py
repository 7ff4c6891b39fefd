"""Rules about what is stored and published: the past explains the present, and the world hears all of it, in order."""

from collections.abc import Iterator
from typing import Final

from schemas.lifecycle import Change
from services.alerting.core.effects import Relay
from services.common.watchdog import EXIT_CODE
from tests.faults.chaos.history import History, Told

_SAID_AGAIN: Final = (Change.MERGED, Change.SUPPRESSED)
"""What alerting says about a report that is published again."""


def the_past_explains_the_present(history: History) -> Iterator[str]:
    """Deciding each incident's stored inputs again gives its stored state, without a gap in its revisions."""
    for incident_id, stored in history.incidents.items():
        decisions = history.decisions[incident_id]
        if not decisions or decisions[-1].incident != stored.state:
            yield f"incident {incident_id} is not what its inputs make of it"
        if [one.revision for one in stored.inputs] != list(range(1, len(stored.inputs) + 1)):
            yield f"incident {incident_id} has a gap in its revisions"


def _decided(history: History) -> set[tuple[object, ...]]:
    effects = (e for decisions in history.decisions.values() for decision in decisions for e in decision.effects)
    return {Told(effect.change, effect.data).key for effect in effects if isinstance(effect, Relay)}


def everything_is_told(history: History) -> Iterator[str]:
    """Each change that was decided is on the lifecycle."""
    for key in sorted(_decided(history) - {told.key for told in history.lifecycle}, key=str):
        yield f"the lifecycle lacks {key}"


def nothing_is_told_that_is_not_so(history: History) -> Iterator[str]:
    """Each change on the lifecycle was decided, or says again where a report is that came again."""
    decided = _decided(history)
    for told in history.lifecycle:
        again = told.change in _SAID_AGAIN and all(
            (holder := history.holders.get(id_)) is not None and holder.state.id == told.data.incident_id
            for id_ in told.data.event_ids
        )
        if told.key not in decided and not again:
            yield f"the lifecycle says {told.key}, which was never decided"


def told_in_order(history: History) -> Iterator[str]:
    """The lifecycle of each incident speaks of its revisions in their order.

    Apart from records that came twice, and from what says again where a report is: that is no change.
    """
    decided = _decided(history)
    last: dict[str, int] = {}
    seen: set[tuple[object, ...]] = set()
    for told in history.lifecycle:
        data = told.data
        if told.key in decided and told.key not in seen and data.revision < last.get(data.incident_id, 0):
            yield f"{told.change} of {data.incident_id} at revision {data.revision} came late"
        seen.add(told.key)
        last[data.incident_id] = max(data.revision, last.get(data.incident_id, 0))


def services_end_only_for_the_watchdog(history: History) -> Iterator[str]:
    """A service that ends by itself does so because it stood still, never because of a mistake."""
    for name, code in history.ended:
        if code != EXIT_CODE:
            yield f"{name} ended by itself with {code}"


def no_stray_lines(history: History) -> Iterator[str]:
    """Whatever happens, a service says it as one line of JSON."""
    yield from (f"a service wrote {line[:120]!r}" for line in history.stray_lines[:5])
