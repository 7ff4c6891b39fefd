"""The ledger with a real journal: what is kept, in which order it goes on, and when it is let go."""

import asyncio
import math
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from schemas.events import (
    Acknowledged,
    Data,
    EmergencyMailed,
    Event,
    Heartbeat,
    Kind,
    Mode,
    Reported,
)
from schemas.urgency import urgency_of
from services.ingest.journal.entry import Entry
from services.ingest.journal.file import Lock, open_journal
from services.ingest.journal.journal import Journal, Unjournalled
from services.ingest.journal.ledger import GIVEN_UP_AFTER, Ledger
from services.ingest.journal.rows import Row
from tests.ingest.reading import until
from tests.ingest.support import NOW


def event(event_id: str, data: Data, subject: str | None = None) -> Event:
    return Event(id=event_id, source="buttons", time=NOW, data=data, subject=subject)


def press(event_id: str, level: int | None = None, **more: object) -> Event:
    return event(event_id, Reported.model_validate({"kind": "panic", "danger_level": level} | more))


@asynccontextmanager
async def opened(path: Path, **limits: int) -> AsyncIterator[Ledger]:
    ledger = Ledger(Journal(path), **limits)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.stop()


def stored(path: Path) -> list[Row]:
    """What stands in a closed journal."""
    lock = Lock(path.with_name(f"{path.name}.lock"))
    journal = open_journal(path, lock)
    try:
        return journal.rows
    finally:
        journal.close()
        lock.release()


def take_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


