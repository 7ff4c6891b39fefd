"""A loop that ends must never go unnoticed: its process looks alive and does nothing."""

import asyncio

import pytest

from services.common.loops import (
    Loop,
    LoopEndedError,
    Pulses,
    beat,
    cancel,
    library_cancellation_as_error,
    run_together,
    watched_apart,
)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def returns() -> None:
    await asyncio.sleep(0)


async def whose_library_cancels_its_future() -> None:
    waited = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(waited.cancel)
    await waited


async def breaks() -> None:
    raise KeyError("a bug")


@pytest.mark.parametrize(
    ("loop", "error"),
    [(returns, LoopEndedError), (whose_library_cancels_its_future, LoopEndedError), (breaks, KeyError)],
)
async def test_the_end_of_one_loop_is_the_end_of_all(loop: Loop, error: type[Exception]) -> None:
    with pytest.raises(error):
        async with asyncio.timeout(5):
            await run_together({"one": for_ever, "other": loop})


async def test_a_stop_is_no_error() -> None:
    task = asyncio.create_task(run_together({"one": for_ever, "other": for_ever}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_library_that_cancels_its_future_has_lost_its_connection() -> None:
    with pytest.raises(ConnectionAbortedError), library_cancellation_as_error():
        await whose_library_cancels_its_future()


async def spared() -> None:
    with library_cancellation_as_error():
        await for_ever()


async def test_a_time_out_stays_a_time_out() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(spared(), 0.01)


async def test_a_stop_stays_a_stop() -> None:
    task = asyncio.create_task(spared())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_watched_apart_has_a_pulse_while_it_lasts() -> None:
    pulses: Pulses = {}
    goes_round = asyncio.Event()

    async def hang() -> None:
        beat()
        await asyncio.Event().wait()

    async def work() -> None:
        hanging, short = watched_apart("hangs", hang()), watched_apart("ends", returns())
        await short
        began = dict(pulses)
        while pulses["loop"] <= began["loop"]:
            await asyncio.sleep(0.01)
            beat()
        assert set(pulses) == {"loop", "hangs"}
        assert pulses["hangs"] == began["hangs"]
        hanging.cancel()
        await asyncio.wait({hanging})
        await asyncio.sleep(0)
        assert pulses.keys() == {"loop"}
        goes_round.set()
        await for_ever()

    task = asyncio.create_task(run_together({"loop": work}, pulses))
    waiting = asyncio.create_task(goes_round.wait())
    await asyncio.wait({task, waiting}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    assert goes_round.is_set()
    await cancel({task})


async def test_where_nobody_watches_nothing_is_noted() -> None:
    await watched_apart("ends", returns())
