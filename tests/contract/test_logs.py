"""The logs of a whole incident: every line as the catalogue lists it, one thread to follow, and no personal data."""

import json
import re
from typing import Any

import httpx

from services.common.catalogue import CATALOGUE, COMMON, STANDARD
from tests.support.chain import Chain
from tests.support.organisation import KEYS

SECRETS = {
    "a description": "Herr Beispielmann droht mit Anwalt",
    "a reporter": "Frau Musterfrau",
    "who takes over": "Wachmann Obermüller",
    "a room": "Zimmer 112",
    "a note": "Lage beruhigt",
    "an address": "@example.org",
    "a key": KEYS["buttons"],
    "a form's key": KEYS["forms"],
}


def link_in(text: str) -> str:
    found = re.search(r"https?://\S+/a/\S+", text)
    assert found, text
    return found.group()


def wrong_with(line: dict[str, Any]) -> str | None:
    entry = CATALOGUE.get(line["event"])
    if entry is None:
        return f"{line['event']} is not in the catalogue"
    # Libraries choose their own level; health checks, asked all the time, are only worth debug.
    elsewhere = {("request.handled", "debug"), ("library.logged", line["level"])}
    if line["level"] != entry.level and (line["event"], line["level"]) not in elsewhere:
        return f"{line['event']} is logged at {line['level']}, the catalogue says {entry.level}"
    unlisted = set(line) - {*entry.keys, *COMMON, *STANDARD}
    return f"{line['event']} carries {sorted(unlisted)}" if unlisted else None


async def test_a_whole_incident_in_the_logs(chain: Chain) -> None:
    report = {
        "site": "bernburg",
        "location": SECRETS["a room"],
        "danger_level": 2,
        "category": "threat",
        "description": SECRETS["a description"],
        "reported_by": SECRETS["a reporter"],
    }
    event_id = await chain.press(report)
    refused = await chain.post("/v1/incidents", {**report, "category": SECRETS["a reporter"]}, source="forms")
    assert refused.status_code == 422
    (first, *_) = await chain.sink.wait_for(1)
    link = link_in(first.text())
    async with httpx.AsyncClient(follow_redirects=True) as browser:
        who = {"name": SECRETS["who takes over"]}
        assert (await browser.get(link)).status_code == 200
        taken = await browser.post(link, data={**who, "action": "acknowledge_and_called"})
        assert taken.status_code == 200
        closing = {**who, "action": "close", "outcome": "resolved", "note": SECRETS["a note"]}
        assert (await browser.post(link, data=closing)).status_code == 200
        assert (await browser.get(link[:-3] + "xyz")).status_code == 403
    await chain.alerting.wait_for_event("incident.closed", incident_id=event_id)
    chain.ingest.stop()
    chain.alerting.stop()

    for service in (chain.ingest, chain.alerting):
        assert service.stray_lines == []
        assert [wrong for line in service.logs if (wrong := wrong_with(line))] == []
        text = json.dumps(service.logs, ensure_ascii=False)
        token = link.rsplit("/", 1)[-1]
        assert [name for name, secret in {**SECRETS, "a token": token}.items() if secret in text] == []

    names = [
        line["event"]
        for line in sorted((*chain.ingest.logs, *chain.alerting.logs), key=lambda line: str(line["timestamp"]))
        if event_id in (line.get("event_id"), line.get("incident_id"))
    ]
    for earlier, later in (
        ("report.accepted", "mail.accepted"),
        ("incident.opened", "mail.accepted"),
        ("mail.accepted", "incident.acknowledged"),
        ("incident.acknowledged", "incident.closed"),
    ):
        assert names.index(earlier) < names.index(later), names
