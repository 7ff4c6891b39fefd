"""The Things Stack v3: one webhook address gets every message of every device; only some are presses."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from schemas.events import event_id
from services.ingest.reports import Findings, storable
from services.ingest.sender import Sender
from services.ingest.sources import lorawan
from services.ingest.sources.devices import Said
from services.ingest.sources.json_object import json_object
from services.ingest.sources.lorawan import mapping
from services.ingest.sources.shape import Emitter, Ignored, Made, Message

JOIN: Final = "join_accept"
NO_UPLINK: Final = (
    "downlink_ack", "downlink_nack", "downlink_sent", "downlink_failed", "downlink_queued",
    "downlink_queue_invalidated", "location_solved", "service_data",
)  # fmt: skip
"""Messages of the network about a device, not from it."""
_AT_ONCE: Final = 600
"""Seconds within which the same frame counter of the same session is the same frame."""


def parse(message: Message, sender: Sender) -> list[Made]:
    """The events in a webhook's body, or the named reason why there are none.

    Raises:
        Refusal: 400, 415 for what is no JSON; 422 as `understood`.
    """
    body, warnings = json_object(message, sender)
    return understood(body, sender, received_at=message.received_at, warnings=warnings)


EMITTER: Final = Emitter(parse)


def understood(
    body: Mapping[str, Any], sender: Sender, *, received_at: datetime, warnings: tuple[str, ...] = ()
) -> list[Made]:
    """What the object says.

    Raises:
        Refusal: 422 from a source that is not `kind: panic`, for a device that its register does not know.
    """
    uplink = mapping(body.get("uplink_message")) or mapping(body.get("uplink_normalized"))
    ids = mapping(body.get("end_device_ids"))
    device = lorawan.device((ids.get("dev_eui"), ids.get("device_id")), sender, "/end_device_ids/dev_eui")
    if not uplink and "uplink_message" not in body:
        if JOIN in body and device.known is not None and body.get("simulated") is not True:
            session = mapping(body[JOIN]).get("session_key_id")
            external = f"{device.id}:{session}:join" if isinstance(session, str) and session else None
            return [lorawan.alive(device, sender, event_id(sender.name, external), received_at)]
        about = next((name for name in (JOIN, *NO_UPLINK) if name in body), None)
        if about is not None:
            return [Ignored(about)]
    findings = Findings(warnings=list(warnings))
    at = lorawan.moment(
        uplink.get("received_at") or body.get("received_at"), "received_at", received_at, findings
    )  # fmt: skip
    frame = lorawan.Frame(
        device=device,
        said=_said(uplink),
        external_id=_external_id(ids.get("dev_eui"), uplink, at),
        at=at,
        findings=findings,
        upkeep=_is_upkeep(uplink),
        simulated=body.get("simulated") is True,
        battery=lorawan.per_cent(mapping(uplink.get("last_battery_percentage")).get("value")),
    )
    return lorawan.understood(frame, sender, received_at=received_at)


def _said(uplink: Mapping[str, Any]) -> Said:
    port = lorawan.integer(uplink.get("f_port"))
    return Said(mapping(uplink.get("decoded_payload")), lorawan.payload(uplink.get("frm_payload")), port)


def _external_id(dev_eui: object, uplink: Mapping[str, Any], at: datetime | None) -> str | None:
    """Unique across reboots: the frame counter starts again with a new session key.

    A device without joins (ABP) may keep its session and start its counter again, so the time is part of it, too;
    coarsely, because copies of a frame may differ in it. The Things Stack leaves out what is zero, so the first frame
    has no counter at all.
    """
    session = uplink.get("session_key_id")
    count = lorawan.integer(uplink.get("f_cnt", 0))
    if not (isinstance(dev_eui, str) and dev_eui and isinstance(session, str) and session) or count is None:
        return None
    about_then = "" if at is None else f":{int(at.timestamp()) // _AT_ONCE}"
    return storable(f"{dev_eui.upper()}:{session}:{count}{about_then}")


def _is_upkeep(uplink: Mapping[str, Any]) -> bool:
    said = uplink.get("frm_payload") or uplink.get("decoded_payload") or uplink.get("f_port")
    return bool(uplink.get("rx_metadata")) and not said
