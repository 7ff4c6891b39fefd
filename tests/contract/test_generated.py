"""schemas/generated/: current, and true of what really goes over the wire."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from schemas import codec, topics
from schemas.events import (
    DATA_TYPES,
    Acknowledged,
    Category,
    Closed,
    Data,
    EmergencyMailed,
    Event,
    HandedOver,
    Heartbeat,
    Kind,
    Outcome,
    PoliceRequested,
    PoliceWish,
    Probe,
    Reported,
)
from schemas.lifecycle import Change, Lifecycle
from services import generate
from tests.support.organisation import organisation

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "schemas/generated"
NOW = datetime(2026, 1, 5, 8, 12, 33, tzinfo=UTC)
REPORTED = Reported(
    kind=Kind.FORM,
    site="bernburg",
    location="Zimmer 112",
    danger_level=2,
    category=Category.THREAT,
    description="Über die Straße gerufen",
    police=PoliceWish.CALLED,
    occurred_at=NOW,
    warnings=("/level: unknown",),
)
SAMPLES: tuple[Data, ...] = (
    Reported(),
    REPORTED,
    Acknowledged(by="A. Muster"),
    PoliceRequested(by="A. Muster", reference="ST/1"),
    HandedOver(by="A. Muster", on=NOW.date()),
    Closed(by="A. Muster", outcome=Outcome.RESOLVED, measures=("house ban",)),
    EmergencyMailed(event_ids=("e-1",), site="bernburg"),
    Heartbeat(device_id="btn-112", battery=0.5),
    Probe(),
)


def load(name: str) -> Any:
    return yaml.safe_load((GENERATED / name).read_text())


def test_every_generated_file_is_current() -> None:
    files = generate.files()
    assert {path.name for path in GENERATED.iterdir()} == {path.name for path in files if path.parts[0] == "schemas"}
    for path, text in files.items():
        assert (ROOT / path).read_text() == text, f"{path}: run `make generate`"


@pytest.mark.parametrize("file", sorted(GENERATED.glob("*.json")), ids=lambda file: file.name)
def test_every_schema_is_one(file: Path) -> None:
    if file.name != "openapi.json":
        Draft202012Validator.check_schema(json.loads(file.read_text()))


def test_every_event_type_has_a_sample() -> None:
    assert {type(sample) for sample in SAMPLES} == set(DATA_TYPES.values())


@pytest.mark.parametrize("data", SAMPLES, ids=lambda data: type(data).__name__)
def test_events_are_valid_and_come_back(data: Data) -> None:
    event = Event(id="e-1", source="forms", time=NOW, data=data, subject="i-1")
    record = codec.encode(event)
    Draft202012Validator(load(f"{event.type}.json")).validate(json.loads(record.value))
    headers = {name: value.decode() for name, value in record.headers}
    Draft202012Validator(load("asyncapi.yaml")["components"]["schemas"]["envelope"]).validate(headers)
    assert codec.decode(record.headers, record.value, arrived_at=NOW) == event


@pytest.mark.parametrize("change", Change)
def test_lifecycle_records_are_valid_and_come_back(change: Change) -> None:
    data = Lifecycle(
        incident_id="i-1", event_ids=("e-1",), source="buttons", site=None, danger_level=None, revision=3, step=1
    )
    record = codec.encode_lifecycle("c-1", change, NOW, data)
    Draft202012Validator(load("lifecycle.json")).validate(json.loads(record.value))
    assert codec.decode_lifecycle(record.headers, record.value) == (change, data)
    said = json.loads(record.value)
    assert (said["site"], said["danger_level"]) == (None, None), "readers count on them"
    assert "outcome" not in said
    assert record.key == b"i-1"
    of_a_site = data.model_copy(update={"site": "bernburg"})
    assert codec.encode_lifecycle("c-1", change, NOW, of_a_site).key == b"bernburg"


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("rufkette.incident.reported.v1", {"danger_level": 4}),
        ("rufkette.incident.reported.v1", {"category": "weather"}),
        ("rufkette.incident.acknowledged.v1", {}),
        ("rufkette.incident.closed.v1", {"by": "A", "outcome": "done"}),
        ("rufkette.device.heartbeat.v1", {"device_id": "b", "battery": 80}),
    ],
)
def test_wrong_data_is_refused_by_schema_and_codec(type_: str, data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(load(f"{type_}.json")).validate(data)
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"e"), ("ce_source", b"s"), ("ce_type", type_.encode())]
    with pytest.raises(codec.Unreadable):
        codec.decode(headers, json.dumps(data).encode(), arrived_at=NOW)


def test_the_configuration_schema_takes_what_the_models_take() -> None:
    validator = Draft202012Validator(load("configuration.json"))
    validator.validate(organisation())
    example = yaml.safe_load((ROOT / "config/example.yaml").read_text())
    validator.validate(json.loads(json.dumps(example, default=str)))
    with pytest.raises(ValidationError):
        validator.validate({**organisation(), "polices": {}})


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: dict[str, Any], pointer: str) -> Any:
    node: Any = document
    for part in pointer.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_asyncapi_refers_only_to_what_is_there() -> None:
    document = load("asyncapi.yaml")
    for reference in references(document):
        if reference.startswith("#/"):
            assert resolve(document, reference)
        else:
            assert (GENERATED / reference).is_file()


def test_asyncapi_has_the_shape_of_version_3() -> None:
    document = load("asyncapi.yaml")
    allowed = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
    assert set(document) <= allowed
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(document["info"])
    channel_keys = {
        "address",
        "messages",
        "title",
        "summary",
        "description",
        "servers",
        "parameters",
        "tags",
        "bindings",
    }
    for channel in document["channels"].values():
        assert set(channel) <= channel_keys
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert operation["channel"]["$ref"].startswith("#/channels/")
        of_channel = resolve(document, operation["channel"]["$ref"])["messages"]
        for message in operation["messages"]:
            # Version 3 wants an operation's messages to be those of its channel, by reference.
            base, _, name = message["$ref"].rpartition("/messages/")
            assert base == operation["channel"]["$ref"]
            assert name in of_channel
    message_keys = {"name", "title", "summary", "description", "contentType", "headers", "payload", "bindings", "tags"}
    for message in document["components"]["messages"].values():
        assert set(message) <= message_keys


def test_asyncapi_has_every_topic_and_type() -> None:
    document = load("asyncapi.yaml")
    by_address = {channel["address"]: channel for channel in document["channels"].values()}
    assert set(by_address) == {topic.name for topic in topics.ALL}
    assert set(by_address[topics.EVENTS]["messages"]) == set(DATA_TYPES)
    assert set(by_address[topics.LIFECYCLE]["messages"]) == {change.type for change in Change}


def test_openapi_has_the_routes_of_ingest() -> None:
    document = load("openapi.json")
    assert document["openapi"].startswith("3.1")
    wanted = {"/v1/incidents", "/v1/hooks/{source}", "/v1/events/{event_id}", "/healthz", "/readyz", "/metrics"}
    assert wanted <= set(document["paths"])
    for reference in references(document):
        assert resolve(document, reference)
