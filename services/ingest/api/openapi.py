"""What /openapi.json says beyond the routes themselves: bodies, examples, answers and problems."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from services.ingest.api.hook_examples import HOOK_EXAMPLES
from services.ingest.api.problems import MEDIA_TYPE
from services.ingest.report_body import EXAMPLES, ReportBody
from services.ingest.status import Status

DESCRIPTION: Final = """Takes reports of panic buttons and incident forms and puts them safely onto Kafka.

Authenticate with `Authorization: Bearer KEY`. `202` means that the event is safe: on all replicas of Kafka
(`accepted`), or, while Kafka is away, on this server's disk (`queued`; it is forwarded by itself). On `503`, on a
timeout and on a broken connection send the same request again with the same `id`: it never makes a second incident.
A press (a source of `kind: panic`) is never refused for its content; what does not fit is listed in `warnings`."""


class Accepted(BaseModel):
    """The event is safe."""

    event_id: str = Field(description="The same for the same `id` of the same source.")
    status: str = Field(description="`accepted`, or `queued` while Kafka is away.")
    status_url: str = Field(description="Where to ask what became of it.")
    warnings: list[str] = Field(description="What was left out or doubted; also shown in the mail.")


class NoReport(BaseModel):
    """A message that becomes no event, and why: a device's status, or `learning`: a follow-up of a learning source."""

    status: Literal["ignored"]
    reason: str
    warnings: list[str]


class EventStatus(BaseModel):
    """What became of an event."""

    event_id: str
    status: Status
    incident_id: str | None = None


class Health(BaseModel):
    """`stuck`: something hangs that only a restart frees, and the process ends by itself."""

    status: Literal["ok", "stuck"]
    problem: str | None = Field(None, description="What hangs.")


class Readiness(BaseModel):
    """`degraded`: either Kafka or the journal is away, and events are taken in all the same, or an MQTT broker is."""

    status: Literal["ok", "degraded", "unavailable"]
    problems: dict[str, str] = Field({}, description="What is away (`kafka`, `journal`, `mqtt` and a source), and why.")


class SourceDevice(BaseModel):
    """A device of the register, since `since`; null: nothing came."""

    last_seen_at: datetime | None
    last_press_at: datetime | None
    last_test_at: datetime | None = Field(description="The last press marked as an exercise, or in learning mode.")
    battery: float | None = Field(description="From 0 to 1, as last reported.")


class SourceError(BaseModel):
    """The last message that was refused."""

    at: datetime
    problem: str = Field(description="The name of the problem, as under Problems.")


class SourceActivity(BaseModel):
    """One source, since `since`."""

    type: str
    kind: str
    learning: bool = Field(description="In learning mode: nobody but the test address is told of its reports.")
    last_seen_at: datetime | None
    last_error: SourceError | None
    messages: dict[str, int] = Field(description="By what became of them, as in /metrics.")
    messages_last_5_minutes: int
    messages_last_hour: int
    from_unknown_devices: int = Field(description="Presses and signs of life of devices that the register lacks.")
    devices: dict[str, SourceDevice]


class Sources(BaseModel):
    """What this process saw of each source."""

    since: datetime = Field(description="When this process started.")
    sources: dict[str, SourceActivity]


class WrongField(BaseModel):
    """One wrong place in the body."""

    pointer: str = Field(description="JSON pointer, such as `/danger_level`.")
    detail: str = Field(description="What is wrong.")
    expected: str = Field(description="What to write instead.")


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What is wrong and what to change.")
    errors: list[WrongField] = []


