"""Which event is let past which, wherever events wait: in ingest's queues, and where alerting reads them."""

from typing import Final

from schemas.events import EmergencyMailed, Event, Heartbeat, Kind, Mode, Probe, Reported

PRESS: Final = 30
"""The lowest urgency of a real press, and of what the watch has to say about presses."""
_UNKNOWN_LEVEL: Final = 2


def urgency_of(event: Event) -> int:
    """Higher first: what the watch mailed, real presses by level, real forms, what people do, exercises, heartbeats."""
    match event.data:
        case Reported(mode=Mode.EXERCISE) | Reported(learning=True):
            return 1
        case Reported(kind=Kind.PANIC, danger_level=level):
            return PRESS + (_UNKNOWN_LEVEL if level is None else level)
        case Reported(acute=acute, danger_level=level):
            return (20 if acute else 10) + (_UNKNOWN_LEVEL if level is None else level)
        case EmergencyMailed():
            # One a minute and site, and before the presses that it is about: so their first alarm can say so.
            return PRESS + 4
        case Heartbeat() | Probe():
            return 0
        case _:
            return 15
