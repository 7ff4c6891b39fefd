"""What is left of an incident when its time for personal data is over."""

from dataclasses import replace
from typing import Final

from services.alerting.core.incident import Incident, Joining, Recipient
from services.alerting.core.reporting import BY_REFERENCE

_NOBODY: Final = "–"


def without_personal_data(incident: Incident) -> Incident:
    """The incident with everything that names or describes a person left out."""
    return replace(
        incident,
        reports=tuple(
            replace(report, description=None, reported_by=None, reference=None, warnings=(), keys=_places(report.keys))
            for report in incident.reports
        ),
        keys=_places(incident.keys),
        told=tuple(Recipient(email=_NOBODY, role=person.role) for person in incident.told),
        awaited=(),
        taken=replace(incident.taken, by=_NOBODY) if incident.taken else None,
        calls=tuple(replace(call, by=_NOBODY) for call in incident.calls),
        hand_overs=tuple(replace(hand_over, by=_NOBODY, reference=None) for hand_over in incident.hand_overs),
        hold=replace(incident.hold, by=_NOBODY, reason=_NOBODY) if incident.hold else None,
        closing=replace(incident.closing, by=_NOBODY, note=None, measures=()) if incident.closing else None,
        joined=_without_names(incident.joined) if incident.joined else None,
    )


def _places(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in keys if not key.startswith(BY_REFERENCE))


def _without_names(joining: Joining) -> Joining:
    into = replace(joining.into, taken_by=_NOBODY if joining.into.taken_by else None)
    return replace(joining, by=_NOBODY, reason=_NOBODY, into=into)
