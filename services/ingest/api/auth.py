"""Who is asking: API keys, of which only the SHA-256 is known here."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from schemas.configuration_sources import Source
from services.ingest.api.problems import Refusal

_CHALLENGE: Final = 'Bearer realm="rufkette"'


class Keyring:
    """The keys of all sources and of operators, compared in constant time and always against every source."""

    def __init__(self, sources: Mapping[str, Source], operator: str | None = None) -> None:
        self._names = tuple(sources)
        self._digests = [(name, bytes.fromhex(source.key)) for name, source in sources.items() if source.key]
        self._operator = bytes.fromhex(operator) if operator else None

    def holders(self, header: bytes | None) -> tuple[str, ...]:
        """The sources that the key in an `Authorization` header belongs to; usually exactly one.

        Raises:
            Refusal: 401 when there is no key, or one that nobody has.
        """
        digest = _digest(header)
        found = tuple([name for name, known in self._digests if hmac.compare_digest(digest, known)])
        if not found:
            raise _unauthorised(
                "No source has this key. Enter its SHA-256 as key_sha256 in the configuration (rufkette new-key "
                "makes a pair), and send SIGHUP to ingest.",
                ' error="invalid_token"',
            )
        return found

    def sees(self, header: bytes | None) -> tuple[str, ...]:
        """The sources that the holder of a key may look at: an operator all, a source itself.

        Raises:
            Refusal: 401 when there is no key, or one that nobody has.
        """
        if self._operator is not None and hmac.compare_digest(_digest(header), self._operator):
            return self._names
        return self.holders(header)


def _digest(header: bytes | None) -> bytes:
    if header is None:
        raise _unauthorised("The request has no key. Send the header Authorization: Bearer KEY.")
    scheme, _, key = header.strip().partition(b" ")
    if scheme.lower() != b"bearer" or not key.strip():
        raise _unauthorised("The Authorization header is malformed. Send Authorization: Bearer KEY.")
    return hashlib.sha256(key.strip()).digest()


def as_bearer(header: bytes | None, in_url: str | None = None) -> bytes | None:
    """An `Authorization` header with the key of a sender that cannot set one of type Bearer.

    Args:
        header: as it came. Of type Basic: the password is the key, or the name where there is no password.
        in_url: the key from the address, for a source that allows it; the header goes before.
    """
    if header is None:
        return b"Bearer " + in_url.encode("utf-8", errors="replace") if in_url else None
    scheme, _, encoded = header.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return header
    try:
        name, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return header
    return b"Bearer " + (password or name)


def _unauthorised(detail: str, more: str = "") -> Refusal:
    challenge = f"{_CHALLENGE},{more}" if more else _CHALLENGE
    return Refusal(401, detail, headers={"WWW-Authenticate": challenge})
