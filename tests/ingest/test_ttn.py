from typing import Any

import pytest

from schemas.events import Event, Heartbeat, Kind, Mode
from services.ingest.api.problems import Refusal
from services.ingest.sources.shape import Ignored, Made
from services.ingest.sources.ttn import EMITTER, NO_UPLINK
from tests.ingest.networks import lorawan, posted
from tests.ingest.support import reported, uplink
from tests.support.organisation import WS101


def parse(body: dict[str, Any], source: Any = None) -> Made:
    """The only thing that the body says."""
    (made,) = posted(EMITTER, body, source or lorawan())
    return made


def event_of(body: dict[str, Any]) -> Event:
    made = parse(body)
    assert isinstance(made, Event)
    return made


@pytest.mark.parametrize("name", NO_UPLINK)
def test_messages_of_the_network_are_no_alarm(name: str) -> None:
    body = uplink()
    del body["uplink_message"]
    body[name] = {"session_key_id": "x"}
    assert parse(body) == Ignored(name)


def test_a_join_is_a_sign_of_life_of_a_device_that_is_known() -> None:
    body = uplink()
    del body["uplink_message"]
    body["join_accept"] = {"session_key_id": "AXBSH1Pk6Z0G166RlH16CQ=="}
    first, again = event_of(body), event_of(body)
    assert isinstance(first.data, Heartbeat)
    assert (first.data.device_id, first.data.battery) == (WS101, None)
    assert first.id == again.id
    body["join_accept"] = {"session_key_id": "another"}
    assert event_of(body).id != first.id
    assert parse(body | {"simulated": True}) == Ignored("join_accept")
    body["end_device_ids"]["dev_eui"] = "FFFF000000000001"
    assert parse(body) == Ignored("join_accept")


def test_the_same_uplink_has_the_same_id_and_another_one_has_not() -> None:
    another_gateway = [{"gateway_ids": {"gateway_id": "keller"}, "rssi": -110}]
    cases: list[dict[str, Any]] = [
        {},
        {"rx_metadata": another_gateway, "received_at": "2026-01-05T08:12:33.214Z"},
        {"f_cnt": 42},
        {"session_key_id": "another"},
    ]
    ids = [event_of(uplink({"button": "short"}, **changes)).id for changes in cases]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_a_counter_that_starts_again_within_a_session_swallows_no_press() -> None:
    """A device without joins keeps its session; after a new battery it counts from zero again."""
    before = event_of(uplink({"button": "short"}, f_cnt=3, received_at="2026-01-02T08:12:32Z"))
    after = event_of(uplink({"button": "short"}, f_cnt=3, received_at="2026-01-05T08:12:32Z"))
    assert before.id != after.id


def test_a_counter_of_zero_is_left_out_and_still_identifies() -> None:
    body = uplink({"button": "short"})
    del body["uplink_message"]["f_cnt"]
    assert event_of(body).id == event_of(body).id == event_of(uplink({"button": "short"}, f_cnt=0)).id


@pytest.mark.parametrize("changes", [{"session_key_id": None}, {"session_key_id": 5}, {"f_cnt": "41"}, {"f_cnt": True}])
def test_without_a_session_or_a_counter_each_message_is_its_own(changes: dict[str, Any]) -> None:
    body = uplink({"button": "short"}, **changes)
    assert event_of(body).id != event_of(body).id


def test_simulated_is_an_exercise_and_says_nothing_of_the_device() -> None:
    body = uplink({"button": "short", "battery": 90}) | {"simulated": True}
    assert reported(parse(body)).mode is Mode.EXERCISE
    assert parse(uplink({"battery": 90}) | {"simulated": True}) == Ignored("simulated")


def test_the_time_is_the_networks() -> None:
    report = reported(parse(uplink({"button": "short"})))
    assert report.occurred_at is not None
    assert report.occurred_at.isoformat() == "2026-01-05T08:12:32.914000+00:00"


@pytest.mark.parametrize("time", ["yesterday", 5, [1], "2026-01-05T08:12:32", "3026-01-05T08:12:32Z"])
def test_an_absurd_time_is_left_out(time: object) -> None:
    report = reported(parse(uplink({"button": "short"}, received_at=time)))
    assert report.occurred_at is None
    assert any("received_at" in w or "occurred_at" in w for w in report.warnings)


def test_an_empty_frame_is_upkeep_of_the_network() -> None:
    body = uplink()
    del body["uplink_message"]["f_port"]
    assert isinstance(event_of(body).data, Heartbeat)


def test_what_the_network_knows_of_the_battery_counts_where_the_device_says_nothing() -> None:
    known: dict[str, Any] = {"last_battery_percentage": {"f_cnt": 40, "value": 61.2}}
    press, battery = posted(EMITTER, uplink({"button": "short"}, **known), lorawan())
    assert reported(press).site == "bernburg"
    assert isinstance(battery, Event)
    assert isinstance(battery.data, Heartbeat)
    assert battery.data.battery == 0.612
    own = event_of(uplink({"battery": 16}, **known))
    assert isinstance(own.data, Heartbeat)
    assert own.data.battery == 0.16


def test_an_unknown_device_raises_an_alarm_without_a_place() -> None:
    report = reported(parse(uplink(payload="c0ffee", dev_eui="FFFF000000000001")))
    assert (report.site, report.location, report.device_id) == (None, None, "FFFF000000000001")
    assert any("not in the register" in warning for warning in report.warnings)


def test_a_device_id_is_found_however_it_is_spelt() -> None:
    report = reported(parse(uplink({"button": "short"}, dev_eui="00-04-a3-0b-00-1c-05-30")))
    assert (report.site, report.device_id) == ("bernburg", WS101)


@pytest.mark.parametrize("body", [{}, {"uplink_message": None}, {"uplink_message": []}, {"end_device_ids": 5}])
def test_what_is_no_envelope_still_raises_an_alarm(body: dict[str, Any]) -> None:
    report = reported(parse(body))
    assert report.kind is Kind.PANIC
    assert "end_device_ids.dev_eui is missing, so the place is unknown" in report.warnings


def test_a_source_that_is_not_for_panic_is_told() -> None:
    form = lorawan(kind="form")
    with pytest.raises(Refusal) as refused:
        parse(uplink({"button": "short"}, dev_eui="FFFF000000000001"), form)
    assert refused.value.errors[0].pointer == "/end_device_ids/dev_eui"
    assert parse(uplink(payload="c0ffee"), form) == Ignored("not decoded")
