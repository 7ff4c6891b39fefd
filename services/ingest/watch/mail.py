"""What the watch writes: subject, plain text and HTML about reports that nobody heard of. No clock, no I/O."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr
from uuid import NAMESPACE_OID
from zoneinfo import ZoneInfo

from schemas.configuration import Configuration, Location, Person, Site
from schemas.events import Event, Kind, PoliceWish, Reported
from schemas.ids import named_id
from schemas.phones import dialled
from schemas.spoken_address import spoken_address
from services.common.mail.threads import thread_of
from services.ingest.watch.words import WORDS, WatchWords

_UNKNOWN_LEVEL = 2
_MOST_THREADS = 10
"""Header lines must stay short; the gravest come first."""
_PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body{{font:17px/1.45 system-ui,sans-serif;margin:16px auto;max-width:36em;padding:0 12px}}
p{{margin:0 0 14px;white-space:pre-line;overflow-wrap:anywhere}}.first{{font-size:21px;font-weight:700}}
.urgent{{border-left:6px solid #c62828;padding-left:10px;font-weight:600}}
.call{{display:block;background:#c62828;color:#fff;padding:14px;text-align:center;font-weight:700;text-decoration:none}}</style></head><body>{body}</body></html>"""


@dataclass(frozen=True, slots=True)
class Written:
    """One mail's content, the same for all its recipients."""

    subject: str
    text: str
    html: str
    level: int | None
    event_ids: tuple[str, ...]


def known_site(event: Event, configuration: Configuration) -> str | None:
    """The configured site of a report; None stands for all others."""
    return event.data.site if event.data.site in configuration.sites else None


def contacts(site: str | None, configuration: Configuration) -> tuple[str, ...]:
    """The emergency contacts of the site, else of the organisation."""
    own = configuration.sites[site].emergency if site is not None else ()
    return tuple(dict.fromkeys(own or configuration.organisation.emergency))


def write(events: Sequence[Event], site_id: str | None, configuration: Configuration) -> Written:
    """The mail about real reports of one site (at least one), the gravest first."""
    site = configuration.sites[site_id] if site_id is not None else None
    organisation = configuration.organisation
    language = (site.language if site else None) or organisation.language
    words = WORDS[language]
    reports = sorted(((event, _report(event)) for event in events), key=lambda pair: (-_weight(pair[1]), pair[0].time))
    zone = ZoneInfo((site.timezone if site else None) or organisation.timezone)
    full = configuration.mail.details == "full"
    gravest = reports[0][1]
    police = site.police.phone if site else "110"
    urgent = any(_is_urgent(report) for _, report in reports)
    lines = [_first_line(event, report, site, zone, words) for event, report in reports]
    details = [_details(report, words, full=full) for _, report in reports]
    paragraphs = [lines[0], f"{words.real}. {details[0]}"]
    if len(reports) > 1:
        listed = [f"• {line}\n  {detail}" for line, detail in zip(lines, details, strict=True)]
        paragraphs.append("\n".join([words.reports.format(count=len(reports)), *listed]))
    places = dict.fromkeys(_place(report, site, words) for _, report in reports)
    street, entrance = spoken_address(site.address if site else None)
    where = street or (site.name if site else None)
    what = ", ".join(filter(None, [organisation.name, where, "; ".join(places), entrance]))
    paragraphs.append((words.urgent if urgent else words.act).format(police=police))
    if any(report.police is PoliceWish.CALLED for _, report in reports):
        paragraphs.append(words.called.format(police=police))
    paragraphs.append(words.say.format(police=police, what=what))
    if site is not None and site.hint:
        paragraphs.append(site.hint)
    people = _reached(site, configuration)
    paragraphs += [words.broken, _phones(people, words), words.again, words.nobody_reads]
    subject = _subject(gravest, len(reports), site, police if urgent else None, words)
    call = ""
    if number := dialled(police):
        call = f'<p><a class="call" href="tel:{number}">{html.escape(words.call.format(police=police))}</a></p>'
    body = _html(paragraphs, call, [person.phone for person in people if person.phone])
    page = _PAGE.format(lang=language, body=body)
    return Written(
        subject, "\n\n".join(paragraphs) + "\n", page, gravest.danger_level, tuple(event.id for event, _ in reports)
    )


