"""What the page of tests and silences shows, and what the board says of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.alerting.core.codes import code_of
from services.alerting.core.devices import look_up
from services.alerting.core.plain_text import one_line
from services.alerting.core.plans import AnnouncedTest, Plans, Silence
from services.alerting.core.policy import Rules
from services.alerting.core.telling import LANGUAGES
from services.alerting.desk.planning import Planned
from services.alerting.desk.plans_form import Wish
from services.alerting.desk.texts.plans import PLAN_WORDS, PlanWords
from services.alerting.desk.view import PAGE_WORDS


def plans_page(
    planned: Planned, rules: Rules, now: datetime, wish: Wish, mistakes: Sequence[str], done: str
) -> dict[str, Any]:
    """All that is running or to come, and the forms."""
    organisation = rules.configuration.organisation
    words = PLAN_WORDS[organisation.language]
    zone = rules.zone(None)
    return {
        "language": organisation.language,
        "p": words,
        "w": PAGE_WORDS[organisation.language],
        "organisation": organisation.name,
        "tests": [_row(test, words, rules, now, ()) for test in planned.plans.tests],
        "silences": [_row(s, words, rules, now, planned.held_back.get(s.id, ())) for s in planned.plans.silences],
        "sites": [(key, site.name) for key, site in rules.configuration.sites.items()],
        "devices": list(_devices(rules, words, now, planned.last_tests)),
        "until": now.astimezone(zone).strftime("%Y-%m-%dT%H:%M"),
        "wish": wish,
        "mistakes": mistakes,
        "confirmation": words.done.get(done),
    }


def board_lines(plans: Plans, rules: Rules, now: datetime) -> list[str]:
    """What is in force now, without names."""
    words = PLAN_WORDS[rules.configuration.organisation.language]
    patterns: list[tuple[AnnouncedTest | Silence, str]] = [
        (test, words.board_test) for test in plans.tests if test.in_force(now)
    ]
    patterns += [(silence, words.board_silence) for silence in plans.silences if silence.in_force(now)]
    return [
        p.format(end=_clock(plan.ends_at, rules, plan.site, now), where=_where(plan, words, rules))
        for plan, p in patterns
    ]


def _row(
    plan: AnnouncedTest | Silence, words: PlanWords, rules: Rules, now: datetime, held_back: Sequence[str]
) -> dict[str, Any]:
    incident = PAGE_WORDS[rules.language(plan.site)].incident
    start, end = (_clock(at, rules, plan.site, now) for at in (plan.starts_at, plan.ends_at))
    return {
        "id": plan.id,
        "where": _where(plan, words, rules),
        "period": words.period.format(start=start, end=end),
        "by": words.by.format(by=one_line(plan.by, 120)),
        "reason": one_line(plan.reason, 120) if isinstance(plan, Silence) else None,
        "held_back": [(id_, incident.format(code=code_of(id_))) for id_ in held_back],
        "running": plan.in_force(now),
    }


def _where(plan: AnnouncedTest | Silence, words: PlanWords, rules: Rules) -> str:
    devices = plan.devices if isinstance(plan, AnnouncedTest) else (plan.device,) if plan.device else ()
    if devices:
        return ", ".join(_device(device, rules) for device in devices)
    site = rules.site(plan.site)
    name = (site.short or site.name) if site else plan.site or ""
    return words.whole_site.format(site=name) if isinstance(plan, AnnouncedTest) else name


def _device(device_id: str, rules: Rules) -> str:
    known = look_up(rules.configuration, device_id)
    if known is None:
        return device_id
    site = rules.site(known.device.site)
    place = (known.device.location or "", (site.short or site.name) if site else known.device.site)
    return f"{known.id} ({' '.join(part for part in place if part)})"


def _devices(
    rules: Rules, words: PlanWords, now: datetime, last: Mapping[str, datetime]
) -> Iterator[tuple[str, str, str]]:
    for device_id in rules.configuration.register:
        at = last.get(device_id)
        known = look_up(rules.configuration, device_id)
        site = known.device.site if known else None
        tested = words.last_test.format(at=_clock(at, rules, site, now)) if at else words.never_tested
        yield device_id, _device(device_id, rules), tested


def _clock(at: datetime, rules: Rules, site: str | None, now: datetime) -> str:
    words, zone = LANGUAGES[rules.configuration.organisation.language], rules.zone(site)
    local = at.astimezone(zone)
    time = f"{local:%H:%M}"
    if local.date() != _today(now, zone):
        weekday = words.weekdays[local.weekday()]
        short = words.short_date if local.year == _today(now, zone).year else words.short_date_of_another_year
        return short.format(weekday=weekday, day=local.day, month=local.month, year=local.year, time=time)
    return time


def _today(now: datetime, zone: ZoneInfo) -> date:
    return now.astimezone(zone).date()
