"""Whether Kafka answers: a broker that is away is no error to the client, whose polls just come back empty."""

import time
from typing import Final

from aiokafka import AIOKafkaConsumer

from services.common.outage import Outage

FRESH_MS: Final = 3_000
"""An answer is no older."""
_SILENT_POLLS: Final = 4
"""Of half a second each."""


class Silence:
    """Tells the outage what the polls of one client show."""

    def __init__(self, outage: Outage) -> None:
        self._outage = outage
        self._polls = 0

    def note(self, client: AIOKafkaConsumer, *, heard: bool) -> None:
        """A poll came back: with records, or without, and then no fetch may have been answered for long."""
        newest = max((client.last_poll_timestamp(partition) or 0 for partition in client.assignment()), default=0)
        if heard or time.time() * 1000 - newest < FRESH_MS:
            self._polls = 0
            self._outage.over()
            return
        self._polls += 1
        if self._polls >= _SILENT_POLLS:
            self._outage.noticed(TimeoutError())
