"""Far more than can be mailed: memory stays bounded, and a real press overtakes the harmless ones."""

import asyncio
import re
from pathlib import Path

import pytest

from schemas import topics
from services.common import kafka
from tests.faults.test_bad_records import VALUE, event_headers
from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.mails import mails_about, named
from tests.support.servers import client_settings
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)
FORMS = 4_000
FORM = b'{"kind": "form", "site": "bernburg", "location": "Raum %d", "danger_level": 0, "category": "insult"}'
MOST_MEMORY_MIB = 300


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


async def test_a_press_behind_thousands_of_forms_is_mailed_before_most_of_them(office: Chain) -> None:
    office.alerting.stop()
    producer = kafka.producer(client_settings(office.around.kafka, office.around.topic_prefix))
    await producer.start()
    try:
        name = topics.prefixed(topics.EVENTS, office.around.topic_prefix)
        sent = [
            await producer.send(name, value=FORM % n, key=b"bernburg", headers=event_headers(f"form-{n}"), partition=2)
            for n in range(FORMS)
        ]
        press = VALUE.replace(b'"danger_level": 2', b'"danger_level": 3').replace(b"Raum 1", b"Raum der Presse")
        sent.append(await producer.send(name, value=press, key=b"b", headers=event_headers("press"), partition=2))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    await office.alerting.start()

    async def mailed() -> bool:
        return bool(mails_about(office.sink, "press", "alarm"))

    async def all_applied() -> int:
        return int((await rows(office.database_url, "select count(*) from incidents where id like 'form-%'"))[0][0])

    await eventually(mailed, bool, within=90)
    order = [named(mail).incident_id for mail in office.sink.accepted]
    forms_before = sum(incident_id.startswith("form-") for incident_id in order[: order.index("press")])
    assert forms_before < FORMS / 10
    await eventually(all_applied, FORMS.__eq__, within=90)
    before = "select count(*) from events where applied_at < (select applied_at from events where id = 'press')"
    assert (await rows(office.database_url, before))[0][0] < FORMS * 0.75, "the press stood behind all of them on Kafka"
    assert peak_mib(office.alerting.pid) < MOST_MEMORY_MIB
