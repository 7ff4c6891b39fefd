"""`rufkette simulate`: its options, and what goes to which stream. Modules are imported when it runs, as in cli.py."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.commands.exits import fail


def simulate(
    config: Annotated[Path, typer.Option(envvar="RUFKETTE_CONFIG", help="The configuration.")],
    events: Annotated[
        Path | None, typer.Argument(help="EVENTS.jsonl, one structured CloudEvent a line; - for standard input.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="Describes a report instead of EVENTS: its site.")] = None,
    location: Annotated[str | None, typer.Option(help='The room, for example "Zimmer 112".')] = None,
    device: Annotated[str | None, typer.Option(help="The button; its place comes from the configuration.")] = None,
    level: Annotated[int | None, typer.Option(min=0, max=3, help="Danger level.")] = None,
    category: Annotated[str | None, typer.Option(help="What happened, for example threat or weapon.")] = None,
    kind: Annotated[str | None, typer.Option(help="panic, form or manual; by default that of the source.")] = None,
    source: Annotated[str | None, typer.Option(help="A source of the configuration.")] = None,
    acute: Annotated[bool | None, typer.Option("--acute/--not-acute", help="Whether the danger lasts.")] = None,
    police: Annotated[str | None, typer.Option(help="none, wanted or called.")] = None,
    mode: Annotated[str | None, typer.Option(help="actual or exercise.")] = None,
    at: Annotated[str | None, typer.Option(help="Local time: 2026-01-05T22:30, or 22:30 for today; else now.")] = None,
    acknowledge_at: Annotated[
        str | None, typer.Option(metavar="N", help="A person takes over N minutes after the opening (or 90s, 2h).")
    ] = None,
    close_at: Annotated[str | None, typer.Option(metavar="N", help="A person closes it then.")] = None,
    undeliverable: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="Every mail to it is refused; repeatable.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="N", help="Look so far after the last event; else until two repeats.")
    ] = None,
    compare: Annotated[Path | None, typer.Option(metavar="OTHER", help="Show what this one would change.")] = None,
    format: Annotated[str, typer.Option(help="text or json.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Show who would be told what and when. Nothing is sent, and no service is needed."""
    options = dict(locals())
    from datetime import UTC, datetime

    from services.common import collector
    from services.common.configuration.file import ConfigurationError
    from services.simulation.command import request
    from services.simulation.given import Mistaken
    from services.simulation.simulate import answer

    collector.calm()
    try:
        found = answer(request(config, events, compare, options), datetime.now(UTC))
    except ConfigurationError as error:
        fail("\n".join(map(str, error.mistakes)), 1)
    except Mistaken as error:
        fail(str(error), 2 if error.usage else 1)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(found.output)
