"""The desk's pages.

GET and HEAD never change anything, because mail scanners open links; only the POST of a mail's page acts.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Request
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from schemas.events import Kind
from services.alerting.core.effects import Action, Click, Decision, Reason
from services.alerting.core.incident import Incident
from services.alerting.core.policy import Rules
from services.alerting.core.telling import Telling
from services.alerting.desk import regrouping, view
from services.alerting.desk.devices import Devices, board_lines, list_page
from services.alerting.desk.form import Filled, understand
from services.alerting.desk.incidents import Incidents
from services.alerting.desk.notice import POLICE, notice, unavailable
from services.alerting.desk.pages import page, see_other
from services.alerting.desk.plans_view import board_lines as plan_lines
from services.alerting.desk.posted import NotAForm, form_body
from services.alerting.desk.texts.holds import HOLD_WORDS
from services.alerting.desk.texts.plans import PLAN_WORDS
from services.alerting.desk.texts.regrouping import REGROUP_WORDS
from services.alerting.desk.tokens import Access, ForgedToken, Tokens

_READ: Final = ["GET", "HEAD"]


class _Refusal(Exception):
    """Nothing can be shown or done; `kind` is a key of the pages' `notices`. The links of `incident` have expired."""

    def __init__(self, status: int, kind: str, incident: Incident | None = None) -> None:
        super().__init__(kind)
        self.status = status
        self.kind = kind
        self.incident = incident


class _Opened(NamedTuple):
    """What a link opens: `came_from` is the incident of the mail, `incident` the one that it became part of, if so."""

    access: Access
    came_from: Incident
    incident: Incident
    telling: Telling


@dataclass(frozen=True, slots=True)
class _Desk:
    incidents: Incidents
    devices: Devices
    rules: Callable[[], Rules]
    tokens: Tokens
    clock: Callable[[], datetime]
    mails_go: Callable[[], bool]

    async def board(self, request: Request) -> Response:
        values = view.board(await self.incidents.open(), self.rules(), self.clock())
        now, rules = self.clock(), self.rules()
        values["plans"] = plan_lines(await self.incidents.plans(), rules, now)
        language = rules.configuration.organisation.language
        values |= {"to_plans": PLAN_WORDS[language].board_link, "to_holds": HOLD_WORDS[language].link}
        values |= {"devices": board_lines(await self.devices.all(), self.rules()), "mails_go": self.mails_go()}
        return page("board.html", values)

    async def list_devices(self, request: Request) -> Response:
        states, tests = await self.devices.all(), await self.devices.last_tests()
        return page("devices.html", list_page(states, tests, self.rules(), self.clock()))

    async def look(self, request: Request) -> Response:
        incident = await self.incidents.find(request.path_params["incident_id"])
        if incident is None:
            raise _Refusal(404, "missing")
        telling = Telling.of(incident, self.rules(), self.clock())
        values = view.incident_page(telling, await self.incidents.timeline(incident.id))
        return page("incident.html", values | await self._around(telling))

    async def show(self, request: Request) -> Response:
        opened = await self._open(request)
        return await self._page(opened, done=request.query_params.get("done", ""))

    async def act(self, request: Request) -> Response:
        opened = await self._open(request)
        filled = await _filled(request)
        words = view.PAGE_WORDS[opened.telling.words.code]
        if _shows_another(opened, filled):
            # Nobody ends, or joins again, what they have not seen; taking over and calls count where it goes on.
            own = REGROUP_WORDS[opened.telling.words.code]
            return await self._page(opened, filled=filled, mistakes=[own.joined_meanwhile])
        if filled.action in (regrouping.JOIN, regrouping.SPLIT):
            return await self._regroup(request, opened, filled)
        today = opened.telling.now.astimezone(opened.telling.zone).date()
        click, mistakes = understand(
            filled, words, today=today, exercise=opened.telling.exercise, under_test=opened.incident.under_test
        )
        if click is None:
            return await self._page(opened, filled=filled, mistakes=mistakes)
        try:
            decision = await self.incidents.act(opened.incident.id, replace(click, email=_recipient(opened)))
        except LookupError:
            raise _Refusal(404, "missing") from None
        if decision.reason is Reason.ALREADY_JOINED:
            opened = await self._open(request)
            own = REGROUP_WORDS[opened.telling.words.code]
            return await self._page(opened, filled=filled, mistakes=[own.joined_meanwhile])
        if decision.reason is Reason.OUTCOME_REFUSED:
            return await self._page(opened, filled=filled, mistakes=[words.outcome_test])
        if decision.reason is Reason.PRESSED_SINCE:
            opened = await self._open(request)
            pressed = max(report.at for report in opened.incident.reports if report.kind is Kind.PANIC)
            return await self._page(
                opened, filled=filled, mistakes=[words.pressed_since.format(at=opened.telling.clock(pressed))]
            )
        return _shown_anew(request, _done(click, decision))

    async def _regroup(self, request: Request, opened: _Opened, filled: Filled) -> Response:
        code = opened.telling.words.code
        own = REGROUP_WORDS[code]
        mistakes = regrouping.mistakes_in(filled, view.PAGE_WORDS[code], own)
        if not mistakes:
            mistakes = await regrouping.carry_out(self.incidents, opened.incident, filled, own)
            if mistakes:
                opened = await self._open(request)  # something has changed since it was looked up
        if mistakes:
            return await self._page(opened, filled=filled, mistakes=mistakes)
        return _shown_anew(request, filled.action)

    async def _open(self, request: Request) -> _Opened:
        try:
            access = self.tokens.read(request.path_params["token"])
        except ForgedToken:
            raise _Refusal(403, "forged") from None
        incident, now = await self.incidents.find(access.incident_id), self.clock()
        if incident is None:
            raise _Refusal(410, "missing")
        came_from = incident
        while incident.joined is not None and (goes_on := await self.incidents.find(incident.joined.into.id)):
            incident = goes_on
        until = access.good_until(incident)
        if until is not None and now > until:
            raise _Refusal(410, "expired", incident)
        return _Opened(access, came_from, incident, Telling.of(incident, self.rules(), now))

    async def _page(
        self, opened: _Opened, *, filled: Filled | None = None, mistakes: list[str] | None = None, done: str = ""
    ) -> Response:
        timeline = await self.incidents.timeline(opened.incident.id)
        arrived = await self.incidents.arrived(opened.incident)
        values = view.acting_page(opened.telling, timeline, arrived, opened.access, filled, mistakes or [])
        others = () if opened.incident.ended_at else await self.incidents.could_join(opened.incident)
        words = view.PAGE_WORDS[opened.telling.words.code]
        values |= regrouping.shown_on_the_page(opened.telling, others, opened.came_from, words)
        values["confirmation"] = view.confirmation(opened.telling, done)
        return page("incident.html", values | await self._around(opened.telling), 422 if mistakes else 200)

    async def _around(self, telling: Telling) -> dict[str, object]:
        on_hold = await self.incidents.spared(telling.incident.id)
        return {"h": HOLD_WORDS[telling.words.code], "on_hold": on_hold, "mails_go": self.mails_go()}

    def refuse(self, refusal: _Refusal) -> Response:
        rules, incident = self.rules(), refusal.incident
        language = rules.language(incident.site if incident else None)
        if incident is None:
            return notice(refusal.status, refusal.kind, language=language)
        site, contacts = rules.site(incident.site), view.expired_help(incident, rules)
        phone = site.police.phone if site else POLICE
        since = view.ended_on(incident, rules)
        return notice(refusal.status, refusal.kind, language=language, phone=phone, contacts=contacts, since=since)


