"""What the desk reads and does, on the database."""

from collections.abc import Sequence

import sqlalchemy as sa

from services.alerting import plan_store, store
from services.alerting.core.effects import Click, Decision
from services.alerting.core.incident import Incident
from services.alerting.core.plans import Plans
from services.alerting.desk.incidents import TimelineEntry
from services.alerting.engine import Engine
from services.alerting.tables import inputs


class Board:
    """Fulfils `desk.incidents.Incidents`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find(self, incident_id: str) -> Incident | None:
        """One incident as it is now."""
        async with self._engine.database.connect() as connection:
            return await store.load(connection, incident_id)

    async def timeline(self, incident_id: str) -> Sequence[TimelineEntry]:
        """What happened to it, oldest first."""
        query = sa.select(inputs.c.at, inputs.c.reason, inputs.c.by).where(inputs.c.incident_id == incident_id)
        async with self._engine.database.connect() as connection:
            rows = await connection.execute(query.order_by(inputs.c.revision))
            return [TimelineEntry(at=row.at, what=row.reason, by=row.by) for row in rows]

    async def act(self, incident_id: str, click: Click) -> Decision:
        """A person's click; LookupError if there is no such incident."""
        return await self._engine.act(incident_id, click)

    async def open(self) -> Sequence[Incident]:
        """What is not closed, worst first, then what was closed in the last 24 hours."""
        async with self._engine.database.connect() as connection:
            return await store.on_board(connection, self._engine.clock())

    async def plans(self) -> Plans:
        """Announced tests and planned silences that are not over."""
        async with self._engine.database.connect() as connection:
            return (await plan_store.planned(connection, self._engine.clock())).plans
