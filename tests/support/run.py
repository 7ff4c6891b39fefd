"""`rufkette run` as a process of its own, and what it leaves behind."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

READY = "Raise a first alarm"


def until(condition: Callable[[], Any], what: str, timeout: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)
    return found


class Run:
    """One `rufkette run` on a data directory."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
        self.out, self.err = data.with_suffix(".out"), data.with_suffix(".err")
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.cli", "run", "--data-dir", str(data)],
                stdout=out,
                stderr=err,
                env=clean | {"RUFKETTE_LOG_FORMAT": "json"} | environment,
                start_new_session=True,
            )

    def ready(self) -> str:
        """Wait for the banner and return what stdout has so far."""

        def look() -> str | None:
            text = self.out.read_text()
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {text}{self.err.read_text()}"
            return text if READY in text and "curl" in text.partition(READY)[2] else None

        text = until(look, "the banner", 90)
        assert isinstance(text, str)
        return text

    def row(self, name: str) -> str:
        found = re.search(rf"^  {re.escape(name)} +(\S+)", self.out.read_text(), re.MULTILINE)
        assert found is not None, f"no {name} in the banner"
        return found[1]

    def wait(self, timeout: float = 40.0) -> int:
        return self.process.wait(timeout)

    def left(self) -> list[str]:
        """Command lines of all living processes that have to do with this data directory or its configuration."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes()
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            mine = os.fsencode(self.data)
            if command and int(entry.name) != self.process.pid and (mine in command or mine in environment):
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
        return found

    def child(self, needle: str) -> int:
        """Process id of the direct child whose command line has `needle`."""
        found = self.find(needle)
        assert found is not None, f"no child {needle}"
        return found

    def find(self, needle: str) -> int | None:
        """As `child`, or None."""
        listing = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid), "-ww"],
            capture_output=True,
            text=True,
            check=False,
        )
        return next((int(line.split(None, 1)[0]) for line in listing.stdout.splitlines() if needle in line), None)


def mails(run: Run) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = httpx.get(f"{run.row('mails')}/api/messages").json()["messages"]
    return messages


def incidents(run: Run) -> list[str]:
    return [mail["subject"] for mail in mails(run) if "112" in mail["subject"]]


def ready_at(address: str) -> bool:
    try:
        return httpx.get(f"{address}readyz").status_code == 200
    except httpx.TransportError:
        return False
