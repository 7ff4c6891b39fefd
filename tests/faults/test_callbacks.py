"""Answers to buttons through the real processes: in order, after kill -9, and never in the way of a press."""

import base64
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from tests.ingest.support import uplink
from tests.support.chain import Chain
from tests.support.mails import link_in, press_button, wait_for_mails
from tests.support.office import office_on, one_mail_an_incident, start_both
from tests.support.organisation import KEYS, WS101
from tests.support.receiver import Receiver
from tests.support.servers import KafkaServer, PostgresServer

SECRET = "whsec_" + base64.b64encode(b"a secret for tests only, 32 bytes").decode()
EVERY = ["alerted", "acknowledged", "closed"]
BUTTON = {"site": "bernburg", "device_id": "btn-112"}
ANSWERS = "/answer"
DOWNLINK = f"/api/v3/as/applications/jobcenter/webhooks/rufkette/devices/eui-{WS101.lower()}/down/push"
PAYLOADS = {"alerted": "01", "acknowledged": "02", "closed": "00"}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.stop()


@pytest.fixture(scope="module")
async def answering(
    kafka_server: KafkaServer,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
    receiver: Receiver,
) -> AsyncIterator[Chain]:
    """The whole chain with a callback for one button by HTTP and for one through The Things Stack."""

    def change(content: dict[str, Any]) -> None:
        one_mail_an_incident(content)
        content["sources"]["buttons"]["callback"] = {
            "on": EVERY, "devices": ["btn-112", "btn-114"],
            "http": {"url": f"{receiver.url}{ANSWERS}", "secret_file": "secret"},
        }  # fmt: skip
        content["sources"]["lorawan"]["callback"] = {
            "on": EVERY, "models": ["milesight-ws101"],
            "ttn": {
                "url": receiver.url, "application": "jobcenter", "webhook": "rufkette", "key_file": "key",
                "f_port": 85, "payloads": PAYLOADS,
            },
        }  # fmt: skip
        content["sources"]["buttons"]["devices"]["btn-114"] = {"site": "bernburg", "location": "Zimmer 114"}
        content["sources"]["lorawan"]["devices"][WS101]["location"] = "Zimmer 113"

    directory = tmp_path_factory.mktemp("answering")
    (directory / "secret").write_text(SECRET)
    (directory / "key").write_text("NNSXS.key")
    async with office_on(kafka_server, postgres_server, directory, change) as chain:
        await start_both(chain)
        yield chain


@pytest.fixture(autouse=True)
def quiet(receiver: Receiver) -> None:
    receiver.respond = lambda _: 204
    receiver.requests.clear()


async def take_over(chain: Chain, incident_id: str) -> None:
    (mail,) = await wait_for_mails(chain.sink, incident_id, 1)
    await press_button(link_in(mail), name="Olga Obhut", action="acknowledge")


async def close(chain: Chain, incident_id: str) -> None:
    (mail, *_) = await wait_for_mails(chain.sink, incident_id, 1)
    await press_button(link_in(mail), name="Olga Obhut", action="close", outcome="resolved")


async def test_alerted_taken_over_and_closed(answering: Chain, receiver: Receiver) -> None:
    unknown = await answering.press(BUTTON | {"device_id": receiver.url, "location": "Flur"})
    event_id = await answering.press(BUTTON | {"description": "Regenschirm-4711", "reported_by": "Erika Geheimrat"})
    (first,) = await receiver.wait_for(1)
    Webhook(SECRET).verify(first.body.decode(), first.headers)
    await take_over(answering, event_id)
    await receiver.wait_for(2)
    await close(answering, event_id)
    requests = await receiver.wait_for(3)
    assert [request.json["status"] for request in requests] == EVERY
    assert {request.path for request in requests} == {ANSWERS}
    for request in requests:
        assert (request.json["event_id"], request.json["device_id"]) == (event_id, "btn-112")
        assert request.json["incident_id"] == event_id
        assert "Olga" not in request.body.decode()
        assert "Erika" not in request.body.decode()
        assert "Regenschirm" not in request.body.decode()
    await answering.ingest.wait_for_event("callback.sent", event_id=event_id, status="closed")
    assert unknown not in {request.json["event_id"] for request in receiver.requests}
    assert answering.ingest.stray_lines == []
    assert SECRET not in answering.ingest.output
    assert receiver.url not in answering.ingest.output


