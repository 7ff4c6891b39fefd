import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas.configuration import Configuration
from schemas.events import Event, Reported
from services.ingest.sender import Sender, senders
from tests.support.organisation import WS101, organisation

NOW = datetime(2026, 1, 5, 8, 12, 34, tzinfo=UTC)
PAYLOADS = Path(__file__).parent.parent / "payloads"


def configuration(**source_changes: dict[str, Any]) -> Configuration:
    content = organisation()
    for name, changes in source_changes.items():
        content["sources"][name].update(changes)
    return Configuration.model_validate(content)


def sender(name: str, **changes: Any) -> Sender:
    return senders(configuration(**{name: changes}))[name]


def reported(event: object) -> Reported:
    assert isinstance(event, Event)
    assert isinstance(event.data, Reported)
    return event.data


def uplink(
    decoded: dict[str, Any] | None = None, payload: str | None = None, *, dev_eui: str = WS101, **changes: Any
) -> dict[str, Any]:
    """The Things Stack's envelope around one message; `changes` go into `uplink_message`."""
    body: dict[str, Any] = json.loads((PAYLOADS / "ttn_envelope.json").read_text())
    body["end_device_ids"]["dev_eui"] = dev_eui
    body["uplink_message"].update(changes)
    if decoded is not None:
        body["uplink_message"]["decoded_payload"] = decoded
    if payload is not None:
        body["uplink_message"]["frm_payload"] = base64.b64encode(bytes.fromhex(payload)).decode()
    return body
