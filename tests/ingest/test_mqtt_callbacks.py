"""Answers to buttons over a real MQTT broker, and over what is none."""

import asyncio
import datetime as dt
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from schemas.configuration import Configuration
from schemas.configuration_callbacks import Callback
from schemas.events import Mode
from schemas.lifecycle import Change
from services.common.configuration.file import ConfigurationError
from services.ingest.callbacks import publishing
from services.ingest.callbacks.press import Answer
from services.ingest.callbacks.publishing import Message, by_publishing, message
from services.ingest.callbacks.request import Called
from services.ingest.callbacks.request import called as calls
from services.ingest.callbacks.way import Failure
from tests.ingest.answers import Office
from tests.support.broker import Broker
from tests.support.certificates import certificate
from tests.support.lamp import Heard, lamp_at
from tests.support.organisation import organisation
from tests.support.waiting import eventually

NOW = dt.datetime(2026, 1, 5, 8, tzinfo=dt.UTC)
ON, OFF = '{"state": "ON"}', '{"state": "OFF"}'
EVERY = {
    "alerted": {"topic": "zigbee2mqtt/{device}/set", "payload": ON},
    "acknowledged": {"topic": "house/{site}/{device}", "payload": "{status} {mode} {event_id} {incident_id}"},
    "closed": {"topic": "zigbee2mqtt/{device}/set", "payload": OFF},
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = started(tmp_path)
    yield broker
    broker.stop()


def started(tmp_path: Path, more: str = "allow_anonymous true") -> Broker:
    directory = tmp_path / "broker"
    directory.mkdir(exist_ok=True)
    broker = Broker(directory, more)
    broker.start()
    return broker


def way(url: str, messages: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    worded = messages or EVERY
    mqtt = {"url": url, "messages": worded, "ids": {"BTN_112": "lampe-112"}} | changes
    return {"on": list(worded), "devices": ["btn-112", "btn-113"], "mqtt": mqtt}


def office_at(tmp_path: Path, broker: Broker, messages: dict[str, Any] | None = None) -> Office:
    return Office(tmp_path, way(f"mqtt://127.0.0.1:{broker.port}", messages), "btn-113", "btn-114")


def answer(status: str = "alerted", device_id: str = "btn-112") -> Answer:
    return Answer("event", device_id, status, "incident", exercise=False, at=NOW)


def called(url: str, messages: dict[str, Any] | None = None, **values: str) -> Called:
    how = Callback.model_validate(way(url, messages))
    return Called(how, b"", {}, url, {"btn-112": {"device": "lampe-112", "site": "bernburg"} | values})


async def test_in_order_with_qos_1_not_retained_and_only_to_devices_that_are_named(
    tmp_path: Path, broker: Broker
) -> None:
    office = office_at(tmp_path, broker)
    office.start()
    async with lamp_at(broker, "#") as lamp:
        office.press("other", device_id="btn-114")
        office.press("stranger", device_id="zigbee2mqtt/bridge")
        office.press("a")
        for event_id in ("other", "stranger"):
            await office.say(event_id, 1, Change.NOTIFIED)
        for revision, change in enumerate((Change.NOTIFIED, Change.ACKNOWLEDGED, Change.CLOSED), 1):
            await office.say("a", revision, change)
            await lamp.wait_for(revision)
        office.press("drill", device_id="BTN-113", mode=Mode.EXERCISE)
        await office.say("drill", 1, Change.ACKNOWLEDGED)
        assert await lamp.wait_for(4) == [
            Heard("zigbee2mqtt/lampe-112/set", ON, 1),
            Heard("house/bernburg/lampe-112", "acknowledged actual a a", 1),
            Heard("zigbee2mqtt/lampe-112/set", OFF, 1),
            Heard("house/bernburg/btn-113", "acknowledged exercise drill drill", 1),
        ]
    await office.callbacks.stop()
    await assert_nothing_is_retained(broker)


async def assert_nothing_is_retained(broker: Broker) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as late:
        await late.subscribe("#", qos=1)
        await late.publish("mark", "now", qos=1)
        first = await anext(aiter(late.messages))
        assert (first.topic.value, first.retain) == ("mark", False)


async def test_a_broker_that_is_away_is_told_when_it_is_back_and_in_order(tmp_path: Path, broker: Broker) -> None:
    office = office_at(tmp_path, broker, dict.fromkeys(EVERY, EVERY["acknowledged"]))
    office.start()
    async with lamp_at(broker, "house/#") as lamp:
        broker.stop()
        for event_id, button in (("a", "btn-112"), ("b", "btn-113")):
            office.press(event_id, device_id=button)
            await office.say(event_id, 1, Change.NOTIFIED)

        async def attempts() -> int:
            return min(press.attempts for press in office.callbacks._book.presses.values())

        await eventually(attempts, lambda tried: tried > 0)
        await office.say("a", 2, Change.ACKNOWLEDGED)
        broker.start()
        await lamp.wait_for(2)
        await office.say("a", 3, Change.CLOSED)
        await lamp.wait_for(3)
        said = [heard.payload.split() for heard in lamp.heard]
    await office.callbacks.stop()
    # Each press its newest status, once the broker is back; what came afterwards comes afterwards.
    assert sorted((event_id, status) for status, _, event_id, _ in said) == [
        ("a", "acknowledged"), ("a", "closed"), ("b", "alerted"),
    ]  # fmt: skip
    assert [status for status, _, event_id, _ in said if event_id == "a"] == ["acknowledged", "closed"]


async def test_what_was_not_told_is_told_by_the_next_process(tmp_path: Path, broker: Broker) -> None:
    office = office_at(tmp_path, broker)
    office.start()
    broker.stop()
    office.press("a")
    await office.say("a", 1, Change.NOTIFIED)
    await office.callbacks.stop()
    broker.start()
    async with lamp_at(broker, "#") as lamp:
        office.anew()
        office.start()
        assert await lamp.wait_for(1) == [Heard("zigbee2mqtt/lampe-112/set", ON, 1)]
        await office.callbacks.stop()


async def test_a_lamp_shows_what_became_of_the_newest_press(tmp_path: Path, broker: Broker) -> None:
    office = office_at(tmp_path, broker)
    office.start()
    async with lamp_at(broker, "#") as lamp:
        office.press("a")
        office.press("b")
        await office.say("a", 1, Change.CLOSED)
        await office.say("b", 1, Change.NOTIFIED)
        assert await lamp.wait_for(1) == [Heard("zigbee2mqtt/lampe-112/set", ON, 1)]
        assert set(office.callbacks._book.presses) == {"b"}
    await office.callbacks.stop()


def test_a_payload_keeps_its_own_braces_and_a_value_stays_text() -> None:
    worded = {"alerted": {"topic": "{site}/{device}", "payload": '{"a": {"b": "{device} {at}"}}'}}
    made = message(called("mqtt://127.0.0.1", worded, device="{site}"), answer())
    assert made == Message("bernburg/{site}", b'{"a": {"b": "{site} 2026-01-05T08:00:00.000+00:00"}}')


@asynccontextmanager
async def strange(conversation: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> AsyncIterator[str]:
    """Something that listens like a broker; the address of it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await conversation(reader, writer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize(
    ("answers", "failure"),
    [
        ([b"\x20\x02\x00\x05"], Failure("refused", 5, is_the_receivers=True)),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], Failure("unreachable", None, is_the_receivers=True)),
        ([b""], Failure("unreachable", None, is_the_receivers=True)),
        ([b"\x20\x02\x00\x00", b""], Failure("unreachable", None, is_the_receivers=True)),
        ([b"\x20\x02\x00\x00", b"\x40\x02\x00\x02"], Failure("unreachable", None, is_the_receivers=True)),
        ([b"\x20\x02\x00\x00", b"\x40\x02\x00\x01"], None),
    ],
)
async def test_only_what_the_broker_confirms_is_told(answers: list[bytes], failure: Failure | None) -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for one in answers:
            await reader.read(1000)
            writer.write(one)

    async with strange(conversation) as url:
        assert await by_publishing("buttons", called(url), "one")(answer()) == failure


async def test_a_broker_that_says_nothing_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "WITHIN", 0.2)

    async def conversation(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with strange(conversation) as url:
        assert await by_publishing("buttons", called(url), "one")(answer()) == Failure(
            "timeout", None, is_the_receivers=True
        )


async def test_each_connection_of_a_source_has_the_same_name_so_that_a_later_answer_ends_an_earlier_one() -> None:
    hellos: list[bytes] = []

    async def conversation(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        hellos.append(await reader.read(1000))

    async with strange(conversation) as url:
        for source, ingest in (("buttons", "one"), ("buttons", "one"), ("others", "one"), ("buttons", "two")):
            await by_publishing(source, called(url), ingest)(answer())
    first, again, *others = hellos
    assert first == again
    assert len({first, *others}) == 3, "nor may two ingests of one host end each other's"


async def test_a_broker_that_hangs_holds_up_no_stop(tmp_path: Path) -> None:
    connected = asyncio.Event()

    async def conversation(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        await reader.read()

    async with strange(conversation) as url:
        office = Office(tmp_path, way(url), "btn-113")
        office.start()
        office.press("a")
        await office.say("a", 1, Change.NOTIFIED)
        async with asyncio.timeout(10):
            await connected.wait()
        async with asyncio.timeout(2):
            await office.callbacks.stop()


async def test_an_address_that_is_none_is_a_failure_and_no_bug() -> None:
    tell = by_publishing("buttons", called("mqtt://" + "x" * 70 + ".invalid"), "one")
    failed = await tell(answer())
    assert failed is not None
    assert failed.problem == "unreachable"


async def test_a_long_message_arrives_whole(broker: Broker) -> None:
    payload = "ü" * 2000
    worded = {"alerted": {"topic": "long", "payload": payload}}
    async with lamp_at(broker, "long") as lamp:
        assert (
            await by_publishing("buttons", called(f"mqtt://127.0.0.1:{broker.port}", worded), "one")(answer()) is None
        )
        assert await lamp.wait_for(1) == [Heard("long", payload, 1)]


def with_password(tmp_path: Path, user: str, password: str) -> Broker:
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), user, password], check=True)
    return started(tmp_path, f"allow_anonymous false\npassword_file {users}")


@pytest.mark.parametrize(("password", "code"), [("geheim ü", None), ("wrong", 5), (None, 5)])
async def test_user_and_password(tmp_path: Path, password: str | None, code: int | None) -> None:
    broker = with_password(tmp_path, "ruf kette", "geheim ü")
    try:
        if password is not None:
            (tmp_path / "password").write_text(f"{password}\n")
        file: dict[str, Any] = {} if password is None else {"password_file": "password"}
        office = Office(tmp_path, way(f"mqtt://ruf%20kette@127.0.0.1:{broker.port}", **file), "btn-113")
        tell = by_publishing("buttons", office.callbacks._called["buttons"], "one")
        failed = await tell(answer())
        assert (failed and failed.code) == code
    finally:
        broker.stop()


@pytest.mark.parametrize("trusted", [True, False])
async def test_encrypted_to_a_broker_that_shows_who_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    file = certificate(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    broker = started(tmp_path, f"allow_anonymous true\ncertfile {file}\nkeyfile {file.with_name('key.pem')}")
    try:
        failed = await by_publishing("buttons", called(f"mqtts://127.0.0.1:{broker.port}"), "one")(answer())
        assert (failed is None) is trusted
    finally:
        broker.stop()


@pytest.mark.parametrize(
    ("content", "wrong"),
    [("one\ntwo", "more than one line"), ("", "is empty"), ("x" * 65_536, "too long"), (None, "cannot read")],
)
def test_a_password_that_cannot_be_one_is_named(tmp_path: Path, content: str | None, wrong: str) -> None:
    if content is not None:
        (tmp_path / "password").write_text(content)
    with pytest.raises(ConfigurationError, match=wrong) as refused:
        Office(tmp_path, way("mqtt://u@127.0.0.1", password_file="password"), "btn-113")
    assert refused.value.mistakes[0].path.startswith("sources.buttons.callback.mqtt")


def sharing(broker: Broker) -> Configuration:
    """A button that is answered over the broker of another source."""
    content = organisation()
    content["sources"]["zigbee"] = {
        "type": "mqtt", "kind": "panic", "url": f"mqtt://rufkette@127.0.0.1:{broker.port}", "password_file": "password",
        "topics": [{"filter": "zigbee2mqtt/+", "preset": "zigbee2mqtt"}],
    }  # fmt: skip
    mqtt = {"broker": "zigbee", "messages": EVERY}
    content["sources"]["buttons"]["callback"] = {"on": list(EVERY), "devices": ["btn-112"], "mqtt": mqtt}
    return Configuration.model_validate(content)


async def test_the_broker_of_a_source_is_used_with_its_password_and_followed_when_it_moves(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("geheim\n")
    (tmp_path / "other").mkdir()
    first, second = with_password(tmp_path, "rufkette", "geheim"), started(tmp_path / "other")
    office = Office(tmp_path, way("mqtt://127.0.0.1:9"), "btn-113")
    office.callbacks.take(calls(sharing(first), office.file))
    office.start()
    try:
        assert await by_publishing("buttons", calls(sharing(first), office.file)["buttons"], "one")(answer()) is None
        first.stop()
        office.press("a")
        await office.say("a", 1, Change.NOTIFIED)
        async with lamp_at(second, "#") as lamp:
            office.callbacks.take(calls(sharing(second), office.file))
            assert await lamp.wait_for(1) == [Heard("zigbee2mqtt/btn-112/set", ON, 1)]
    finally:
        await office.callbacks.stop()
        first.stop()
        second.stop()
