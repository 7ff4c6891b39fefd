"""A person says that reports of an incident are another matter: they leave it, and open one of their own.

Reports that came along when an incident was joined can leave again in the same way. When its first report is among
them, that incident lives again under its own id.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from typing import Final, TypeVar

from schemas.events import Event, PoliceWish, Reported
from schemas.lifecycle import Change
from services.alerting.core import calls
from services.alerting.core.effects import Decision, Effect, Reason, SplitFrom, SplitOff
from services.alerting.core.escalation import relay, start
from services.alerting.core.incident import Incident, Report, Status
from services.alerting.core.joining import together
from services.alerting.core.levels import with_level
from services.alerting.core.policy import Rules
from services.alerting.core.replacing import replace
from services.alerting.core.reporting import (
    STRICTNESS,
    apply_rules,
    opened_by,
    police_news,
)

_Fact = TypeVar("_Fact")
_WISHES: Final = (PoliceWish.NONE, PoliceWish.CALLED, PoliceWish.WANTED)
"""What reports say about the police, the weightiest last."""


def split_off(incident: Incident, what: SplitOff) -> Decision:
    """The incident that the reports leave. Level, police flag and takeover stay: it never gets lighter by itself."""
    refused = _refusal(incident, what)
    if refused is not None:
        return Decision(incident, (), refused)
    moved = [report for report in incident.reports if report.event_id in what.event_ids]
    stay = tuple(report for report in incident.reports if report.event_id not in what.event_ids)
    left = {key for report in moved for key in report.keys} - {key for report in stay for key in report.keys}
    keys = tuple(key for key in incident.keys if key not in left or key == incident.place_key)
    told = [call for report in moved for call in calls.told_by(report)]
    after = replace(
        incident,
        revision=incident.revision + 1,
        reports=stay,
        opened_at=min(report.at for report in stay),
        keys=keys,
        places=tuple(key for key in incident.places if key in keys),
        calls=_without(incident.calls, tuple(dict.fromkeys((*what.calls, *told)))),
        hand_overs=_without(incident.hand_overs, what.hand_overs),
        absorbed=tuple(id_ for id_ in incident.absorbed if id_ not in what.event_ids),
        split=tuple(dict.fromkeys((*incident.split, what.event_ids[0]))),
    )
    return Decision(after, (), Reason.SPLIT)


def _refusal(incident: Incident, what: SplitOff) -> Reason | None:
    if incident.joined is not None:
        return Reason.ALREADY_JOINED
    if incident.status is Status.CLOSED:
        return Reason.ALREADY_CLOSED
    if not what.event_ids or not set(what.event_ids) <= set(incident.event_ids):
        return Reason.UNKNOWN_REPORT
    if len(set(incident.absorbed) & set(what.event_ids)) > 1:
        return Reason.SEVERAL_INCIDENTS
    return Reason.FIRST_REPORT if incident.reports[0].event_id in what.event_ids else None


def _without(facts: tuple[_Fact, ...], gone: Sequence[_Fact]) -> tuple[_Fact, ...]:
    left = list(facts)
    for fact in gone:
        if fact in left:
            left.remove(fact)
    return tuple(left)


def leaving(incident: Incident, event_ids: Sequence[str], former: Incident | None, *, by: str, reason: str) -> SplitOff:
    """What the incident is told when these reports leave it.

    Args:
        incident: as it is now.
        event_ids: the reports, in any order.
        former: an incident that was joined here and whose first report is among them.
        by: the name that the person gave.
        reason: in the person's words.
    """
    order = {report.event_id: number for number, report in enumerate(incident.reports)}
    chosen = tuple(sorted(set(event_ids), key=lambda id_: order.get(id_, len(order))))
    if former is None:
        return SplitOff(by, reason, chosen)
    its_own_first = (former.id, *(id_ for id_ in chosen if id_ != former.id))
    return SplitOff(by, reason, its_own_first, former.calls, former.hand_overs)


def to_the_new_one(before: Incident, what: SplitOff, decision: Decision) -> SplitFrom | None:
    """What the incident that opens has to be told, once the reports have left."""
    after = decision.incident
    if decision.reason is not Reason.SPLIT or after is None:
        return None
    reports = {report.event_id: report for report in before.reports}
    return SplitFrom(
        what.by,
        what.reason,
        before.id,
        before.place,
        before.mode,
        before.imported,
        tuple(reports[id_] for id_ in what.event_ids),
        _without(before.calls, after.calls),
        _without(before.hand_overs, after.hand_overs),
    )


def split_from(former: Incident | None, what: SplitFrom, now: datetime, rules: Rules) -> Decision:
    """The incident of the reports that left, judged by the rules of now and told at once.

    No silence holds it back: a person has just said that it is a matter of its own.

    Args:
        former: the incident of the same id, if it was joined and lives again: who was told stays known, and a level
            that a person had raised.
        what: what left.
        now: the instant.
        rules: the configuration and the calendar.
    """
    if former is not None and former.joined is None:
        return Decision(former, (), Reason.NOT_SPLIT)
    incident = reduce(together, [_alone(report, what, now, rules) for report in what.reports])
    incident = replace(incident, calls=what.calls, hand_overs=what.hand_overs, absorbed=(), places=())
    incident = replace(incident, split_from=what.origin)
    if former is not None:
        incident = _again(with_level(incident, former.danger_level, former.level_from, former.category), former)
    wish = max((report.police for report in what.reports), key=_WISHES.index)
    incident = apply_rules(incident, wish, now, rules)
    if incident.imported:
        return Decision(incident, (), Reason.SPLIT_OFF)
    news: tuple[Effect, ...] = (relay(incident, Change.OPENED), *police_news(incident))
    opened, effects = start(incident, now, rules)
    return Decision(opened, (*news, *effects), Reason.SPLIT_OFF)


def _again(incident: Incident, former: Incident) -> Incident:
    """Its mails are new mails, and its changes follow the earlier ones."""
    return replace(
        incident,
        revision=former.revision + 1,
        cycle=former.cycle + 1,
        told=former.told,
        notified=former.notified,
        police=max(incident.police, former.police, key=STRICTNESS.__getitem__),
        absorbed=former.absorbed,
        places=tuple(key for key in former.places if key in incident.keys),
        split=former.split,
        hold=former.hold,
        summary=former.summary,
    )


def _alone(report: Report, what: SplitFrom, now: datetime, rules: Rules) -> Incident:
    """The incident that this report alone would open now; the report stays as it was when it came."""
    place = report.place or what.place
    data = Reported(
        kind=report.kind,
        site=place.site,
        site_text=place.site_text,
        location=place.location,
        device_id=report.device_id,
        danger_level=report.danger_level,
        category=report.category,
        description=report.description,
        reported_by=report.reported_by,
        acute=report.acute,
        police=report.police,
        reference=report.reference,
        mode=what.mode,
        occurred_at=report.occurred_at,
        warnings=report.warnings,
    )
    event = Event(id=report.event_id, source=report.source, time=report.at, data=data, imported=what.imported)
    incident = opened_by(event, data, now, rules)
    return replace(incident, reports=(replace(report, place=place, keys=incident.keys),))
