"""The mail to the emergency contacts when an alarm mail could not be written or sent.

Kept apart from the other mails, plain, and without anything that a sender wrote: what broke them must not break this.
"""

from dataclasses import dataclass

from schemas.events import Mode
from services.alerting.core.incident import Incident
from services.alerting.core.policy import Rules
from services.alerting.core.telling import LANGUAGES
from services.alerting.core.texts.unsendable import WORDS


@dataclass(frozen=True, slots=True)
class Plain:
    """A mail without HTML."""

    subject: str
    text: str


def unsendable(incident: Incident, rules: Rules, link: str) -> Plain:
    """Place, time, incident code and link. A room is named only as the configuration names it."""
    language = rules.language(incident.site)
    words, general = WORDS[language], LANGUAGES[language]
    site = rules.site(incident.site)
    room = next((room for room in site.locations if room.id == incident.location), None) if site else None
    exercise = incident.mode is Mode.EXERCISE
    acute = general.subject_by_level[incident.level] if incident.acute else general.subject_not_acute
    word = general.subject_exercise if exercise else acute
    where = (site.short or site.name) if site else general.site_unknown
    short = f"{room.short or room.name} {where}" if room else where
    full = (room.name, room.floor, site.name) if room and site else (site.name if site else where,)
    place = ", ".join(part for part in full if part)
    opened = incident.opened_at.astimezone(rules.zone(incident.site))
    lines = [
        f"{place} – {general.at.format(time=f'{opened:%H:%M}')}",
        *([general.exercise.format(phone=site.police.phone if site else "110")] if exercise else []),
        words.what,
        "",
        words.to_do,
        link,
        "",
        general.reference.format(code=incident.code),
    ]
    subject = f"{word} {short} · {words.subject}"
    return Plain(" ".join(subject.split())[:200], "\n".join(lines) + "\n")
