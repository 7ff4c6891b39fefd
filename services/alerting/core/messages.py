"""The mails: subject, plain text and HTML for one recipient.

Mails carry place, level, category and time; description and names only to roles with `details: full`, except
the name of who took over, joined or closed, which those who were alarmed need. The subject never carries either.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from schemas.events import Reported
from schemas.phones import dialled
from services.alerting.core.effects import Notify, Purpose
from services.alerting.core.emergency_mail import emergency_line
from services.alerting.core.incident import Incident
from services.alerting.core.joined_mail import joined
from services.alerting.core.learning_mail import learning
from services.alerting.core.mail_html import render
from services.alerting.core.mail_parts import Letter, Section, tone_of
from services.alerting.core.plain_text import many_lines, one_line
from services.alerting.core.policy import Rules
from services.alerting.core.spoken import sentence
from services.alerting.core.summary import silence_ended
from services.alerting.core.telling import Telling
from services.alerting.core.unsendable import unsendable
from services.alerting.core.upcoming import upcoming

SUBJECT_LIMIT = 200
"""Characters; mail programs show far less, and header lines must stay short."""
_DESCRIPTION_LIMIT = 4_000
_MANY_REPORTS = 5
_QUOTED = re.compile("([“„])([^”“]*)([”“])")


@dataclass(frozen=True, slots=True)
class Message:
    """A mail without its envelope. `subject` is one line; `html` is a whole document, or empty in a plain mail."""

    subject: str
    text: str
    html: str
    importance_high: bool


def compose(incident: Incident, notify: Notify, rules: Rules, *, now: datetime, link: str) -> Message:
    """The mail that `notify` asks for.

    Args:
        incident: as it is after the decision.
        notify: who is told, and why.
        rules: the configuration; decides language, local time and how much the recipient may read.
        now: dates are named when they are not today's.
        link: address of the page where this recipient can act.
    """
    if notify.purpose is Purpose.UNSENDABLE:
        plain = unsendable(incident, rules, link)
        return Message(plain.subject, plain.text, "", importance_high=_high(incident))
    telling = Telling.of(incident, rules, now)
    full = rules.details(notify.recipient.role) == "full"
    match notify.purpose:
        case Purpose.ALARM:
            alarm = not incident.learning
            letter = _alarm(telling, notify, link, full=full) if alarm else learning(telling, link, full=full)
        case Purpose.TAKEN_OVER:
            letter = _taken_over(telling, link, full=full)
        case Purpose.REMINDER:
            letter = _reminder(telling, link, full=full)
        case Purpose.CLOSED:
            letter = _closed(telling, link, full=full)
        case Purpose.SILENCE_ENDED:
            letter = silence_ended(telling, link)
        case Purpose.JOINED:
            letter = joined(telling, link, full=full)
        case _:
            assert_never(notify.purpose)
    return Message(_subject(telling, notify.purpose), letter.as_text(), render(letter), _high(incident))


def _high(incident: Incident) -> bool:
    """Also of what follows an alarm: who is on the way has to see as soon that somebody has taken over."""
    return incident.level >= 2 and not incident.learning


def subject(incident: Incident, purpose: Purpose, rules: Rules, *, now: datetime) -> str:
    """The subject of the mail that `compose` would make, without the effort of its body."""
    return _subject(Telling.of(incident, rules, now), purpose)


def first_word(telling: Telling) -> str:
    """The word that names how bad an alarm is: NOTFALL, ALARM, HILFERUF, HINWEIS, PROBEALARM or LERNMODUS."""
    if telling.incident.learning:
        return telling.words.subject_learning
    if telling.exercise:
        return telling.words.subject_exercise
    if not telling.incident.acute:
        return telling.words.subject_not_acute
    return telling.words.subject_by_level[telling.incident.level]


def _begins_with(telling: Telling, purpose: Purpose) -> str:
    match purpose:
        case Purpose.TAKEN_OVER:
            return telling.words.subject_taken_over
        case Purpose.REMINDER:
            return telling.words.subject_reminder
        case Purpose.CLOSED:
            return telling.words.subject_closed
        case Purpose.JOINED:
            return telling.words.subject_joined
        case _:
            return first_word(telling)


def _subject(telling: Telling, purpose: Purpose) -> str:
    words, incident = telling.words, telling.incident
    if purpose is Purpose.SILENCE_ENDED:
        return one_line(f"{words.subject_not_acute} {telling.short_site} · {words.subject_summary}", SUBJECT_LIMIT)
    parts = [f"{_begins_with(telling, purpose)} {telling.short_place}"]
    if telling.incident.under_test:
        parts.append(words.announced_test)
    if telling.category:
        parts.append(telling.category)
    if telling.exercise and purpose is not Purpose.ALARM:
        parts.append(words.exercise_short)
    # The number stands for "call": not in an exercise, nor once somebody called or it is over.
    wanted = incident.police != "none" and not telling.exercise and incident.joined is None
    if wanted and (purpose is Purpose.ALARM or (purpose is not Purpose.CLOSED and not telling.calls)):
        parts.append(telling.phone)
    return one_line(" · ".join(parts), SUBJECT_LIMIT)


def _alarm(telling: Telling, notify: Notify, link: str, *, full: bool) -> Letter:
    words, incident = telling.words, telling.incident
    if telling.exercise:
        button = words.take_over_exercise
    else:
        button = words.take_over_and_confirm if telling.call_wanted else words.take_over
    first = notify.step == 1 and notify.repetition == 0 and notify.cycle == 0
    tail = [telling.informed if first else telling.mailed] if incident.told else []
    number = dialled(telling.phone)
    return Letter(
        language=words.code,
        tone=tone_of(incident),
        word=first_word(telling),
        headline=telling.headline,
        lead=(
            *telling.test_line(),
            telling.level_line,
            *_urging(telling, notify),
            *emergency_line(telling),
            *telling.context(),
        ),
        alert=telling.police_with_name if full else telling.police,
        alert_strong=not telling.calls and (incident.police != "none" or telling.exercise),
        advice=tuple(_advice(telling)),
        button=button,
        link=link,
        sections=tuple(_sections(telling, full=full)),
        tail=(*tail, upcoming(telling), _reference(telling)),
        call=(number, words.call_now.format(phone=telling.phone)) if telling.call_wanted and number else None,
    )


def _urging(telling: Telling, notify: Notify) -> Iterator[str]:
    """A later step, a repeat or a restart says so here, and not in the subject's first words."""
    again = telling.again()
    if again is not None:
        yield again
    if notify.step == 0:
        yield telling.words.emergency
    elif notify.repetition > 0:
        yield telling.words.repeated
    elif notify.step > 1:
        yield telling.words.later_step.format(step=notify.step)


