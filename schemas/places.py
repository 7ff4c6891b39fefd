"""When two texts name the same room, however people and devices spell it."""

import re
from functools import lru_cache
from typing import Final

_SEPARATORS: Final = re.compile(r"(?<!\d)[\s._-]+|[\s._-]+(?!\d)")
_ROOM_WORDS: Final = re.compile(r"^(zimmer|zi|raum|rm|room|büro|office)\b\.?\s*", re.IGNORECASE)


@lru_cache(maxsize=4096)
def normalise_place(text: str) -> str:
    """`Zi. 112`, `Raum 112` and `112` are one place; `1.12` and `11.2` are two, so what parts digits stays."""
    folded = " ".join(text.split()).casefold()
    return _SEPARATORS.sub("", _ROOM_WORDS.sub("", folded) or folded)
