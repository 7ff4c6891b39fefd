"""A short run of `make chaos`: everything that can fail does, under load, and the promise holds."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.chaos.run import run
from tests.faults.chaos.schedule import KINDS, LINKS, MAIL_SERVERS, schedule

SEED, SECONDS = 12533, 28.0
"""A run in which every kind of fault happens, and every network link is cut or hangs."""


@pytest.mark.timeout(400)
async def test_the_promise_holds(tmp_path: Path) -> None:
    outcome = await run(seed=SEED, seconds=SECONDS, directory=tmp_path)
    assert outcome.findings == [], outcome.summary


def test_the_short_run_leaves_no_kind_of_fault_out() -> None:
    """Else a change of the schedule would quietly make it a run in which little happens."""
    faults = schedule(SEED, SECONDS)
    assert {fault.what for fault in faults} == KINDS
    assert {fault.which for fault in faults if fault.what in ("cut", "hang link")} == set(LINKS)
    assert all(fault.at < SECONDS for fault in faults)


def test_a_seed_is_always_the_same_schedule() -> None:
    assert list(schedule(7, 60)) == list(schedule(7, 60)) != list(schedule(8, 60))


def test_every_fault_happens_to_everything_within_thirty_seeds() -> None:
    seen = {(fault.what, fault.which) for seed in range(1, 31) for fault in schedule(seed, 60)}
    victims: dict[str, Sequence[int | str]] = dict.fromkeys(KINDS, ("",))
    victims |= dict.fromkeys(("cut", "hang link", "slow link"), LINKS)
    victims |= {what: (0, 1) for what in KINDS if what.endswith(("ingest", "alerting"))}
    victims |= {what: MAIL_SERVERS for what in KINDS if what.startswith("mail server")}
    assert {(what, which) for what, all_of_them in victims.items() for which in all_of_them} == seen
