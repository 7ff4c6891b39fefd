"""Sources in learning mode: what came is shown by name and type, reports are marked, and nobody forgets the mode.

Forgotten, it would keep a real alarm from everybody but the test address: so it is said at the start, at each reload
and every hour, and stands in the metrics and in `GET /v1/sources`.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from schemas.events import Event, Heartbeat, Reported, learning_id
from services.ingest.fields import fields_of
from services.ingest.loops import end_process_on_bug
from services.ingest.metrics import LEARNING_SOURCES
from services.ingest.sender import Sender
from services.ingest.sources.shape import Ignored, Made, Message

log = structlog.get_logger()

_SAY_EVERY: Final = 3600.0


def show(message: Message, sender: Sender) -> None:
    """Log which fields a message of a learning source has; nothing for any other source."""
    if sender.source.learn:
        found = fields_of(message)
        log.info(
            "fields.learned",
            source=sender.name, content=found.content, fields=found.names, unnamed=found.unnamed,
            left_out=found.left_out,
        )  # fmt: skip


def marked(made: Sequence[Made], sender: Sender) -> list[Made]:
    """What a message became, with the mark of a learning source on its reports; unchanged of any other source.

    A marked report has an id of its own: the same message is no repetition when the source has learnt. What would
    change an incident – somebody took over, closed, called – is passed over, because that incident may be real. Signs
    of life count: they alarm nobody.
    """
    return [_mark(one) for one in made] if sender.source.learn else list(made)


def _mark(one: Made) -> Made:
    if isinstance(one, Ignored) or isinstance(one.data, Heartbeat):
        return one
    if isinstance(one.data, Reported):
        data = one.data.model_copy(update={"learning": True})
        return Event(id=learning_id(one.id), source=one.source, time=one.time, data=data)
    return Ignored("learning")


class Learning:
    """Keeps saying which sources learn."""

    def __init__(self, senders: Mapping[str, Sender], every: float = _SAY_EVERY) -> None:
        self._senders = senders
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Say it now and every hour; returns at once."""
        self._task = asyncio.create_task(self._run(), name="learning")
        self._task.add_done_callback(end_process_on_bug)

    def take(self, senders: Mapping[str, Sender]) -> None:
        """Another configuration is in force."""
        self._senders = senders
        self._say()

    async def stop(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            self._say()
            await asyncio.sleep(self._every)

    def _say(self) -> None:
        names = [name for name, sender in self._senders.items() if sender.source.learn]
        LEARNING_SOURCES.set(len(names))
        for name in names:
            log.warning("source.learning", source=name)
