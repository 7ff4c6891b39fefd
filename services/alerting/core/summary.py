"""The mail at the end of a planned silence: what it held back."""

from collections.abc import Iterator
from dataclasses import replace

from services.alerting.core.incident import HeldBack, Incident
from services.alerting.core.mail_parts import Letter, Section
from services.alerting.core.telling import Telling

_LINES = 30


def held_back(incident: Incident) -> HeldBack:
    """An incident as a line of the summary needs it: nothing about persons."""
    return HeldBack(
        incident_id=incident.id,
        site=incident.site,
        location=incident.location,
        danger_level=incident.danger_level,
        level_from=incident.level_from,
        category=incident.category,
        at=incident.opened_at,
        reports=len(incident.reports),
    )


def silence_ended(telling: Telling, link: str) -> Letter:
    """Place, level, category, time and count of each; the rest is behind the link."""
    words, incident = telling.words, telling.incident
    return Letter(
        language=words.code,
        tone="notice",
        word=words.subject_not_acute,
        headline=words.summary_title.format(site=telling.short_site, at=telling.clock(telling.now)),
        lead=(words.summary_intro.format(count=len(incident.summary)),),
        alert=words.summary_next,
        alert_strong=False,
        advice=(),
        button=words.to_incident,
        link=link,
        sections=(Section("", "\n".join(_lines(telling))),),
        tail=(words.reference.format(code=incident.code),),
    )


def _lines(telling: Telling) -> Iterator[str]:
    words, everything = telling.words, telling.incident.summary
    for one in everything[:_LINES]:
        then = replace(
            telling.incident,
            site=one.site,
            location=one.location,
            danger_level=one.danger_level,
            level_from=one.level_from,
            category=one.category,
        )
        told = Telling.of(then, telling.rules, telling.now)
        what = f"{told.level}, {told.category}" if told.category else told.level
        count = words.summary_reports.format(count=one.reports) if one.reports > 1 else ""
        yield f"– {telling.clock(one.at)}, {told.place}: {what}{count}"
    if len(everything) > _LINES:
        yield words.summary_more.format(count=len(everything) - _LINES)
