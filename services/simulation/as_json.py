"""A timeline as data for scripts; docs/simulate.md lists the fields."""

from typing import Any

from services.alerting.core.incident import Incident
from services.simulation.timeline import Entry, Mail, Timeline


def timeline_data(timeline: Timeline) -> dict[str, Any]:
    """`incidents` and `timeline`, both in order of time; all times are local to the site, with offset."""
    return {
        "incidents": [_incident(timeline, incident) for incident in timeline.incidents.values()],
        "timeline": [entry_data(timeline, entry) for entry in timeline.entries],
        "unheard": list(timeline.unheard),
    }


def entry_data(timeline: Timeline, entry: Entry) -> dict[str, Any]:
    """One mail or happening. `minute` counts from the opening of its incident."""
    data: dict[str, Any] = {
        "at": timeline.local(entry).isoformat(),
        "minute": round(timeline.after(entry).total_seconds() / 60, 3),
        "incident": entry.incident_id,
    }
    if not isinstance(entry, Mail):
        return data | {"what": entry.what, "text": entry.text}
    return data | {
        "what": "mail",
        "purpose": entry.purpose.value,
        "step": entry.step,
        "cycle": entry.cycle,
        "repetition": entry.repetition,
        "role": entry.role,
        "address": entry.address,
        "subject": entry.subject,
        "refused": entry.refused,
    }


def _incident(timeline: Timeline, incident: Incident) -> dict[str, Any]:
    zone = timeline.rules.zone(incident.site)
    until = timeline.followed_until.get(incident.id)
    return {
        "id": incident.id,
        "code": incident.code,
        "site": incident.site,
        "danger_level": incident.danger_level,
        "mode": "learning" if incident.learning else incident.mode.value,
        "rule": incident.rule,
        "policy": incident.policy_name,
        "police": incident.police,
        "status": incident.status.value,
        "opened_at": incident.opened_at.astimezone(zone).isoformat(),
        "event_ids": list(incident.event_ids),
        "next_due_not_listed": until.astimezone(zone).isoformat() if until else None,
    }
