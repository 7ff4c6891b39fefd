"""Ingest as a process with a journal that cannot be used: a press is accepted, published and held all the same."""

import asyncio
import contextlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.embedded.process import Part
from services.ingest.journal.file import Lock, open_journal
from tests.conftest import StartService
from tests.ingest.reading import events_on, until
from tests.ingest.test_journal_file import row
from tests.ingest.test_ledger import stored
from tests.ingest.test_process import post
from tests.support.chain import Surroundings, ingest_service
from tests.support.service import Service

_ON_A_SMALL_DISK = [
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"',
]


def spoil(path: Path, how: str) -> None:
    """Leave a file at the path that is no journal of ours, or none any more."""
    if how == "foreign":
        path.write_bytes(b"something else")
        return
    lock = Lock(path.with_name(f"{path.name}.lock"))
    journal = open_journal(path, lock)
    journal.write({f"event-{n}": row(n, b"x" * 3000) for n in range(50)})
    journal.close()
    lock.release()
    raw = bytearray(path.read_bytes())
    if how == "newer":
        raw[60:64] = (9).to_bytes(4)
    else:
        raw[4096 * 20 : 4096 * 21] = b"\xa5" * 4096
    path.write_bytes(raw)


@pytest.mark.parametrize("how", ["foreign", "newer", "corrupt"])
async def test_a_file_that_cannot_be_used(
    start_ingest: StartService, surroundings: Surroundings, tmp_path: Path, how: str
) -> None:
    path = tmp_path / "journal.sqlite3"
    spoil(path, how)
    service = await start_ingest(RUFKETTE_JOURNAL_PATH=str(path))
    assert len(service.events("journal.replaced", finding=how)) == 1
    answer = await post(service, {"site": "bernburg", "id": "a"})
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    service.kill()
    await service.start()
    assert [line["entries"] for line in service.events("journal.loaded")][-1] >= 1
    again = await post(service, {"site": "bernburg", "id": "a"})
    assert again.json()["event_id"] == answer.json()["event_id"]
    # Whether Kafka's acknowledgement was on disk before the kill is open: it may have been published twice.
    on_kafka = {event.id for event in await events_on(surroundings.kafka, surroundings.topic_prefix)}
    assert on_kafka == {answer.json()["event_id"]}
    assert service.stray_lines == []


@pytest.mark.parametrize("path", ["/proc/rufkette/journal.sqlite3", "/dev/null"])
async def test_a_place_where_nobody_can_write(
    start_ingest: StartService, surroundings: Surroundings, path: str
) -> None:
    service = await start_ingest(ready=False, RUFKETTE_JOURNAL_PATH=path)
    await until(lambda: bool(service.events("journal.unavailable")))
    await _until_only_the_journal_is_away(service)
    answer = await post(service, {"site": "bernburg"})
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    on_kafka = [event.id for event in await events_on(surroundings.kafka, surroundings.topic_prefix)]
    assert on_kafka == [answer.json()["event_id"]]
    service.stop()
    assert service.exit_code == 0


async def test_two_processes_with_one_path(start_ingest: StartService, tmp_path: Path) -> None:
    path = str(tmp_path / "shared.sqlite3")
    first = await start_ingest(RUFKETTE_JOURNAL_PATH=path)
    assert (await post(first, {"site": "bernburg", "id": "of the first"})).status_code == 202
    second = await start_ingest(ready=False, RUFKETTE_JOURNAL_PATH=path)
    problems = await _until_only_the_journal_is_away(second)
    assert problems["journal"] == "another process holds it"
    assert (await post(second, {"site": "bernburg", "id": "of the second"})).json()["status"] == "accepted"
    first.kill()
    await second.wait_ready()
    assert second.events("journal.recovered")
    assert second.events("journal.loaded", entries=1)
    second.kill()
    await second.start()
    assert second.events("journal.loaded", entries=2)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where a process may have a small file system."""
    directory = tmp_path / "disk"
    directory.mkdir()
    if subprocess.run([*_ON_A_SMALL_DISK, str(directory), "true"], check=False).returncode:
        pytest.skip("this machine lets no process mount anything for itself")
    return directory


async def test_a_disk_that_is_full_and_has_space_again(start_ingest: StartService, tmp_path: Path) -> None:
    service = await start_ingest(RUFKETTE_JOURNAL_PATH=str(tmp_path / "journal.sqlite3"))
    _, hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (1_000_000, hard))
    sent = 0
    while not service.events("journal.unavailable"):
        answers = await asyncio.gather(
            *(post(service, {"site": "bernburg", "description": "x" * 15_000}) for _ in range(10))
        )
        assert {answer.json()["status"] for answer in answers} == {"accepted"}
        sent += len(answers)
        assert sent < 1000
    assert set(await service.wait_for_readiness("degraded")) == {"journal"}
    assert (await post(service, {"site": "bernburg"})).json()["status"] == "accepted"
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (hard, hard))
    await service.wait_ready()
    assert service.events("journal.recovered")
    service.kill()
    await service.start()
    assert service.events("journal.loaded")[-1]["entries"] == sent + 1
    assert service.stray_lines == []


async def test_a_file_system_without_any_space(surroundings: Surroundings, services: list[Service], disk: Path) -> None:
    """A small one in memory, which only this process sees mounted."""
    service = ingest_service(surroundings, RUFKETTE_JOURNAL_PATH=str(disk / "journal.sqlite3"))
    services.append(service)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
    command = [*_ON_A_SMALL_DISK, str(disk), sys.executable, "-m", "services.cli", "ingest"]
    service._part = Part.start("ingest", command, log=service.log_file, env=clean | dict(service.environment))
    await service.wait_ready()
    within = Path(f"/proc/{service.pid}/root{disk}")
    pressed = {(await post(service, {"site": "bernburg"})).json()["event_id"]}
    rest = within / "rest"
    with rest.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    while not service.events("journal.unavailable"):
        answer = await post(service, {"site": "bernburg", "description": "x" * 15_000})
        assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
        pressed.add(answer.json()["event_id"])
        assert len(pressed) < 100
    assert await service.wait_for_readiness("degraded") == {"journal": "the disk is full"}
    pressed.add((await post(service, {"site": "bernburg"})).json()["event_id"])
    rest.unlink()
    await service.wait_ready()
    pressed.add((await post(service, {"site": "bernburg"})).json()["event_id"])
    service.pause()
    for name in ("journal.sqlite3", "journal.sqlite3-wal"):
        shutil.copy(within / name, surroundings.directory / f"copy-{name}")
    service.resume()
    assert {row.event_id for row in stored(surroundings.directory / "copy-journal.sqlite3")} == pressed
    assert service.stray_lines == []


async def _until_only_the_journal_is_away(service: Service) -> dict[str, str]:
    problems: dict[str, str] = {}
    while set(problems) != {"journal"}:
        problems = await service.wait_for_readiness("degraded")
    return problems
