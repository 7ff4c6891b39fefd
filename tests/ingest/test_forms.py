"""Each message of tests/payloads/forms.yaml, and what no message may do."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.configuration import Configuration
from schemas.events import Event, Kind, event_id
from services.ingest.api.problems import Refusal
from services.ingest.sender import Sender, senders
from services.ingest.sources import form, standard_webhooks
from services.ingest.sources.shape import Ignored, Message
from tests.ingest.support import NOW, PAYLOADS, reported
from tests.support.organisation import organisation

MESSAGES: list[dict[str, Any]] = yaml.safe_load((PAYLOADS / "forms.yaml").read_text())
KEY = "0" * 64


def form_source(tmp_path: Path, **changes: Any) -> Sender:
    """A source of `type: form`."""
    content = organisation()
    secret = tmp_path / "secret"
    secret.write_text("geheim\n")
    proof = (
        {"secret_file": str(secret)} if "preset" in changes else {} if "signature" in changes else {"key_sha256": KEY}
    )
    content["sources"]["intranet"] = {"type": "form", **proof, **changes}
    return senders(Configuration.model_validate(content))["intranet"]


def message(case: dict[str, Any]) -> Message:
    if "json" in case:
        raw = json.dumps(case["json"]).encode()
    elif "repeat" in case:
        raw = (case["repeat"]["prefix"] + case["repeat"]["text"] * case["repeat"]["times"]).encode()
    else:
        raw = case["body"].encode(case.get("charset", "utf-8"))
    headers = {"content-type": case["content_type"]} if "content_type" in case else {}
    return Message(raw, NOW, headers=headers)


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case["name"])
def test_what_becomes_of_a_message(case: dict[str, Any], tmp_path: Path) -> None:
    sender = form_source(tmp_path, **case["source"])
    if "refused" in case:
        with pytest.raises(Refusal) as refused:
            form.parse(message(case), sender)
        assert refused.value.status == case["refused"]["status"]
        found = {fault.pointer: fault.detail for fault in refused.value.errors}
        expected = case["refused"].get("errors", {})
        assert set(found) == set(expected)
        assert all(part in found[pointer] for pointer, part in expected.items()), found
        assert all(fault.expected for fault in refused.value.errors)
        return
    [made] = form.parse(message(case), sender)
    if "ignored" in case:
        assert made == Ignored(case["ignored"])
        return
    report = reported(made)
    expected = dict(case["expect"])
    if "id" in expected:
        assert isinstance(made, Event)
        assert made.id == event_id("intranet", expected.pop("id"))
    for name in ("description", "location"):
        if f"{name}_length" in expected:
            assert len(getattr(report, name)) == expected.pop(f"{name}_length")
    if isinstance(expected.get("occurred_at"), str):
        assert report.occurred_at == datetime.fromisoformat(expected.pop("occurred_at"))
    shown = report.model_dump(mode="json")
    assert {name: shown[name] for name in expected} == expected


def test_a_multipart_message_with_an_upload(tmp_path: Path) -> None:
    mapping = {"site": "standort", "description": "beschreibung"}
    parts = (
        b'--XX\r\nContent-Disposition: form-data; name="standort"\r\n\r\nbernburg\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="beschreibung"\r\n'
        b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nT\xfcr\r\n"
        b'--XX\r\nContent-Disposition: form-data; name="foto"; filename="b.png"\r\nContent-Type: image/png\r\n\r\n'
        b"\x89PNG\x00\r\n--XX\r\n"
        b'Content-Disposition: form-data; name="leer"; filename=""\r\n\r\n\r\n--XX--\r\n'
    )
    sent = Message(parts, NOW, headers={"content-type": "multipart/form-data; boundary=XX"})
    report = reported(form.parse(sent, form_source(tmp_path, map=mapping))[0])
    assert (report.site, report.description) == ("bernburg", "Tür\n\nfoto: b.png (5 bytes)")


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"--XX\r\n", "multipart/form-data"),
        (b"--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nhalf", "multipart/form-data; boundary=XX"),
        (b"nothing", "multipart/form-data; boundary=XX"),
        (b"--XX\r\n" + b"X-Long: " + b"y" * 9000 + b"\r\n\r\n\r\n--XX--", "multipart/form-data; boundary=XX"),
        (b"--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n" * 501, "multipart/form-data; boundary=XX"),
        (b"--XX--", "multipart/form-data; boundary=" + "X" * 3000),
        (b"a=1&" * 501, "application/x-www-form-urlencoded"),
        (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", "application/json"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_clearly(content: bytes, content_type: str, tmp_path: Path) -> None:
    sent = Message(content, NOW, headers={"content-type": content_type})
    with pytest.raises(Refusal) as refused:
        form.parse(sent, form_source(tmp_path, map={"site": {"default": "bernburg"}}))
    assert refused.value.status == 400
    assert len(refused.value.detail) < 300
    press = form_source(tmp_path, kind="panic", map={"site": {"default": "bernburg"}})
    report = reported(form.parse(sent, press)[0])
    assert (report.kind, report.site) == (Kind.PANIC, "bernburg")
    assert report.warnings == ("the message could not be read; only that it came is known",)


def test_many_fields_have_their_bounds(tmp_path: Path) -> None:
    body = "&".join(f"feld{n}={'x' * 100}" for n in range(400)).encode()
    sent = Message(body, NOW, headers={"content-type": "application/x-www-form-urlencoded"})
    report = reported(form.parse(sent, form_source(tmp_path, map={"site": {"default": "bernburg"}}))[0])
    assert len(report.description or "") < 8_100
    assert [w for w in report.warnings if "no room" in w]


def test_fields_without_end_are_cut_and_said(tmp_path: Path) -> None:
    body = json.dumps({"ort": "bernburg", **{f"f{n}": "" for n in range(600)}}).encode()
    sent = Message(body, NOW, headers={"content-type": "application/json"})
    report = reported(form.parse(sent, form_source(tmp_path, map={"site": "ort"}))[0])
    assert (report.site, report.warnings) == ("bernburg", ("only the first 500 fields were looked at",))


KINDS = st.sampled_from(
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=XX", "", "text/plain"]
)
RAW = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["value", "key", "label", "field", "type", "choice", "size", "name", "options", "a"]),
                inner,
                max_size=6,
            )
        ),
        max_leaves=20,
    ).map(
        lambda value: json.dumps({"standort": "bernburg", "data": {"fields": value}, "form_response": value}).encode()
    ),
    st.binary(max_size=100).map(lambda raw: b'--XX\r\nContent-Disposition: form-data; name="a"' + raw + b"\r\n--XX--"),
)
EVERYTHING: dict[str, Any] = next(one["source"]["map"] for one in MESSAGES)


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> list[Sender]:
    folder = tmp_path_factory.mktemp("forms")
    wide = {**EVERYTHING, "device_id": "join('', [a, data.fields[0].value])"}
    return [
        form_source(folder, map=wide),
        form_source(folder, map=wide, kind="panic", only="sum(a) > `1`"),
        form_source(folder, map=wide, preset="tally", only="event"),
        form_source(folder, map=wide, preset="typeform", kind="panic"),
    ]


@given(raw=RAW, kind=KINDS, charset=st.sampled_from(["", "; charset=utf-16", "; charset=latin-1", "; charset=\xff"]))
def test_no_bytes_break_a_hook(raw: bytes, kind: str, charset: str, hooks: list[Sender]) -> None:
    sent = Message(raw, NOW, headers={"content-type": kind + charset})
    for sender in hooks:
        made: object
        try:
            [made] = form.parse(sent, sender)
        except Refusal as refusal:
            made = None if sender.lenient else refusal.status
        assert isinstance(made, Event | Ignored) or made in (400, 415, 422)


PIECES = st.sampled_from(
    [b"\\ud800", b"null", b"[]", b"{}", b"1e999", b"true", b'"', b"%00", b"\xff", b"&", b"9" * 500, b"//[/", b""]
)
DAMAGES = st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 40), PIECES), max_size=6)


@given(case=st.sampled_from(MESSAGES), damages=DAMAGES)
def test_no_damage_to_a_message_breaks_its_hook(
    case: dict[str, Any], damages: list[tuple[int, int, bytes]], hooks: list[Sender]
) -> None:
    whole = message(case)
    raw = bytearray(whole.body)
    for at, length, piece in damages:
        start = at % (len(raw) + 1)
        raw[start : start + length] = piece
    for sender in hooks:
        made: object
        try:
            [made] = form.parse(Message(bytes(raw), NOW, headers=whole.headers), sender)
        except Refusal as refusal:
            made = None if sender.lenient else refusal.status
        assert isinstance(made, Event | Ignored) or made in (400, 415, 422)


real = pytest.mark.skipif("RUFKETTE_PAYLOADS" not in os.environ, reason="RUFKETTE_PAYLOADS names no folder")


@real
def test_the_makers_own_examples(tmp_path: Path) -> None:
    folder = Path(os.environ["RUFKETTE_PAYLOADS"]) / "forms"
    for file in sorted(folder.iterdir()):
        sent = Message(file.read_bytes(), NOW, headers={"content-type": "application/json", "webhook-id": "msg_1"})
        if "typeform" in file.name:
            mapping = {"site": {"field": "readable_ref_multiple_choice", "values": {"London": "bernburg"}}}
            sender = form_source(tmp_path, preset="typeform", map=mapping)
            report = reported(form.parse(sent, sender)[0])
            assert "What is your first name?: Laura" in (report.description or "")
            assert "London, Sydney" in (report.description or "")
        else:
            content = organisation()
            (tmp_path / "secret").write_text("whsec_Z2VoZWlt")
            content["sources"]["formbricks"] = {
                "type": "standard-webhooks",
                "secret_file": str(tmp_path / "secret"),
                "only": "event == 'responseFinished'",
                "fields": "data.data",
                "map": {"site": {"field": "welcome_card_cta", "values": {"clicked": "bernburg"}}},
            }
            sender = senders(Configuration.model_validate(content))["formbricks"]
            report = reported(standard_webhooks.parse(sent, sender)[0])
            assert report.description == "newsletter_consent: accepted"
        assert report.site == "bernburg"


def test_a_fault_in_a_signed_report_is_named_where_it_stands(tmp_path: Path) -> None:
    content = organisation()
    (tmp_path / "secret").write_text("whsec_Z2VoZWlt")
    content["sources"]["signed"] = {
        "type": "standard-webhooks", "kind": "form", "secret_file": str(tmp_path / "secret"),
    }  # fmt: skip
    sender = senders(Configuration.model_validate(content))["signed"]
    body = json.dumps({"type": "x", "data": {"site": "bernburg", "foo": 1, "danger_level": 9}}).encode()
    with pytest.raises(Refusal) as refused:
        standard_webhooks.parse(Message(body, NOW, headers={"content-type": "application/json"}), sender)
    assert {fault.pointer for fault in refused.value.errors} == {"/data/foo", "/data/danger_level"}
    assert {fault.field for fault in refused.value.errors} == {"foo", "danger_level"}
