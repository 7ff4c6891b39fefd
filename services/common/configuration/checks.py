"""What a configuration of the right shape can still get wrong: names that lead nowhere, doubles, unreadable hours."""

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Final

import holidays
import opening_hours

from schemas.configuration import Configuration, Site, When
from schemas.configuration_sources import normalise_device_id
from services.common import device_models
from services.common.configuration.address_checks import hint_at_addresses
from services.common.configuration.callback_checks import check_callbacks
from services.common.configuration.device_checks import check_devices
from services.common.configuration.forms import check_forms
from services.common.configuration.meaning import (
    check_hours,
    check_reach,
    check_steps,
    hint_at_retention,
    hint_at_unused,
)
from services.common.configuration.yaml_places import Document, Path_

_GERMAN_DAYS: Final = {"Di": "Tu", "Mi": "We", "Do": "Th", "So": "Su"}


def check(configuration: Configuration, document: Document, rule_numbers: Sequence[int] | None = None) -> None:
    """Note every contradiction in the document's `mistakes`, and what may not be meant in its `hints`.

    Args:
        configuration: all of the file, or what is left of it without the parts whose shape is wrong.
        document: the file. Names in it exist even where what they name has a wrong shape.
        rule_numbers: the numbers that the configuration's rules have in the file, if not all of them are left.
    """
    numbers = range(len(configuration.rules)) if rule_numbers is None else rule_numbers
    _check_sites(configuration, document)
    _check_sources(configuration, document)
    check_devices(configuration, document)
    check_forms(configuration, document, _named(document, "sites"))
    check_callbacks(configuration, document)
    hint_at_learning(configuration, document)
    hint_at_shared_keys(configuration, document)
    hint_at_retention(configuration, document)
    _check_rules(configuration, document, numbers)
    held = _check_roles(configuration, document)
    _check_maintenance(configuration, document, held)
    check_reach(configuration, document, numbers)
    if rule_numbers is None:  # otherwise people may be missing whose entries have a wrong shape
        check_steps(configuration, document, held)
        hint_at_unused(configuration, document)
        hint_at_addresses(configuration, document)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`one of …`, led by the likeliest one when the word looks misspelt."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"one of {', '.join(names)} (did you mean `{close[0]}`?)"
    return f"one of {', '.join(names)}" if names else "a name that exists (there is none yet)"


def _must_exist(document: Document, path: Path_, what: str, word: str, known: Iterable[str]) -> None:
    names = list(known)
    if word not in names:
        document.mistake(path, f"there is no {what} `{word}`", suggestion(word, names))


def _check_sites(configuration: Configuration, document: Document) -> None:
    if not configuration.sites:
        document.mistake(("sites",), "is empty", "at least one site")
    _check_holidays(document, ("organisation", "holidays"), configuration.organisation.holidays)
    for key, site in configuration.sites.items():
        path: Path_ = ("sites", key)
        _check_holidays(document, (*path, "holidays"), site.holidays)
        _check_hours(document, (*path, "opening_hours"), site.opening_hours)
        _check_locations(document, path, site)


def _check_holidays(document: Document, path: Path_, code: str | None) -> None:
    if code is None:
        return
    country, _, state = code.partition("-")
    if len(country) == 2 and _has_calendar(country, state):
        return
    countries = _countries()
    if country not in countries:
        document.mistake(path, f"`{code}` is no holiday calendar", "a country or state code such as DE or DE-ST")
    elif state and state not in countries[country]:
        # In full: `ST` alone is another country's calendar, and no mistake that anybody would notice.
        states = [f"{country}-{known}" for known in countries[country]]
        document.mistake(path, f"`{code}` is no holiday calendar", suggestion(code, states))


def _has_calendar(country: str, state: str) -> bool:
    """Asked first, because a list of all countries takes a tenth of a second of every command."""
    try:
        holidays.country_holidays(country, subdiv=state or None)
    except NotImplementedError:
        return False
    return True


@cache
def _countries() -> dict[str, list[str]]:
    known: dict[str, list[str]] = holidays.list_supported_countries()
    return known


def _check_hours(document: Document, path: Path_, hours: str | None) -> None:
    if hours is None:
        return
    example = 'OpenStreetMap opening hours such as "Mo-Fr 08:00-12:00; Tu 13:00-18:00"'
    if re.search(r"\b[PS]H\b", hours):
        document.mistake(path, "holds PH or SH", "hours without them: `holidays` and `closed` say when it is closed")
        return
    if not opening_hours.validate(hours):
        meant = re.sub(r"\b(Di|Mi|Do|So)\b", lambda found: _GERMAN_DAYS[found[0]], hours)
        perhaps = f" (did you mean `{meant}`?)" if meant != hours and opening_hours.validate(meant) else ""
        document.mistake(path, f"`{hours}` cannot be read", example + perhaps)
        return
    check_hours(document, path, hours, datetime.now())  # noqa: DTZ005 – hours are local, a day does not matter


def _check_locations(document: Document, path: Path_, site: Site) -> None:
    seen: dict[str, int] = {}
    for index, location in enumerate(site.locations):
        names = (location.id, location.name, *([location.short] if location.short else []), *location.aliases)
        for name in names:
            other = seen.setdefault(normalise_device_id(name), index)
            if other != index:
                wrong = f"`{name}` also means the location `{site.locations[other].id}`"
                document.mistake((*path, "locations", index), wrong, "ids, names and aliases of one location only")
                break


