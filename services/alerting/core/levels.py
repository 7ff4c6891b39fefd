"""The danger level of an incident after one more report, or after another incident became part of it."""

from schemas.events import Category
from services.alerting.core.incident import UNKNOWN_LEVEL_COUNTS_AS, Incident, LevelFrom
from services.alerting.core.replacing import replace


def with_level(incident: Incident, level: int | None, level_from: LevelFrom, category: Category | None) -> Incident:
    """The higher level with its origin; the graver word says what it is, the other only what nobody has said yet.

    One that nobody knows counts as 2 here, too: a press after a mild form is not played down.
    """
    counts = UNKNOWN_LEVEL_COUNTS_AS if level is None else level
    better_known = counts == incident.level and incident.danger_level is None and level is not None
    if counts > incident.level or better_known:
        return replace(incident, danger_level=level, level_from=level_from, category=category or incident.category)
    return replace(incident, category=incident.category or category)
