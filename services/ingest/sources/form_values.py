"""What a form's answer means for one field of the report: by a value table, or read as what the field takes."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from schemas.configuration_forms import Target, Value, plain
from schemas.events import Category, Mode, PoliceWish
from schemas.report_warnings import warning
from services.ingest.report_body import EXPECTED, LONGEST
from services.ingest.sender import Sites

_YES: Final = frozenset({"true", "ja", "yes", "wahr", "1", "on", "x", "an", "checked"})
_NO: Final = frozenset({"false", "nein", "no", "falsch", "0", "off", "aus", "unchecked"})
_ENUMS: Final[Mapping[str, frozenset[str]]] = {
    "category": frozenset(Category),
    "police": frozenset(PoliceWish),
    "mode": frozenset(Mode),
}
_WHOLE: Final = re.compile(r"-?\d{1,9}(\.0+)?", re.ASCII)
_GERMAN: Final = re.compile(
    r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})(?:,?\s+(?:um\s+)?(\d{1,2})[:.](\d\d)(?::(\d\d))?)?(?:\s*Uhr)?"
)
_ISO: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?")
_TIME_EXPECTED: Final = "a time such as 05.01.2026 09:12, 2026-01-05T09:12 or RFC 3339 with offset"


class Unfit(Exception):
    """The answer does not fit the report's field.

    Args:
        expected: what would fit.
    """

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


def shown(value: object) -> str:
    """An answer as people read it; several with commas between them."""
    if isinstance(value, bool):
        return "ja" if value else "nein"
    if isinstance(value, list):
        return ", ".join(text for text in map(shown, value) if text)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {text}" for key, text in ((k, shown(v)) for k, v in value.items()) if text)
    return "" if value is None else str(value).strip()


def tabled(table: Mapping[str, Value], answer: object) -> Value | None:
    """What a value table has for the answer; of several answers the gravest level, else the first that it has."""
    if isinstance(answer, list):
        found = [value for value in (tabled(table, one) for one in answer) if value is not None]
        levels = [value for value in found if isinstance(value, int) and not isinstance(value, bool)]
        return max(levels) if levels else next(iter(found), None)
    if isinstance(answer, bool):
        spellings = _YES if answer else _NO
        return next((value for key, value in table.items() if key in spellings), None)
    return table.get(plain(shown(answer)))


def read(target: Target, answer: object, sites: Sites) -> tuple[object, str | None]:
    """The answer as the field's value, and a warning if something had to be supposed.

    Raises:
        Unfit: it is none.
    """
    text = shown(answer)
    match target:
        case "danger_level":
            return _level(answer, text), None
        case "acute":
            return _truth(answer, text), None
        case "category" | "police" | "mode":
            return _word(target, text), None
        case "occurred_at":
            return _instant(text, sites)
        case "site":
            return _site(text, sites), None
        case _:
            return text, None


def _level(answer: object, text: str) -> int:
    if isinstance(answer, bool) or not _WHOLE.fullmatch(text) or not 0 <= int(float(text)) <= 3:
        raise Unfit(EXPECTED["danger_level"])
    return int(float(text))


def _truth(answer: object, text: str) -> bool:
    if isinstance(answer, bool):
        return answer
    if plain(text) in _YES:
        return True
    if plain(text) in _NO:
        return False
    raise Unfit("true or false, ja or nein")


def _word(target: str, text: str) -> str:
    if plain(text) not in _ENUMS[target]:
        raise Unfit(EXPECTED[target])
    return plain(text)


def _site(text: str, sites: Sites) -> str:
    found = sites.by_name(text)
    if found is None:
        raise Unfit(sites.expectation)
    return found


def _instant(text: str, sites: Sites) -> tuple[str, str | None]:
    """RFC 3339 as it is; what people and date fields write, in the organisation's time zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is not None and at.tzinfo is not None:
        return at.isoformat(timespec="seconds"), None
    german, iso = _GERMAN.fullmatch(text), _ISO.fullmatch(text)
    parts = german.group(3, 2, 1, 4, 5, 6) if german else iso.groups() if iso else None
    if parts is None:
        raise Unfit(_TIME_EXPECTED)
    year, month, day, hour, minute, second = (int(part) if part else 0 for part in parts)
    try:
        local = datetime.combine(date(year, month, day), time(hour, minute, second), ZoneInfo(sites.timezone))
    except ValueError:
        raise Unfit(_TIME_EXPECTED) from None
    said = None if parts[3] else warning("day_only")
    return local.isoformat(timespec="seconds"), said


def too_long(target: Target, text: str) -> bool:
    """Whether the field cannot hold so much."""
    return len(text) > LONGEST.get(target, len(text))
