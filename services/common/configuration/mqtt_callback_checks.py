"""What the configuration can get wrong about answers over MQTT: topics that lead elsewhere, or back to ourselves."""

import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from schemas.configuration import Configuration
from schemas.configuration_callbacks import MqttCallback
from schemas.configuration_sources import MqttSource, Source, normalise_device_id
from schemas.mqtt_topics import fill, matches, placeholders, wrong_in_payload, wrong_in_topic
from services.common.configuration.yaml_places import Document, Path_

_HERE: Final = ("127.0.0.1", "::1", "localhost")
_TOGGLES: Final = re.compile(r"toggle", re.IGNORECASE)


def broker_of(configuration: Configuration, source: Source, callback: MqttCallback) -> MqttSource | None:
    """The source of type `mqtt` whose broker is used; None where it has an address of its own, or is none."""
    if callback.url is not None:
        return None
    found = source if callback.broker is None else configuration.sources.get(callback.broker)
    return found if isinstance(found, MqttSource) else None


def values_of(source: Source, callback: MqttCallback) -> dict[str, dict[str, str]]:
    """What `{device}` and `{site}` stand for, by the id of each device that is told, as the register spells it."""
    named = {normalise_device_id(device_id): name for device_id, name in callback.ids.items()}
    register = source.register
    return {
        device_id: {"device": named.get(plain, device_id), "site": register[plain].site}
        for plain, device_id in source.answered.items()
    }


def check_mqtt(configuration: Configuration, document: Document, path: Path_, source: Source) -> None:
    """Note what is wrong with the answers of a source over MQTT; `path` leads to its callback."""
    callback = source.callback.mqtt if source.callback is not None else None
    if callback is None:
        return
    path = (*path, "mqtt")
    for device_id in callback.ids:
        if normalise_device_id(device_id) not in source.answered:
            wrong = f"`{device_id}` is no device that is told anything"
            document.mistake((*path, "ids", device_id), wrong, "an id of a device that `models` or `devices` enables")
    shared = broker_of(configuration, source, callback)
    url = callback.url or (shared.url if shared is not None else None)
    if url is None:
        _say_no_broker(document, path, source, callback)
    else:
        _check_loops(configuration, document, path, source, callback, url)
        if callback.url is not None and urlsplit(url).scheme == "mqtt" and urlsplit(url).hostname not in _HERE:
            noticed = "this way is not encrypted: who listens learns that there is an alarm"
            document.hint((*path, "url"), noticed, "mqtts://…")
    _check_values(document, path, source, callback)
    _check_payloads(document, path, callback)


def _say_no_broker(document: Document, path: Path_, source: Source, callback: MqttCallback) -> None:
    if callback.broker is not None:
        wrong = f"there is no source `{callback.broker}` of type mqtt"
        document.mistake((*path, "broker"), wrong, "the name of one, or `url` with an address")
    else:
        wrong = f"a source of type {source.type} has no broker"
        document.mistake(path, wrong, "`broker` with the name of a source of type mqtt, or `url` with an address")


def _check_values(document: Document, path: Path_, source: Source, callback: MqttCallback) -> None:
    """No id of a device and no site's key may lead out of the topic, or of the text, that it stands in."""
    known = values_of(source, callback)
    for told, message in callback.messages.items():
        for part, template, judge in (
            ("topic", message.topic, wrong_in_topic),
            ("payload", message.payload, wrong_in_payload),
        ):
            for device_id, values in known.items():
                for name in sorted(placeholders(template) & values.keys()):
                    if wrong := judge(values[name]):
                        stands = f"`{values[name]}` stands for {{{name}}} of `{device_id}`, and {wrong}"
                        document.mistake(
                            (*path, "messages", told, part), stands, "a name without, for example in `ids`"
                        )


def _check_loops(
    configuration: Configuration, document: Document, path: Path_, source: Source, callback: MqttCallback, url: str
) -> None:
    """What we publish must not come back to us as a press."""
    known = values_of(source, callback).values()
    for told, message in callback.messages.items():
        topics = {fill(message.topic, values) for values in known}
        for name, topic_filter, listener in _listening(configuration):
            heard = next((topic for topic in sorted(topics) if matches(topic_filter, topic) is not None), None)
            if heard is None or urlsplit(listener).hostname != urlsplit(url).hostname:
                continue
            # A broker listens on several ports: encrypted and not, or two brokers share a machine.
            note = document.mistake if _port(listener) == _port(url) else document.hint
            wrong = f"source `{name}` listens to `{topic_filter}`, so that it would hear the answer `{heard}`"
            expected = "a topic that no source listens to, or a narrower filter there"
            note((*path, "messages", told, "topic"), wrong, expected)


def _listening(configuration: Configuration) -> Iterator[tuple[str, str, str]]:
    """Each source of type `mqtt` with each filter, and the address of its broker."""
    for name, source in configuration.sources.items():
        if isinstance(source, MqttSource):
            for topic in source.topics:
                yield name, topic.filter, source.url


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (8883 if parts.scheme == "mqtts" else 1883)


def _check_payloads(document: Document, path: Path_, callback: MqttCallback) -> None:
    for told, message in callback.messages.items():
        where: Path_ = (*path, "messages", told, "payload")
        if _TOGGLES.search(message.payload):
            document.hint(
                where, "an answer may come twice, and twice toggled is back again", "what sets it, such as ON"
            )
        if message.payload.lstrip().startswith("{") and not _is_json(message.payload):
            document.hint(where, "this begins like JSON and is none", "JSON, or text that does not begin with {")


def _is_json(text: str) -> bool:
    try:
        json.loads(fill(text, dict.fromkeys(placeholders(text), "0")))
    except ValueError:
        return False
    return True
