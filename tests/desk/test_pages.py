"""What the pages show, to whom, and that looking changes nothing."""

import re
from datetime import timedelta

import httpx
import pytest

from services.alerting.core.effects import Action, Answer, Click, DeliveryResult, Purpose
from services.alerting.desk.incidents import Arrival, Arrived
from services.alerting.desk.tokens import Tokens
from tests.core.made_up import PRESSED_AT
from tests.desk.conftest import Visit, visit_to


async def test_the_page_behind_the_link_shows_all_place_first(visit: Visit) -> None:
    page = (await visit.look()).text
    assert page.index("Zimmer 112, 1. OG links, Bernburg (Parkstraße)</h1>") < page.index("Stufe 2 (laut Knopf)")
    for shown in (
        "POLIZEI EMPFOHLEN – Anruf bei 110 noch nicht bestätigt.",
        'href="tel:110"',
        "„Jobcenter Beispiel, Parkstraße, Bernburg, Zimmer 112, Eingang Hofseite“",
        "Nicht allein hineingehen.",
        "Kunde schreit.\nWirft Stühle.",
        "gemeldet von C. Kollegin",
        "Standortleitung: A. Muster",
        "Gemeldet",
        "Handgreiflichkeit",
        "Dieses System ruft niemanden an.",
    ):
        assert shown in page
    assert page.index('value="acknowledge"') < page.index('value="acknowledge_and_called"')
    assert page.index('value="acknowledge_and_called"') < page.index('value="called_police"')


async def test_it_says_whom_the_mails_reached(visit: Visit) -> None:
    guard, manager = "wache.bernburg@example.org", "leitung.bernburg@example.org"
    arrived = visit.desk.incidents.arrivals
    assert "Mail angenommen" not in (await visit.look()).text
    arrived |= {manager: Arrived(Arrival.ACCEPTED, PRESSED_AT), guard: Arrived(Arrival.WAITING)}
    page = (await visit.look()).text
    assert re.search(r"A\. Muster.*<br><span class=\"quiet\">Mail angenommen \d\d:\d\d</span>", page)
    assert re.search(r"Haussicherheit.*<br><span class=\"quiet\">Mail noch nicht angenommen", page)
    arrived[guard] = Arrived(Arrival.FAILED)
    page = (await visit.look()).text
    assert re.search(r"Haussicherheit.*<br><span class=\"failed\">Mail kam nicht an</span>", page)
    assert "Mail kam nicht an" not in (await visit.client.get("/incidents/press-1")).text
    arrived[guard] = Arrived(Arrival.WAITING, earlier=PRESSED_AT)
    page = (await visit.look()).text
    assert "Neue Mail noch nicht angenommen, wird weiter versucht; eine frühere wurde angenommen 09:12<" in page


@pytest.mark.parametrize("called", [False, True])
async def test_what_is_over_urges_nobody_to_call(visit: Visit, called: bool) -> None:
    if called:
        await visit.send(action="called_police", name="A. Muster")
    await visit.send(action="close", outcome="false_alarm", name="A. Muster")
    for address in (visit.link, "/incidents/press-1"):
        page = (await visit.client.get(address)).text
        assert "<p>BEENDET · 09:12 Uhr · Beendet seit 09:16 Uhr</p>" in page
        assert 'class="box strong"' not in page
        assert "EMPFOHLEN" not in page
        assert ("Ein Anruf bei 110 wurde nicht bestätigt." in page) is not called
        assert ("110 angerufen um 09:16 Uhr" in page) is called


async def test_a_hand_over_is_recorded_and_calls_nobody(visit: Visit) -> None:
    page = (await visit.look()).text
    assert "<summary>Abgabe an die Polizei festhalten (ruft niemanden)</summary>" in page
    page = await visit.follow(action="hand_over", name="A. Muster", on="2026-01-05", reference="ST/17")
    box = page[page.index('class="box strong"') :]
    assert "ST/17" not in box[: box.index("</div>")]
    assert "Aktenzeichen: ST/17" in page


async def test_what_a_press_opened_again_is_open_since_then(visit: Visit) -> None:
    await visit.send(action="close", outcome="resolved", name="A. Muster")
    visit.desk.now += timedelta(minutes=3)
    visit.press_again()
    assert "ALARM · 09:12 Uhr · Offen seit 09:19 Uhr" in (await visit.look()).text


