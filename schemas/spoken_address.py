"""A site's address as it is said on the phone."""

import re
from functools import lru_cache
from typing import Final

_POSTCODE: Final = re.compile(r"\b(?:DE?-)?\d{5}\b,?\s*")


@lru_cache(maxsize=512)
def spoken_address(address: str | None) -> tuple[str, str]:
    """Street and town without the postcode, and the entrance (after the first semicolon); empty where there is none.

    Who answers an emergency call asks for streets and towns, and five digits more are heard as a house number.
    """
    where, _, entrance = (address or "").partition(";")
    return _POSTCODE.sub("", where).strip(" ,"), entrance.strip()
