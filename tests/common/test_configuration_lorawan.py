"""What `check-config` says about the models, patterns and buttons of LoRaWAN devices."""

from pathlib import Path

import pytest

from tests.common.test_configuration_devices import examined
from tests.common.test_configuration_file import GOOD

LORAWAN = f"""sources:
  lorawan:
    type: chirpstack
    kind: panic
    key_sha256: "{"0" * 64}"
    presses: {{long: {{danger_level: 3}}}}
    generic: {{press: [alarm, "hex:01.*"], not_press: "type == 'alive'", battery: bat}}
    devices:
      a1: {{site: bernburg, model: milesight-ws136, buttons: [1, 6]}}
      a2: {{site: bernburg, model: generic}}
      a3: {{site: bernburg, model: generic, press: {{long: "hold"}}, battery: {{value: u, from: 2, to: 3}}}}
"""
CONFIGURATION = GOOD.replace("sources:\n", LORAWAN)


def test_models_patterns_and_buttons_are_good(tmp_path: Path) -> None:
    for text in (CONFIGURATION, CONFIGURATION.replace("type: chirpstack", "type: ttn")):
        assert examined(tmp_path, text) == ([], [])


@pytest.mark.parametrize(
    ("old", "new", "path", "says"),
    [
        ("milesight-ws136", "milesight-ws13", "a1.model", "did you mean `milesight-ws136`?"),
        ("[1, 6]", "[1, 7]", "a1.buttons", "numbers from 1 to 6"),
        ("[1, 6]", "[0]", "a1.buttons", "numbers from 1 to 6"),
        ("milesight-ws136, buttons", "milesight-ws101, buttons", "a1.buttons", "no numbered buttons"),
        ("milesight-ws136, buttons: [1, 6]", "abeeway-2, press: alarm", "a1.press", "only with `model: generic`"),
        ("type == 'alive'", 'type == \\"alive\\"', "generic.not_press", "texts stand in 'single quotes'"),
        ("type == 'alive'", "type ==", "generic.not_press", "no JMESPath"),
        ("type == 'alive'", "is_alive(type)", "generic.not_press", "Unknown function"),
        ("hex:01.*", "hex:01(", "generic.press", "no regular expression"),
        ("hex:01.*", "hex:.*", "generic.press", "also fits an empty message"),
        ("from: 2, to: 3", "from: 3, to: 2", "a3.battery", "`from` must be less than `to`"),
        ("{long: ", "{lang: ", "press", "short"),
        ('press: [alarm, "hex:01.*"], ', "", "a2", "what a press of this generic device looks like"),
        ("type: chirpstack", "type: native", "lorawan", "unknown key"),
    ],
)
def test_each_mistake_is_named(old: str, new: str, path: str, says: str, tmp_path: Path) -> None:
    assert CONFIGURATION.count(old) >= 1
    mistakes, _ = examined(tmp_path, CONFIGURATION.replace(old, new, 1))
    assert any(path in mistake and says in mistake for mistake in mistakes), mistakes


def test_patterns_of_a_source_of_another_type_are_read_by_nothing(tmp_path: Path) -> None:
    other = GOOD.replace("btn-113: {site: bernburg}", "btn-113: {site: bernburg, model: generic, press: alarm}")
    (mistake,), _ = examined(tmp_path, other)
    assert "btn-113.press" in mistake
    assert "in a source of type ttn or chirpstack" in mistake


def test_patterns_for_no_device_may_not_be_meant(tmp_path: Path) -> None:
    lines = [line for line in CONFIGURATION.splitlines(keepends=True) if "model: generic" not in line]
    mistakes, (hint,) = examined(tmp_path, "".join(lines))
    assert mistakes == []
    assert "sources.lorawan.generic" in hint
