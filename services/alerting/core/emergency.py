"""Ingest mailed the emergency contacts itself, because nobody was known to have heard: alerting goes on from there."""

from datetime import datetime
from typing import Final

from schemas.events import EmergencyMailed, Event
from services.alerting.core.acting import inform
from services.alerting.core.effects import Decision, Purpose, Reason
from services.alerting.core.incident import Incident, Recipient, Report, Status
from services.alerting.core.policy import Rules
from services.alerting.core.replacing import replace

_NEWS: Final = {Status.ACKNOWLEDGED: Purpose.TAKEN_OVER, Status.CLOSED: Purpose.CLOSED}


def emergency_mailed(
    incident: Incident | None, event: Event, data: EmergencyMailed, now: datetime, rules: Rules
) -> Decision:
    """The reports remember when; the contacts count as told, so that they hear who took over and how it ended.

    `incident` is the one that holds any of the reports; without it the event is held. The earliest mail about a
    report counts, in whatever order the events come: further ones tell at most who was mailed since.
    """
    if incident is None:
        return Decision(None, (), Reason.HELD)
    if incident.joined is not None:
        return Decision(incident, (), Reason.ALREADY_JOINED)
    if incident.learning:
        return Decision(incident, (), Reason.ALREADY_CLOSED)
    at = min(event.time, now)
    reports = tuple(
        _remember(report, at) if report.event_id in data.event_ids else report for report in incident.reports
    )
    new = _new_to(incident, rules)
    if reports == incident.reports and not new:
        return Decision(incident, (), Reason.EMERGENCY_MAILED_BEFORE)
    told = (*incident.told, *new)
    after = replace(incident, revision=incident.revision + 1, reports=reports, told=told)
    purpose = _NEWS.get(incident.status)
    effects = () if purpose is None else inform(replace(after, told=new), purpose)
    return Decision(after, effects, Reason.EMERGENCY_MAILED)


def _remember(report: Report, at: datetime) -> Report:
    known = report.emergency_mailed_at
    return report if known is not None and known <= at else replace(report, emergency_mailed_at=at)


def _new_to(incident: Incident, rules: Rules) -> tuple[Recipient, ...]:
    """The contacts who were not told by alerting; nobody is told anything about what a file says."""
    if incident.imported:
        return ()
    known = {person.email.casefold() for person in incident.told}
    contacts = {person.email.casefold(): person for person in rules.emergency(incident.site)}
    return tuple(person for address, person in contacts.items() if address not in known)
