"""`GET /v1/sources`, and what a flood does to others."""

import hashlib
import json
import os
import signal
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.ingest.every_source import OPERATOR, SECRET, key_of
from tests.support.chain import Surroundings
from tests.support.service import Service

OPERATORS = {"authorization": f"Bearer {OPERATOR}"}


def key(source: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key_of(source)}"}


def shown(client: httpx.Client, source: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/v1/sources", headers=OPERATORS).json()["sources"][source]
    return found


def press(client: httpx.Client, **body: object) -> httpx.Response:
    return client.post("/v1/incidents", json={"device_id": "btn-112"} | body, headers=key("buttons"))


def test_operators_see_every_source(client: httpx.Client) -> None:
    answer = client.get("/v1/sources", headers=OPERATORS)
    assert answer.status_code == 200
    page = answer.json()
    assert set(page["sources"]) >= {"buttons", "forms", "lorawan", "mqtt", "flic", "typeform", "bus", "shelly"}
    assert datetime.fromisoformat(page["since"]) < datetime.now(UTC)
    assert (page["sources"]["mqtt"]["type"], page["sources"]["mqtt"]["kind"]) == ("mqtt", "panic")


def test_a_source_sees_itself_only(client: httpx.Client) -> None:
    assert set(client.get("/v1/sources", headers=key("buttons")).json()["sources"]) == {"buttons"}


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer rk_nobody"}, {"authorization": f"Basic {OPERATOR}"},
     {"authorization": f"Bearer {SECRET}"}, {"authorization": "Bearer"}],
)  # fmt: skip
def test_nobody_sees_nothing(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = client.get("/v1/sources", headers=headers)
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers
    assert "buttons" not in answer.text


def test_an_operator_looks_and_reports_nothing(client: httpx.Client) -> None:
    for path in ("/v1/incidents", "/v1/events", "/v1/hooks/buttons"):
        assert client.post(path, json={"site": "bernburg"}, headers=OPERATORS).status_code == 401


def test_an_operator_asks_for_events_of_sources_without_a_key(client: httpx.Client) -> None:
    taken = client.get("/v1/hooks/shelly/shelly-1", params={"secret": SECRET})
    assert taken.status_code == 202
    address = taken.json()["status_url"]
    assert client.get(address, headers=OPERATORS).json() == {"event_id": taken.json()["event_id"], "status": "accepted"}
    assert client.get(address, headers=key("buttons")).status_code == 404
    assert client.get(f"{address}x", headers=OPERATORS).status_code == 404


def test_presses_tests_batteries_and_strangers_of_a_device(client: httpx.Client) -> None:
    before = shown(client, "buttons")
    assert set(before["devices"]["btn-112"].values()) == {None}
    assert press(client, mode="exercise").status_code == 202
    tested = shown(client, "buttons")["devices"]["btn-112"]
    assert tested["last_test_at"] == tested["last_seen_at"] is not None
    assert tested["last_press_at"] is None
    assert press(client).status_code == 202
    pressed = shown(client, "buttons")["devices"]["btn-112"]
    assert pressed["last_press_at"] == pressed["last_seen_at"] > tested["last_test_at"]
    assert pressed["last_test_at"] == tested["last_test_at"]
    assert press(client, device_id="somebody-s").status_code == 202
    after = shown(client, "buttons")
    assert (after["from_unknown_devices"], set(after["devices"])) == (1, {"btn-112"})
    assert (after["messages"], after["messages_last_hour"]) == ({"accepted": 3}, 3)
    assert after["last_error"] is None
    uplink = {"deviceInfo": {"devEui": "24E124535B316056"}, "margin": 7, "batteryLevel": 55.0}
    assert client.post("/v1/hooks/chirpstack?event=status", json=uplink, headers=key("chirpstack")).status_code == 202
    assert shown(client, "chirpstack")["devices"]["24E124535B316056"]["battery"] == 0.55


def test_the_last_error_is_named_and_nothing_of_its_content(client: httpx.Client) -> None:
    body = {"site": "nowhere", "description": "Frau Muster weint"}
    assert client.post("/v1/incidents", json=body, headers=key("forms")).status_code == 422
    found = shown(client, "forms")
    assert found["last_error"]["problem"] == "invalid"
    assert datetime.fromisoformat(found["last_error"]["at"]) <= datetime.now(UTC)
    assert found["messages"] == {"refused": 1}
    assert found["last_seen_at"] is None
    page = client.get("/v1/sources", headers=OPERATORS).text
    assert "Muster" not in page
    assert "nowhere" not in page


def alive(client: httpx.Client, source: str, count: int) -> httpx.Response:
    one = {"specversion": "1.0", "type": "rufkette.device.heartbeat.v1", "source": "x", "data": {"device_id": "d"}}
    batch = json.dumps([one | {"id": str(number)} for number in range(count)])
    headers = key(source) | {"content-type": "application/cloudevents-batch+json"}
    return client.post("/v1/events", content=batch, headers=headers)


@pytest.mark.parametrize("source", ["bus", "panic-bus"])
def test_a_flood_is_told_to_wait_and_holds_up_no_press(client: httpx.Client, every: Service, source: str) -> None:
    deadline = time.monotonic() + 60
    while (answer := alive(client, source, 200)).status_code != 429:
        assert answer.status_code == 202, answer.text
        assert time.monotonic() < deadline
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(every.events("source.limited", source=source)) == 1
    found = shown(client, source)
    assert found["last_error"]["problem"] == "too-many"
    assert found["messages"]["limited"] == 1
    metric = f'rufkette_ingest_events_total{{kind="{found["kind"]}",mode="",outcome="limited",source="{source}"}} 1.0'
    assert metric in client.get("/metrics").text
    for _ in range(20):
        # Presses of the very source are taken, and so is everything of others.
        assert client.post("/v1/events", json={"danger_level": 3}, headers=key("panic-bus")).status_code == 202
        assert press(client).status_code == 202
        assert client.get("/v1/hooks/shelly/btn-7", params={"secret": SECRET}).status_code == 202
        assert client.post("/v1/incidents", json={"site": "bernburg"}, headers=key("forms")).status_code == 202


def looked_at(client: httpx.Client, key: str) -> httpx.Response:
    return client.get("/v1/sources", headers={"authorization": f"Bearer {key}"})


async def test_a_reload_changes_who_is_an_operator(
    client: httpx.Client, every: Service, every_around: Surroundings
) -> None:
    assert press(client).status_code == 202
    file = every_around.configuration
    old, new = (hashlib.sha256(key.encode()).hexdigest() for key in (OPERATOR, "rk_test_another"))
    file.write_text(file.read_text().replace(old, new))
    os.kill(every.pid, signal.SIGHUP)
    await every.wait_for_event("configuration.reloaded")
    assert looked_at(client, OPERATOR).status_code == 401
    page = looked_at(client, "rk_test_another").json()
    assert page["sources"]["buttons"]["messages"]  # what was counted stays
