"""What `rufkette report` does: figures from the database, in the format asked for, frozen or compared."""

import asyncio
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from schemas.configuration import Organisation
from services.alerting.reporting.formats import Document, Frozen, Tampered, as_csv, changes, document
from services.alerting.reporting.reports import FIRST_YEAR, LAST_YEAR, open_reporting
from services.alerting.reporting.text import as_text
from services.alerting.reporting.words import WORDS
from services.commands.failures import cause_of
from services.commands.office import OfficeSettings
from services.common.telemetry import installed_version

FORMATS = ("text", "csv", "json")


class ReportFailed(Exception):
    """One line for the person at the command line; `usage`: they asked for what there is not."""

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of the command."""

    year: int
    as_of: str | None
    format: str
    freeze: Path | None
    compare: Path | None
    ids: bool


def run(wish: Wish, settings: OfficeSettings) -> str:
    """The report as it is printed.

    Raises:
        ReportFailed: see there.
        services.common.configuration.file.ConfigurationError: the configuration has mistakes.
    """
    if not FIRST_YEAR <= wish.year <= LAST_YEAR:
        raise ReportFailed(f"YEAR: write a year from {FIRST_YEAR} to {LAST_YEAR}, for example 2026", usage=True)
    if wish.format not in FORMATS:
        raise ReportFailed(f"--format {wish.format}: write text, csv or json", usage=True)
    try:
        as_of = date.fromisoformat(wish.as_of) if wish.as_of else None
    except ValueError:
        raise ReportFailed(f"--as-of {wish.as_of}: write a date such as 2026-12-31", usage=True) from None
    if as_of is not None and as_of.year > LAST_YEAR:
        raise ReportFailed(f"--as-of: write a date until {LAST_YEAR}", usage=True)
    frozen = _frozen(wish.compare, wish.year)
    report, organisation, site_names = _read(settings, wish.year, as_of)
    _freeze(report, wish.freeze)
    if frozen is not None:
        report["changes"] = changes(frozen.report, report)
    if wish.format == "json":
        return json.dumps(report, ensure_ascii=False, indent=2)
    if wish.format == "csv":
        return as_csv(report).replace("\r\n", "\n").rstrip("\n")
    words = WORDS[organisation.language]
    return as_text(report, words, organisation.name, site_names, ids=wish.ids).rstrip("\n")


def remark(wish: Wish, today: date) -> str | None:
    """What the report does not say itself, because it is the same whenever it is made."""
    if wish.as_of is not None and date.fromisoformat(wish.as_of) >= today:
        return f"--as-of {wish.as_of} is not over: what is recorded until then will count, too"
    return None


def _frozen(file: Path | None, year: int) -> Frozen | None:
    if file is None:
        return None
    try:
        frozen = Frozen.read(file)
    except Tampered as error:
        raise ReportFailed(str(error)) from None
    except OSError as error:
        raise ReportFailed(f"cannot read {file}: {error.strerror}") from None
    if frozen.report.get("year") != year:
        raise ReportFailed(f"{file} holds the report of {frozen.report.get('year')}, not of {year}", usage=True)
    return frozen


def _freeze(report: Document, file: Path | None) -> None:
    if file is None:
        return
    try:
        Frozen(report, installed_version()).write(file)
    except FileExistsError:
        raise ReportFailed(f"{file} exists already; what was frozen stays as it is: name another file") from None
    except OSError as error:
        raise ReportFailed(f"cannot write {file}: {error.strerror}") from None


def _read(settings: OfficeSettings, year: int, as_of: date | None) -> tuple[Document, Organisation, dict[str, str]]:
    async def work() -> tuple[Document, Organisation, dict[str, str]]:
        async with open_reporting(settings) as reporting:
            found = await reporting.year(year, as_of)
            configuration = reporting.rules.configuration
            names = {key: site.name for key, site in configuration.sites.items()}
            return document(found, WORDS[configuration.organisation.language]), configuration.organisation, names

    try:
        return asyncio.run(work())
    except (SQLAlchemyError, OSError) as error:
        raise ReportFailed(f"cannot read the database: {cause_of(error)}") from None