def message(written: Written, sender: str, recipient: str, mail_id: str, now: datetime, attempt: int) -> bytes:
    """The mail as bytes; the same `mail_id` and recipient always have the same Message-ID."""
    mime = MIMEMultipart("alternative")
    domain = parseaddr(sender)[1].rpartition("@")[2]
    # A report's id is that of the incident that it opens: so the normal alarm follows in the same thread.
    threads = [thread_of(event_id, domain) for event_id in written.event_ids[:_MOST_THREADS]]
    unique = named_id(NAMESPACE_OID, f"{mail_id}:{recipient}")
    headers = {
        "Date": format_datetime(now),
        "From": sender,
        "To": formataddr(("", recipient)),
        "Subject": "".join(character if character.isprintable() else " " for character in written.subject),
        "Message-ID": f"<{unique}@{domain}>",
        "In-Reply-To": threads[0],
        "References": " ".join(threads),
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "Importance": "high",
        "X-Rufkette-Level": "unknown" if written.level is None else str(written.level),
        "X-Rufkette-Emergency": mail_id,
        "X-Rufkette-Attempt": str(attempt),
    }
    for name, value in headers.items():
        mime[name] = value
    mime.attach(MIMEText(written.text, "plain", "utf-8"))
    mime.attach(MIMEText(written.html, "html", "utf-8"))
    return mime.as_bytes()


def _report(event: Event) -> Reported:
    assert isinstance(event.data, Reported)
    return event.data


def _weight(report: Reported) -> int:
    if not report.acute:
        return 0
    return _UNKNOWN_LEVEL if report.danger_level is None else report.danger_level


def _is_urgent(report: Reported) -> bool:
    """Whether 110 may be needed: ingest knows no rules, so rather once too often."""
    return _weight(report) >= _UNKNOWN_LEVEL or report.police is PoliceWish.WANTED or report.kind is Kind.PANIC


def _location(report: Reported, site: Site | None) -> Location | None:
    if site is None or report.location is None:
        return None
    return site.location_named(report.location)


def _place(report: Reported, site: Site | None, words: WatchWords) -> str:
    location = _location(report, site)
    if location is not None:
        return ", ".join(filter(None, [location.name, location.floor]))
    return report.location or report.device_id or words.place_unknown


def _first_line(event: Event, report: Reported, site: Site | None, zone: ZoneInfo, words: WatchWords) -> str:
    at = event.time.astimezone(zone)
    time = words.time.format(clock=f"{at:%H:%M}", day=at.day, month=at.month)
    name = site.name if site else report.site_text or report.site or words.site_unknown
    return f"{_place(report, site, words)}, {name} – {time}"


def _details(report: Reported, words: WatchWords, *, full: bool) -> str:
    known = report.danger_level is not None
    level = words.level.format(level=report.danger_level) if known else words.level_unknown
    parts = [level[0].upper() + level[1:] + (f": {words.category[report.category]}." if report.category else ".")]
    if report.kind is Kind.PANIC:
        parts.append(words.silent)
    if full:
        parts += [text for text in (report.description, report.reported_by) if text]
    return " ".join(parts)


def _reached(site: Site | None, configuration: Configuration) -> Sequence[Person]:
    """Whoever can be reached by phone, each once."""
    roles = {**configuration.roles, **(site.people if site else {})}
    return list(dict.fromkeys(person for role in roles.values() for person in role.people if person.phone))


def _phones(people: Sequence[Person], words: WatchWords) -> str:
    lines = [_phone(person) for person in people]
    return "\n".join([words.phone, *lines]) if lines else words.no_phones


def _phone(person: Person) -> str:
    return f"{person.name or person.email}: {person.phone}"


def _subject(gravest: Reported, count: int, site: Site | None, police: str | None, words: WatchWords) -> str:
    location = _location(gravest, site)
    place = (location.short or location.name) if location else gravest.location or words.place_unknown
    name = (site.short or site.name) if site else words.site_unknown
    more = f" +{count - 1}" if count > 1 else ""
    category = words.category[gravest.category] if gravest.category else None
    first = f"{words.levels[_weight(gravest)]} {place} {name}{more}"
    return " · ".join(filter(None, [first, category, police, words.mark]))


def _html(paragraphs: Sequence[str], call: str, phones: Sequence[str]) -> str:
    """The button to call the police follows what happened; numbers that are configured can be tapped."""
    classes = {0: ' class="first"', 1: ' class="urgent"'}
    parts = [f"<p{classes.get(number, '')}>{html.escape(text)}</p>" for number, text in enumerate(paragraphs)]
    parts = [_tappable(part, phones) for part in parts]
    return "".join([*parts[:2], call, *parts[2:]])


def _tappable(part: str, phones: Sequence[str]) -> str:
    for phone in dict.fromkeys(filter(dialled, phones)):
        shown = html.escape(phone)
        line = re.compile(f"(?<=: ){re.escape(shown)}(?=\n|</p>)")  # all of it: one number may begin as another does
        part = line.sub(f'<a href="tel:{dialled(phone)}">{shown}</a>', part)
    return part
