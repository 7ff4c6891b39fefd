"""Log lines: written at once, and never in an alarm's way."""

import os
import subprocess
import sys
from pathlib import Path

from services.common.lines import Lines

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
