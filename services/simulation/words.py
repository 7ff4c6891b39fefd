"""Times, durations and steps as all outputs write them."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from services.alerting.core.effects import Purpose
from services.simulation.timeline import Mail

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def clock(local: datetime, *, seconds: bool = False) -> str:
    """`Mon 2026-01-05 09:12`."""
    return (
        f"{_DAYS[local.weekday()]} {local.isoformat(' ', 'seconds' if seconds else 'minutes')[: 19 if seconds else 16]}"
    )


def span(duration: timedelta) -> str:
    """`0m`, `1m30s`, `2h05m`, `3d 01h00m`."""
    total = int(duration.total_seconds())
    sign, total = ("-" if total < 0 else ""), abs(total)
    days, hours, minutes, seconds = total // 86400, total // 3600 % 24, total // 60 % 60, total % 60
    rest = f"{seconds:02}s" if seconds else ""
    if days:
        return f"{sign}{days}d {hours:02}h{minutes:02}m{rest}"
    if hours:
        return f"{sign}{hours}h{minutes:02}m{rest}"
    return f"{sign}{minutes}m{rest}" if minutes or not rest else f"{sign}{seconds}s"


def step(mail: Mail) -> str:
    """Which step a mail belongs to (`2`, `3 again`, `emergency`), or what it tells instead of an alarm."""
    if mail.purpose is not Purpose.ALARM:
        text = mail.purpose.value.replace("_", " ")
    else:
        text = "emergency" if mail.step == 0 else str(mail.step)
        if mail.repetition:
            text += " again"
    return f"{text}, refused" if mail.refused else text


def columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows as lines with aligned columns; a row with fewer cells lets its last one run on."""
    known = list(rows)
    count = max((len(row) for row in known), default=0)
    widths = [max((len(row[i]) for row in known if len(row) > i + 1), default=0) for i in range(count)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]).rstrip()
        for row in known
    ]


def count(number: int, one: str, several: str | None = None) -> str:
    """`1 mail`, `2 mails`."""
    return f"{number} {one if number == 1 else several or one + 's'}"
