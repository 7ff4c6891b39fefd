"""What another configuration would change about who is told what and when."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from services.alerting.core.effects import Purpose
from services.alerting.core.incident import Incident
from services.simulation.as_json import entry_data
from services.simulation.timeline import Mail, Timeline
from services.simulation.words import columns, count, span, step

_SIGNS = {"added": "+", "removed": "-", "moved": "~", "changed": "~"}
_HEAD = ("", "AFTER", "INCIDENT", "STEP", "TO", "SUBJECT")


@dataclass(frozen=True, slots=True)
class Difference:
    """One mail that is only in one timeline (the other side is None), at another time, or with another subject."""

    what: Literal["added", "removed", "moved", "changed"]
    before: Mail | None
    after: Mail | None

    @property
    def mail(self) -> Mail:
        """As it would be, else as it was."""
        found = self.after or self.before
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two timelines of the same events. `unchanged` counts the mails that are the same in both."""

    before: Timeline
    after: Timeline
    differences: tuple[Difference, ...]
    unchanged: int


def compare(before: Timeline, after: Timeline) -> Comparison:
    """Match the mails of each incident and address: first those at the same time, then the others in their order."""
    differences: list[Difference] = []
    unchanged = 0
    sides = (_by_recipient(before, after), _by_recipient(after, before))
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        old, new = sides[0].get(key, []), sides[1].get(key, [])
        old_left, new_left = list(old), list(new)
        for mail in old:
            same = next((other for other in new_left if other.at == mail.at), None)
            if same is not None:
                old_left.remove(mail)
                new_left.remove(same)
                if same.subject == mail.subject and same.refused == mail.refused:
                    unchanged += 1
                else:
                    differences.append(Difference("changed", mail, same))
        moved = list(zip(old_left, new_left, strict=False))
        differences += [Difference("moved", one, other) for one, other in moved]
        differences += [Difference("removed", mail, None) for mail in old_left[len(moved) :]]
        differences += [Difference("added", None, mail) for mail in new_left[len(moved) :]]
    differences.sort(key=lambda difference: difference.mail.at)
    return Comparison(before, after, tuple(differences), unchanged)


def _by_recipient(timeline: Timeline, other: Timeline) -> dict[tuple[str, Purpose, str], list[Mail]]:
    """Mails by incident, purpose and address. Repeats count only while both timelines follow the incident."""
    found: defaultdict[tuple[str, Purpose, str], list[Mail]] = defaultdict(list)
    for mail in timeline.mails:
        end: datetime | None = other.followed_until.get(mail.incident_id)
        if mail.repetition == 0 or end is None or mail.at < end:
            found[mail.incident_id, mail.purpose, mail.address.casefold()].append(mail)
    return found


def comparison_table(comparison: Comparison) -> str:
    """The whole text, without a line end."""
    several = len(comparison.before.incidents.keys() | comparison.after.incidents.keys()) > 1
    rows: list[tuple[str, ...]] = [_HEAD] if comparison.differences else []
    rows += [_row(comparison, difference) for difference in comparison.differences]
    if not several:
        rows = [(*row[:2], *row[3:]) for row in rows]
    lines = [*_incidents(comparison), *columns(rows)]
    if lines:
        lines.append("")
    counted = [f"{_count(comparison, what)} {what}" for what in _SIGNS]
    return "\n".join([*lines, f"{count(comparison.unchanged, 'mail')} as before; {', '.join(counted)}."])


def _count(comparison: Comparison, what: str) -> int:
    return sum(difference.what == what for difference in comparison.differences)


def _row(comparison: Comparison, difference: Difference) -> tuple[str, ...]:
    side = comparison.after if difference.after is not None else comparison.before
    mail, code = difference.mail, side.incidents[difference.mail.incident_id].code
    after, text = span(side.after(mail)), mail.subject
    if difference.before is not None and difference.after is not None:
        if difference.what == "moved":
            after = f"{span(comparison.before.after(difference.before))} → {after}"
        if difference.before.subject != mail.subject:
            text = f"{difference.before.subject} → {text}"
    return (_SIGNS[difference.what], after, code, step(mail), mail.address, text)


def _incidents(comparison: Comparison) -> Iterator[str]:
    """Incidents that another rule or policy judges, or that only one configuration makes of these events."""
    before, after = comparison.before.incidents, comparison.after.incidents
    for incident_id in dict.fromkeys([*before, *after]):
        old, new = before.get(incident_id), after.get(incident_id)
        if old is None or new is None:
            known = new or old
            assert known is not None
            told = "an incident of its own" if old is None else "no incident of its own any more: it joins another"
            yield f"~ {known.code}: {told}"
        else:
            was, now = (f'rule "{i.rule}", policy {i.policy_name}, police {i.police}' for i in (old, new))
            if was != now:
                yield f"~ {new.code}: {was} → {now}"


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """`differences` with `before` and `after` as in a timeline, and incidents judged otherwise (null: not there)."""
    sides = (comparison.before, comparison.after)
    return {
        "differences": [
            {"what": difference.what}
            | {
                name: None if mail is None else entry_data(timeline, mail)
                for name, timeline, mail in zip(
                    ("before", "after"), sides, (difference.before, difference.after), strict=True
                )
            }
            for difference in comparison.differences
        ],
        "incidents": _judged_otherwise(comparison),
        "unchanged": comparison.unchanged,
    }


def _judged_otherwise(comparison: Comparison) -> list[dict[str, Any]]:
    sides = (comparison.before.incidents, comparison.after.incidents)
    found = []
    for incident_id in sides[0] | sides[1]:
        before, after = (_judgement(side.get(incident_id)) for side in sides)
        if before != after:
            found.append({"id": incident_id, "before": before, "after": after})
    return found


def _judgement(incident: Incident | None) -> dict[str, str] | None:
    if incident is None:
        return None
    return {"rule": incident.rule, "policy": incident.policy_name, "police": incident.police}
