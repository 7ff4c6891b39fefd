"""Serving: health, metrics, one log line a request, an orderly stop, a port that is taken."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number: int = listener.getsockname()[1]
        return number


@pytest.fixture
def start(port: int) -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def begin(mood: str = "well", number: int = port) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.common.web_app", str(number), mood]
        process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def up(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"


def get(port: int, path: str) -> httpx.Response:
    # The lifespan is over just before the socket is accepted from.
    with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as client:
        return client.get(f"http://127.0.0.1:{port}{path}")


def stopped(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> list[dict[str, Any]]:
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    *lines, last = out.splitlines()
    assert last == "down"
    return [json.loads(line) for line in lines]


def test_requests_are_logged_and_timed_by_route_template(start: Start, port: int) -> None:
    process = start()
    up(process)
    assert get(port, "/a/very-secret").status_code == 200
    assert get(port, "/nowhere/very-secret").status_code == 404
    assert get(port, "/healthz").json() == {"status": "ok"}
    metrics = get(port, "/metrics").text
    assert 'rufkette_request_seconds_count{method="GET",route="/a/{token}",status="200"} 1.0' in metrics
    assert "very-secret" not in metrics
    lines = stopped(process)
    assert [(line["event"], line["route"], line["status"]) for line in lines] == [
        ("request.handled", "/a/{token}", 200),
        ("request.handled", "unknown", 404),
    ]
    assert "very-secret" not in json.dumps(lines)


def test_readiness_names_what_is_away(start: Start, port: int) -> None:
    up(start("unavailable"))
    answer = get(port, "/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "problems": {"kafka": "unreachable"}}


def test_a_bug_is_logged_without_its_message(start: Start, port: int) -> None:
    process = start()
    up(process)
    assert get(port, "/readyz").json() == {"status": "ok"}
    assert get(port, "/bug").status_code == 500
    lines = stopped(process)
    assert lines[0]["status"] == 500
    assert lines[1]["exception"][0]["type"] == "ValueError"
    assert "Anna" not in json.dumps(lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_orderly(start: Start, port: int, number: signal.Signals) -> None:
    process = start()
    up(process)
    get(port, "/healthz")
    assert stopped(process, number) == []


def test_a_taken_port_is_one_line_and_code_2(start: Start, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        process = start()
        out, err = process.communicate(timeout=10)
    assert process.returncode == 2
    assert out == ""
    assert err == f"cannot listen on 127.0.0.1 port {port}: another program uses it\n"


def test_a_failed_start_is_code_3_without_personal_data(start: Start) -> None:
    process = start("broken")
    out, err = process.communicate(timeout=10)
    assert process.returncode == 3
    assert "ValueError at" in out
    assert "Anna" not in out + err
