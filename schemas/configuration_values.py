"""Single values of the configuration: durations, addresses, charges; each says what would be right."""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

_UNITS = {"y": 365 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_LONGEST = 100 * _UNITS["y"]
_ADDRESS = re.compile(r"[^\s@<>,;:\"\\()\x00-\x1f]+@[^\s@<>,;:\"\\()\x00-\x1f]+")


def parse_duration(value: object) -> object:
    """`0s`, `2m`, `1h30m`, `10d`, `10y` (365 days a year) as a timedelta; 100 years at most."""
    if not isinstance(value, str):
        return value if isinstance(value, timedelta) else _refuse_duration(value)
    return _parsed(value)


@lru_cache(maxsize=512)
def _parsed(value: str) -> timedelta:
    """Every stored incident has its policy's durations."""
    if not re.fullmatch(r"(\d{1,12}[ydhms])+", value):
        _refuse_duration(value)
    seconds = sum(int(n) * _UNITS[u] for n, u in re.findall(r"(\d+)([ydhms])", value))
    if seconds > _LONGEST:  # a calendar has an end, and dates are counted from durations
        raise ValueError(f"{value!r} is too long; write 100y at most")
    return timedelta(seconds=seconds)


def _refuse_duration(value: object) -> object:
    raise ValueError(f"{value!r} is no duration; write for example 0s, 2m, 1h30m, 10d or 10y")


def is_address(value: str) -> bool:
    """Whether it is a mail address alone, as mail servers take it."""
    return bool(_ADDRESS.fullmatch(value)) and value.isascii()


def _address(value: str) -> str:
    if not is_address(value):
        raise ValueError(f"{value!r} is no mail address; write for example leitung@example.org")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone; write for example Europe/Berlin") from None
    return value


def _some_time(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("must be longer than 0s; write for example 25h")
    return value


def _some_time_or_never(value: object) -> object:
    if value == "never":
        return value
    try:
        every = parse_duration(value)
    except ValueError:
        raise ValueError(f"{value!r} is no duration; write for example 25h, or never") from None
    return _some_time(every) if isinstance(every, timedelta) else every


def _charge(value: float) -> float:
    if not 0 <= value <= 0.9:
        raise ValueError("must lie between 0 and 0.9; write for example 0.2 for 20 %")
    return value


class Model(BaseModel):
    """A part of the configuration: unknown keys are mistakes, and nothing changes it once it is read."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", populate_by_name=True)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(lambda duration: f"{int(duration.total_seconds())}s", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+[ydhms])+$", "examples": ["0s", "2m", "1h30m", "10d"]}),
]
Address = Annotated[str, AfterValidator(_address)]
Zone = Annotated[str, AfterValidator(_zone)]
Line = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\r\n]*$")]
Level = Annotated[int, Field(ge=0, le=3)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Every = Annotated[Duration, AfterValidator(_some_time)]
Charge = Annotated[float, AfterValidator(_charge), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 0.9})]
EveryOrNever = Annotated[
    Literal["never"] | timedelta,
    BeforeValidator(_some_time_or_never),
    PlainSerializer(lambda every: every if every == "never" else f"{int(every.total_seconds())}s", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(never|(\d+[ydhms])+)$", "examples": ["25h", "never"]}),
]
