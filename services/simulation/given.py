"""Where a simulation's events come from: a file with one event a line, or a description on the command line."""

import difflib
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from schemas.configuration import Configuration
from schemas.configuration_sources import normalise_device_id
from schemas.configuration_values import parse_duration
from schemas.events import Category, Event, Kind, Mode, PoliceWish, Reported, is_in_range
from schemas.structured import UnreadableLine, parse_lines

_STDIN: Final = Path("-")


class Mistaken(ValueError):
    """Something that was given cannot be used; `usage` tells an option from a file."""

    def __init__(self, message: str, *, usage: bool = False) -> None:
        self.usage = usage
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Description:
    """One report as the options of the command line describe it; None where an option is absent."""

    site: str | None = None
    location: str | None = None
    device: str | None = None
    level: int | None = None
    category: Category | None = None
    kind: Kind | None = None
    source: str | None = None
    acute: bool | None = None
    police: PoliceWish | None = None
    mode: Mode | None = None
    at: str | None = None


def duration(text: str, option: str) -> timedelta:
    """A number of minutes, or a duration as in the configuration (`90s`, `2h`).

    Raises:
        Mistaken: it is neither, or longer than ten years.
    """
    try:
        found = parse_duration(text if text[-1:] in set("ydhms") else f"{int(text)}m")
        if isinstance(found, timedelta) and timedelta() <= found <= timedelta(days=3653):
            return found
    except (ValueError, OverflowError):
        pass
    raise Mistaken(f"{option} {text}: expected minutes such as 5, or a duration such as 90s or 2h", usage=True)


Choice = TypeVar("Choice", bound=StrEnum)


def choice(kind: type[Choice], text: str | None, option: str) -> Choice | None:
    """The value that a text names.

    Raises:
        Mistaken: there is no such value.
    """
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        close = difflib.get_close_matches(text, list(kind), n=1)
        perhaps = f" (did you mean {close[0]}?)" if close else ""
        raise Mistaken(f"{option} {text}: expected one of {', '.join(kind)}{perhaps}", usage=True) from None


def from_file(path: Path) -> list[Event]:
    """The events of a file (`-`: of standard input), in its order.

    Raises:
        Mistaken: the file cannot be read, or a line of it is no event; the message names both.
    """
    name = "standard input" if path == _STDIN else str(path)
    events = []
    try:
        lines = sys.stdin.buffer.readlines() if path == _STDIN else path.read_bytes().splitlines(keepends=True)
        for number, event in parse_lines(lines):
            if not is_in_range(event.time):
                raise UnreadableLine(number, "time: is out of range; expected a year from 1970 to 2899")
            events.append(event)
    except UnreadableLine as error:
        raise Mistaken(f"{name}:{error.line}: {error.why}") from None
    except OSError as error:
        raise Mistaken(f"{name}: cannot be read: {error.strerror}") from None
    if not events:
        raise Mistaken(f"{name}: has no events; expected one CloudEvent (JSON) a line")
    return events


def described(description: Description, configuration: Configuration, now: datetime) -> Event:
    """The report that a description means, as ingest would have understood it: a device's place is its registered one.

    Raises:
        Mistaken: an option names what is not configured, or the time cannot be read.
    """
    source, site, location = _origin(description, configuration)
    if site is None:
        raise Mistaken("name a --site, or a --device that the configuration knows", usage=True)
    known = site in configuration.sites
    kind = description.kind or (configuration.sources[source].kind if source else Kind.MANUAL)
    data = Reported(
        kind=kind,
        site=site if known else None,
        site_text=None if known else site,
        location=location,
        device_id=description.device,
        danger_level=description.level,
        category=description.category,
        acute=True if description.acute is None else description.acute,
        police=description.police or PoliceWish.NONE,
        mode=description.mode or Mode.ACTUAL,
    )
    zone = configuration.sites[site].timezone if known else None
    at = _time(description.at, ZoneInfo(zone or configuration.organisation.timezone), now)
    return Event(id="described", source=source or "simulation", time=at, data=data)


def as_ingest(event: Event, configuration: Configuration) -> Event:
    """With the mark that ingest gives the reports of a learning source, and takes from those of all others."""
    source = configuration.sources.get(event.source)
    learning = bool(source and source.learn)
    if not isinstance(event.data, Reported) or event.imported or event.data.learning == learning:
        return event
    return event.model_copy(update={"data": event.data.model_copy(update={"learning": learning})})


def _origin(description: Description, configuration: Configuration) -> tuple[str | None, str | None, str | None]:
    """Source, site and location: from the register if it knows the device, else as described."""
    source = description.source
    if source is not None and source not in configuration.sources:
        raise Mistaken(f"--source {source}: is not configured{_close(source, list(configuration.sources))}", usage=True)
    if description.device is not None:
        wanted = normalise_device_id(description.device)
        for name, configured in configuration.sources.items():
            device = configured.register.get(wanted)
            if device is not None and source in {None, name}:
                return name, device.site, device.location
    if source is None:
        kind = description.kind or Kind.MANUAL
        source = next((name for name, one in configuration.sources.items() if one.kind is kind), None)
    return source, description.site, description.location


def warnings(description: Description, configuration: Configuration) -> list[str]:
    """What may have been meant otherwise, though it can be simulated."""
    found = []
    site = description.site
    if site is not None and site not in configuration.sites:
        found.append(f"--site {site}: is not configured{_close(site, list(configuration.sites))}")
    if description.device is not None:
        source, place, _ = _origin(description, configuration)
        register = configuration.sources[source].register if source else {}
        if normalise_device_id(description.device) not in register:
            found.append(f"--device {description.device}: is in no register, so its place is the one given")
        elif site is not None and place != site:
            found.append(f"--site {site}: the device is registered at {place}, and that counts")
    return found


def _close(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    names = ", ".join(known) or "none"
    return f" (did you mean {close[0]}?)" if close else f"; configured: {names}"


def _time(text: str | None, zone: ZoneInfo, now: datetime) -> datetime:
    """`2026-01-05T22:30`, `2026-01-05 22:30` or `22:30` (today), local to the site unless it has an offset."""
    if text is None:
        return now.replace(second=0, microsecond=0)
    today = now.astimezone(zone).date().isoformat()
    try:
        found = datetime.fromisoformat(f"{today}T{text}" if len(text) <= 8 and ":" in text else text)
        found = (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
        if is_in_range(found):
            return found
    except (ValueError, OverflowError):
        pass
    raise Mistaken(f"--at {text}: expected a time such as 2026-01-05T22:30, or 22:30 for today", usage=True)
