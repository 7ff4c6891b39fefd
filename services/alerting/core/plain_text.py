"""What others wrote, made fit for a line or a paragraph of ours."""

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=2048)
def one_line(text: str, limit: int = 300) -> str:
    """A text that stays within its line, header or sentence: no control characters, no line ends, not too long.

    Each mail and page says the same names of rooms, sites and people over and over.
    """
    return _one_line(text, limit)


def _one_line(text: str, limit: int) -> str:
    if not text.isprintable():
        # Line ends and controls part words; invisible formatting (direction marks, joiners) is dropped.
        text = "".join("" if unicodedata.category(c) == "Cf" else c if c.isprintable() else " " for c in text)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def many_lines(text: str, limit: int, shortened: str) -> str:
    """A free text with its own lines kept; cut at `limit` characters with a word about it."""
    cut = text[:limit]
    lines = "\n".join(_one_line(line, limit) for line in cut.splitlines()).strip()
    return f"{lines}\n{shortened}" if len(text) > limit else lines
