"""The mail that two incidents are one matter now: where it goes on, and what is known there."""

from services.alerting.core.codes import code_of
from services.alerting.core.emergency_mail import emergency_line
from services.alerting.core.incident import Joining, PoliceCall
from services.alerting.core.mail_parts import Letter, Section, tone_of
from services.alerting.core.plain_text import one_line
from services.alerting.core.replacing import replace
from services.alerting.core.telling import Telling
from services.alerting.core.upcoming import upcoming


def joined(telling: Telling, link: str, *, full: bool) -> Letter:
    """To those who were told of the incident that ended in another one, or of the one that goes on."""
    joining = telling.incident.joined
    return _goes_on(telling, link, full=full) if joining is None else _ended(telling, joining, link, full=full)


def _ended(telling: Telling, joining: Joining, link: str, *, full: bool) -> Letter:
    """The police state is the other one's: a call confirmed there must not look unconfirmed here."""
    words, into = telling.words, joining.into
    calls = (PoliceCall("", into.called_at),) if into.called_at is not None else ()
    there = replace(telling, incident=replace(telling.incident, police=into.police, calls=calls))
    where = words.joined_with.format(place=telling.place_of(into.place), code=code_of(into.id))
    by = words.joined_by.format(by=one_line(joining.by, 120), at=telling.clock(joining.at))
    taken = words.joined_taken.format(by=one_line(into.taken_by, 120)) if into.taken_by else words.joined_open
    reason = (Section("", words.joined_reason.format(reason=one_line(joining.reason))),) if full else ()
    return Letter(
        language=words.code,
        tone="calm" if into.taken_by else tone_of(telling.incident),
        word=words.subject_joined,
        headline=telling.headline,
        lead=(*telling.test_line(), where, by, taken),
        alert=there.police,
        alert_strong=there.call_wanted or telling.exercise,
        advice=(),
        button=words.see_incident if telling.exercise else words.to_incident,
        link=link,
        sections=reason,
        tail=(telling.level_line, *emergency_line(telling), words.reference.format(code=telling.incident.code)),
    )


def _goes_on(telling: Telling, link: str, *, full: bool) -> Letter:
    words, incident = telling.words, telling.incident
    taken = incident.taken
    if taken is None:
        state = upcoming(telling)
    else:
        state = words.taken.format(by=one_line(taken.by, 120), at=telling.clock(taken.at))
    return Letter(
        language=words.code,
        tone="calm" if taken is not None else tone_of(incident),
        word=words.subject_joined,
        headline=telling.headline,
        lead=(*telling.test_line(), words.joined_here, *emergency_line(telling), *telling.context()),
        alert=telling.police_with_name if full else telling.police,
        alert_strong=telling.call_wanted or telling.exercise,
        advice=(),
        button=words.see_incident if telling.exercise else words.to_incident,
        link=link,
        sections=(),
        tail=(state, telling.level_line, words.reference.format(code=incident.code)),
    )
