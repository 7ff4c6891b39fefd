"""One log line per decision, so that a reader can follow a press by its `event_id`. No personal data."""

import logging

import structlog

from schemas.events import Event, Reported
from services.alerting.core.effects import Decision, Input, Notify, Reason
from services.alerting.core.incident import Incident

log = structlog.get_logger()

_OPENED = frozenset({Reason.OPENED, Reason.IMPORTED, Reason.SPLIT_OFF, Reason.LEARNING})
_MERGED = frozenset({Reason.MERGED, Reason.MERGED_REALARMED, Reason.REOPENED, Reason.JOINED, Reason.JOINED_REALARMED})
_ESCALATED = frozenset(
    {
        Reason.STEP_DUE,
        Reason.REPEAT_DUE,
        Reason.ACKNOWLEDGEMENT_RAN_OUT,
        Reason.LEVEL_RAISED,
        Reason.NOBODY_REACHED,
        Reason.SILENCE_ENDED,
    }
)
_CALLED = frozenset({Reason.POLICE_REQUESTED, Reason.POLICE_CALLED_AGAIN})
_NO_EFFECT = frozenset(
    {
        Reason.ALREADY_ACKNOWLEDGED,
        Reason.ALREADY_CLOSED,
        Reason.ALREADY_JOINED,
        Reason.NOT_CLOSED,
        Reason.OUTCOME_REFUSED,
        Reason.PRESSED_SINCE,
    }
)


def log_decision(cause: Input, decision: Decision) -> None:
    """Say what became of an input, and why."""
    incident = decision.incident
    event_id = cause.id if isinstance(cause, Event) else None
    if incident is None:
        if decision.reason is Reason.HELD and isinstance(cause, Event):
            log.info("event.held", event_id=event_id, incident_id=cause.subject)
        return
    if decision.reason is Reason.MAIL_ACCEPTED:  # once for each mail: the shortest way
        if log.is_enabled_for(logging.DEBUG):
            log.debug("incident.changed", **_about(incident), reason=decision.reason.value)
        return
    about = _about(incident) | ({"event_id": event_id} if event_id else {})
    told = sum(isinstance(effect, Notify) for effect in decision.effects)
    reason = decision.reason
    _say_disbelieved(cause, incident)
    if reason in _OPENED:
        log.info("incident.opened", **about, rule=incident.rule, policy=incident.policy_name, mails=told)
    elif reason is Reason.SUPPRESSED and incident.hold is not None:
        log.info("incident.suppressed", **about, silence_id=incident.hold.silence_id)
    elif reason in _MERGED:
        log.info("incident.merged", **about, reason=reason.value, mails=told)
    elif reason in _ESCALATED:
        log.info("incident.escalated", **about, reason=reason.value, **_stage(incident), mails=told)
    else:
        _say_what_people_did(cause, decision, incident, about, told)
    if incident.emergency and told:
        log.error("nobody.present", **about, **_stage(incident), mails=told)


def _say_what_people_did(
    cause: Input, decision: Decision, incident: Incident, about: dict[str, object], told: int
) -> None:
    reason = decision.reason
    if reason is Reason.ACKNOWLEDGED:
        log.info("incident.acknowledged", **about, mails=told)
    elif reason is Reason.JOINED_INTO and incident.joined is not None:
        log.info("incident.joined", **about, into=incident.joined.into.id, mails=told)
    elif reason is Reason.SPLIT:
        log.info("incident.split", **about, new_id=incident.split[-1])
    elif reason is Reason.CLOSED and incident.closing is not None:
        log.info("incident.closed", **about, outcome=incident.closing.outcome.value, mails=told)
    elif reason in _CALLED:
        log.info("incident.police_called", **about, mails=told)
    elif reason is Reason.HANDED_OVER:
        log.info("incident.handed_over", **about)
    elif reason in _NO_EFFECT and isinstance(cause, Event):
        # Its sender was told 202 before anybody could know; a person at a page is told by the page.
        log.info("event.without_effect", **about, reason=reason.value)
    else:
        log.debug("incident.changed", **about, reason=reason.value)


def _say_disbelieved(cause: Input, incident: Incident) -> None:
    if isinstance(cause, Event) and isinstance(cause.data, Reported) and cause.data.learning and not incident.learning:
        log.warning("learning.ignored", event_id=cause.id, incident_id=incident.id, source=cause.source)


def _about(incident: Incident) -> dict[str, object]:
    return {
        "incident_id": incident.id,
        "site": incident.site,
        "danger_level": incident.danger_level,
        "mode": "learning" if incident.learning else incident.mode.value,
        "source": incident.source,
    }


def _stage(incident: Incident) -> dict[str, int]:
    return {"cycle": incident.cycle, "step": incident.step + 1, "repetition": incident.repetition}
