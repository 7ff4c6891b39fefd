"""`python -m tests.support.hanging`: alerting whose Kafka client falls silent when the file HANG appears.

As aiokafka is known to do: polls come back empty, nothing fails, and no fetch is answered any more. It is borne for ten
seconds instead of thirty; `tests/alerting/test_progress.py` holds the real limit.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

from services.alerting import app
from services.alerting.reading.progress import Progress
from services.common.settings import AlertingSettings, load

_HANG = Path(os.environ.get("HANG", "hang"))
_getmany = AIOKafkaConsumer.getmany


async def _silent(client: AIOKafkaConsumer, *partitions: Any, **how: Any) -> Any:
    if _HANG.exists():  # noqa: ASYNC240 - a look at a local file
        client.pause(*client.assignment())
    return await _getmany(client, *partitions, **how)


if __name__ == "__main__":
    app.Progress = partial(Progress, after=10.0)  # type: ignore[assignment, attr-defined]  # the shorter limit
    AIOKafkaConsumer.getmany = _silent
    app.run(load(AlertingSettings))
