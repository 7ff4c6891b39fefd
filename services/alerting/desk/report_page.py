"""The yearly report as a page and as a table for spreadsheets: figures and event ids, nothing about persons."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from fastapi import APIRouter, Request
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from services.alerting.desk.notice import notice, unavailable
from services.alerting.desk.pages import HEADERS, page
from services.alerting.reporting import text as report_text
from services.alerting.reporting.formats import Document, as_csv, document, flat_ids
from services.alerting.reporting.reports import FIRST_YEAR, LAST_YEAR, Reporting
from services.alerting.reporting.words import WORDS, ReportWords

_ADDRESS: Final = re.compile(r"(\d{4})(\.csv)?")
_BYTE_ORDER_MARK: Final = "\ufeff"
"""Without it, spreadsheets take UTF-8 for something else."""


@dataclass(frozen=True, slots=True)
class _ReportPage:
    reporting: Callable[[], Reporting]

    async def answer(self, request: Request) -> Response:
        reporting = self.reporting()
        language = reporting.rules.configuration.organisation.language
        found = _ADDRESS.fullmatch(request.path_params["year"])
        if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
            return notice(404, "no_report", language=language)
        as_of = None
        if given := request.query_params.get("as_of"):
            try:
                as_of = date.fromisoformat(given)
            except ValueError:
                return notice(404, "no_report", language=language)
            if as_of.year > LAST_YEAR:
                return notice(404, "no_report", language=language)
        words = WORDS[language]
        try:
            report = document(await reporting.year(int(found[1]), as_of), words)
        except (DBAPIError, OSError) as error:
            return unavailable(error, language=language)
        if found[2]:
            name = {"Content-Disposition": f'attachment; filename="report-{found[1]}.csv"'}
            return Response(_BYTE_ORDER_MARK + as_csv(report), media_type="text/csv", headers=HEADERS | name)
        return page("report.html", _values(report, words, reporting, given or ""))


def _values(report: Document, words: ReportWords, reporting: Reporting, as_of: str) -> dict[str, Any]:
    configuration = reporting.rules.configuration
    names = {key: site.name for key, site in configuration.sites.items()}
    year = report["year"]
    return {
        "language": words.code,
        "w": words,
        "title": words.title.format(year=year),
        "organisation": configuration.organisation.name,
        "as_of": words.as_of.format(day=report["as_of"]) if report["as_of"] else None,
        "headline": report_text.headline(report, words),
        "waits": report_text.waits(report, words),
        "tables": [*report_text.tables(report, words, names), report_text.excluded(report, words)],
        "notes": report["notes"],
        "definitions": list(report["definitions"].values()),
        "ids": [(name, ids) for name, ids in flat_ids(report).items() if ids],
        "csv": f"{year}.csv" + (f"?as_of={as_of}" if as_of else ""),
        "years": [(other, f"{other}") for other in (year - 1, year + 1)],
    }


def report_router(reporting: Callable[[], Reporting]) -> APIRouter:
    """The routes `/reports/{year}` and `/reports/{year}.csv`, both also with `?as_of=DATE`."""
    router = APIRouter(include_in_schema=False)
    found = _ReportPage(reporting)

    async def answer(request: Request) -> Response:
        return await found.answer(request)

    router.add_api_route("/reports/{year}", answer, methods=["GET", "HEAD"], response_model=None)
    return router
