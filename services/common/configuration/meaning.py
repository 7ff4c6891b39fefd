"""What a configuration without contradictions can still not mean: rules, steps and hours that never come true.

Nothing here depends on the day: a file that is good today must not keep a service from starting tomorrow.
"""

from collections.abc import Collection, Container, Sequence
from datetime import datetime, timedelta
from typing import Final, get_args

import opening_hours

from schemas.configuration import Configuration, Hours, Role, Site, Step, When
from schemas.events import Kind, Mode, PoliceWish
from services.common.configuration.yaml_places import Document, Path_

_ALL: Final[dict[str, frozenset[object]]] = {
    "danger_level": frozenset(range(4)),
    "kind": frozenset(Kind),
    "mode": frozenset(Mode),
    "police": frozenset(PoliceWish),
    "hours": frozenset(get_args(Hours)),
}
"""Conditions that exclude nothing when they list everything. (A category or a site may also be unknown.)"""
_FIRST, _LAST = datetime(2000, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 – local to the office, as its hours are
_SOON: Final = timedelta(days=400)
_A_YEAR_IN_FIGURES: Final = timedelta(days=2 * 365)
"""A matter of January stands in a report that is made in the course of the year after."""
_LINKS_WORK: Final = timedelta(days=30)
"""After closing: see `services/alerting/desk/tokens.py`."""


def opens_between(hours: str, first: datetime = _FIRST, last: datetime = _LAST) -> bool:
    """Whether hours that can be read ever open between two local times."""
    intervals = opening_hours.OpeningHours(hours).intervals(first, last)
    return any(state == opening_hours.State.OPEN for _, _, state, _ in intervals)


def _closes(site: Site) -> bool:
    """Whether the office is ever closed; one without opening hours counts as open (see the calendar)."""
    if site.opening_hours is None:
        return False
    intervals = opening_hours.OpeningHours(site.opening_hours).intervals(_FIRST, _FIRST + _SOON)
    return bool(site.closed) or any(state != opening_hours.State.OPEN for _, _, state, _ in intervals)


def check_hours(document: Document, path: Path_, hours: str, now: datetime) -> None:
    """Hours that can be read, but never open; as a hint: that do not open within a year from `now` (local)."""
    example = "at least one time of opening, or no `opening_hours` for an office that is always open"
    if not opens_between(hours):
        document.mistake(path, f"`{hours}` never opens", example)
    elif not opens_between(hours, now, now + _SOON):
        document.hint(path, f"`{hours}` does not open within the next year", "hours that go on")


def check_reach(configuration: Configuration, document: Document, numbers: Sequence[int]) -> None:
    """Rules that are never reached. A rule that matches everything is told of elsewhere."""
    whens = [rule.when for rule in configuration.rules]
    for later, when in enumerate(whens):
        if when == When():
            continue  # the last one, which must be there however little is left for it
        path: Path_ = ("rules", numbers[later])
        earlier = next((e for e in range(later) if whens[e] != When() and _implies(when, whens[e])), None)
        if earlier is not None:
            name = configuration.rules[earlier].name
            wrong = (
                f"is never reached: whatever it matches, the rule `{name}` (rules[{numbers[earlier]}]) matches first"
            )
            document.mistake(path, wrong, "the narrower rule before the wider one, or other conditions")
        elif when.hours == ("closed",) and not _ever_closed(configuration, when.site):
            wrong = "is never reached: none of its sites is ever closed"
            document.mistake((*path, "when", "hours"), wrong, "sites with `opening_hours`, or a rule without `hours`")


def _implies(narrow: When, wide: When) -> bool:
    """Whether everything that `narrow` matches is matched by `wide`."""
    return all(_covered(name, getattr(narrow, name), getattr(wide, name)) for name in When.model_fields)


def _covered(name: str, narrow: object, wide: object) -> bool:
    if wide is None or (isinstance(wide, tuple) and frozenset(wide) >= _ALL.get(name, frozenset({object()}))):
        return True
    if isinstance(wide, tuple):
        return isinstance(narrow, tuple) and set(narrow) <= set(wide)
    return narrow is wide


def _ever_closed(configuration: Configuration, sites: Collection[str] | None) -> bool:
    if sites is not None and not set(sites) <= set(configuration.sites):
        return True  # told of elsewhere
    return any(_closes(site) for key, site in configuration.sites.items() if sites is None or key in sites)


def check_steps(configuration: Configuration, document: Document, held: Container[str]) -> None:
    """Steps whose roles have people, who are however never present. Roles that nobody has are told of elsewhere."""
    for name, policy in configuration.policies.items():
        for index, step in enumerate(policy.steps):
            if all(role in held for role in step.tell) and not _anybody(configuration, step):
                wrong = "nobody can ever receive this step: its roles are present only when their sites never are so"
                expected = "people without `when`, or sites with `opening_hours` that open and close"
                document.mistake(("policies", name, "steps", index, "tell"), wrong, expected)


def _anybody(configuration: Configuration, step: Step) -> bool:
    # A report of an unknown site finds the people of `roles`; it counts as open.
    if any(_present(configuration.roles.get(role), None) for role in step.tell):
        return True
    return any(
        _present(holder(configuration, site, role), site) for site in configuration.sites.values() for role in step.tell
    )


def holder(configuration: Configuration, site: Site, role: str) -> Role | None:
    """Who has a role at a site: the site's own people – an empty list too – else the organisation's."""
    return site.people.get(role) or configuration.roles.get(role)


def _present(role: Role | None, site: Site | None) -> bool:
    if role is None or not role.people:
        return False
    if role.when is None:
        return True
    if site is None or site.opening_hours is None:
        return role.when == "open"
    if not opening_hours.validate(site.opening_hours):
        return True  # told of elsewhere
    return _closes(site) if role.when == "closed" else opens_between(site.opening_hours)


def hint_at_retention(configuration: Configuration, document: Document) -> None:
    """What is deleted sooner than was probably meant: nothing brings it back."""
    kept = configuration.retention
    if kept.personal_data > kept.incidents:
        noticed = "never counts: `incidents` deletes everything before"
        document.hint(("retention", "personal_data"), noticed, "a time shorter than `incidents`")
    if kept.incidents < _A_YEAR_IN_FIGURES:
        noticed = "the yearly report is short of what is deleted before it is made"
        document.hint(("retention", "incidents"), noticed, "two years or more, for example `10y`")
    if kept.personal_data < _LINKS_WORK:
        noticed = "names and descriptions go while the links in mails are still good"
        document.hint(("retention", "personal_data"), noticed, "30 days or more, for example `180d`")


def hint_at_unused(configuration: Configuration, document: Document) -> None:
    """What is good and may still not be meant: policies that no rule takes."""
    taken = {rule.policy for rule in configuration.rules}
    for name in configuration.policies:
        if name not in taken:
            document.hint(("policies", name), "no rule takes this policy", "a rule with it, or the policy taken out")
