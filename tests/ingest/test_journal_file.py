"""The journal's file: what it keeps, and every way in which a file can be unusable."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.ingest.journal.file import Damaged, JournalFile, Lock, Unusable, open_journal
from services.ingest.journal.rows import Row

SECRET = b"Herr Beispielmann droht"


def row(number: int, value: bytes = b"{}") -> Row:
    return Row(f"event-{number}", "[]", value, float(number), False, False, False, None)


class Place:
    """Where a journal is, and the journals that were opened there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = Lock(path.with_name(f"{path.name}.lock"))
        self.journal: JournalFile | None = None

    def open(self) -> JournalFile:
        self.close()
        self.journal = open_journal(self.path, self.lock)
        return self.journal

    def close(self) -> None:
        if self.journal is not None:
            self.journal.close()
        self.journal = None

    def fill(self, count: int, value: bytes = b"x" * 3000) -> None:
        self.open().write({f"event-{n}": row(n, value) for n in range(count)})
        self.close()

    def others(self) -> set[str]:
        """The files besides the journal itself."""
        return {file.name for file in self.path.parent.iterdir()} - {self.path.name, f"{self.path.name}.lock"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "journal.sqlite3")
    yield made
    made.close()
    made.lock.release()


def test_what_is_written_is_there_again_and_what_is_deleted_is_not(place: Place) -> None:
    journal = place.open()
    assert journal.rows == []
    whole = Row("event-9", '[["ce_id", "ä"]]', b"\x00\xff", 1.5, True, True, False, 2.5)
    journal.write({"event-1": row(1), "event-2": row(2), "event-9": whole})
    journal.write({"event-1": None, "event-2": row(2, b"new"), "unknown": None})
    assert place.open().rows == [row(2, b"new"), whole], "oldest first"


def test_a_kill_leaves_all_that_was_written(place: Place) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from tests.ingest.test_journal_file import Place, row\n"
        "journal = Place(pathlib.Path(sys.argv[1])).open()\n"
        "journal.write({'event-1': row(1)})\n"
        "os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(place.path)], check=False)
    assert ended.returncode == -9
    assert place.open().rows == [row(1)]


def test_no_text_stays_of_what_is_deleted(place: Place) -> None:
    journal = place.open()
    journal.write({f"event-{n}": row(n, SECRET * 400) for n in range(20)})
    files = [place.path, place.path.with_name("journal.sqlite3-wal")]
    assert any(SECRET in file.read_bytes() for file in files)
    journal.write({f"event-{n}": None for n in range(20)})
    journal.tidy()
    assert [file.name for file in files if SECRET in file.read_bytes()] == []


def test_only_its_owner_can_read_it(place: Place) -> None:
    place.fill(1)
    assert place.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", SECRET, b"SQLite format 3\x00" + b"\x00" * 200])
def test_a_foreign_file_is_left_alone_and_one_beside_it_is_used(place: Place, content: bytes) -> None:
    place.path.write_bytes(content)
    journal = place.open()
    assert journal.findings == (["foreign"] if content else [])
    journal.write({"event-1": row(1)})
    assert (place.path.read_bytes() == content) is bool(content)
    assert place.open().rows == [row(1)]


def test_another_programs_database_is_left_alone(place: Place) -> None:
    with sqlite3.connect(place.path) as theirs:
        theirs.execute("CREATE TABLE entries (anything)")
    theirs.close()
    before = place.path.read_bytes()
    assert place.open().findings == ["foreign"]
    place.close()
    assert place.path.read_bytes() == before


def test_a_newer_version_is_left_alone_and_takes_over_when_it_is_back(place: Place) -> None:
    place.fill(2, b"{}")
    raw = bytearray(place.path.read_bytes())
    raw[60:64] = (2).to_bytes(4)
    place.path.write_bytes(raw)
    journal = place.open()
    assert (journal.findings, journal.rows) == (["newer"], [])
    journal.write({"event-7": row(7)})
    place.close()
    assert place.path.read_bytes() == bytes(raw)

    raw[60:64] = (1).to_bytes(4)
    place.path.write_bytes(raw)
    journal = place.open()
    assert (journal.findings, journal.rows) == ([], [row(0), row(1), row(7)])
    assert place.open().rows == [row(0), row(1), row(7)]
    assert not {name for name in place.others() if "beside" in name}


