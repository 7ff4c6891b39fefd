"""Answers to buttons without Kafka: what is to be told is said by the test."""

import asyncio
import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas.configuration import Configuration
from schemas.events import Event, Kind, Reported
from schemas.lifecycle import Change, Lifecycle
from services.ingest.callbacks.answering import Callbacks
from services.ingest.callbacks.request import called
from services.ingest.journal.ledger import Ledger
from services.ingest.status import Statuses
from tests.support.organisation import organisation

SECRET = "whsec_" + base64.b64encode(b"a secret for tests only, 32 bytes").decode()


class Office:
    """Callbacks of the source `buttons` with a real file; the lifecycle is spoken by the test.

    `more`: further buttons of Bernburg.
    """

    def __init__(self, directory: Path, callback: dict[str, Any], *more: str) -> None:
        content = organisation()
        content["sources"]["buttons"]["devices"] |= {button: {"site": "bernburg"} for button in more}
        (directory / "secret").write_text(SECRET)
        content["sources"]["buttons"]["callback"] = callback
        self.configuration = Configuration.model_validate(content)
        self.file = directory / "config.yaml"
        self.statuses = Statuses(Ledger())
        self.path = directory / "callbacks"
        self.callbacks = self.anew()

    def anew(self) -> Callbacks:
        self.callbacks = Callbacks(self.path, self.statuses, called(self.configuration, self.file))
        return self.callbacks

    def start(self) -> None:
        caught_up = asyncio.Event()
        caught_up.set()
        self.callbacks.start(caught_up)

    def press(self, event_id: str, **changes: Any) -> None:
        data = Reported(**({"kind": Kind.PANIC, "site": "bernburg", "device_id": "btn-112"} | changes))
        self.callbacks.note(Event(id=event_id, source="buttons", time=datetime.now(UTC), data=data))
        self.statuses.accept(event_id, "buttons", datetime.now(UTC).timestamp())

    async def say(self, event_id: str, revision: int, change: Change, *, at: float | None = None) -> None:
        data = Lifecycle(incident_id=event_id, event_ids=(event_id,), source="buttons", revision=revision)
        self.statuses.apply(change, data, at or datetime.now(UTC).timestamp())
        await self.callbacks.take_word([event_id])