def _advice(telling: Telling) -> Iterator[str]:
    words, incident = telling.words, telling.incident
    if not telling.exercise and not telling.calls and incident.acute:
        pattern = words.dial if incident.police != "none" else words.dial_if_needed
        yield pattern.format(phone=telling.phone, sentence=sentence(telling))
    if telling.site is not None and telling.site.hint and incident.acute:
        yield telling.site.hint


def _sections(telling: Telling, *, full: bool) -> Iterator[Section]:
    words, reports = telling.words, telling.incident.reports
    if full:
        names = dict.fromkeys(one_line(r.reported_by, 120) for r in reports if r.reported_by)
        if names:
            yield Section("", words.reported_by.format(names=", ".join(names)))
        for report in [r for r in reports if r.description][-_MANY_REPORTS:]:
            yield Section(words.description, many_lines(report.description or "", _DESCRIPTION_LIMIT, words.shortened))
    warnings = telling.warnings() if full else tuple(map(_without_senders_words, telling.warnings()))
    if warnings:
        yield Section(words.warnings, "\n".join(f"– {warning}" for warning in warnings))


def _without_senders_words(warning: str) -> str:
    """What a sender wrote may name somebody: it is behind the link, as descriptions are. Our own fields name nobody."""
    return _QUOTED.sub(lambda said: said[0] if said[2] in Reported.model_fields else f"{said[1]}…{said[3]}", warning)


