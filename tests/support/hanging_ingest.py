"""`python -m tests.support.hanging_ingest`: ingest that hangs when the file HANG appears, as the file says.

`loop`: the one that keeps the connection to Kafka waits for what never comes. `event loop`: nothing turns any more.
Both are borne for three seconds; `tests/ingest/test_watchdog.py` holds that the real limits are long enough.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from services.common.settings import IngestSettings, load
from services.common.watchdog import Watchdog
from services.ingest import app
from services.ingest.kafka_writer import KafkaWriter

_HANG = Path(os.environ.get("HANG", "hang"))
_probe = KafkaWriter._probe


async def _hanging(writer: KafkaWriter, *arguments: Any) -> None:
    if _HANG.exists():  # noqa: ASYNC240 - a look at a local file
        if _HANG.read_text() == "event loop":  # noqa: ASYNC240 - as above
            time.sleep(3600)  # noqa: ASYNC251 - that is the point
        await asyncio.Event().wait()
    await _probe(writer, *arguments)


def _impatient(limits: dict[str, float]) -> Watchdog:
    return Watchdog(limits=limits | {"publisher": 3.0}, blocked=3.0)


if __name__ == "__main__":
    app.Watchdog = _impatient  # type: ignore[assignment, attr-defined]  # the shorter limits
    KafkaWriter._probe = _hanging  # type: ignore[assignment, method-assign]
    app.run(load(IngestSettings))