@contextmanager
def held_by_another(path: Path, *, and_then: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A process that has journalled `theirs` and goes on."""
    code = (
        "import sys, pathlib, asyncio\n"
        "from tests.ingest.test_ledger import opened, press\n"
        "async def main():\n"
        "    async with opened(pathlib.Path(sys.argv[1])) as ledger:\n"
        "        entry = await ledger.append(press('theirs'))\n"
        f"        {and_then}\n"
        "        print('held', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            yield other
        finally:
            other.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "deep" / "journal.sqlite3"


def test_urgency() -> None:
    ordered: list[Data] = [
        EmergencyMailed(event_ids=("a",)),
        Reported(kind=Kind.PANIC, danger_level=3),
        Reported(kind=Kind.PANIC),
        Reported(kind=Kind.PANIC, danger_level=1, acute=False),
        Reported(kind=Kind.FORM, danger_level=3),
        Reported(kind=Kind.MANUAL, danger_level=0),
        Acknowledged(by="somebody"),
        Reported(kind=Kind.FORM, danger_level=3, acute=False),
        Reported(kind=Kind.PANIC, danger_level=3, mode=Mode.EXERCISE),
        Heartbeat(device_id="a"),
    ]
    urgencies = [urgency_of(event("a", data)) for data in ordered]
    assert urgencies[:6] == sorted(urgencies[:6], reverse=True)
    assert urgencies[6] > urgencies[8] > urgencies[9]
    assert urgencies[5] > urgencies[7]
    assert urgencies[2] == urgency_of(press("a", 2))


async def test_what_is_appended_is_there_after_a_restart_with_all_that_is_known(path: Path) -> None:
    async with opened(path) as ledger:
        for name in ("waiting", "published", "taken", "mailed", "done"):
            await ledger.append(press(name, 3, description="Übergriff"))
        for name in ("published", "taken"):
            found = ledger.find(name)
            assert found is not None
            ledger.acknowledge(found)
        await ledger.confirm(taken=["taken", "nobody's"])
        await ledger.confirm(taken=["done"], heard=["done"])
        await ledger.mailed(["mailed", "nobody's"], NOW, event("news", EmergencyMailed(event_ids=("mailed",))))
        before = {entry.event.id: entry.stored_at for entry in ledger.unheard(math.inf)}
    async with opened(path) as ledger:
        names = ("waiting", "published", "taken", "mailed")
        entries = {name: entry for name in names if (entry := ledger.find(name)) is not None}
        assert len(ledger) == 5
        assert {n: (e.acknowledged_by_kafka, e.taken, e.heard, e.mailed_at) for n, e in entries.items()} == {
            "waiting": (False, False, False, None),
            "published": (True, False, False, None),
            "taken": (True, True, False, None),
            "mailed": (False, False, False, NOW),
        }
        assert all(entry.event == press(name, 3, description="Übergriff") for name, entry in entries.items())
        assert {n: e.stored_at for n, e in entries.items()} == pytest.approx(before, abs=timedelta(milliseconds=1))
        assert {e.event.id for e in ledger.waiting(9, 0)} == {"news", "waiting", "mailed"}
        assert {e.event.id for e in ledger.untaken()} == {"news", "waiting", "published", "mailed"}
        assert {e.event.id for e in ledger.unheard(math.inf)} == set(entries)
        # Alerting gets its time after a restart, too.
        assert ledger.unconfirmed(9, 0) == []
        assert [e.event.id for e in ledger.unconfirmed(9, float("inf"))] == ["published"]


@pytest.mark.parametrize(
    ("and_then", "left"),
    [
        # Forgotten at most: it is published once more, under the same id.
        ("ledger.acknowledge(entry)", [("theirs", False, False)]),
        ("await ledger.confirm(taken=['theirs'])", [("theirs", False, False)]),
        ("await ledger.confirm(heard=['theirs'])", []),
        ("ledger.acknowledge(entry); await ledger.confirm(heard=['theirs'])", []),
    ],
)
async def test_after_a_kill_what_is_done_is_gone_and_what_is_not_is_there(
    path: Path, and_then: str, left: list[tuple[str, bool, bool]]
) -> None:
    with held_by_another(path, and_then=f"{and_then}; await asyncio.sleep(1.2)"):
        pass  # long enough for a deletion to reach the disk
    assert [(row.event_id, row.acknowledged, row.taken) for row in stored(path)] == left


async def test_what_became_of_an_entry_stands_on_the_disk_in_a_while(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.journal.ledger._WRITTEN_AFTER", 0.3)
    async with opened(path) as ledger:
        entry = await ledger.append(press("a"))
        await ledger.confirm(taken=["a"])
        await asyncio.sleep(0.4)
        ledger.look_after()
        await asyncio.sleep(1.2)
        beside = path.with_name("copy")
        shutil.copy(path, beside)
        shutil.copy(f"{path}-wal", f"{beside}-wal")
        (row,) = stored(beside)
        assert (row.event_id, row.acknowledged, row.taken) == (entry.event.id, True, True)


@pytest.mark.parametrize(
    ("data", "taken", "heard", "done"),
    [
        (Reported(), False, False, False),
        (Reported(), True, False, False),
        (Reported(), True, True, True),
        (Reported(mode=Mode.EXERCISE), False, False, False),
        (Reported(mode=Mode.EXERCISE), True, False, True),
        (Heartbeat(device_id="a"), False, False, True),
        (Acknowledged(by="a"), False, False, True),
        (EmergencyMailed(event_ids=("a",)), False, False, True),
    ],
)
async def test_an_entry_is_done_when_nothing_is_left_to_confirm(
    path: Path, data: Data, taken: bool, heard: bool, done: bool
) -> None:
    async with opened(path) as ledger:
        entry = await ledger.append(event("a", data))
        ledger.acknowledge(entry)
        await ledger.confirm(taken=["a"] if taken else [], heard=["a"] if heard else [])
        assert (ledger.find("a") is None) is done
    assert (stored(path) == []) is done


async def test_a_confirmation_may_come_before_kafkas_acknowledgement(path: Path) -> None:
    async with opened(path) as ledger:
        entry = await ledger.append(press("a"))
        await ledger.confirm(heard=["a"])
        ledger.acknowledge(entry)
        assert len(ledger) == 0
    assert stored(path) == []


async def test_many_at_once_share_a_transaction(path: Path) -> None:
    def transactions() -> float:
        return REGISTRY.get_sample_value("rufkette_ingest_journal_write_seconds_count") or 0.0

    async with opened(path) as ledger:
        before = transactions()
        await asyncio.gather(*(ledger.append(press(str(n))) for n in range(500)))
        assert 1 <= transactions() - before <= 50
    assert len(stored(path)) == 500


async def test_urgent_first_then_older_first() -> None:
    ledger = Ledger()
    for name, level in (("one", 1), ("three", 3), ("two", 2), ("unknown", None), ("three again", 3)):
        await ledger.append(press(name, level))
    assert [e.event.id for e in ledger.waiting(4, 0)] == ["three", "three again", "two", "unknown"]


async def test_what_alerting_does_not_confirm_is_found_when_its_time_is_over_whatever_was_looked_for_before() -> None:
    ledger = Ledger()
    first, second = ledger.hold(press("first")), ledger.hold(press("second"))

    def due(after: float) -> set[str]:
        return {entry.event.id for entry in ledger.unconfirmed(9, time.monotonic() + after)}

    assert due(0) == set()
    ledger.acknowledge(first)
    assert (due(0), due(29)) == (set(), set())
    ledger.acknowledge(second)
    assert due(31) == {"first", "second"}
    # Both are published again: one goes, one is refused.
    first.await_alerting()
    ledger.fail(second)
    assert (due(0), due(2), due(59), due(62)) == (set(), {"second"}, {"second"}, {"first", "second"})
    await ledger.confirm(taken=["first", "second"])
    assert due(1e6) == set()
    ledger.acknowledge(ledger.hold(press("third")))
    assert (due(29), due(31)) == (set(), {"third"})


async def test_the_metrics_tell_of_all_that_is_not_done() -> None:
    ledger = Ledger()

    def told() -> list[float | None]:
        states = ("waiting", "published", "taken")
        return [REGISTRY.get_sample_value("rufkette_ingest_entries", {"state": state}) for state in states]

    oldest = REGISTRY.get_sample_value
    assert (told(), oldest("rufkette_ingest_oldest_entry_seconds")) == ([0, 0, 0], 0)
    for name in ("a", "b", "c", "d", "e", "f"):
        ledger.hold(press(name)).held_since -= 60
    for name in ("b", "c"):
        found = ledger.find(name)
        assert found is not None
        ledger.acknowledge(found)
    await ledger.confirm(taken=["c", "d", "e"], heard=["f"])
    assert told() == [1, 1, 3]
    assert oldest("rufkette_ingest_oldest_entry_seconds") == pytest.approx(60, abs=5)


async def test_heartbeats_give_way_and_presses_come_in_last() -> None:
    ledger = Ledger(most_entries=10)
    for n in range(8):
        await ledger.append(event(f"beat {n}", Heartbeat(device_id=str(n))))
    with pytest.raises(Unjournalled, match="full"):
        await ledger.append(event("one beat more", Heartbeat(device_id="x")))
    for n in range(9):
        await ledger.append(event(f"form {n}", Reported(kind=Kind.FORM)))
    with pytest.raises(Unjournalled, match="full"):
        await ledger.append(event("one form more", Reported(kind=Kind.FORM)))
    for n in range(11):
        await ledger.append(press(f"press {n}"))
    with pytest.raises(Unjournalled, match="full"):
        await ledger.append(press("one more"))
    assert len(ledger) == 20, "presses may go beyond the bound, as far again"
    assert len(ledger.unheard(math.inf)) == 20
    assert ledger.find("beat 7") is None
    await ledger.confirm(heard=["form 0"])
    await ledger.append(press("now there is space"))
    with pytest.raises(Unjournalled, match="full"):
        await ledger.append(event("a form", Reported(kind=Kind.FORM)))


async def test_bytes_are_bounded_too() -> None:
    ledger = Ledger(most_bytes=10_000)
    kept = await ledger.append(press("a", description="x" * 12_000))
    with pytest.raises(Unjournalled, match="full"):
        await ledger.append(press("b", description="x" * 12_000))
    ledger.drop(kept)
    await ledger.append(press("b", description="x" * 12_000))


async def test_a_journal_that_is_taken_away_is_written_anew(path: Path) -> None:
    async with opened(path) as ledger:
        await ledger.append(press("before"))
        take_away(path)
        await until(lambda: path.exists() and ledger.problem is None)
        await ledger.append(press("after"))
    assert {row.event_id for row in stored(path)} == {"before", "after"}


async def test_another_process_holds_it_and_then_ends(path: Path) -> None:
    with held_by_another(path) as other:
        async with opened(path) as ledger:
            assert ledger.problem == "another process holds it"
            adopted: list[int] = []
            ledger.on_adopted = lambda: adopted.append(len(ledger))
            with pytest.raises(Unjournalled, match="another process"):
                await ledger.append(press("ours"))
            assert ledger.find("ours") is not None
            other.kill()
            await until(lambda: ledger.problem is None)
            await until(lambda: ledger.find("theirs") is not None)
            assert len(adopted) == 1
            ours = ledger.find("ours")
            assert ours is not None
            await ledger.write(ours)
    assert {row.event_id for row in stored(path)} == {"ours", "theirs"}


async def test_what_this_version_cannot_read_stays_where_it_is(path: Path) -> None:
    async with opened(path) as ledger:
        await ledger.append(press("a"))
    lock = Lock(path.with_name(f"{path.name}.lock"))
    journal = open_journal(path, lock)
    journal.write({"b": Row("b", '[["ce_type", "rufkette.of.tomorrow.v9"]]', b"{}", 1.0, False, False, False, None)})
    journal.close()
    lock.release()
    async with opened(path) as ledger:
        assert len(ledger) == 1
        await ledger.append(press("c"))
    assert {row.event_id for row in stored(path)} == {"a", "b", "c"}


@pytest.mark.parametrize("headers", ["nonsense", "[1]", '["a"]', "null", "{}"])
def test_rows_of_a_damaged_file_break_nothing(headers: str) -> None:
    for when in (1.0, 1e300, float("nan")):
        row = Row("a", headers, b"{}", when, False, False, False, None)
        with pytest.raises(ValueError, match=r".+"):
            Entry.stored(row)


async def test_what_nobody_ever_confirms_is_given_up_once_the_watch_has_mailed() -> None:
    ledger = Ledger()
    for data, name in ((Reported(), "real"), (Reported(mode=Mode.EXERCISE), "exercise"), (Reported(), "not on Kafka")):
        entry = await ledger.append(event(name, data))
        if name != "not on Kafka":
            ledger.acknowledge(entry)
    real = ledger.find("real")
    assert real is not None
    late = real.stored_at + timedelta(seconds=GIVEN_UP_AFTER + 60)
    ledger.give_up(late - timedelta(hours=1))
    assert len(ledger) == 3
    ledger.give_up(late)
    assert ledger.find("exercise") is None
    assert ledger.find("real") is not None
    await ledger.mailed(["real"], late, event("news", EmergencyMailed(event_ids=("real",))))
    ledger.give_up(late)
    assert ledger.find("real") is None
    assert ledger.find("not on Kafka") is not None
