"""Flic's cloud buttons: `{"token": JWT}`, posted by Flic's servers and signed by them with ES256.

Claims, as Flic documents them: `buttonSerialNumber`, `buttonUuid`, `buttonBatteryStatus` (unknown, low, medium, high),
`clickType` (click, double_click, hold), `pressedAt`, `exp`. One key signs for all of Flic's customers, so the secret in
the address is what shows whose button it is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
from jwt.types import Options

from schemas.configuration_patterns import Pressed
from schemas.configuration_sources import FlicSource
from services.common.flic import FLIC_KEY, read_key
from services.ingest.api import body
from services.ingest.api.problems import Refusal
from services.ingest.reports import Findings
from services.ingest.sender import Sender
from services.ingest.sources.devices import Meaning, Said
from services.ingest.sources.http_button import check_secret
from services.ingest.sources.lorawan import Frame, device, moment, said
from services.ingest.sources.shape import Emitter, Made, Message
from services.ingest.sources.signatures import WINDOW_S, refused

_ALGORITHM: Final = "ES256"
_OURS_TO_JUDGE: Final[Options] = {
    "require": ["exp"], "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False,
}  # fmt: skip
"""The library would ask the clock by itself, and refuse claims that Flic may add."""
_CLICKS: Final[Mapping[object, Pressed]] = {"click": "short", "double_click": "double", "hold": "long"}
_BATTERY: Final[Mapping[object, float]] = {"low": 0.1, "medium": 0.5, "high": 0.9}
"""A charge for each of Flic's words: `low` is below every `battery_low` that makes sense."""


def _verify(message: Message, sender: Sender) -> None:
    source = sender.source
    assert isinstance(source, FlicSource)
    check_secret(message, sender)
    try:
        claims = jwt.decode(
            _token(message), read_key(source.public_key or FLIC_KEY), algorithms=[_ALGORITHM], options=_OURS_TO_JUDGE
        )
        expired = float(claims["exp"]) + WINDOW_S < message.received_at.timestamp()
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
        raise refused(
            'The token is missing or not signed by Flic. Flic posts {"token": "…"}; see public_key of the source.'
        ) from None
    if expired:
        raise refused("The token has expired. Compare the clocks, here and over there.")


def _token(message: Message) -> str:
    try:
        value = body.parse_any(message.body)[0]
    except Refusal:
        value = None
    token = value.get("token") if isinstance(value, dict) else None
    return token if isinstance(token, str) else ""


def _claims(token: str) -> Mapping[str, Any]:
    """What a token says whose signature was checked before."""
    try:
        return jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return {}


def _parse(message: Message, sender: Sender) -> Sequence[Made]:
    """One press, with its battery.

    Raises:
        Refusal: 422 from a source that is not `kind: panic`, for a device that its register does not know.
    """
    token = _token(message)
    claims, findings = _claims(token), Findings()
    who = device((claims.get("buttonSerialNumber"), claims.get("buttonUuid")), sender, "/buttonSerialNumber")
    stated = claims.get("pressedAt")
    at = moment(stated, "pressedAt", message.received_at, findings) if stated is not None else None
    # Each token is signed anew, so the same one is the same press, delivered again.
    identity = hashlib.sha256(token.encode(errors="replace")).hexdigest() if token else None
    click, charge = claims.get("clickType"), claims.get("buttonBatteryStatus")
    frame = Frame(who, Said({}), identity, at, findings)
    meaning = Meaning(press=_CLICKS.get(click, "any") if isinstance(click, str) else "any")
    battery = _BATTERY.get(charge) if isinstance(charge, str) else None
    return said(frame, meaning, battery, sender, received_at=message.received_at)


EMITTER: Final = Emitter(_parse, _verify, status=200)  # Flic asks for exactly this