_PROBLEMS: Final = {
    400: "Not UTF-8, not JSON (NaN and Infinity are not), nested deeper than 64 levels, or a key sent twice by a form.",
    401: "No key, or one that no source has; or a signature that does not fit or is too old.",
    403: "The key belongs to another source.",
    404: "Not found: no such source, or no such event of this source.",
    405: "The source sends with another method, which `Allow` names.",
    408: "The body did not arrive in time.",
    413: "The body is larger than 64 KiB.",
    415: "The body is not JSON; of a form: neither JSON, urlencoded nor multipart.",
    422: "Some fields do not fit; each is listed. Never for a press.",
    429: "The source sends more than 100 messages a second (2,000 at once). Send it again after `Retry-After` seconds. "
    "Never for a press.",
    503: "Neither Kafka nor the journal could take it. Send it again after `Retry-After` seconds, with the same `id`.",
}
_SOURCE: Final[dict[str, Any]] = {
    "name": "source", "in": "path", "required": True, "schema": {"type": "string"},
    "description": "Name of the source in the configuration.",
}  # fmt: skip
_CALL: Final = 'curl "$INGEST/v1/hooks/shelly{}secret=$SECRET&press=long"'
_SCHEMA_REF: Final = "#/components/schemas/Problem"


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented problem responses of a route."""
    content = {MEDIA_TYPE: {"schema": {"$ref": _SCHEMA_REF}}}
    return {status: {"description": _PROBLEMS[status], "content": content} for status in statuses}


def stuck() -> dict[int | str, dict[str, Any]]:
    """The other answer of `/healthz`."""
    return {503: {"model": Health, "description": "Only a restart helps."}}


def unready() -> dict[int | str, dict[str, Any]]:
    """The other answer of `/readyz`."""
    return {503: {"model": Readiness, "description": "Neither Kafka nor the journal can take anything."}}


def for_flic() -> dict[int | str, dict[str, Any]]:
    """The other success of a hook."""
    return {
        200: {"model": Accepted | NoReport, "description": "The same, to Flic, which asks for exactly this status."}
    }


_BUTTON_SCHEMES: Final[dict[str, dict[str, str]]] = {
    "secretInAddress": {
        "type": "apiKey", "in": "query", "name": "secret",
        "description": "Sources of type `http-button` and `flic`: the secret of the source or of the device.",
    },
}  # fmt: skip
_HOOK_SCHEMES: Final[dict[str, dict[str, str]]] = {
    "basic": {"type": "http", "scheme": "basic", "description": "Sources of type `form`: the key is the password."},
    "keyInAddress": {
        "type": "apiKey", "in": "query", "name": "key",
        "description": "Sources of type `form` with `key_in_url`, whose sender can set no header.",
    },
    "standardWebhooks": {
        "type": "apiKey", "in": "header", "name": "webhook-signature",
        "description": "Standard Webhooks: with `webhook-id` and `webhook-timestamp`, which the signature covers.",
    },
    "typeform": {
        "type": "apiKey", "in": "header", "name": "typeform-signature",
        "description": "Typeform's HMAC; other forms have the header that their source's `signature` names.",
    },
    "tally": {"type": "apiKey", "in": "header", "name": "tally-signature", "description": "Tally's HMAC."},
}  # fmt: skip


def _security(*more: str) -> list[dict[str, list[str]]]:
    return [{name: []} for name in ("key", *more)]


def incident() -> dict[str, Any]:
    """The operation `POST /v1/incidents`."""
    media = {"schema": {"$ref": "#/components/schemas/Report"}, "examples": EXAMPLES}
    header = {
        "name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string", "maxLength": 128},
        "description": "The same as `id` in the body.",
    }  # fmt: skip
    return {
        "requestBody": {"required": True, "content": {"application/json": media}},
        "parameters": [header],
        "security": _security(),
    }


def events() -> dict[str, Any]:
    """The operation `POST /v1/events`."""
    event = {
        "specversion": "1.0", "type": "rufkette.incident.acknowledged.v1", "source": "bus", "id": "a-17",
        "subject": "0b0c…", "time": "2026-01-05T09:14:00+01:00", "data": {"by": "A. Muster"},
    }  # fmt: skip
    one = {"value": event, "summary": "Somebody took an incident over"}
    report = {
        "value": {"site": "bernburg", "danger_level": 2},
        "summary": "A report; type, id and source as ce-… headers",
    }
    shape = {"type": "object"}
    content = {
        "application/cloudevents+json": {"schema": shape, "examples": {"follow-up": one}},
        "application/cloudevents-batch+json": {
            "schema": {"type": "array", "items": shape},
            "examples": {"batch": {"value": [event], "summary": "Several at once"}},
        },
        "application/json": {"schema": shape, "examples": {"binary": report}},
    }
    return {"requestBody": {"required": True, "content": content}, "security": _security()}


def hook() -> dict[str, Any]:
    """The operation `POST /v1/hooks/{source}`."""
    media: dict[str, Any] = {"schema": {"type": "object"}}
    what = {
        "name": "event", "in": "query", "required": False, "schema": {"type": "string"},
        "description": "ChirpStack names its kind of message here: `up`, `status`, `join` …",
    }  # fmt: skip
    examples = media | {"examples": HOOK_EXAMPLES}
    content = {"application/json": examples, "application/x-www-form-urlencoded": media, "multipart/form-data": media}
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [_SOURCE, what],
        "security": _security(*_HOOK_SCHEMES, *_BUTTON_SCHEMES),
    }


def call(*, of_device: bool = False) -> dict[str, Any]:
    """What a button that can only call an address calls: `/v1/hooks/{source}`, or with `/{device}` behind it."""
    device = {
        "name": "device", "in": "path" if of_device else "query", "required": of_device, "schema": {"type": "string"},
        "description": "The device's id as the register has it.",
    }  # fmt: skip
    press = {
        "name": "press", "in": "query", "required": False, "description": "What kind of press, if the button can tell.",
        "schema": {"type": "string", "enum": ["short", "long", "double"]},
    }  # fmt: skip
    mode = {
        "name": "mode", "in": "query", "required": False, "description": "`exercise` marks a test alarm.",
        "schema": {"type": "string", "enum": ["actual", "exercise"]},
    }  # fmt: skip
    return {
        "parameters": [_SOURCE, device, press, mode],
        "security": [{name: []} for name in _BUTTON_SCHEMES],
        "x-codeSamples": [{"lang": "Shell", "source": _CALL.format("/btn-7?" if of_device else "?device=btn-7&")}],
    }


def keyed() -> dict[str, Any]:
    """An operation that needs a key and nothing else."""
    return {"security": _security()}


def event() -> dict[str, Any]:
    """The operation `GET /v1/events/{event_id}`."""
    name = {"name": "event_id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {"parameters": [name], "security": _security()}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the schemas and the security scheme that the routes refer to."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name, model in (("Report", ReportBody), ("Problem", Problem)):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[name] = schema
    key = {"type": "http", "scheme": "bearer", "description": "The source's API key."}
    components["securitySchemes"] = {"key": key} | _HOOK_SCHEMES | _BUTTON_SCHEMES
    return document
