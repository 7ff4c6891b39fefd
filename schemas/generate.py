"""The contract in machine-readable form: JSON Schemas of events, lifecycle and configuration, and AsyncAPI.

`python -m services.generate` (`make generate`) writes what `documents()` returns into schemas/generated/.
"""

import json
from typing import Any, Final

import yaml
from pydantic import BaseModel

from schemas import topics
from schemas.configuration import Configuration
from schemas.events import DATA_TYPES, REPORTED
from schemas.lifecycle import Change, Lifecycle

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_EVENT_ID: Final = "2b6e1f0c-8a43-5a55-9d0e-3f6b5b8f7a10"
_ENVELOPE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "minLength": 1, "description": "The event id.", "examples": [_EVENT_ID]},
        "ce_source": {"type": "string", "minLength": 1, "description": "The source's name in the configuration."},
        "ce_type": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time", "description": "When the source or ingest learnt of it."},
        "ce_subject": {"type": "string", "description": "The incident id; missing where there is none yet."},
        "ce_rufketteimport": {"const": "true", "description": "A past event, for the figures only: tells nobody."},
        "content-type": {"const": "application/json"},
    },
}
_REJECTED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["rufkette_reason", "rufkette_topic", "rufkette_partition", "rufkette_offset"],
    "properties": {
        "rufkette_reason": {"type": "string", "description": "What is wrong and what was expected."},
        "rufkette_topic": {"type": "string", "description": "The topic that the record was read from."},
        "rufkette_partition": {"type": "string", "pattern": "^[0-9]+$"},
        "rufkette_offset": {"type": "string", "pattern": "^[0-9]+$"},
        "rufkette_truncated": {
            "type": "string",
            "description": "What was cut because it was too large: key, value, headers, or several of them.",
        },
    },
}


def json_schema(model: type[BaseModel], name: str) -> dict[str, Any]:
    """The JSON Schema of a model, with dialect and id."""
    return {"$schema": _DIALECT, "$id": f"urn:rufkette:{name}", **model.model_json_schema()}


def _configuration_schema() -> dict[str, Any]:
    """The configuration's schema with the short forms that the models take.

    An address stands for a person, a list of people for a role, one value for a list of one in `when`.
    """
    schema = json_schema(Configuration, "configuration")
    definitions = schema["$defs"]
    people = {"type": "array", "items": {"$ref": "#/$defs/Person"}}
    definitions["Role"] = {"anyOf": [people, definitions["Role"]]}
    definitions["Person"] = {"anyOf": [{"type": "string", "format": "email"}, definitions["Person"]]}
    for condition in definitions["When"]["properties"].values():
        options = condition.get("anyOf", [])
        options += [option["items"] for option in options if option.get("type") == "array"]
    return schema


def _rendered(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n", 1)[0]


def _message(type_: str, key: str, payload: str, summary: str) -> dict[str, Any]:
    return {
        "name": type_,
        "title": type_,
        "summary": summary,
        "contentType": "application/json",
        "headers": {
            "allOf": [
                {"$ref": "#/components/schemas/envelope"},
                {"type": "object", "properties": {"ce_type": {"const": type_}}},
            ]
        },
        "payload": {"$ref": f"./{payload}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": "0.5.0"}},
    }


def _messages() -> dict[str, dict[str, Any]]:
    """Every message by its name in `components`."""
    key = "The site's key if given, else the incident id"
    events = {
        type_: _message(
            type_,
            "The site's key" if type_ == REPORTED else key,
            f"{type_}.json",
            _summary(model),
        )
        for type_, model in DATA_TYPES.items()
    }
    lifecycle = {
        change.type: _message(change.type, key, "lifecycle.json", f"An incident: {change.value}.") for change in Change
    }
    rejected = {
        "name": "rejected",
        "title": "A record that could not be taken",
        "summary": "Key, value and headers as they came, with the reason and where the record came from.",
        "headers": _REJECTED,
        "payload": {"description": "The bytes as they came: anything."},
        "bindings": {"kafka": {"bindingVersion": "0.5.0"}},
    }
    return {**events, **lifecycle, "rejected": rejected}


def _channel(topic: topics.Topic, description: str, messages: list[str]) -> dict[str, Any]:
    binding = {
        "topic": topic.name,
        "partitions": topic.partitions,
        "topicConfiguration": {"retention.ms": int(topic.retention.total_seconds() * 1000)},
        "bindingVersion": "0.5.0",
    }
    return {
        "address": topic.name,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": binding},
    }


def _operation(action: str, channel: str, summary: str, messages: list[str]) -> dict[str, Any]:
    pointer = f"#/channels/{channel}"
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": pointer},
        "messages": [{"$ref": f"{pointer}/messages/{name}"} for name in messages],
    }


def asyncapi(version: str) -> dict[str, Any]:
    """AsyncAPI 3.0 of the three topics. An operation is what these services do; others may do the same."""
    events, changes = list(DATA_TYPES), [change.type for change in Change]
    about = {topic.name: topic for topic in topics.ALL}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Rufkette on Kafka",
            "version": version,
            "description": "CloudEvents 1.0 in binary mode: attributes as `ce_` headers, data as JSON value. Readers "
            "ignore fields that they do not know; a type that they do not know goes to the rejected records.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": _channel(about[topics.EVENTS], "One immutable fact each.", events),
            "lifecycle": _channel(about[topics.LIFECYCLE], "What alerting made of them.", changes),
            "rejected": _channel(about[topics.REJECTED], "Records that could not be taken.", ["rejected"]),
        },
        "operations": {
            "publishEvents": _operation("send", "events", "Ingest publishes what sources report.", events),
            "readEvents": _operation("receive", "events", "Alerting applies each event once.", events),
            "relayChanges": _operation("send", "lifecycle", "Alerting tells what became of an incident.", changes),
            "setAside": _operation("send", "rejected", "Alerting sets aside what it cannot take.", ["rejected"]),
        },
        "components": {"schemas": {"envelope": _ENVELOPE}, "messages": _messages()},
    }


def documents(version: str) -> dict[str, str]:
    """The generated files by name. `version` is that of the package."""
    files = {f"{type_}.json": _rendered(json_schema(model, type_)) for type_, model in DATA_TYPES.items()}
    files["lifecycle.json"] = _rendered(json_schema(Lifecycle, "rufkette.alert.v1"))
    files["configuration.json"] = _rendered(_configuration_schema())
    files["asyncapi.yaml"] = yaml.safe_dump(asyncapi(version), sort_keys=False, allow_unicode=True, width=120)
    return files
