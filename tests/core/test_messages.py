"""What people read in their mail."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schemas.events import Event, Kind, Outcome, Reported
from schemas.report_warnings import warning
from services.alerting.core.decide import decide
from services.alerting.core.effects import Action, Click, Purpose
from services.alerting.core.messages import compose
from tests.core.made_up import LINK, PRESSED_AT, after, due, notify, pressed, rules
from tests.core.mails import ABOUT_ONE, CALL, FOUR_MINUTES, FULL, RULES, TAKE, close, mail
from tests.support.organisation import organisation


def test_a_press_of_level_2_reads_exactly_as_promised() -> None:
    incident = pressed(RULES)
    message = mail(incident)
    assert message.subject == "ALARM Zi. 112 Bernburg · Bedrohung · 110"
    assert message.text == (
        "Zimmer 112, 1. OG links, Bernburg (Parkstraße) – 09:12 Uhr\n"
        "Stufe 2 (laut Knopf): Bedrohung. Stiller Alarm.\n"
        "\n"
        "POLIZEI EMPFOHLEN – Anruf bei 110 noch nicht bestätigt.\n"
        "110 wählen: „Jobcenter Beispiel, Parkstraße, Bernburg, Zimmer 112, Eingang Hofseite“\n"
        "Nicht allein hineingehen.\n"
        "\n"
        "ÜBERNEHMEN und Anruf bestätigen:\n"
        f"{LINK}\n"
        "\n"
        "Informiert: Haussicherheit, Standortleitung.\n"
        "Ohne Übernahme: 09:14 Vertretung, 09:17 Bereitschaft, danach alle 5 Minuten.\n"
        f"Vorgang {incident.code}. Antworten auf diese Mail liest niemand.\n"
    )
    assert message.importance_high


@pytest.mark.parametrize(
    ("report", "subject"),
    [
        ({"danger_level": 3, "category": "weapon"}, "NOTFALL Zi. 112 Bernburg · Waffe · 110"),
        ({"danger_level": None, "category": None}, "ALARM Zi. 112 Bernburg · 110"),
        ({"danger_level": 1, "category": "property_damage"}, "HILFERUF Zi. 112 Bernburg · Sachbeschädigung · 110"),
        ({"danger_level": 0, "category": "insult", "kind": "form"}, "HINWEIS Zi. 112 Bernburg · Beleidigung"),
        ({"kind": "form", "acute": False}, "HINWEIS Zi. 112 Bernburg · Bedrohung"),
        ({"mode": "exercise"}, "PROBEALARM Zi. 112 Bernburg · Bedrohung"),
        ({"location": None}, "ALARM Bernburg, Raum unbekannt · Bedrohung · 110"),
        ({"location": "Keller"}, "ALARM Keller Bernburg · Bedrohung · 110"),
        ({"site": None, "location": None, "site_text": "Bernbrg"}, "ALARM Ort unbekannt · Bedrohung · 110"),
        ({"site": None, "location": "Zimmer 5"}, "ALARM Zimmer 5 · Ort unbekannt · Bedrohung · 110"),
        ({"site": "english", "location": "Room 4"}, "ALARM Room 4 Hilltop · Threat · 110"),
        ({"site": "english", "danger_level": 3}, "EMERGENCY 112 Hilltop · Threat · 110"),
        ({"site": "english", "danger_level": 1}, "HELP CALL 112 Hilltop · Threat · 110"),
        ({"site": "english", "danger_level": 0, "kind": "form"}, "NOTICE 112 Hilltop · Threat"),
        ({"site": "english", "mode": "exercise"}, "EXERCISE 112 Hilltop · Threat"),
    ],
)
def test_subjects(report: dict[str, Any], subject: str) -> None:
    assert mail(pressed(RULES, **report)).subject == subject


@pytest.mark.parametrize("report", [{"danger_level": level} for level in (0, 1, 2, 3, None)] + [{"mode": "exercise"}])
@pytest.mark.parametrize("purpose", ABOUT_ONE)
def test_a_lock_screen_names_the_room(report: dict[str, Any], purpose: Purpose) -> None:
    incident = after(pressed(RULES, **report), TAKE, close(), given=RULES, at=PRESSED_AT)
    assert "Zi. 112" in mail(incident, purpose).subject[:26]


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ({"kind": "form"}, "Stufe 2 (laut Meldung): Bedrohung."),
        ({"kind": "form", "danger_level": None}, "Stufe 2 (aus der Art des Vorfalls): Bedrohung."),
        ({"danger_level": None, "category": None}, "Stufe unbekannt, wie 2 behandelt. Stiller Alarm."),
        ({"site": "english"}, "Level 2 (set by the button): Threat. Silent alarm."),
        ({"site": "english", "danger_level": None, "category": None}, "Level unknown, treated as 2. Silent alarm."),
    ],
)
def test_the_level_says_where_it_comes_from(report: dict[str, Any], line: str) -> None:
    assert mail(pressed(RULES, **report)).text.splitlines()[1] == line


def test_level_3_urges_to_call() -> None:
    assert "POLIZEI DRINGEND – Anruf bei 110 noch nicht bestätigt." in mail(pressed(RULES, danger_level=3)).text
    english = mail(pressed(RULES, danger_level=3, site="english")).text
    assert "POLICE URGENT – call to 110 not confirmed yet." in english


def test_a_tap_calls_the_police_while_a_call_is_wanted() -> None:
    link = '<a class="call" href="tel:110"'
    assert mail(pressed(RULES)).html.count(link) == 1
    assert ">110 anrufen</a>" in mail(pressed(RULES)).html
    assert ">Call 110</a>" in mail(pressed(RULES, site="english")).html
    called = after(pressed(RULES), CALL, given=RULES, at=PRESSED_AT + timedelta(minutes=2))
    unflagged = pressed(RULES, kind="form", danger_level=0, category="insult")
    for incident in (called, unflagged, pressed(RULES, mode="exercise")):
        assert "tel:" not in mail(incident).html


@pytest.mark.parametrize(("phone", "link"), [("+49 391 546-0", "tel:+493915460"), ("Leitstelle", None)])
def test_a_number_of_its_own_is_called_as_phones_need_it(phone: str, link: str | None) -> None:
    sites = organisation()["sites"]
    sites["bernburg"]["police"] = {"phone": phone}
    own = rules(sites=sites)
    html = mail(pressed(own), by=own).html
    assert f'href="{link}"' in html if link else "tel:" not in html


def test_without_a_flag_the_call_is_still_said_to_be_unconfirmed() -> None:
    message = mail(pressed(RULES, kind="form", danger_level=0, category="insult"))
    assert "Polizei: Kein Anruf bei 110 bestätigt.\nBei Gefahr 110 wählen: „Jobcenter" in message.text
    assert not message.importance_high


def test_a_confirmed_call_is_told_and_its_caller_to_full_readers_only() -> None:
    incident = after(pressed(FULL), CALL, given=FULL, at=PRESSED_AT + timedelta(minutes=2))
    guard, manager = mail(incident, by=FULL), mail(incident, role="site_management", by=FULL)
    assert "POLIZEI – 110 angerufen um 09:14 Uhr.\n" in guard.text
    assert "B. Beispiel" not in guard.text + guard.html + guard.subject
    assert "POLIZEI – 110 angerufen um 09:14 Uhr von B. Beispiel." in manager.text
    assert "nicht bestätigt" not in guard.text


def test_description_and_names_only_in_full_mails() -> None:
    incident = pressed(FULL, description="Kunde schreit.\nPOLIZEI DA", reported_by="C. Kollegin")
    guard, manager = mail(incident, by=FULL), mail(incident, role="site_management", by=FULL)
    for secret in ("Kunde schreit", "C. Kollegin"):
        assert secret not in guard.text + guard.html + guard.subject + manager.subject
        assert secret in manager.text
        assert secret in manager.html
    assert "\n  POLIZEI DA" in manager.text, "a line of a description must not pass for one of ours"


def test_a_very_long_description_is_cut_and_says_so() -> None:
    incident = pressed(FULL, description="ü" * 20_000)
    text = mail(incident, role="site_management", by=FULL).text
    assert "ü" * 4_000 in text
    assert "ü" * 4_001 not in text
    assert "gekürzt" in text


def test_what_a_sender_wrote_is_quoted_to_those_only_who_may_read_it() -> None:
    doubts = (
        warning("left_out", field="“Herr Geheim hat ein Messer”", detail="is not a known field"),
        warning("left_out", field="“category”", detail="should be 'insult'"),
        warning("unknown_device", value="“Handy von Frau Zeugin”"),
    )
    incident = pressed(RULES, warnings=doubts)
    for role, quoted in (("house_security", False), ("site_management", True)):
        text = mail(incident, role=role, by=FULL).text
        assert ("Geheim" in text, "Zeugin" in text) == (quoted, quoted), role
        assert "category“ weggelassen" in text or "category” weggelassen" in text
        assert "steht nicht im Verzeichnis" in text


def test_an_exercise_never_sends_anybody_to_the_phone() -> None:
    incident = pressed(RULES, mode="exercise", danger_level=3)
    for purpose in ABOUT_ONE:
        message = mail(after(incident, TAKE, close(), given=RULES, at=PRESSED_AT), purpose)
        assert "ÜBUNG. Keine Gefahr, nicht 110 rufen." in message.text
        assert "wählen" not in message.text
        assert "110" not in message.subject
        assert "Anruf" not in message.text
        assert "Polizei" not in message.text


def test_a_later_step_a_repeat_and_a_restart_say_so_in_the_body_only() -> None:
    first = pressed(RULES)
    second, to_deputy = due(first, RULES)
    message = compose(second, to_deputy, RULES, now=PRESSED_AT, link=LINK)
    assert message.subject == mail(first).subject
    assert "2. Stufe: Bisher hat niemand übernommen." in message.text
    assert "Mail abgeschickt an: Haussicherheit, Standortleitung" in message.text, "whether it came is not known"
    assert "Informiert" not in message.text
    assert "Ohne Übernahme: 09:17 Bereitschaft, danach alle 5 Minuten." in message.text
    third, _ = due(second, RULES)
    repeated, again = due(third, RULES)
    text = compose(repeated, again, RULES, now=PRESSED_AT, link=LINK).text
    assert "Wiederholung: Noch niemand hat übernommen." in text
    assert "Ohne Übernahme: alle 5 Minuten erneut." in text
    reminded, reminder = due(after(first, TAKE, given=RULES, at=PRESSED_AT), RULES)
    assert reminder.purpose is Purpose.REMINDER
    reopened, anew = due(reminded, RULES)
    assert (
        "Wieder offen: Die Übernahme ist abgelaufen" in compose(reopened, anew, RULES, now=PRESSED_AT, link=LINK).text
    )


def test_emergency_contacts_learn_why_they_are_told() -> None:
    bare = rules(roles={})
    incident = pressed(bare, site="unknown place")
    assert incident.emergency
    told = replace(notify(incident), step=0)
    text = compose(incident, told, bare, now=PRESSED_AT, link=LINK).text
    assert "Niemand sonst ist anwesend oder erreichbar" in text
    assert "Mail abgeschickt an: Notfallkontakte." in text


def test_a_step_with_nobody_is_not_promised() -> None:
    content = organisation()
    policy = {**content["policies"]["urgent"], "repeat": "1h", "steps": [
        {"after": "0s", "tell": ["site_management"]},
        {"after": "2m", "tell": ["no_such_role"]},
        {"after": "5m", "tell": ["on_call"]},
    ]}  # fmt: skip
    given = rules(policies={**content["policies"], "urgent": policy})
    assert "Ohne Übernahme: 09:14 Bereitschaft, danach jede Stunde." in mail(pressed(given), by=given).text


def test_a_report_after_the_event_is_reminded_on_opening_days() -> None:
    incident = pressed(RULES, kind="form", acute=False, occurred_at=PRESSED_AT - timedelta(days=3))
    text = mail(incident).text
    assert "Geschehen: Fr 02.01.2026, 09:12 Uhr." in text
    assert "Erinnerung an jedem Öffnungstag, zuerst Di 06.01. 08:00." in text
    assert not mail(incident).text.count("Stiller Alarm")


def test_the_date_is_named_when_it_is_not_today() -> None:
    incident = pressed(RULES)
    message = compose(incident, notify(incident), RULES, now=PRESSED_AT + timedelta(days=1), link=LINK)
    assert message.text.splitlines()[0].endswith("– Mo 05.01.2026, 09:12 Uhr")


def test_several_reports_are_counted() -> None:
    first = pressed(RULES)
    data = Reported(kind=Kind.PANIC, site="bernburg", location="112", danger_level=2)
    at = PRESSED_AT + timedelta(minutes=3)
    second = decide([first], Event(id="press-2", source="buttons", time=at, data=data), now=at, rules=RULES).incident
    assert second is not None
    assert "2 Meldungen, zuletzt 09:15 Uhr." in mail(second).text


def test_the_report_that_made_it_graver_is_named_and_not_a_later_one() -> None:
    incident = pressed(RULES)
    for minutes, level in ((3, 3), (5, 2)):
        at = PRESSED_AT + timedelta(minutes=minutes)
        data = Reported(kind=Kind.PANIC, site="bernburg", location="112", danger_level=level)
        event = Event(id=f"press-{minutes}", source="buttons", time=at, data=data)
        decided = decide([incident], event, now=at, rules=RULES).incident
        assert decided is not None
        incident = decided
    text = mail(incident).text
    assert "Schwerer als zuerst gemeldet: Neue Meldung um 09:15 Uhr." in text
    assert "3 Meldungen, zuletzt 09:17 Uhr." in text


def test_what_could_not_be_understood_is_told() -> None:
    incident = pressed(
        RULES, site=None, site_text="Bernbrg", location=None, device_id="btn-9", warnings=("unknown device btn-9",)
    )
    text = mail(incident).text
    assert text.startswith("Ort unbekannt (angegeben: „Bernbrg“) – 09:12 Uhr\n")
    assert "Ausgelöst von Gerät btn-9." in text
    assert "Hinweise zur Meldung:\n  – unknown device btn-9" in text
    assert "110 wählen: „Jobcenter Beispiel, Bernbrg“" in text


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({"site": None, "location": None}, True),
        ({"site": None, "location": "Zimmer 5"}, True),
        ({"site": None, "location": None, "device_id": "btn-9"}, False),
        ({"site": None, "site_text": "Bernbrg"}, False),
        ({}, False),
    ],
)
def test_where_nothing_else_says_where_to_look_the_source_does(report: dict[str, Any], said: bool) -> None:
    """Somebody can find out which buttons those are."""
    assert ("Gemeldet über: buttons." in mail(pressed(RULES, **report)).text) is said


def test_taken_over() -> None:
    incident = after(pressed(RULES), TAKE, given=RULES, at=PRESSED_AT + FOUR_MINUTES)
    message = mail(incident, Purpose.TAKEN_OVER)
    assert message.subject == "ÜBERNOMMEN Zi. 112 Bernburg · Bedrohung · 110"
    assert "Vorgang ansehen, Anruf bestätigen oder beenden" in message.text
    called = after(incident, CALL, given=RULES, at=PRESSED_AT)
    assert "Vorgang ansehen oder beenden:" in mail(called, Purpose.TAKEN_OVER).text
    assert "Übernommen von B. Beispiel, seit 09:16 Uhr.\nSie müssen nichts tun.\n" in message.text
    assert "Anruf bei 110 noch nicht bestätigt." in message.text
    assert "Ist der Vorgang bis 09:46 Uhr nicht beendet, wird erneut alarmiert." in message.text
    assert "B. Beispiel" not in message.subject
    assert message.importance_high


def test_closed() -> None:
    given = rules(mail={"roles": {"site_management": "full"}})
    inputs = (
        CALL,
        Click("E. Vierte", (Action.HAND_OVER,), reference="VB/7"),
        close(note="Ruhig.", measures=("Hausverbot",)),
    )
    incident = after(pressed(given), *inputs, given=given, at=PRESSED_AT + FOUR_MINUTES)
    guard = mail(incident, Purpose.CLOSED, by=given)
    manager = mail(incident, Purpose.CLOSED, "site_management", by=given)
    assert guard.subject == "BEENDET Zi. 112 Bernburg · Bedrohung"
    assert "Beendet von D. Dritte, 09:16 Uhr: erledigt." in guard.text
    assert "POLIZEI – 110 angerufen um 09:16 Uhr.\nAn die Polizei übergeben am 05.01.2026.\n" in guard.text
    assert LINK in guard.text
    assert not any(word in guard.text for word in ("Ruhig", "Hausverbot", "VB/7", "E. Vierte"))
    assert all(word in manager.text for word in ("Ruhig", "Hausverbot", "VB/7", "E. Vierte"))
    silent = mail(after(pressed(given), close(Outcome.FALSE_ALARM), given=given, at=PRESSED_AT), Purpose.CLOSED)
    assert "Fehlalarm" in silent.text
    assert "Ein Anruf bei 110 wurde nicht bestätigt." in silent.text


def test_english_closing() -> None:
    incident = after(pressed(RULES, site="english"), TAKE, close(), given=RULES, at=PRESSED_AT)
    assert "Taken over by B. Beispiel, since 09:12." in mail(incident, Purpose.TAKEN_OVER).text
    closed = mail(incident, Purpose.CLOSED)
    assert closed.subject == "CLOSED 112 Hilltop · Threat"
    assert "Closed by D. Dritte, 09:12: resolved." in closed.text


def test_unknown_roles_are_shown_as_they_are() -> None:
    content = organisation()
    content["sites"]["bernburg"]["people"]["first_aid"] = ["sani@example.org"]
    steps = [{"after": "0s", "tell": ["first_aid"]}]
    content["policies"]["urgent"] = {"steps": steps, "repeat": "1m"}
    given = rules(sites=content["sites"], policies=content["policies"])
    assert "Informiert: first aid.\nOhne Übernahme: jede Minute erneut." in mail(pressed(given), by=given).text
