"""`rufkette hold`, `end-hold` and `holds`: incidents that retention leaves alone."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.commands.exits import fail
from services.commands.options import DataDir

if TYPE_CHECKING:
    from services.commands.office import OfficeSettings

Incident = Annotated[str, typer.Argument(metavar="INCIDENT", help="Its code, as mails show it, or its full id.")]


def hold(
    incident: Incident,
    reason: Annotated[str, typer.Option(help="Why it must be kept; shown on the page.")],
    by: Annotated[str, typer.Option(help="Who says so; shown on the page.")],
    data_dir: DataDir = Path("var"),
) -> None:
    """Keep an incident: nothing of it is forgotten or deleted until the hold is ended.

    Uses RUFKETTE_CONFIG and RUFKETTE_DATABASE_URL, or the stack that runs in the data directory.
    """
    from services.alerting.desk.holds_form import Wish
    from services.commands.hold_command import place

    _run(lambda settings: place(Wish(incident=incident, reason=reason, name=by), settings), data_dir)


def end_hold(
    incident: Incident,
    by: Annotated[str, typer.Option(help="Who says so.")],
    data_dir: DataDir = Path("var"),
) -> None:
    """End a hold: retention has the incident again, and what is due goes within ten minutes.

    Uses RUFKETTE_CONFIG and RUFKETTE_DATABASE_URL, or the stack that runs in the data directory.
    """
    from services.alerting.desk.holds_form import Wish
    from services.commands.hold_command import end

    _run(lambda settings: end(Wish(incident=incident, name=by), settings), data_dir)


def holds(
    format: Annotated[str, typer.Option(help="text or json.")] = "text",  # noqa: A002 - the option's name
    data_dir: DataDir = Path("var"),
) -> None:
    """List the holds that stand.

    Uses RUFKETTE_CONFIG and RUFKETTE_DATABASE_URL, or the stack that runs in the data directory.
    """
    from services.commands.hold_command import FORMATS, listed

    if format not in FORMATS:
        fail(f"--format {format}: write text or json", 2)
    _run(lambda settings: listed(settings, as_json=format == "json"), data_dir)


def _run(command: "Callable[[OfficeSettings], str]", data_dir: Path) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    from services.commands.failures import cause_of
    from services.commands.office import OfficeSettings, Refused
    from services.common.configuration.file import ConfigurationError
    from services.embedded.neighbour import load_beside

    try:
        print(command(load_beside(OfficeSettings, data_dir)))
    except ConfigurationError as error:
        fail("\n".join(map(str, error.mistakes)), 1)
    except Refused as error:
        fail("\n".join(error.mistakes), 1)
    except (SQLAlchemyError, OSError) as error:
        fail(f"cannot use the database: {cause_of(error)}", 1)
