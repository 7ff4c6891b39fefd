"""A small office, the states that an incident can be in there, and the inputs that can meet it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from schemas.configuration import Configuration
from schemas.events import (
    Acknowledged,
    Closed,
    EmergencyMailed,
    Event,
    HandedOver,
    Heartbeat,
    Kind,
    Mode,
    Outcome,
    PoliceRequested,
    PoliceWish,
    Reported,
)
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.decide import decide
from services.alerting.core.effects import (
    Action,
    Answer,
    Click,
    Deadline,
    DeliveryResult,
    Input,
    Joined,
    JoinedInto,
    Purpose,
    SilenceEnded,
    SplitFrom,
)
from services.alerting.core.incident import Incident, Report, Status
from services.alerting.core.joining import target
from services.alerting.core.plans import AnnouncedTest, Plans, Silence
from services.alerting.core.policy import Rules
from services.alerting.core.splitting import leaving

BEGIN: Final = datetime(2026, 1, 5, 8, 12, tzinfo=UTC)
"""A Monday, 09:12 in Bernburg; the office is open. The next day is a public holiday in Saxony-Anhalt."""
_LEARNS: Final = {"learn": True, "test_address": "new@example.org"}
OFFICE: Final[dict[str, Any]] = {
    "organisation": {"name": "Jobcenter Beispiel", "holidays": "DE-ST", "emergency": ["emergency@example.org"]},
    "sites": {
        "bernburg": {
            "name": "Bernburg",
            "opening_hours": "Mo-Fr 08:00-12:00",
            "people": {
                role: [f"{role}@example.org"] for role in ("house_security", "site_management", "deputy", "on_call")
            },
        }
    },
    "rules": [
        {"name": "after the event", "when": {"kind": "form", "acute": False}, "policy": "notice"},
        {"name": "weapon", "when": {"danger_level": 3}, "police": "urgent", "policy": "maximal"},
        {"name": "violence", "when": {"danger_level": 2}, "police": "advised", "policy": "urgent"},
        {"name": "everything else", "policy": "normal"},
    ],
    "policies": {
        "maximal": {"steps": [{"after": "0s", "tell": ["house_security", "on_call"]}], "repeat": "2m"},
        "urgent": {
            "steps": [
                {"after": "0s", "tell": ["house_security", "site_management"]},
                {"after": "2m", "tell": ["deputy"]},
                {"after": "5m", "tell": ["on_call"]},
            ],
            "repeat": "5m",
            "acknowledged_for": "30m",
        },
        "normal": {"steps": [{"after": "0s", "tell": ["site_management"]}], "repeat": "15m"},
        "notice": {"steps": [{"after": "0s", "tell": ["site_management"]}], "repeat": "next_opening"},
    },
    "merge": {"within": "10m"},
    "sources": {"new": {"type": "native", "kind": "panic", "key_sha256": "0" * 64} | _LEARNS},
}
_SILENCE: Final = Silence("silence-1", "bernburg", None, BEGIN, BEGIN + timedelta(hours=2), "…", "…")
_TEST: Final = AnnouncedTest("test-1", "bernburg", (), BEGIN, BEGIN + timedelta(minutes=30), "…")


@dataclass(frozen=True, slots=True)
class Scene:
    """An incident (None: there is none), what time it is, and the rules."""

    incident: Incident | None
    now: datetime
    rules: Rules

    def then(self, minutes: float, *inputs: Input) -> "Scene":
        """The scene after these inputs, so many minutes after the beginning."""
        scene = replace(self, now=BEGIN + timedelta(minutes=minutes))
        for what in inputs:
            known = () if scene.incident is None else (scene.incident,)
            scene = replace(scene, incident=decide(known, what, now=scene.now, rules=scene.rules).incident)
        return scene


def _office(plans: Plans | None = None) -> Rules:
    configuration = Configuration.model_validate(OFFICE)
    return Rules(configuration, OfficeCalendar(configuration), plans or Plans())


def _report(now: datetime, event_id: str, **data: Any) -> Event:
    fields: dict[str, Any] = {"kind": Kind.PANIC, "site": "bernburg", "location": "Zimmer 112"} | data
    source = "buttons" if fields["kind"] is Kind.PANIC else "forms"
    return Event(id=event_id, source=source, time=now, data=Reported.model_validate(fields))


def _learning(event: Event) -> Event:
    """The same from the source in learning mode."""
    return event.model_copy(update={"source": "new", "data": event.data.model_copy(update={"learning": True})})


def _first(**data: Any) -> Event:
    return _report(BEGIN, "press-1", device_id="btn-112", reference="K-17", **data)


_DUE: Final = Deadline(BEGIN)
_TAKE: Final = Click("A. Muster", (Action.ACKNOWLEDGE,), email="site_management@example.org")
_CLOSE: Final = Click("A. Muster", (Action.CLOSE,), outcome=Outcome.RESOLVED)


def _elsewhere(level: int, **data: Any) -> Incident:
    """Another open incident, that one press in room 113 opened."""
    event = _report(BEGIN, "press-9", location="Zimmer 113", danger_level=level, **data)
    found = decide((), event, now=BEGIN, rules=_office()).incident
    assert found is not None
    return found


def states() -> dict[str, Scene]:
    """Every state by its name; "open" and its like stem from one press of level 2 in room 112."""
    nothing = Scene(None, BEGIN, _office())
    pressed = nothing.then(0, _first(danger_level=2))
    taken = pressed.then(1, _TAKE)
    closed = pressed.then(1, _CLOSE)
    silent = Scene(None, BEGIN, _office(Plans(silences=(_SILENCE,))))
    tried = Scene(None, BEGIN, _office(Plans(tests=(_TEST,))))
    form: dict[str, Any] = {"kind": Kind.FORM, "danger_level": 1}
    past = _first(danger_level=2).model_copy(update={"imported": True})
    again = pressed.then(1, _report(BEGIN + timedelta(minutes=1), "press-2", danger_level=2))
    return {
        "none": nothing,
        "held back": silent.then(0, _first(**form)).then(1),
        "open": pressed.then(1),
        "open, last step": pressed.then(2, _DUE).then(5, _DUE).then(6),
        "open, an hour old": pressed.then(60, _DUE).then(63, _DUE).then(64),
        "not acute": nothing.then(0, _first(**form, acute=False)).then(1),
        "just taken over": taken.then(2),
        "taken over": taken.then(4),
        "taken over, reminded": taken.then(26, _DUE).then(27),
        "closed": closed.then(6),
        "closed long ago": closed.then(120),
        "exercise": nothing.then(0, _first(danger_level=2, mode=Mode.EXERCISE)).then(1),
        "learning": nothing.then(0, _learning(_first(danger_level=2))).then(1),
        "announced test": tried.then(0, _first(danger_level=2)).then(1),
        "two reports": again.then(2, _DUE).then(3),
        "joined into another": pressed.then(2, JoinedInto("…", "…", target(_elsewhere(2)))).then(3),
        "imported": nothing.then(0, past).then(1),
        "imported, closed": nothing.then(0, past).then(5, _CLOSE).then(6),
    }


Make = Callable[[Scene], "tuple[Input, Scene] | None"]
"""The input as it meets a scene, and the scene at that moment; None where it cannot happen."""


def _reported(**data: Any) -> Make:
    return lambda scene: (_report(scene.now, "event-2", **data), scene)


def _event(data: Any) -> Make:
    def make(scene: Scene) -> tuple[Input, Scene]:
        about = scene.incident.id if scene.incident else "unknown"
        return Event(id="event-2", source="bus", time=scene.now, data=data, subject=about), scene

    return make


def _click(*actions: Action, **what: Any) -> Make:
    click = Click("B. Beispiel", actions, **what)
    return lambda scene: None if scene.incident is None else (click, scene)


def _again(scene: Scene) -> tuple[Input, Scene] | None:
    return None if scene.incident is None else (_first(danger_level=2), scene)


def _due(scene: Scene) -> tuple[Input, Scene] | None:
    if scene.incident is None:
        return None
    due = scene.incident.due_at or scene.now
    return Deadline(due), replace(scene, now=max(due, scene.now))


def _early(scene: Scene) -> tuple[Input, Scene] | None:
    return None if scene.incident is None else (Deadline(scene.now), scene)


def _mail(answer: Answer, purpose: Purpose = Purpose.ALARM, *, outdated: bool = False, last: bool = False) -> Make:
    def make(scene: Scene) -> tuple[Input, Scene] | None:
        incident = scene.incident
        if incident is None or not incident.told:
            return None
        if last and incident.status is Status.OPEN:
            incident = replace(incident, awaited=incident.awaited[:1])
        recipient = incident.awaited[0] if incident.awaited else incident.told[0].email
        cycle = incident.cycle - 1 if outdated else incident.cycle
        result = DeliveryResult(recipient, purpose, cycle, incident.step + 1, incident.repetition, answer)
        return result, replace(scene, incident=incident)

    return make


def _silence(scene: Scene) -> tuple[Input, Scene] | None:
    return None if scene.incident is None else (SilenceEnded(_SILENCE.id), scene)


def _joined(level: int = 2, **data: Any) -> Make:
    other = _elsewhere(level, **data)
    return lambda scene: None if scene.incident is None else (Joined("B. Beispiel", "…", other), scene)


def _joined_into(scene: Scene) -> tuple[Input, Scene] | None:
    return None if scene.incident is None else (JoinedInto("B. Beispiel", "…", target(_elsewhere(2))), scene)


def _split_off(*event_ids: str) -> Make:
    def make(scene: Scene) -> tuple[Input, Scene] | None:
        incident = scene.incident
        return None if incident is None else (leaving(incident, event_ids, None, by="B. Beispiel", reason="…"), scene)

    return make


def _split_from(scene: Scene) -> tuple[Input, Scene]:
    """The report of the state's own incident comes out of another one; for the state "none" a report of no other."""
    here = _elsewhere(2).place
    reports: tuple[Report, ...] = scene.incident.reports[:1] if scene.incident else _elsewhere(2).reports
    return SplitFrom("B. Beispiel", "…", "press-7", here, Mode.ACTUAL, False, reports), scene


