"""SIGHUP: both services read the configuration anew, and keep the old one when the new one has mistakes."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.chain import Chain
from tests.support.organisation import write_configuration
from tests.support.service import Service
from tests.support.waiting import eventually


def hang_up(service: Service) -> None:
    os.kill(service.pid, signal.SIGHUP)


async def metrics(service: Service) -> str:
    async with httpx.AsyncClient(base_url=service.url) as client:
        return (await client.get("/metrics")).text


async def said(service: Service, event: str, times: int) -> dict[str, Any]:
    async def records() -> list[dict[str, Any]]:
        return service.events(event)

    return (await eventually(records, lambda found: len(found) >= times))[-1]


def another_office(content: dict[str, Any]) -> None:
    content["sites"]["calbe"] = {"name": "Calbe", "people": {"site_management": ["leitung.calbe@example.org"]}}
    content["policies"]["urgent"]["steps"][0]["tell"] = ["site_management"]
    content["policies"]["urgent"]["steps"][1]["after"] = "1h"
    content["policies"]["urgent"]["steps"][2]["after"] = "2h"


def two_mistakes(content: dict[str, Any]) -> None:
    another_office(content)
    content["sites"]["calbe"]["people"]["site_management"] = ["Frau Geheim"]
    content["rules"][1]["policy"] = "urgnt"


async def test_a_good_file_takes_effect_at_once_and_known_incidents_keep_their_policy(chain: Chain) -> None:
    first = await chain.press()
    await chain.sink.wait_for(2)
    write_configuration(chain.around.configuration, another_office)
    for service in (chain.ingest, chain.alerting):
        hang_up(service)
        record = await said(service, "configuration.reloaded", 1)
        assert (record["sites"], record["level"]) == (4, "info")
        assert "rufkette_configuration_last_reload_successful 1.0" in await metrics(service)
    answer = await chain.post("/v1/incidents", {"site": "calbe", "location": "Empfang"}, source="buttons")
    assert answer.json()["warnings"] == []
    second = answer.json()["event_id"]
    opened = await chain.alerting.wait_for_event("incident.opened", incident_id=second)
    assert opened["mails"] == 1  # house security is no longer in the first step
    # The incident of before still escalates after two seconds, not after an hour.
    await chain.alerting.wait_for_event("incident.escalated", incident_id=first, step=2)
    assert chain.ingest.stray_lines == chain.alerting.stray_lines == []


async def test_a_bad_file_keeps_the_old_one_and_names_every_mistake_without_its_content(chain: Chain) -> None:
    write_configuration(chain.around.configuration, two_mistakes)
    lines = chain.around.configuration.read_text().splitlines()
    expected = [
        f"line {number}: {path}"
        for number, line in enumerate(lines, 1)
        for mark, path in (
            ("Frau Geheim", "sites.calbe.people.site_management[0]"),
            ("policy: urgnt", "rules[1].policy"),
        )
        if mark in line
    ]
    assert len(expected) == 2
    for service in (chain.ingest, chain.alerting):
        hang_up(service)
        record = await said(service, "configuration.refused", 1)
        assert (record["level"], record["mistakes"]) == ("error", expected)
        for secret in ("Geheim", "urgnt"):
            assert secret not in service.output
        figures = await metrics(service)
        assert "rufkette_configuration_last_reload_successful 0.0" in figures
        assert 'rufkette_configuration_reloads_total{outcome="refused"} 1.0' in figures
    answer = await chain.post("/v1/incidents", {"site": "calbe"}, source="buttons")
    assert answer.json()["warnings"]  # unknown as before
    event_id = await chain.press()
    opened = await chain.alerting.wait_for_event("incident.opened", incident_id=event_id)
    assert opened["mails"] == 2

    chain.around.configuration.unlink()
    for service in (chain.ingest, chain.alerting):
        hang_up(service)
        assert (await said(service, "configuration.refused", 2))["mistakes"] == ["the file cannot be read"]

    write_configuration(chain.around.configuration, another_office)
    for service in (chain.ingest, chain.alerting):
        hang_up(service)
        await said(service, "configuration.reloaded", 1)
        assert "rufkette_configuration_last_reload_successful 1.0" in await metrics(service)


@pytest.mark.parametrize("which", ["ingest", "alerting"])
async def test_a_sighup_while_it_starts_does_not_end_it(chain: Chain, which: str) -> None:
    service: Service = getattr(chain, which)
    service.stop()
    before = len(service.logs)
    service.spawn()

    async def begun() -> bool:
        return any(r["event"] == "configuration.loaded" for r in service.logs[before:])

    await eventually(begun, bool)
    hang_up(service)
    await service.wait_ready()
    await said(service, "configuration.reloaded", 1)


def what_can_never_come_true(content: dict[str, Any]) -> None:
    two_mistakes(content)
    content["sites"]["calbe"]["opening_hours"] = "off"
    content["rules"].insert(3, {"name": "never reached", "when": {"danger_level": 3}, "policy": "urgent"})
    content["policies"]["normal"]["steps"][0]["tell"] = ["nobody"]


async def test_both_services_and_check_config_refuse_the_same_mistakes(chain: Chain, tmp_path: Path) -> None:
    refused: dict[str, list[str]] = {}
    write_configuration(chain.around.configuration, what_can_never_come_true)
    for service in (chain.ingest, chain.alerting):
        service.stop()
        service.spawn()
        assert await service.wait_for_exit() == 2
        refused[service.name] = [line for line in service.stray_lines if line.startswith(str(tmp_path))]
    command = [sys.executable, "-m", "services.cli", "check-config", str(chain.around.configuration)]
    checked = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert checked.returncode == 1
    assert refused["ingest"] == refused["alerting"] == checked.stderr.splitlines()
    assert len(refused["ingest"]) == 5
