"""Time as PostgreSQL has it, on machines whose own clocks are wrong."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from services.alerting import clock
from services.alerting.clock import DatabaseClock
from services.common.outage import Outage
from tests.alerting.conftest import Shell
from tests.core.office import report

CLOSE = timedelta(seconds=1)


async def database_time(database: AsyncEngine) -> datetime:
    async with database.connect() as connection:
        now: datetime = (await connection.execute(sa.text("SELECT clock_timestamp()"))).scalar_one()
        return now.astimezone(UTC)


def wrong_by(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [-3600.0, -300.0, 300.0, 86_400.0])
async def test_a_wrong_clock_is_not_believed(
    database: AsyncEngine, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(clock, "system_clock", partial(wrong_by, seconds))
    now = DatabaseClock(database, Outage("database"))
    assert abs(now() - wrong_by(seconds)) < CLOSE, "nothing better is known yet"
    with capture_logs() as lines:
        await now.look()
        await now.look()
    assert abs(now() - await database_time(database)) < CLOSE
    ((event, said),) = [(line["event"], line["seconds"]) for line in lines]
    assert event == "clock.differs"
    assert abs(said + seconds) < CLOSE.total_seconds()


async def test_a_clock_that_jumps_between_two_looks(database: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    now = DatabaseClock(database, Outage("database"))
    with capture_logs() as lines:
        await now.look()
    assert lines == []
    monkeypatch.setattr(clock, "system_clock", partial(wrong_by, -7200))
    assert abs(now() - await database_time(database)) < CLOSE
    with capture_logs() as lines:
        await now.look()
        monkeypatch.undo()
        await now.look()
        monkeypatch.setattr(clock, "system_clock", partial(wrong_by, 10))
        await now.look()
    assert [line["event"] for line in lines] == ["clock.differs"] * 2, "each time that it begins to differ"


async def test_processes_with_different_clocks_agree_on_when_a_step_is_due(
    shell: Shell, database: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One decides on a machine that is five minutes ahead, and another one looks for what is due."""
    due = []
    for seconds in (300.0, 0.0):
        monkeypatch.setattr(clock, "system_clock", partial(wrong_by, seconds))
        now = DatabaseClock(database, Outage("database"))
        await now.look()
        shell.engine.clock = now
        await shell.apply(report(now(), id=f"e{seconds}", location=f"{seconds}"))
        due.append(await shell.engine.next_due())
    first, both = due
    assert first is not None
    assert first == both, "the second one's is later"
    assert first - await database_time(database) < timedelta(minutes=5)
