"""A test that is announced and a silence that is planned, through the real processes, page and command line."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from tests.support.chain import Chain
from tests.support.mails import first_line, link_in, mails_about, to, wait_for_mails
from tests.support.records import lifecycle_of
from tests.support.waiting import eventually

GUARD = "wache.bernburg@example.org"
MANAGER = "leitung.bernburg@example.org"
HARMLESS = {"site": "bernburg", "danger_level": 1, "category": "insult"}


async def plan(chain: Chain, **fields: Any) -> str:
    """Send a form of the page; returns the page that it leads to."""
    async with httpx.AsyncClient(base_url=chain.alerting.url, timeout=10, follow_redirects=True) as client:
        answer = await client.post("/plans", data=fields)
    assert answer.status_code == 200, answer.text
    return answer.text


async def reasons(chain: Chain, incident_id: str) -> list[str]:
    return [change.value for change, _ in await lifecycle_of(chain.around, incident_id)]


async def test_buttons_are_tried(chain: Chain) -> None:
    done = chain.rufkette("announce-test", "--device", "BTN-112", "--minutes", "10", "--by", "A. Muster")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("test announced from ")

    async def board() -> str:
        async with httpx.AsyncClient(base_url=chain.alerting.url, timeout=10) as client:
            return (await client.get("/")).text

    assert "Angekündigter Test bis" in await board()
    tried = await chain.press({"device_id": "btn-112", "danger_level": 2})
    real = await chain.press({"site": "bernburg", "location": "Zimmer 7", "danger_level": 2})
    mail = to(await wait_for_mails(chain.sink, tried, 2), GUARD)
    assert mail.subject == "ALARM Zi. 112 Bernburg · ANGEKÜNDIGTER TEST – im Zweifel echt · 110"
    assert first_line(mail).startswith("Zimmer 112")
    assert mail.text().splitlines()[1] == "ANGEKÜNDIGTER TEST – im Zweifel echt."
    assert "TEST" not in to(await wait_for_mails(chain.sink, real, 2), GUARD).subject
    async with httpx.AsyncClient(timeout=10, follow_redirects=True) as client:
        fields = {"action": "close", "outcome": "test", "name": "A. Muster"}
        assert (await client.post(link_in(mail), data=fields)).status_code == 200
        refused = await client.post(link_in(to(mails_about(chain.sink, real), GUARD)), data=fields)
        assert refused.status_code == 422
        assert "zuletzt getestet" in (await client.get(f"{chain.alerting.url}/plans")).text
    assert len(await wait_for_mails(chain.sink, tried, 2, "closed")) >= 2


async def test_a_silence_holds_back_and_tells_at_its_end(chain: Chain) -> None:
    until = "2999-01-01T00:00"
    refused = chain.rufkette("silence", "--site", "bernburg", "--to", until, "--reason", "Umzug", "--by", "A. Muster")
    assert (refused.returncode, refused.stderr) == (1, "A silence lasts 7 days at most.\n")
    done = chain.rufkette("announce-test", "--minutes", "10", "--by", "A. Muster")
    assert (done.returncode, done.stderr) == (2, "name either --site or --device\n")

    for misspelt, right in (("--site=bernbrug", "bernburg"), ("--device=BTN-11", "btn-112")):
        done = chain.rufkette("announce-test", misspelt, "--by", "A. Muster")
        assert (done.returncode, f"did you mean `{right}`?" in done.stderr) == (1, True), done.stderr

    soon = f"{datetime.now(ZoneInfo('Europe/Berlin')) + timedelta(hours=1):%Y-%m-%dT%H:%M}"
    page = await plan(chain, action="silence", where="site:bernburg", until=soon, reason="Umzug", name="A. Muster")
    assert "Die Ruhezeit ist geplant." in page
    held = await chain.press({**HARMLESS, "location": "Zimmer 3"}, source="forms")
    await eventually(lambda: reasons(chain, held), lambda found: "suppressed" in found)
    loud = await chain.press({"site": "bernburg", "location": "Zimmer 4", "danger_level": 0})
    await wait_for_mails(chain.sink, loud, 1)
    assert mails_about(chain.sink, held) == []

    async with httpx.AsyncClient(base_url=chain.alerting.url, timeout=10) as client:
        page = (await client.get("/plans")).text
    assert "Zurückgehaltene Vorgänge: 1" in page
    silence_id = page.split('name="plan" value="')[1].partition('"')[0]
    await plan(chain, action="end", plan=silence_id, name="B. Beispiel")
    (alarm,) = await wait_for_mails(chain.sink, held, 1)
    assert alarm.recipients == (MANAGER,)
    (summary,) = await wait_for_mails(chain.sink, held, 1, "silence_ended")
    assert summary.recipients == (MANAGER,)
    assert summary.subject == "HINWEIS Bernburg · Geplante Ruhe beendet"
    assert "Zimmer 3" in summary.text()
    assert "Stufe 1 (laut Meldung), Beleidigung" in summary.text()
