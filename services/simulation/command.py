"""The options of `rufkette simulate` as they come from the command line, understood."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from schemas.events import Category, Kind, Mode, PoliceWish
from services.simulation.given import Description, Mistaken, choice, duration
from services.simulation.simulate import Request
from services.simulation.timeline import Plan


def request(config: Path, events: Path | None, other: Path | None, options: Mapping[str, Any]) -> Request:
    """What is asked for.

    Args:
        config: the configuration.
        events: a file of events, `-` for standard input, or None.
        other: a configuration to compare with, or None.
        options: the options by name without dashes; None or empty where one is absent.

    Raises:
        Mistaken: an option has a value that it cannot have.
    """
    return Request(config, _plan(options), events, _description(options), other, _format(options["format"]))


def _format(name: str) -> Literal["text", "json"]:
    if name == "json":
        return "json"
    if name == "text":
        return "text"
    raise Mistaken(f"--format {name}: expected text or json", usage=True)


def _plan(options: Mapping[str, Any]) -> Plan:
    spans = {
        name: None if (text := options[name]) is None else duration(text, f"--{name.replace('_', '-')}")
        for name in ("acknowledge_at", "close_at", "until")
    }
    refused: Sequence[str] = options["undeliverable"] or ()
    return Plan(
        acknowledge_after=spans["acknowledge_at"],
        close_after=spans["close_at"],
        until=spans["until"],
        undeliverable=frozenset(address.casefold() for address in refused),
    )


def _description(options: Mapping[str, Any]) -> Description | None:
    description = Description(
        site=options["site"],
        location=options["location"],
        device=options["device"],
        level=options["level"],
        category=choice(Category, options["category"], "--category"),
        kind=choice(Kind, options["kind"], "--kind"),
        source=options["source"],
        acute=options["acute"],
        police=choice(PoliceWish, options["police"], "--police"),
        mode=choice(Mode, options["mode"], "--mode"),
        at=options["at"],
    )
    return None if description == Description() else description
