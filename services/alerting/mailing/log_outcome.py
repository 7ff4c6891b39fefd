"""One log line per attempt at a mail. No personal data: roles instead of names, and nothing that a server wrote."""

import structlog

from services.alerting.mailing.outcomes import Outcome, State

log = structlog.get_logger()


def log_outcome(outcome: Outcome, seconds: float) -> None:
    """Say what became of a mail in this attempt, which took so long."""
    mail, notify = outcome.mail, outcome.mail.notify
    about = {
        "incident_id": mail.incident.id,
        "mail_id": str(mail.id),
        "purpose": notify.purpose.value,
        "role": notify.recipient.role,
        "step": notify.step,
        "cycle": notify.cycle,
        "repetition": notify.repetition,
        "attempt": mail.attempt,
        "via": outcome.via,
        "stage": outcome.stage,
        "code": outcome.code,
        "duration_ms": round(seconds * 1000, 1),
    }
    match outcome.state:
        case State.ACCEPTED:
            log.info("mail.accepted", **about)
        case State.REFUSED:
            log.error("mail.refused", **about)
        case State.DUE:
            log.warning("mail.deferred", **about, seconds=round(outcome.delay, 1))
        case State.SET_ASIDE:
            log.error("mail.set_aside", **about)
        case State.EXPIRED:
            log.info("mail.expired", **about)
