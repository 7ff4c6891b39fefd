"""What is not urgent waits for alarms in hand, and for each other, but not for ever."""

import asyncio

from services.alerting.lull import Lull

SOON = 0.05
NEVER = 30.0


async def waiting(lull: Lull, at_most: float, done: list[str], name: str = "it") -> None:
    async with lull.waited_for(at_most):
        done.append(name)
        await asyncio.sleep(0)


async def test_without_an_alarm_nothing_waits() -> None:
    done: list[str] = []
    async with asyncio.timeout(20):
        await waiting(Lull(), NEVER, done)
    assert done == ["it"]


async def test_it_waits_for_all_alarms() -> None:
    lull, done = Lull(), list[str]()
    with lull.alarm():
        with lull.alarm():
            task = asyncio.create_task(waiting(lull, NEVER, done))
            await asyncio.sleep(SOON)
        await asyncio.sleep(SOON)
        assert done == []
    async with asyncio.timeout(20):
        await task


async def test_in_a_storm_it_is_done_anyhow() -> None:
    lull, done = Lull(), list[str]()
    with lull.alarm():
        async with asyncio.timeout(20):
            await waiting(lull, SOON, done)
    assert done == ["it"]


async def test_an_alarm_waits_for_nothing_and_ends_the_lull() -> None:
    lull, done = Lull(), list[str]()
    async with lull.waited_for(NEVER):
        with lull.alarm():
            task = asyncio.create_task(waiting(lull, NEVER, done))
            await asyncio.sleep(SOON)
        await asyncio.sleep(SOON)
        assert done == [], "one thing at a time"
    async with asyncio.timeout(20):
        await task


async def test_two_that_wait_do_not_begin_together() -> None:
    lull, order = Lull(), list[str]()

    async def long(name: str) -> None:
        async with lull.waited_for(NEVER):
            order.append(f"{name} begins")
            await asyncio.sleep(SOON)
            order.append(f"{name} ends")

    with lull.alarm():
        tasks = [asyncio.create_task(long(name)) for name in "ab"]
        await asyncio.sleep(SOON)
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks)
    assert order == ["a begins", "a ends", "b begins", "b ends"]


async def test_what_fails_does_not_hold_up_the_next() -> None:
    lull, done = Lull(), list[str]()
    try:
        async with lull.waited_for(NEVER):
            raise ValueError
    except ValueError:
        pass
    async with asyncio.timeout(20):
        await waiting(lull, NEVER, done)
    assert done == ["it"]
