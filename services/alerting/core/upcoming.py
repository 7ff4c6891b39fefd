"""What happens to an incident if nobody takes over, in words."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache

from services.alerting.core.escalation import LATE
from services.alerting.core.policy import EMERGENCY_ROLE
from services.alerting.core.telling import Telling


def upcoming(telling: Telling) -> str:
    """The steps to come, each with its time and who will be told, and what follows the last one."""
    incident, words = telling.incident, telling.words
    repeat = incident.policy.repeat
    if incident.held and incident.due_at is not None:
        return words.told_then.format(at=telling.clock(incident.due_at))
    if not incident.acute:
        due = incident.due_at
        what = words.each_opening_from.format(at=telling.clock(due, bare=True)) if due else words.each_opening
        return words.without_takeover.format(what=what)
    steps = [f"{telling.clock(at, bare=True)} {', '.join(roles)}" for at, roles in _steps_to_come(telling)]
    if not isinstance(repeat, timedelta):
        steps.append(words.each_opening)
    else:
        every = _every(telling, repeat)
        steps.append((words.then_every if steps else words.again_every).format(every=every))
    return words.without_takeover.format(what=", ".join(steps))


def _steps_to_come(telling: Telling) -> Iterator[tuple[datetime, tuple[str, ...]]]:
    """The steps that `escalation` will take, with who will be present then."""
    incident, steps = telling.incident, telling.incident.policy.steps
    began = incident.cycle_started_at or incident.opened_at
    at, index = incident.due_at or telling.now, incident.step + 1
    while index < len(steps):
        present = _present(telling, index, at)
        if not present and index + 1 < len(steps):
            index += 1
            continue
        yield at, present or (telling.words.role(EMERGENCY_ROLE),)
        if index + 1 < len(steps):
            distance = steps[index + 1].after - steps[index].after
            late = at - (began + steps[index].after) > LATE
            at = at + distance if late else max(began + steps[index + 1].after, at)
        index += 1


def _present(telling: Telling, index: int, at: datetime) -> tuple[str, ...]:
    tell = telling.incident.policy.steps[index].tell
    return tuple(telling.words.role(role) for role in tell if telling.rules.people(telling.incident.site, role, at))


def _every(telling: Telling, repeat: timedelta) -> str:
    unit, count = _counted(repeat)
    one, several = telling.words.every[unit]
    return one if count == 1 else several.format(count=count)


@lru_cache(maxsize=64)
def _counted(duration: timedelta) -> tuple[str, int]:
    """In the largest unit of which it is a whole number."""
    seconds = int(duration.total_seconds())
    units = (("h", 3600), ("m", 60), ("s", 1))
    return next((unit, seconds // length) for unit, length in units if not seconds % length)
