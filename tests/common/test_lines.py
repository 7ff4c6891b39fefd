"""Log lines: written at once, and never in an alarm's way."""

import asyncio
import contextlib
import gc
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from services.common.lines import MOST_WAITING, Lines
from tests.support.pipes import drained

_FULL = """
import logging, os, sys, structlog
from services.common import telemetry
telemetry.configure(service="ingest", log_format="json", log_level="info")
for number in range(200):
    structlog.get_logger().info("kafka.recovered", after_s=number)
    logging.getLogger("uvicorn").warning("a library's")
os.write(2, b"went on")
os._exit(0)  # closing what is full would fail
"""


def test_each_line_is_there_at_once(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        lines = Lines(file)
        lines.info("first")
        lines.critical("second")
        lines.write("a library's\n")
        assert (tmp_path / "log").read_text() == "first\nsecond\na library's\n"


async def test_what_is_said_in_one_turn_of_the_loop_is_written_at_its_end(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        lines = Lines(file)
        lines.info("first")
        lines.debug("second")
        assert (tmp_path / "log").read_text() == ""
        await asyncio.sleep(0)
        assert (tmp_path / "log").read_text() == "first\nsecond\n"


@pytest.mark.parametrize("level", ["warning", "error", "critical"])
async def test_what_is_bad_is_written_at_once_and_in_its_place(tmp_path: Path, level: str) -> None:
    with (tmp_path / "log").open("w") as file:
        lines = Lines(file)
        lines.info("first")
        getattr(lines, level)("second")
        assert (tmp_path / "log").read_text() == "first\nsecond\n"
        await asyncio.to_thread(lines.info, "of a thread")
        assert (tmp_path / "log").read_text() == "first\nsecond\nof a thread\n"


def test_a_loop_that_ended_in_between_keeps_back_nothing(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        lines = Lines(file)

        async def say_and_end(text: str) -> None:
            lines.info(text)
            asyncio.get_running_loop().stop()

        for text in ("first", "second"):
            loop = asyncio.new_event_loop()
            task = loop.create_task(say_and_end(text))
            loop.run_forever()
            loop.close()
            assert task.done()
        lines.flush()
        assert (tmp_path / "log").read_text() == "first\nsecond\n"


async def test_threads_lose_no_line_of_each_other(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        lines = Lines(file)

        def say(name: int) -> None:
            for number in range(500):
                lines.info(f"{name}/{number}")

        others = asyncio.gather(*(asyncio.to_thread(say, name) for name in range(4)))
        while not others.done():
            lines.info("here")
            await asyncio.sleep(0)
        lines.flush()
        said = (tmp_path / "log").read_text().splitlines()
        assert sorted(line for line in said if line != "here") == sorted(
            f"{i}/{n}" for i in range(4) for n in range(500)
        )


def test_the_last_words_of_a_process_are_written(tmp_path: Path) -> None:
    script = "import asyncio, sys; from services.common.lines import Lines; lines = Lines(sys.stdout)\n"
    script += "async def main(): lines.info('said last'); sys.exit(0)\n"
    script += "asyncio.run(main())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=60)
    assert done.stdout == b"said last\n"


def test_a_full_disk_stops_nobody() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        command = [sys.executable, "-c", _FULL]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    finally:
        os.close(full)
    assert (done.returncode, done.stderr) == (0, b"went on")


def test_what_follows_a_full_disk_is_written_again(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        lines = Lines(file)
        kept = os.dup(file.fileno())
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, file.fileno())
        lines.info("lost, or late")
        os.dup2(kept, file.fileno())
        os.close(kept)
        os.close(full)
        lines.info("after it")
        assert (tmp_path / "log").read_text().splitlines()[-1] == "after it"


@pytest.fixture
def unread() -> Iterator[tuple[int, TextIO]]:
    """A pipe: where to read, and where to write."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file:
        yield reader, file
    os.close(reader)


def test_nobody_waits_for_who_does_not_read(unread: tuple[int, TextIO]) -> None:
    reader, file = unread
    lost: list[int] = []
    lines = Lines(file, lost.append)
    for number in range(4 * MOST_WAITING):
        lines.info(f"{number:>50}")
    lines.error("for this there is room")
    *said, last = drained(reader, lines.flush)
    assert last == "for this there is room"
    assert [int(line) for line in said] == list(range(len(said))), "the first ones, each whole"
    assert MOST_WAITING < len(said) < 2 * MOST_WAITING
    assert lost == [4 * MOST_WAITING - len(said)]
    lines.warning("read again")
    assert drained(reader, lines.flush) == ["read again"]
    assert len(lost) == 1


async def test_what_found_no_room_is_written_when_there_is_some_though_nothing_is_said(
    unread: tuple[int, TextIO],
) -> None:
    reader, file = unread
    lines = Lines(file)
    for number in range(1000):
        lines.warning(f"{number:>100}")
    said = b""
    os.set_blocking(reader, False)
    async with asyncio.timeout(10):
        while said.count(b"\n") < 1000:
            with contextlib.suppress(BlockingIOError):
                said += os.read(reader, 1 << 20)
            await asyncio.sleep(0.02)


def test_a_terminal_that_is_paused_stops_nobody() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as file:
        lines = Lines(file)
        for number in range(1000):
            lines.warning(f"{number:>100}")
        said = drained(ours, lines.flush)
        assert [int(line) for line in said] == list(range(1000))
    assert not os.get_blocking(lines._number), "ours does not block"
    os.close(lines._number)
    os.close(ours)


def test_half_a_character_is_written_somehow(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        Lines(file).warning("Zimmer \ud83d")
        assert (tmp_path / "log").read_text() == "Zimmer \\ud83d\n"


def test_a_closed_stream_is_no_place_to_write_to(tmp_path: Path) -> None:
    file = (tmp_path / "log").open("w")
    lines = Lines(file)
    file.close()
    with (tmp_path / "another").open("w"):
        lines.warning("lost")
    assert (tmp_path / "another").read_text() == ""


def test_what_is_said_while_lines_are_written_is_written_with_them(tmp_path: Path) -> None:
    """Python clears objects away at any moment, and some of them have something to say."""

    class Talkative:
        def __init__(self, lines: Lines) -> None:
            self.lines, self.me = lines, self  # a cycle: nobody but the collector ends it

        def __del__(self) -> None:
            self.lines.error("last words")

    class Collecting:
        def poll(self, _: float) -> list[tuple[int, int]]:
            gc.collect()
            return [(1, select.POLLOUT)]

    with (tmp_path / "log").open("w") as file:
        lines = Lines(file)
        lines._poll = Collecting()  # type: ignore[assignment]  # allocating does the same, now and then
        Talkative(lines)
        lines.error("first")
        assert (tmp_path / "log").read_text() == "first\nlast words\n"
