"""Of which reports a change on `incidents.lifecycle` says that somebody has heard of them. No memory, no clock, no I/O.

None is needed: a change that says so lists all reports of its incident, whichever joined first, and a report that
joins later says by itself whether somebody had been told. So changes may come late, doubled and in any order.
"""

from collections.abc import Callable

from schemas.lifecycle import Change, Lifecycle


def heard(change: Change, data: Lifecycle, is_press: Callable[[str], bool]) -> tuple[str, ...]:
    """The reports of which somebody was told, or deliberately nobody; of a press somebody always has to be.

    Args:
        change: what happened.
        data: to which incident; `notified` once a mail server took an alarm mail about it.
        is_press: whether a report is a real press, for those that are waited for.
    """
    if data.notified or change is Change.NOTIFIED:
        return data.event_ids
    if change is Change.SUPPRESSED and data.reason:
        return tuple(event_id for event_id in data.event_ids if not is_press(event_id))
    return ()
