"""`rufkette try-source`: what a message becomes and why, without any service."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli import app
from tests.support.organisation import WS101, write_configuration

BODY = b"standort=Standort+Bernburg&raum=112&telefon=1&stufe=Gewalt"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "geheim").write_text("geheim")

    def add(content: dict[str, Any]) -> None:
        mapping = {
            "site": {"field": "standort", "values": {"Standort Bernburg": "bernburg"}, "required": True},
            "location": "raum",
            "danger_level": {"field": "stufe", "values": {"Gewalt": 2}},
        }
        content["sources"] |= {
            "intranet": {"type": "form", "key_sha256": "0" * 64, "map": mapping},
            "tally": {"type": "form", "preset": "tally", "secret_file": "geheim", "map": {"site": "Standort"}},
            "zigbee": {
                "type": "mqtt",
                "kind": "panic",
                "url": "mqtt://user@broker.example.org",
                "password_file": "nowhere",
                "topics": [{"filter": "zigbee2mqtt/+", "preset": "zigbee2mqtt"}],
                "devices": {"knopf-112": {"site": "bernburg", "location": "Zimmer 112"}},
            },
            "missing": {"type": "form", "preset": "tally", "secret_file": "nowhere", "map": {"site": "Standort"}},
        }

    return write_configuration(tmp_path / "organisation.yaml", add)


def tried(config: Path, name: str, content: bytes, *options: str) -> Result:
    return CliRunner().invoke(app, ["try-source", name, "-", "--config", str(config), *options], input=content)


def test_an_event_and_where_each_field_comes_from(config: Path) -> None:
    done = tried(config, "intranet", BODY)
    assert done.exit_code == 0, done.output
    for line in (
        "source intranet: type form, kind form",
        "signature: none; the source shows a key",
        "  site = bernburg",
        "  site ← standort “Standort Bernburg” → bernburg (by the value table)",
        "  danger_level ← stufe “Gewalt” → 2 (by the value table)",
        "into the description, because nothing maps it:",
        "  telefon: 1",
    ):
        assert line in done.stdout.splitlines()


def test_a_refusal_field_by_field(config: Path) -> None:
    done = tried(config, "intranet", b"stufe=viel&raum=112", "--format", "json")
    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    assert (answer["outcome"], answer["events"], answer["refusal"]["status"]) == ("refused", [], 422)
    assert [error["pointer"] for error in answer["refusal"]["errors"]] == ["/standort", "/stufe"]
    assert {step["report"]: step["how"] for step in answer["fields"]} == {
        "site": "missing, and required",
        "location": "as it stands",
        "danger_level": "does not fit",
    }


def test_what_is_ignored_has_an_exit_code_of_its_own(config: Path) -> None:
    done = tried(config, "tally", b'{"eventType": "OTHER"}', "--skip-signature")
    assert (done.exit_code, "IGNORED: condition not met" in done.stdout) == (3, True)


def test_signatures_are_checked_unless_told_otherwise(config: Path) -> None:
    fields = [{"key": "q", "label": "Standort", "value": "Bernburg"}]
    body = json.dumps({"eventId": "e", "eventType": "FORM_RESPONSE", "data": {"fields": fields}}).encode()
    signature = base64.b64encode(hmac.new(b"geheim", body, hashlib.sha256).digest()).decode()
    good = tried(config, "tally", body, "--header", f"Tally-Signature: {signature}", "--format", "json")
    assert (good.exit_code, json.loads(good.stdout)["signature"]) == (0, "valid")
    for options in ((), ("--header", "Tally-Signature: x")):
        bad = tried(config, "tally", body, *options, "--format", "json")
        assert (bad.exit_code, json.loads(bad.stdout)["signature"]) == (1, "refused")
    skipped = tried(config, "missing", body, "--skip-signature", "--format", "json")
    assert (skipped.exit_code, json.loads(skipped.stdout)["events"][0]["data"]["site"]) == (0, "bernburg")
    assert tried(config, "missing", body).exit_code == 1


def test_other_sources_can_be_tried_too(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "uplink.json"
    file.write_text(
        json.dumps({"end_device_ids": {"dev_eui": WS101}, "uplink_message": {"decoded_payload": {"press": "short"}}})
    )
    arguments = ["try-source", "lorawan", str(file), "--config", str(config), "--content-type", "application/json"]
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, "  location = Zimmer 112" in done.stdout) == (0, True)
    native = tried(config, "buttons", b'{"device_id": "btn-999"}', "--format", "json")
    warnings = json.loads(native.stdout)["events"][0]["data"]["warnings"]
    assert any("btn-999" in warning for warning in warnings)


def test_a_message_of_a_broker_has_a_topic(config: Path) -> None:
    press, topic = b'{"action": "single"}', ("--topic", "zigbee2mqtt/knopf-112")
    done = tried(config, "zigbee", press, *topic)
    assert done.exit_code == 0, done.output
    for line in (
        "signature: none; the broker says who may publish",
        "  device_id = knopf-112",
        "  location = Zimmer 112",
    ):
        assert line in done.stdout.splitlines()
    beat = tried(config, "zigbee", b'{"battery": 50}', *topic)
    assert (beat.exit_code, "EVENT rufkette.device.heartbeat.v1" in beat.stdout) == (0, True)
    other = tried(config, "zigbee", press, "--topic", "lights/1")
    assert (other.exit_code, "IGNORED: topic not configured" in other.stdout) == (3, True)
    assert tried(config, "zigbee", b'{"action": "single", "x": "' + b"x" * 70_000 + b'"}', *topic).exit_code == 0


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("nobody", (), "there is no source `nobody`"),
        ("intranet", ("--format", "xml"), "expected text or json"),
        ("intranet", ("--header", "nothing"), "write 'Name: value'"),
        ("intranet", ("--query", "nothing"), "write name=value"),
        ("zigbee", (), "is of type mqtt: say with --topic to which topic"),
        ("zigbee", ("--rest", "zigbee2mqtt/knopf-112"), "say with --topic to which topic"),
        ("zigbee", ("--topic", "zigbee2mqtt/+"), "write the topic of one message"),
        ("intranet", ("--topic", "zigbee2mqtt/knopf-112"), "only messages to a source of type mqtt have a topic"),
    ],
)
def test_wrong_options_are_exit_code_2(config: Path, name: str, options: tuple[str, ...], said: str) -> None:
    done = tried(config, name, BODY, *options)
    assert (done.exit_code, said in done.stderr) == (2, True)


def test_limits_and_methods_are_those_of_the_service(config: Path) -> None:
    assert "REFUSED with 413" in tried(config, "intranet", b"x" * 70_000).stdout
    assert "REFUSED with 405" in tried(config, "intranet", BODY, "--method", "GET").stdout
    assert CliRunner().invoke(app, ["try-source", "intranet", "nowhere", "--config", str(config)]).exit_code == 2


def test_a_learning_source_is_shown_as_one(config: Path) -> None:
    learns = config.read_text().replace(
        "  intranet:\n", "  intranet:\n    learn: true\n    test_address: a@example.org\n"
    )
    assert "learn: true" in learns
    config.write_text(learns)
    assert "  learning = True" in tried(config, "intranet", BODY).stdout.splitlines()
