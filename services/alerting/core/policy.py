"""Rules as the core sees them: the configuration with a calendar, and the questions asked of it."""

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from schemas.configuration import Configuration, Language, Location, Policy, Rule, Site, When
from schemas.configuration_sources import normalise_device_id
from schemas.events import Category, Event, Kind, Mode, PoliceWish, Reported
from services.alerting.core.incident import UNKNOWN_LEVEL_COUNTS_AS, LevelFrom, Recipient
from services.alerting.core.plans import Plans

EMERGENCY_ROLE = "emergency"
LEARNING_ROLE = "learning"


class Calendar(Protocol):
    """When a site is open; deterministic in its arguments."""

    def is_open(self, site: str | None, now: datetime) -> bool:
        """Whether the office is open at `now`; a site without opening hours (or unknown) counts as open."""

    def next_opening(self, site: str | None, now: datetime) -> datetime:
        """When the office opens on its next opening day after today."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that `decide` may look up."""

    configuration: Configuration
    calendar: Calendar
    plans: Plans = field(default_factory=Plans)
    """Announced tests and silences that are known now."""

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
        return site.location_named(text)

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

    def learns(self, event: Event) -> bool:
        """Whether a report is one of a source in learning mode.

        Both must say so: the event, and the configuration that is in force here. If either does not, it alarms; so a
        forged mark hides nothing. What a file tells of the past alarms nobody anyway, so its word does.
        """
        if not isinstance(event.data, Reported) or not event.data.learning:
            return False
        return event.imported or self.test_recipient(event.source) is not None

    def test_recipient(self, source: str) -> Recipient | None:
        """Who alone is told of what a learning source reports; None: the source does not learn."""
        found = self.configuration.sources.get(source)
        if found is None or not found.learn or found.test_address is None:
            return None
        return Recipient(email=found.test_address, role=LEARNING_ROLE)

    def details(self, role: str) -> str:
        """`full` or `link`: whether mails to a role may carry description and names."""
        return self.configuration.mail.roles.get(role, self.configuration.mail.details)


def device_key(device_id: str) -> str:
    """The same for one device however it is spelt, also for one that no register knows."""
    return f"device/{normalise_device_id(device_id)}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules ask about a report or an incident."""

    site: str | None
    source: str
    kind: Kind
    mode: Mode
    category: Category | None
    level: int
    acute: bool
    police: PoliceWish


def first_match(rules: Rules, facts: Facts, now: datetime) -> tuple[Rule, Policy]:
    """The first rule whose conditions all hold, with its policy; a configuration always ends with a catch-all.

    Raises:
        LookupError: no rule matched, which the loader of configurations refuses beforehand.
    """
    for rule in rules.configuration.rules:
        if _matches(rule.when, rules, facts, now):
            return rule, rules.configuration.policies[rule.policy]
    raise LookupError("no rule matches and there is no catch-all")


def _matches(when: When, rules: Rules, facts: Facts, now: datetime) -> bool:
    asked: tuple[tuple[Container[object] | None, object], ...] = (
        (when.danger_level, facts.level),
        (when.category, facts.category),
        (when.site, facts.site),
        (when.source, facts.source),
        (when.kind, facts.kind),
        (when.mode, facts.mode),
        (when.police, facts.police),
    )
    if any(wanted is not None and value not in wanted for wanted, value in asked):
        return False
    if when.acute is not None and when.acute is not facts.acute:
        return False
    # The calendar last: it is the only condition that costs more than a comparison.
    return when.hours is None or ("open" if rules.calendar.is_open(facts.site, now) else "closed") in when.hours


CATEGORY_LEVELS: Final[dict[Category, int]] = {
    Category.INSULT: 0,
    Category.HOUSE_RULES: 0,
    Category.PROPERTY_DAMAGE: 1,
    Category.THREAT: 2,
    Category.ASSAULT: 2,
    Category.SELF_HARM_THREAT: 2,
    Category.WEAPON: 3,
    Category.BOMB_THREAT: 3,
}
"""Danger level of a category where the report names none, by the Aachener Modell; `other` says nothing."""


def level_of(report: Reported, rules: Rules, source: str) -> tuple[int | None, LevelFrom]:
    """The danger level and where it comes from: the report, else its category, else the source's default.

    The category of a press can only raise what an unknown level counts as: a press is never taken lightly.
    """
    if report.danger_level is not None:
        return report.danger_level, LevelFrom(report.kind.value)
    by_category = CATEGORY_LEVELS.get(report.category) if report.category else None
    if by_category is not None and not (report.kind is Kind.PANIC and by_category < UNKNOWN_LEVEL_COUNTS_AS):
        return by_category, LevelFrom.CATEGORY
    configured = rules.configuration.sources.get(source)
    if configured is not None and configured.danger_level is not None:
        return configured.danger_level, LevelFrom.SOURCE
    return None, LevelFrom.UNKNOWN
