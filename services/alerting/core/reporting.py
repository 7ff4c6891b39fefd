"""A report opens an incident or joins one at the same place."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from schemas.configuration import PoliceFlag
from schemas.events import Event, Kind, Mode, PoliceWish, Reported
from schemas.lifecycle import Change
from schemas.places import normalise_place
from services.alerting.core import calls
from services.alerting.core.effects import Decision, Effect, Reason, Relay
from services.alerting.core.escalation import Changed, relay, restart, start
from services.alerting.core.incident import Again, Hold, Incident, Place, Report, Status
from services.alerting.core.levels import with_level
from services.alerting.core.plans import HIGHEST_SILENCED_LEVEL, Silence
from services.alerting.core.policy import Facts, Rules, device_key, first_match, level_of
from services.alerting.core.replacing import replace

QUIET_AFTER_ACKNOWLEDGEMENT = timedelta(minutes=2)
"""A press at a place that somebody has just taken over alarms again only after this time."""
PLANNED_SILENCE = "planned_silence"
"""The reason in the lifecycle; what people wrote stays out of it."""
STRICTNESS = {"none": 0, "advised": 1, "urgent": 2}
BY_REFERENCE = ":reference/"
"""How a merge key begins that quotes what a sender wrote."""


def place_key(report: Reported, rules: Rules) -> str | None:
    """What two reports must share to be one incident: site and place, or without a place the same device.

    None never merges: two presses without a known place may be two victims.
    """
    site = report.site if report.site in rules.configuration.sites else f"?{report.site or report.site_text or ''}"
    if report.location is not None:
        known = rules.location(report.site, report.location)
        return f"{site}/{normalise_place(known.id if known else report.location)}"
    if report.device_id is not None:
        return f"{site}/{device_key(report.device_id)}"
    return None


def merge_keys(report: Reported, rules: Rules) -> tuple[str, ...]:
    """What another report may share to concern the same incident: the place, the device, a reference."""
    place = place_key(report, rules)
    device = f":{device_key(report.device_id)}" if report.device_id is not None else None
    reference = f"{BY_REFERENCE}{report.reference}" if report.reference is not None else None
    return tuple(key for key in (place, device, reference) if key is not None)


def decide_report(
    candidates: Sequence[Incident], event: Event, data: Reported, now: datetime, rules: Rules
) -> Decision:
    """Merge into the youngest matching incident, or open a new one."""
    if any(event.id in candidate.event_ids for candidate in candidates):
        return Decision(next(c for c in candidates if event.id in c.event_ids), (), Reason.DUPLICATE)
    for candidate in sorted(candidates, key=lambda c: (c.opened_at, c.id), reverse=True):  # in one order, as ever found
        if _joins(candidate, event, data, now, rules):
            return _merge(candidate, event, data, now, rules)
    return _open(event, data, now, rules)


def _joins(incident: Incident, event: Event, data: Reported, now: datetime, rules: Rules) -> bool:
    if incident.mode is not data.mode or incident.imported != event.imported:
        return False
    if incident.status is Status.CLOSED and not incident.under_test and _test_of(event, data, now, rules):
        return False  # trying a button opens again nothing that was real
    if event.imported:
        return _joined_then(incident, data, now, rules)
    within, last = rules.configuration.merge.within, max(report.received_at for report in incident.reports)
    recent = bool(within) and now - (max(last, incident.closing.at) if incident.closing else last) <= within
    if incident.status is Status.CLOSED and not (recent and data.kind is Kind.PANIC):
        return False  # only a new press opens again what was closed
    key = place_key(data, rules)
    if key is not None and (key == incident.place_key or key in incident.places):
        return recent
    return data.kind is not Kind.PANIC and _follows(incident, data, recent=recent)


def _joined_then(incident: Incident, data: Reported, now: datetime, rules: Rules) -> bool:
    """As for live reports, at the event's own time; the file may name events in another order than they happened."""
    within = rules.configuration.merge.within
    begin, end = min(r.at for r in incident.reports), max(r.at for r in incident.reports)
    closed = incident.closing.at if incident.closing else None
    if closed is not None and now > closed and data.kind is not Kind.PANIC:
        return False
    recent = bool(within) and begin - within <= now <= max(end, closed or end) + within
    key = place_key(data, rules)
    if key is not None and (key == incident.place_key or key in incident.places):
        return recent
    return data.kind is not Kind.PANIC and _follows(incident, data, recent=recent)


def _follows(incident: Incident, data: Reported, *, recent: bool) -> bool:
    """Whether a form adds details to an earlier press: by the press's reference, or soon after by its device."""
    if data.reference is not None and f"{BY_REFERENCE}{data.reference}" in incident.keys:
        return True
    return recent and data.device_id is not None and f":{device_key(data.device_id)}" in incident.keys


