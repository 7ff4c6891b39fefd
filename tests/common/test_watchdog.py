"""The watchdog in a process of its own: what ends it, what does not, and its last line."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, re, sys, time
from services.common import telemetry
from services.common.loops import beat, run_together
from services.common.outage import pause
from services.common.watchdog import Watchdog

telemetry.configure(service="test", log_format="json", log_level="info")
mood = sys.argv[1]
excused = mood == "excused"
watchdog = Watchdog(limits={"other": 0.5, "watchdog": 1.5}, excused=lambda: excused, blocked=2.0,
    last_resort=4.0 if mood == "holding everything up" else 45.0)

async def healthy():
    while True:
        beat()
        await asyncio.sleep(0.1)

async def other():
    await asyncio.sleep(0.1)  # the watchdog runs
    print("up", flush=True)
    if mood in ("stuck", "excused"):
        await asyncio.Event().wait()
    if mood == "blocked":
        time.sleep(60)
    if mood == "holding everything up":
        re.match(r"(a+)+$", "a" * 40 + "b")
    if mood == "condemned":
        watchdog.condemn("partition 3")
    for attempt in range(1000):
        await pause(0)

async def main():
    await run_together({"healthy": healthy, "other": other, "watchdog": watchdog.run}, watchdog.pulses)

asyncio.run(main())
"""


def start(mood: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, mood], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def last_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=30)
    assert process.returncode == 75, err
    line: dict[str, Any] = json.loads(out.splitlines()[-1])
    assert (line["event"], line["level"]) == ("process.stuck", "critical")
    return line


@pytest.mark.parametrize(
    ("mood", "what"), [("stuck", "loop other"), ("blocked", "event loop"), ("condemned", "partition 3")]
)
def test_what_only_a_restart_helps_ends_the_process_with_a_clear_last_line(mood: str, what: str) -> None:
    line = last_line(start(mood))
    assert line["what"] == what
    if mood == "blocked":
        assert line["where"][-1].endswith(" other")


def test_also_what_holds_up_every_thread() -> None:
    process = start("holding everything up")
    _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "Timeout" in err
    assert " in other" in err


@pytest.mark.parametrize("mood", ["well", "waiting for what is away", "excused"])
def test_one_that_goes_round_or_waits_for_what_is_away_is_not_stuck(mood: str) -> None:
    process = start(mood)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=3)
    process.kill()
    process.communicate()


def test_a_process_that_stood_still_is_forgiven() -> None:
    process = start("well")
    process.send_signal(signal.SIGSTOP)
    until = time.monotonic() + 6  # longer than the event loop may be blocked here
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=until - time.monotonic())
    process.send_signal(signal.SIGCONT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=3)
    process.kill()
    process.communicate()
