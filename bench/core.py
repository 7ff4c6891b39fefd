"""Decisions per second of `decide` on one core: lives of incidents, without database, Kafka or mail."""

import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench.systems import rufkette_configuration
from schemas.configuration import Configuration
from schemas.events import Event, Kind, Outcome, Reported
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.decide import decide
from services.alerting.core.effects import Action, Answer, Click, Deadline, DeliveryResult, Input, Notify
from services.alerting.core.incident import Incident
from services.alerting.core.policy import Rules

TARGET: Final = 20_000
"""Decisions per second."""
_START: Final = datetime(2026, 1, 5, 9, 12, tzinfo=UTC)
_LIVES: Final = 2_000
_ROUNDS: Final = 5


def _report(number: int, name: str, now: datetime) -> Event:
    data = Reported(kind=Kind.PANIC, site="bernburg", location=f"Raum {number}", danger_level=2)
    return Event(id=f"{name}{number}", source="buttons", time=now, data=data)


class _Life:
    """One incident; `decisions` counts what was decided."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.now = _START
        self.incident: Incident | None = None
        self.decisions = 0

    def give(self, cause: Input) -> None:
        """Decide one input, and the result of each mail that follows from it."""
        decision = decide([self.incident] if self.incident else [], cause, now=self.now, rules=self.rules)
        self.incident = decision.incident
        self.decisions += 1
        for effect in decision.effects:
            if isinstance(effect, Notify):
                self.give(_taken(effect))

    def wait_until_due(self) -> None:
        assert self.incident is not None
        assert self.incident.due_at is not None
        self.now = self.incident.due_at
        self.give(Deadline(self.incident.due_at))


def _taken(notify: Notify) -> DeliveryResult:
    return DeliveryResult(
        notify.recipient.email, notify.purpose, notify.cycle, notify.step, notify.repetition, Answer.ACCEPTED
    )


def _live(rules: Rules, first: Event, second: Event) -> int:
    """Pressed, pressed again, not answered for three steps, taken over, closed; returns the number of decisions."""
    life = _Life(rules)
    life.give(first)
    life.now += timedelta(seconds=5)
    life.give(second)
    for _ in range(3):
        life.wait_until_due()
    life.give(Click("A. Muster", (Action.ACKNOWLEDGE,)))
    life.give(Click("A. Muster", (Action.CLOSE,), outcome=Outcome.RESOLVED))
    return life.decisions


def run() -> dict[str, Any]:
    """Print and return the median of a few rounds."""
    configuration = Configuration.model_validate(rufkette_configuration())
    rules = Rules(configuration, OfficeCalendar(configuration))
    events = [
        (_report(number, "a", _START), _report(number, "b", _START + timedelta(seconds=5))) for number in range(_LIVES)
    ]
    rates = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        decisions = sum(_live(rules, first, second) for first, second in events)
        rates.append(decisions / (time.process_time() - started))
    rate = round(statistics.median(rates))
    print(f"decide: {rate:,} decisions per second on one core (median of {_ROUNDS} rounds of {decisions:,} decisions)")
    print(f"target {TARGET:,}: {'reached' if rate >= TARGET else 'MISSED'}")
    return {"decisions_per_second": rate, "rounds": [round(value) for value in rates], "target": TARGET}
