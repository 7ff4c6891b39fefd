"""What `rufkette deliveries` does: reads the mails, and writes them as a table, CSV or JSON."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from schemas.events import Mode
from services.alerting.database import create_engine, single_statement
from services.alerting.mailing.deliveries import Delivery, deliveries, find_incidents
from services.commands.failures import cause_of
from services.commands.office import OfficeSettings
from services.common.configuration import file as configuration_file

FORMATS = ("text", "csv", "json")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"(\d{1,6})([smhd])")


class DeliveriesFailed(Exception):
    """One line for the person at the command line; `usage`: they asked for what there is not."""

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of the command."""

    incident: str | None
    since: str | None
    format: str
    limit: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What is printed, and a word on stderr about what is not."""

    output: str
    remark: str | None = None


def run(wish: Wish, settings: OfficeSettings, now: datetime) -> Answer:
    """The mails as they are printed.

    Raises:
        DeliveriesFailed: see there.
        services.common.configuration.file.ConfigurationError: the configuration has mistakes.
    """
    if wish.format not in FORMATS:
        raise DeliveriesFailed(f"--format {wish.format}: write text, csv or json", usage=True)
    zone = ZoneInfo(configuration_file.load(settings.config).organisation.timezone)
    since = None if wish.since is None else parse_since(wish.since, now, zone)
    try:
        found, total = asyncio.run(_read(settings, wish, since))
    except (SQLAlchemyError, OSError) as error:
        raise DeliveriesFailed(f"cannot read the database: {cause_of(error)}") from None
    left_out = total - len(found)
    remark = f"{left_out} older mails are left out; --limit {total} shows all" if left_out else None
    write = {"text": as_text, "csv": as_csv, "json": as_json}[wish.format]
    return Answer(write(found, zone), remark)


def parse_since(text: str, now: datetime, zone: tzinfo) -> datetime:
    """`2h`, `3d`, a date, or a date and time, which is local unless it says otherwise.

    Raises:
        DeliveriesFailed: it is none of these.
    """
    try:
        if span := _SPAN.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        given = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        example = "write for example 2h, 3d, 2026-01-05 or 2026-01-05T08:00"
        raise DeliveriesFailed(f"--since {text}: {example}", usage=True) from None
    return given if given.tzinfo else given.replace(tzinfo=zone)


async def _read(settings: OfficeSettings, wish: Wish, since: datetime | None) -> tuple[list[Delivery], int]:
    database = create_engine(settings.database_url.get_secret_value())
    try:
        # Without a transaction: on a busy machine it would stand idle for longer than PostgreSQL lets it.
        async with single_statement(database) as connection:
            ids = None
            if wish.incident is not None:
                ids = await find_incidents(connection, wish.incident)
                if not ids:
                    raise DeliveriesFailed(f"there is no incident {wish.incident}: write its code or its full id")
            return await deliveries(connection, incident_ids=ids, since=since, limit=wish.limit)
    finally:
        await database.dispose()


def as_json(found: Sequence[Delivery], _: tzinfo) -> str:
    """A list of objects; times in UTC."""
    rows = [asdict(delivery) | {"code": delivery.code} for delivery in found]
    return json.dumps(rows, default=_instant, ensure_ascii=False, indent=2)


def as_csv(found: Sequence[Delivery], _: tzinfo) -> str:
    """One line a mail; failed attempts are a column of `number via answer`, separated by semicolons. Times in UTC."""
    columns = [name for name in Delivery.__dataclass_fields__ if name != "failed"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["code", *columns, "failed"])
    for delivery in found:
        values = [getattr(delivery, name) for name in columns]
        cells = [_instant(value) if isinstance(value, datetime) else value for value in values]
        failed = "; ".join(f"{one.number} {one.via} {one.answer}" for one in delivery.failed)
        writer.writerow([_harmless(cell) for cell in (delivery.code, *cells, failed)])
    return out.getvalue().rstrip("\n")


def as_text(found: Sequence[Delivery], zone: tzinfo) -> str:
    """A table for people, in local time; below a mail the answers of its failed attempts."""
    if not found:
        return "no mails"
    head = ("wanted", "incident", "site", "mail", "to", "state", "attempts", "answered", "via", "answer")
    rows = [head, *(_cells(delivery, zone) for delivery in found)]
    # The last column is as long as a mail server likes.
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    lines = [_line(rows[0], widths)]
    for delivery, row in zip(found, rows[1:], strict=True):
        lines += [_line(row, widths), *_attempt_lines(delivery, zone)]
    return "\n".join(lines)


def _cells(delivery: Delivery, zone: tzinfo) -> tuple[str, ...]:
    what = delivery.purpose
    if delivery.step is not None:
        what += f" {delivery.step}" + (f" repeat {delivery.repetition}" if delivery.repetition else "")
        what += f" cycle {delivery.cycle}" if delivery.cycle else ""
    what += " (exercise)" if delivery.mode == Mode.EXERCISE else ""
    return (
        _local(delivery.created_at, zone),
        delivery.code or "-",
        delivery.site or "-",
        what,
        f"{_plain(delivery.recipient)} ({delivery.role})",
        delivery.state,
        str(delivery.attempts),
        _local(delivery.answered_at, zone),
        delivery.via or "-",
        _plain(delivery.answer or "-"),
    )


def _attempt_lines(delivery: Delivery, zone: tzinfo) -> Iterator[str]:
    for one in delivery.failed:
        yield f"    attempt {one.number}, {_local(one.at, zone)}, {one.via}: {_plain(one.answer)}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
    return "  ".join([*padded, row[-1]]).rstrip()


def _local(at: datetime | None, zone: tzinfo) -> str:
    return "-" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _plain(text: str) -> str:
    """What a mail server said must not steer the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _harmless(cell: object) -> object:
    """What a mail server said must not be a formula in a spreadsheet."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t")) else cell
