"""Answers to buttons in the configuration: what may be written, and what is said about the rest."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.common.configuration_file import ConfigurationError, examine
from tests.support.organisation import WS101, organisation

HTTP = {"url": "https://buttons.example.org/answer", "secret_file": "answer.secret"}
TTN = {
    "url": "https://eu1.example.org", "application": "jobcenter", "webhook": "rufkette", "key_file": "ttn.key",
    "f_port": 85, "payloads": {"acknowledged": "01"},
}  # fmt: skip
CHIRPSTACK = {"url": "https://lora.example.org", "token_file": "t", "f_port": 1, "payloads": {"acknowledged": "01"}}
BUTTON = {"on": ["acknowledged"], "devices": ["BTN_112"], "http": HTTP}
LORAWAN = {"on": ["acknowledged"], "models": ["milesight-ws101"], "ttn": TTN}


def examined(tmp_path: Path, source: str, callback: Any) -> tuple[list[str], list[str]]:
    content = organisation()
    content["sources"][source]["callback"] = callback
    file = tmp_path / "organisation.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False).replace("'on':", "on:"))
    try:
        _, hints = examine(file)
    except ConfigurationError as error:
        return [str(mistake) for mistake in error.mistakes], []
    return [], [str(hint) for hint in hints if "callback" in hint.path]


@pytest.mark.parametrize(("source", "callback"), [("buttons", BUTTON), ("lorawan", LORAWAN), ("lorawan", None)])
def test_as_it_is_documented(tmp_path: Path, source: str, callback: Any) -> None:
    assert examined(tmp_path, source, callback) == ([], [])


@pytest.mark.parametrize(
    ("source", "callback", "where", "wrong"),
    [
        ("buttons", BUTTON | {"ttn": TTN}, "callback", "has http and ttn"),
        ("buttons", {"on": ["closed"], "devices": ["btn-112"]}, "callback", "does not say how"),
        ("buttons", {"on": ["closed"], "http": HTTP}, "callback", "names no device"),
        ("buttons", BUTTON | {"on": []}, "callback.on", "is empty"),
        ("buttons", BUTTON | {"on": ["opened"]}, "callback.on", "`opened` is not known"),
        ("buttons", BUTTON | {"devices": ["btn-9"]}, "callback.devices[0]", "no device `btn-9`"),
        ("buttons", BUTTON | {"mqtt": {}}, "callback.mqtt", "unknown key"),
        ("buttons", BUTTON | {"http": HTTP | {"url": "ftp://x"}}, "callback.http.url", "no address"),
        ("buttons", BUTTON | {"http": HTTP | {"url": "https://u:p@x/"}}, "callback.http.url", "holds a user"),
        ("buttons", {**LORAWAN, "models": [], "devices": ["btn-112"]}, "callback.ttn", "source of type native"),
        ("lorawan", LORAWAN | {"models": ["milesight-ws9"]}, "callback.models[0]", "no device model"),
        ("lorawan", LORAWAN | {"on": ["acknowledged", "closed"]}, "callback", "no payload for closed"),
        (
            "lorawan",
            LORAWAN | {"ttn": TTN | {"payloads": {"acknowledged": "01", "closed": "00"}}},
            "callback",
            "closed",
        ),
        (
            "lorawan",
            LORAWAN | {"ttn": TTN | {"payloads": {"acknowledged": "0"}}},
            "callback.ttn.payloads",
            "no payload",
        ),
        ("lorawan", LORAWAN | {"ttn": TTN | {"f_port": 224}}, "callback.ttn.f_port", "no port of LoRaWAN"),
        ("lorawan", LORAWAN | {"ttn": TTN | {"application": "a/../b"}}, "callback.ttn.application", "no id"),
        ("lorawan", LORAWAN | {"ttn": TTN | {"url": "https://x/?a=b"}}, "callback.ttn.url", "holds a query"),
        ("lorawan", LORAWAN | {"ttn": TTN | {"ids": {"btn-112": "knopf"}}}, "callback.ttn.ids", "is no device"),
        ("lorawan", {**LORAWAN, "ttn": None, "chirpstack": CHIRPSTACK}, "callback.chirpstack", "of type ttn"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, source: str, callback: Any, where: str, wrong: str) -> None:
    mistakes, _ = examined(tmp_path, source, callback)
    assert any(f"sources.{source}.{where}" in mistake and wrong in mistake for mistake in mistakes), mistakes
    assert not any("u:p" in mistake for mistake in mistakes)


@pytest.mark.parametrize(
    ("source", "callback", "noticed"),
    [
        ("buttons", BUTTON | {"http": HTTP | {"url": "http://buttons.example.org/"}}, "not encrypted"),
        ("lorawan", LORAWAN | {"models": ["milesight-ws101", "netvox-r312"]}, "no device of this source"),
    ],
)
def test_what_may_not_be_meant(tmp_path: Path, source: str, callback: Any, noticed: str) -> None:
    mistakes, (hint,) = examined(tmp_path, source, callback)
    assert mistakes == []
    assert noticed in hint


def test_ids_of_the_things_stack_are_for_devices_that_are_told(tmp_path: Path) -> None:
    named = LORAWAN | {"ttn": TTN | {"ids": {WS101.lower(): "knopf-112"}}}
    assert examined(tmp_path, "lorawan", named) == ([], [])