INPUTS: Final[dict[str, Make]] = {
    "press, same place": _reported(danger_level=2),
    "press, same place, graver": _reported(danger_level=3),
    "press, other place": _reported(location="Zimmer 113", danger_level=2),
    "press, no place": _reported(location=None, danger_level=2),
    "form, same place": _reported(kind=Kind.FORM, danger_level=1),
    "form, same place, graver": _reported(kind=Kind.FORM, danger_level=3),
    "form, same place, not acute": _reported(kind=Kind.FORM, danger_level=1, acute=False),
    "form, same reference": _reported(kind=Kind.FORM, danger_level=1, location=None, reference="K-17"),
    "form, same device": _reported(kind=Kind.FORM, danger_level=1, location=None, device_id="btn-112"),
    "form, wants police": _reported(kind=Kind.FORM, danger_level=1, police=PoliceWish.WANTED),
    "form, police called": _reported(kind=Kind.FORM, danger_level=1, police=PoliceWish.CALLED, reported_by="…"),
    "press as exercise": _reported(danger_level=2, mode=Mode.EXERCISE),
    "press, learning source": lambda scene: (_learning(_report(scene.now, "event-2", danger_level=3)), scene),
    "press, marked as learning by another source": _reported(danger_level=2, learning=True),
    "same event again": _again,
    "heartbeat": lambda scene: (
        Event(id="event-2", source="buttons", time=scene.now, data=Heartbeat(device_id="btn-112")),
        scene,
    ),
    "emergency mailed": _event(EmergencyMailed(event_ids=("press-1",))),
    "acknowledged (event)": _event(Acknowledged(by="B. Beispiel")),
    "police requested (event)": _event(PoliceRequested(by="B. Beispiel")),
    "handed over (event)": _event(HandedOver(by="B. Beispiel")),
    "closed (event)": _event(Closed(by="B. Beispiel", outcome=Outcome.FALSE_ALARM)),
    "take over": _click(Action.ACKNOWLEDGE),
    "called 110": _click(Action.CALLED_POLICE),
    "take over and called 110": _click(Action.ACKNOWLEDGE, Action.CALLED_POLICE),
    "hand over": _click(Action.HAND_OVER),
    "raise level": _click(Action.RAISE_LEVEL, danger_level=3),
    "lower level": _click(Action.RAISE_LEVEL, danger_level=0),
    "close": _click(Action.CLOSE, outcome=Outcome.RESOLVED),
    "close without outcome": _click(Action.CLOSE),
    "close as test": _click(Action.CLOSE, outcome=Outcome.TEST),
    "add measures": _click(Action.ADD_MEASURES, measures=("…",)),
    "another one joins": _joined(),
    "a graver one joins": _joined(3),
    "an exercise joins": _joined(mode=Mode.EXERCISE),
    "joined into another": _joined_into,
    "first report split off": _split_off("press-1"),
    "later report split off": _split_off("press-2"),
    "opens as split off": _split_from,
    "due time comes": _due,
    "due time is not yet": _early,
    "silence ends": _silence,
    "alarm mail accepted": _mail(Answer.ACCEPTED),
    "older alarm mail accepted": _mail(Answer.ACCEPTED, outdated=True),
    "other mail accepted": _mail(Answer.ACCEPTED, Purpose.TAKEN_OVER),
    "one alarm mail refused": _mail(Answer.REFUSED),
    "last alarm mail refused": _mail(Answer.REFUSED, last=True),
    "older alarm mail refused": _mail(Answer.REFUSED, outdated=True),
}
