"""The page that says why another one cannot be shown; above all, whom to call."""

from collections.abc import Sequence
from typing import Final

import structlog
from starlette.responses import Response

from services.alerting.desk.pages import page
from services.alerting.desk.view import PAGE_WORDS

log = structlog.get_logger()

POLICE: Final = "110"


def notice(status: int, kind: str, *, language: str, phone: str = POLICE, contacts: Sequence[str] = ()) -> Response:
    """`kind` is a key of the pages' `notices`; `contacts` are offered besides `phone`."""
    log.warning("page.refused", status=status, problem=kind)
    values = {"language": language, "w": PAGE_WORDS[language], "kind": kind, "phone": phone, "contacts": contacts}
    return page("notice.html", values, status, {"Retry-After": "5"} if status == 503 else None)


def unavailable(error: Exception, *, language: str) -> Response:
    """The database is away; nothing was written."""
    log.error("page.unavailable", error=type(error).__name__, exc_info=error)
    return notice(503, "unavailable", language=language)
