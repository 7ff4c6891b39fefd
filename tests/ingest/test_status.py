from typing import Any

import pytest

from schemas.lifecycle import Change, Lifecycle
from services.ingest.journal.ledger import Ledger
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
        ([OPENED, NOTIFIED, CLOSED, (Change.MERGED, {}), (Change.ESCALATED, {})], Status.ACCEPTED),
        ([OPENED, NOTIFIED, CLOSED, (Change.MERGED, {}), (Change.ESCALATED, {}), NOTIFIED], Status.ALERTED),
    ],
)
def test_the_status_follows_the_incident(changes: list[Seen], status: Status) -> None:
    found = told(*changes, own="a").find("a", "buttons")
    assert found is not None
    assert found.status is status
    assert found.incident_id == ("a" if changes else None)


def changed(statuses: Statuses, at: float, change: Change, incident_id: str, *event_ids: str, **what: Any) -> None:
    given = {"incident_id": incident_id, "event_ids": event_ids, "source": "buttons", "revision": int(at)}
    statuses.apply(change, Lifecycle(**(given | what)), at)


def status_of(statuses: Statuses, event_id: str) -> tuple[str, str | None]:
    found = statuses.find(event_id, "buttons")
    assert found is not None
    return found.status.value, found.incident_id


JOINING: tuple[tuple[int, Change, str, tuple[str, ...], dict[str, Any]], ...] = (
    (1, Change.OPENED, "a", ("a",), {}),
    (2, Change.MERGED, "a", ("a2",), {}),
    (3, Change.NOTIFIED, "a", ("a", "a2"), {"notified": True}),
    (4, Change.OPENED, "b", ("b",), {}),
    (5, Change.MERGED, "b", ("a", "a2"), {}),
    (6, Change.MERGED, "a", ("a", "a2"), {"into": "b", "notified": True}),
    (7, Change.DELIVERY_FAILED, "a", ("a", "a2"), {"notified": True}),
    (8, Change.ACKNOWLEDGED, "b", ("b", "a", "a2"), {"notified": True}),
    (9, Change.OPENED, "a2", ("a2",), {}),
    (10, Change.CLOSED, "b", ("b", "a"), {"notified": True}),
)


@pytest.mark.parametrize("until", range(7, 11))
@pytest.mark.parametrize("first", ["a", "b", "a2"])
def test_joined_and_split_reports_in_whatever_order_partitions_are_read(until: int, first: str) -> None:
    statuses = Statuses(Ledger())
    seen = JOINING[:until]
    for at, change, incident_id, ids, what in sorted(seen, key=lambda one: one[2] != first):
        changed(statuses, at, change, incident_id, *ids, **what)
    joined = {7: "alerted", 8: "acknowledged", 9: "acknowledged", 10: "closed"}[until]
    assert status_of(statuses, "a") == (joined, "b")
    assert status_of(statuses, "a2") == ((joined, "b") if until < 9 else ("accepted", "a2"))


def test_a_joined_incident_that_lives_again() -> None:
    statuses = Statuses(Ledger())
    for at, change, incident_id, ids, what in JOINING[:8]:
        changed(statuses, at, change, incident_id, *ids, **what)
    changed(statuses, 9, Change.OPENED, "a", "a", notified=True)
    assert status_of(statuses, "a") == ("alerted", "a")
    assert status_of(statuses, "b") == ("acknowledged", "b")


def test_a_ring_that_one_partition_shows_before_the_other_catches_up() -> None:
    statuses = Statuses(Ledger())
    changed(statuses, 1, Change.MERGED, "a", "a", into="b")
    changed(statuses, 9, Change.MERGED, "b", "b", into="a")
    assert status_of(statuses, "a") == ("accepted", "b")


def test_what_was_closed_and_alarms_again_is_open() -> None:
    found = told(OPENED, NOTIFIED, CLOSED, (Change.ESCALATED, {"notified": True})).find("a", "buttons")
    assert found is not None
    assert found.status is Status.ALERTED


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
