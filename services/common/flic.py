"""The key that Flic signs with: a token of Flic's shows that one of its buttons was pressed, not whose."""

from functools import lru_cache
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

FLIC_KEY: Final = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEtOBY/7kJlAPE19qweawQlQah10rO
Qzhaxfjlen4RasPBJtlQb8ygoBW1lMMvahxZHMKMTjehvqLk+hcLxPyORg==
-----END PUBLIC KEY-----
"""
"""For webhooks, as Flic publishes it with the documentation of its cloud buttons."""


@lru_cache(maxsize=16)
def read_key(pem: str) -> EllipticCurvePublicKey:
    """A public key on the curve P-256.

    Raises:
        ValueError: it is something else.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is no public key in PEM") from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("is a key of another kind")  # noqa: TRY004 – what is wrong is what the text says
    return key
