"""What devices and forms really send, to the mail."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from tests.e2e.conftest import OWN_BUTTON, PANEL
from tests.ingest.networks import chirpstack_4
from tests.ingest.support import uplink
from tests.support.chain import Chain
from tests.support.database import incident_count, rows
from tests.support.mails import first_line, recipients, to, wait_for_mails
from tests.support.records import records_on

TOLD = ["leitung.bernburg@example.org", "wache.bernburg@example.org"]
REAL = "RUFKETTE_PAYLOADS"
HEARTBEAT = b"rufkette.device.heartbeat.v1"
Envelope = Callable[[], dict[str, Any]]


def own_envelope() -> dict[str, Any]:
    return uplink(dev_eui=OWN_BUTTON)


def real_envelope() -> dict[str, Any]:
    if REAL not in os.environ:
        pytest.skip(f"{REAL} names no folder")
    body: dict[str, Any] = json.loads((Path(os.environ[REAL]) / "ttn-v3" / "uplink_message.json").read_text())
    return body


async def to_hook(office: Chain, body: dict[str, Any]) -> dict[str, Any]:
    answer = await office.post("/v1/hooks/lorawan", body, source="lorawan")
    assert answer.status_code == 202, answer.text
    result: dict[str, Any] = answer.json()
    return result


@pytest.mark.parametrize(("envelope", "room"), [(own_envelope, "Zimmer 501"), (real_envelope, "Zimmer 502")])
async def test_a_button_behind_the_things_stack(office: Chain, envelope: Envelope, room: str) -> None:
    press = envelope()
    press["uplink_message"] |= {"decoded_payload": {"button": "short"}, "f_port": 85}
    press["uplink_message"].pop("frm_payload", None)
    accepted = await to_hook(office, press)
    event_id = accepted["event_id"]
    alarms = await wait_for_mails(office.sink, event_id, 2)
    assert recipients(alarms) == TOLD
    assert to(alarms, TOLD[0]).subject == f"ALARM {room} Bernburg · 110"
    assert first_line(alarms[0]).startswith(f"{room}, Bernburg (Parkstraße) – ")
    assert "Stufe unbekannt, wie 2 behandelt" in alarms[0].text()

    # Delivered again by the network: the same frame is the same event.
    assert (await to_hook(office, press))["event_id"] == event_id
    # A battery message of the same device is no press.
    alive = envelope()
    alive["uplink_message"] |= {"decoded_payload": {"battery": 87}, "f_port": 85, "f_cnt": 4711}
    alive["uplink_message"].pop("frm_payload", None)
    incidents = await incident_count(office.database_url)
    heartbeat = (await to_hook(office, alive))["event_id"]
    # A press in the same partition after it shows that it was read, and that it opened nothing.
    after = await office.press({"site": "bernburg", "location": f"Zimmer nach {event_id}", "danger_level": 2})
    await wait_for_mails(office.sink, after, 2)
    assert await incident_count(office.database_url) == incidents + 1
    assert await rows(office.database_url, "select 1 from events where id = $1", heartbeat)
    assert {mail.message["X-Rufkette-Incident"] for mail in office.sink.accepted}.isdisjoint({heartbeat})
    types = {dict(r.headers)["ce_id"].decode(): dict(r.headers)["ce_type"] for r in await events(office)}
    assert types[heartbeat] == HEARTBEAT


async def test_a_long_press_behind_chirpstack_with_its_battery(office: Chain) -> None:
    body = chirpstack_4({"battery": 92, "button_6": 1, "button_6_d2d": 771}, "01755cff34060303")
    body["deviceInfo"]["devEui"] = PANEL.lower()
    body["time"] = datetime.now(UTC).isoformat()
    posted = [await office.post("/v1/hooks/chirpstack?event=up", body, source="lorawan") for _ in range(2)]
    assert [answer.status_code for answer in posted] == [202, 202], posted[0].text
    event_id = posted[0].json()["event_id"]
    assert posted[1].json()["event_id"] == event_id
    assert posted[0].json()["warnings"] == []
    alarms = await wait_for_mails(office.sink, event_id, 2)
    assert recipients(alarms) == TOLD
    assert to(alarms, TOLD[0]).subject == "NOTFALL Zimmer 503 Bernburg · 110"
    batteries = [json.loads(r.value) for r in await events(office) if dict(r.headers)["ce_type"] == HEARTBEAT]
    assert {"device_id": PANEL, "battery": 0.92, "site": "bernburg"} in batteries


async def events(office: Chain) -> list[Any]:
    return await records_on(office.around, topics.EVENTS)


async def test_a_form_with_umlauts_a_long_description_and_no_level(office: Chain) -> None:
    sentence = "Während des Gesprächs schlug Herr Größe mit der Faust auf den Tisch – „Sie hören von mir!“ 😠 "
    description = (sentence * 30)[:2_000]
    answer = await office.post(
        "/v1/incidents",
        {
            "site": "bernburg", "location": "Flur Süd, Tür 3", "description": description,
            "reported_by": "Jürgen Äußerst",
        },
        source="forms",
    )  # fmt: skip
    assert answer.status_code == 202, answer.text
    event_id = answer.json()["event_id"]
    alarms = await wait_for_mails(office.sink, event_id, 2)
    assert recipients(alarms) == TOLD
    mail = to(alarms, TOLD[0])
    assert "Flur Süd, Tür 3 Bernburg" in mail.subject
    assert first_line(mail).startswith("Flur Süd, Tür 3, Bernburg (Parkstraße) – ")
    assert "Stufe unbekannt" in mail.text()
    assert " ".join(description.split()) in " ".join(mail.text().split())
    assert "Jürgen Äußerst" in mail.text()
    for each in alarms:
        assert "Größe" not in each.subject
        assert max(len(line) for line in each.content.split(b"\r\n")) <= 998  # RFC 5322, 2.1.1
    assert "Größe" not in to(alarms, TOLD[1]).text()
