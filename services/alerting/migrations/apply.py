"""Bring the database to this version, one process at a time.

Migrations only add, so that processes of the version before go on, and can be started again, beside newer ones.
"""

import asyncio
import itertools
from pathlib import Path

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from services.alerting.database import driver_url, sqlstate
from services.common.outage import pause

log = structlog.get_logger()

_LOCK = 0x52756665  # any constant of our own: processes that start together wait for the first
_SESSION = {
    "application_name": "rufkette-migration",
    # Who comes to a table while we queue for it waits behind us: never for long, live processes give up after 2 s.
    "lock_timeout": "1000",
    # A migrating process that is stopped in the middle holds up nobody for ever.
    "idle_in_transaction_session_timeout": "10000",
}
_LOCK_NOT_AVAILABLE = "55P03"
_AT_MOST = 40
"""Attempts, within about two minutes."""
_FOLDER = Path(__file__).parent


def migrate(database_url: str) -> None:
    """Apply what is missing; does nothing when nothing is, or when the database is of a newer version already.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError: the database cannot be reached or refuses.
    """
    asyncio.run(migrate_async(database_url))


async def migrate_async(database_url: str) -> None:
    """As `migrate`, inside a running loop."""
    engine = create_async_engine(
        driver_url(database_url),
        poolclass=sa.NullPool,
        hide_parameters=True,
        connect_args={"server_settings": _SESSION, "timeout": 3},
    )
    try:
        for attempt in itertools.count(1):
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(_upgrade)
            except DBAPIError as error:
                if sqlstate(error) != _LOCK_NOT_AVAILABLE or attempt >= _AT_MOST:
                    raise
                log.warning("migration.delayed", attempt=attempt)
                await pause(attempt)
            else:
                return
    finally:
        await engine.dispose()


def _upgrade(connection: sa.Connection) -> None:
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("version_locations", str(_FOLDER / "versions"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    before = MigrationContext.configure(connection).get_current_revision()
    if before is not None and before not in {script.revision for script in scripts.walk_revisions()}:
        log.warning("migration.newer", revision=before)
        return
    command.upgrade(config, "head")
    after = MigrationContext.configure(connection).get_current_revision()
    if after != before:
        log.info("migration.applied", revision=after)
