"""Mails about devices: who gets them, and what they say. Their subjects never begin like an alarm's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.alerting.core.devices import Known, News, look_up
from services.alerting.core.incident import Recipient
from services.alerting.core.plain_text import one_line
from services.alerting.core.policy import Rules
from services.alerting.core.telling import LANGUAGES
from services.alerting.core.texts.maintenance import WORDS, MaintenanceWords

SUBJECT_LIMIT = 200
_MOST_DEVICES = 200
_UNITS = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A device as it was when its change was told; `id` is normalised."""

    id: str
    last_seen_at: datetime | None
    battery: float | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One mail: the same news of one device or several of a site."""

    site: str
    news: News
    devices: tuple[Snapshot, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A mail about devices: one line of subject, and plain text."""

    subject: str
    body: str


def caretakers(rules: Rules, site: str) -> tuple[Recipient, ...]:
    """Who hears of a site's devices: the role of `maintenance`, present or not, else the emergency contacts."""
    configuration = rules.configuration
    role = configuration.organisation.maintenance.role
    configured = rules.site(site)
    found = (configured.people.get(role) if configured else None) or configuration.roles.get(role)
    people = tuple(Recipient(person.email, role, person.name) for person in found.people) if found else ()
    return people or rules.emergency(site)


def compose(notice: Notice, rules: Rules, now: datetime) -> Text:
    """The mail in the language and local time of the site."""
    telling = _Telling(rules, notice.site, now, WORDS[rules.language(notice.site)])
    lines = [telling.device(snapshot, notice.news) for snapshot in notice.devices[:_MOST_DEVICES]]
    if len(notice.devices) > _MOST_DEVICES:
        lines.append(telling.words.more.format(count=len(notice.devices) - _MOST_DEVICES))
    advice = [telling.words.to_do[notice.news]]
    if notice.news is News.SILENT and len(notice.devices) > 1:
        advice.append(telling.words.gateway)
    blocks = (*lines, "\n".join(advice), telling.words.no_incident)
    return Text(telling.subject(notice), "\n\n".join(blocks) + "\n")


@dataclass(frozen=True, slots=True)
class _Telling:
    rules: Rules
    site: str
    now: datetime
    words: MaintenanceWords

    def subject(self, notice: Notice) -> str:
        words, site = self.words, self.rules.site(notice.site)
        short = (site.short or site.name) if site else notice.site
        known = [look_up(self.rules.configuration, device.id) for device in notice.devices]
        if len(notice.devices) > 1:
            what = words.several[notice.news].format(count=len(known), devices=kind_of(known, words)[1])
            return one_line(f"{words.subject_word} {short} · {what}", SUBJECT_LIMIT)
        (snapshot,), (device,) = notice.devices, known
        name = f"{kind_of(known, words)[0]} {device.id if device else snapshot.id}"
        room = short_room(device, self.rules) if device else None
        place = " ".join(part for part in (words.subject_word, name, room, short) if part)
        return one_line(f"{place} · {words.one[notice.news]}", SUBJECT_LIMIT)

    def device(self, snapshot: Snapshot, news: News) -> str:
        known = look_up(self.rules.configuration, snapshot.id)
        head = f"{kind_of([known], self.words)[0]} {known.id if known else snapshot.id}"
        first = ", ".join(one_line(part) for part in (head, *self._place(known)) if part)
        return "\n".join((first, *self._facts(snapshot, known, news)))

    def _place(self, known: Known | None) -> Iterator[str]:
        if known is not None:
            room = self.rules.location(known.device.site, known.device.location)
            yield (room.name if room else known.device.location) or ""
            yield (room.floor if room else None) or ""
        site = self.rules.site(self.site)
        yield site.name if site else self.site

    def _facts(self, snapshot: Snapshot, known: Known | None, news: News) -> Iterator[str]:
        words = self.words
        if snapshot.last_seen_at is not None:
            yield words.last_seen.format(at=clock(snapshot.last_seen_at, self.rules, self.site, self.now))
        else:
            yield words.never_seen
        if news is News.SILENT and known is not None and known.every is not None:
            yield words.expected.format(every=duration(known.every, words))
        if snapshot.battery is not None:
            yield words.battery.format(percent=round(snapshot.battery * 100))


def kind_of(known: Sequence[Known | None], words: MaintenanceWords) -> tuple[str, str]:
    """Buttons, if all of them are panic buttons; else devices."""
    buttons = all(device is not None and device.source.kind.value == "panic" for device in known)
    return words.button if buttons else words.device


def short_room(known: Known, rules: Rules) -> str | None:
    """The device's room as a subject or a table can show it."""
    room = rules.location(known.device.site, known.device.location)
    return (room.short or room.name) if room else known.device.location


def clock(at: datetime, rules: Rules, site: str, now: datetime) -> str:
    """Local time of the site; with the date when that is not today."""
    local, today = (moment.astimezone(rules.zone(site)) for moment in (at, now))
    words = LANGUAGES[rules.language(site)]
    time = f"{local.hour:02}:{local.minute:02}"
    if local.date() != today.date():
        weekday = words.weekdays[local.weekday()]
        time = words.date.format(weekday=weekday, day=local.day, month=local.month, year=local.year, time=time)
    return words.at.format(time=time)


def duration(length: timedelta, words: MaintenanceWords) -> str:
    """For example `1 Tag 1 Std.`."""
    parts, left = [], length
    for unit, (one, several) in zip(_UNITS, words.every, strict=True):
        count, left = divmod(left, unit)
        if count:
            parts.append(f"{count} {one if count == 1 else several}")
    return " ".join(parts)
