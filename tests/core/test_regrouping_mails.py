"""What people read when two incidents were joined or one was split."""

from dataclasses import replace

import pytest

from schemas.events import Category, PoliceWish
from services.alerting.core.decide import decide
from services.alerting.core.effects import Click, Joined, JoinedInto, Purpose
from services.alerting.core.incident import Incident
from services.alerting.core.joining import to_the_other
from tests.core.made_up import PRESSED_AT, after, pressed
from tests.core.mails import CALL, FULL, RULES, TAKE, mail


def joined(*acts: Click, site: str = "bernburg") -> tuple[Incident, Incident]:
    """Room 112 became part of the corridor, after people had acted there; a category is known in the room only."""
    room = pressed(RULES, site=site)
    other = pressed(RULES, event_id="corridor", location="Flur", site=site, category=None)
    corridor = after(other, *acts, given=RULES, at=PRESSED_AT)
    what = Joined("A. Muster", "dieselbe Person", room)
    decision = decide([corridor], what, now=PRESSED_AT, rules=RULES)
    follows = to_the_other(what, decision)
    assert isinstance(follows, JoinedInto)
    ended = decide([room], follows, now=PRESSED_AT, rules=RULES).incident
    assert ended is not None
    assert decision.incident is not None
    return ended, decision.incident


def test_the_mail_says_where_it_goes_on_and_that_nobody_has_it() -> None:
    message = mail(joined()[0], Purpose.JOINED)
    assert message.subject == "ZUSAMMENGELEGT Zi. 112 Bernburg · Bedrohung"
    lines = message.text.splitlines()
    assert lines[0] == "Zimmer 112, 1. OG links, Bernburg (Parkstraße) – 09:12 Uhr"
    assert lines[1].startswith("Zusammengelegt mit: Flur, Bernburg (Parkstraße) (Vorgang ")
    assert lines[2:4] == [
        "Zusammengelegt von A. Muster, 09:12 Uhr.",
        "Dort hat noch niemand übernommen. Der Link führt dorthin.",
    ]
    assert "POLIZEI EMPFOHLEN – Anruf bei 110 noch nicht bestätigt." in message.text
    assert message.importance_high


def test_what_people_did_there_is_said_here() -> None:
    text = mail(joined(TAKE, CALL)[0], Purpose.JOINED).text
    assert "Dort hat B. Beispiel übernommen." in text
    assert "POLIZEI – 110 angerufen um 09:12 Uhr." in text
    assert "nicht bestätigt" not in text


def test_the_reason_is_for_full_readers_only() -> None:
    ended = joined()[0]
    assert "dieselbe Person" not in mail(ended, Purpose.JOINED, "house_security", FULL).text
    assert "Grund: dieselbe Person" in mail(ended, Purpose.JOINED, "site_management", FULL).text


@pytest.mark.parametrize("purpose", [Purpose.ALARM, Purpose.JOINED])
def test_every_place_is_named_where_it_goes_on(purpose: Purpose) -> None:
    assert "Auch gemeldet: Zimmer 112, 1. OG links, Bernburg (Parkstraße)." in mail(joined()[1], purpose).text


def test_whoever_calls_reads_every_place_aloud() -> None:
    assert ", außerdem Zimmer 112“" in mail(joined()[1], Purpose.ALARM).text


def test_those_of_the_other_one_hear_what_happens_now() -> None:
    assert "Ein weiterer Vorgang gehört jetzt dazu." in mail(joined()[1], Purpose.JOINED).text
    assert "Ohne Übernahme: 09:14 Vertretung" in mail(joined()[1], Purpose.JOINED).text
    assert "Übernommen von B. Beispiel, seit 09:12 Uhr." in mail(joined(TAKE)[1], Purpose.JOINED).text


def test_a_colour_that_calms_only_where_somebody_has_taken_over() -> None:
    green = "#22603a"
    assert green not in mail(joined()[0], Purpose.JOINED).html
    assert green in mail(joined(TAKE)[0], Purpose.JOINED).html


def test_english() -> None:
    ended, goes_on = joined(site="english")
    assert mail(ended, Purpose.JOINED).subject == "JOINED 112 Hilltop · Threat"
    assert "Nobody has taken that one over yet." in mail(ended, Purpose.JOINED).text
    assert "Another incident is part of this one now." in mail(goes_on, Purpose.JOINED).text


def test_what_was_split_off_says_from_where() -> None:
    incident = replace(pressed(RULES), split_from="corridor")
    assert (
        f"Abgetrennt von Vorgang {pressed(RULES, event_id='corridor').code}: eine eigene Sache." in mail(incident).text
    )


def test_a_graver_one_that_joins_is_the_reason_for_the_new_alarm() -> None:
    room = pressed(RULES, danger_level=3, category=Category.WEAPON, police=PoliceWish.WANTED)
    corridor = pressed(RULES, event_id="corridor", location="Flur")
    again = decide([corridor], Joined("A", "…", room), now=PRESSED_AT, rules=RULES).incident
    assert again is not None
    message = mail(again)
    assert message.subject == "NOTFALL Flur Bernburg · Waffe · 110"
    assert "Schwerer als zuerst gemeldet: Ein weiterer Vorgang gehört dazu." in message.text
