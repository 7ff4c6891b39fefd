"""The list of devices and the board's line about them."""

from datetime import UTC, datetime, timedelta

import httpx

from services.alerting.core.devices import DeviceState
from tests.core.made_up import rules
from tests.desk.in_memory import Desk
from tests.support.organisation import WS101

NOW = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=30)


def desk(language: str = "de") -> Desk:
    given = rules()
    organisation = given.configuration.organisation.model_copy(update={"language": language})
    changed = rules(organisation=organisation.model_dump(exclude={"maintenance"}))
    return Desk(changed, NOW)


async def read(given: Desk, path: str) -> str:
    transport = httpx.ASGITransport(given.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    return answer.text


def state(device_id: str, **more: object) -> DeviceState:
    return DeviceState(device_id, "buttons", "bernburg", **more)  # type: ignore[arg-type]  # fields by name


async def test_the_board_says_how_many_are_silent() -> None:
    given = desk()
    assert "melde" not in await read(given, "/")
    given.devices.known = [state("btn112", silent_since=EARLIER), state(WS101.casefold(), low_since=EARLIER)]
    board = await read(given, "/")
    assert '<a href="devices">1 Knopf meldet sich nicht</a>' in board
    assert '<a href="devices">1 Knopf: Batterie schwach</a>' in board
    given.devices.known = [state(id_, silent_since=EARLIER) for id_ in ("btn112", WS101.casefold())]
    assert "2 Knöpfe melden sich nicht" in await read(given, "/")


async def test_the_list_shows_problems_first() -> None:
    given = desk()
    given.devices.known = [
        state("btn112", last_seen_at=NOW, battery=0.87),
        state(WS101.casefold(), last_seen_at=EARLIER, silent_since=NOW),
        state("gone", silent_since=NOW),
    ]
    given.devices.tests = {"btn112": EARLIER}
    page = await read(given, "/devices")
    assert page.index(WS101) < page.index("btn-112")
    assert "gone" not in page
    for text in ("Zi. 112 Bernburg", "Zuletzt gemeldet: 09:30 Uhr.", "Batterie: 87 %.", "meldet sich nicht"):
        assert text in page
    assert "Letzter Test: So 04.01.2026, 03:30 Uhr." in page
    assert "@" not in page.split("</style>")[1]


async def test_the_list_in_english_and_without_devices() -> None:
    assert "The configuration names no devices." in await read(desk("en"), "/devices")


async def test_nothing_is_changed_by_looking() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(desk().app), base_url="http://desk") as client:
        assert (await client.post("/devices")).status_code == 405
