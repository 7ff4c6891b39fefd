"""The page `/holds`: which incidents retention leaves alone, and why; placing and ending holds.

Like `/plans` it has no login of its own, and refuses forms that another site sends from somebody's browser.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from fastapi import APIRouter, Request
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from services.alerting.core.policy import Rules
from services.alerting.core.telling import Telling
from services.alerting.desk import holds_form
from services.alerting.desk.form import NAME_LIMIT, as_id
from services.alerting.desk.holding import Hold, Holding
from services.alerting.desk.holds_form import REASON_LIMIT, Wish
from services.alerting.desk.notice import unavailable
from services.alerting.desk.pages import page, see_other
from services.alerting.desk.posted import NotAForm, form_body, from_here
from services.alerting.desk.texts import PageWords
from services.alerting.desk.texts.holds import HOLD_WORDS, HoldWords
from services.alerting.desk.view import PAGE_WORDS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Holds:
    holding: Holding
    rules: Callable[[], Rules]
    clock: Callable[[], datetime]

    @property
    def words(self) -> HoldWords:
        return HOLD_WORDS[self.rules().configuration.organisation.language]

    @property
    def said(self) -> PageWords:
        return PAGE_WORDS[self.rules().configuration.organisation.language]

    async def show(self, request: Request) -> Response:
        asked = as_id(request.query_params.get("incident", ""))
        wish = Wish(action="place", incident=asked) if asked else Wish()
        return await self._page(wish, [], 200, request.query_params.get("done", ""))

    async def act(self, request: Request) -> Response:
        if not from_here(request):
            return await self._page(Wish(), [self.said.foreign], 403)
        try:
            wish = Wish.parse(await form_body(request))
        except (NotAForm, ValueError):
            return await self._page(Wish(), [self.said.action_unknown], 400)
        mistakes = [self.said.action_unknown]
        match wish.action:
            case "place":
                incident, mistakes = await holds_form.place(self.holding, wish, self.words)
                if incident is not None:
                    log.info("hold.placed", incident_id=incident.id)
                    return see_other("./holds?done=placed")
            case "end":
                incident, mistakes = await holds_form.end(self.holding, wish, self.words)
                if incident is not None:
                    log.info("hold.ended", incident_id=incident.id)
                    return see_other("./holds?done=ended")
        return await self._page(wish, mistakes, 422)

    async def _page(self, wish: Wish, mistakes: list[str], status: int, done: str = "") -> Response:
        if status != 200:
            log.warning("page.refused", status=status, problem="hold")
        rules, words = self.rules(), self.words
        values = {
            "language": rules.configuration.organisation.language,
            "h": words,
            "w": self.said,
            "organisation": rules.configuration.organisation.name,
            "holds": [_row(hold, rules, words, self.clock()) for hold in await self.holding.standing()],
            "wish": wish,
            "mistakes": mistakes,
            "confirmation": words.done.get(done),
            "limits": {"name": NAME_LIMIT, "reason": REASON_LIMIT},
        }
        return page("holds.html", values, status)


def _row(hold: Hold, rules: Rules, words: HoldWords, now: datetime) -> dict[str, Any]:
    told = Telling.of(hold.incident, rules, now)
    name = PAGE_WORDS[told.words.code].incident.format(code=hold.incident.code)
    return {
        "id": hold.incident.id,
        "incident": f"{name}: {told.short_place}, {told.clock(hold.incident.opened_at)}",
        "since": words.since.format(at=told.clock(hold.at), by=hold.by),
        "reason": hold.reason,
    }


def holds_router(holding: Holding, rules: Callable[[], Rules], clock: Callable[[], datetime]) -> APIRouter:
    """The route `/holds`; with `?incident=ID` the form speaks of that incident."""
    holds = _Holds(holding, rules, clock)
    router = APIRouter(include_in_schema=False)

    async def answer(request: Request) -> Response:
        try:
            return await (holds.act(request) if request.method == "POST" else holds.show(request))
        except (DBAPIError, OSError) as error:
            return unavailable(error, language=rules().configuration.organisation.language)

    router.add_api_route("/holds", answer, methods=["GET", "HEAD", "POST"], response_model=None)
    return router
