"""What `rufkette hold`, `end-hold` and `holds` do: the page `/holds` for the command line, with the same checks."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, tzinfo
from typing import TypeVar
from zoneinfo import ZoneInfo

from services.alerting.core.incident import Incident
from services.alerting.database import create_engine
from services.alerting.desk import holds_form
from services.alerting.desk.holding import Hold
from services.alerting.desk.holds_form import Done, Wish
from services.alerting.desk.texts.holds import ENGLISH, HoldWords
from services.alerting.retention.holding import Holding
from services.commands.office import OfficeSettings, Refused
from services.common.configuration import file as configuration_file

Result = TypeVar("Result")

FORMATS = ("text", "json")


def place(wish: Wish, settings: OfficeSettings) -> str:
    """Place a hold; returns a line about it.

    Raises:
        Refused: it cannot be placed like this.
        sqlalchemy.exc.SQLAlchemyError, OSError: the database cannot be reached or refuses.
    """
    incident = asyncio.run(_carry_out(holds_form.place, wish, settings))
    return f"incident {incident.code} ({incident.id}) is on hold"


def end(wish: Wish, settings: OfficeSettings) -> str:
    """End a hold; returns a line about it, and raises as `place` does."""
    incident = asyncio.run(_carry_out(holds_form.end, wish, settings))
    return f"the hold of incident {incident.code} ({incident.id}) is ended"


def listed(settings: OfficeSettings, *, as_json: bool) -> str:
    """The holds that stand, the oldest first: a table in local time, or a list of objects with times in UTC.

    Raises:
        services.common.configuration.file.ConfigurationError: the configuration has mistakes.
        sqlalchemy.exc.SQLAlchemyError, OSError: the database cannot be reached or refuses.
    """
    zone = ZoneInfo(configuration_file.load(settings.config).organisation.timezone)
    holds = asyncio.run(_with_database(settings, lambda holding: holding.standing()))
    return _as_json(holds) if as_json else _as_text(holds, zone)


async def _carry_out(
    do: Callable[[Holding, Wish, HoldWords], Awaitable[Done]], wish: Wish, settings: OfficeSettings
) -> Incident:
    incident, mistakes = await _with_database(settings, lambda holding: do(holding, wish, ENGLISH))
    if incident is None:
        raise Refused(mistakes)
    return incident


async def _with_database(settings: OfficeSettings, work: Callable[[Holding], Awaitable[Result]]) -> Result:
    database = create_engine(settings.database_url.get_secret_value())
    try:
        return await work(Holding(database))
    finally:
        await database.dispose()


def _as_json(holds: Sequence[Hold]) -> str:
    rows = [
        {
            "code": hold.incident.code,
            "incident_id": hold.incident.id,
            "site": hold.incident.site,
            "since": hold.at.astimezone(UTC).isoformat(),
            "by": hold.by,
            "reason": hold.reason,
        }
        for hold in holds
    ]
    return json.dumps(rows, ensure_ascii=False, indent=2)


def _as_text(holds: Sequence[Hold], zone: tzinfo) -> str:
    if not holds:
        return "no holds"
    return "\n".join(
        f"{hold.incident.code}  {hold.incident.id}  since {hold.at.astimezone(zone):%Y-%m-%d %H:%M}  "
        f"by {hold.by}: {hold.reason}"
        for hold in holds
    )
