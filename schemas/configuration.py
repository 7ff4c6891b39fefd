"""The organisation's configuration (YAML): who works where, which sources report, who is told when.

Shapes only, as the contract with office administrators; docs/configuration.md explains each with an example.
Unknown keys are refused, so that a typo is a mistake with a place and not an option that is silently ignored.
"""

from datetime import date, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from schemas.configuration_sources import Source, normalise_device_id
from schemas.configuration_values import Address, Duration, Level, Line, Model, Sha256, Zone
from schemas.events import Category, Kind, Mode, PoliceWish
from schemas.places import normalise_place


def _as_tuple(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


Hours = Literal["open", "closed"]
Language = Literal["de", "en"]
Details = Literal["link", "full"]
PoliceFlag = Literal["none", "advised", "urgent"]


class Person(Model):
    """Somebody who can be told; in YAML also the address alone."""

    email: Address
    name: Line | None = None
    phone: Line | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_address(cls, value: Any) -> Any:
        return {"email": value} if isinstance(value, str) else value


class Role(Model):
    """People of a role, and when they are present (always, if `when` is absent)."""

    people: tuple[Person, ...] = ()
    when: Hours | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"people": value} if isinstance(value, list) else value


class Location(Model):
    """A room or zone of a site."""

    id: Line
    name: Line
    short: Line | None = None
    floor: Line | None = None
    aliases: tuple[Line, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Id, name, short name and aliases."""
        return (self.id, self.name, self.short or self.name, *self.aliases)


class Police(Model):
    """What to call from this site."""

    station: Line | None = None
    phone: Line = "110"


class Site(Model):
    """An office building."""

    name: Line
    short: Line | None = None
    address: Line | None = None
    hint: Line | None = None
    locations: tuple[Location, ...] = ()
    opening_hours: str | None = None
    closed: tuple[date, ...] = ()
    open_on_holidays: bool = False
    timezone: Zone | None = None
    holidays: str | None = None
    language: Language | None = None
    police: Police = Police()
    people: dict[str, Role] = {}
    emergency: tuple[Address, ...] = ()

    def location_named(self, text: str) -> Location | None:
        """The first location that the text means; None: it stands for itself."""
        return self._by_name.get(normalise_place(text))

    @cached_property
    def _by_name(self) -> dict[str, Location]:
        """Each report asks several times, and there may be hundreds of rooms."""
        return {normalise_place(name): location for location in reversed(self.locations) for name in location.names}


class Maintenance(Model):
    """Who hears of devices that are silent or whose battery is low; changes are collected for `collect`."""

    role: Line = "site_management"
    collect: Duration = timedelta(minutes=1)


class Organisation(Model):
    """Defaults for every site."""

    name: Line
    timezone: Zone = "Europe/Berlin"
    language: Language = "de"
    holidays: str | None = None
    emergency: Annotated[tuple[Address, ...], Field(min_length=1)]
    maintenance: Maintenance = Maintenance()
    operator_key_sha256: Sha256 | None = None


class When(Model):
    """Conditions of a rule; all must hold, a list means any of its values."""

    danger_level: Annotated[tuple[Level, ...] | None, BeforeValidator(_as_tuple)] = None
    category: Annotated[tuple[Category, ...] | None, BeforeValidator(_as_tuple)] = None
    site: Annotated[tuple[str, ...] | None, BeforeValidator(_as_tuple)] = None
    source: Annotated[tuple[str, ...] | None, BeforeValidator(_as_tuple)] = None
    kind: Annotated[tuple[Kind, ...] | None, BeforeValidator(_as_tuple)] = None
    mode: Annotated[tuple[Mode, ...] | None, BeforeValidator(_as_tuple)] = None
    police: Annotated[tuple[PoliceWish, ...] | None, BeforeValidator(_as_tuple)] = None
    hours: Annotated[tuple[Hours, ...] | None, BeforeValidator(_as_tuple)] = None
    acute: bool | None = None


class Rule(Model):
    """First match wins."""

    name: Line
    policy: str
    police: PoliceFlag = "none"
    when: When = When()


class Step(Model):
    """Roles told `after` the opening (or the restart) of an incident that nobody has taken over."""

    after: Duration
    tell: Annotated[tuple[str, ...], Field(min_length=1)]


class Policy(Model):
    """An escalation policy. It never ends by itself: the last step is repeated until someone acknowledges.

    `acknowledged_for` absent: 30 minutes, or until the next opening for `repeat: next_opening`.
    """

    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    repeat: Duration | Literal["next_opening"]
    acknowledged_for: Duration | None = None

    @model_validator(mode="before")
    @classmethod
    def _repeat(cls, value: Any) -> Any:
        if isinstance(value, dict) and "repeat" not in value:
            raise ValueError("has no `repeat`: an alarm must never end by itself; write for example repeat: 5m")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> "Policy":
        afters = [step.after for step in self.steps]
        if afters != sorted(afters):
            raise ValueError("steps must be in the order of their `after`")
        if isinstance(self.repeat, timedelta) and self.repeat < timedelta(seconds=10):
            raise ValueError("repeat must be at least 10s")
        return self


class Merge(Model):
    """When a second report joins an open incident: same place and mode, not later than this."""

    within: Duration = timedelta(minutes=10)


class MailRules(Model):
    """`link`: place, level, category, time. `full`: also description and names."""

    details: Details = "link"
    roles: dict[str, Details] = {}


class Retention(Model):
    """Counted from closing."""

    personal_data: Duration = timedelta(days=180)
    incidents: Duration = timedelta(days=3650)


class Configuration(Model):
    """The whole file."""

    organisation: Organisation
    sites: dict[str, Site]
    roles: dict[str, Role] = {}
    sources: dict[str, Source] = {}
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    policies: dict[str, Policy]
    merge: Merge = Merge()
    mail: MailRules = MailRules()
    retention: Retention = Retention()

    @cached_property
    def register(self) -> dict[str, tuple[str, str]]:
        """Every device by normalised id: the key of its source, and its id as it stands there."""
        return {
            normalise_device_id(device_id): (key, device_id)
            for key, source in self.sources.items()
            for device_id in source.devices
        }
