"""Incidents' codes: four characters to say on the phone ("Vorgang 7F3K")."""

import hashlib
from typing import Final

ALPHABET: Final = "23456789ACDEFHJKLMNPRTUVWXYZ"
"""No letters or digits that sound or look alike."""


def code_of(incident_id: str) -> str:
    """The code; several incidents may have the same one."""
    number = int.from_bytes(hashlib.sha256(incident_id.encode()).digest()[:4], "big")
    code = ""
    for _ in range(4):
        number, place = divmod(number, len(ALPHABET))
        code += ALPHABET[place]
    return code