async def test_pages_say_that_no_mail_goes_out(visit: Visit) -> None:
    addresses = ("/", "/incidents/press-1", visit.link)
    assert all(["kein Mailserver" not in (await visit.client.get(address)).text for address in addresses])
    visit.desk.mails_go = False
    assert all(["kein Mailserver Mails an" in (await visit.client.get(address)).text for address in addresses])


async def test_pages_say_that_all_mails_were_refused(visit: Visit) -> None:
    """Nobody has a link then: who looks at the board is the only one who can know."""
    addresses = ("/", "/incidents/press-1", visit.link)

    async def warned() -> list[bool]:
        return ["Alle Mails dazu wurden abgelehnt" in (await visit.client.get(address)).text for address in addresses]

    assert await warned() == [False, False, False]
    for _ in range(10):  # step by step, until nobody is left
        incident = visit.incident
        for recipient in incident.awaited:
            step = 0 if incident.emergency else incident.step + 1
            answer = DeliveryResult(recipient, Purpose.ALARM, incident.cycle, step, incident.repetition, Answer.REFUSED)
            visit.desk.incidents.apply("press-1", answer, visit.desk.now)
    assert await warned() == [True, True, True]
    await visit.send(action="acknowledge", name="A. Muster")
    assert await warned() == [False, False, False]


async def test_nobody_without_a_name_is_a_choice(visit: Visit) -> None:
    page = (await visit.look()).text
    assert 'name="person" value="A. Muster"' in page
    assert "wache.bernburg@example.org" not in page, "a person takes over, not an address"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_changes_nothing(visit: Visit, method: str) -> None:
    before = visit.incident
    for address in (visit.link, f"{visit.link}?action=acknowledge&name=A&done=acknowledged", "/", "/incidents/press-1"):
        answer = await visit.client.request(method, address)
        assert answer.status_code == 200
    assert visit.incident is before
    assert not visit.desk.incidents.clicks


async def test_other_methods_are_not_there(visit: Visit) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        assert (await visit.client.request(method, visit.link)).status_code == 405
    assert (await visit.client.post("/")).status_code == 405
    assert (await visit.client.post("/incidents/press-1")).status_code == 405


async def test_every_answer_is_private(visit: Visit) -> None:
    answers = [await visit.look(), await visit.client.get("/"), await visit.client.get("/a/x"), await visit.send()]
    answers.append(await visit.send(action="acknowledge", name="A"))
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "noindex" in answer.headers["x-robots-tag"]
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "<script" not in answer.text
        assert " style=" not in answer.text


async def test_a_forged_link_says_what_to_do(visit: Visit) -> None:
    other = Tokens(["another key, long enough"]).issue(visit.incident_id, "a@example.org", visit.desk.now)
    for token in (other, visit.link.removeprefix("/a/")[:-5], "x", "%00%ff"):
        for answer in (await visit.client.get(f"/a/{token}"), await visit.client.post(f"/a/{token}", data={})):
            assert answer.status_code == 403
            assert "Bei Gefahr 110 anrufen." in answer.text
            assert "neuesten Mail" in answer.text
            assert "Zimmer 112" not in answer.text
    assert not visit.desk.incidents.clicks


async def test_a_link_expires_30_days_after_closing_and_never_before(visit: Visit) -> None:
    visit.desk.now += timedelta(days=400)
    assert (await visit.look()).status_code == 200, "it still repeats"
    await visit.send(action="close", name="A", outcome="resolved")
    visit.desk.now += timedelta(days=30)
    assert (await visit.look()).status_code == 200
    visit.desk.now += timedelta(seconds=1)
    for answer in (await visit.look(), await visit.send(action="hand_over", name="A")):
        assert answer.status_code == 410
        assert "abgelaufen" in answer.text
        assert "Bei Gefahr 110 anrufen." in answer.text
        # PRESSED_AT and 400 days: no other link opens anything either, so none is named.
        assert "Der Vorgang ist seit dem 09.02.2027 beendet" in answer.text
        assert "Sie müssen nichts tun." in answer.text
        assert "neuesten Mail" not in answer.text


async def test_an_expired_link_in_english(client: httpx.AsyncClient) -> None:
    visit = visit_to(client, site="english", location=None)
    await visit.send(action="close", name="A", outcome="resolved")
    visit.desk.now += timedelta(days=31)
    answer = await visit.look()
    assert answer.status_code == 410
    assert "The incident has been closed since 2026-01-05; all its links have expired." in answer.text
    assert "You need not do anything." in answer.text
    assert "newest mail" not in answer.text
    assert "In danger call 110." in answer.text


