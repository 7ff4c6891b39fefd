"""What all network servers of LoRaWAN devices share: a device's frame in, a press, a sign of life or a reason out."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from schemas.configuration_sources import FlicSource, LorawanSource, MqttSource, Press
from schemas.events import Event, Heartbeat, Kind, Mode, PoliceWish, Reported, event_id
from schemas.report_warnings import warning
from services.ingest.api.problems import Fault, Refusal, quoted
from services.ingest.report_body import Time
from services.ingest.reports import Findings, plausible, storable
from services.ingest.sender import Registered, Sender
from services.ingest.sources.devices import Meaning, Said, scaled, understand
from services.ingest.sources.shape import Ignored, Made

LONGEST_PAYLOAD: Final = 255
"""Bytes in a LoRaWAN frame; what is longer was sent by no device."""
EMPTY_FRAME: Final = Meaning(other="empty frame")
"""A frame without port and payload is LoRaWAN's own upkeep: no button can have sent it."""
_TIME: Final[TypeAdapter[Any]] = TypeAdapter(Time)


@dataclass(frozen=True, slots=True)
class Device:
    """Who sent it: the ids that the message gives, and the register's entry for one of them.

    `pointer` is where the id stands in the sender's message, as a JSON pointer.
    """

    stated: tuple[str, ...]
    known: Registered | None
    pointer: str

    @property
    def id(self) -> str | None:
        """As the register spells it, else as the message does."""
        return self.known.device_id if self.known else next(iter(self.stated), None)


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a device, whatever the network server.

    `external_id` must be unique across reboots of the device; None if the network says nothing of the kind. `upkeep`:
    nothing but LoRaWAN's own. `battery`: what the network knows of it, from 0 to 1.
    """

    device: Device
    said: Said
    external_id: str | None
    at: datetime | None
    findings: Findings = field(default_factory=Findings)
    upkeep: bool = False
    simulated: bool = False
    battery: float | None = None


def device(ids: tuple[object, ...], sender: Sender, pointer: str) -> Device:
    """The device that the ids name, the likeliest id first."""
    stated = tuple(text for text in map(plain, ids) if text)
    known = next((found for text in stated if (found := sender.device(text))), None)
    return Device(stated, known, pointer)


def plain(value: object) -> str | None:
    """Foreign text as one storable line, if it is one."""
    return (" ".join(storable(value[:200]).split()) or None) if isinstance(value, str) else None


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def integer(value: object) -> int | None:
    """The value if it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def payload(base64_text: object) -> str:
    """The payload in lower-case hexadecimal; empty if there is none that can be read."""
    if not isinstance(base64_text, str):
        return ""
    try:
        raw = base64.b64decode(base64_text, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return raw.hex() if len(raw) <= LONGEST_PAYLOAD else ""


def moment(stated: object, name: str, now: datetime, findings: Findings) -> datetime | None:
    """When the network received the frame, if it says so and it can be true."""
    try:
        at: datetime | None = _TIME.validate_python(stated)
    except ValidationError:
        findings.warn(warning("no_time", field=name))
        return None
    return plausible(at, now, Kind.PANIC, findings)


def understood(frame: Frame, sender: Sender, *, received_at: datetime) -> list[Made]:
    """What a frame says: a press and what it tells of the battery, or a sign of life, or a reason why neither.

    Raises:
        Refusal: 422 from a source that is not `kind: panic`, for a device that its register does not know.
    """
    source = sender.source
    assert isinstance(source, LorawanSource)
    known = frame.device.known
    meaning, charge = understand(
        known.device.model if known else None,
        frame.said,
        buttons=known.device.buttons if known else frozenset(),
        patterns=source.patterns.get(known.device_id) if known else None,
    )
    charge = frame.battery if charge is None else charge
    return said(frame, EMPTY_FRAME if frame.upkeep else meaning, charge, sender, received_at=received_at)


def said(frame: Frame, meaning: Meaning, charge: float | None, sender: Sender, *, received_at: datetime) -> list[Made]:
    """The events of a message that is understood, as far as it can be.

    Raises:
        Refusal: 422 from a source that is not `kind: panic`, for a device that its register does not know.
    """
    source, known = sender.source, frame.device.known
    assert isinstance(source, LorawanSource | MqttSource | FlicSource)
    identity = event_id(sender.name, frame.external_id)
    if meaning.other is not None:
        if frame.simulated:
            return [Ignored("simulated")]  # the console sent it, which proves nothing about the device
        return [alive(frame.device, sender, identity, received_at, charge, otherwise=meaning.other)]
    if known is None:
        _doubt(frame, sender)
    if meaning.press is None:
        if not sender.lenient:
            return [Ignored("not decoded")]
        frame.findings.warn(warning("not_decoded"))
    data = _reported(source.kind, frame, _means(source, meaning))
    made: list[Made] = [Event(id=identity, source=sender.name, time=received_at, data=data)]
    if charge is not None and known is not None and not frame.simulated:
        made.append(alive(frame.device, sender, event_id(sender.name, f"battery:{identity}"), received_at, charge))
    return made


def alive(
    device: Device, sender: Sender, identity: str, now: datetime, battery: float | None = None, *, otherwise: str = ""
) -> Made:
    """A sign of life; `otherwise` is the reason if nobody can say of which device."""
    if device.id is None:
        return Ignored(otherwise)
    site = device.known.device.site if device.known else None
    return Event(
        id=identity,
        source=sender.name,
        time=now,
        data=Heartbeat(device_id=device.id, battery=battery, site=site),
    )


def per_cent(value: object) -> float | None:
    """A battery in per cent as a charge from 0 to 1."""
    return scaled(float(value), 0, 100) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _means(source: LorawanSource | MqttSource | FlicSource, meaning: Meaning) -> Press:
    return source.presses.get(meaning.press, Press()) if meaning.press and meaning.press != "any" else Press()


def _reported(kind: Kind, frame: Frame, press: Press) -> Reported:
    place = frame.device.known.device if frame.device.known else None
    return Reported(
        kind=kind,
        site=place.site if place else None,
        location=place.location if place else None,
        device_id=frame.device.id,
        danger_level=press.danger_level,
        category=press.category,
        police=press.police or PoliceWish.NONE,
        mode=Mode.EXERCISE if frame.simulated else Mode.ACTUAL,
        occurred_at=frame.at,
        warnings=frame.findings.spoken(),
    )


def _doubt(frame: Frame, sender: Sender) -> None:
    """A device that the register does not know: a press all the same, but nobody can say where."""
    pointer = frame.device.pointer
    if not sender.lenient:
        fault = Fault(pointer, "is not in the register of this source", "a device of the source")
        raise Refusal(422, "The device is not in the register of this source.", errors=[fault])
    stated = next(iter(frame.device.stated), None)
    if stated is None:
        frame.findings.warn(warning("no_device_field", field=pointer[1:].replace("/", ".")))
    else:
        frame.findings.warn(warning("unknown_device_placeless", value=quoted(stated)))
