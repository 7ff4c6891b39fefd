"""Links that open one incident for one recipient: signed, short, without a mail address in them.

A token never expires while its incident is open or taken over: the newest mail may be the only one somebody has.
"""

import base64
import binascii
import hashlib
import hmac
import struct
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from itsdangerous import BadSignature, Signer
from itsdangerous.signer import SigningAlgorithm

from services.alerting.core.incident import Incident, Recipient

AFTER_ISSUE: Final = timedelta(days=7)
AFTER_CLOSING: Final = timedelta(days=30)
"""How long measures and hand-overs can be added after an incident was closed."""

_HEAD: Final = struct.Struct(">B6sI")
_UUID, _TEXT = 0, 1
_SALT: Final = b"rufkette.desk"
_SIGNATURE_BYTES: Final = 16


class ForgedToken(ValueError):
    """The signature is not ours, or the token is damaged."""


class _ShortHmac(SigningAlgorithm):
    """HMAC-SHA-256 cut to 128 bits: half the length, and still nothing to guess.

    16 bytes in base64 end in A, Q, g or w, never in `-` or `_`, which some mail programs cut off a link.
    """

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")[:_SIGNATURE_BYTES]


@dataclass(frozen=True, slots=True)
class Access:
    """What a token opens."""

    incident_id: str
    recipient_key: str
    issued_at: datetime

    def is_for(self, recipient: Recipient) -> bool:
        """Whether the token was mailed to this recipient."""
        return recipient_key(recipient.email).hex() == self.recipient_key

    def good_until(self, incident: Incident) -> datetime | None:
        """When it expires, or None while the incident is not closed."""
        if incident.ended_at is None:
            return None
        return max(self.issued_at + AFTER_ISSUE, incident.ended_at + AFTER_CLOSING)


@lru_cache(maxsize=4096)
def recipient_key(email: str) -> bytes:
    """What stands for a mail address in a token."""
    return hashlib.sha256(email.casefold().encode()).digest()[:6]


class Tokens:
    """Issues and reads tokens. The first key signs, all verify, so that keys can be changed without breaking links."""

    def __init__(self, secret_keys: list[str]) -> None:
        if not secret_keys:
            raise ValueError("at least one secret key is needed")
        # What itsdangerous would derive anew for each link.
        derived = [hmac.digest(key.encode(), _SALT, "sha256") for key in secret_keys]
        # It signs with the last key of its list.
        self._signer = Signer(derived[::-1], sep=".", key_derivation="none", algorithm=_ShortHmac())

    def issue(self, incident_id: str, recipient_email: str, now: datetime) -> str:
        """A token for a link; about 60 characters, all of them safe in a URL."""
        form, subject = _pack_id(incident_id)
        head = _HEAD.pack(form, recipient_key(recipient_email), int(now.timestamp()))
        return self._signer.sign(base64.urlsafe_b64encode(head + subject).rstrip(b"=")).decode()

    def read(self, token: str) -> Access:
        """What the token opens; whether it has expired depends on the incident (`Access.good_until`).

        Raises:
            ForgedToken: it was not issued with one of our keys.
        """
        try:
            # Mail programs take what follows an address for part of it.
            payload = self._signer.unsign(token.rstrip(".,;:!?)>]'\" ").encode())
            raw = base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
            form, recipient, issued = _HEAD.unpack_from(raw)
            subject = raw[_HEAD.size :]
            incident_id = str(uuid.UUID(bytes=subject)) if form == _UUID else subject.decode()
        except (BadSignature, binascii.Error, struct.error, ValueError):
            raise ForgedToken("not a token of ours") from None
        return Access(incident_id, recipient.hex(), datetime.fromtimestamp(issued, UTC))


def _pack_id(incident_id: str) -> tuple[int, bytes]:
    """Most ids are UUIDs, which take 16 bytes instead of 36; any other id goes as it is."""
    try:
        as_uuid = uuid.UUID(incident_id)
    except ValueError:
        return _TEXT, incident_id.encode()
    return (_UUID, as_uuid.bytes) if str(as_uuid) == incident_id else (_TEXT, incident_id.encode())
