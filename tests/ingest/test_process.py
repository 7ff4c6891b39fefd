"""Ingest as a process of its own: starting, stopping, and Kafka coming and going."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.errors import KafkaError

from services.common.kafka import create_topics
from tests.ingest.reading import events_on, until
from tests.support.chain import Surroundings, ingest_service
from tests.support.organisation import KEYS, write_configuration
from tests.support.servers import KafkaServer, client_settings, fresh_topics
from tests.support.service import Service
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually

PRIVATE = ("Geheimnis", "Müller", "Zimmer 4711", "rk_test_")


async def post(service: Service, body: dict[str, Any], source: str = "buttons") -> httpx.Response:
    async with httpx.AsyncClient(base_url=service.url, timeout=10) as client:
        return await client.post("/v1/incidents", json=body, headers={"Authorization": f"Bearer {KEYS[source]}"})


async def test_one_press_can_be_followed_and_names_nobody(ingest: Service, surroundings: Surroundings) -> None:
    body = {
        "site": "bernburg", "location": "Zimmer 4711", "description": "Geheimnis", "reported_by": "A. Müller",
        "Geheimnis": 1, "device_id": "Geheimnis",
    }  # fmt: skip
    assert (await post(ingest, body, "forms")).status_code == 422
    accepted = await post(ingest, body)
    assert accepted.status_code == 202
    event_id = accepted.json()["event_id"]
    async with httpx.AsyncClient(base_url=ingest.url) as client:
        await client.get("/Geheimnis?token=Geheimnis", headers={"Authorization": "Bearer Geheimnis"})
        await client.get("/v1/events/Geheimnis", headers={"Authorization": f"Bearer {KEYS['forms']}"})
    record = await ingest.wait_for_event("report.accepted", event_id=event_id)
    assert (record["source"], record["site"]) == ("buttons", "bernburg")
    await ingest.wait_for_event("request.handled", route="/v1/events/{event_id}")  # said after the answer
    routes = {r["route"] for r in ingest.events("request.handled")}
    assert routes >= {"/v1/incidents", "/v1/events/{event_id}", "unmatched"}
    assert ingest.stray_lines == []
    for private in PRIVATE:
        assert private not in ingest.output
    assert [e.id for e in await events_on(surroundings.kafka, surroundings.topic_prefix)] == [event_id]


async def test_one_file_of_settings_serves_all_and_what_is_misspelt_is_named(
    surroundings: Surroundings, services: list[Service]
) -> None:
    others = {"RUFKETTE_SECRET_KEY": "x", "RUFKETTE_DATABASE_URL_FILE": "/nowhere", "RUFKETTE_API_KEY": "x"}
    service = ingest_service(surroundings, RUFKETTE_WATCH_AFTR="3", **others)
    services.append(service)
    await service.start()
    assert [line["setting"] for line in service.events("setting.unknown")] == ["RUFKETTE_WATCH_AFTR"]


async def test_the_watchs_mail_servers_are_looked_at_before_they_are_needed(
    surroundings: Surroundings, services: list[Service], smtp_sink: SmtpSink
) -> None:
    service = ingest_service(surroundings, "smtp://127.0.0.1:9?starttls=off", RUFKETTE_SMTP_FALLBACK_URL=smtp_sink.url)
    services.append(service)
    await service.start()
    line = await service.wait_for_event("mail_server.unreachable")
    assert line["error"] == "CONNECT SMTPConnectError: Connection refused"

    async def reachable() -> set[str]:
        async with httpx.AsyncClient(base_url=service.url) as client:
            lines = (await client.get("/metrics")).text.splitlines()
        return {line for line in lines if line.startswith("rufkette_mail_server_reachable{")}

    said = 'rufkette_mail_server_reachable{via="%s"} %s'
    await eventually(reachable, lambda lines: lines == {said % ("normal", "0.0"), said % ("fallback", "1.0")})
    assert not service.events("mail_fallback.unreachable")
    assert smtp_sink.received == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_orderly(ingest: Service, number: signal.Signals) -> None:
    os.kill(ingest.pid, number)
    assert await ingest.wait_for_exit(10) == 0
    assert ingest.events("service.stopped")


async def test_an_address_in_use_is_said_in_one_line(surroundings: Surroundings, services: list[Service]) -> None:
    service = ingest_service(surroundings)
    services.append(service)
    with socket.create_server(("127.0.0.1", service.port)):
        service.spawn()
        assert await service.wait_for_exit() == 2
    assert len(service.stray_lines) == 1
    assert f"127.0.0.1:{service.port}" in service.stray_lines[0]


async def test_a_wrong_configuration_is_said_and_ends_it(
    surroundings: Surroundings, services: list[Service], tmp_path: Path
) -> None:
    def misspell(content: dict[str, Any]) -> None:
        content["sources"]["buttons"]["devices"]["btn-112"]["site"] = "bernbrug"

    write_configuration(surroundings.configuration, misspell)
    service = ingest_service(surroundings)
    services.append(service)
    service.spawn()
    assert await service.wait_for_exit() == 2
    assert "bernbrug" in service.output
    assert "Traceback" not in service.output


def _send_chunks(port: int) -> bytes:
    """The answer; over a plain socket, for one of asyncio forgets what it received when it cannot send on."""
    head = (
        b"POST /v1/incidents HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Authorization: Bearer " + KEYS["buttons"].encode() + b"\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        with contextlib.suppress(ConnectionError):  # it is cut off, sooner or later
            connection.sendall(head)
            for _ in range(2000):
                connection.sendall(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
        return connection.recv(4096)


async def test_a_body_in_endless_chunks_is_cut_off(ingest: Service) -> None:
    assert b" 413 " in await asyncio.to_thread(_send_chunks, ingest.port)


@pytest.mark.parametrize("in_chunks", [False, True])
async def test_who_sends_a_photo_along_can_read_why_it_is_refused(ingest: Service, in_chunks: bool) -> None:
    photo = b"x" * 5_000_000

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(photo), 100_000):
            yield photo[start : start + 100_000]

    headers = {"Authorization": f"Bearer {KEYS['buttons']}"}
    async with httpx.AsyncClient(base_url=ingest.url, timeout=10, headers=headers) as client:
        answer = await client.post("/v1/incidents", content=chunks() if in_chunks else photo)
    assert answer.status_code == 413
    assert "64 KiB" in answer.json()["detail"]


async def test_who_asks_before_sending_is_refused_at_once(ingest: Service) -> None:
    head = (
        f"POST /v1/incidents HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n"
        f"Authorization: Bearer {KEYS['buttons']}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
    try:
        writer.write(head.encode())
        async with asyncio.timeout(5):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    finally:
        writer.close()


async def test_many_presses_at_once_are_all_on_kafka(ingest: Service, surroundings: Surroundings) -> None:
    headers = {"Authorization": f"Bearer {KEYS['buttons']}"}
    async with httpx.AsyncClient(base_url=ingest.url, timeout=10, headers=headers) as client:
        answers = await asyncio.gather(
            *(client.post("/v1/incidents", json={"site": "bernburg", "id": str(n)}) for n in range(200))
        )
    assert {answer.status_code for answer in answers} == {202}
    promised = {answer.json()["event_id"] for answer in answers}
    assert len(promised) == 200
    # What nobody confirms is published again after a while, under the same id.
    assert {e.id for e in await events_on(surroundings.kafka, surroundings.topic_prefix)} == promised


async def test_topics_that_come_later(surroundings: Surroundings, services: list[Service], kafka: str) -> None:
    prefix = f"late{os.getpid()}."
    service = ingest_service(surroundings, RUFKETTE_TOPIC_PREFIX=prefix)
    services.append(service)
    service.spawn()
    await until(lambda: bool(service.events("kafka.unreachable")))
    problems = await service.wait_for_readiness("degraded")
    assert f"{prefix}incidents.events does not exist" in problems["kafka"]
    await create_topics(client_settings(kafka, prefix))
    await service.wait_ready()
    assert (await post(service, {"site": "bernburg"})).status_code == 202


@pytest.fixture
async def apart(own_kafka: KafkaServer, configuration: Path, tmp_path: Path) -> Surroundings:
    """With a Kafka that the test may stop."""
    prefix = await fresh_topics(own_kafka.bootstrap_servers)
    return Surroundings(own_kafka.bootstrap_servers, prefix, configuration, tmp_path)


async def start(around: Surroundings, services: list[Service], *, ready: bool) -> Service:
    service = ingest_service(around)
    services.append(service)
    await service.start(ready=ready)
    return service


async def queued_in_time(service: Service, body: dict[str, Any]) -> str:
    started = time.monotonic()
    answer = await post(service, body)
    # A second is promised; a busy machine may take some, but whoever waits for Kafka to come back takes for ever.
    assert time.monotonic() - started < 5
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert await status_of(service, answer.json()["event_id"]) == "queued"
    return str(answer.json()["event_id"])


async def status_of(service: Service, event_id: str, source: str = "buttons") -> str:
    return str((await known(service, event_id, source))["status"])


async def known(service: Service, event_id: str, source: str = "buttons") -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=service.url, timeout=10) as client:
        answer = await client.get(f"/v1/events/{event_id}", headers={"Authorization": f"Bearer {KEYS[source]}"})
    return dict(answer.json())


async def all_on(around: Surroundings, promised: set[str]) -> None:
    """Wait until exactly these are on Kafka."""

    async def ids() -> set[str]:
        try:
            return {event.id for event in await events_on(around.kafka, around.topic_prefix)}
        except KafkaError:  # it has just come back
            return set()

    assert await eventually(ids, lambda found: found >= promised) == promised


async def test_kafka_away_at_the_start(apart: Surroundings, own_kafka: KafkaServer, services: list[Service]) -> None:
    own_kafka.stop()
    service = await start(apart, services, ready=False)
    assert set(await service.wait_for_readiness("degraded")) == {"kafka"}
    bodies = [{"site": "bernburg", "id": str(n)} for n in range(5)]
    promised = set(await asyncio.gather(*(queued_in_time(service, body) for body in bodies)))
    assert len(service.events("kafka.unreachable")) == 1
    own_kafka.start()
    await service.wait_ready()
    assert service.events("kafka.recovered")
    await all_on(apart, promised)
    await until(lambda: len(service.events("event.forwarded")) == 5)
    again = await post(service, bodies[0])
    assert (again.json()["status"], again.json()["event_id"] in promised) == ("accepted", True)
    service.stop()
    assert service.exit_code == 0


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_kafka_restarts_while_running(
    apart: Surroundings, own_kafka: KafkaServer, services: list[Service], how: str
) -> None:
    service = await start(apart, services, ready=True)
    promised = {(await post(service, {"site": "bernburg", "id": "before"})).json()["event_id"]}
    getattr(own_kafka, how)()
    promised.add(await queued_in_time(service, {"site": "bernburg", "id": "during"}))
    assert set(await service.wait_for_readiness("degraded")) == {"kafka"}
    own_kafka.start()
    await service.wait_ready()
    answer = await post(service, {"site": "bernburg", "id": "after"})
    assert answer.json()["status"] == "accepted"
    await all_on(apart, promised | {answer.json()["event_id"]})
    await until(lambda: bool(service.events("kafka.recovered")))


async def test_a_kafka_that_hangs(apart: Surroundings, own_kafka: KafkaServer, services: list[Service]) -> None:
    service = await start(apart, services, ready=True)
    with own_kafka.hanging():
        bodies = [{"site": "bernburg", "id": str(n)} for n in range(3)]
        promised = set(await asyncio.gather(*(queued_in_time(service, body) for body in bodies)))
        await service.wait_for_readiness("degraded")
    await service.wait_ready()
    await all_on(apart, promised)


async def test_what_was_queued_survives_a_kill(
    apart: Surroundings, own_kafka: KafkaServer, services: list[Service]
) -> None:
    own_kafka.stop()
    service = await start(apart, services, ready=False)
    await service.wait_for_readiness("degraded")
    promised = {await queued_in_time(service, {"site": "bernburg", "id": str(n)}) for n in range(3)}
    service.kill()
    await service.start(ready=False)
    await service.wait_for_readiness("degraded")
    assert service.events("journal.loaded", entries=3)
    for event_id in promised:
        assert await status_of(service, event_id) == "queued"
    assert await queued_in_time(service, {"site": "bernburg", "id": "0"}) in promised
    own_kafka.start()
    await all_on(apart, promised)
    assert service.stray_lines == []


async def test_an_idle_ingest_notices_that_kafka_is_away_and_stops_all_the_same(
    apart: Surroundings, own_kafka: KafkaServer, services: list[Service]
) -> None:
    service = await start(apart, services, ready=True)
    own_kafka.kill()
    await service.wait_for_readiness("degraded")
    os.kill(service.pid, signal.SIGTERM)
    assert await service.wait_for_exit(12) == 0
