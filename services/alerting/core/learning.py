"""A report of a source in learning mode: told to the source's test address once, and over at once.

An incident of its own without merge keys: no other report finds it, and it finds none. Closed from the beginning, it
has no due time, takes no answers, and can neither join nor be joined.
"""

from collections.abc import Sequence
from datetime import datetime

from schemas.events import Event, Reported
from schemas.lifecycle import Change
from services.alerting.core.effects import Decision, Notify, Purpose, Reason
from services.alerting.core.escalation import relay
from services.alerting.core.incident import Incident, Status
from services.alerting.core.policy import Rules
from services.alerting.core.replacing import replace
from services.alerting.core.reporting import merge_keys, opened_by


def keys_of(event: Event, rules: Rules) -> tuple[str, ...]:
    """What other reports may share with this one (see `merge_keys`): nothing, if it is of a learning source."""
    return merge_keys(event.data, rules) if isinstance(event.data, Reported) and not rules.learns(event) else ()


def decide_learning(
    candidates: Sequence[Incident], event: Event, data: Reported, now: datetime, rules: Rules
) -> Decision:
    """One mail for each message. Rule and policy are kept: the mail says what they would have done."""
    known = next((candidate for candidate in candidates if event.id in candidate.event_ids), None)
    if known is not None:
        return Decision(known, (), Reason.DUPLICATE)
    opened = opened_by(event, data, now, rules)
    report = replace(opened.reports[0], announced_test=None, keys=())
    recipient = None if event.imported else rules.test_recipient(event.source)
    learnt = replace(
        opened,
        learning=True,
        reports=(report,),
        status=Status.CLOSED,
        place_key=None,
        keys=(),
        calls=(),  # a control room must not take it for a real call
        step=0,
        told=() if recipient is None else (recipient,),
    )
    if recipient is None:
        return Decision(learnt, (), Reason.IMPORTED)
    mail = Notify(recipient, Purpose.ALARM, learnt.cycle, learnt.step + 1, learnt.repetition, learnt.urgency)
    news = (relay(learnt, Change.OPENED), relay(learnt, Change.CLOSED))
    return Decision(learnt, (mail, *news), Reason.LEARNING)
