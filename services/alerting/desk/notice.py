"""The page that says why another one cannot be shown; above all, whom to call."""

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from services.alerting.database import sqlstate
from services.alerting.desk.pages import page
from services.alerting.desk.view import PAGE_WORDS

log = structlog.get_logger()

POLICE: Final = "110"


def notice(
    status: int, kind: str, *, language: str, phone: str = POLICE, contacts: Sequence[str] = (), since: str = ""
) -> Response:
    """`kind` is a key of the pages' `notices`; `contacts` are offered besides `phone`.

    `since`: the day on which the incident ended, for a link that has expired.
    """
    log.warning("page.refused", status=status, problem=kind)
    return _page(status, kind, language, phone, contacts, since)


def unavailable(error: Exception, *, language: str) -> Response:
    """The database is away, or has a fault; nothing was written."""
    # Its absence is said elsewhere, and where in the libraries it was noticed says nothing.
    is_away = not isinstance(error, DBAPIError) or error.connection_invalidated or not sqlstate(error)
    log.error("page.unavailable", error=type(error).__name__, exc_info=None if is_away else error)
    return _page(503, "unavailable", language, POLICE)


def _page(status: int, kind: str, language: str, phone: str, contacts: Sequence[str] = (), since: str = "") -> Response:
    values = {"language": language, "w": PAGE_WORDS[language], "kind": kind, "phone": phone, "contacts": contacts}
    values["since"] = since
    return page("notice.html", values, status, {"Retry-After": "5"} if status == 503 else None)
