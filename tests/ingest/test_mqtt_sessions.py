"""Which session an MQTT broker keeps for an ingest, and what is said when there is none: with a real broker."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import aiomqtt
import pytest
from structlog.testing import capture_logs

from services.common.configuration.file import load
from services.embedded.ports import free_port
from services.ingest import instance
from services.ingest.api.problems import Refusal
from services.ingest.instance import Instance
from services.ingest.sender import Sender, senders
from services.ingest.sources.shape import Message
from services.ingest.subscriptions import Subscriptions, client_id
from tests.support.broker import Broker
from tests.support.certificates import certificate
from tests.support.organisation import write_configuration
from tests.support.waiting import eventually


class Listening:
    """An ingest's subscriptions, and what they heard."""

    def __init__(self, directory: Path, url: str, journal: Path) -> None:
        def add(content: dict[str, Any]) -> None:
            content["sources"]["zigbee"] = {
                "type": "mqtt", "kind": "panic", "url": url,
                "topics": [{"filter": "zigbee2mqtt/+", "preset": "zigbee2mqtt"}],
                "devices": {"btn-1": {"site": "bernburg", "location": "Zimmer 1"}},
            }  # fmt: skip

        self.heard: list[str] = []
        known = senders(load(write_configuration(directory / "config.yaml", add)))
        self._subscriptions = Subscriptions(known, self._receive, Instance(journal))

    async def _receive(self, message: Message, _: Sender) -> None:
        self.heard.append(message.body.decode())

    async def __aenter__(self) -> Self:
        self._subscriptions.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._subscriptions.stop()

    async def connected(self) -> None:
        """Return when the broker took the subscriptions."""
        await eventually(self._problems, lambda problems: not problems)

    async def hears(self, payload: str) -> None:
        """Return when it has heard this."""
        await eventually(self._heard, lambda heard: payload in heard)

    async def _problems(self) -> dict[str, str]:
        return self._subscriptions.problems

    async def _heard(self) -> list[str]:
        return self.heard


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "broker"
    path.mkdir()
    return path


@pytest.fixture
def broker(directory: Path) -> Iterator[Broker]:
    broker = Broker(directory)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def at(tmp_path: Path, broker: Broker) -> Callable[[Path], Listening]:
    """Listens to the broker with this journal."""
    return lambda journal: Listening(tmp_path, f"mqtt://127.0.0.1:{broker.port}", journal)


async def publish(broker: Broker, payload: str) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.publish("zigbee2mqtt/btn-1", payload, qos=1)


async def test_two_ingests_of_one_host_stay_connected_and_both_hear_a_press(
    tmp_path: Path, broker: Broker, at: Callable[[Path], Listening]
) -> None:
    with capture_logs() as logs:
        async with at(tmp_path / "one") as one, at(tmp_path / "two") as two:
            for listening in (one, two):
                await listening.connected()
            await asyncio.sleep(2)  # who takes another one's session has lost it again by now
            await publish(broker, "press")
            for listening in (one, two):
                await listening.hears("press")
    assert [line["event"] for line in logs] == ["mqtt.connected", "mqtt.connected"]
    assert len({line["client_id"] for line in logs}) == 2


async def test_under_another_hostname_what_came_meanwhile_comes_with_the_same_journal(
    tmp_path: Path, broker: Broker, at: Callable[[Path], Listening], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "not there yet" / "journal"
    async with at(journal) as before:
        await before.connected()
    monkeypatch.setattr(socket, "gethostname", lambda: "recreated")
    await publish(broker, "meanwhile")
    async with at(journal) as after:
        await after.hears("meanwhile")
    kept = journal.with_name("journal.instance")
    assert (kept.stat().st_mode & 0o777, len(kept.read_text())) == (0o600, 17)
    assert list(journal.parent.iterdir()) == [kept]


def in_a_file(journal: Path) -> str:
    journal.parent.write_text("no directory")
    return "Not a directory"


def of_something_else(journal: Path) -> str:
    journal.parent.mkdir()
    journal.with_name("journal.instance").write_text("something else")
    return "the file holds something else"


def of_nothing(journal: Path) -> str:
    journal.parent.mkdir()
    journal.with_name("journal.instance").touch()
    return "the file holds something else"


def a_directory(journal: Path) -> str:
    journal.with_name("journal.instance").mkdir(parents=True)
    return "Is a directory"


@pytest.mark.parametrize("broken", [in_a_file, of_something_else, of_nothing, a_directory])
async def test_without_a_usable_file_a_button_is_heard_all_the_same(
    tmp_path: Path, broker: Broker, at: Callable[[Path], Listening], broken: Callable[[Path], str]
) -> None:
    journal = tmp_path / "away" / "journal"
    reason = broken(journal)
    with capture_logs() as logs:
        async with at(journal) as before:
            await before.connected()
        await publish(broker, "meanwhile")
        async with at(journal) as after:
            await after.hears("meanwhile")  # on the same host the session is the same one
    assert [line["reason"] for line in logs if line["event"] == "instance.unkept"] == [reason, reason]


async def test_a_disk_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, broker: Broker, at: Callable[[Path], Listening], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance, "_WITHIN", 0.2)
    os.mkfifo(tmp_path / "journal.instance")  # nobody writes, so reading never begins
    with capture_logs() as logs:
        async with at(tmp_path / "journal") as listening:
            await listening.connected()
            await publish(broker, "press")
            await listening.hears("press")
    (tmp_path / "journal.instance").open("wb").close()  # let the thread go
    assert [line["reason"] for line in logs if line["event"] == "instance.unkept"] == ["the disk does not answer"]


