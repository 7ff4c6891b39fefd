"""The services' lines on their way to a terminal."""

import os
import sys

import pytest

from services.common.lines import MOST_WAITING
from services.embedded.output import Output
from services.embedded.process import Part
from tests.support.pipes import drained

SAID = 10 * MOST_WAITING


def test_who_looks_after_the_services_waits_for_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    paused = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stdout", paused)
    monkeypatch.setattr(sys, "stderr", paused)
    output = Output(json_only=False)
    output.release()
    program = f"for number in range({SAID}): print(number)"
    part = Part.start("talkative", [sys.executable, "-c", program], piped=True)
    output.follow(part)
    assert part.process.wait(60) == 0, "its lines are read, whoever reads ours"
    output.say("rufkette: something ended; starting it again")
    output.finish()
    *lines, told, lost = drained(reader, output.flush)
    assert output._out is output._err, "of one terminal, and in their order"
    assert lines == [str(number) for number in range(len(lines))]
    assert told.endswith("starting it again")
    assert lost == f"rufkette: {SAID - len(lines)} lines of the logs are lost: nobody read them"
    monkeypatch.undo()
    paused.close()
    os.close(reader)
