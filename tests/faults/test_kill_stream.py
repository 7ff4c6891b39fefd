"""`kill -9` of either service at any moment, while presses stream in."""

import asyncio
import random
from functools import partial

import pytest

from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.gateway import Gateway
from tests.support.office import all_mailed, assert_nothing_lost_and_nothing_doubled
from tests.support.waiting import eventually

PRESSES, KILLS = 60, 3


async def kill_at(victim: str, office: Chain, gateway: Gateway, moments: list[int], chance: random.Random) -> None:
    """Kill whenever so many presses were answered, a few milliseconds later, and start it again."""
    service = office.ingest if victim == "ingest" else office.alerting

    async def left(moment: int) -> int:
        return moment - len(gateway.answered)

    for moment in moments:
        await eventually(partial(left, moment), lambda left: left <= 0, within=30)
        await asyncio.sleep(chance.uniform(0, 0.04))
        service.kill()
        assert service.exit_code == -9
        await service.start()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("victim", ["ingest", "alerting"])
async def test_no_press_is_lost_or_doubled(office: Chain, victim: str, seed: int) -> None:
    chance = random.Random(f"{victim} {seed}")  # noqa: S311 – to fall at other moments, and at the same ones again
    await rows(office.database_url, "truncate incidents, outbox, inputs, held cascade")
    # Three restarts of the only one, on a busy machine, can take longer than the watch waits.
    office.may_be_unheard = victim == "alerting"
    gateway = Gateway(office)
    moments = sorted(chance.sample(range(1, PRESSES * 3 // 4), KILLS))
    pressed, _ = await asyncio.gather(
        gateway.stream(PRESSES, chance, apart=0.03), kill_at(victim, office, gateway, moments, chance)
    )
    assert len(set(pressed)) == PRESSES
    await all_mailed(office, pressed)
    await assert_nothing_lost_and_nothing_doubled(office, pressed)
    assert office.ingest.stray_lines == []
    assert office.alerting.stray_lines == []
