"""Who signed a message: with the official Standard Webhooks library as the sender, and hostile headers."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from schemas.configuration import Configuration
from schemas.events import Event, event_id
from services.common.configuration.file import ConfigurationError
from services.ingest.api.problems import Refusal
from services.ingest.sender import Sender, senders
from services.ingest.sources import form, standard_webhooks
from services.ingest.sources.shape import Ignored, Message
from services.ingest.sources.signatures import verify_header, verify_standard
from tests.ingest.support import reported
from tests.support.organisation import organisation

NOW = datetime(2026, 1, 5, 8, 12, 34, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


def source(tmp_path: Path, secret: str = SECRET, **changes: Any) -> Sender:
    (tmp_path / "secret").write_text(secret + "\n")
    content = organisation()
    content["sources"]["hook"] = {"secret_file": str(tmp_path / "secret"), **changes}
    return senders(Configuration.model_validate(content))["hook"]


@pytest.fixture
def webhook(tmp_path: Path) -> Sender:
    return source(tmp_path, type="standard-webhooks")


def signed(body: object, at: datetime = NOW, *, secret: str = SECRET, message_id: str = "msg_1") -> Message:
    """As the official library signs it."""
    text = json.dumps(body)
    signature = Webhook(secret).sign(message_id, at, text)
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    return Message(text.encode(), NOW, headers=headers)


def changed(message: Message, **headers: str | None) -> Message:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    together = {**message.headers, **named}
    return Message(message.body, NOW, headers={name: value for name, value in together.items() if value is not None})


REPORT = {"type": "incident", "data": {"site": "bernburg", "danger_level": 2}}


def test_the_official_library_is_understood(webhook: Sender) -> None:
    message = signed(REPORT)
    standard_webhooks.verify(message, webhook)
    [event] = standard_webhooks.parse(message, webhook)
    assert isinstance(event, Event)
    assert (reported(event).site, reported(event).danger_level, reported(event).kind) == ("bernburg", 2, "form")
    assert event.id == event_id("hook", "msg_1")


def test_delivered_again_it_is_the_same_event_although_signed_anew(webhook: Sender) -> None:
    first, second = signed(REPORT), signed(REPORT, NOW + timedelta(seconds=60))
    for message in (first, second):
        standard_webhooks.verify(message, webhook)
    ids = {standard_webhooks.parse(message, webhook)[0].id for message in (first, second)}  # type: ignore[union-attr]
    assert len(ids) == 1


def test_a_long_id_still_identifies(webhook: Sender) -> None:
    long = ["m" * 300, "m" * 300, "m" * 301]
    ids = [standard_webhooks.parse(signed(REPORT, message_id=one), webhook)[0].id for one in long]  # type: ignore[union-attr]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("offset", [-299, 0, 299])
def test_a_clock_may_be_a_little_off(offset: int, webhook: Sender) -> None:
    standard_webhooks.verify(signed(REPORT, NOW + timedelta(seconds=offset)), webhook)


def test_one_of_several_signatures_is_enough(webhook: Sender) -> None:
    message = signed(REPORT)
    old = Webhook("whsec_" + base64.b64encode(b"another").decode()).sign("msg_1", NOW, json.dumps(REPORT))
    several = f"v1a,AAAA {old} {message.headers['webhook-signature']}"
    standard_webhooks.verify(changed(message, webhook_signature=several), webhook)


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook_id": None},
        {"webhook_id": "msg_2"},
        {"webhook_id": "ümlaut\xff"},
        {"webhook_timestamp": None},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": "now"},
        {"webhook_timestamp": "NaN"},
        {"webhook_timestamp": "1e9"},
        {"webhook_timestamp": "²"},
        {"webhook_timestamp": "9" * 400},
        {"webhook_timestamp": "-1"},
        {"webhook_timestamp": str(int(NOW.timestamp()) - 301)},
        {"webhook_timestamp": str(int(NOW.timestamp()) + 301)},
        {"webhook_signature": None},
        {"webhook_signature": "v1"},
        {"webhook_signature": "v1,"},
        {"webhook_signature": "v1,====,"},
        {"webhook_signature": "v1,\xe4\xf6"},
        {"webhook_signature": "v2,AAAA"},
        {"webhook_signature": " "},
    ],
)
def test_what_does_not_fit_is_401(headers: dict[str, str | None], webhook: Sender) -> None:
    with pytest.raises(Refusal) as refused:
        standard_webhooks.verify(changed(signed(REPORT), **headers), webhook)
    assert refused.value.status == 401
    assert SECRET not in refused.value.detail


def test_another_body_or_secret_is_401(webhook: Sender) -> None:
    message = signed(REPORT)
    with pytest.raises(Refusal):
        standard_webhooks.verify(Message(message.body + b" ", NOW, headers=message.headers), webhook)
    with pytest.raises(Refusal):
        standard_webhooks.verify(signed(REPORT, secret="whsec_" + base64.b64encode(b"x" * 24).decode()), webhook)


@given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x-sig"]), st.text()))
def test_no_header_breaks_the_check(headers: dict[str, str]) -> None:
    with pytest.raises(Refusal):
        verify_standard(headers, b"{}", SECRET.encode(), NOW)
    with pytest.raises(Refusal):
        verify_header(headers, b"{}", b"secret", header="X-Sig", encoding="base64", prefix="sha256=")


def test_a_secret_that_is_none_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="whsec_"):
        source(tmp_path, secret="whsec_not base64!", type="standard-webhooks")
    with pytest.raises(ConfigurationError, match="is empty"):
        source(tmp_path, secret="", type="form", preset="tally")


def test_without_a_report_in_data_it_is_told(webhook: Sender, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        standard_webhooks.parse(signed({"data": "text"}), webhook)
    assert (refused.value.status, refused.value.errors[0].pointer) == (422, "/data")
    press = source(tmp_path, type="standard-webhooks", kind="panic")
    assert reported(standard_webhooks.parse(signed({"data": "text"}), press)[0]).site is None


def test_only_what_meets_the_condition(tmp_path: Path) -> None:
    sender = source(tmp_path, type="standard-webhooks", only="type == 'incident'")
    assert standard_webhooks.parse(signed({"type": "ping"}), sender) == [Ignored("condition not met")]
    assert reported(standard_webhooks.parse(signed(REPORT), sender)[0]).site == "bernburg"


def test_a_map_leads_from_the_senders_fields_to_ours(tmp_path: Path) -> None:
    mapping = {"site": {"field": "ort"}, "danger_level": {"field": "stufe", "values": {"Gewalt": 2}}}
    sender = source(
        tmp_path, type="standard-webhooks", fields="data.data", map=mapping, only="event == 'responseFinished'"
    )
    body = {
        "event": "responseFinished",
        "data": {"id": "r1", "data": {"ort": "Bernburg", "stufe": "Gewalt", "wer": "X"}},
    }
    report = reported(standard_webhooks.parse(signed(body), sender)[0])
    assert (report.site, report.danger_level, report.description) == ("bernburg", 2, "wer: X")


BODY = b'{"standort": "bernburg"}'


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("prefix", ["", "sha="])
def test_signature_schemes_of_all_kinds(algorithm: str, encoding: str, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("geheim")
    content = organisation()
    scheme = {
        "header": "X-Sig",
        "algorithm": algorithm,
        "encoding": encoding,
        "prefix": prefix,
        "secret_file": "secret",
    }
    content["sources"]["hook"] = {"type": "form", "signature": scheme, "map": {"site": "standort"}}
    sender = senders(Configuration.model_validate(content), tmp_path / "organisation.yaml")["hook"]
    digest = hmac.new(b"geheim", BODY, getattr(hashlib, algorithm)).digest()
    value = prefix + (digest.hex() if encoding == "hex" else base64.b64encode(digest).decode())
    form.verify(Message(BODY, NOW, headers={"x-sig": value}), sender)
    for wrong in ("", prefix, value[:-4], value + "x", value.swapcase() if encoding == "base64" else "zz", "\xff"):
        with pytest.raises(Refusal) as refused:
            form.verify(Message(BODY, NOW, headers={"x-sig": wrong}), sender)
        assert refused.value.status == 401
    with pytest.raises(Refusal):
        form.verify(Message(BODY + b" ", NOW, headers={"x-sig": value}), sender)


@pytest.mark.parametrize(
    ("preset", "header", "prefix"), [("typeform", "typeform-signature", "sha256="), ("tally", "tally-signature", "")]
)
def test_presets_know_how_their_sender_signs(preset: str, header: str, prefix: str, tmp_path: Path) -> None:
    sender = source(tmp_path, "geheim", type="form", preset=preset, map={"site": {"default": "bernburg"}})
    value = prefix + base64.b64encode(hmac.new(b"geheim", BODY, hashlib.sha256).digest()).decode()
    form.verify(Message(BODY, NOW, headers={header: value}), sender)
    with pytest.raises(Refusal):
        form.verify(Message(BODY, NOW), sender)
    with pytest.raises(Refusal):
        form.verify(Message(BODY + b"x", NOW, headers={header: value}), sender)
