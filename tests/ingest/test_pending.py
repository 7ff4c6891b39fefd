"""What waits for the journal's file, while that cannot be used: it must not grow with what has long been done."""

import asyncio
import contextlib
import time
from pathlib import Path

from services.ingest.journal.journal import Journal, Unjournalled
from services.ingest.journal.pending import Pending
from tests.ingest.reading import until
from tests.ingest.test_journal_file import row
from tests.ingest.test_ledger import opened, press, stored, take_away


async def test_what_is_done_before_it_was_ever_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with opened(tmp_path / "file" / "journal.sqlite3") as ledger:
        for number in range(100):
            with contextlib.suppress(Unjournalled):
                await ledger.append(press(str(number)))
            await ledger.confirm(heard=[str(number)])
        assert ledger._journal is not None
        pending = ledger._journal.pending
        await until(lambda: pending.is_empty)
        assert ledger.problem is not None


async def test_what_is_done_while_the_file_is_away_is_gone_from_it_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "var" / "journal.sqlite3"
    async with opened(path) as ledger:
        for name in ("done meanwhile", "open"):
            await ledger.append(press(name))
        assert ledger._journal is not None
        take_away(path.parent)
        path.parent.touch()  # so that nothing can be made there
        await until(lambda: ledger.problem is not None)
        await ledger.confirm(heard=["done meanwhile"])
        await until(lambda: "done meanwhile" not in ledger._journal.pending._later)  # type: ignore[union-attr]
        path.parent.unlink()
        (tmp_path / "elsewhere").rename(path.parent)
        await until(lambda: ledger.problem is None)
    assert [one.event_id for one in stored(path)] == ["open"]


def test_what_is_given_back_yields_to_what_came_meanwhile_and_deletes_only_what_is_stored() -> None:
    pending = Pending()
    pending.put(row(1), row(2), row(3))
    for gone in ("stored", "never written"):
        pending.forget(gone)
    changes, _ = pending.take(everything=False)
    newer = row(2, b"newer")
    pending.put(newer)
    pending.forget(row(3).event_id)
    pending.give_back(changes, {"stored"})
    again, _ = pending.take(everything=True)
    assert again == {row(1).event_id: row(1), newer.event_id: newer, row(3).event_id: None, "stored": None}


async def test_a_disk_that_is_known_to_hang_is_waited_for_by_nobody_and_gets_it_all_the_same(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    journal._busy_since = time.monotonic() - 10
    written = [journal.write(row(1)), journal.write(row(2), row(3))]
    found = await asyncio.gather(*written, return_exceptions=True)
    assert [type(one) for one in found] == [Unjournalled, Unjournalled]
    journal.forget(row(1).event_id)
    changes, waiters = journal.pending.take(everything=True)
    assert changes == {row(1).event_id: None, row(2).event_id: row(2), row(3).event_id: row(3)}
    assert waiters == []