def _check_sources(configuration: Configuration, document: Document) -> None:
    registered: dict[str, tuple[str, str]] = {}
    for source_key, source in configuration.sources.items():
        for device_id, device in source.devices.items():
            path: Path_ = ("sources", source_key, "devices", device_id)
            _must_exist(document, (*path, "site"), "site", device.site, _named(document, "sites"))
            if device.model is not None:
                _must_exist(document, (*path, "model"), "device model", device.model, device_models.names())
            other = registered.setdefault(normalise_device_id(device_id), (source_key, device_id))
            if other != (source_key, device_id):
                wrong = f"is the same device as `{other[1]}` of source `{other[0]}`"
                document.mistake(path, wrong, "each device once, whatever its case and separators")


def hint_at_shared_keys(configuration: Configuration, document: Document) -> None:
    """Who holds a key may do all that it is good for: a button's key can end alarms where another source shares it."""
    expected = "a key of its own, from `rufkette new-key`"
    holders: dict[str, str] = {}
    for name, source in configuration.sources.items():
        if source.key is not None:
            other = holders.setdefault(source.key, name)
            if other != name:
                noticed = f"is the key of source `{other}`, too: whoever has it may do what either may"
                document.hint(("sources", name, "key_sha256"), noticed, expected)
    operator = configuration.organisation.operator_key_sha256
    if operator is not None and (same := holders.get(operator)) is not None:
        noticed = f"is the key of source `{same}`, too: that source sees what all others did"
        document.hint(("organisation", "operator_key_sha256"), noticed, expected)


def hint_at_learning(configuration: Configuration, document: Document) -> None:
    """Sources that alarm nobody, which must not be forgotten."""
    for key, source in configuration.sources.items():
        if source.learn:
            noticed = f"LEARNING: a real alarm of this source is mailed to {source.test_address} alone, to nobody else"
            document.hint(("sources", key, "learn"), noticed, "no `learn` and no `test_address`, as soon as it works")


def _named(document: Document, part: str) -> list[str]:
    """The keys of a part of the file, also of entries whose shape is wrong."""
    found = document.data.get(part)
    return list(found) if isinstance(found, dict) else []


def _check_rules(configuration: Configuration, document: Document, numbers: Sequence[int]) -> None:
    everything = When()
    last = len(document.data["rules"]) - 1
    for index, rule in zip(numbers, configuration.rules, strict=True):
        path: Path_ = ("rules", index)
        _must_exist(document, (*path, "policy"), "policy", rule.policy, _named(document, "policies"))
        for site in rule.when.site or ():
            _must_exist(document, (*path, "when", "site"), "site", site, _named(document, "sites"))
        for source in rule.when.source or ():
            _must_exist(document, (*path, "when", "source"), "source", source, _named(document, "sources"))
        if index < last and rule.when == everything:
            document.mistake(path, "matches everything, so that no rule after it is ever used", "it as the last rule")
    if numbers[-1] == last and configuration.rules[-1].when != everything:
        expected = "a last rule without `when`, for example {name: everything else, policy: normal}"
        document.mistake(("rules", last), "the last rule does not match everything", expected)


def _held(document: Document) -> set[str]:
    """Roles that somebody has, also somebody whose entry has a wrong shape."""
    sites = document.data.get("sites")
    of_sites = (
        [site.get("people") for site in sites.values() if isinstance(site, dict)] if isinstance(sites, dict) else []
    )
    held: set[str] = set()
    for roles in (document.data.get("roles"), *of_sites):
        for name, role in roles.items() if isinstance(roles, dict) else ():
            if role.get("people") if isinstance(role, dict) else role:
                held.add(name)
    return held


def _check_roles(configuration: Configuration, document: Document) -> set[str]:
    held = _held(document)
    for name, policy in configuration.policies.items():
        for index, step in enumerate(policy.steps):
            for position, role in enumerate(step.tell):
                path = ("policies", name, "steps", index, "tell", position)
                if role not in held:
                    wrong = f"nobody has the role `{role}`, neither at a site nor in `roles`"
                    document.mistake(path, wrong, suggestion(role, held))
    for role in configuration.mail.roles:
        _must_exist(document, ("mail", "roles", role), "role", role, held)
    return held


def _check_maintenance(configuration: Configuration, document: Document, held: set[str]) -> None:
    """Somebody must hear of silent devices, and something must be there to be expected."""
    role = configuration.organisation.maintenance.role
    organisation = document.data.get("organisation")
    chosen = isinstance(organisation, dict) and "maintenance" in organisation
    watched = {
        device.site
        for source in configuration.sources.values()
        for device in source.devices.values()
        if (device.expect_every or source.expect_every) not in {None, "never"}
    }
    if chosen or watched:
        _must_exist(document, ("organisation", "maintenance", "role"), "role", role, held)
    for key in sorted(watched & set(configuration.sites)):
        found = configuration.sites[key].people.get(role) or configuration.roles.get(role)
        if role in held and (found is None or not found.people):
            noticed = f"nobody has the role `{role}`: its emergency contacts hear of its devices"
            document.hint(("sites", key), noticed, "people in this role, here or in `roles`")
    for key, source in configuration.sources.items():
        if source.expect_every is not None and not source.devices:
            noticed = "this source has no devices that could be expected to report"
            document.hint(("sources", key, "expect_every"), noticed, "its devices under `devices`")
