"""What a decision means besides its mails, in words. Nothing here repeats what a report or a person wrote."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from schemas.events import Event
from services.alerting.core.effects import Decision, Input, Notify, Purpose, Reason
from services.alerting.core.incident import Again, Incident, LevelFrom
from services.alerting.core.policy import Rules
from services.simulation.timeline import Happening

_WORDS: Final = {
    Reason.MERGED: "joined by another report",
    Reason.MERGED_REALARMED: "joined by another report: alarmed again",
    Reason.REOPENED: "pressed again: opened again",
    Reason.ACKNOWLEDGED: "taken over by a person",
    Reason.ACKNOWLEDGEMENT_RAN_OUT: "taken over, but not closed in time: alarmed again",
    Reason.CLOSED: "closed by a person",
    Reason.POLICE_REQUESTED: "a person says that the police was called",
    Reason.POLICE_CALLED_AGAIN: "another person says that the police was called",
    Reason.HANDED_OVER: "handed over to the police",
    Reason.NOBODY_REACHED: "no mail of this step was accepted: the next people are told at once",
    Reason.EMERGENCY_MAILED: "ingest has mailed the emergency contacts itself",
    Reason.EMERGENCY_MAILED_BEFORE: "changed nothing: ingest has mailed the emergency contacts before",
    Reason.ALREADY_ACKNOWLEDGED: "changed nothing: taken over already",
    Reason.ALREADY_CLOSED: "changed nothing: closed already",
    Reason.PRESSED_SINCE: "changed nothing: somebody pressed since",
    Reason.OUTCOME_REFUSED: "changed nothing: only an announced test may be closed as a test",
}
_SEEN_IN_MAILS: Final = frozenset(
    {
        Reason.STEP_DUE,
        Reason.REPEAT_DUE,
        Reason.REMINDED,
        Reason.MAIL_ACCEPTED,
        Reason.MAIL_REFUSED,
        Reason.OUTDATED_RESULT,
    }
)


def happenings(
    before: Incident | None, decision: Decision, cause: Input, now: datetime, rules: Rules
) -> Iterator[Happening]:
    """What to say about a decision. One that changed nothing is worth a word only if an event asked for it.

    Args:
        before: the incident as it was (None: just opened).
        decision: what was decided.
        cause: the input it was decided about.
        now: the instant of the decision.
        rules: as given to `decide`.
    """
    after, reason = decision.incident, decision.reason
    if after is None or (after is before and not isinstance(cause, Event)):
        return
    if reason is Reason.OPENED:
        yield Happening(now, after.id, reason.value, f"opened: {_judged(after)}")
    elif reason is Reason.LEARNING:
        yield Happening(now, after.id, reason.value, f"source in learning mode, nobody else is told: {_judged(after)}")
    elif reason not in _SEEN_IN_MAILS:
        text = _WORDS.get(reason, reason.value.replace("_", " "))
        if reason is Reason.ACKNOWLEDGEMENT_RAN_OUT and after.again is Again.PRESSED:
            text = "pressed again after it was taken over: alarmed again"
        if before is not None and (before.rule, before.policy_name) != (after.rule, after.policy_name):
            text += f"; {_judged(after)}"
        yield Happening(now, after.id, reason.value, text)
    absent = _absent(before, after, decision, now, rules)
    if absent:
        yield Happening(now, after.id, "skipped", "; ".join(absent))


def _judged(incident: Incident) -> str:
    if incident.danger_level is None or incident.level_from is LevelFrom.UNKNOWN:
        level = f"level unknown, counts as {incident.level}"
    else:
        level = f"level {incident.danger_level} ({incident.level_from.value})"
    police = "" if incident.police == "none" else f", police {incident.police}"
    return f'{level}, rule "{incident.rule}", policy {incident.policy_name}{police}'


def _absent(before: Incident | None, after: Incident, decision: Decision, now: datetime, rules: Rules) -> list[str]:
    """Roles that were to be told now and that nobody fills at this moment, step by step."""
    told = {n.recipient.role for n in decision.effects if isinstance(n, Notify) and n.purpose is Purpose.ALARM}
    if not told or after.learning or (after.repetition and not after.emergency):
        return []  # a repeat goes to the same step: its absences have been said
    if before is None or before.cycle != after.cycle:
        first = 0
    else:
        first = before.step if before.repetition != after.repetition else before.step + 1
    absent = []
    for index in range(first, after.step + 1):
        roles = after.policy.steps[index].tell
        gone = [role for role in roles if role not in told and not rules.people(after.site, role, now)]
        if gone:
            absent.append(
                f"step {index + 1} without {', '.join(f'{role} ({_why(role, after, rules)})' for role in gone)}"
            )
    return absent


def _why(role: str, incident: Incident, rules: Rules) -> str:
    site = rules.site(incident.site)
    found = (site.people.get(role) if site else None) or rules.configuration.roles.get(role)
    if found is None or not found.people:
        return "nobody named"
    return f"present only when {found.when}"
