"""Buttons that can only call an address."""

from pathlib import Path
from typing import Any

import pytest

from schemas.configuration import Configuration
from schemas.events import Event, Mode, PoliceWish
from services.ingest.api.problems import Refusal
from services.ingest.sender import Sender, senders
from services.ingest.sources.http_button import EMITTER
from services.ingest.sources.shape import Message
from tests.ingest.support import NOW, reported
from tests.support.organisation import organisation


@pytest.fixture
def shelly(tmp_path: Path) -> Sender:
    return source(tmp_path)


def source(tmp_path: Path, **changes: Any) -> Sender:
    (tmp_path / "shelly.secret").write_text("s3cret\n")
    content = organisation()
    content["sources"]["shelly"] = {
        "type": "http-button",
        "kind": "panic",
        "secret_file": "shelly.secret",
        "devices": {"btn-7": {"site": "bernburg", "location": "Zimmer 112"}},
        "presses": {"long": {"danger_level": 3, "police": "wanted"}},
    } | changes
    return senders(Configuration.model_validate(content), tmp_path / "config.yaml")["shelly"]


def call(sender: Sender, rest: str = "btn-7", body: bytes = b"", kind: str = "", **query: str) -> Event:
    message = Message(body, NOW, "GET", {"content-type": kind}, query, rest)
    assert EMITTER.verify is not None
    EMITTER.verify(message, sender)
    (made,) = EMITTER.parse(message, sender)
    assert isinstance(made, Event)
    return made


def test_a_press_is_where_the_register_has_the_button(shelly: Sender) -> None:
    report = reported(call(shelly, "BTN:7", secret="s3cret"))
    assert (report.site, report.location, report.device_id, report.warnings) == ("bernburg", "Zimmer 112", "btn-7", ())


def test_each_call_is_a_press_of_its_own(shelly: Sender) -> None:
    assert call(shelly, secret="s3cret").id != call(shelly, secret="s3cret").id


def test_the_device_may_be_a_parameter_and_the_secret_a_posted_field(shelly: Sender) -> None:
    form = "application/x-www-form-urlencoded"
    assert reported(call(shelly, "", b"device=btn-7&secret=s3cret", form)).device_id == "btn-7"


def test_kinds_of_press_mean_what_the_configuration_says(shelly: Sender) -> None:
    long = reported(call(shelly, secret="s3cret", press="Long"))
    assert (long.danger_level, long.police) == (3, PoliceWish.WANTED)
    odd = reported(call(shelly, secret="s3cret", press="triple"))
    assert (odd.danger_level, len(odd.warnings)) == (None, 1)
    assert reported(call(shelly, secret="s3cret", mode="exercise")).mode is Mode.EXERCISE


def test_a_mode_that_is_none_alarms_and_is_said(shelly: Sender) -> None:
    odd = reported(call(shelly, secret="s3cret", mode="uebung"))
    assert (odd.mode, odd.warnings) == (Mode.ACTUAL, ("“mode” left out: is no known mode",))
    assert reported(call(shelly, secret="s3cret", mode="actual")).warnings == ()


def test_a_slash_at_the_end_of_the_address_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("its-own")
    own = source(tmp_path, devices={"btn-7": {"site": "bernburg", "location": "Zimmer 112", "secret_file": "own"}})
    report = reported(call(own, "btn-7/", secret="its-own"))
    assert (report.device_id, report.location, report.warnings) == ("btn-7", "Zimmer 112", ())


@pytest.mark.parametrize("rest", ["nobody", "", "\x00", "ü" * 500])
def test_an_unknown_device_alarms_all_the_same(shelly: Sender, rest: str) -> None:
    report = reported(call(shelly, rest, secret="s3cret"))
    assert report.site is None
    assert report.warnings


def test_a_source_that_is_no_panic_button_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        call(source(tmp_path, kind="manual"), "nobody", secret="s3cret")
    assert caught.value.status == 422


@pytest.mark.parametrize(
    "secret", [{}, {"secret": ""}, {"secret": "wrong"}, {"secret": "s3cret\n"}, {"secret": "\udcff"}]
)
def test_a_wrong_secret_is_no_press(shelly: Sender, secret: dict[str, str]) -> None:
    with pytest.raises(Refusal) as caught:
        call(shelly, "btn-7", b"", "", **secret)
    assert caught.value.status == 401
    assert "s3cret" not in caught.value.detail


def test_a_device_with_its_own_secret_shows_that_one(tmp_path: Path) -> None:
    (tmp_path / "one.secret").write_text("of-one")
    place = {"site": "bernburg", "location": "Zimmer 112"}
    devices = {"btn-1": {**place, "secret_file": "one.secret"}, "btn-2": place}
    sender = source(tmp_path, devices=devices)
    assert reported(call(sender, "BTN-1", secret="of-one")).device_id == "btn-1"
    assert reported(call(sender, "btn-2", secret="s3cret")).device_id == "btn-2"
    assert reported(call(sender, "", device="btn-1", secret="of-one")).device_id == "btn-1"
    for device, secret in (("btn-1", "s3cret"), ("btn-2", "of-one"), ("btn-3", "of-one"), ("", "of-one")):
        with pytest.raises(Refusal) as caught:
            call(sender, device, secret=secret)
        assert caught.value.status == 401
    # The device that its secret was checked for is the one that presses.
    with pytest.raises(Refusal):
        call(sender, "btn-2", device="btn-1", secret="of-one")


def test_without_a_secret_for_all_an_unknown_device_has_none(tmp_path: Path) -> None:
    (tmp_path / "one.secret").write_text("of-one")
    sender = source(tmp_path, secret_file=None, devices={"btn-1": {"site": "bernburg", "secret_file": "one.secret"}})
    assert reported(call(sender, "btn-1", secret="of-one")).site == "bernburg"
    for device, secret in (("btn-9", ""), ("", ""), ("btn-9", "of-one")):
        with pytest.raises(Refusal):
            call(sender, device, secret=secret)


def test_a_button_without_any_secret_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="device `btn-7` has no secret"):
        source(tmp_path, secret_file=None)
