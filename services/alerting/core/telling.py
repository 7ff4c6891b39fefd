"""An incident in words, for mails and pages alike: where, when, how bad, police, who was told (next: `upcoming`)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Final
from zoneinfo import ZoneInfo

from schemas.configuration import Location, Site
from schemas.events import Kind, Mode
from schemas.report_warnings import said
from services.alerting.core import calls
from services.alerting.core.codes import code_of
from services.alerting.core.incident import Incident, LevelFrom, Place, PoliceCall, Report
from services.alerting.core.plain_text import one_line
from services.alerting.core.policy import Rules
from services.alerting.core.replacing import replace
from services.alerting.core.texts import Words
from services.alerting.core.texts.english import ENGLISH
from services.alerting.core.texts.german import GERMAN

LANGUAGES: Final = {"de": GERMAN, "en": ENGLISH}
_POLICE: Final = "110"


@dataclass(frozen=True, slots=True)
class Telling:
    """One incident, told in the language and local time of its site as of `now`."""

    incident: Incident
    rules: Rules
    now: datetime
    words: Words
    zone: ZoneInfo
    site: Site | None
    room: Location | None
    exercise: bool = field(init=False)
    """Whether it is a Probealarm, or of a source in learning mode: nothing to act on."""
    calls: tuple[PoliceCall, ...] = field(init=False)
    """Those that count now."""
    other_places: tuple[Place, ...] = field(init=False)
    """Where its reports are from, beside its own place."""

    def __post_init__(self) -> None:
        """What follows from the incident, and is asked for several times."""
        incident = self.incident
        object.__setattr__(self, "exercise", incident.mode is Mode.EXERCISE or incident.learning)
        object.__setattr__(self, "calls", calls.standing(incident))
        object.__setattr__(self, "other_places", _other_places(incident))

    @classmethod
    def of(cls, incident: Incident, rules: Rules, now: datetime) -> "Telling":
        """Look up what the configuration knows about the place."""
        site = rules.site(incident.site)
        # By id alone: `decide` has already understood aliases, and this runs once per mail of a storm.
        room = next((room for room in site.locations if room.id == incident.location), None) if site else None
        words = LANGUAGES[rules.language(incident.site)]
        return cls(incident, rules, now, words, rules.zone(incident.site), site, room)

    # where and when

    def clock(self, at: datetime, *, bare: bool = False) -> str:
        """Local time; with the date when that is not today. `bare`: as part of a list."""
        local, today = at.astimezone(self.zone), self.now.astimezone(self.zone)
        time = f"{local.hour:02}:{local.minute:02}"
        if local.date() != today.date():
            pattern = self.words.short_date if bare else self.words.date
            weekday = self.words.weekdays[local.weekday()]
            time = pattern.format(weekday=weekday, day=local.day, month=local.month, year=local.year, time=time)
        return time if bare else self.words.at.format(time=time)

    def date(self, on: date) -> str:
        """A local date."""
        return self.words.plain_date.format(day=on.day, month=on.month, year=on.year)

    @property
    def short_place(self) -> str:
        """Room and site as a lock screen can show them."""
        room = one_line((self.room.short or self.room.name) if self.room else self.incident.location or "", 60)
        if self.site is None:
            return f"{room} · {self.words.site_unknown}" if room else self.words.site_unknown
        site = one_line(self.site.short or self.site.name, 60)
        return f"{room} {site}" if room else f"{site}, {self.words.room_unknown}"

    @property
    def place(self) -> str:
        """Room, floor and site in full."""
        parts = [self.room.name, self.room.floor or ""] if self.room else [self.incident.location or ""]
        if self.site is not None:
            parts.append(self.site.name)
        elif self.incident.site_text:
            parts.append(self.words.site_given.format(text=one_line(self.incident.site_text, 120)))
        else:
            parts.append(self.words.site_unknown)
        if self.site is not None and not self.incident.location:
            parts.append(self.words.room_unknown)
        return ", ".join(one_line(part) for part in parts if part)

    @property
    def headline(self) -> str:
        """The first line of a mail, which a phone previews: where and when."""
        return f"{self.place} – {self.clock(self.incident.opened_at)}"

    def elsewhere_line(self) -> tuple[str, ...]:
        """Other places that reports of the same incident name: help may be needed there, too."""
        places = [self.place_of(place) for place in self.other_places]
        return (self.words.elsewhere.format(places="; ".join(places)),) if places else ()

    def place_of(self, place: Place) -> str:
        """Another place in full."""
        site, text, location = place.site, place.site_text, place.location
        there = replace(self.incident, site=site, site_text=text, location=location)
        return Telling.of(there, self.rules, self.now).place

    @property
    def short_site(self) -> str:
        """The site alone, as a lock screen can show it."""
        return one_line(self.site.short or self.site.name, 60) if self.site else self.words.site_unknown

    # what

    def hold_line(self) -> tuple[str, ...]:
        """That a silence holds it back, or did."""
        hold = self.incident.hold
        if hold is None:
            return ()
        pattern = self.words.held if self.incident.held else self.words.was_held
        return (pattern.format(at=self.clock(hold.until)),)

    def test_line(self) -> tuple[str, ...]:
        """That it belongs to an announced test, or to a source in learning mode, if it does."""
        if self.incident.learning:
            return (self.words.learning.format(source=one_line(self.incident.source, 60)),)
        return (f"{self.words.announced_test}.",) if self.incident.under_test else ()

    @property
    def level(self) -> str:
        """`Stufe 2 (laut Knopf)`."""
        return self.level_of(self.incident)

    def level_of(self, incident: Incident) -> str:
        """The same for another incident."""
        words = self.words
        if incident.danger_level is None or incident.level_from is LevelFrom.UNKNOWN:
            return words.level_unknown.format(level=incident.level)
        return f"{words.level.format(level=incident.danger_level)} ({words.level_from[incident.level_from]})"

    @property
    def category(self) -> str | None:
        """`Bedrohung`."""
        return self.words.category[self.incident.category] if self.incident.category else None

    @property
    def level_line(self) -> str:
        """The level with its origin, the category, and whether the alarm is silent."""
        line = f"{self.level}: {self.category}." if self.category else f"{self.level}."
        return f"{line} {self.words.silent}" if self.incident.kind is Kind.PANIC else line

    def context(self) -> Iterator[str]:
        """Further lines about how and when it was reported."""
        reports = self.incident.reports
        if len(reports) > 1:
            yield self.words.several.format(count=len(reports), at=self.clock(self._last_report.at))
        yield from self.elsewhere_line()
        if self.incident.split_from is not None:
            yield self.words.split_from.format(code=code_of(self.incident.split_from))
        last = self._last_report
        late = last.received_at - last.at
        if late >= timedelta(minutes=1):
            hours, minutes = divmod(int(late.total_seconds() // 60), 60)
            pattern = self.words.late_by[0 if hours else 1]
            yield self.words.late.format(late=pattern.format(hours=hours, minutes=minutes))
        yield from self.hold_line()
        occurred = reports[0].occurred_at
        if occurred is not None and abs(occurred - reports[0].at) >= timedelta(minutes=1):
            yield self.words.occurred.format(at=self.clock(occurred))
        if not self.incident.location and self.incident.device_id:
            yield self.words.device.format(device=one_line(self.incident.device_id, 80))
        elif self.site is None and not self.incident.site_text:
            yield self.words.reported_through.format(source=one_line(self.incident.source, 60))

    @property
    def _last_report(self) -> Report:
        return max(self.incident.reports, key=_at)

    def again(self) -> str | None:
        """Why the alarm began anew (None: it never did)."""
        why, since = self.incident.again, self.incident.cycle_started_at
        if why is None:
            return None
        # What was reported after that did not begin it.
        reports = [r for r in self.incident.reports if since is None or r.received_at <= since] or self.incident.reports
        return self.words.again[why].format(at=self.clock(max(report.at for report in reports)))

    def warnings(self) -> tuple[str, ...]:
        """What could not be understood in the reports, each once."""
        reports = self.incident.reports
        found = dict.fromkeys(one_line(said(text, self.words.code)) for report in reports for text in report.warnings)
        return tuple(found)[:12]

    # police

    @property
    def phone(self) -> str:
        """The number to call from this site."""
        return self.site.police.phone if self.site else _POLICE

    @property
    def police(self) -> str:
        """The police state without names; until a call is confirmed it says that it is not."""
        words = self.words
        if self.exercise:
            return (words.learning_alert if self.incident.learning else words.exercise).format(phone=self.phone)
        if self.calls:
            return self.called(self.calls[0], named=False)
        by_flag = {"urgent": words.urgent, "advised": words.advised, "none": words.not_flagged}
        return by_flag[self.incident.police].format(phone=self.phone)

    @property
    def police_with_name(self) -> str:
        """Like `police`, with the name of who called."""
        return self.called(self.calls[0], named=True) if self.calls and not self.exercise else self.police

    def police_at_end(self, *, named: bool) -> str:
        """Whether somebody called, once it is over; of all that it was, also before it was opened again."""
        first = next(iter(self.incident.calls), None)
        return self.called(first, named=named) if first else self.words.not_called_at_end.format(phone=self.phone)

    def called(self, call: PoliceCall, *, named: bool) -> str:
        """That somebody called, and who."""
        pattern = self.words.called_by if named else self.words.called
        return pattern.format(phone=self.phone, at=self.clock(call.at), by=one_line(call.by, 120))

    @property
    def call_wanted(self) -> bool:
        """Whether somebody should call now."""
        return not self.exercise and not self.calls and self.incident.police != "none"

    # who

    @property
    def informed(self) -> str:
        """The roles that are told with this mail, in their order."""
        return self.words.informed.format(roles=self._roles)

    @property
    def mailed(self) -> str:
        """The roles that mails were sent to so far, in their order: whether they came is not known here."""
        return self.words.mailed.format(roles=self._roles)

    @property
    def _roles(self) -> str:
        return ", ".join(dict.fromkeys(self.words.role(person.role) for person in self.incident.told))


_at = attrgetter("at")


def _other_places(incident: Incident) -> tuple[Place, ...]:
    own = incident.place
    named = [report.place for report in incident.reports if report.place is not None and report.place.location]
    return tuple(dict.fromkeys(place for place in named if place != own))