def test_a_newer_version_that_stands_in_the_log_only(place: Place) -> None:
    place.fill(1)
    theirs = sqlite3.connect(place.path)
    theirs.execute("PRAGMA user_version = 2")
    shutil.copytree(place.path.parent, copied := place.path.parent / "crashed", ignore=shutil.ignore_patterns("c*"))
    theirs.close()
    crashed = Place(copied / place.path.name)
    with pytest.raises(Unusable, match="newer"):
        crashed.open()
    crashed.lock.release()


@pytest.mark.parametrize("damage", ["a page in the middle", "two pages apart", "cut off", "index"])
def test_a_corrupt_file_is_kept_and_what_can_be_read_is_recovered(place: Place, damage: str) -> None:
    place.fill(100)
    raw = bytearray(place.path.read_bytes())
    pages = len(raw) // 4096
    if damage == "a page in the middle":
        raw[4096 * (pages // 2) : 4096 * (pages // 2 + 1)] = b"\xa5" * 4096
    elif damage == "two pages apart":
        for page in (pages // 4, 3 * pages // 4):
            raw[4096 * page : 4096 * (page + 1)] = b"\xa5" * 4096
    elif damage == "cut off":
        del raw[4096 * (pages // 2) :]
    else:
        raw[4096 * 2 : 4096 * 3] = b"\xa5" * 4096
    place.path.write_bytes(raw)

    journal = place.open()
    assert journal.findings == ["corrupt"]
    assert journal.recovered == len(journal.rows)
    assert len(journal.rows) >= (30 if damage == "cut off" else 95)
    assert all(found == row(int(found.event_id[6:]), b"x" * 3000) for found in journal.rows)
    (aside,) = place.path.parent.glob("journal.sqlite3.corrupt-*")
    assert aside.read_bytes() == bytes(raw)
    recovered = journal.rows
    journal = place.open()
    assert (journal.findings, journal.rows) == ([], recovered)


def test_a_file_without_its_table_is_corrupt(place: Place) -> None:
    place.fill(1)
    with sqlite3.connect(place.path) as other:
        other.execute("ALTER TABLE entries RENAME TO others")
    other.close()
    assert place.open().findings == ["corrupt"]


def test_a_corrupt_log_is_not_believed(place: Place) -> None:
    journal = place.open()
    journal.write({"event-1": row(1)})
    journal.tidy()
    journal.write({"event-2": row(2)})
    shutil.copytree(place.path.parent, copied := place.path.parent / "crashed", ignore=shutil.ignore_patterns("c*"))
    log = copied / "journal.sqlite3-wal"
    log.write_bytes(b"\xa5" * len(log.read_bytes()))
    crashed = Place(copied / place.path.name)
    assert crashed.open().rows == [row(1)]
    crashed.close()
    crashed.lock.release()


def test_one_process_holds_it_and_a_dead_one_does_not(place: Place) -> None:
    code = (
        "import sys, pathlib, time\n"
        "from tests.ingest.test_journal_file import Place, row\n"
        "journal = Place(pathlib.Path(sys.argv[1])).open()\n"
        "journal.write({'event-1': row(1)})\n"
        "print('held', flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(place.path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Unusable, match="another process holds it"):
            place.open()
        other.kill()
    assert place.open().rows == [row(1)]


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_a_path_that_is_no_file(place: Place, kind: str) -> None:
    if kind == "directory":
        place.path.mkdir()
    else:
        os.mkfifo(place.path)
    with pytest.raises(Unusable, match="not a file"):
        place.open()


def test_a_full_disk_and_space_again(place: Place) -> None:
    journal = place.open()
    journal.write({"event-1": row(1)})
    journal._connection.execute("PRAGMA max_page_count = 10")
    with pytest.raises(Unusable, match="the disk is full"):
        journal.write({f"event-{n}": row(n, b"x" * 50_000) for n in range(2, 9)})
    journal.write({"event-1": row(1, b"small")})
    journal._connection.execute("PRAGMA max_page_count = 1000")
    journal.write({"event-2": row(2, b"x" * 50_000)})
    assert [found.event_id for found in place.open().rows] == ["event-1", "event-2"]


@pytest.mark.parametrize("how", ["moved", "deleted", "replaced"])
def test_a_file_that_is_taken_away_is_noticed(place: Place, how: str) -> None:
    journal = place.open()
    journal.check_in_place()
    if how == "moved":
        place.path.rename(place.path.with_name("elsewhere"))
    else:
        place.path.unlink()
    if how == "replaced":
        place.path.write_bytes(SECRET)
    with pytest.raises(Damaged):
        journal.check_in_place()