def test_client_ids_are_short_and_differ_by_source_and_ingest() -> None:
    long = "zigbee-" + "x" * 100
    names = [long, f"{long}y", "a b", "a_b", "a/b", "ä_b"]
    ids = {client_id(name, ingest) for name in names for ingest in ("0" * 16, "1" * 16)}
    assert len(ids) == 2 * len(names)
    assert max(map(len, ids)) <= 64


async def said(tmp_path: Path, url: str) -> str:
    """The reason in the log why this broker cannot be listened to."""
    with capture_logs() as logs:

        async def reasons() -> list[str]:
            return [line["reason"] for line in logs if line["event"] == "mqtt.unreachable"]

        async with Listening(tmp_path, url, tmp_path / "journal"):
            return (await eventually(reasons, bool))[0]


async def test_the_log_says_that_nobody_listens_there(tmp_path: Path) -> None:
    assert await said(tmp_path, f"mqtt://127.0.0.1:{free_port()}") == "ECONNREFUSED"
    assert (await said(tmp_path, "mqtt://broker.invalid")).startswith("host name: EAI_")


async def test_a_host_name_that_cannot_be_one_ends_nothing(tmp_path: Path) -> None:
    assert await said(tmp_path, "mqtt://broker..example.org") == "host name: it cannot be one"


async def test_the_log_says_that_the_password_is_refused(tmp_path: Path, directory: Path) -> None:
    users = tmp_path / "users"
    users.write_text("")
    broker = Broker(directory, f"allow_anonymous false\npassword_file {users}")
    broker.start()
    try:
        reason = await said(tmp_path, f"mqtt://rufkette@127.0.0.1:{broker.port}")
    finally:
        broker.stop()
    assert reason == "refused: 135 Not authorized"


async def test_the_log_says_that_we_may_not_listen_to_a_topic(tmp_path: Path) -> None:
    """Mosquitto grants all and sends nothing then; other brokers answer 0x80, and leave us connected and deaf."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.read(2):  # the packet's type and its length, which fits into one byte here
                packet = await reader.readexactly(head[1])
                if head[0] >> 4 == 1:  # CONNECT
                    writer.write(b"\x20\x02\x00\x00")
                elif head[0] >> 4 == 8:  # SUBSCRIBE, with its number
                    writer.write(b"\x90\x03" + packet[:2] + b"\x80")
        finally:
            writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await said(tmp_path, f"mqtt://127.0.0.1:{port}") == "subscription 1 of topics refused"


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # the library leaves the socket to be found
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_certificate_is_trusted_by_ssl_cert_file_and_otherwise_the_log_says_so(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    file = certificate(tmp_path)
    broker = Broker(directory, f"allow_anonymous true\ncertfile {file}\nkeyfile {file.with_name('key.pem')}")
    broker.start()
    url = f"mqtts://127.0.0.1:{broker.port}"
    try:
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(file))
            async with Listening(tmp_path, url, tmp_path / "journal") as listening:
                await listening.connected()
        else:
            assert await said(tmp_path, url) == "certificate: self-signed certificate"
    finally:
        broker.stop()


async def test_the_log_says_that_another_client_took_the_session(
    tmp_path: Path, broker: Broker, at: Callable[[Path], Listening]
) -> None:
    """A machine that was copied, with the file."""
    with capture_logs() as logs:
        async with at(tmp_path / "journal") as listening:
            await listening.connected()
            (connected,) = logs
            async with aiomqtt.Client("127.0.0.1", broker.port, identifier=connected["client_id"]):

                async def lost() -> list[str]:
                    return [line["reason"] for line in logs if line["event"] == "mqtt.unreachable"]

                assert set(await eventually(lost, bool)) == {"connection closed"}


async def test_the_log_says_that_we_cannot_store_what_comes(
    tmp_path: Path, broker: Broker, at: Callable[[Path], Listening]
) -> None:
    async def receive(*_: object) -> None:
        raise Refusal(503, "nothing can be stored")

    with capture_logs() as logs:
        listening = at(tmp_path / "journal")
        listening._subscriptions._receive = receive
        async with listening:
            await listening.connected()
            await publish(broker, "press")

            async def lost() -> list[str]:
                return [line["reason"] for line in logs if line["event"] == "mqtt.unreachable"]

            assert (await eventually(lost, bool))[0] == "messages cannot be stored (503)"
