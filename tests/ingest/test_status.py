from typing import Any

import pytest

from schemas.lifecycle import Change, Lifecycle
from services.ingest.ledger import Ledger
from services.ingest.status import KEPT_FOR, Status, Statuses

Seen = tuple[Change, dict[str, Any]]


def told(*changes: Seen, own: str | None = None) -> Statuses:
    statuses = Statuses(Ledger())
    if own:
        statuses.accept(own, "buttons", 0)
    for revision, (change, what) in enumerate(changes, start=1):
        given = {"incident_id": "a", "event_ids": ("a",), "source": "buttons", "site": None, "danger_level": None}
        statuses.apply(change, Lifecycle(**({"revision": revision} | given | what)), at=float(revision))
    return statuses


OPENED: Seen = (Change.OPENED, {})
NOTIFIED: Seen = (Change.NOTIFIED, {"notified": True})
TAKEN: Seen = (Change.ACKNOWLEDGED, {"notified": True})
CLOSED: Seen = (Change.CLOSED, {"notified": True})


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ([], Status.ACCEPTED),
        ([OPENED], Status.ACCEPTED),
        ([(Change.SUPPRESSED, {"reason": "silence"})], Status.ACCEPTED),
        ([OPENED, (Change.ESCALATED, {})], Status.ACCEPTED),
        ([OPENED, NOTIFIED], Status.ALERTED),
        ([OPENED, NOTIFIED, (Change.ESCALATED, {"notified": True})], Status.ALERTED),
        ([OPENED, NOTIFIED, TAKEN], Status.ACKNOWLEDGED),
        ([OPENED, NOTIFIED, TAKEN, NOTIFIED], Status.ACKNOWLEDGED),
        ([OPENED, NOTIFIED, TAKEN, (Change.POLICE_REQUESTED, {})], Status.ACKNOWLEDGED),
        ([OPENED, NOTIFIED, TAKEN, (Change.ESCALATED, {"notified": True})], Status.ALERTED),
        ([OPENED, NOTIFIED, TAKEN, CLOSED], Status.CLOSED),
        ([OPENED, CLOSED, (Change.HANDED_OVER, {})], Status.CLOSED),
        ([OPENED, NOTIFIED, (Change.ACKNOWLEDGED, {"revision": 1})], Status.ALERTED),
        ([CLOSED], Status.CLOSED),
    ],
)
def test_the_status_follows_the_incident(changes: list[Seen], status: Status) -> None:
    found = told(*changes, own="a").find("a", "buttons")
    assert found is not None
    assert found.status is status
    assert found.incident_id == ("a" if changes else None)


def test_a_report_that_joins_is_known_to_its_own_source_only() -> None:
    joined: Seen = (Change.MERGED, {"event_ids": ("b",), "source": "forms", "notified": True})
    statuses = told(OPENED, NOTIFIED, joined, (Change.ACKNOWLEDGED, {"event_ids": ("a", "b"), "notified": True}))
    for event_id, source in (("a", "buttons"), ("b", "forms")):
        found = statuses.find(event_id, source)
        assert found is not None
        assert found.status is Status.ACKNOWLEDGED
    assert statuses.find("b", "buttons") is None
    assert statuses.find("a", "forms") is None


def test_a_report_whose_sender_was_never_named_belongs_to_nobody() -> None:
    statuses = told((Change.NOTIFIED, {"event_ids": ("a", "c"), "notified": True}))
    assert statuses.find("c", "buttons") is None
    assert statuses.find("a", "buttons") is not None


def test_what_is_old_is_forgotten() -> None:
    statuses = told(OPENED, NOTIFIED, own="mine")
    statuses.prune(KEPT_FOR + 1.5)
    assert statuses.find("a", "buttons") is not None
    assert statuses.find("mine", "buttons") is None
    statuses.prune(KEPT_FOR + 3)
    assert statuses.find("a", "buttons") is None
