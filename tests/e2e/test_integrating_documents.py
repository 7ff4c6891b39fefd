"""docs/integrating.md, walked: each configuration with the lines beside it, from the sender to the mail."""

import hashlib
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import pytest
import yaml

from services.common.configuration.file import examine
from services.embedded.ports import free_port, is_free
from services.embedded.process import Part
from tests.e2e.test_form_documents import run
from tests.support.broker import Broker
from tests.support.chain import Chain
from tests.support.lamp import Heard, lamp_at
from tests.support.mails import first_line, link_in, press_button, wait_for_mails
from tests.support.office import office_on, start_both
from tests.support.organisation import organisation
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.waiting import eventually

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "integrating.md").read_text()
OPERATOR = "rk_test_operator"
ELSEWHERE = "mqtts://rufkette@broker.example.org:8883"
FIVE_PARTS = ("Here", "There", "Imitate", "See that it works", "Its retries")

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("bash", "curl", "openssl")),
    reason="the examples of the page need bash, curl and openssl",
)


def sections(file: str = "integrating.md") -> dict[str, str]:
    """What stands under each heading of the second level."""
    parts = re.split(r"^## (.*)$", (DOCS / file).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


SENDERS = {
    found[1]: text
    for heading, text in sections().items()
    if (found := re.search(r"`type: ([\w-]+)`", heading)) and found[1] != "form"
}
FORMS = {heading: text for heading, text in sections("forms.md").items() if "How to see" not in heading}
SOURCES = {"native": "buttons", "ttn": "lorawan", "chirpstack": "chirpstack", "http-button": "shelly", "flic": "flic",
           "mqtt": "zigbee", "cloudevents": "bus"}  # fmt: skip


def key_of(name: str) -> str:
    return f"rk_test_page_{name}"


def documented() -> dict[str, Any]:
    """Every source of the page, as it stands there but for its key."""
    found: dict[str, Any] = {}
    for block in blocks(TEXT, "yaml"):
        if block.startswith("sources:"):
            found |= yaml.safe_load(re.sub(r'key_sha256: "?…"?', "key_sha256: here", block))["sources"]
    for name, source in found.items():
        if "key_sha256" in source:
            source["key_sha256"] = hashlib.sha256(key_of(name).encode()).hexdigest()
    return found


def test_every_sender_is_walked() -> None:
    assert set(SENDERS) == set(SOURCES)
    assert set(documented()) == set(SOURCES.values())
    assert {documented()[name]["type"] for name in SOURCES.values()} == set(SOURCES)


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("part", FIVE_PARTS)
def test_each_sender_has_its_five_parts(sender: str, part: str) -> None:
    assert re.search(rf"^\*\*{part}\b", SENDERS[sender], re.MULTILINE), f"{sender}: {part}"


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_its_five_parts(form: str) -> None:
    text = FORMS[form]
    assert blocks(text, "yaml")
    assert any("curl " in block for block in blocks(text, "sh"))
    for part in ("There", "See that it works", "Its retries"):
        assert f"**{part}" in text, part


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.stop()


ANSWERS = [block for block in blocks(sections()["Answers to buttons"], "yaml") if "{device}" in block]
"""What is published, below `messages`: for a Shelly's relay and light, zigbee2mqtt and Tasmota."""
TOPICS = ["{device}/rpc", "{device}/rpc", "zigbee2mqtt/{device}/set", "cmnd/{device}/POWER"]


def by_http() -> tuple[dict[str, Any], str, str]:
    """The callback by HTTP, the line that makes its secret, and the listener that shows what comes."""
    text = sections()["Answers to buttons"]
    (callback,) = [yaml.safe_load(block)["callback"] for block in blocks(text, "yaml") if block.startswith("callback:")]
    (secret,) = re.findall(r"`(printf .*? > secrets/answer)`", text)
    (listener,) = [block for block in blocks(text, "sh") if "HTTPServer" in block]
    return callback, secret, listener


@pytest.fixture(scope="module")
def port() -> int:
    """Where answers by HTTP go; the page says 9000."""
    return free_port()


def with_the_page(content: dict[str, Any], broker: Broker, port: int) -> None:
    """All that the page configures, with the broker on this machine, and a button for each kind of lamp."""
    desk = {"type": "native", "kind": "form", "key_sha256": hashlib.sha256(key_of("desk").encode()).hexdigest()}
    content["sources"] = documented() | {"desk": desk}
    content["organisation"]["operator_key_sha256"] = hashlib.sha256(OPERATOR.encode()).hexdigest()
    answers = by_http()[0]
    answers["http"]["url"] = answers["http"]["url"].replace(":9000/", f":{port}/")
    content["sources"]["buttons"]["callback"] = answers
    content["merge"] = {"within": "0s"}  # as the page advises while one tries
    assert content["sources"]["zigbee"]["url"] == ELSEWHERE
    content["sources"]["zigbee"]["url"] = f"mqtt://rufkette@127.0.0.1:{broker.port}"
    for number, lines in enumerate(ANSWERS):
        messages = yaml.safe_load(lines)
        mqtt = {"broker": "zigbee", "ids": {f"knopf-{number}": f"lampe-{number}"}, "messages": messages}
        content["sources"][f"lamp-{number}"] = {
            "type": "native", "kind": "panic",
            "key_sha256": hashlib.sha256(key_of(f"lamp-{number}").encode()).hexdigest(),
            "devices": {f"knopf-{number}": {"site": "bernburg", "location": "Zimmer 112"}},
            "callback": {"on": list(messages), "devices": [f"knopf-{number}"], "mqtt": mqtt},
        }  # fmt: skip
    # A reader has the page's rooms in the configuration, too.
    devices = [device for source in content["sources"].values() for device in source.get("devices", {}).values()]
    rooms = {device["location"] for device in devices if device["site"] == "bernburg" and "location" in device}
    content["sites"]["bernburg"]["locations"] += [
        {"id": f"room-{number}", "name": room} for number, room in enumerate(sorted(rooms - {"Zimmer 112"}))
    ]


@pytest.fixture(scope="module")
async def chain(
    kafka_server: KafkaServer,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
    broker: Broker,
    port: int,
) -> AsyncIterator[Chain]:
    """The whole chain in a directory as the page describes it."""
    directory = tmp_path_factory.mktemp("page")
    (directory / "secrets").mkdir()
    for name in ("shelly", "flic", "mqtt"):
        run(f"cd {directory} && openssl rand -hex 32 > secrets/{name}")
    run(f"cd {directory} && {by_http()[1]}")
    async with office_on(kafka_server, postgres_server, directory, lambda c: with_the_page(c, broker, port)) as chain:
        (directory / "organisation.yaml").symlink_to(chain.around.configuration)
        await start_both(chain)
        await chain.ingest.wait_for_event("mqtt.connected")
        yield chain


def shell(chain: Chain, command: str, key: str) -> str:
    """What the lines print, run beside the configuration."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inside = f"cd {shlex.quote(str(chain.around.directory))}; exec 2>&1\n{command}"
    return run(inside, INGEST=chain.ingest.url, KEY=key, OPERATOR_KEY=OPERATOR, PATH=programs)


async def walk(chain: Chain, command: str, key: str) -> list[str]:
    """Run lines that raise alarms; returns the events, each of which somebody was mailed about."""
    output = shell(chain, command, key)
    assert re.findall(r"^HTTP/1.1 (\d+)", output, re.MULTILINE) != []
    assert set(re.findall(r"^HTTP/1.1 (\d+)", output, re.MULTILINE)) == {"202"}, output
    assert set(re.findall(r'"warnings":(\[.*?\])', output)) == {"[]"}, output
    ids = re.findall(r'"event_id":"([^"]+)"', output)
    assert ids
    return ids


def test_the_configuration_is_a_good_one(chain: Chain) -> None:
    assert re.fullmatch(
        r"organisation.yaml: OK – 3 sites, \d+ sources\n", shell(chain, "rufkette check-config organisation.yaml", "")
    )


async def until_it_says(chain: Chain, line: str, key: str, status: str) -> None:
    async def asked() -> str:
        return str(json.loads(shell(chain, line, key))["status"])

    await eventually(asked, lambda found: found == status)


ROOMS = {"native": ["112"], "ttn": ["112"], "chirpstack": ["114", "114"], "http-button": ["112"]}


async def test_from_each_sender_to_the_mail(chain: Chain, broker: Broker) -> None:
    for sender, rooms in ROOMS.items():
        key = key_of(SOURCES[sender])
        ids = await walk(chain, blocks(SENDERS[sender], "sh")[0], key)
        for event_id, room in zip(ids, rooms, strict=True):
            mails = await wait_for_mails(chain.sink, event_id, 1)
            assert first_line(mails[0]).startswith(f"Zimmer {room}"), sender
            if sender != "http-button":  # it has no key to ask with
                line = f'curl -sS -H "Authorization: Bearer $KEY" "$INGEST/v1/events/{event_id}"'
                await until_it_says(chain, line, key, "alerted")
    # The native section says what a form sends, too; a form is refused for what a press is not.
    for name in ("buttons", "desk"):
        (event_id,) = await walk(chain, blocks(SENDERS["native"], "sh")[1], key_of(name))
        assert "Zimmer 112" in first_line((await wait_for_mails(chain.sink, event_id, 1))[0])
    assert chain.ingest.stray_lines == []
    for secret in (chain.around.directory / "secrets").iterdir():
        assert secret.read_text().strip() not in chain.ingest.output


async def test_cloudevents_report_and_take_over(chain: Chain) -> None:
    (command,) = blocks(SENDERS["cloudevents"], "sh")
    reported, _ = await walk(chain, command, key_of("bus"))
    await wait_for_mails(chain.sink, reported, 1)
    (told, *_) = await wait_for_mails(chain.sink, reported, 1, "taken_over")
    assert "Leitstelle" in told.text()


async def test_flic_shows_what_a_token_would_become_and_refuses_one_that_flic_did_not_sign(chain: Chain) -> None:
    (command,) = blocks(SENDERS["flic"], "sh")
    output = shell(chain, command, "")
    assert re.search(r"EVENT rufkette.incident.reported.v1.*location = Zimmer 112", output, re.DOTALL)
    assert re.findall(r"^HTTP/1.1 (\d+)", output, re.MULTILINE) == ["401"]


async def test_from_a_broker_to_the_mail(chain: Chain, broker: Broker) -> None:
    (lines,) = blocks(SENDERS["mqtt"], "sh")
    for line, room in zip(lines.splitlines(), ("Zimmer 112", "Zimmer 113", "Zimmer 114", "Empfang"), strict=True):
        words = shlex.split(line)
        said = dict(zip(words[1::2], words[2::2], strict=True))
        assert (words[0], said["-h"]) == ("mosquitto_pub", "broker.example.org")
        already = len(chain.sink.accepted)
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.publish(said["-t"], said["-m"], qos=int(said["-q"]))

        async def mailed(since: int = already) -> list[str]:
            return [first_line(mail) for mail in chain.sink.accepted[since:]]

        def arrived(found: list[str], place: str = room) -> bool:
            return any(line.startswith(place) for line in found)

        await eventually(mailed, arrived)
    assert len(chain.ingest.events("report.accepted", source="zigbee")) == 4
    assert chain.ingest.events("report.accepted", source="zigbee", warnings=0) != []


async def test_what_became_of_it_is_shown(chain: Chain) -> None:
    (uplink,) = re.findall(r"--data '(.*?)'\n", blocks(SENDERS["ttn"], "sh")[0], re.DOTALL)
    (chain.around.directory / "uplink.json").write_text(uplink)
    (tried,) = blocks(sections()["What would become of a message: `rufkette try-source`"], "sh")
    assert "EVENT rufkette.incident.reported.v1" in shell(chain, tried, "")
    (event_id,) = await walk(chain, blocks(SENDERS["ttn"], "sh")[0], key_of("lorawan"))
    await wait_for_mails(chain.sink, event_id, 1)
    (shown,) = blocks(sections()["How to see that it works"], "sh")
    asked = shell(chain, shown.replace("curl ", "curl -sS "), "")
    assert json.loads(asked)["sources"]["lorawan"]["devices"]["A81758FFFE030001"]["last_press_at"]


def test_a_shelly_may_have_a_secret_of_its_own(tmp_path: Path) -> None:
    (fragment,) = [block for block in blocks(SENDERS["http-button"], "yaml") if not block.startswith("sources:")]
    content = organisation()
    shelly = documented()["shelly"] | yaml.safe_load(fragment)
    content["sources"] = {"shelly": {key: value for key, value in shelly.items() if key != "secret_file"}}
    file = tmp_path / "organisation.yaml"
    file.write_text(yaml.safe_dump(content))
    assert examine(file)[1] == []


def test_there_are_answers_for_each_system() -> None:
    systems = ["Shelly", "Shelly", "zigbee2mqtt", "Tasmota"]
    assert [next((name for name in systems if name in block.splitlines()[0]), "") for block in ANSWERS] == systems


@pytest.mark.parametrize("number", range(len(ANSWERS)))
async def test_a_press_is_answered_in_the_words_of_the_lamp(chain: Chain, broker: Broker, number: int) -> None:
    topic = TOPICS[number].replace("{device}", f"lampe-{number}")
    said = {told: Heard(topic, message["payload"], 1) for told, message in yaml.safe_load(ANSWERS[number]).items()}
    async with lamp_at(broker, topic) as lamp:
        key = {"Authorization": f"Bearer {key_of(f'lamp-{number}')}"}
        async with httpx.AsyncClient(base_url=chain.ingest.url, timeout=10) as client:
            answer = await client.post("/v1/incidents", json={"device_id": f"knopf-{number}"}, headers=key)
        (mail, *_) = await wait_for_mails(chain.sink, answer.json()["event_id"], 1)
        await press_button(link_in(mail), name="Olga Obhut", action="acknowledge")
        assert await lamp.wait_for(1) == [said["acknowledged"]]
        await press_button(link_in(mail), name="Olga Obhut", action="close", outcome="resolved")
        assert await lamp.wait_for(2) == [said["acknowledged"], said["closed"]]


async def test_the_listener_shows_what_became_of_a_press(chain: Chain, port: int, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    listener = Part.start("listener", ["bash", "-c", by_http()[2].replace("9000", str(port))], log=shown)
    try:
        listener.wait_until(lambda: not is_free(port), timeout=10)
        key = {"Authorization": f"Bearer {key_of('buttons')}"}
        async with httpx.AsyncClient(base_url=chain.ingest.url, timeout=10) as client:
            answer = await client.post("/v1/incidents", json={"device_id": "btn-112"}, headers=key)
        event_id = answer.json()["event_id"]
        (mail, *_) = await wait_for_mails(chain.sink, event_id, 1)
        await press_button(link_in(mail), name="Olga Obhut", action="acknowledge")

        async def told() -> list[str]:
            lines = [json.loads(line) for line in shown.read_text().splitlines() if line.startswith("{")]
            return [line["status"] for line in lines if line["event_id"] == event_id]

        await eventually(told, lambda found: "acknowledged" in found, within=60)
    finally:
        listener.stop()
