"""What a person does on the page behind the link of a mail."""

from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from schemas.events import Outcome
from services.alerting.core.incident import Status
from tests.desk.conftest import Visit, visit_to

TAKE = {"action": "acknowledge", "person": "A. Muster"}
CLOSE = {"action": "close", "name": "D. Dritte", "outcome": "resolved"}


async def test_taking_over(visit: Visit) -> None:
    page = await visit.follow(**TAKE)
    assert "Sie haben übernommen, 09:16 Uhr (A. Muster)." in page
    assert "Anruf bei 110 noch nicht bestätigt" in page
    assert visit.incident.status is Status.ACKNOWLEDGED
    assert visit.incident.taken is not None
    assert visit.incident.taken.by == "A. Muster"


async def test_taking_over_and_having_called(visit: Visit) -> None:
    page = await visit.follow(action="acknowledge_and_called", name="B. Beispiel")
    assert "Sie haben übernommen, 09:16 Uhr (B. Beispiel). Ihr Anruf ist festgehalten." in page
    assert "POLIZEI – 110 angerufen um 09:16 Uhr von B. Beispiel." in page
    assert "noch nicht bestätigt" not in page


async def test_having_called_alone_takes_nothing_over(visit: Visit) -> None:
    page = await visit.follow(action="called_police", name="B. Beispiel")
    assert "Ihr Anruf ist festgehalten, 09:16 Uhr (B. Beispiel)." in page
    assert visit.incident.status is Status.OPEN
    assert "Wer übernimmt?" in page


async def test_a_second_person_sees_who_was_first(visit: Visit) -> None:
    await visit.send(**TAKE)
    looked = (await visit.look()).text
    assert "A. Muster hat übernommen, seit 09:16 Uhr." in looked
    assert "Sie müssen nichts tun." in looked
    assert 'value="acknowledge"' not in looked
    visit.desk.now += timedelta(minutes=1)
    page = await visit.follow(action="acknowledge", name="B. Beispiel")
    assert "Nichts geändert: A. Muster hat schon übernommen, 09:16 Uhr." in page


async def test_a_call_counts_even_if_somebody_else_was_first(visit: Visit) -> None:
    await visit.send(**TAKE)
    page = await visit.follow(action="acknowledge_and_called", name="B. Beispiel")
    assert "Ihr Anruf ist festgehalten, 09:16 Uhr (B. Beispiel). Übernommen hatte schon A. Muster." in page
    assert len(visit.incident.calls) == 1


async def test_a_call_said_with_something_else_stands_in_the_timeline(visit: Visit) -> None:
    await visit.send(action="acknowledge_and_called", name="A. Muster")
    assert "Übernommen; Polizei angerufen" in (await visit.look()).text
    assert "Übernommen; Polizei angerufen" in (await visit.client.get("/incidents/press-1")).text
    page = await visit.follow(action="called_police", name="B. Beispiel")
    assert "angerufen; Polizei" not in page, "a call of its own is said once"


async def test_a_typed_name_wins_over_a_chosen_one(visit: Visit) -> None:
    await visit.send(action="acknowledge", person="A. Muster", name="  B.\r\n Beispiel\x00 ")
    assert visit.incident.taken is not None
    assert visit.incident.taken.by == "B. Beispiel"


async def test_closing(visit: Visit) -> None:
    page = await visit.follow(
        **CLOSE, note="Ruhig.\r\nAlles gut.", measures=["Hausverbot", "Strafanzeige"], measure="Schloss getauscht"
    )
    assert "Der Vorgang ist beendet, 09:16 Uhr (D. Dritte)." in page
    closing = visit.incident.closing
    assert closing is not None
    assert closing.outcome is Outcome.RESOLVED
    assert closing.note == "Ruhig.\nAlles gut."
    assert closing.measures == ("Hausverbot", "Strafanzeige", "Schloss getauscht")
    assert "Nichts geändert: D. Dritte hat den Vorgang schon beendet" in await visit.follow(**CLOSE)


async def test_who_has_not_seen_the_second_press_is_shown_it(visit: Visit) -> None:
    shown = (await visit.look()).text
    assert '<input type="hidden" name="seen" value="1">' in shown
    visit.desk.now += timedelta(minutes=1)
    visit.press_again()
    answer = await visit.send(**CLOSE, seen="1", note="Ruhig.")
    assert answer.status_code == 422
    assert "Nicht beendet: Es wurde noch einmal gedrückt, 09:17 Uhr." in answer.text
    assert '<input type="hidden" name="seen" value="2">' in answer.text
    assert "Ruhig." in answer.text
    assert visit.incident.status is Status.OPEN
    assert "Der Vorgang ist beendet, 09:17 Uhr" in await visit.follow(**CLOSE, seen="2")


@pytest.mark.parametrize("seen", ["", "x", "-1", "²", "1" * 20])
async def test_what_no_page_of_ours_says_it_showed_is_ignored(visit: Visit, seen: str) -> None:
    assert "Der Vorgang ist beendet" in await visit.follow(**CLOSE, seen=seen)


