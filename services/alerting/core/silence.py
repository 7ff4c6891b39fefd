"""The end of a planned silence, for each incident that it held back."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.alerting.core.effects import Decision, Effect, Notify, Purpose, Reason, SilenceEnded
from services.alerting.core.escalation import start
from services.alerting.core.incident import Incident
from services.alerting.core.policy import Rules

SUMMARY_ROLE: Final = "site_management"
_URGENCY: Final = 8
"""A summary waits behind every alarm, but not behind exercises."""


def silence_ended(incident: Incident, ended: SilenceEnded, now: datetime, rules: Rules) -> Decision:
    """What was held back is told now, like any open incident; one of them also carries the summary."""
    if incident.hold is None or incident.hold.silence_id != ended.silence_id:
        return Decision(incident, (), Reason.NOT_DUE)
    current = replace(incident, revision=incident.revision + 1)
    effects: tuple[Effect, ...] = ()
    if incident.held:
        current, effects = start(current, now, rules)
    if ended.summary and not incident.summary:
        current = replace(current, summary=ended.summary)
        effects = (*effects, *_tell_summary(current, now, rules))
    if not effects:
        return Decision(incident, (), Reason.NOT_DUE)
    return Decision(current, effects, Reason.SILENCE_ENDED)


def _tell_summary(incident: Incident, now: datetime, rules: Rules) -> tuple[Notify, ...]:
    people = rules.people(incident.site, SUMMARY_ROLE, now) or rules.emergency(incident.site)
    step, repetition = incident.step + 1, incident.repetition
    return tuple(Notify(person, Purpose.SILENCE_ENDED, incident.cycle, step, repetition, _URGENCY) for person in people)
