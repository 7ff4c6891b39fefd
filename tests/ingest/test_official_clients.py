"""The makers' own libraries as senders, over HTTP to Kafka."""

import time
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from standardwebhooks import Webhook

from schemas.events import Event, Heartbeat
from tests.ingest.every_source import FLIC, SECRET, WHSEC, key_of
from tests.ingest.reading import events_on
from tests.ingest.support import reported
from tests.support.chain import Surroundings


def twice(client: httpx.Client, path: str, **sent: Any) -> tuple[httpx.Response, httpx.Response]:
    """The answers to a message and to its repetition."""
    return client.post(path, **sent), client.post(path, **sent)


async def event_of(answer: httpx.Response, around: Surroundings) -> Event:
    """The event on Kafka that was answered."""
    assert answer.status_code in (200, 202), answer.text
    events = {event.id: event for event in await events_on(around.kafka, around.topic_prefix)}
    return events[answer.json()["event_id"]]


@pytest.mark.parametrize("mode", [to_structured, to_binary])
@pytest.mark.parametrize("source", ["bus", "panic-bus"])
async def test_cloudevents(client: httpx.Client, every_around: Surroundings, mode: Any, source: str) -> None:
    at = datetime.now(UTC)
    attributes = {
        "id": f"{mode.__name__} ü%", "source": "/control-room", "specversion": "1.0", "time": at,
        "type": "rufkette.incident.reported.v1", "datacontenttype": "application/json",
    }  # fmt: skip
    data = {"site": "bernburg", "danger_level": 1, "category": "insult", "description": "„Ü“"}
    message = mode(CloudEvent(attributes=attributes, data=data), JSONFormat())
    headers = {**message.headers, "authorization": f"Bearer {key_of(source)}"}
    first, again = twice(client, "/v1/events", content=message.body, headers=headers)
    assert first.json()["event_id"] == again.json()["event_id"]
    assert first.json()["warnings"] == []
    event = await event_of(first, every_around)
    report = reported(event)
    assert (report.site, report.danger_level, report.category, report.description) == ("bernburg", 1, "insult", "„Ü“")
    assert abs((event.time - at).total_seconds()) < 0.001


@pytest.mark.parametrize("source", ["formbricks", "panic-hook"])
async def test_standard_webhooks(client: httpx.Client, every_around: Surroundings, source: str) -> None:
    now, text = datetime.now(UTC), '{"type": "incident", "data": {"site": "bernburg", "description": "„Ü“"}}'
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(WHSEC.decode()).sign("msg_1", now, text),
        "content-type": "application/json",
    }
    first, again = twice(client, f"/v1/hooks/{source}", content=text, headers=headers)
    assert first.json()["event_id"] == again.json()["event_id"]
    report = reported(await event_of(first, every_around))
    assert (report.site, report.description, report.warnings) == ("bernburg", "„Ü“", ())


async def test_pyjwt(client: httpx.Client, every_around: Surroundings) -> None:
    claims = {
        "exp": int(time.time()) + 60, "buttonSerialNumber": "BC44-B06243", "buttonBatteryStatus": "medium",
        "clickType": "hold",
    }  # fmt: skip
    said = {"token": jwt.encode(claims, FLIC, algorithm="ES256")}
    first, again = twice(client, "/v1/hooks/flic", params={"secret": SECRET}, json=said)
    assert (first.status_code, again.json()["event_id"]) == (200, first.json()["event_id"])
    report = reported(await event_of(first, every_around))
    assert (report.device_id, report.location, report.warnings) == ("BC44-B06243", "Zimmer 112", ())
    events = await events_on(every_around.kafka, every_around.topic_prefix)
    batteries = {event.id: event.data for event in events if isinstance(event.data, Heartbeat)}
    assert [(one.device_id, one.battery) for one in batteries.values()] == [("BC44-B06243", 0.5)]
