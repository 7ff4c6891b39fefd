"""Rules about mails: each is one that was decided, once, to the right person, and none after an end."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from services.alerting.changes import outbox_id
from services.alerting.core.effects import Notify, Purpose, Withdraw
from tests.faults.chaos.history import Act, Attempt, History, Stored
from tests.faults.chaos.schedule import ON_THE_WAY
from tests.faults.chaos.timing import COMMIT, CONVERSATION, QUICK_COMMIT

_HOLDS_MAILS_UP: Final = ("hang alerting", "PostgreSQL", *ON_THE_WAY["normal"], *ON_THE_WAY["fallback"])
"""Faults for whose time a mail may be in hand longer: nobody sends it, gives it back or answers."""
_DECIDES_LATE: Final = ("hang alerting", "PostgreSQL")
_WAITS_AT_MOST: Final = 30.0
_DONE: Final = ("acknowledged", "closed", "police_requested", "police_called_again")
"""What a page says when a click changed something; the others say that it was so already."""


def _answers(history: History) -> Iterator[tuple[str, int, float]]:
    """Each commit that says that somebody has an incident, or that it is closed: its id, the cycle, and when.

    Whether the person got an answer does not matter.
    """
    for incident_id, decisions in history.decisions.items():
        for one, decision in zip(history.incidents[incident_id].inputs, decisions, strict=True):
            if decision.incident is not None and Withdraw() in decision.effects:
                yield incident_id, decision.incident.cycle, one.at


def nobody_is_called_after_a_take_over(history: History) -> Iterator[str]:
    """No alarm mail arrives later after an answer than one may take that was in hand then."""
    for incident_id, cycle, answered_at in _answers(history):
        for mail in history.alarms(incident_id):
            late = mail.at - answered_at
            longest = COMMIT + CONVERSATION + history.held(answered_at, mail.at, *_HOLDS_MAILS_UP)
            if mail.cycle <= cycle and late > longest:
                yield f"{mail.step} of {incident_id} came {late:.1f} s after it was answered"


def no_alarm_is_begun_after_a_take_over(history: History) -> Iterator[str]:
    """No process begins an attempt at an alarm mail once an answer is committed."""
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in history.attempts:
        if attempt.purpose == Purpose.ALARM:
            attempts[attempt.incident_id].append(attempt)
    for incident_id, cycle, answered_at in _answers(history):
        for attempt in attempts[incident_id]:
            late = attempt.began_at - answered_at
            busy = history.failing(answered_at, answered_at + COMMIT, *_DECIDES_LATE)
            waits = (f"hang {attempt.process}", *_HOLDS_MAILS_UP[1:])
            longest = (COMMIT if busy else QUICK_COMMIT) + history.held(answered_at, attempt.began_at, *waits)
            if attempt.cycle <= cycle and late > longest:
                yield f"an alarm mail of {incident_id} was begun {late:.1f} s after it was answered"


def every_click_is_kept(history: History) -> Iterator[str]:
    """What a page said was done stands in the timeline, under the name of who did it; a call of the police among it."""
    for act in history.acts:
        if act.answered_at is None:
            continue
        stored = history.incidents.get(act.incident_id)
        if stored is None or not _is_known(history, act, stored):
            yield f"{act.action} of {act.incident_id} by {act.by} was answered ({act.said}) and is not known"


def _is_known(history: History, act: Act, stored: Stored) -> bool:
    by_them = any(one.by == act.by for one in stored.inputs)
    if act.action == "acknowledge_and_called" and act.by not in {call.by for call in stored.state.calls}:
        return False
    if act.said.partition(".")[0] in _DONE:
        return by_them
    # Somebody had been faster, or their own click had been stored and its answer was lost.
    wanted = {"close": ("already_closed",)}.get(act.action, ("already_acknowledged", "already_closed"))
    over = any(
        Withdraw() in decision.effects
        and decision.incident is not None
        and (act.said == "already_acknowledged" or decision.incident.closing is not None)
        for decision in history.decisions[act.incident_id]
    )
    return act.said in wanted and over


def every_decided_mail_is_in_the_outbox(history: History) -> Iterator[str]:
    """Each mail that a decision asks for has its row; those who were told of an alarm hear who has it, and its end."""
    rows = {row.id for row in history.outbox}
    for incident_id, decisions in history.decisions.items():
        ended = any(Withdraw() in decision.effects for decision in decisions)
        for decision in decisions:
            for effect in decision.effects:
                # What was decided and withdrawn in one transaction was never written.
                if not isinstance(effect, Notify) or (ended and effect.purpose is Purpose.ALARM):
                    continue
                if str(outbox_id(incident_id, effect)) not in rows:
                    yield f"a mail {effect.purpose} of {incident_id} was decided and is not in the outbox"


def what_is_recorded_as_accepted_was_accepted(history: History) -> Iterator[str]:
    """No row of the outbox says so without a mail server having taken that mail; nor does one wait for ever."""
    taken = {(mail.id, mail.recipient) for mail in history.mails}
    for row in history.outbox:
        if row.state == "accepted" and (row.id, row.recipient) not in taken:
            yield f"mail {row.id} is recorded as accepted, and no mail server has it"
        if row.state == "due" and row.age > _WAITS_AT_MOST:
            yield f"mail {row.id} still waits after {row.age:.0f} s"


def every_mail_was_decided(history: History) -> Iterator[str]:
    """No mail of alerting comes from nowhere."""
    rows = {row.id for row in history.outbox}
    for mail in history.mails:
        known = mail.purpose == "emergency" or mail.id in rows
        if not known:
            yield f"{mail.subject!r} ({mail.message_id}) is in no outbox"


def every_alarm_names_its_place(history: History) -> Iterator[str]:
    """The first line is the place of a report of that incident, and the mail goes to somebody of that site."""
    configuration = history.rules.configuration
    for mail in history.mails:
        if mail.purpose != "alarm" or mail.incident_id is None:
            continue
        stored = history.incidents.get(mail.incident_id)
        report = history.by_place.get(mail.places[0]) if mail.places else None
        if stored is None or report is None or report.event_id not in stored.state.event_ids:
            yield f"an alarm mail about {mail.incident_id} begins with another place"
            continue
        roles = (*configuration.sites[report.site].people.values(), *configuration.roles.values())
        if mail.recipient not in {person.email for role in roles for person in role.people}:
            yield f"an alarm mail about {mail.incident_id} went to somebody of another site"
