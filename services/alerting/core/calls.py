"""Calls to the police: who made them, and which of them are about the present danger."""

from schemas.events import PoliceWish
from services.alerting.core.incident import Incident, PoliceCall, Report


def told_by(report: Report) -> tuple[PoliceCall, ...]:
    """A report that says 110 was called records it, in the name of who reported (else of the source)."""
    if report.police is not PoliceWish.CALLED:
        return ()
    return (PoliceCall(report.reported_by or report.source, report.at, report.reference),)


def standing(incident: Incident) -> tuple[PoliceCall, ...]:
    """Those that count for what mails and pages say now.

    A call before a press opened the incident again was about what was over then: nobody has called for this one yet.
    """
    since = incident.reopened_at
    return incident.calls if since is None else tuple(call for call in incident.calls if call.at >= since)
