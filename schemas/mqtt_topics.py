"""Topics of MQTT: which filter hears them, and how they are made of a template without ever leading elsewhere.

In a template `{device}` stands for a button, or what belongs to it, and `{site}` for the key of its site. Other braces
stand for themselves, so that JSON can be written as it is.
"""

import re
from collections.abc import Mapping
from typing import Final

IN_TOPICS: Final = ("device", "site")
IN_PAYLOADS: Final = (*IN_TOPICS, "status", "mode", "incident_id", "event_id", "at")
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_ALMOST: Final = re.compile(r"\{\s*([A-Za-z_][\w -]*)\s*\}")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_OF_TOPICS: Final = re.compile(r"[+#/]")
_OF_TEXTS: Final = re.compile(r'["\\]')


def matches(topic_filter: str, topic: str) -> str | None:
    """What the filter's first wildcard stands for in the topic; the topic itself where it has none; None: no match."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    found: str | None = None
    for place, level in enumerate(wanted):
        if level == "#":
            return found if found is not None else "/".join(levels[place:])
        if place >= len(levels) or level not in ("+", levels[place]):
            return None
        if level == "+" and found is None:
            found = levels[place]
    return None if len(levels) != len(wanted) else found if found is not None else topic


def placeholders(template: str) -> set[str]:
    """The names that stand in braces."""
    return set(_PLACEHOLDER.findall(template))


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced, once: what stands in a value is text."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]] if found[1] in values else found[0], template)


def topic_template(value: str) -> str:
    """A template that can only become a topic.

    Raises:
        ValueError: it is none, saying what to write.
    """
    if "+" in value or "#" in value:
        raise ValueError("holds a wildcard; write one topic, for example zigbee2mqtt/{device}/set")
    if _CONTROLS.search(value) or not value.strip() or len(value) > 500:
        raise ValueError("is no topic; write for example zigbee2mqtt/{device}/set")
    if value.startswith("$"):
        raise ValueError("begins with $, which is the broker's own; write for example zigbee2mqtt/{device}/set")
    return _with_known_names(value, IN_TOPICS)


def payload_template(value: object) -> str:
    """A template of a message.

    Raises:
        ValueError: it is none, saying what to write.
    """
    if not isinstance(value, str):
        # pydantic makes mistakes of the configuration of ValueErrors only; YAML reads a bare ON as a truth value.
        raise ValueError("is no text to YAML; write it in quotes, for example 'ON'")  # noqa: TRY004
    if not value.strip() or len(value) > 2000:
        raise ValueError('must have 1 to 2000 characters; write for example \'{"state": "ON"}\'')
    return _with_known_names(value, IN_PAYLOADS)


def _with_known_names(template: str, known: tuple[str, ...]) -> str:
    for found in _ALMOST.finditer(template):
        if found[0] not in {f"{{{name}}}" for name in known}:
            raise ValueError(
                f"holds {found[0]}, which stands for nothing; write {', '.join(f'{{{n}}}' for n in known)}"
            )
    return template


def wrong_in_topic(value: str) -> str | None:
    """Why a value must not stand in a topic: it could lead to another one."""
    if _OF_TOPICS.search(value):
        return "holds +, # or /, so that it would lead to other topics"
    if not value.strip() or value.startswith("$") or _CONTROLS.search(value):
        return "cannot stand in a topic"
    return None


def wrong_in_payload(value: str) -> str | None:
    """Why a value must not stand in a payload: it could end the text that it stands in."""
    if _OF_TEXTS.search(value) or _CONTROLS.search(value):
        return 'holds ", \\ or a control character, so that it would change the message'
    return None
