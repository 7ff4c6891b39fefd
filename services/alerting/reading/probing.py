"""Answers ingest's probes of the chain: what came through Kafka and the database is tried on the mail server, too."""

import asyncio
from email.utils import parseaddr
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import codec, topics
from schemas.events import Event, Mode
from schemas.lifecycle import Change, Lifecycle
from services.alerting.changes import Changes
from services.alerting.database import patiently
from services.alerting.engine import Engine
from services.common.loops import beat
from services.common.mail.route import MailRoute
from services.common.mail.session import Verdict
from services.common.outage import Outage

log = structlog.get_logger()

_LOOK_EVERY: Final = 5.0


class ProbeAnswerer:
    """One probe after the other; one that is lost on the way is followed by the next within a minute."""

    def __init__(self, engine: Engine, route: MailRoute, sender: str, database: Outage) -> None:
        self._engine = engine
        self._route = route
        self._sender = parseaddr(sender)[1]
        self._database = database

    async def run(self) -> None:
        """Answer for ever."""
        probes = self._engine.signals.probes
        while True:
            beat()
            try:
                async with asyncio.timeout(_LOOK_EVERY):
                    probe = await probes.get()
            except TimeoutError:
                continue
            if probes.empty():  # of several that waited only the last one tells of now
                await self._answer(probe)

    async def _answer(self, probe: Event) -> None:
        emergency = self._engine.rules().configuration.organisation.emergency[0]
        answer = await self._route.rehearse(self._sender, emergency)
        if answer.verdict is not Verdict.ACCEPTED:
            log.error("probe.unmailable", event_id=probe.id, stage=answer.stage, code=answer.code)
            return
        data = Lifecycle(
            incident_id=probe.id, event_ids=(probe.id,), source=probe.source, revision=0, mode=Mode.EXERCISE
        )

        async def say(_: AsyncConnection, changes: Changes) -> None:
            record = codec.encode_lifecycle(f"{probe.id}/probed", Change.PROBED, changes.now, data)
            changes.publish(topics.LIFECYCLE, record)

        await patiently(self._database, lambda: self._engine.commit(say))
