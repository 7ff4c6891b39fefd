"""The ledger's figures, counted when somebody asks for them: with tens of thousands of entries that takes a while."""

import time
from collections.abc import Mapping

from services.ingest.journal.entry import Entry
from services.ingest.metrics import ENTRIES, OLDEST


def show(entries: Mapping[str, Entry], waiting: Mapping[str, Entry]) -> None:
    """Have the metrics tell of these from now on.

    Args:
        entries: all that this process answers for.
        waiting: those of them that Kafka does not have.
    """

    def taken() -> int:
        return sum(entry.taken for entry in entries.values())

    def oldest() -> float:
        now = time.monotonic()
        return max((now - entry.held_since for entry in entries.values()), default=0.0)

    ENTRIES.labels("waiting").set_function(lambda: len(waiting))
    ENTRIES.labels("taken").set_function(taken)
    ENTRIES.labels("published").set_function(lambda: len(entries) - taken() - len(waiting))
    OLDEST.set_function(oldest)
