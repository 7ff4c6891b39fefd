"""A consumer that hangs silently: its process ends itself, and another one reads on."""

import os
import sys
from pathlib import Path

import pytest

from services.embedded.process import Part
from tests.support.chain import Chain
from tests.support.office import all_mailed

pytestmark = pytest.mark.timeout(180)


async def test_a_client_that_falls_silent_ends_the_process(office: Chain, tmp_path: Path) -> None:
    # It takes longer than the watch waits: that mails, and rightly.
    office.may_be_unheard = True
    office.alerting.stop()
    service = office.alerting
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
    environment = clean | dict(service.environment) | {"HANG": str(tmp_path / "hang")}
    command = [sys.executable, "-m", "tests.support.hanging"]
    service._part = Part.start("alerting", command, log=service.log_file, env=environment)
    await service.wait_ready()
    before = await office.press({"site": "bernburg", "location": "Raum davor", "danger_level": 2})
    await all_mailed(office, [before])
    (tmp_path / "hang").touch()
    await service.wait_for_event("kafka.unreachable")
    unheard = await office.press({"site": "bernburg", "location": "Raum im Stillstand", "danger_level": 2})
    assert await service.wait_for_exit(timeout=60) == 75
    last = service.logs[-1]
    assert (last["event"], last["level"]) == ("process.stuck", "critical")
    assert last["what"].startswith("partition ")
    await service.start()
    await all_mailed(office, [unheard])
