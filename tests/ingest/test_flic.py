"""Flic's cloud buttons: a JWT that Flic signed, and the secret in the address."""

import base64
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.configuration import Configuration
from schemas.events import Event, Heartbeat, PoliceWish
from services.common.configuration.file import ConfigurationError, load
from services.common.flic import FLIC_KEY, read_key
from services.ingest.api.problems import Refusal
from services.ingest.sender import Sender, senders
from services.ingest.sources.flic import EMITTER
from services.ingest.sources.shape import Message
from tests.ingest.support import NOW, reported
from tests.support.organisation import organisation, write_configuration

SECRET = "s3cret"
OURS, FOREIGN = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
CLAIMS: dict[str, Any] = {
    "exp": int((NOW + timedelta(hours=1)).timestamp()),
    "buttonUuid": "336c33540c134a929824e41c0bd3c377",
    "buttonSerialNumber": "BC44-B06243",
    "buttonBatteryStatus": "high",
    "pressedAt": "2026-01-05T09:12:30+01:00",
    "clickType": "click",
}


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def flic(directory: Path, **changes: Any) -> Sender:
    (directory / "flic.secret").write_text(SECRET)
    content = organisation()
    content["sources"]["flic"] = {
        "type": "flic", "kind": "panic", "secret_file": "flic.secret", "public_key": pem(OURS),
        "devices": {"BC44-B06243": {"site": "bernburg", "location": "Zimmer 112"}},
        "presses": {"long": {"danger_level": 3, "police": "wanted"}},
    } | changes  # fmt: skip
    return senders(Configuration.model_validate(content), directory / "config.yaml")["flic"]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Sender:
    return flic(tmp_path_factory.mktemp("flic"))


def token(key: object = OURS, algorithm: str = "ES256", **changes: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm)  # type: ignore[arg-type]


def press(sender: Sender, said: object, secret: str = SECRET) -> list[Event]:
    body = said if isinstance(said, bytes) else json.dumps({"token": said}).encode()
    message = Message(body, NOW, "POST", {"content-type": "application/json"}, {"secret": secret})
    assert EMITTER.verify is not None
    EMITTER.verify(message, sender)
    return [event for event in EMITTER.parse(message, sender) if isinstance(event, Event)]


def refused(sender: Sender, said: object, secret: str = SECRET) -> Refusal:
    with pytest.raises(Refusal) as caught:
        press(sender, said, secret)
    return caught.value


def test_a_press_with_its_battery(office: Sender) -> None:
    first, battery = press(office, token())
    report = reported(first)
    assert (report.site, report.location, report.device_id) == ("bernburg", "Zimmer 112", "BC44-B06243")
    assert (report.danger_level, report.warnings) == (None, ())
    assert isinstance(battery.data, Heartbeat)
    assert battery.data.battery == 0.9


@pytest.mark.parametrize(("click", "level"), [("click", None), ("double_click", None), ("hold", 3), ("new", None)])
def test_every_click_is_a_press(office: Sender, click: str, level: int | None) -> None:
    report = reported(press(office, token(clickType=click))[0])
    assert report.danger_level == level
    assert report.police == (PoliceWish.WANTED if level == 3 else PoliceWish.NONE)


def test_the_same_token_is_the_same_press_and_a_new_one_is_not(office: Sender) -> None:
    once = token()
    assert press(office, once)[0].id == press(office, once)[0].id
    assert press(office, token())[0].id != press(office, token())[0].id


def test_a_button_that_nobody_registered_alarms_all_the_same(office: Sender) -> None:
    report = reported(press(office, token(buttonSerialNumber="XX00-X00000", pressedAt="yesterday"))[0])
    assert (report.site, report.device_id, len(report.warnings)) == (None, "XX00-X00000", 2)


def test_a_known_uuid_does_too(tmp_path: Path) -> None:
    sender = flic(tmp_path, devices={CLAIMS["buttonUuid"]: {"site": "stassfurt"}})
    assert reported(press(sender, token())[0]).site == "stassfurt"


@pytest.mark.parametrize(
    "said",
    [
        token(FOREIGN),
        token("flic's public key is public, so nobody may sign with it", "HS256"),
        jwt.encode(CLAIMS, "", algorithm="none"),
        jwt.encode({"clickType": "click"}, OURS, algorithm="ES256"),
        "", "a.b.c", "ü", None, 1, [], b"", b"{", b"\xff", b"[" * 60_000, '{"alg":' * 5000,
    ],
)  # fmt: skip
def test_what_flic_did_not_sign_is_no_press(office: Sender, said: object) -> None:
    assert refused(office, said).status == 401


def test_a_token_signed_with_the_public_key_as_if_it_were_a_secret(office: Sender) -> None:
    def part(raw: bytes) -> bytes:
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    # By hand: the library would not make such a forgery.
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(CLAIMS).encode())
    mac = part(hmac.digest(pem(OURS).encode(), signed, "sha256"))
    assert refused(office, (signed + b"." + mac).decode()).status == 401


def test_an_old_token_is_no_press(office: Sender) -> None:
    found = refused(office, token(exp=int(NOW.timestamp()) - 301))
    assert (found.status, "expired" in found.detail) == (401, True)
    assert press(office, token(exp=int(NOW.timestamp()) - 299))
    assert refused(office, token(exp="tomorrow")).status == 401


@pytest.mark.parametrize("secret", ["", "wrong", "s3cret "])
def test_flics_signature_alone_does_not_do(office: Sender, secret: str) -> None:
    assert refused(office, token(), secret).status == 401


def test_flics_own_key_is_built_in(tmp_path: Path) -> None:
    assert read_key(FLIC_KEY)
    assert refused(flic(tmp_path, public_key=None), token()).status == 401


@pytest.mark.parametrize("wrong", ["nothing", FLIC_KEY.replace("MFkw", "MFkx"), FLIC_KEY[:60]])
def test_a_wrong_key_is_a_mistake_of_the_configuration(tmp_path: Path, wrong: str) -> None:
    def change(content: dict[str, Any]) -> None:
        content["sources"]["flic"] = {"type": "flic", "kind": "panic", "secret_file": "x", "public_key": wrong}

    with pytest.raises(ConfigurationError, match=r"sources\.flic\.public_key"):
        load(write_configuration(tmp_path / "config.yaml", change))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400) | st.text(max_size=200))
def test_nothing_but_a_401_comes_of_anything_else(office: Sender, said: object) -> None:
    assert refused(office, said).status == 401


CLAIM = st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9) | st.lists(st.text(max_size=3))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([name for name in CLAIMS if name != "exp"]), CLAIM))
def test_whatever_flic_signs_is_a_press(office: Sender, claims: dict[str, Any]) -> None:
    assert reported(press(office, token(**claims))[0])
