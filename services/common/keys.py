"""API keys of sources: the sender keeps the key, the configuration only its hash."""

import hashlib
import secrets

_BYTES = 32


def key_hash(key: str) -> str:
    """What stands in the configuration as `key_sha256`."""
    return hashlib.sha256(key.encode()).hexdigest()


def new_key() -> str:
    """A random key; the prefix makes it findable where it must not be, such as in a repository."""
    return f"rk_{secrets.token_urlsafe(_BYTES)}"
