"""The command `rufkette simulate`: from what was given to what is printed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic_core import to_json

from schemas.configuration import Configuration
from schemas.events import Event
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.policy import Rules
from services.common.configuration.file import ConfigurationError, load
from services.simulation.as_json import timeline_data
from services.simulation.compare import compare, comparison_data, comparison_table
from services.simulation.given import Description, Mistaken, as_ingest, described, from_file, warnings
from services.simulation.replay import TooMuch, simulate
from services.simulation.table import table
from services.simulation.timeline import Plan, Timeline


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for; `events` or a `description`, never both."""

    config: Path
    plan: Plan
    events: Path | None = None
    description: Description | None = None
    other: Path | None = None
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True)
class Answer:
    """What to print: `output` is the result, `warnings` are for the person who asked."""

    output: str
    warnings: tuple[str, ...]


def answer(request: Request, now: datetime) -> Answer:
    """Simulate.

    Args:
        request: what is asked for.
        now: the time of a described report that names none.

    Raises:
        ConfigurationError: with the mistakes of each configuration.
        Mistaken: what was given cannot be used.
    """
    configurations = _load(request.config, request.other)
    events, doubts = _events(request, configurations[0], now)
    try:
        timelines = [
            simulate(Rules(c, OfficeCalendar(c)), [as_ingest(event, c) for event in events], request.plan)
            for c in configurations
        ]
    except TooMuch as error:
        raise Mistaken(str(error)) from None
    doubts += _doubts(timelines, request.plan)
    if len(timelines) == 1:
        output = table(timelines[0]) if request.format == "text" else _json(timeline_data(timelines[0]))
    else:
        compared = compare(timelines[0], timelines[1])
        output = comparison_table(compared) if request.format == "text" else _json(comparison_data(compared))
    return Answer(output, tuple(doubts))


def _json(data: object) -> str:
    # The standard library indents in Python, several times slower.
    return to_json(data, indent=2).decode()


def _load(*files: Path | None) -> list[Configuration]:
    found, mistakes = [], []
    for file in files:
        if file is not None:
            try:
                found.append(load(file))
            except ConfigurationError as error:
                mistakes.append(error)
    if len(mistakes) == 1:
        raise mistakes[0]
    if mistakes:
        raise ConfigurationError([mistake for error in mistakes for mistake in error.mistakes])
    return found


def _events(request: Request, configuration: Configuration, now: datetime) -> tuple[list[Event], list[str]]:
    if request.events is None:
        if request.description is None:
            raise Mistaken("name a file of events, or describe a report with --site and --level", usage=True)
        event = described(request.description, configuration, now)
        return [event], warnings(request.description, configuration)
    if request.description is not None:
        raise Mistaken("give a file of events or a description, not both", usage=True)
    return from_file(request.events), []


def _doubts(timelines: list[Timeline], plan: Plan) -> Iterator[str]:
    for event_id in timelines[0].unheard:
        yield f"event {event_id[:60]!r} is about an incident that no report before it (or within 24 h after it) opened"
    mailed = {mail.address.casefold() for timeline in timelines for mail in timeline.mails}
    for address in sorted(plan.undeliverable - mailed):
        yield f"--undeliverable {address}: nothing is sent there"
