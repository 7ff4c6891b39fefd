"""Rules as the core sees them: the configuration with a calendar, and the questions asked of it."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from schemas.configuration import Configuration, Language, Location, Site
from services.alerting.core.incident import Recipient

EMERGENCY_ROLE = "emergency"
_ROOM_WORDS = re.compile(r"^(zimmer|zi|raum|rm|room|büro|office)\b\.?\s*", re.IGNORECASE)


class Calendar(Protocol):
    """When a site is open; deterministic in its arguments."""

    def is_open(self, site: str | None, now: datetime) -> bool:
        """Whether the office is open at `now`; a site without opening hours (or unknown) counts as open."""

    def next_opening(self, site: str | None, now: datetime) -> datetime:
        """The next instant after `now` at which the office opens."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that `decide` may look up."""

    configuration: Configuration
    calendar: Calendar

    def site(self, key: str | None) -> Site | None:
        """The configured site, or None for an unknown one."""
        return None if key is None else self.configuration.sites.get(key)

    def language(self, key: str | None) -> Language:
        """Language of mails and pages for a site."""
        site = self.site(key)
        return (site.language if site else None) or self.configuration.organisation.language

    def zone(self, key: str | None) -> ZoneInfo:
        """Local time of a site."""
        site = self.site(key)
        return ZoneInfo((site.timezone if site else None) or self.configuration.organisation.timezone)

    def location(self, key: str | None, text: str | None) -> Location | None:
        """The configured location that a text means: by id, name, short name or alias, however spelt."""
        site = self.site(key)
        if site is None or text is None:
            return None
        wanted = normalise_place(text)
        for location in site.locations:
            names = (location.id, location.name, location.short or location.name, *location.aliases)
            if wanted in {normalise_place(name) for name in names}:
                return location
        return None

    def people(self, key: str | None, role: str, now: datetime) -> tuple[Recipient, ...]:
        """Who of a role is present at this moment: the site's own people, else the organisation's."""
        site = self.site(key)
        found = (site.people.get(role) if site else None) or self.configuration.roles.get(role)
        if found is None:
            return ()
        if found.when is not None and (found.when == "open") != self.calendar.is_open(key, now):
            return ()
        return tuple(Recipient(email=p.email, role=role, name=p.name) for p in found.people)

    def emergency(self, key: str | None) -> tuple[Recipient, ...]:
        """The emergency contacts of a site, else the organisation's."""
        site = self.site(key)
        addresses = (site.emergency if site else ()) or self.configuration.organisation.emergency
        return tuple(Recipient(email=address, role=EMERGENCY_ROLE) for address in addresses)

    def details(self, role: str) -> str:
        """`full` or `link`: whether mails to a role may carry description and names."""
        return self.configuration.mail.roles.get(role, self.configuration.mail.details)


def normalise_place(text: str) -> str:
    """`Zi. 112`, `Raum 112` and `112` are one place."""
    folded = " ".join(text.split()).casefold()
    return re.sub(r"[\s._-]", "", _ROOM_WORDS.sub("", folded) or folded)
