import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.events import Event, Heartbeat, Kind, Mode, PoliceWish
from services.ingest.problems import Refusal
from services.ingest.sources.shape import Ignored
from services.ingest.sources.ttn import NO_UPLINK
from services.ingest.sources.ttn import understood as parse
from tests.ingest.support import NOW, PAYLOADS, reported, sender, uplink
from tests.support.organisation import WS101

MESSAGES: list[dict[str, Any]] = yaml.safe_load((PAYLOADS / "ttn_uplinks.yaml").read_text())
PRESSES: dict[str, dict[str, Any]] = {
    "short": {"danger_level": 1},
    "long": {"danger_level": 3, "police": "wanted"},
    "double": {"category": "threat"},
}
PLACE = {"site": "bernburg", "location": "Zimmer 112"}


def lorawan(model: str | None = "milesight-ws101", **changes: Any) -> Any:
    return sender("lorawan", devices={WS101: {**PLACE, "model": model}}, presses=PRESSES, **changes)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m["name"])
def test_a_message_is_a_press_or_it_is_not(message: dict[str, Any]) -> None:
    body = uplink(message.get("decoded"), message.get("payload"), f_port=85)
    event = parse(body, lorawan(message.get("model")), received_at=NOW)
    assert isinstance(event, Event)
    expected = message["expect"]
    if expected == "other":
        assert isinstance(event.data, Heartbeat)
        assert (event.data.device_id, event.data.site) == (WS101, "bernburg")
        assert event.data.battery == message.get("battery", event.data.battery)
        return
    report = reported(event)
    means = PRESSES.get(expected, {})
    assert report.danger_level == means.get("danger_level")
    assert report.category == means.get("category")
    assert report.police == means.get("police", PoliceWish.NONE)
    assert (report.site, report.location, report.device_id) == ("bernburg", "Zimmer 112", WS101)
    assert [w for w in report.warnings if "not decoded" in w] == report_warning(expected)


def report_warning(expected: str) -> list[str]:
    text = "not decoded: what the device sent is not known to be a press, nor to be anything else"
    return [text] if expected == "not decoded" else []


@pytest.mark.parametrize("name", NO_UPLINK)
def test_messages_of_the_network_are_no_alarm(name: str) -> None:
    body = uplink()
    del body["uplink_message"]
    body[name] = {"session_key_id": "x"}
    assert parse(body, lorawan(), received_at=NOW) == Ignored(name)