async def test_measures_are_added_after_the_end(visit: Visit) -> None:
    await visit.send(**CLOSE)
    assert "mindestens eine Maßnahme" in (await visit.send(action="add_measures", name="A")).text
    page = await visit.follow(action="add_measures", name="A", measure="Schloss getauscht")
    assert "Die Maßnahmen sind nachgetragen." in page
    closing = visit.incident.closing
    assert closing is not None
    assert closing.measures == ("Schloss getauscht",)


async def test_handing_over_also_after_the_end(visit: Visit) -> None:
    await visit.send(**CLOSE)
    visit.desk.now += timedelta(days=29)
    page = await visit.follow(action="hand_over", name="E. Vierte", on="2026-01-20", reference="VB/7")
    assert "An die Polizei übergeben am 20.01.2026 von E. Vierte. Aktenzeichen: VB/7" in page
    await visit.send(action="hand_over", name="E. Vierte")
    first, second = visit.incident.hand_overs
    assert (first.on, first.reference) == (date(2026, 1, 20), "VB/7")
    assert (second.on, second.reference) == (date(2026, 2, 3), None)


async def test_raising_the_level(visit: Visit) -> None:
    await visit.follow(action="raise_level", name="A. Muster", level="3")
    assert visit.incident.danger_level == 3
    assert (await visit.send(action="raise_level", name="A. Muster", level="9")).status_code == 422


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"action": "acknowledge"}, "Ihr Name fehlt"),
        ({"action": "acknowledge", "name": "wache@example.org"}, "keine Mailadresse"),
        ({"action": "acknowledge", "person": "", "name": " \t\r\n"}, "Ihr Name fehlt"),
        ({"action": "acknowledge", "name": "x" * 121}, "höchstens 120 Zeichen"),
        ({"action": "close", "name": "A"}, "wie es ausging"),
        ({"action": "close", "name": "A", "outcome": "test"}, "während eines angekündigten Tests"),
        ({"action": "close", "name": "A", "outcome": "nonsense"}, "wie es ausging"),
        ({**CLOSE, "note": "x" * 4001}, "höchstens 4000 Zeichen"),
        ({**CLOSE, "measure": "x" * 121}, "höchstens 120 Zeichen"),
        ({"action": "hand_over", "name": "A", "on": "gestern"}, "JJJJ-MM-TT"),
        ({"action": "hand_over", "name": "A", "on": "2026-01-06"}, "Zukunft"),
        ({"action": "delete", "name": "A"}, "Diese Aktion gibt es hier nicht"),
        ({"name": "A"}, "Diese Aktion gibt es hier nicht"),
    ],
)
async def test_what_is_missing_is_said_and_nothing_is_done(visit: Visit, fields: dict[str, Any], said: str) -> None:
    answer = await visit.send(**fields)
    assert answer.status_code == 422
    assert said in answer.text
    assert not visit.desk.incidents.clicks


async def test_inputs_are_kept_when_something_is_missing(visit: Visit) -> None:
    answer = await visit.send(
        action="close", outcome="false_alarm", note="Lange <b>getippt</b>", measures="Hausverbot", person="A. Muster",
        measure="x" * 121,
    )  # fmt: skip
    assert 'value="false_alarm" checked' in answer.text
    assert "Lange &lt;b&gt;getippt&lt;/b&gt;</textarea>" in answer.text
    assert 'value="Hausverbot" checked' in answer.text
    assert 'value="A. Muster" checked' in answer.text


async def test_an_exercise_records_no_call(client: httpx.AsyncClient) -> None:
    visit = visit_to(client, mode="exercise")
    page = (await visit.look()).text
    assert "ÜBUNG. Keine Gefahr, nicht 110 rufen." in page
    assert "called" not in page
    assert (await visit.send(action="called_police", name="A")).status_code == 422
    assert (await visit.send(action="acknowledge_and_called", name="A")).status_code == 422
    assert "Sie haben übernommen" in await visit.follow(action="acknowledge", name="A")


async def test_too_much_and_the_wrong_kind(visit: Visit) -> None:
    assert (await visit.send(action="acknowledge", name="x" * 70_000)).status_code == 413
    assert (await visit.client.post(visit.link, json={"action": "acknowledge"})).status_code == 415
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    many = await visit.client.post(visit.link, content="a=1&" * 100, headers=form)
    assert many.status_code == 422
    broken = await visit.client.post(visit.link, content=b"action=acknowledge&name=%ff%fe", headers=form)
    assert broken.status_code == 303
    assert len(visit.desk.incidents.clicks) == 1


async def test_the_confirmation_claims_nothing_that_did_not_happen(visit: Visit) -> None:
    for claim in ("acknowledged", "closed", "handed_over", "police_requested", "acknowledged.called", "<b>", "x.y"):
        page = await visit.look(f"?done={claim}")
        assert page.status_code == 200
        assert 'role="status"' not in page.text
    await visit.send(**TAKE)
    assert "Ihr Anruf" not in (await visit.look("?done=acknowledged.called")).text
