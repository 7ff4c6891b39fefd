"""The yearly report from the database: one query, counted by the core."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.figures import Case, Figures, figures
from services.alerting.core.policy import Rules
from services.alerting.database import WHOLE_TABLES, create_engine
from services.common.configuration import file as configuration_file
from services.common.settings import DatabaseSettings

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9990
"""Beyond, local time cannot be reckoned."""

# An incident can be known first by a report that came late and joined, so `opened_at` is looked up with a margin;
# hand-overs of other years' incidents are found by their own index.
_QUERY = sa.text("""
    SELECT i.id, i.site, i.source, i.imported, i.mode, i.danger_level, i.category, i.opened_at,
        CASE WHEN jsonb_array_length(i.reported_at) > 1 THEN i.reported_at::text END,
        CASE WHEN i.called_at <> '[]' THEN i.called_at::text END,
        CASE WHEN i.handed_over_at <> '[]' THEN i.handed_over_at::text END,
        CASE WHEN i.handed_over_on <> '[]' THEN i.handed_over_on::text END,
        i.closed_at, i.outcome, a.at, i.joined_into, i.joined_at
    FROM incidents i
    LEFT JOIN (SELECT incident_id, min(at) AS at FROM inputs WHERE reason = 'acknowledged' GROUP BY incident_id) a
        ON a.incident_id = i.id
    WHERE i.opened_at >= :since AND i.opened_at < :until
    OR i.handed_over_on <> '[]' AND jsonb_path_exists(
        i.handed_over_on, '$[*] ? (@ starts with $year)', jsonb_build_object('year', CAST(:prefix AS text)))
""").bindparams(
    sa.bindparam("since", type_=sa.DateTime(timezone=True)), sa.bindparam("until", type_=sa.DateTime(timezone=True))
)


@dataclass(frozen=True, slots=True)
class Reporting:
    """Reads reports by the definitions of the office's configuration."""

    database: AsyncEngine
    rules: Rules

    async def year(self, year: int, as_of: date | None = None) -> Figures:
        """The figures of a year.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: the database cannot be reached or refuses.
        """
        async with self.database.connect() as connection:
            rows = await _rows(connection, year)
        # In a thread, because beside the desk's page there are alarms to be sent.
        return await asyncio.to_thread(self._count, rows, year, as_of)

    def _count(self, rows: Sequence[sa.Row[Any]], year: int, as_of: date | None) -> Figures:
        sites = self.rules.configuration.sites
        return figures(map(_case, rows), year, zone_of=self.rules.zone, sites=sites, as_of=as_of)


async def _rows(connection: AsyncConnection, year: int) -> Sequence[sa.Row[Any]]:
    wanted = {
        "since": datetime(year - 1, 12, 1, tzinfo=UTC),
        "until": datetime(year + 1, 2, 1, tzinfo=UTC),
        "prefix": f"{year:04}-",
    }
    await connection.execute(WHOLE_TABLES)
    return (await connection.execute(_QUERY, wanted)).all()


def _case(row: sa.Row[Any]) -> Case:
    values: tuple[Any, ...] = tuple(row)
    id_, site, source, imported, mode, level, category, opened_at, reported, called, handed_over, on, *ended = values
    reports = _instants(reported) if reported else (opened_at,)
    calls = _instants(called) if called else ()
    hand_overs = tuple(zip(_instants(handed_over), map(date.fromisoformat, _texts(on)), strict=True)) if on else ()
    return Case(id_, site, source, imported, mode, level, category, reports, calls, hand_overs, *ended)


def _instants(text: str) -> tuple[datetime, ...]:
    return tuple(map(datetime.fromisoformat, _texts(text)))


def _texts(array: str) -> list[str]:
    """The elements of a JSON array of times or dates as PostgreSQL prints it: a parser takes five times as long."""
    return array[2:-2].split('", "')


@asynccontextmanager
async def open_reporting(settings: DatabaseSettings) -> AsyncIterator[Reporting]:
    """For a command: its own connection, closed at the end.

    Raises:
        services.common.configuration.file.ConfigurationError: the configuration has mistakes.
    """
    configuration = configuration_file.load(settings.config)
    database = create_engine(settings.database_url.get_secret_value())
    try:
        yield Reporting(database, Rules(configuration, OfficeCalendar(configuration)))
    finally:
        await database.dispose()
