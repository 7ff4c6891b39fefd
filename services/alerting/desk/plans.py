"""The page `/plans`: announced tests and planned silences, listed, made and ended early.

Like the board it has no login of its own: whoever can reach the desk can use it, so it belongs behind a proxy that
asks who somebody is. A form that another site sends from somebody's browser is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Request
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from services.alerting.core.plans import AnnouncedTest
from services.alerting.core.policy import Rules
from services.alerting.desk.form import BODY_LIMIT
from services.alerting.desk.pages import page, see_other
from services.alerting.desk.planning import Planning
from services.alerting.desk.plans_form import Wish, name_mistakes, understand
from services.alerting.desk.plans_view import plans_page
from services.alerting.desk.texts.plans import PLAN_WORDS
from services.alerting.desk.view import PAGE_WORDS

log = structlog.get_logger()

_FORM_TYPE: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class _Plans:
    planning: Planning
    rules: Callable[[], Rules]
    clock: Callable[[], datetime]

    async def show(self, request: Request) -> Response:
        return await self._page(Wish(), [], 200, request.query_params.get("done", ""))

    async def act(self, request: Request) -> Response:
        rules, now = self.rules(), self.clock()
        words = PLAN_WORDS[rules.configuration.organisation.language]
        if not _from_here(request):
            return await self._page(Wish(), [words.foreign], 403)
        wish = await _wish(request)
        if wish is None:
            return await self._page(Wish(), [words.unknown_action], 400)
        match wish.action:
            case "announce" | "silence":
                plan, mistakes = understand(wish, words, rules, now)
                if plan is None:
                    return await self._page(wish, mistakes, 422)
                if isinstance(plan, AnnouncedTest):
                    await self.planning.announce(plan)
                    return see_other("./plans?done=announced")
                await self.planning.silence(plan)
                return see_other("./plans?done=planned")
            case "end":
                mistakes = name_mistakes(wish, words)
                if not mistakes and not await self.planning.end(wish.plan, wish.name[:120]):
                    mistakes = [words.already_over]
                return await self._page(wish, mistakes, 422) if mistakes else see_other("./plans?done=ended")
        return await self._page(wish, [words.unknown_action], 422)

    async def _page(self, wish: Wish, mistakes: list[str], status: int, done: str = "") -> Response:
        if status != 200:
            log.warning("page.refused", status=status, problem="plan")
        values = plans_page(await self.planning.planned(), self.rules(), self.clock(), wish, mistakes, done)
        return page("plans.html", values, status)

    def unavailable(self) -> Response:
        language = self.rules().configuration.organisation.language
        values: dict[str, Any] = {
            "language": language,
            "w": PAGE_WORDS[language],
            "kind": "unavailable",
            "phone": "110",
            "contacts": [],
        }
        return page("notice.html", values, 503, {"Retry-After": "5"})


def plans_router(planning: Planning, rules: Callable[[], Rules], clock: Callable[[], datetime]) -> APIRouter:
    """The route `/plans`."""
    plans = _Plans(planning, rules, clock)
    router = APIRouter(include_in_schema=False)

    async def answer(request: Request) -> Response:
        try:
            return await (plans.act(request) if request.method == "POST" else plans.show(request))
        except (DBAPIError, OSError) as error:
            log.exception("page.unavailable", error=type(error).__name__)
            return plans.unavailable()

    router.add_api_route("/plans", answer, methods=["GET", "HEAD", "POST"], response_model=None)
    return router


def _from_here(request: Request) -> bool:
    """Whether the form was sent from our own page: browsers say so, and programs that say nothing are believed."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    hosts = {request.headers.get("host"), request.headers.get("x-forwarded-host")}
    return origin is None or urlsplit(origin).netloc in hosts


async def _wish(request: Request) -> Wish | None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            return None
    try:
        return Wish.parse(bytes(body))
    except ValueError:
        return None
