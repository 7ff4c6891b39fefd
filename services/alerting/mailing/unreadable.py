"""Mails that this version cannot read: a newer one may have written them, so they are left to the others.

While an installation is upgraded old and new processes run side by side. What an old one cannot read it gives back at
once and does not touch for a while; where nobody can read it, the emergency contacts are told.
"""

import time
import uuid
from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting.core.codes import code_of
from services.alerting.database import in_transaction, patiently
from services.alerting.engine import Engine
from services.alerting.mailing import outbox, troubles
from services.alerting.mailing.outbox import Unread
from services.alerting.mailing.outcomes import EXPIRES
from services.alerting.mailing.troubles import Trouble
from services.alerting.tables import incidents
from services.common.outage import Outage

log = structlog.get_logger()

LEFT_FOR: Final = 60.0
"""Seconds until this process looks at such a mail again."""
TOLD_AFTER: Final = timedelta(seconds=60)
"""A mail that is older has found nobody who can read it."""
_SITE: Final = sa.select(incidents.c.site, incidents.c.mode != "learning")


class Unreadable:
    """What this process leaves alone."""

    def __init__(self, engine: Engine, database: Outage, left_for: float = LEFT_FOR) -> None:
        self._engine = engine
        self._database = database
        self._left_for = left_for
        self._until: dict[uuid.UUID, float] = {}

    def left(self) -> Collection[uuid.UUID]:
        """The mails that this process does not claim now."""
        if self._until:
            now = time.monotonic()
            self._until = {id_: until for id_, until in self._until.items() if until > now}
        return self._until.keys()

    async def leave(self, some: Sequence[Unread]) -> None:
        """Give them back, and say so."""
        self._until |= dict.fromkeys((one.id for one in some), time.monotonic() + self._left_for)
        for one in some:
            log.error("mail.unreadable", incident_id=one.incident_id, mail_id=str(one.id), error=one.error)
        work = partial(self._give_back, some=some)
        await patiently(self._database, lambda: in_transaction(self._engine.database, work))

    async def _give_back(self, tx: AsyncConnection, some: Sequence[Unread]) -> None:
        await outbox.give_back(tx, some, 0.0)
        now = self._engine.clock()
        for one in some:
            # What only informs is not worth an alarm of its own.
            if now - one.created_at >= TOLD_AFTER and one.purpose not in EXPIRES:
                await self._tell(tx, one.incident_id)

    async def _tell(self, tx: AsyncConnection, incident_id: str) -> None:
        row = (await tx.execute(_SITE.where(incidents.c.id == incident_id))).one_or_none()
        if row is None or not row[1]:  # of what is being learnt nobody but the test address hears
            return
        trouble = Trouble(row.site, troubles.UNREADABLE, incident_id=incident_id, code=code_of(incident_id))
        await troubles.tell(tx, trouble, self._engine.rules(), self._engine.clock())
