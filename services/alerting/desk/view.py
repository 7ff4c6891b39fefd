"""What the templates show: everything decided here, so that they only place it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from schemas.events import Mode, Outcome
from services.alerting.core.calls import standing
from services.alerting.core.emergency_mail import emergency_line
from services.alerting.core.incident import Incident, LevelFrom, Status
from services.alerting.core.messages import first_word
from services.alerting.core.plain_text import many_lines, one_line
from services.alerting.core.policy import Rules
from services.alerting.core.spoken import sentence
from services.alerting.core.telling import Telling
from services.alerting.core.upcoming import upcoming
from services.alerting.desk import regrouping
from services.alerting.desk.form import NAME_LIMIT, NOTE_LIMIT, OUTCOMES, Filled
from services.alerting.desk.incidents import Arrived, TimelineEntry
from services.alerting.desk.informed import informed
from services.alerting.desk.texts import PageWords
from services.alerting.desk.texts.english import ENGLISH
from services.alerting.desk.texts.german import GERMAN
from services.alerting.desk.tokens import Access

PAGE_WORDS: Final = {"de": GERMAN, "en": ENGLISH}
_WHOLE_TEXT: Final = 20_000
_OF_INTEREST_TO_NOBODY: Final = frozenset({"duplicate", "not_due", "already_acknowledged", "already_closed"})
_CALL_COUNTED: Final = frozenset({"police_requested", "police_called_again"})


@dataclass(frozen=True, slots=True)
class Known:
    """What one report says."""

    source: str
    description: str


def incident_page(telling: Telling, timeline: Sequence[TimelineEntry]) -> dict[str, Any]:
    """What the page shows to anybody: no names, no descriptions."""
    incident, words = telling.incident, PAGE_WORDS[telling.words.code]
    level = incident.danger_level
    return {
        "language": telling.words.code,
        "w": words,
        "m": telling.words,
        "telling": telling,
        "incident": incident,
        "tone": tone(telling),
        "word": _heading(telling),
        "headline": telling.place,
        "reported_at": telling.clock(incident.opened_at),
        "lead": (
            *telling.test_line(),
            telling.level_line,
            *filter(None, (telling.again(),)),
            *emergency_line(telling),
            *telling.context(),
        ),
        "level_means": words.level_means[level] if level is not None else None,
        "police": _police(telling, named=False),
        "police_strong": (telling.call_wanted and incident.ended_at is None) or telling.exercise,
        "say": _say(telling),
        "hint": telling.site.hint if telling.site and incident.status is not Status.CLOSED else None,
        "status": words.status_since.format(status=words.status[state_of(incident)], at=telling.clock(since(incident))),
        "nobody_reached": incident.nobody_reached,
        "warnings": telling.warnings(),
        "upcoming": upcoming(telling) if incident.status is Status.OPEN else None,
        "timeline": [(telling.clock(e.at, bare=True), what, None, None) for e, what in _told(timeline, words)],
        "roles": telling.mailed if incident.told else None,
        "personal": False,
    } | regrouping.shown_to_anybody(telling)


def acting_page(
    telling: Telling,
    timeline: Sequence[TimelineEntry],
    arrived: Mapping[str, Arrived],
    access: Access,
    filled: Filled | None,
    mistakes: Sequence[str],
) -> dict[str, Any]:
    """What the page behind the link of a mail shows: all of it, with the forms."""
    page, words, incident = incident_page(telling, timeline), PAGE_WORDS[telling.words.code], telling.incident
    told = list(informed(telling, access, arrived, words))
    taken, closing = incident.taken, incident.closing
    return page | {
        "personal": True,
        "police": _police(telling, named=True),
        "known": list(_known(telling, words)),
        "informed": told,
        "people": list(dict.fromkeys(person.name for person in told if person.name)),
        "timeline": [
            (
                telling.clock(e.at, bare=True),
                what,
                words.by.format(by=one_line(e.by, NAME_LIMIT)) if e.by else None,
                page["r"].because.format(reason=one_line(e.why)) if e.why else None,
            )
            for e, what in _told(timeline, words)
        ],
        "taken": words.taken_by.format(by=taken.by, at=telling.clock(taken.at)) if taken else None,
        "taken_until": words.taken_until.format(at=telling.clock(taken.until)) if taken and taken.until else None,
        "closed": (
            telling.words.closed.format(
                by=closing.by, at=telling.clock(closing.at), outcome=telling.words.outcome[closing.outcome]
            )
            if closing
            else None
        ),
        "higher_levels": [(n, words.level_means[n]) for n in range(telling.incident.level + 1, 4)],
        "outcomes": _outcomes(incident, words),
        "today": telling.now.astimezone(telling.zone).date().isoformat(),
        "filled": filled or Filled(),
        "mistakes": mistakes,
        "limits": {"name": NAME_LIMIT, "note": NOTE_LIMIT},
    }


def _outcomes(incident: Incident, words: PageWords) -> list[tuple[str, str]]:
    """What was under an announced test may end as one; that stands first. An exercise is over, and was nothing else."""
    if incident.mode is Mode.EXERCISE:
        return [(Outcome.RESOLVED.value, words.exercise_over)]
    possible = (Outcome.TEST, *OUTCOMES) if incident.under_test else OUTCOMES
    return [(outcome.value, words.outcomes[outcome.value]) for outcome in possible]


def confirmation(telling: Telling, done: str) -> str | None:
    """What the click did, told from the incident as it is now: the address bar alone cannot claim anything."""
    incident, words = telling.incident, PAGE_WORDS[telling.words.code]
    if split := regrouping.confirmation(telling, done):
        return split
    reason, _, called = done.partition(".")
    last = _last_act(incident, reason)
    if last is None:
        return None
    by, at = last
    sentences = [words.done[reason].format(by=one_line(by, NAME_LIMIT), at=telling.clock(at))]
    if called and reason == "acknowledged" and incident.calls:
        sentences.append(words.done_called_too)
    elif called and reason in _CALL_COUNTED and incident.taken:
        sentences.append(words.done_already.format(by=one_line(incident.taken.by, NAME_LIMIT)))
    return " ".join(sentences)


def _last_act(incident: Incident, reason: str) -> tuple[str, datetime] | None:
    match reason:
        case "acknowledged" | "already_acknowledged" if incident.taken:
            return incident.taken.by, incident.taken.at
        case "police_requested" | "police_called_again" if incident.calls:
            return incident.calls[-1].by, incident.calls[-1].at
        case "handed_over" if incident.hand_overs:
            return incident.hand_overs[-1].by, incident.hand_overs[-1].at
        case "closed" | "already_closed" if incident.closing:
            return incident.closing.by, incident.closing.at
        case "level_raised" if incident.level_from is LevelFrom.PERSON and incident.cycle_started_at:
            return "", incident.cycle_started_at
        case "measures_added" if incident.closing and incident.closing.measures:
            return "", incident.closing.at
    return None


def board(incidents: Sequence[Incident], rules: Rules, now: datetime) -> dict[str, Any]:
    """All incidents that matter now, the worst first; without names and descriptions."""
    organisation = rules.configuration.organisation
    words = PAGE_WORDS[organisation.language]
    order = [Status.OPEN, Status.ACKNOWLEDGED, Status.CLOSED]
    ranked = sorted(incidents, key=lambda i: (order.index(i.status), i.urgency, i.opened_at))
    rows = []
    for incident in ranked:
        told = Telling.of(incident, rules, now)
        own = PAGE_WORDS[told.words.code]
        rows.append(
            {
                "id": incident.id,
                "tone": tone(told),
                "word": _word(told),
                "place": told.short_place,
                "level": told.level,
                "notes": (
                    *_nobody_reached(incident, own),
                    *told.test_line(),
                    *told.hold_line(),
                    *told.elsewhere_line(),
                ),
                "category": told.category,
                "police": None if incident.status is Status.CLOSED else told.police,
                "status": own.status_since.format(
                    status=own.status[state_of(incident)], at=told.clock(since(incident))
                ),
                "reported": told.clock(incident.opened_at),
                "open": incident.status is Status.OPEN,
            }
        )
    local = now.astimezone(rules.zone(None))
    return {
        "language": organisation.language,
        "w": words,
        "organisation": organisation.name,
        "rows": rows,
        "as_of": words.board_as_of.format(at=f"{local:%H:%M:%S}"),
        "year": local.year,
    }


def _nobody_reached(incident: Incident, words: PageWords) -> tuple[str, ...]:
    return (words.nobody_reached,) if incident.nobody_reached else ()


def _word(telling: Telling) -> str:
    """What is most of interest: how bad it is, or that somebody has it, or that it is over."""
    if telling.incident.learning or telling.incident.status is Status.OPEN:
        return first_word(telling)
    taken = telling.incident.status is Status.ACKNOWLEDGED
    return telling.words.subject_taken_over if taken else telling.words.subject_closed


def _heading(telling: Telling) -> str:
    """How bad it is, as long as it is not over."""
    if telling.incident.ended_at is None or telling.incident.learning:
        return first_word(telling)
    return telling.words.subject_closed if telling.incident.joined is None else telling.words.subject_joined


def _police(telling: Telling, *, named: bool) -> str:
    if telling.incident.ended_at is not None and not telling.exercise:
        return telling.police_at_end(named=named)
    return telling.police_with_name if named else telling.police


def tone(telling: Telling) -> str:
    """The colour of a page or row."""
    incident = telling.incident
    if telling.exercise:
        return "exercise"
    if incident.status is Status.CLOSED:
        return "over"
    if incident.status is Status.ACKNOWLEDGED:
        return "calm"
    return f"level{incident.level}" if incident.acute else "notice"


def state_of(incident: Incident) -> str:
    """The status as pages name it: what became part of another incident, or is learning, was closed by nobody."""
    if incident.learning:
        return "learning"
    return incident.status if incident.joined is None else "joined"


def since(incident: Incident) -> datetime:
    """When the present status began."""
    if incident.ended_at is not None:
        return incident.ended_at
    return incident.taken.at if incident.taken is not None else incident.reopened_at or incident.opened_at


def ended_on(incident: Incident, rules: Rules) -> str:
    """The local day on which an incident ended, written as its site writes it."""
    assert incident.ended_at is not None, "only what has ended has links that expire"
    telling = Telling.of(incident, rules, incident.ended_at)
    return telling.date(incident.ended_at.astimezone(telling.zone).date())


def expired_help(incident: Incident, rules: Rules) -> list[str]:
    """Whom to phone at a site, by role: no names, as the link is no longer good."""
    site = rules.site(incident.site)
    words = Telling.of(incident, rules, incident.opened_at).words
    people: Mapping[str, Any] = site.people if site else {}
    return [
        f"{words.role(role)} {person.phone}"
        for role, found in people.items()
        for person in found.people
        if person.phone
    ]


def _say(telling: Telling) -> str | None:
    incident = telling.incident
    if telling.exercise or standing(incident) or incident.status is Status.CLOSED:
        return None
    return sentence(telling)


def _told(timeline: Sequence[TimelineEntry], words: PageWords) -> Iterator[tuple[TimelineEntry, str]]:
    for entry in timeline:
        if entry.what not in _OF_INTEREST_TO_NOBODY:
            what = words.what.get(entry.what, entry.what.replace("_", " "))
            # A call of its own says so already.
            yield entry, f"{what}; {words.called_too}" if entry.called and entry.what not in _CALL_COUNTED else what


def _known(telling: Telling, words: PageWords) -> Iterator[Known]:
    for report in telling.incident.reports:
        if report.description or report.reported_by:
            by = one_line(report.reported_by or report.source, NAME_LIMIT)
            source = words.reported.format(at=telling.clock(report.at), by=by)
            yield Known(source, many_lines(report.description or "", _WHOLE_TEXT, "…"))
