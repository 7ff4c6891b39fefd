"""Joining two incidents and splitting one, on the page behind the link of a mail: what it shows and what it takes."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from services.alerting.core.codes import code_of
from services.alerting.core.effects import Decision, Reason
from services.alerting.core.incident import Incident, Report, Status
from services.alerting.core.joining import TAKEN_IN
from services.alerting.core.plain_text import one_line
from services.alerting.core.telling import Telling
from services.alerting.desk.form import LINE_LIMIT, Filled, about_name, too_long
from services.alerting.desk.incidents import Incidents
from services.alerting.desk.texts import PageWords
from services.alerting.desk.texts.regrouping import REGROUP_WORDS, RegroupWords

JOIN: Final = "join"
SPLIT: Final = "split"
REASON_LIMIT: Final = 300
_REPORTS_SHOWN: Final = 30
_DONE: Final = TAKEN_IN | {Reason.SPLIT_OFF}


def mistakes_in(filled: Filled, words: PageWords, own: RegroupWords) -> list[str]:
    """What is missing before two incidents can be joined or one split."""
    mistakes = about_name(filled, words)
    if filled.action == JOIN and not filled.into:
        mistakes.append(own.into_missing)
    if filled.action == SPLIT and not filled.reports:
        mistakes.append(own.reports_missing)
    if not filled.reason:
        mistakes.append(own.reason_missing)
    return mistakes + too_long(words.too_long, (own.reason, filled.reason, REASON_LIMIT))


async def carry_out(incidents: Incidents, incident: Incident, filled: Filled, own: RegroupWords) -> list[str]:
    """Join or split; why nothing changed, in the words of the page, or nothing.

    Raises:
        sqlalchemy.exc.DBAPIError, OSError: the database cannot be reached; nothing was written.
    """
    try:
        decision = await _decide(incidents, incident, filled)
    except LookupError:
        return [own.refused["missing"]]
    return [] if decision.reason in _DONE else [own.refused[decision.reason.value]]


async def _decide(incidents: Incidents, incident: Incident, filled: Filled) -> Decision:
    if filled.action == JOIN:
        return await incidents.join(incident.id, filled.into, by=filled.by, reason=filled.reason)
    return await incidents.split(incident.id, filled.reports, by=filled.by, reason=filled.reason)


def shown_to_anybody(telling: Telling) -> dict[str, Any]:
    """How the incident hangs together with others: no names, no reasons."""
    incident, own = telling.incident, REGROUP_WORDS[telling.words.code]
    links = [(id_, own.part_of_this) for id_ in incident.absorbed] + [(id_, own.split_off) for id_ in incident.split]
    into = incident.joined.into if incident.joined else None
    return {
        "r": own,
        "goes_on": (
            (into.id, own.goes_on.format(place=telling.place_of(into.place), code=code_of(into.id))) if into else None
        ),
        "related": [(id_, text.format(code=code_of(id_))) for id_, text in links],
    }


def shown_on_the_page(
    telling: Telling, others: Sequence[Incident], came_from: Incident, words: PageWords
) -> dict[str, Any]:
    """What the page behind the link adds: the forms, and why it shows another incident than the mail spoke of."""
    return {
        "others": [(other.id, _other(telling, other, words)) for other in others],
        "splittable": list(_reports(telling)) if telling.incident.status is not Status.CLOSED else [],
        "came_from": list(_came_from(telling, came_from)),
        "reason_limit": REASON_LIMIT,
    }


def confirmation(telling: Telling, done: str) -> str | None:
    """What was split off last, told from the incident as it is now."""
    if done != SPLIT or not telling.incident.split:
        return None
    return REGROUP_WORDS[telling.words.code].done_split.format(code=code_of(telling.incident.split[-1]))


def _other(telling: Telling, other: Incident, page: PageWords) -> str:
    own, told = REGROUP_WORDS[telling.words.code], Telling.of(other, telling.rules, telling.now)
    status = page.status[other.status]
    at = telling.clock(other.opened_at)
    return own.other.format(place=told.place, at=at, level=telling.level_of(other), status=status, code=other.code)


def _reports(telling: Telling) -> Iterator[tuple[str, str]]:
    """The latest but the first, each as people know it: when, what, where, and how its description begins."""
    for report in telling.incident.reports[1:][-_REPORTS_SHOWN:]:
        yield report.event_id, _report(telling, report)


def _report(telling: Telling, report: Report) -> str:
    kind = REGROUP_WORDS[telling.words.code].kinds[report.kind]
    where = telling.place_of(report.place or telling.incident.place)
    level = telling.words.level.format(level=report.danger_level) if report.danger_level is not None else ""
    category = telling.words.category[report.category] if report.category else ""
    parts = (telling.clock(report.at), kind, where, level, category, one_line(report.description or "", LINE_LIMIT))
    return ", ".join(part for part in parts if part)


def _came_from(telling: Telling, came_from: Incident) -> Iterator[str]:
    joining = came_from.joined
    if joining is None or came_from.id == telling.incident.id:
        return
    own, told = REGROUP_WORDS[telling.words.code], Telling.of(came_from, telling.rules, telling.now)
    yield own.came_from.format(place=told.place, at=told.clock(came_from.opened_at))
    yield own.by.format(by=one_line(joining.by, LINE_LIMIT), at=told.clock(joining.at))
    yield own.because.format(reason=one_line(joining.reason))
