"""Reports of sources in learning mode: the test address alone hears of them, and they touch nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schemas.events import Acknowledged, Closed, Kind, Mode, Outcome
from schemas.lifecycle import Change
from services.alerting.core.effects import Action, Answer, DeliveryResult, Joined, Notify, Purpose, Reason, Relay
from services.alerting.core.incident import Status
from services.alerting.core.joining import refusal
from services.alerting.core.learning import keys_of
from services.alerting.core.messages import compose
from services.alerting.core.policy import LEARNING_ROLE
from services.alerting.saving import to_row
from tests.core.office import CONFIGURATION, MONDAY, Desk, emergency_mail, follow_up, report, rules
from tests.reports.test_figures import PLAIN, count

LINK = "https://alarm.example.org/a/token"


def learning(**data: Any) -> Any:
    fields: dict[str, Any] = {"danger_level": 2, "category": "threat"} | data
    return report(MONDAY, source="new", learning=True, **fields)


def test_the_test_address_alone_is_told_once() -> None:
    desk = Desk()
    decision = desk.give(learning())
    incident = decision.incident
    assert decision.reason is Reason.LEARNING
    assert incident is not None
    assert [n.recipient.email for _, _, n in desk.mails] == ["test@example.org"]
    assert (incident.status, incident.due_at, incident.keys) == (Status.CLOSED, None, ())
    relayed = [effect.data for effect in decision.effects if isinstance(effect, Relay)]
    assert desk.changes == [Change.OPENED, Change.CLOSED]
    assert all(data.learning for data in relayed)
    assert desk.give(learning(), incident).reason is Reason.LEARNING, "another message is another mail"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "form", "danger_level": 0, "acute": False},
        {"police": "called", "reported_by": "A. Muster", "kind": "form"},
        {"mode": "exercise"},
        {"site": None, "site_text": "nowhere", "location": None},
        {"device_id": "btn-1", "location": None, "reference": "K-17"},
    ],
)
def test_it_neither_joins_nor_is_joined(data: dict[str, Any]) -> None:
    """A real one at the same place, of the same device and reference, goes on as if nothing had come."""
    desk = Desk()
    real = desk.press(danger_level=1, device_id="btn-1", reference="K-17", mode=Mode(data.get("mode", "actual")))
    first = desk.give(learning(**data))
    assert desk.incidents[real.id] == real
    assert first.incident is not None
    assert first.incident.calls == ()
    again = desk.press(**{"device_id": "btn-1", "reference": "K-17"} | data | {"danger_level": 3, "police": "none"})
    assert again.id != first.incident.id
    assert desk.incidents[first.incident.id] == first.incident
    assert not keys_of(learning(**data), desk.rules)


def test_a_press_after_it_opens_as_always() -> None:
    desk = Desk()
    desk.give(learning())
    pressed = desk.give(report(MONDAY, danger_level=2))
    assert pressed.reason is Reason.OPENED
    assert {n.recipient.role for _, _, n in desk.mails[1:]} == {"house_security", "site_management"}


@pytest.mark.parametrize(
    ("source", "marked"),
    [("buttons", True), ("nobody-knows", True), ("new", False)],
)
def test_the_mark_and_the_configuration_must_both_say_so(source: str, marked: bool) -> None:
    """A forged mark on Kafka, or two services with different files: then it alarms."""
    desk = Desk()
    decision = desk.give(report(MONDAY, source=source, learning=marked, danger_level=2))
    assert decision.reason is Reason.OPENED
    assert "test@example.org" not in {n.recipient.email for _, _, n in desk.mails}
    assert decision.incident is not None
    assert not decision.incident.learning


def test_a_source_that_has_learnt_alarms() -> None:
    sources = CONFIGURATION["sources"] | {"new": CONFIGURATION["sources"]["buttons"]}
    assert Desk(rules(sources=sources)).give(learning()).reason is Reason.OPENED


def test_neither_a_test_nor_a_silence_has_it() -> None:
    desk = Desk()
    desk.announce()
    desk.silence()
    for data in ({}, {"kind": "form", "danger_level": 0}):
        decision = desk.give(learning(**data))
        assert decision.incident is not None
        assert (decision.reason, decision.incident.under_test, decision.incident.hold) == (Reason.LEARNING, False, None)


def test_nobody_can_do_anything_about_it() -> None:
    desk = Desk()
    incident = desk.give(learning()).incident
    assert incident is not None
    for action in Action:
        assert desk.click(incident, action, outcome=Outcome.RESOLVED, danger_level=3).reason is Reason.ALREADY_CLOSED
    for data in (Acknowledged(by="A. Muster"), Closed(by="A. Muster", outcome=Outcome.TEST)):
        assert desk.give(follow_up(data, incident, MONDAY), incident).reason is Reason.ALREADY_CLOSED
    assert desk.give(emergency_mail(MONDAY, incident.id), incident).reason is Reason.ALREADY_CLOSED
    real = desk.press(location="Zimmer 113")
    assert desk.give(Joined("A. Muster", "…", incident), real).reason is Reason.ALREADY_CLOSED
    assert refusal(incident, real) is Reason.ALREADY_CLOSED
    assert desk.incidents[incident.id] == incident
    assert len(desk.mails) == 1 + len(real.told)


@pytest.mark.parametrize("answer", list(Answer))
def test_whatever_becomes_of_its_mail_nobody_else_is_told(answer: Answer) -> None:
    desk = Desk()
    incident = desk.give(learning()).incident
    assert incident is not None
    mail = desk.mails[0][2]
    result = DeliveryResult(mail.recipient.email, mail.purpose, mail.cycle, mail.step, mail.repetition, answer)
    desk.give(result, incident)
    assert desk.incidents[incident.id].notified is (answer is Answer.ACCEPTED)
    assert len(desk.mails) == 1


def test_the_past_tells_nobody() -> None:
    desk = Desk()
    event = learning().model_copy(update={"imported": True, "source": "long gone"})
    decision = desk.give(event)
    assert (decision.reason, desk.mails, desk.changes) == (Reason.IMPORTED, [], [])
    assert decision.incident is not None
    assert decision.incident.learning


def _mail(desk: Desk, **data: Any) -> Any:
    decision = desk.give(learning(**data))
    assert decision.incident is not None
    notify = next(effect for effect in decision.effects if isinstance(effect, Notify))
    assert notify.purpose is Purpose.ALARM
    assert notify.recipient.role == LEARNING_ROLE
    return decision.incident, compose(decision.incident, notify, desk.rules, now=desk.now, link=LINK)


def test_the_mail_says_that_nobody_else_was_told() -> None:
    incident, message = _mail(Desk(), warnings=("The field `x` was left out.",))
    assert message.subject == "LERNMODUS Zi. 112 Bernburg · Bedrohung"
    assert message.text == (
        "Zimmer 112, Bernburg (Parkstraße) – 09:12 Uhr\n"
        "LERNMODUS der Quelle „new“: Nur die Testadresse wurde informiert, sonst niemand.\n"
        "Stufe 2 (laut Knopf): Bedrohung. Stiller Alarm.\n"
        "\n"
        "NIEMAND SONST WEISS DAVON. Ist es echt: 110 rufen und den Standort selbst verständigen.\n"
        "\n"
        "Vorgang ansehen:\n"
        f"{LINK}\n"
        "\n"
        "Hinweise zur Meldung:\n"
        "  – The field `x` was left out.\n"
        "\n"
        "Ohne Lernmodus: Regel „violence“, Ablauf „urgent“, zuerst Haussicherheit, Standortleitung.\n"
        "Welche Felder kamen, steht im Log von Ingest unter „fields.learned“.\n"
        f"Vorgang {incident.code}. Antworten auf diese Mail liest niemand.\n"
    )
    assert not message.importance_high
    assert "nicht 110" not in message.text, "what may be real is no exercise"


def test_the_mail_in_english() -> None:
    site = CONFIGURATION["sites"]["bernburg"] | {"language": "en"}
    _, message = _mail(Desk(rules(sites={"bernburg": site})))
    assert message.subject == "LEARNING Zi. 112 Bernburg · Threat"
    assert "LEARNING MODE of the source “new”: only the test address was told, nobody else." in message.text
    assert "NOBODY ELSE KNOWS OF THIS. If it is real: call 110" in message.text


@pytest.mark.parametrize(("details", "shown"), [("full", True), ("link", False)])
def test_descriptions_follow_the_rules_of_mails(details: str, shown: bool) -> None:
    desk = Desk(rules(mail={"details": details}))
    _, message = _mail(desk, kind=Kind.FORM, description="Kunde schreit.")
    assert ("Kunde schreit." in message.text) is shown


def test_at_a_closed_office_the_first_step_with_somebody_is_named() -> None:
    steps = [{"after": "0s", "tell": ["house_security"]}, {"after": "2m", "tell": ["deputy"]}]
    policies = CONFIGURATION["policies"] | {"urgent": {"steps": steps, "repeat": "5m"}}
    desk = Desk(rules(policies=policies))
    desk.now = MONDAY + timedelta(hours=12)
    assert "zuerst Vertretung." in _mail(desk)[1].text
    desk.rules = rules(policies=policies, sites={"bernburg": CONFIGURATION["sites"]["kiosk"]})
    assert "zuerst Notfallkontakte." in _mail(desk)[1].text


def test_it_stands_in_the_figures_on_a_line_of_its_own() -> None:
    incident = Desk().give(learning(mode="exercise")).incident
    assert incident is not None
    assert to_row(incident)["mode"] == "learning"
    assert to_row(incident)["closed_at"] == MONDAY
    counted = count(PLAIN, PLAIN._replace(id="new", mode="learning"), PLAIN._replace(id="drill", mode="exercise"))
    assert counted.incidents == [PLAIN.id]
    assert (counted.excluded["exercise"], counted.excluded["learning"]) == (["drill"], ["new"])


def test_its_mail_waits_behind_every_real_one() -> None:
    desk = Desk()
    incident = desk.give(learning(danger_level=3)).incident
    real = desk.press(kind="form", danger_level=0, acute=False)
    assert incident is not None
    assert incident.urgency > real.urgency
    assert replace(incident, learning=False).urgency < real.urgency
