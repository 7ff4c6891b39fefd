"""The Things Stack v3: one webhook address gets every message of every device; only some are presses."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from schemas.configuration_sources import Press, TtnSource
from schemas.events import Event, Heartbeat, Kind, Mode, PoliceWish, Reported, event_id
from services.ingest.problems import Fault, Refusal, quoted
from services.ingest.report_body import Time
from services.ingest.reports import Findings, plausible, storable
from services.ingest.sender import Registered, Sender
from services.ingest.sources.devices import Meaning, understand
from services.ingest.sources.json_object import json_object
from services.ingest.sources.shape import Emitter, Ignored, Made, Message

NO_UPLINK: Final = (
    "join_accept", "downlink_ack", "downlink_nack", "downlink_sent", "downlink_failed", "downlink_queued",
    "downlink_queue_invalidated", "location_solved", "service_data",
)  # fmt: skip
"""Messages of the network about a device, not from it."""
_TIME: Final[TypeAdapter[Any]] = TypeAdapter(Time)


@dataclass(frozen=True, slots=True)
class _Device:
    stated: str | None
    known: Registered | None

    @property
    def id(self) -> str | None:
        return self.known.device_id if self.known else self.stated


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return (" ".join(storable(value[:200]).split()) or None) if isinstance(value, str) else None


def _device(body: Mapping[str, Any], sender: Sender) -> _Device:
    ids = _object(body.get("end_device_ids"))
    stated = [text for text in (_text(ids.get("dev_eui")), _text(ids.get("device_id"))) if text]
    known = next((found for text in stated if (found := sender.device(text))), None)
    return _Device(stated[0] if stated else None, known)


def _external_id(body: Mapping[str, Any], uplink: Mapping[str, Any]) -> str | None:
    """Unique across reboots: the frame counter starts again only with a new session key.

    The Things Stack leaves out what is zero, so the first frame has no counter at all.
    """
    dev_eui = _object(body.get("end_device_ids")).get("dev_eui")
    session = uplink.get("session_key_id")
    count = uplink.get("f_cnt", 0)
    if not (isinstance(dev_eui, str) and dev_eui and isinstance(session, str) and session):
        return None
    if isinstance(count, bool) or not isinstance(count, int):
        return None
    return storable(f"{dev_eui.upper()}:{session}:{count}")


def _payload(uplink: Mapping[str, Any]) -> str:
    raw = uplink.get("frm_payload")
    if not isinstance(raw, str):
        return ""
    try:
        return base64.b64decode(raw, validate=True).hex()
    except (binascii.Error, ValueError):
        return ""


def _is_empty_frame(uplink: Mapping[str, Any]) -> bool:
    """A frame without port and payload is LoRaWAN's own upkeep: no button can have sent it."""
    said = uplink.get("frm_payload") or uplink.get("decoded_payload") or uplink.get("f_port")
    return bool(uplink.get("rx_metadata")) and not said


def _received_at(
    body: Mapping[str, Any], uplink: Mapping[str, Any], now: datetime, findings: Findings
) -> datetime | None:
    stated = uplink.get("received_at") or body.get("received_at")
    try:
        at: datetime | None = _TIME.validate_python(stated)
    except ValidationError:
        findings.warn("received_at is no RFC 3339 time with offset; left out")
        return None
    return plausible(at, now, Kind.PANIC, findings)


def _press(source: TtnSource, meaning: Meaning) -> Press:
    return source.presses.get(meaning.press, Press()) if meaning.press and meaning.press != "any" else Press()


def parse(message: Message, sender: Sender) -> list[Made]:
    """The event in a webhook's body, or the named reason why there is none.

    Raises:
        Refusal: 400, 415 for what is no JSON; 422 as `understood`.
    """
    body, warnings = json_object(message, sender)
    return [understood(body, sender, received_at=message.received_at, warnings=warnings)]


EMITTER: Final = Emitter(parse)


def understood(
    body: Mapping[str, Any], sender: Sender, *, received_at: datetime, warnings: tuple[str, ...] = ()
) -> Made:
    """What the object says.

    Raises:
        Refusal: 422 from a source that is not `kind: panic`, for a device that its register does not know.
    """
    source = sender.source
    assert isinstance(source, TtnSource)
    findings = Findings(warnings=list(warnings))
    uplink = _object(body.get("uplink_message")) or _object(body.get("uplink_normalized"))
    if not uplink and "uplink_message" not in body:
        about = next((name for name in NO_UPLINK if name in body), None)
        if about is not None:
            return Ignored(about)
    device = _device(body, sender)
    decoded, payload = _object(uplink.get("decoded_payload")), _payload(uplink)
    meaning, battery = understand(device.known.device.model if device.known else None, decoded, payload)
    if _is_empty_frame(uplink):
        meaning = Meaning(other="empty frame")
    identity = event_id(sender.name, _external_id(body, uplink))
    if meaning.other is not None:
        if body.get("simulated") is True:
            return Ignored("simulated")  # the console sent it, which proves nothing about the device
        return _sign_of_life(meaning, battery, device, identity, sender, received_at)
    if device.known is None:
        _doubt(device, sender, findings)
    if meaning.press is None:
        if not sender.lenient:
            return Ignored("not decoded")
        findings.warn("not decoded: what the device sent is not known to be a press, nor to be anything else")
    press = _press(source, meaning)
    data = _reported(source.kind, device, press, body, _received_at(body, uplink, received_at, findings), findings)
    return Event(id=identity, source=sender.name, time=received_at, data=data)


def _reported(
    kind: Kind, device: _Device, press: Press, body: Mapping[str, Any], at: datetime | None, findings: Findings
) -> Reported:
    place = device.known.device if device.known else None
    return Reported(
        kind=kind,
        site=place.site if place else None,
        location=place.location if place else None,
        device_id=device.id,
        danger_level=press.danger_level,
        category=press.category,
        police=press.police or PoliceWish.NONE,
        mode=Mode.EXERCISE if body.get("simulated") is True else Mode.ACTUAL,
        occurred_at=at,
        warnings=findings.spoken(),
    )


def _doubt(device: _Device, sender: Sender, findings: Findings) -> None:
    """A device that the register does not know: a press all the same, but nobody can say where."""
    if not sender.lenient:
        raise Refusal(
            422,
            "The device is not in the register of this source.",
            errors=[
                Fault("/end_device_ids/dev_eui", "is not in the register of this source", "a device of the source")
            ],
        )
    if device.stated is None:
        findings.warn("end_device_ids.dev_eui is missing, so the place is unknown")
    else:
        findings.warn(f"device_id {quoted(device.stated)} is not in the register of this source; its place is unknown")


def _sign_of_life(
    meaning: Meaning, battery: float | None, device: _Device, identity: str, sender: Sender, now: datetime
) -> Event | Ignored:
    if device.id is None:
        return Ignored(meaning.other or "status")
    site = device.known.device.site if device.known else None
    data = Heartbeat(device_id=device.id, battery=battery, site=site)
    return Event(id=identity, source=sender.name, time=now, data=data)
