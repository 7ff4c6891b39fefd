"""Bring the database to this version, one process at a time."""

import asyncio
from pathlib import Path

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from services.alerting.database import driver_url

log = structlog.get_logger()

_LOCK = 0x52756665  # any constant of our own: processes that start together wait for the first
_FOLDER = Path(__file__).parent


def migrate(database_url: str) -> None:
    """Apply what is missing; does nothing when nothing is.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError: the database cannot be reached or refuses.
    """
    asyncio.run(migrate_async(database_url))


async def migrate_async(database_url: str) -> None:
    """As `migrate`, inside a running loop."""
    engine = create_async_engine(driver_url(database_url), poolclass=sa.NullPool, hide_parameters=True)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: sa.Connection) -> None:
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("version_locations", str(_FOLDER / "versions"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    before = MigrationContext.configure(connection).get_current_revision()
    command.upgrade(config, "head")
    after = MigrationContext.configure(connection).get_current_revision()
    if after != before:
        log.info("migration.applied", revision=after)
