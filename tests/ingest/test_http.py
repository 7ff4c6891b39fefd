"""The real application in this process, with the real Kafka behind it."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from schemas import codec, topics
from schemas.lifecycle import Change, Lifecycle
from services.common import kafka as clients
from services.common.settings import IngestSettings
from services.ingest.app import app_for
from tests.ingest.reading import events_on
from tests.ingest.support import NOW, configuration, reported, uplink
from tests.support.organisation import KEYS
from tests.support.servers import client_settings, fresh_topics
from tests.support.waiting import eventually


class Api:
    """The application and what it writes to."""

    def __init__(self, app: FastAPI, kafka: str, prefix: str) -> None:
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ingest")
        self.kafka, self.prefix = kafka, prefix

    async def send(
        self, path: str, content: bytes | AsyncIterator[bytes], source: str | None = "buttons", **headers: str
    ) -> httpx.Response:
        key = {"Authorization": f"Bearer {KEYS[source]}"} if source else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, content=content, headers=key | named)

    async def report(self, body: object, source: str = "buttons", **headers: str) -> httpx.Response:
        return await self.send("/v1/incidents", json.dumps(body).encode(), source, **headers)


@pytest.fixture(scope="module")
async def api(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    prefix = await fresh_topics(kafka)
    given_settings = IngestSettings(
        config=Path("unused"),
        kafka_bootstrap_servers=kafka,
        topic_prefix=prefix,
        journal_path=tmp_path_factory.mktemp("journal") / "journal.sqlite3",
        smtp_url=SecretStr("smtp://127.0.0.1:9"),
        mail_from="rufkette@example.org",
        watch_after=3600,
    )
    app = app_for(given_settings, configuration())
    async with app.router.lifespan_context(app):
        api = Api(app, kafka, prefix)
        await eventually(lambda: api.client.get("/readyz"), lambda answer: answer.json() == {"status": "ok"})
        yield api


async def test_an_accepted_report_is_on_kafka(api: Api) -> None:
    answer = await api.report({"site": "bernburg", "id": "first", "description": "Übergriff"}, "forms")
    assert answer.status_code == 202
    body = answer.json()
    assert set(body) == {"event_id", "status", "status_url", "warnings"}
    assert (body["status"], body["warnings"]) == ("accepted", [])
    assert answer.headers["location"] == body["status_url"]
    on_kafka = {event.id: event for event in await events_on(api.kafka, api.prefix)}
    assert reported(on_kafka[body["event_id"]]).description == "Übergriff"


async def test_the_same_id_has_the_same_event_id_also_at_once(api: Api) -> None:
    body = {"site": "bernburg", "id": "again"}
    answers = await asyncio.gather(*(api.report(body) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["event_id"] for answer in answers}) == 1


async def test_a_press_comes_through_the_hook_of_the_things_stack(api: Api) -> None:
    content = json.dumps(uplink({"button": "short"})).encode()
    answer = await api.send("/v1/hooks/lorawan", content, "lorawan", content_type="text/plain")
    assert answer.status_code == 202, answer.text
    on_kafka = {event.id: event for event in await events_on(api.kafka, api.prefix)}
    assert reported(on_kafka[answer.json()["event_id"]]).location == "Zimmer 112"


async def test_a_message_that_is_no_press_is_answered_kindly(api: Api) -> None:
    answer = await api.send("/v1/hooks/lorawan", b'{"join_accept": {}}', "lorawan")
    assert (answer.status_code, answer.json()["status"], answer.json()["reason"]) == (202, "ignored", "join_accept")


async def test_a_native_source_has_a_hook_too(api: Api) -> None:
    answer = await api.send("/v1/hooks/buttons", b'{"device_id": "btn-112"}', content_type="application/json")
    assert (answer.status_code, answer.json()["warnings"]) == (202, [])


@pytest.mark.parametrize(
    ("path", "source", "content", "headers", "status"),
    [
        ("/v1/incidents", None, b"{}", {}, 401),
        ("/v1/hooks/buttons", None, b"{}", {}, 401),
        ("/v1/incidents", "lorawan", b"{}", {}, 403),
        ("/v1/hooks/buttons", "forms", b"{}", {}, 403),
        ("/v1/hooks/nobody", "forms", b"{}", {}, 404),
        ("/v1/nothing", "forms", b"{}", {}, 404),
        ("/v1/incidents", "forms", b"site=bernburg", {"content_type": "application/x-www-form-urlencoded"}, 415),
        ("/v1/incidents", "buttons", b"site=bernburg", {"content_type": "text/plain"}, 415),
        ("/v1/incidents", "forms", b"{}", {"content_encoding": "gzip"}, 415),
        ("/v1/incidents", "forms", b"site", {}, 400),
        ("/v1/incidents", "forms", b'{"site": "bernburg", "site": "stassfurt"}', {}, 400),
        ("/v1/incidents", "buttons", b"\xff", {}, 400),
        ("/v1/incidents", "buttons", b"[]", {}, 422),
        ("/v1/incidents", "forms", b"{}", {}, 422),
        ("/v1/incidents", "buttons", b'{"a": "' + b"x" * 65_530 + b'"}', {}, 413),
        ("/v1/hooks/lorawan", "lorawan", b"x" * 70_000, {}, 413),
    ],
)
async def test_refusals_are_problems(
    api: Api, path: str, source: str | None, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await api.send(path, content, source, **headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert ("WWW-Authenticate" in answer.headers) is (status == 401)


async def test_a_body_of_exactly_the_limit_is_taken(api: Api) -> None:
    content = b'{"site": "bernburg", "x": "' + b"y" * (65_536 - 29) + b'"}'
    assert len(content) == 65_536
    assert (await api.send("/v1/incidents", content)).status_code == 202


async def test_a_chunked_body_cannot_pass_the_limit(api: Api) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 10_000
            yield b"x" * 10_000

    answer = await api.send("/v1/incidents", chunks())
    assert answer.status_code == 413


async def test_a_press_with_json_of_another_name_is_taken(api: Api) -> None:
    kind = "application/x-www-form-urlencoded"  # what curl says when it is not told
    assert (await api.send("/v1/incidents", b'{"site": "bernburg"}', content_type=kind)).status_code == 202


async def test_the_status_of_an_event_is_for_its_sender(api: Api) -> None:
    answer = await api.report({"site": "bernburg"}, "forms")
    url, event_id = answer.json()["status_url"], answer.json()["event_id"]
    assert await status_of(api, url, "forms") == "accepted"
    assert await status_of(api, url, "buttons") is None
    assert (await api.client.get(url)).status_code == 401
    for revision, (change, said) in enumerate(
        [(Change.OPENED, "accepted"), (Change.NOTIFIED, "alerted"), (Change.ACKNOWLEDGED, "acknowledged"),
         (Change.CLOSED, "closed")], start=1,
    ):  # fmt: skip
        await relay(api, change, event_id, revision)
        await until(lambda: status_of(api, url, "forms"), said)


async def until(look: Callable[[], Awaitable[str | None]], wanted: str, within: float = 15.0) -> None:
    deadline = time.monotonic() + within
    while (seen := await look()) != wanted:
        assert time.monotonic() < deadline, f"{seen} did not become {wanted} in time"
        await asyncio.sleep(0.02)


async def status_of(api: Api, url: str, source: str) -> str | None:
    answer = await api.client.get(url, headers={"Authorization": f"Bearer {KEYS[source]}"})
    return str(answer.json()["status"]) if answer.status_code == 200 else None


async def relay(api: Api, change: Change, event_id: str, revision: int) -> None:
    data = Lifecycle(
        incident_id=event_id, event_ids=(event_id,), source="forms", site="bernburg", danger_level=2, revision=revision
    )
    record = codec.encode_lifecycle(f"{event_id}-{revision}", change, NOW, data)
    producer = clients.producer(client_settings(api.kafka))
    await producer.start()
    try:
        topic = topics.prefixed(topics.LIFECYCLE, api.prefix)
        # A record that nobody can read stands before each one: the follower goes on.
        await producer.send_and_wait(topic, value=b"\x00", key=record.key)
        await producer.send_and_wait(topic, value=record.value, key=record.key, headers=list(record.headers))
    finally:
        await producer.stop()


async def test_the_documents_need_no_key_and_no_internet(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    assert set(document["paths"]) >= {"/v1/incidents", "/v1/hooks/{source}", "/v1/events/{event_id}", "/readyz"}
    body = document["paths"]["/v1/incidents"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/Report"}
    for example in body["examples"].values():
        source = "forms" if example["value"].get("kind") == "form" else "buttons"
        assert (await api.report(example["value"], source)).status_code == 202
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    page = (await api.client.get("/docs")).text
    assert "danger_level" in page
    assert "src=" not in page
    assert "`" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL), "backticks are shown as code"
    assert "&lt;code" not in page


async def test_metrics_count_and_name_nobody(api: Api) -> None:
    await api.report({"site": "bernburg", "description": "Frau Beispiel", "reported_by": "Herr Muster"}, "forms")
    page = (await api.client.get("/metrics")).text
    assert 'rufkette_ingest_events_total{kind="form",mode="actual",outcome="accepted",source="forms"}' in page
    assert "rufkette_ingest_publish_seconds_bucket" in page
    assert "Beispiel" not in page
    assert "Muster" not in page


BYTES = (
    st.binary(max_size=300)
    | st.text(alphabet='{}[]":,0123e-.nul \\ud8').map(str.encode)
    | st.dictionaries(
        st.sampled_from(["site", "id", "danger_level", "uplink_message", "end_device_ids", "join_accept"]) | st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["decoded_payload", "frm_payload", "dev_eui"]) | st.text(), inner)
            ),
            max_leaves=6,
        ),
        max_size=6,
    ).map(lambda value: json.dumps(value).encode())
)
ROUTES = st.sampled_from(
    [("/v1/incidents", s) for s in ("buttons", "forms", "desk")] + [(f"/v1/hooks/{s}", s) for s in ("lorawan", "forms")]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=BYTES, route=ROUTES, content_type=st.sampled_from(["application/json", "text/plain", "", "é;"]))
async def test_no_bytes_break_a_route(api: Api, content: bytes, route: tuple[str, str], content_type: str) -> None:
    key = {b"authorization": f"Bearer {KEYS[route[1]]}".encode(), b"content-type": content_type.encode("latin-1")}
    answer = await api.client.post(route[0], content=content, headers=list(key.items()))
    assert answer.status_code in (202, 400, 415, 422), answer.text
    if route[1] in ("buttons", "lorawan") and _is_object(content):
        assert answer.status_code == 202, answer.text


def _is_object(content: bytes) -> bool:
    try:
        value: Any = json.loads(content.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)


def _no_number(name: str) -> None:
    raise ValueError(name)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/hooks/shelly", "GET, POST"),
        ("DELETE", "/v1/hooks/shelly/btn-7", "GET, POST"),
        ("GET", "/v1/hooks/buttons", "POST"),
        ("GET", "/v1/incidents", "POST"),
        ("POST", "/v1/sources", "GET"),
    ],
)
async def test_a_wrong_method_is_told_all_right_ones(api: Api, method: str, path: str, allowed: str) -> None:
    answer = await api.client.request(method, path, headers={"Authorization": f"Bearer {KEYS['buttons']}"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert answer.headers["content-type"] == "application/problem+json"