async def test_an_incident_that_is_gone(visit: Visit) -> None:
    visit.desk.incidents.known.clear()
    assert (await visit.look()).status_code == 410
    answer = await visit.client.get("/incidents/press-1")
    assert answer.status_code == 404
    assert "nicht gefunden" in answer.text


async def test_with_the_database_away_the_page_says_so(visit: Visit) -> None:
    visit.desk.incidents.away = True
    for answer in (await visit.look(), await visit.send(action="acknowledge", name="A")):
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "Es wurde nichts gespeichert." in answer.text
        assert "Bei Gefahr 110 anrufen." in answer.text


async def test_without_the_link_there_are_no_names_and_no_forms(visit: Visit) -> None:
    for act in (Action.ACKNOWLEDGE, Action.CALLED_POLICE, Action.HAND_OVER):
        visit.desk.incidents.apply(visit.incident_id, Click("B. Beispiel", (act,), reference="VB/7"), visit.desk.now)
    board, page = (await visit.client.get("/")).text, (await visit.client.get("/incidents/press-1")).text
    for text in (board, page):
        assert "Bernburg" in text
        for secret in ("Kunde", "C. Kollegin", "B. Beispiel", "A. Muster", "VB/7", "<form", "@example.org"):
            assert secret not in text
    assert "nur der Link aus der Mail" in page
    assert "An die Polizei übergeben am 05.01.2026." in page


async def test_the_board_shows_the_worst_first(client: httpx.AsyncClient) -> None:
    empty = (await client.get("/")).text
    assert "Kein offener Vorgang" in empty
    assert '<meta http-equiv="refresh" content="15">' in empty
    visit_to(client, event_id="a/b?c", danger_level=1, category="insult", location="Raum 1")
    visit_to(client, event_id="exercise", mode="exercise", location="Raum 3")
    worst = visit_to(client, event_id="worst", danger_level=3, location="Raum 2")
    taken = visit_to(client, event_id="taken", danger_level=3, location="Raum 4")
    await taken.send(action="acknowledge", name="A")
    board = (await client.get("/")).text
    # Somebody has it, so it does not look like an alarm; nor like one that is over.
    assert [word for word in ("NOTFALL", "HILFERUF", "PROBEALARM", "ÜBERNOMMEN") if board.count(f">{word}<") == 1] == [
        "NOTFALL", "HILFERUF", "PROBEALARM", "ÜBERNOMMEN",
    ]  # fmt: skip
    assert 'class="row calm done"' in board
    await taken.send(action="close", name="A", outcome="resolved", note="Alles gut")
    over = (await client.get("/")).text
    assert (over.count(">BEENDET<"), over.count(">ÜBERNOMMEN<")) == (1, 0)
    assert 'class="row over done"' in over
    assert 'href="devices"' in over
    assert 'href="reports/20' in over
    order = [board.index(f"Raum {number} Bernburg") for number in (2, 1, 3, 4)]
    assert order == sorted(order)
    assert "POLIZEI DRINGEND – Anruf bei 110 noch nicht bestätigt." in board
    assert "ÜBUNG. Keine Gefahr" in board
    assert (await client.get(f"/incidents/{worst.incident_id}")).status_code == 200
    assert 'href="incidents/a%2Fb%3Fc"' in board
    assert (await client.get("/incidents/a%2Fb%3Fc")).status_code == 200


async def test_markup_in_a_report_is_text(client: httpx.AsyncClient) -> None:
    evil = '"><script>alert(1)</script>'
    visit = visit_to(
        client, location=evil, description=evil, reported_by=evil, warnings=(evil,), site=None, site_text=evil
    )
    await visit.send(action="acknowledge", name=evil)
    for address in (visit.link, "/", f"/incidents/{visit.incident_id}"):
        page = (await client.get(address)).text
        assert "<script" not in page
        assert "&lt;script&gt;" in page


async def test_english_sites_read_english(client: httpx.AsyncClient) -> None:
    page = (await visit_to(client, site="english").look()).text
    assert '<html lang="en">' in page
    for shown in ("Take over", "POLICE ADVISED – call to 110 not confirmed yet.", "This system calls nobody."):
        assert shown in page
