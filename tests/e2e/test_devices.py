"""A button that falls silent, reports again and has a low battery: mails to maintenance, and never an alarm."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ingest.support import uplink
from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.organisation import WS101, write_configuration

NAME = f"WARTUNG Knopf {WS101} Zi. 112 Bernburg"


def watched(content: dict[str, Any]) -> None:
    content["organisation"]["maintenance"] = {"role": "site_management", "collect": "1s"}
    content["sources"]["lorawan"] |= {"expect_every": "5s", "battery_low": 0.15}
    content["sources"]["buttons"]["devices"]["btn-112"]["expect_every"] = "never"


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    return write_configuration(tmp_path / "config.yaml", watched)


async def status(chain: Chain, count: int, battery: int) -> None:
    answer = await chain.post("/v1/hooks/lorawan", uplink({"battery": battery}, f_cnt=count), source="lorawan")
    assert answer.status_code == 202
    assert answer.json()["status"] == "accepted"


async def page(chain: Chain, path: str) -> str:
    async with httpx.AsyncClient(base_url=chain.alerting.url, timeout=10) as client:
        return (await client.get(path)).text


async def test_a_silent_button_is_a_matter_of_maintenance(chain: Chain) -> None:
    (silent, *_) = await chain.sink.wait_for(1)
    assert silent.subject == f"{NAME} · meldet sich nicht"
    assert silent.recipients == ("leitung.bernburg@example.org",)
    assert '<a href="devices">1 Knopf meldet sich nicht</a>' in await page(chain, "/")
    assert "rufkette_devices_silent" in await page(chain, "/metrics")

    await status(chain, 1, battery=90)
    await chain.sink.wait_until(lambda mails: any(mail.subject == f"{NAME} · meldet sich wieder" for mail in mails))
    await status(chain, 2, battery=10)
    await chain.sink.wait_until(lambda mails: any(mail.subject == f"{NAME} · Batterie schwach" for mail in mails))
    devices = await page(chain, "/devices")
    assert WS101 in devices
    assert "Batterie: 10 %" in devices
    assert 'rufkette_devices_battery_low{source="lorawan"} 1.0' in await page(chain, "/metrics")

    assert await chain.alerting.wait_for_event("device.silent", device_id=WS101.casefold())
    assert await chain.alerting.wait_for_event("device.recovered", device_id=WS101.casefold())
    assert await chain.alerting.wait_for_event("device.battery_low", device_id=WS101.casefold())
    assert await rows(chain.database_url, "select id from incidents") == []
    assert chain.alerting.stray_lines == []
    logged = " ".join(map(str, chain.alerting.logs))
    assert "Zi. 112" not in logged
    assert "@example.org" not in logged
