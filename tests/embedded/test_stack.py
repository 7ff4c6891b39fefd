"""`rufkette run` as a person meets it: one process to start, and nothing left when it has ended."""

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from services.embedded.ports import free_port
from tests.support.run import READY, Run, incidents, mails, ready_at, until

IN_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "services.cli", "run", "--data-dir", sys.argv[2]])
"""
PRESSES = 400
"""What is logged about them is more than a pipe holds (64 KiB)."""
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def tmp_path(postgres_directory: Path) -> Path:
    """Where PostgreSQL's user may read: see `postgres_directory`."""
    return Path(tempfile.mkdtemp(dir=postgres_directory))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(name: str = "var", **environment: str) -> Run:
        runs.append(Run(tmp_path / name, **environment))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
            run.wait()


def test_the_printed_curl_leads_to_a_mail_and_a_second_start_keeps_it(start: Callable[..., Run]) -> None:
    run = start()
    text = run.ready()
    curl = next(line.strip() for line in text.splitlines() if line.strip().startswith("curl "))
    answer = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["status"] == "accepted", answer.stdout
    until(lambda: incidents(run), "a mail that names the room")
    pressed = [sys.executable, "-m", "services.cli", "press", "--site", "stassfurt", "--data-dir", str(run.data)]
    done = subprocess.run(pressed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.match(r"event \S+ accepted\nhttp://127\.0\.0\.1:\d+/v1/events/\S+\n", done.stdout)
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 0
    assert run.left() == []
    after_banner = run.out.read_text().partition("curl ")[2].splitlines()[1:]
    assert [line for line in after_banner if line and not line.startswith("{")] == []

    key = shlex.split(curl)
    again = start()
    again.ready()
    assert incidents(again)
    assert key[key.index("-H") + 1] in again.out.read_text(), "the key is kept"
    again.process.terminate()
    assert again.wait() == 0
    assert again.left() == []


@pytest.mark.parametrize(
    ("needle", "name"),
    [
        ("kafka.Kafka", "Kafka"),
        ("pginstall18/bin/postgres", "PostgreSQL"),
        ("services.embedded.mail", "mail catcher"),
    ],
)
def test_a_crash_of_a_server_ends_all(start: Callable[..., Run], needle: str, name: str) -> None:
    run = start()
    run.ready()
    os.kill(run.child(needle), signal.SIGKILL)
    assert run.wait() == 1
    said = run.err.read_text()
    assert f"{name} was killed by SIGKILL" in said
    assert "So everything was stopped" in said
    assert "start it again" in said
    assert "WARN" not in said
    assert "Traceback" not in run.err.read_text()
    until(lambda: not run.left(), f"no process left, but {run.left()}")


@pytest.mark.parametrize(("name", "row"), [("ingest", "API of ingest"), ("alerting", "desk")])
def test_a_service_that_crashed_is_started_again(start: Callable[..., Run], name: str, row: str) -> None:
    run = start()
    run.ready()
    address = run.row(row).removesuffix("docs")
    before = run.child(f"services.cli {name}")
    os.kill(before, signal.SIGKILL)
    until(lambda: f"rufkette: {name} was killed by SIGKILL; starting it again" in run.err.read_text(), "a line")
    until(lambda: run.find(f"services.cli {name}") not in (None, before), "another process")

    until(lambda: ready_at(address), f"{name} is ready again")
    run.process.send_signal(signal.SIGTERM)
    assert run.wait() == 0
    assert run.left() == []


def test_a_service_that_crashes_again_and_again_ends_all(start: Callable[..., Run]) -> None:
    run = start()
    run.ready()

    def killed_until_the_end() -> bool:
        if (pid := run.find("services.cli ingest")) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return run.process.poll() is not None

    until(killed_until_the_end, "the end of all", 60)
    assert run.wait() == 1
    assert run.err.read_text().count("starting it again") == 5
    assert "ingest was killed by SIGKILL, and was started again 5 times within a minute" in run.err.read_text()
    until(lambda: not run.left(), f"no process left, but {run.left()}")


def test_kill_9_of_the_run_leaves_no_process_and_the_next_start_works(start: Callable[..., Run]) -> None:
    run = start()
    run.ready()
    assert len(run.left()) >= 5
    run.process.kill()
    run.wait()
    until(lambda: not run.left(), f"no process left, but {run.left()}")
    again = start()
    again.ready()


def test_kill_9_while_it_starts_leaves_no_process(start: Callable[..., Run]) -> None:
    run = start()
    until(run.left, "a first child")
    run.process.kill()
    run.wait()
    until(lambda: not run.left(), f"no process left, but {run.left()}")


def _with_children(pid: int) -> list[int]:
    listing = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [pid, *map(int, listing.stdout.split())]


def test_an_outage_can_be_tried_on_a_running_stack(start: Callable[..., Run]) -> None:
    run = start(RUFKETTE_WATCH_AFTER="2")
    text = run.ready()
    processes = json.loads((run.data / "processes.json").read_text())
    assert set(processes) == {"Kafka", "PostgreSQL", "mail catcher", "ingest", "alerting"}
    assert f"(process {processes['Kafka']})" in text
    curl = next(line.strip() for line in text.splitlines() if line.strip().startswith("curl "))
    os.kill(processes["Kafka"], signal.SIGSTOP)
    answer = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["status"] == "queued", answer.stdout
    until(lambda: any("Notbetrieb" in subject for subject in incidents(run)), "the emergency mail")
    os.kill(processes["Kafka"], signal.SIGCONT)
    until(lambda: any("Notbetrieb" not in subject for subject in incidents(run)), "the normal alarm")
    for pid in _with_children(processes["PostgreSQL"]):
        os.kill(pid, signal.SIGSTOP)
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 0
    until(lambda: not run.left(), f"no process left, but {run.left()}")
    assert not (run.data / "processes.json").exists()


def test_alarms_go_on_though_nobody_reads_the_logs(start: Callable[..., Run]) -> None:
    """As while a terminal is paused, or what takes a container's output hangs: pipes hold 64 KiB."""
    run = start(RUFKETTE_WATCH_AFTER="60")
    run.ready()
    key = next(iter(json.loads((run.data / "api-keys.json").read_text()).values()))
    run.process.send_signal(signal.SIGSTOP)
    try:
        with httpx.Client(base_url=run.row("API of ingest").removesuffix("docs"), timeout=10) as client:
            for number in range(PRESSES):
                report = {"site": "bernburg", "location": f"Raum {number}", "danger_level": 1}
                answer = client.post("v1/incidents", json=report, headers={"Authorization": f"Bearer {key}"})
                assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
        assert run.out.stat().st_size < 60_000, "nobody read them"
        until(lambda: sum(f"Raum {PRESSES - 1}" in mail["subject"] for mail in mails(run)), "the last alarm")
    finally:
        run.process.send_signal(signal.SIGCONT)
    until(lambda: run.out.read_text().count('"report.accepted"') == PRESSES, "what waited")
    lines = run.out.read_text().partition("curl ")[2].splitlines()[1:]
    assert [line for line in lines if line and not (line.startswith("{") and line.endswith("}"))] == []


def test_ports_are_kept_and_a_misspelt_setting_is_named_at_once(start: Callable[..., Run]) -> None:
    ports = {name: str(free_port()) for name in ("MAIL_CATCHER", "MAIL_CATCHER_SMTP", "KAFKA", "POSTGRES")}
    settings = {f"RUFKETTE_{name}_PORT": port for name, port in ports.items()}
    run = start(**settings, RUFKETTE_INGEST_PROT="8090")
    until(lambda: "RUFKETTE_INGEST_PROT, it has no effect" in run.err.read_text(), "a warning")
    assert "did you mean RUFKETTE_INGEST_PORT?" in run.err.read_text()
    assert READY not in run.out.read_text()
    text = run.ready()
    assert run.row("mails") == f"http://127.0.0.1:{ports['MAIL_CATCHER']}"
    assert run.row("Kafka") == f"127.0.0.1:{ports['KAFKA']}"
    assert f":{ports['POSTGRES']}/" in run.row("PostgreSQL")
    socket.create_connection(("127.0.0.1", int(ports["MAIL_CATCHER_SMTP"])), timeout=5).close()
    assert "setting.unknown" in text or "setting.unknown" in run.out.read_text()
    assert all(f"RUFKETTE_{name}_PORT" not in run.out.read_text() for name in ports)


def test_a_second_run_on_the_same_data_is_refused(start: Callable[..., Run]) -> None:
    start().ready()
    second = start()
    assert second.wait() == 2
    assert "another `rufkette run` already uses" in second.err.read_text()


def test_a_port_that_was_asked_for_and_is_taken_is_named(start: Callable[..., Run]) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        run = start(RUFKETTE_ALERTING_PORT=str(port))
        assert run.wait() == 2
    assert (
        run.err.read_text() == f"port {port} (RUFKETTE_ALERTING_PORT) is taken by another program; choose another one\n"
    )


def test_a_first_start_without_network_says_so_in_one_line(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start(XDG_CACHE_HOME=str(tmp_path / "empty"), HTTPS_PROXY="http://127.0.0.1:9")
    assert run.wait() == 1
    said = [line for line in run.err.read_text().splitlines() if "downloading" not in line]
    assert len(said) == 1
    assert "the first start needs a connection" in said[0]
    until(lambda: not run.left(), f"no process left, but {run.left()}")


def test_a_mistake_in_the_configuration_is_named_before_anything_starts(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    data = tmp_path / "var"
    data.mkdir()
    (data / "config.yaml").write_text("organisation: {name: A}\n")
    run = start()
    assert run.wait() == 2
    assert "config.yaml:1: organisation" in run.err.read_text()


def test_a_server_of_ones_own_replaces_the_embedded_one(
    start: Callable[..., Run], kafka: str, empty_database_url: str
) -> None:
    run = start(RUFKETTE_KAFKA_BOOTSTRAP_SERVERS=kafka, RUFKETTE_DATABASE_URL=empty_database_url)
    run.ready()
    assert not (run.data / "kafka").exists()
    assert not (run.data / "postgres").exists()
    assert empty_database_url not in run.out.read_text()


def test_sighup_is_passed_on_and_a_lost_terminal_ends_it(tmp_path: Path) -> None:
    data, out = tmp_path / "var", tmp_path / "out"
    ours, theirs = pty.openpty()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, str(theirs), str(data)],
            stdin=theirs,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=clean | {"RUFKETTE_LOG_FORMAT": "json"},
            pass_fds=[theirs],
        )
    os.close(theirs)
    try:
        until(lambda: READY in out.read_text(), "the banner", 90)
        for times, event in enumerate(("configuration.reloaded", "configuration.refused")):
            process.send_signal(signal.SIGHUP)
            until(lambda event=event: out.read_text().count(f'"{event}"') == 2, event)  # type: ignore[misc]
            assert process.poll() is None, times
            (data / "config.yaml").write_text("sites: {}\n")
        os.close(ours)  # the window is closed
        assert process.wait(40) == 0
        assert "stopping" in out.read_text()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(40)
