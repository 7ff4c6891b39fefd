"""`rufkette announce-test` and `rufkette silence`: the page /plans for the command line, with the same checks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.commands.exits import fail
from services.commands.options import DataDir

if TYPE_CHECKING:
    from services.alerting.desk.plans_form import Wish

By = Annotated[str, typer.Option(help="Who plans this; shown on the page.")]
Device = Annotated[list[str] | None, typer.Option(help="A device's id in the configuration; repeatable.")]


def announce_test(
    by: By,
    site: Annotated[str | None, typer.Option(help="All buttons of this site.")] = None,
    device: Device = None,
    minutes: Annotated[int, typer.Option(help="How long from now; 30 at most.")] = 15,
    data_dir: DataDir = Path("var"),
) -> None:
    """Announce that buttons are tried now: their presses alarm as ever, headed as an announced test.

    Uses RUFKETTE_CONFIG and RUFKETTE_DATABASE_URL, or the stack that runs in the data directory.
    """
    if (site is None) == (not device):
        fail("name either --site or --device", 2)
    from schemas.configuration_sources import normalise_device_id
    from services.alerting.desk.plans_form import Wish

    devices = tuple(normalise_device_id(one) for one in device or ())
    _plan(Wish(action="announce", site=site or "", devices=devices, minutes=str(minutes), name=by), data_dir)


def silence(
    by: By,
    reason: Annotated[str, typer.Option(help="Why; shown on the page.")],
    to: Annotated[str, typer.Option(help="The end, local time, for example 2026-01-05T12:00; 7 days at most.")],
    site: Annotated[str | None, typer.Option(help="Forms of this site.")] = None,
    device: Annotated[str | None, typer.Option(help="Forms of this device only.")] = None,
    start: Annotated[str, typer.Option("--from", help="The beginning, local time. Without it, now.")] = "",
    data_dir: DataDir = Path("var"),
) -> None:
    """Plan a silence: forms of levels 0 and 1 wait until its end. Presses never wait.

    Uses RUFKETTE_CONFIG and RUFKETTE_DATABASE_URL, or the stack that runs in the data directory.
    """
    if (site is None) == (device is None):
        fail("name either --site or --device", 2)
    from services.alerting.desk.plans_form import Wish

    where = f"site:{site}" if site is not None else f"device:{device}"
    _plan(Wish(action="silence", where=where, starts=start, until=to, reason=reason, name=by), data_dir)


def _plan(wish: "Wish", data_dir: Path) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    from services.commands.failures import cause_of
    from services.commands.office import OfficeSettings, Refused
    from services.commands.plan_command import plan
    from services.common.configuration.file import ConfigurationError
    from services.embedded.neighbour import load_beside

    try:
        print(plan(wish, load_beside(OfficeSettings, data_dir)))
    except ConfigurationError as error:
        fail("\n".join(map(str, error.mistakes)), 1)
    except Refused as error:
        fail("\n".join(error.mistakes), 1)
    except (SQLAlchemyError, OSError) as error:
        fail(f"cannot write into the database: {cause_of(error)}", 1)
