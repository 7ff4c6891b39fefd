"""What ends the process again and again is set aside, with a mail, and what is behind it goes on."""

import os
from collections.abc import AsyncIterator
from functools import partial

import pytest

from schemas import topics
from tests.faults.test_bad_records import VALUE, about, event_headers
from tests.support import warm
from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.mails import mails_about
from tests.support.poisoned import DEADLY_CLOCK, DEADLY_ROOM, STUMBLE
from tests.support.records import records_on, write
from tests.support.service import Service
from tests.support.smtp_sink import Received
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)
MOST_CRASHES = 5
"""Two with all that was in hand, then three alone."""


class Supervised:
    """Alerting with the bug, started again whenever it has ended."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.crashes = -1

    def keep_running(self) -> None:
        if self.service.running:
            return
        self.crashes += 1
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
        environment = clean | dict(self.service.environment)
        self.service._part = warm.start(
            "alerting", log=self.service.log_file, env=environment, module="tests.support.poisoned"
        )


@pytest.fixture
async def supervised(office: Chain) -> AsyncIterator[Supervised]:
    office.alerting.stop()
    yield Supervised(office.alerting)
    office.alerting.stop()
    await office.alerting.start()


async def mailed(office: Chain, supervised: Supervised, incident_id: str, count: int = 1) -> None:
    async def mails() -> int:
        supervised.keep_running()
        return len(mails_about(office.sink, incident_id, "alarm"))

    await eventually(mails, lambda found: found >= count, within=120)


def troubles(office: Chain, kind: str) -> list[Received]:
    return [mail for mail in office.sink.accepted if mail.message["X-Rufkette-Trouble"] == kind]


@pytest.mark.parametrize(("room", "site"), [(DEADLY_ROOM, b"bernburg"), (STUMBLE, b"stassfurt")])
async def test_a_record_that_ends_the_process_is_set_aside(
    office: Chain, supervised: Supervised, room: str, site: bytes
) -> None:
    before = len(troubles(office, "record"))
    value = VALUE.replace(b"bernburg", site)  # one mail a minute and site
    ahead = await write(office.around, value.replace(b"Raum 1", b"davor " + room.encode()), event_headers(f"a-{room}"))
    offset = await write(office.around, value.replace(b"Raum 1", room.encode()), event_headers(f"p-{room}"))
    await write(office.around, value.replace(b"Raum 1", b"danach " + room.encode()), event_headers(f"z-{room}"))
    assert ahead < offset
    for event_id in (f"a-{room}", f"z-{room}"):
        await mailed(office, supervised, event_id)
    assert 3 <= supervised.crashes <= MOST_CRASHES

    async def told() -> list[Received]:
        return troubles(office, "record")[before:]

    (mail,) = await eventually(told, bool)
    assert mail.recipients == ("bereitschaft@example.org",)
    assert f"Offset {offset}" in mail.text()
    assert room not in mail.text()

    async def set_aside() -> list[str]:
        found = [about(r) for r in await records_on(office.around, topics.REJECTED)]
        return [one["rufkette_reason"] for one in found if one["rufkette_offset"] == str(offset)]

    (reason,) = await eventually(set_aside, bool)
    assert "three times" in reason
    assert len({mail.message["Message-ID"] for mail in mails_about(office.sink, f"a-{room}")}) == 1


async def test_a_due_time_that_ends_the_process_does_not_hold_up_the_others(
    office: Chain, supervised: Supervised
) -> None:
    ids = ("other", "poison", "another")
    for event_id, room in zip(ids, (b"Raum A", DEADLY_CLOCK.encode(), b"Raum B"), strict=True):
        await write(office.around, VALUE.replace(b"Raum 1", room), event_headers(event_id))
    for event_id in ids:
        await mailed(office, supervised, event_id)
    unrecorded = partial(rows, office.database_url, "select 1 from outbox where state = 'due'")
    await eventually(unrecorded, lambda left: not left)  # an answer is decided by the incident as the mail knows it
    for event_id in ids:
        await rows(
            office.database_url,
            "update incidents set due_at = now(), state = jsonb_set(state::jsonb, '{due_at}', to_jsonb(now()))"
            " where id = $1",
            event_id,
        )
    for event_id in ("other", "another"):
        await mailed(office, supervised, event_id, 2)

    async def said() -> list[dict[str, object]]:
        supervised.keep_running()
        return office.alerting.events("deadline.set_aside", incident_id="poison")

    (line,) = await eventually(said, bool, within=90)
    assert line["minutes"] == 5

    async def told() -> list[Received]:
        return troubles(office, "deadline")

    (mail,) = await eventually(told, bool)
    assert mail.recipients == ("bereitschaft@example.org",)
    assert supervised.crashes <= MOST_CRASHES
    (kept,) = await rows(office.database_url, "select due_at, status from incidents where id = 'poison'")
    assert kept["due_at"] is not None, "it is tried again"


async def test_kills_without_anything_to_read_set_nothing_aside(office: Chain) -> None:
    for _ in range(4):
        await office.alerting.restart()
    event_id = await office.press({"site": "bernburg", "location": "Raum nach vier Abstürzen", "danger_level": 2})
    await eventually_mailed(office, event_id)
    assert not [r for r in office.alerting.events("record.rejected") if "three times" in str(r.get("reason"))][2:]
    assert await rows(office.database_url, "select 1 from suspects where kind = 'record' and attempts > 1") == []


async def eventually_mailed(office: Chain, event_id: str) -> None:
    async def mails() -> int:
        return len(mails_about(office.sink, event_id, "alarm"))

    await eventually(mails, bool, within=20)