def _recipient(opened: _Opened) -> str | None:
    """Whose link it is: who takes over through it is reminded before that runs out."""
    return next((person.email for person in opened.incident.told if opened.access.is_for(person)), None)


def router_for(
    incidents: Incidents,
    devices: Devices,
    rules: Callable[[], Rules],
    tokens: Tokens,
    clock: Callable[[], datetime],
    mails_go: Callable[[], bool],
) -> APIRouter:
    """The routes `/`, `/devices`, `/incidents/{id}` and `/a/{token}`; `mails_go`: whether a mail server takes mails."""
    desk = _Desk(incidents, devices, rules, tokens, clock, mails_go)
    router = APIRouter(include_in_schema=False)

    def route(path: str, methods: list[str], handle: Callable[[Request], object]) -> None:
        async def answer(request: Request) -> Response:
            try:
                return await handle(request)  # type: ignore[misc, no-any-return]  # bound async methods of _Desk
            except _Refusal as refusal:
                return desk.refuse(refusal)
            except (DBAPIError, OSError) as error:
                return unavailable(error, language=rules().configuration.organisation.language)

        router.add_api_route(path, answer, methods=methods, response_model=None)

    route("/", _READ, desk.board)
    route("/devices", _READ, desk.list_devices)
    route("/incidents/{incident_id:path}", _READ, desk.look)
    route("/a/{token}", _READ, desk.show)
    route("/a/{token}", ["POST"], desk.act)
    return router


async def _filled(request: Request) -> Filled:
    try:
        return Filled.parse(await form_body(request))
    except NotAForm as error:
        raise _Refusal(error.status, error.kind) from None
    except ValueError:
        raise _Refusal(422, "wrong_form") from None


def _shows_another(opened: _Opened, filled: Filled) -> bool:
    if filled.action not in ("close", regrouping.JOIN, regrouping.SPLIT):
        return False
    return (filled.about or opened.came_from.id) != opened.incident.id


def _shown_anew(request: Request, done: str) -> Response:
    return see_other(f"./{quote(request.path_params['token'], safe='')}?done={done}")


def _done(click: Click, decision: Decision) -> str:
    """What the confirmation speaks of: the reason, and whether one press of a button meant two things."""
    both = ".called" if click.actions == (Action.ACKNOWLEDGE, Action.CALLED_POLICE) else ""
    return f"{decision.reason.value}{both}"
