"""The list of devices: which report, which do not, how full their batteries are. Places, but no personal data."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from services.alerting.core.devices import DeviceState, Known, look_up
from services.alerting.core.maintenance import clock, kind_of, short_room
from services.alerting.core.plain_text import one_line
from services.alerting.core.policy import Rules
from services.alerting.core.texts.maintenance import WORDS

_TONES = {"silent": "level1", "battery_low": "level1"}


class Devices(Protocol):
    """Reads what is known of the devices.

    Every method raises sqlalchemy.exc.DBAPIError or OSError when the database cannot be reached.
    """

    async def all(self) -> Sequence[DeviceState]:
        """Every device as it is now."""

    async def last_tests(self) -> Mapping[str, datetime]:
        """When each device was last pressed within an announced test, by normalised id."""


def list_page(
    states: Sequence[DeviceState], tests: Mapping[str, datetime], rules: Rules, now: datetime
) -> dict[str, Any]:
    """What the template shows: those with a problem first, then by site and id."""
    organisation = rules.configuration.organisation
    words = WORDS[organisation.language]
    found = [(state, known) for state in states if (known := look_up(rules.configuration, state.id)) is not None]
    found.sort(key=lambda pair: (_condition(*pair) not in _TONES, pair[0].site, pair[0].id))
    return {
        "language": organisation.language,
        "words": words,
        "organisation": organisation.name,
        "rows": [_row(state, known, tests.get(state.id), rules, now) for state, known in found],
    }


def board_lines(states: Sequence[DeviceState], rules: Rules) -> list[str]:
    """`3 Knöpfe melden sich nicht`, and the same for batteries; none if all is well."""
    words = WORDS[rules.configuration.organisation.language]
    found = [(state, known) for state in states if (known := look_up(rules.configuration, state.id)) is not None]
    silent = [known for state, known in found if state.silent_since is not None]
    low = [known for state, known in found if state.low_since is not None]
    lines = []
    for concerned, (one, several) in ((silent, words.silent_line), (low, words.low_line)):
        if concerned:
            device, devices = kind_of(concerned, words)
            pattern = one if len(concerned) == 1 else several
            lines.append(pattern.format(count=len(concerned), device=device, devices=devices))
    return lines


def _row(state: DeviceState, known: Known, test: datetime | None, rules: Rules, now: datetime) -> dict[str, Any]:
    words = WORDS[rules.configuration.organisation.language]
    site, condition = rules.site(state.site), _condition(state, known)
    place = (short_room(known, rules), (site.short or site.name) if site else state.site)
    facts = []
    if state.last_seen_at is not None:
        facts.append(words.last_seen.format(at=clock(state.last_seen_at, rules, state.site, now)))
    else:
        facts.append(words.never_seen)
    if state.battery is not None:
        facts.append(words.battery.format(percent=round(state.battery * 100)))
    if test is not None:
        facts.append(words.last_test.format(at=clock(test, rules, state.site, now)))
    return {
        "tone": _TONES.get(condition, "notice"),
        "name": f"{kind_of([known], words)[0]} {known.id}",
        "place": one_line(" ".join(part for part in place if part)),
        "state": words.state[condition],
        "facts": " ".join(facts),
    }


def _condition(state: DeviceState, known: Known) -> str:
    if state.silent_since is not None:
        return "silent"
    if state.low_since is not None:
        return "battery_low"
    if known.every is None:
        return "not_expected"
    return "ok" if state.last_seen_at is not None else "waiting"
