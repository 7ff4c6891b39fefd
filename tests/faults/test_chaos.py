"""A short run of `make chaos`: everything that can fail does, under load, and the promise holds."""

from pathlib import Path

import pytest

from tests.faults.chaos.run import run
from tests.faults.chaos.schedule import LINKS, MAIL_SERVERS, schedule


@pytest.mark.timeout(400)
async def test_the_promise_holds(tmp_path: Path) -> None:
    outcome = await run(seed=2, seconds=15, directory=tmp_path)
    assert outcome.findings == [], outcome.summary


def test_a_seed_is_always_the_same_schedule() -> None:
    assert list(schedule(7, 60)) == list(schedule(7, 60)) != list(schedule(8, 60))


def test_every_fault_happens_to_everything_within_thirty_seeds() -> None:
    seen = {(fault.what, fault.which) for seed in range(1, 31) for fault in schedule(seed, 60)}
    links = {(what, link) for what in ("cut", "hang link", "slow link") for link in LINKS}
    killed = ("kill ingest", "hang ingest", "kill alerting", "hang alerting", "disk is away from ingest")
    processes = {(what, n) for what in killed for n in (0, 1)}
    mail = ("defers", "drops after DATA", "stalls", "refuses everything", "is away")
    servers = {(f"mail server {what}", which) for what in mail for which in MAIL_SERVERS}
    assert links | processes | servers | {("empty topic of Kafka", "")} <= seen
