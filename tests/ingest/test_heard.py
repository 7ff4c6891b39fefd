"""What counts as heard: by hand, and against everything that alerting's core says in random orders."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.events import Outcome
from schemas.lifecycle import Change, Lifecycle
from services.alerting.core.effects import Action, Answer, Decision, Input, Relay
from services.alerting.core.incident import Incident, Status
from services.ingest.watch.heard import heard
from tests.core.office import Desk

REASON = {"reason": "planned_silence"}


@pytest.mark.parametrize(
    ("change", "what", "expected"),
    [
        (Change.OPENED, {}, ""),
        (Change.NOTIFIED, {"notified": True}, "pf"),
        (Change.NOTIFIED, {}, "pf"),
        (Change.MERGED, {"notified": True, "event_ids": ("f",)}, "f"),
        (Change.MERGED, {"event_ids": ("f",)}, ""),
        (Change.MERGED, {"into": "other"}, ""),
        (Change.MERGED, {"into": "other", "notified": True}, "pf"),
        (Change.SUPPRESSED, {"event_ids": ("f",)} | REASON, "f"),
        (Change.SUPPRESSED, {"event_ids": ("f",)}, ""),
        (Change.SUPPRESSED, {"event_ids": ("p",)} | REASON, ""),
        (Change.SUPPRESSED, REASON, "f"),
        (Change.SUPPRESSED, {"notified": True} | REASON, "pf"),
        (Change.ESCALATED, {}, ""),
        (Change.DELIVERY_FAILED, {"failure": "nobody_reached"}, ""),
        (Change.ACKNOWLEDGED, {}, ""),
        (Change.CLOSED, {}, ""),
        (Change.CLOSED, {"notified": True}, "pf"),
    ],
)
def test_each_change(change: Change, what: dict[str, Any], expected: str) -> None:
    given_ = {"incident_id": "p", "event_ids": ("p", "f"), "source": "buttons", "revision": 1}
    assert "".join(heard(change, Lifecycle(**(given_ | what)), lambda event_id: event_id == "p")) == expected


@dataclass
class Said(Desk):
    """Keeps what the core wants to be announced, and which reports were ever in an incident that somebody knew of."""

    relays: list[Relay] = field(default_factory=list)
    told_of: set[str] = field(default_factory=set)

    def give(self, cause: Input, about: Incident | None = None) -> Decision:
        decision = super().give(cause, about)
        self.relays += [effect for effect in decision.effects if isinstance(effect, Relay)]
        self.told_of |= {id_ for i in self.incidents.values() if _somebody_knows(i) for id_ in i.event_ids}
        return decision


def _somebody_knows(incident: Incident) -> bool:
    return incident.notified or incident.status is Status.ACKNOWLEDGED or incident.closing is not None


@settings(max_examples=150, deadline=None)
# A press where somebody took over a form of which no mail was recorded.
@example([(0, 1, 0), (1, 0, 0), (6, 1, 0), (0, 0, 0)], Random(1))  # noqa: S311 – an order, no secret
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 20), st.integers(0, 20)), max_size=25), st.randoms())
def test_in_any_order_it_is_what_people_were_told(acts: list[tuple[int, int, int]], order: Any) -> None:
    desk = Said()
    forms: set[str] = set()
    for act, one, other in acts:
        known = list(desk.incidents.values())
        if act == 0 or not known:
            desk.press(location=f"Zimmer {110 + one % 3}")
        elif act == 1:
            form = desk.press(location=f"Zimmer {110 + one % 3}", kind="form", danger_level=1)
            forms.add(form.reports[-1].event_id)
        elif act == 2:
            desk.deliver(known[one % len(known)], Answer.ACCEPTED)
        elif act == 3:
            desk.join(known[one % len(known)], known[other % len(known)])
        elif act == 4:
            incident = known[one % len(known)]
            desk.split(incident, incident.event_ids[other % len(incident.event_ids)])
        elif act == 5:
            desk.silence(minutes=30)
        elif act == 6:
            desk.click(known[one % len(known)], Action.ACKNOWLEDGE)
        else:
            desk.click(known[one % len(known)], Action.CLOSE, outcome=Outcome.RESOLVED)
    changes = [*desk.relays, *desk.relays]
    order.shuffle(changes)
    found = {e for relay in changes for e in heard(relay.change, relay.data, lambda id_: id_ not in forms)}
    suppressed = {e for r in desk.relays if r.change is Change.SUPPRESSED for e in r.data.event_ids}
    assert found == desk.told_of | suppressed
    assert suppressed <= forms
