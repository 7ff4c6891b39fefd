"""The page `/plans`: announced tests and planned silences, listed, made and ended early.

Like the board it has no login of its own: whoever can reach the desk can use it, so it belongs behind a proxy that
asks who somebody is. A form that another site sends from somebody's browser is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from fastapi import APIRouter, Request
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from services.alerting.core.plans import AnnouncedTest
from services.alerting.core.policy import Rules
from services.alerting.desk.notice import unavailable
from services.alerting.desk.pages import page, see_other
from services.alerting.desk.planning import Planning
from services.alerting.desk.plans_form import Wish, name_mistakes, understand
from services.alerting.desk.plans_view import plans_page
from services.alerting.desk.posted import NotAForm, form_body, from_here
from services.alerting.desk.texts.plans import PLAN_WORDS
from services.alerting.desk.view import PAGE_WORDS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Plans:
    planning: Planning
    rules: Callable[[], Rules]
    clock: Callable[[], datetime]

    async def show(self, request: Request) -> Response:
        return await self._page(Wish(), [], 200, request.query_params.get("done", ""))

    async def act(self, request: Request) -> Response:
        rules, now = self.rules(), self.clock()
        language = rules.configuration.organisation.language
        words, said = PLAN_WORDS[language], PAGE_WORDS[language]
        if not from_here(request):
            return await self._page(Wish(), [said.foreign], 403)
        try:
            wish = Wish.parse(await form_body(request))
        except (NotAForm, ValueError):
            return await self._page(Wish(), [said.action_unknown], 400)
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
        return await self._page(wish, [said.action_unknown], 422)

    async def _page(self, wish: Wish, mistakes: list[str], status: int, done: str = "") -> Response:
        if status != 200:
            log.warning("page.refused", status=status, problem="plan")
        values = plans_page(await self.planning.planned(), self.rules(), self.clock(), wish, mistakes, done)
        return page("plans.html", values, status)


def plans_router(planning: Planning, rules: Callable[[], Rules], clock: Callable[[], datetime]) -> APIRouter:
    """The route `/plans`."""
    plans = _Plans(planning, rules, clock)
    router = APIRouter(include_in_schema=False)

    async def answer(request: Request) -> Response:
        try:
            return await (plans.act(request) if request.method == "POST" else plans.show(request))
        except (DBAPIError, OSError) as error:
            return unavailable(error, language=rules().configuration.organisation.language)

    router.add_api_route("/plans", answer, methods=["GET", "HEAD", "POST"], response_model=None)
    return router
