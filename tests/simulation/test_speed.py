"""10,000 events, read from a file and shown as a table, in less than five seconds of one core."""

import random
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.events import Event, Kind, Reported
from schemas.structured import to_line
from tests.simulation.test_command import simulate

SITES = ["bernburg", "aschersleben", "schoenebeck", "stassfurt", "calbe"]


def a_year(count: int) -> list[Event]:
    """Reports of a made-up year from 250 rooms, as often by day as by night."""
    chance, start = random.Random(1), datetime(2026, 1, 1, tzinfo=UTC)  # noqa: S311 - made-up data, not a secret
    return [
        Event(
            id=f"e{number}",
            source="buttons",
            time=start + timedelta(seconds=chance.randrange(365 * 86400)),
            data=Reported(
                kind=chance.choice(list(Kind)),
                site=chance.choice(SITES),
                location=str(chance.randrange(100, 150)),
                danger_level=chance.choice([None, 0, 1, 2, 3]),
            ),
        )
        for number in range(count)
    ]


def test_ten_thousand_events(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("".join(to_line(event) + "\n" for event in a_year(10_000)))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = simulate(file)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert done.stdout.count("· opened") > 9_900
    # Of processor time, so that what else runs does not count; four times what is promised, for slow machines.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20


def test_one_room_all_day_long(tmp_path: Path) -> None:
    """Looking for the incident that a report joins must not take longer with each incident before it."""
    file = tmp_path / "events.jsonl"
    start = datetime(2026, 1, 1, tzinfo=UTC)
    data = Reported(kind=Kind.PANIC, site="bernburg", location="Zimmer 112", device_id="b1")
    events = [
        Event(id=f"e{n}", source="buttons", time=start + timedelta(minutes=20 * n), data=data) for n in range(3_000)
    ]
    file.write_text("".join(to_line(event) + "\n" for event in events))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert simulate(file).stdout.count("· opened") == 3_000
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 12