def test_the_same_uplink_has_the_same_id_and_another_one_has_not() -> None:
    cases: list[dict[str, Any]] = [{}, {"rx_metadata": []}, {"f_cnt": 42}, {"session_key_id": "another"}]
    ids = [
        parse(uplink({"button": "short"}, **changes), lorawan(), received_at=NOW).id  # type: ignore[union-attr]
        for changes in cases
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_a_counter_of_zero_is_left_out_and_still_identifies() -> None:
    body = uplink({"button": "short"})
    del body["uplink_message"]["f_cnt"]
    first, second = (parse(body, lorawan(), received_at=NOW) for _ in range(2))
    zero = parse(uplink({"button": "short"}, f_cnt=0), lorawan(), received_at=NOW)
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert isinstance(zero, Event)
    assert first.id == second.id == zero.id


def test_without_a_session_each_message_is_its_own() -> None:
    body = uplink({"button": "short"})
    del body["uplink_message"]["session_key_id"]
    first, second = (parse(body, lorawan(), received_at=NOW) for _ in range(2))
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert first.id != second.id


def test_simulated_is_an_exercise() -> None:
    report = reported(parse(uplink({"button": "short"}) | {"simulated": True}, lorawan(), received_at=NOW))
    assert report.mode is Mode.EXERCISE


def test_the_time_is_the_networks() -> None:
    report = reported(parse(uplink({"button": "short"}), lorawan(), received_at=NOW))
    assert report.occurred_at is not None
    assert report.occurred_at.isoformat() == "2026-01-05T08:12:32.914000+00:00"


@pytest.mark.parametrize("time", ["yesterday", 5, [], "2026-01-05T08:12:32", "3026-01-05T08:12:32Z"])
def test_an_absurd_time_is_left_out(time: object) -> None:
    report = reported(parse(uplink({"button": "short"}, received_at=time), lorawan(), received_at=NOW))
    assert report.occurred_at is None or time == []  # an empty list counts as absent
    assert any("received_at" in w or "occurred_at" in w for w in report.warnings) or time == []


def test_an_empty_frame_is_upkeep_of_the_network() -> None:
    body = uplink()
    del body["uplink_message"]["f_port"]
    event = parse(body, lorawan(), received_at=NOW)
    assert isinstance(event, Event)
    assert isinstance(event.data, Heartbeat)


def test_an_unknown_device_raises_an_alarm_without_a_place() -> None:
    report = reported(parse(uplink(payload="c0ffee", dev_eui="FFFF000000000001"), lorawan(), received_at=NOW))
    assert (report.site, report.location, report.device_id) == (None, None, "FFFF000000000001")
    assert any("not in the register" in warning for warning in report.warnings)


def test_a_device_id_is_found_however_it_is_spelt() -> None:
    report = reported(parse(uplink({"button": "short"}, dev_eui="00-04-a3-0b-00-1c-05-30"), lorawan(), received_at=NOW))
    assert (report.site, report.device_id) == ("bernburg", WS101)


@pytest.mark.parametrize("body", [{}, {"uplink_message": None}, {"uplink_message": []}, {"end_device_ids": 5}])
def test_what_is_no_envelope_still_raises_an_alarm(body: dict[str, Any]) -> None:
    assert reported(parse(body, lorawan(), received_at=NOW)).kind is Kind.PANIC


def test_a_source_that_is_not_for_panic_is_told() -> None:
    form = lorawan(kind="form")
    with pytest.raises(Refusal) as refused:
        parse(uplink({"button": "short"}, dev_eui="FFFF000000000001"), form, received_at=NOW)
    assert refused.value.errors[0].pointer == "/end_device_ids/dev_eui"
    assert parse(uplink(payload="c0ffee"), form, received_at=NOW) == Ignored("not decoded")


real = pytest.mark.skipif("RUFKETTE_PAYLOADS" not in os.environ, reason="RUFKETTE_PAYLOADS names no folder")


@real
def test_the_things_stacks_own_example_carries_real_button_vectors() -> None:
    folder = Path(os.environ["RUFKETTE_PAYLOADS"])
    envelope = json.loads((folder / "ttn-v3/uplink_message.json").read_text())
    join = json.loads((folder / "ttn-v3/join_accept.json").read_text())
    assert parse(join, lorawan(), received_at=NOW) == Ignored("join_accept")
    for model, vectors in _vectors(folder):
        for description, raw, decoded, press in vectors:
            spoken: list[dict[str, Any]] = [{"decoded_payload": decoded}, {"decoded_payload": {}}, {"f_port": 17}]
            for said in spoken:
                body = json.loads(json.dumps(envelope))
                body["uplink_message"] |= said
                body["uplink_message"]["frm_payload"] = raw
                event = parse(body, lorawan(model), received_at=NOW)
                assert isinstance(event, Event), description
                assert isinstance(event.data, Heartbeat) is not press, description
                assert press is False or not any("not decoded" in w for w in reported(event).warnings), description


def _vectors(folder: Path) -> Any:
    codecs = folder / "button-codecs"
    for model, file in (
        ("milesight-ws101", "milesight_ws101.examples.json"),
        ("abeeway-2", "abeeway_asset-tracker-2.sos-subset.json"),
    ):
        found = [e for e in json.loads((codecs / file).read_text()) if e["type"] == "uplink"]
        yield (
            model,
            [
                (
                    e["description"],
                    base64.b64encode(bytes.fromhex(e["input"]["bytes"])).decode(),
                    e["output"]["data"],
                    _is_press(e),
                )
                for e in found
            ],
        )
    for model, file in (
        ("milesight-ws101", "milesight-iot__ws101-codec.yaml"),
        ("netvox-r312a", "netvox__r312a-codec.yaml"),
    ):
        examples = yaml.safe_load((codecs / file).read_text())["uplinkDecoder"]["examples"]
        yield (
            model,
            [
                (
                    e["description"],
                    base64.b64encode(bytes(e["input"]["bytes"])).decode(),
                    e["output"]["data"],
                    _is_press(e),
                )
                for e in examples
            ],
        )


def _is_press(example: dict[str, Any]) -> bool:
    data = example["output"]["data"]
    return bool(
        "press" in data
        or "button" in data
        or data.get("Alarm") == 1
        or data.get("eventType") == "SOS_MODE_START"
        or data.get("sosFlag") == 1
    )


def test_what_the_console_simulates_is_no_sign_of_life() -> None:
    body = uplink({"battery": 90}) | {"simulated": True}
    assert parse(body, lorawan(), received_at=NOW) == Ignored("simulated")
