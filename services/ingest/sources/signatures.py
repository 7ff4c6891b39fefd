"""Is this message from who signed it? HMACs over raw bytes; a malformed header is a 401 like a wrong one."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

from services.ingest.api.problems import Refusal

WINDOW_S: Final = 300
"""Seconds that a message's time may differ from ours, so that a recorded one cannot be played back later."""


def refused(detail: str) -> Refusal:
    """401 for a sender that proves itself by something else than an API key."""
    return Refusal(401, detail, headers={"WWW-Authenticate": 'Signature realm="rufkette"'})


def standard_key(secret: bytes) -> bytes | None:
    """The key in a Standard Webhooks secret: `whsec_` and base64, with or without padding; None if it is none."""
    encoded = secret.strip().removeprefix(b"whsec_")
    try:
        key = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key or None


def _ascii(text: str) -> bytes:
    # Compared as bytes: hmac.compare_digest refuses text beyond ASCII.
    return text.encode("latin-1", errors="replace")


def verify_standard(headers: Mapping[str, str], body: bytes, secret: bytes, now: datetime) -> str:
    """The message's id, once it is known to be signed as https://www.standardwebhooks.com says.

    Raises:
        Refusal: 401.
    """
    given = [headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")]
    if not all(given):
        raise refused("The headers webhook-id, webhook-timestamp and webhook-signature are needed.")
    message_id, timestamp, signatures = given
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise refused("The header webhook-timestamp is not a number of seconds.")
    if abs(now.timestamp() - int(timestamp)) > WINDOW_S:
        raise refused("The header webhook-timestamp is more than 5 minutes off. Send it anew, and compare the clocks.")
    expected = _standard(secret, message_id, timestamp, body)
    # Several signatures stand there while a secret is being replaced.
    if not any(hmac.compare_digest(expected, _ascii(one)) for one in signatures.split(" ")):
        raise refused("No signature in webhook-signature fits. Compare the secret with the source's secret_file.")
    return message_id


def sign_standard(secret: bytes, message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers of a message of ours, as `verify_standard` checks them."""
    timestamp = str(int(now.timestamp()))
    signature = _standard(secret, message_id, timestamp, body).decode()
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def _standard(secret: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    signed = b".".join([_ascii(message_id), _ascii(timestamp), body])
    return b"v1," + base64.b64encode(hmac.new(standard_key(secret) or secret, signed, hashlib.sha256).digest())


def verify_header(
    headers: Mapping[str, str],
    body: bytes,
    secret: bytes,
    *,
    header: str,
    algorithm: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256",
    encoding: Literal["hex", "base64"] = "hex",
    prefix: str = "",
) -> None:
    """Check an HMAC over the body in a header.

    Raises:
        Refusal: 401.
    """
    given = headers.get(header.lower(), "").strip()
    if not given:
        raise refused(f"The header {header} with the message's signature is missing.")
    if not given.startswith(prefix):
        raise refused(f"The header {header} does not start with {prefix}")
    digest = hmac.new(secret, body, algorithm).digest()
    said = given[len(prefix) :]
    if encoding == "hex":
        fits = hmac.compare_digest(digest.hex().encode(), _ascii(said.lower()))
    else:
        fits = hmac.compare_digest(base64.b64encode(digest).rstrip(b"="), _ascii(said.rstrip("=")))
    if not fits:
        raise refused(f"The signature in {header} does not fit. Compare the secret with the source's secret_file.")