def _test_of(event: Event, data: Reported, now: datetime, rules: Rules) -> str | None:
    """The announced test that a press belongs to; exercises and past events belong to none."""
    if not rules.plans.tests or data.kind is not Kind.PANIC or data.mode is not Mode.ACTUAL or event.imported:
        return None
    test = rules.plans.test_of(data.site, data.device_id, min(event.time, now), now)
    return test.id if test else None


def _silence_of(incident: Incident, data: Reported, level: int | None, now: datetime, rules: Rules) -> Silence | None:
    """The silence that may hold a report back: only a harmless form of known level that nobody wants police for."""
    if not rules.plans.silences or data.kind is not Kind.FORM or data.mode is not Mode.ACTUAL:
        return None
    if level is None or level > HIGHEST_SILENCED_LEVEL or incident.police != "none" or incident.calls:
        return None
    return rules.plans.silence_of(data.site, data.device_id, now)


def _place(data: Reported, rules: Rules) -> Place:
    site = data.site if data.site in rules.configuration.sites else None
    known = rules.location(site, data.location)
    return Place(site, None if site else data.site or data.site_text, known.id if known else data.location)


def _report(event: Event, data: Reported, now: datetime, rules: Rules) -> Report:
    return Report(
        event_id=event.id,
        source=event.source,
        kind=data.kind,
        at=min(event.time, now),
        received_at=now,
        device_id=data.device_id,
        danger_level=data.danger_level,
        category=data.category,
        description=data.description,
        reported_by=data.reported_by,
        police=data.police,
        reference=data.reference,
        occurred_at=data.occurred_at,
        warnings=data.warnings,
        announced_test=_test_of(event, data, now, rules),
        place=_place(data, rules),
        acute=data.acute,
        keys=merge_keys(data, rules),
    )


def _flag(from_rule: PoliceFlag, wish: PoliceWish) -> PoliceFlag:
    """`wanted` counts as a rule's `urgent` at least."""
    return "urgent" if wish is PoliceWish.WANTED else from_rule


def opened_by(event: Event, data: Reported, now: datetime, rules: Rules) -> Incident:
    """The incident that a report opens, judged by the rules; nobody is told yet."""
    level, level_from = level_of(data, rules, event.source)
    report = _report(event, data, now, rules)
    assert report.place is not None
    incident = Incident(
        id=event.id,
        site=report.place.site,
        site_text=report.place.site_text,
        location=report.place.location,
        device_id=data.device_id,
        place_key=place_key(data, rules),
        keys=report.keys,
        mode=data.mode,
        kind=data.kind,
        source=event.source,
        acute=data.acute,
        danger_level=level,
        level_from=level_from,
        category=data.category,
        reports=(report,),
        opened_at=report.at,
        rule="",
        policy_name="",
        policy=next(iter(rules.configuration.policies.values())),
        police="none",
        revision=1,
        imported=event.imported,
        calls=calls.told_by(report),
    )
    return apply_rules(incident, data.police, now, rules)


def _open(event: Event, data: Reported, now: datetime, rules: Rules) -> Decision:
    incident = opened_by(event, data, now, rules)
    news: tuple[Effect, ...] = (relay(incident, Change.OPENED), *police_news(incident))
    if event.imported:
        return Decision(incident, (), Reason.IMPORTED)
    silence = _silence_of(incident, data, incident.danger_level, now, rules)
    if silence is not None:
        hold = Hold(silence.id, silence.ends_at, silence.reason, silence.by)
        held = replace(incident, hold=hold, due_at=silence.ends_at)
        return Decision(held, (*news, relay(held, Change.SUPPRESSED, reason=PLANNED_SILENCE)), Reason.SUPPRESSED)
    opened, effects = start(incident, now, rules)
    return Decision(opened, (*news, *effects), Reason.OPENED)


def police_news(incident: Incident) -> tuple[Effect, ...]:
    """What a control room hears about the police when an incident opens."""
    news: list[Effect] = []
    if incident.police != "none":
        news.append(relay(incident, Change.POLICE_ADVISED, police=incident.police))
    if incident.calls:
        news.append(relay(incident, Change.POLICE_REQUESTED))
    return tuple(news)


def apply_rules(incident: Incident, wish: PoliceWish, now: datetime, rules: Rules) -> Incident:
    """Rule and policy of this moment; the police flag never gets weaker."""
    facts = Facts(
        incident.site, incident.source, incident.kind, incident.mode, incident.category, incident.level,
        incident.acute, wish,
    )  # fmt: skip
    rule, policy = first_match(rules, facts, now)
    flags: tuple[PoliceFlag, ...] = (incident.police, _flag(rule.police, wish))
    flag = max(flags, key=STRICTNESS.__getitem__)
    return replace(incident, rule=rule.name, policy_name=rule.policy, policy=policy, police=flag)


