"""Placing and ending holds: what the page and the command line do, on the database."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerting import store
from services.alerting.clock import system_clock
from services.alerting.core.incident import Incident
from services.alerting.database import in_transaction
from services.alerting.desk.holding import Hold
from services.alerting.mailing.deliveries import find_incidents
from services.alerting.retention import hold_store


class Holding:
    """Fulfils `desk.holding.Holding`.

    Every method raises sqlalchemy.exc.DBAPIError or OSError when the database cannot be reached; then nothing was
    written.
    """

    def __init__(self, database: AsyncEngine, clock: Callable[[], datetime] = system_clock) -> None:
        self._database = database
        self._clock = clock

    async def standing(self) -> Sequence[Hold]:
        """All that stand, the oldest first."""
        async with self._database.connect() as connection:
            return await hold_store.standing(connection)

    async def find(self, name: str) -> Sequence[Incident]:
        """The incidents with this id or code, the newest first."""
        async with self._database.connect() as connection:
            ids = await find_incidents(connection, name) or await find_incidents(connection, name.strip())
            found = [await store.load(connection, id_) for id_ in ids]
        return [incident for incident in found if incident is not None]

    async def place(self, incident_id: str, *, reason: str, by: str) -> bool:
        """From now on nothing of the incident is forgotten or deleted; False if it has a hold already.

        Raises:
            LookupError: there is no such incident (any more).
        """
        now = self._clock()

        async def work(tx: AsyncConnection) -> bool:
            return await hold_store.place(tx, incident_id, reason=reason, by=by, now=now)

        return await in_transaction(self._database, work)

    async def end(self, incident_id: str, *, by: str) -> bool:
        """Let retention have the incident again; False if no hold stands."""
        now = self._clock()
        return await in_transaction(self._database, lambda tx: hold_store.end(tx, incident_id, by=by, now=now))
