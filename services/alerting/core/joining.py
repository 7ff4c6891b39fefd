"""A person makes one incident part of another: the one goes on with the facts of both, the other ends in it."""

from datetime import datetime

from schemas.events import Kind, PoliceWish
from schemas.lifecycle import Change
from services.alerting.core import calls
from services.alerting.core.effects import Decision, Effect, Joined, JoinedInto, Notify, Purpose, Reason, Withdraw
from services.alerting.core.escalation import relay
from services.alerting.core.incident import Again, Incident, Joining, Recipient, Status, Target
from services.alerting.core.levels import with_level
from services.alerting.core.policy import Rules
from services.alerting.core.replacing import replace
from services.alerting.core.reporting import STRICTNESS, alarm_graver, called_news, is_graver

TAKEN_IN = frozenset({Reason.JOINED, Reason.JOINED_REALARMED})


def refusal(incident: Incident, other: Incident) -> Reason | None:
    """Why `other` cannot become part of `incident`; None if it can.

    People, addresses, hours and figures belong to a site, so only what has no known site may join across: it gains
    one. An exercise never touches something real, and what a file said about the past nothing that people deal with.
    """
    if incident.id == other.id:
        return Reason.SAME_INCIDENT
    if incident.joined is not None or other.joined is not None:
        return Reason.ALREADY_JOINED
    if Status.CLOSED in (incident.status, other.status):
        return Reason.ALREADY_CLOSED
    if incident.mode is not other.mode:
        return Reason.MODES_DIFFER
    if incident.imported != other.imported:
        return Reason.PAST_AND_PRESENT
    return Reason.SITES_DIFFER if other.site not in (None, incident.site) else None


def joined(incident: Incident, what: Joined, now: datetime, rules: Rules) -> Decision:
    """The incident that goes on. What the other brings is alarmed anew only if it makes the case graver.

    Whether somebody has taken over stays as it is here: nobody has promised to look after what the other one's
    people see, and an alarm that runs goes on until somebody takes it over.
    """
    other = what.other
    refused = refusal(incident, other)
    if refused is not None:
        return Decision(incident, (), refused)
    merged = replace(together(incident, other), revision=incident.revision + 1)
    if merged.imported:
        return Decision(merged, (), Reason.JOINED)
    wanted = any(report.police is PoliceWish.WANTED for report in other.reports)
    wish = PoliceWish.WANTED if wanted else PoliceWish.NONE
    real = incident.under_test and not merged.under_test
    breaks_through = incident.held and not other.held
    stricter = STRICTNESS[other.police] > STRICTNESS[incident.police]
    if real or breaks_through or stricter or is_graver(incident, merged, wish):
        again, effects = alarm_graver(merged, Again.REAL if real else Again.JOINED, now, rules, wish)
        if again.police == merged.police:  # else it has been said with the alarm
            effects = (*_advised(incident, again), *effects)
        return Decision(again, (*_taken_in(incident, again, other), *effects), Reason.JOINED_REALARMED)
    news = _taken_in(incident, merged, other)
    told_there = {person.email.casefold() for person in other.told}
    others = tuple(person for person in incident.told if person.email.casefold() not in told_there)
    return Decision(merged, (*news, *_tell(merged, others)), Reason.JOINED)


def joined_into(incident: Incident, what: JoinedInto, now: datetime) -> Decision:
    """The incident that ends: its alarm stops, and everybody who was told hears where it goes on."""
    if incident.joined is not None:
        return Decision(incident, (), Reason.ALREADY_JOINED)
    if incident.status is Status.CLOSED:
        return Decision(incident, (), Reason.ALREADY_CLOSED)
    ended = replace(
        incident,
        revision=incident.revision + 1,
        status=Status.CLOSED,
        joined=Joining(what.by, now, what.reason, what.into),
        due_at=None,
        awaited=(),
        reached=False,
        keys=(),  # a further report belongs to the other one
    )
    if incident.imported:
        return Decision(ended, (), Reason.JOINED_INTO)
    news = relay(ended, Change.MERGED, into=what.into.id)
    return Decision(ended, (Withdraw(), *_tell(ended, ended.told), news), Reason.JOINED_INTO)


def to_the_other(what: Joined, decision: Decision) -> JoinedInto | None:
    """What the other incident has to be told, once this one has taken it in."""
    if decision.reason not in TAKEN_IN or decision.incident is None:
        return None
    return JoinedInto(what.by, what.reason, target(decision.incident))


def target(incident: Incident) -> Target:
    """The incident as the people of another one hear of it."""
    called = calls.standing(incident)
    called_at = called[0].at if called else None
    taken_by = incident.taken.by if incident.taken is not None else None
    return Target(incident.id, incident.place, incident.police, called_at, taken_by)


def together(incident: Incident, other: Incident) -> Incident:
    """All facts of both under the first one's id; its own report stays the first."""
    known = {person.email.casefold() for person in incident.told}
    reports = (*incident.reports[1:], *other.reports)
    places = (*incident.places, *((other.place_key,) if other.place_key else ()), *other.places)
    return replace(
        with_level(incident, other.danger_level, other.level_from, other.category),
        reports=(incident.reports[0], *sorted(reports, key=lambda report: report.received_at)),
        opened_at=min(incident.opened_at, other.opened_at),
        acute=incident.acute or other.acute,
        kind=Kind.PANIC if other.kind is Kind.PANIC else incident.kind,
        police=max(incident.police, other.police, key=STRICTNESS.__getitem__),
        calls=tuple(sorted((*incident.calls, *other.calls), key=lambda call: call.at)),
        # To be told once too often to call is the lesser harm.
        reopened_at=max(filter(None, (incident.reopened_at, other.reopened_at)), default=None),
        hand_overs=tuple(sorted((*incident.hand_overs, *other.hand_overs), key=lambda hand_over: hand_over.at)),
        keys=tuple(dict.fromkeys((*incident.keys, *other.keys))),
        places=tuple(dict.fromkeys(key for key in places if key != incident.place_key)),
        told=(*incident.told, *(person for person in other.told if person.email.casefold() not in known)),
        absorbed=(*incident.absorbed, other.id, *other.absorbed),
    )


def _taken_in(before: Incident, after: Incident, other: Incident) -> tuple[Effect, ...]:
    """Each sender hears where its reports are now, and a control room of calls that are new here."""
    merged = []
    for source in dict.fromkeys(report.source for report in other.reports):
        ids = tuple(report.event_id for report in other.reports if report.source == source)
        merged.append(relay(after, Change.MERGED, event_ids=ids, source=source))
    handed = (relay(after, Change.HANDED_OVER),) if after.hand_overs and not before.hand_overs else ()
    return (*merged, *called_news(before, after), *handed)


def _advised(before: Incident, after: Incident) -> tuple[Effect, ...]:
    if after.police == before.police:
        return ()
    return (relay(after, Change.POLICE_ADVISED, police=after.police),)


def _tell(incident: Incident, people: tuple[Recipient, ...]) -> tuple[Notify, ...]:
    return tuple(
        Notify(person, Purpose.JOINED, incident.cycle, incident.step + 1, incident.revision, incident.urgency)
        for person in people
    )