async def test_a_downlink_to_a_button_never_to_the_address_in_its_message(answering: Chain, receiver: Receiver) -> None:
    elsewhere = Receiver()
    message = uplink({"button": "short"})
    message["end_device_ids"]["device_id"] = "somebody-else"
    message["downlink_url"] = elsewhere.url
    message["uplink_message"] |= {"f_cnt": 4711, "f_port": 85}
    message["uplink_message"].pop("frm_payload", None)
    headers = {
        "Authorization": f"Bearer {KEYS['lorawan']}", "X-Downlink-Apikey": "NNSXS.theirs",
        "X-Downlink-Push": f"{elsewhere.url}/push", "X-Downlink-Replace": f"{elsewhere.url}/replace",
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=answering.ingest.url, timeout=10) as client:
        answer = await client.post("/v1/hooks/lorawan", json=message, headers=headers)
    assert answer.status_code == 202, answer.text
    event_id = answer.json()["event_id"]
    (request,) = await receiver.wait_for(1)
    assert request.path == DOWNLINK
    assert request.headers["authorization"] == "Bearer NNSXS.key"
    assert request.json == {"downlinks": [{"f_port": 85, "frm_payload": "AQ==", "priority": "NORMAL"}]}
    await close(answering, event_id)
    await receiver.wait_for(2)
    elsewhere.stop()
    assert elsewhere.requests == []


async def test_killed_between_alerted_and_answer(answering: Chain, receiver: Receiver) -> None:
    receiver.respond = lambda _: 503
    event_id = await answering.press(BUTTON | {"mode": "exercise"})
    await receiver.wait_for(2)
    answering.ingest.kill()
    receiver.requests.clear()
    receiver.respond = lambda _: 204
    await answering.ingest.start()
    (request, *_) = await receiver.wait_for(1)
    told = request.json
    assert (told["event_id"], told["status"], told["mode"]) == (event_id, "alerted", "exercise")
    # What was told before another kill is not told again; what changed while nobody ran is, and only the end of it.
    await answering.ingest.wait_for_event("callback.sent", event_id=event_id)
    answering.ingest.stop()
    receiver.requests.clear()
    await take_over(answering, event_id)
    await close(answering, event_id)
    await answering.ingest.start()
    (request,) = await receiver.wait_for(1)
    assert (request.json["event_id"], request.json["status"]) == (event_id, "closed")


async def test_a_receiver_that_never_answers_slows_no_press(answering: Chain, receiver: Receiver) -> None:
    def hang(_: object) -> int:
        time.sleep(30)  # what is tested is that nobody waits for it
        return 204

    receiver.respond = hang
    button = BUTTON | {"device_id": "btn-114"}
    first = await answering.press(button)
    await wait_for_mails(answering.sink, first, 1)
    for number in range(20):
        began = time.monotonic()
        await answering.press(button | {"description": str(number)})
        assert time.monotonic() - began < 5  # the receiver hangs for ever
    await close(answering, first)


def files_of(chain: Chain) -> list[Path]:
    return list(chain.around.directory.glob("*.callbacks"))


async def test_the_file_holds_no_personal_data(answering: Chain) -> None:
    answering.ingest.stop()
    (file,) = files_of(answering)
    content = file.read_bytes()
    assert b"btn-112" in content
    for private in (b"Regenschirm", b"Erika", b"Olga", b"NNSXS", b"whsec"):
        assert private not in content
    await answering.ingest.start()