def _reference(telling: Telling) -> str:
    return telling.words.reference.format(code=telling.incident.code)


def _police_facts(telling: Telling, *, full: bool) -> Iterator[str]:
    words, incident = telling.words, telling.incident
    if len(incident.calls) > 1:
        yield words.called_more.format(count=len(incident.calls))
    for hand_over in incident.hand_overs:
        pattern = words.handed_over_by if full else words.handed_over
        yield pattern.format(on=telling.date(hand_over.on), by=one_line(hand_over.by, 120))
        if hand_over.reference and full:
            yield words.file_number.format(reference=one_line(hand_over.reference, 120))


def _taken_over(telling: Telling, link: str, *, full: bool) -> Letter:
    words, incident = telling.words, telling.incident
    lead: list[str] = []
    tail: list[str] = []
    taken = incident.taken
    if taken is not None:
        lead.append(words.taken.format(by=one_line(taken.by, 120), at=telling.clock(taken.at)))
        until = words.alarms_again.format(at=telling.clock(taken.until)) if taken.until else words.stays_taken
        tail.append(until)
    return Letter(
        language=words.code,
        tone="calm",
        word=words.subject_taken_over,
        headline=telling.headline,
        lead=(*telling.test_line(), *lead, words.nothing_to_do),
        alert=telling.police_with_name if full else telling.police,
        alert_strong=telling.call_wanted or telling.exercise,
        advice=tuple(_police_facts(telling, full=full)),
        button=words.see_incident if telling.exercise else words.to_end if telling.calls else words.to_incident,
        link=link,
        sections=(),
        tail=(*tail, telling.level_line, *emergency_line(telling), _reference(telling)),
    )


def _reminder(telling: Telling, link: str, *, full: bool) -> Letter:
    """To the person who took over, before it alarms again."""
    words, taken = telling.words, telling.incident.taken
    again = words.reminder.format(at=telling.clock(taken.until)) if taken is not None and taken.until else ""
    letter = _taken_over(telling, link, full=full)
    lead = (*letter.lead[:-1], again)
    return replace(letter, word=words.subject_reminder, lead=lead, tail=letter.tail[1:])


def _closed(telling: Telling, link: str, *, full: bool) -> Letter:
    words, incident = telling.words, telling.incident
    lead: list[str] = []
    sections: list[Section] = []
    closing = incident.closing
    if closing is not None:
        outcome = words.outcome[closing.outcome]
        lead.append(words.closed.format(by=one_line(closing.by, 120), at=telling.clock(closing.at), outcome=outcome))
        if full and closing.measures:
            measures = ", ".join(one_line(measure, 120) for measure in closing.measures)
            sections.append(Section("", words.measures.format(measures=measures)))
        if full and closing.note:
            sections.append(Section(words.note, many_lines(closing.note, _DESCRIPTION_LIMIT, words.shortened)))
    police = telling.police
    if not telling.exercise:  # of all that it was, also before it was opened again
        police = telling.police_at_end(named=full)
    return Letter(
        language=words.code,
        tone="calm",
        word=words.subject_closed,
        headline=telling.headline,
        lead=(*telling.test_line(), *lead),
        alert=police,
        alert_strong=telling.exercise,
        advice=tuple(_police_facts(telling, full=full)),
        button=words.see_incident if telling.exercise else words.add_facts,
        link=link,
        sections=tuple(sections),
        tail=(telling.level_line, *emergency_line(telling), _reference(telling)),
    )
