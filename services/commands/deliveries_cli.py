"""`rufkette deliveries`: who was mailed what, when, with which answer."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from services.commands.options import DataDir


def deliveries(
    incident: Annotated[
        str | None, typer.Option(metavar="ID", help="One incident: its full id, or the code that its mails show.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only since then: 2h, 3d, 2026-01-05 or 2026-01-05T08:00 (local time).")
    ] = None,
    format: Annotated[str, typer.Option(help="text, csv or json.")] = "text",  # noqa: A002 - the option's name
    limit: Annotated[int, typer.Option(min=1, help="At most so many mails, the newest.")] = 100,
    data_dir: DataDir = Path("var"),
) -> None:
    """List who was mailed what, when, with which answer of which mail server.

    Uses RUFKETTE_CONFIG and RUFKETTE_DATABASE_URL, or the stack that runs in the data directory.
    """
    from services.commands.deliveries_command import DeliveriesFailed, Wish, run
    from services.commands.office import OfficeSettings
    from services.common.configuration.file import ConfigurationError
    from services.embedded.neighbour import load_beside

    try:
        answer = run(Wish(incident, since, format, limit), load_beside(OfficeSettings, data_dir), datetime.now(UTC))
    except ConfigurationError as error:
        print("\n".join(map(str, error.mistakes)), file=sys.stderr)
        raise typer.Exit(1) from None
    except DeliveriesFailed as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2 if error.usage else 1) from None
    print(answer.output)
    if answer.remark is not None:
        print(answer.remark, file=sys.stderr)