def _merge(incident: Incident, event: Event, data: Reported, now: datetime, rules: Rules) -> Decision:
    report = _report(event, data, now, rules)
    level, level_from = level_of(data, rules, event.source)
    merged = replace(
        with_level(incident, 0 if _raises_nothing(data, level) else level, level_from, data.category),
        revision=incident.revision + 1,
        reports=(*incident.reports, report),
        acute=incident.acute or data.acute,
        kind=Kind.PANIC if data.kind is Kind.PANIC else incident.kind,
        calls=(*incident.calls, *calls.told_by(report)),
        keys=tuple(dict.fromkeys((*incident.keys, *merge_keys(data, rules)))),
        notified=incident.notified and incident.status is not Status.CLOSED,  # of what begins anew nobody has heard
    )
    if event.imported:
        if merged.closing is not None and now > merged.closing.at:
            opened = replace(merged, status=Status.OPEN, taken=None, closing=None, reopened_at=report.at)
            return Decision(opened, (), Reason.REOPENED)
        return Decision(merged, (), Reason.MERGED)
    if incident.status is Status.CLOSED:
        opened = replace(merged, closing=None, reopened_at=report.at)
        again, effects = alarm_graver(opened, Again.PRESSED, now, rules, data.police)
        news = (_joined(again, event), *called_news(replace(incident, calls=()), again), *effects)
        return Decision(again, news, Reason.REOPENED)
    real = incident.under_test and not merged.under_test
    breaks_through = incident.held and _silence_of(merged, data, level, now, rules) is None
    if real or breaks_through or is_graver(incident, merged, data.police):
        again, effects = alarm_graver(merged, Again.REAL if real else Again.GRAVER, now, rules, data.police)
        news = (_joined(again, event), *called_news(incident, again), *effects)
        return Decision(again, news, Reason.MERGED_REALARMED)
    effects = (relay(merged, Change.SUPPRESSED, reason=PLANNED_SILENCE),) if merged.held else ()
    if merged.status is Status.ACKNOWLEDGED and data.kind is Kind.PANIC and not merged.held:
        merged, effects = _pressed_while_taken(merged, report, now, rules)
    news = (_joined(merged, event), *called_news(incident, merged), *effects)
    reason = Reason.SUPPRESSED if merged.held else Reason.MERGED_REALARMED if effects else Reason.MERGED
    return Decision(merged, news, reason)


def _raises_nothing(data: Reported, level: int | None) -> bool:
    """A form about what is over, without a level: it adds to what is known, and makes it no graver."""
    return level is None and not data.acute and data.kind is not Kind.PANIC


def _joined(incident: Incident, event: Event) -> Relay:
    """Of the incident as it is afterwards: of what is alarmed anew nobody has heard for having taken over before."""
    return relay(incident, Change.MERGED, event_ids=(event.id,), source=event.source)


def is_graver(before: Incident, after: Incident, wish: PoliceWish) -> bool:
    """Whether the report makes the case worse, so that the rules are applied anew and people are told now."""
    first_press = after.kind is Kind.PANIC and before.kind is not Kind.PANIC
    worse = after.level > before.level or (after.acute and not before.acute)
    return worse or first_press or (wish is PoliceWish.WANTED and before.police != "urgent")


def alarm_graver(
    incident: Incident, why: Again, now: datetime, rules: Rules, wish: PoliceWish = PoliceWish.NONE
) -> tuple[Incident, tuple[Effect, ...]]:
    """Apply the rules anew to what became worse, and alarm again from the first step."""
    again, effects = restart(apply_rules(incident, wish, now, rules), why, now, rules)
    news = (relay(again, Change.POLICE_ADVISED, police=again.police),) if again.police != incident.police else ()
    return again, (*news, *effects)


def called_news(before: Incident, after: Incident) -> tuple[Effect, ...]:
    """That the first call to the police is known now."""
    known = calls.standing(before)
    return (relay(after, Change.POLICE_REQUESTED),) if calls.standing(after) and not known else ()


def _pressed_while_taken(merged: Incident, report: Report, now: datetime, rules: Rules) -> Changed:
    """Pressed again although somebody took over: alarm again, but leave them a moment to get there."""
    assert merged.taken is not None
    if report.at < merged.taken.at:
        return merged, ()
    quiet_until = merged.taken.at + QUIET_AFTER_ACKNOWLEDGEMENT
    if now >= quiet_until:
        return restart(merged, Again.PRESSED, now, rules)
    ends = quiet_until if merged.taken.until is None else min(merged.taken.until, quiet_until)
    taken = replace(merged.taken, until=ends, reminded=True)
    return replace(merged, taken=taken, due_at=ends), ()
