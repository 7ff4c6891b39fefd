"""Which room a text means, however people and devices spell it."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from schemas.configuration import Location

_SEPARATORS: Final = re.compile(r"(?<!\d)[\s._-]+|[\s._-]+(?!\d)")
_ROOM_WORDS: Final = re.compile(r"^(zimmer|zi|raum|rm|room|büro|office)\b\.?\s*", re.IGNORECASE)


@lru_cache(maxsize=4096)
def normalise_place(text: str) -> str:
    """`Zi. 112`, `Raum 112` and `112` are one place; `1.12` and `11.2` are two, so what parts digits stays."""
    folded = " ".join(text.split()).casefold()
    return _SEPARATORS.sub("", _ROOM_WORDS.sub("", folded) or folded)


def names_of(location: Location) -> tuple[str, ...]:
    """Id, name, short name and aliases."""
    return (location.id, location.name, location.short or location.name, *location.aliases)


def location_named(locations: Iterable[Location], text: str) -> Location | None:
    """The first location that the text means; None: it stands for itself."""
    wanted = normalise_place(text)
    for location in locations:
        if wanted in {normalise_place(name) for name in names_of(location)}:
            return location
    return None
