"""What the office planned beforehand: announced tests of buttons, and silences for harmless reports.

Both are data here; whether one is in force is asked with `now`. A test never makes a press quieter, and a silence
never concerns a press: when in doubt, an alarm is real.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from schemas.configuration import Configuration
from schemas.configuration_sources import normalise_device_id

LONGEST_TEST: Final = timedelta(minutes=30)
LONGEST_SILENCE: Final = timedelta(days=7)
"""A silence that somebody forgot must end while people still remember why it was made."""
HIGHEST_SILENCED_LEVEL: Final = 1
LONGEST_TEXT: Final = 120
"""Characters of a name or reason."""


@dataclass(frozen=True, slots=True)
class AnnouncedTest:
    """Somebody tries buttons: `devices` (normalised ids), or without any all presses of the site."""

    id: str
    site: str | None
    devices: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    by: str

    def in_force(self, now: datetime) -> bool:
        """Whether it runs at this moment."""
        return self.starts_at <= now < self.ends_at

    def covers(self, site: str | None, device_id: str | None) -> bool:
        """Whether a press of this device at this site belongs to it."""
        if self.devices:
            return device_id is not None and normalise_device_id(device_id) in self.devices
        return self.site is not None and site == self.site


@dataclass(frozen=True, slots=True)
class Silence:
    """Harmless reports of a site, or of one device (normalised id), wait until it ends."""

    id: str
    site: str | None
    device: str | None
    starts_at: datetime
    ends_at: datetime
    reason: str
    by: str

    def in_force(self, now: datetime) -> bool:
        """Whether it runs at this moment."""
        return self.starts_at <= now < self.ends_at

    def covers(self, site: str | None, device_id: str | None) -> bool:
        """Whether a report of this device at this site belongs to it."""
        if self.device is not None:
            return device_id is not None and normalise_device_id(device_id) == self.device
        return self.site is not None and site == self.site


@dataclass(frozen=True, slots=True)
class Plans:
    """The tests and silences that a decision is made under."""

    tests: tuple[AnnouncedTest, ...] = ()
    silences: tuple[Silence, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tests or self.silences)

    def test_of(self, site: str | None, device_id: str | None, at: datetime, now: datetime) -> AnnouncedTest | None:
        """The test that a press belongs to: pressed (`at`) and arrived (`now`) while it runs.

        A press from before that arrives late is somebody who needed help, and one that arrives long after the test
        may be: both are real.
        """
        running = (test for test in self.tests if test.in_force(at) and test.in_force(now))
        return next((test for test in running if test.covers(site, device_id)), None)

    def silence_of(self, site: str | None, device_id: str | None, now: datetime) -> Silence | None:
        """The silence that covers a report now; of several the one that ends first."""
        running = [s for s in self.silences if s.in_force(now) and s.covers(site, device_id)]
        return min(running, key=lambda silence: (silence.ends_at, silence.id), default=None)


class Mistake(StrEnum):
    """Why a test or silence cannot be planned like this."""

    NAME_MISSING = "name_missing"
    REASON_MISSING = "reason_missing"
    TEXT_TOO_LONG = "text_too_long"
    PLACE_MISSING = "place_missing"
    SITE_UNKNOWN = "site_unknown"
    DEVICE_UNKNOWN = "device_unknown"
    DEVICE_ELSEWHERE = "device_elsewhere"
    ENDS_TOO_EARLY = "ends_too_early"
    IS_OVER = "is_over"
    TEST_TOO_LONG = "test_too_long"
    SILENCE_TOO_LONG = "silence_too_long"


def mistakes_in(plan: AnnouncedTest | Silence, configuration: Configuration, now: datetime) -> list[Mistake]:
    """What is wrong with a plan that somebody wants to make now; empty if nothing is."""
    found: list[Mistake] = []
    texts = [plan.by]
    if isinstance(plan, Silence):
        texts.append(plan.reason)
        devices: tuple[str, ...] = (plan.device,) if plan.device is not None else ()
        longest, too_long = LONGEST_SILENCE, Mistake.SILENCE_TOO_LONG
    else:
        devices, longest, too_long = plan.devices, LONGEST_TEST, Mistake.TEST_TOO_LONG
    if not plan.by.strip():
        found.append(Mistake.NAME_MISSING)
    if not texts[-1].strip() and len(texts) > 1:
        found.append(Mistake.REASON_MISSING)
    if any(len(text) > LONGEST_TEXT for text in texts):
        found.append(Mistake.TEXT_TOO_LONG)
    if plan.site is None and not devices:
        found.append(Mistake.PLACE_MISSING)
    if plan.site is not None and plan.site not in configuration.sites:
        found.append(Mistake.SITE_UNKNOWN)
    if any(normalise_device_id(device) not in configuration.register for device in devices):
        found.append(Mistake.DEVICE_UNKNOWN)
    return found + _mistakes_in_time(plan, now, longest, too_long)


def _mistakes_in_time(
    plan: AnnouncedTest | Silence, now: datetime, longest: timedelta, too_long: Mistake
) -> list[Mistake]:
    if plan.ends_at <= plan.starts_at:
        return [Mistake.ENDS_TOO_EARLY]
    if plan.ends_at <= now:
        return [Mistake.IS_OVER]
    return [too_long] if plan.ends_at - plan.starts_at > longest else []
