"""A press that its device is told about, and what it is to be told now. Pure: no clock, no I/O."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, get_args

from schemas.configuration_callbacks import Callback, HttpCallback, Told
from services.ingest.status import Known

STALE_AFTER: Final = 3600.0
"""Seconds: a light that comes later than this says something else than what it means."""
KEPT_FOR: Final = 7 * 24 * 3600.0
"""Seconds after the press for which its device is told; as long as the lifecycle is read back."""
_TOLD: Final[tuple[str, ...]] = get_args(Told)


@dataclass(slots=True)
class Press:
    """A report of a registered device that this process accepted. Times are seconds since the epoch.

    `told`: the status that was told last, or that was passed over. `not_before`, `attempts`: of the one at hand.
    """

    event_id: str
    source: str
    device_id: str
    exercise: bool
    accepted_at: float
    told: str | None = None
    not_before: float = 0.0
    attempts: int = 0
    trying: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is told: facts about the press, nothing that a person said or is called."""

    event_id: str
    device_id: str
    status: str
    incident_id: str
    exercise: bool
    at: datetime

    @property
    def id(self) -> str:
        """The same for each attempt, so that a receiver can tell a repeat."""
        return f"{self.event_id}-{self.status}-{int(self.at.timestamp() * 1000)}"


class Verdict(StrEnum):
    """Whether there is something to tell."""

    NOTHING_NEW = "nothing_new"
    NOT_WANTED = "not_wanted"
    STALE = "stale"
    TELL = "tell"


def judge(press: Press, known: Known | None, callback: Callback, now: float) -> tuple[Verdict, Answer | None]:
    """The newest status alone counts: what it replaced is never told any more."""
    if known is None or known.incident_id is None or known.status not in _TOLD or known.status == press.told:
        return Verdict.NOTHING_NEW, None
    since = max(known.since, press.accepted_at)
    at = datetime.fromtimestamp(since, UTC)
    answer = Answer(press.event_id, press.device_id, known.status.value, known.incident_id, press.exercise, at)
    if answer.status not in callback.on:
        return Verdict.NOT_WANTED, answer
    return (Verdict.STALE if now - since > STALE_AFTER else Verdict.TELL), answer


def replaces(newer: Press, older: Press, callback: Callback) -> bool:
    """Whether a device shows only what became of the newer one. Receivers by HTTP can tell presses apart.

    An exercise never takes the place of a real press.
    """
    if isinstance(callback.target, HttpCallback):
        return False
    same = newer.source == older.source and newer.device_id == older.device_id
    is_newer = (newer.accepted_at, newer.event_id) > (older.accepted_at, older.event_id)
    return same and is_newer and (older.exercise or not newer.exercise)
