"""Messages of an MQTT broker: which device, and what they mean by a preset or by the configuration's patterns.

Presets follow the senders' documentation: Shelly Gen2 (`events/rpc`, NotifyEvent), zigbee2mqtt (`action`), Tasmota
(`Button1.Action`, and `BUTTON1 = {"ACTION": …}` before version 9).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from schemas.configuration_mqtt import MqttTopic, Preset
from schemas.configuration_sources import MqttSource
from schemas.mqtt_topics import matches
from services.ingest.api import body
from services.ingest.api.problems import Refusal
from services.ingest.sender import Sender
from services.ingest.sources.devices import Meaning, Said, number, scaled, understand
from services.ingest.sources.lorawan import Frame, device, said
from services.ingest.sources.shape import Emitter, Ignored, Made, Message

_LONGEST_TEXT: Final = 1000
_BUTTON: Final = re.compile(r"button\d*", re.IGNORECASE)
_SHORT: Final = frozenset(
    {"single", "short", "press", "pressed", "push", "click", "on", "off", "toggle", "single_push"}
)
"""`off` is a press, too: of the second button of a remote control."""
_LONG: Final = frozenset({"hold", "long", "long_push"})
_DOUBLE: Final = frozenset({"double", "double_push"})
_ANY: Final = frozenset(
    {"triple", "quadruple", "quintuple", "quad", "penta", "many", "triple_push", "emergency", "panic", "sos", "alarm"}
)
_NO_PRESS: Final = frozenset({"release", "hold_release", "long_release", "clear", "btn_down", "btn_up"})
_OFFLINE: Final = "offline"


def _decoded(payload: bytes) -> Mapping[str, Any]:
    """The object in a payload; of anything else `{"payload": …}`."""
    try:
        value = body.parse_any(payload)[0]
    except Refusal:
        value = payload.decode("utf-8", errors="replace")[:_LONGEST_TEXT]
    return value if isinstance(value, dict) else {"payload": value}


def _parse(message: Message, sender: Sender) -> Sequence[Made]:
    """What a message says; `rest` is its topic.

    Raises:
        Refusal: 422 from a source that is not `kind: panic`, for a device that its register does not know.
    """
    source = sender.source
    assert isinstance(source, MqttSource)
    found = next(((t, name) for t in source.topics if (name := matches(t.filter, message.rest)) is not None), None)
    if found is None:
        return [Ignored("topic not configured")]
    topic, wildcard = found
    decoded = _decoded(message.body)
    meaning, charge = _understood(topic, decoded, message)
    if meaning.other == _OFFLINE:
        return [Ignored(_OFFLINE)]
    who = device((topic.device or wildcard,), sender, "/topic")
    if who.known is None and meaning.press is None:
        # A broker carries lamps and thermometers, too: of what the register does not know only a clear press counts.
        return [Ignored("unknown device")]
    frame = Frame(who, Said(decoded, message.body[:255].hex()), None, None)
    return said(frame, meaning, charge, sender, received_at=message.received_at)


def _understood(topic: MqttTopic, decoded: Mapping[str, Any], message: Message) -> tuple[Meaning, float | None]:
    if topic.preset is None:
        return understand(None, Said(decoded, message.body[:255].hex()), patterns=topic)
    return _PRESETS[topic.preset](decoded, message.rest)


def _action(value: object) -> Meaning:
    """One word for what was done; zigbee2mqtt and Shelly put the button's name before or behind it."""
    word = str(value).strip().casefold() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if word in ("", "none", "null"):
        return Meaning(other="no action")
    parts = {word, *word.split("_"), *word.rsplit("_", 2)}
    for words, meaning in (
        (_NO_PRESS, Meaning(other="no press")),
        (_LONG, Meaning(press="long")),
        (_DOUBLE, Meaning(press="double")),
        (_ANY, Meaning(press="any")),
        (_SHORT, Meaning(press="short")),
    ):
        if not words.isdisjoint(parts):
            return meaning
    return Meaning()


def _first(meanings: Sequence[Meaning]) -> Meaning:
    """A press before what is not understood, before what is no press."""
    by_weight = sorted(meanings, key=lambda m: 0 if m.press else 1 if m.other is None else 2)
    return by_weight[0] if by_weight else Meaning(other="status")


def _per_cent(value: object) -> float | None:
    return scaled(number(value), 0, 100)


def _zigbee(decoded: Mapping[str, Any], topic: str) -> tuple[Meaning, float | None]:
    if topic.endswith("/availability"):
        state = decoded.get("state", decoded.get("payload"))
        return Meaning(other=_OFFLINE if state == _OFFLINE else "status"), None
    charge = _per_cent(decoded.get("battery"))
    return (_action(decoded["action"]) if "action" in decoded else Meaning(other="status")), charge


def _tasmota(decoded: Mapping[str, Any], topic: str) -> tuple[Meaning, float | None]:
    last = topic.rpartition("/")[2]
    if last == "LWT":
        return Meaning(other=_OFFLINE if decoded.get("payload") == "Offline" else "status"), None
    if _BUTTON.fullmatch(last) and "ACTION" in decoded:
        return _action(decoded["ACTION"]), None
    buttons = [value for name, value in decoded.items() if _BUTTON.fullmatch(name)]
    actions = [value.get("Action", value.get("ACTION")) if isinstance(value, dict) else value for value in buttons]
    return _first([_action(action) for action in actions]), None


def _shelly(decoded: Mapping[str, Any], topic: str) -> tuple[Meaning, float | None]:
    if topic.endswith("/online"):
        return Meaning(other=_OFFLINE if decoded.get("payload") is False else "status"), None
    given = decoded.get("params")
    params: Mapping[str, Any] = given if isinstance(given, dict) else {}
    power = params.get("devicepower:0")
    battery = power.get("battery") if isinstance(power, dict) else None
    charge = _per_cent(battery.get("percent")) if isinstance(battery, dict) else None
    if decoded.get("method") != "NotifyEvent":
        return Meaning(other="status"), charge
    events = params.get("events")
    listed = [one for one in events if isinstance(one, dict)] if isinstance(events, list) else []
    return _first([_action(one.get("event")) for one in listed if _is_input(one.get("component"))]), charge


def _is_input(component: object) -> bool:
    return not isinstance(component, str) or component.partition(":")[0] in ("input", "button", "bthomedevice")


_PRESETS: Final[dict[Preset, Callable[[Mapping[str, Any], str], tuple[Meaning, float | None]]]] = {
    "zigbee2mqtt": _zigbee,
    "tasmota": _tasmota,
    "shelly-gen2": _shelly,
}

EMITTER: Final = Emitter(_parse, methods=frozenset())
