"""Incidents' codes: four characters to say on the phone ("Vorgang 7F3K")."""

import hashlib
from typing import Final

ALPHABET: Final = "23456789ACDEFHJKLMNPRTUVWXYZ"
"""No letters or digits that sound or look alike."""
_PAIRS: Final = [first + second for second in ALPHABET for first in ALPHABET]


def code_of(incident_id: str) -> str:
    """The code; several incidents may have the same one."""
    number = int.from_bytes(hashlib.sha256(incident_id.encode()).digest()[:4], "big")
    number, first = divmod(number, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[number % len(_PAIRS)]
