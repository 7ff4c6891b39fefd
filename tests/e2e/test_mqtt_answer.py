"""From a press on an MQTT broker to the light that says somebody is coming, and back to dark."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from tests.support.broker import Broker
from tests.support.chain import Chain
from tests.support.lamp import Heard, lamp_at
from tests.support.mails import first_line, link_in, press_button
from tests.support.office import office_on, one_mail_an_incident, start_both
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.waiting import eventually

TOPIC = "zigbee2mqtt/lampe-115/set"
LIGHTS = {"acknowledged": '{"state": "ON", "brightness": 30}', "closed": '{"state": "OFF"}'}
ON, OFF = (Heard(TOPIC, payload, 1) for payload in LIGHTS.values())


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
async def lit(
    kafka_server: KafkaServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory, broker: Broker
) -> AsyncIterator[Chain]:
    def add(content: dict[str, Any]) -> None:
        one_mail_an_incident(content)
        messages = {told: {"topic": "zigbee2mqtt/{device}/set", "payload": said} for told, said in LIGHTS.items()}
        content["sources"]["zigbee"] = {
            "type": "mqtt", "kind": "panic", "url": f"mqtt://127.0.0.1:{broker.port}",
            "topics": [{"filter": "zigbee2mqtt/+", "preset": "zigbee2mqtt"}],
            "devices": {"knopf-115": {"site": "bernburg", "location": "Zimmer 115"}},
            "callback": {
                "on": list(LIGHTS), "devices": ["knopf-115"],
                "mqtt": {"ids": {"knopf-115": "lampe-115"}, "messages": messages},
            },
        }  # fmt: skip

    async with office_on(kafka_server, postgres_server, tmp_path_factory.mktemp("lit"), add) as chain:
        await start_both(chain)
        await chain.ingest.wait_for_event("mqtt.connected")
        yield chain


async def press(broker: Broker) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.publish("zigbee2mqtt/knopf-115", json.dumps({"action": "single"}), qos=1)


async def the_mail(chain: Chain, after: int = 0) -> str:
    """The link of the first mail after so many."""

    async def count() -> int:
        return len(chain.sink.accepted)

    await eventually(count, lambda found: found > after)
    mail = chain.sink.accepted[after]
    assert first_line(mail).startswith("Zimmer 115")
    return link_in(mail)


async def test_taken_over_the_lamp_is_lit_and_closed_it_is_dark(lit: Chain, broker: Broker) -> None:
    async with lamp_at(broker, "zigbee2mqtt/+/set") as lamp:
        await press(broker)
        link = await the_mail(lit)
        assert lamp.heard == []  # `alerted` is not asked for
        await press_button(link, name="Olga Obhut", action="acknowledge")
        assert await lamp.wait_for(1) == [ON]
        # The broker goes and comes back, and so does ingest: the end is told all the same.
        broker.stop()
        await press_button(link, name="Olga Obhut", action="close", outcome="resolved")
        await lit.ingest.wait_for_event("callback.failed", status="closed", problem="unreachable")
        lit.ingest.kill()
        broker.start()
        await lit.ingest.start()
        heard = await lamp.wait_for(2)
        await lit.ingest.wait_for_event("callback.sent", status="closed")
    # A kill between the lamp's message and the note of it lights the same lamp once more, never another.
    assert heard[0] == ON
    assert heard[-1] == OFF
    assert set(heard) == {ON, OFF}
    for private in ("Olga", "lampe-115", "zigbee2mqtt", "Zimmer 115"):
        assert private not in lit.ingest.output
    assert lit.ingest.stray_lines == []
    assert lit.ingest.events("upkeep.failed") == []


async def test_a_broker_that_is_away_holds_up_no_press_of_others(lit: Chain, broker: Broker) -> None:
    await press(broker)
    link = await the_mail(lit)
    broker.stop()
    await press_button(link, name="Olga Obhut", action="acknowledge")
    await lit.ingest.wait_for_event("callback.suspended", timeout=40, source="zigbee")
    already = len(lit.sink.accepted)
    event_id = await lit.press({"site": "bernburg", "location": "Zimmer 112", "danger_level": 2})

    async def mailed() -> list[str]:
        return [mail.subject for mail in lit.sink.accepted[already:]]

    assert event_id
    await eventually(mailed, lambda subjects: any("112" in subject for subject in subjects), within=5)
