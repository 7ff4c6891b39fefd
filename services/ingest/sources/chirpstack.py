"""ChirpStack v4 and v3: one address gets every event of every device, named in the query (`?event=up`)."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from schemas.events import event_id
from services.ingest.api import body as bodies
from services.ingest.api.problems import Refusal
from services.ingest.reports import Findings, storable
from services.ingest.sender import Sender
from services.ingest.sources import lorawan
from services.ingest.sources.devices import Said
from services.ingest.sources.json_object import json_object
from services.ingest.sources.lorawan import Device, mapping
from services.ingest.sources.shape import Emitter, Ignored, Made, Message

FROM_NETWORK: Final = {
    "ack": "acknowledged", "txack": "gatewayId", "log": "level", "error": "error", "location": "location",
    "integration": "integrationName",
}  # fmt: skip
"""Events of the network about a device, not from it, and a field by which each is known where the query is lost."""
FROM_DEVICE: Final = {"status": "margin", "join": "devAddr"}
"""Events that prove that the device is alive, apart from `up`."""
_UPLINK: Final = frozenset({"data", "object", "objectJSON", "fPort", "fCnt"})
_EUI = re.compile(r"[0-9a-fA-F]{16}")


def parse(message: Message, sender: Sender) -> list[Made]:
    """The events in an integration's request, or the named reason why there are none.

    Raises:
        Refusal: 400, 415 for what is no JSON; 422 as `understood`.
    """
    try:
        body, warnings = json_object(message, sender)
    except Refusal as refusal:
        if refusal.status == 415 and "octet-stream" in message.headers.get("content-type", ""):
            raise Refusal(
                415, "The body is Protobuf. Choose JSON as the payload encoding of the HTTP integration in ChirpStack."
            ) from None
        raise
    event = message.query.get("event", "")
    return understood(body, sender, event=event, received_at=message.received_at, warnings=warnings)


EMITTER: Final = Emitter(parse)


def understood(
    body: Mapping[str, Any],
    sender: Sender,
    *,
    received_at: datetime,
    event: str = "up",
    warnings: tuple[str, ...] = (),
) -> list[Made]:
    """What the object says. An event that is not known is taken for a message of the device.

    Raises:
        Refusal: 422 from a source that is not `kind: panic`, for a device that its register does not know.
    """
    device, event = _device(body, sender), _event(event, body)
    if event in FROM_NETWORK:
        return [Ignored(event)]
    if event in FROM_DEVICE:
        if device.known is None:
            return [Ignored(event)]
        external = f"{event}:{given}" if (given := _given_id(body)) else None
        battery = _battery(body) if event == "status" else None
        return [lorawan.alive(device, sender, event_id(sender.name, external), received_at, battery)]
    findings = Findings(warnings=list(warnings))
    frame = lorawan.Frame(
        device=device,
        said=_said(body),
        external_id=_external_id(body),
        at=lorawan.moment(body.get("time") or body.get("publishedAt"), "time", received_at, findings),
        findings=findings,
        upkeep=bool(body.get("rxInfo")) and not any(body.get(key) for key in ("data", "object", "objectJSON", "fPort")),
    )
    return lorawan.understood(frame, sender, received_at=received_at)


def _event(stated: str, body: Mapping[str, Any]) -> str:
    if stated in FROM_NETWORK or stated in FROM_DEVICE or stated == "up":
        return stated
    if not _UPLINK.isdisjoint(body) and "integrationName" not in body:
        return stated
    return next((event for event, field in (FROM_DEVICE | FROM_NETWORK).items() if field in body), stated)


def _device(body: Mapping[str, Any], sender: Sender) -> Device:
    about = mapping(body.get("deviceInfo"))
    if about or "devEUI" not in body:
        return lorawan.device((about.get("devEui"), about.get("deviceName")), sender, "/deviceInfo/devEui")
    return lorawan.device((_dev_eui(body["devEUI"]), body.get("deviceName")), sender, "/devEUI")


def _dev_eui(stated: object) -> object:
    """Version 3 writes the DevEUI as base64, or – by its oldest encoding – as hexadecimal digits."""
    if not isinstance(stated, str) or _EUI.fullmatch(stated):
        return stated
    try:
        raw = base64.b64decode(stated, validate=True)
    except (binascii.Error, ValueError):
        return stated
    return raw.hex() if len(raw) == 8 else stated


def _said(body: Mapping[str, Any]) -> Said:
    decoded = mapping(body.get("object"))
    text = body.get("objectJSON")
    if not decoded and isinstance(text, str) and text:
        try:
            decoded = bodies.parse(text.encode()).value
        except (Refusal, UnicodeEncodeError):
            decoded = {}  # the payload still tells
    return Said(decoded, lorawan.payload(body.get("data")), lorawan.integer(body.get("fPort")))


def _given_id(body: Mapping[str, Any]) -> str | None:
    given = body.get("deduplicationId")
    return storable(given[:200]) if isinstance(given, str) and given else None


def _external_id(body: Mapping[str, Any]) -> str | None:
    """Version 4 makes an id for each frame, however many gateways heard it.

    Version 3 does not, and its frame counter may start again: only with the time of publication is it unique.
    """
    published, dev_eui = body.get("publishedAt"), body.get("devEUI")
    if given := _given_id(body):
        return given
    if isinstance(published, str) and published and isinstance(dev_eui, str) and dev_eui:
        return storable(f"{dev_eui[:64]}:{lorawan.integer(body.get('fCnt')) or 0}:{published[:64]}"[:200])
    return None


def _battery(body: Mapping[str, Any]) -> float | None:
    if body.get("externalPowerSource") is True or body.get("batteryLevelUnavailable") is True:
        return None
    return lorawan.per_cent(body.get("batteryLevel"))
