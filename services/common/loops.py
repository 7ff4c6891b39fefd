"""Loops that run for ever, side by side: the first that ends, for whatever reason, ends them all."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any

import structlog

log = structlog.get_logger()
Loop = Callable[[], Awaitable[None]]
Pulses = MutableMapping[str, float]
"""When each loop last showed that it goes round, by `time.monotonic()`."""
_current: ContextVar[tuple[str, Pulses] | None] = ContextVar("loop", default=None)
_ASK_AGAIN = 0.2
_ASK_AT_MOST = 25


class LoopEndedError(Exception):
    """A loop that was to run for ever has ended without an error of its own."""


def being_cancelled() -> bool:
    """Whether somebody cancels the current task, as against a library that cancelled what the task waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def succeeded(step: asyncio.Future[Any]) -> bool:
    """Whether it has ended, and well."""
    return step.done() and not step.cancelled() and step.exception() is None


@contextmanager
def library_cancellation_as_error() -> Iterator[None]:
    """Around what waits for a client of Kafka.

    aiokafka cancels its own futures when a connection goes; taken for a stop, that would silence a loop for ever.

    Raises:
        ConnectionAbortedError: instead of a cancellation that nobody asked for.
    """
    try:
        yield
    except asyncio.CancelledError:
        if being_cancelled():
            raise
        raise ConnectionAbortedError from None


def beat() -> None:
    """The loop that we are in goes round; wherever a loop waits for something, it says so on its way."""
    if (current := _current.get()) is not None:
        name, pulses = current
        pulses[name] = time.monotonic()


def watched_apart(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task of the loop that we are in with a pulse of its own while it lasts: neither can hang behind the other."""
    if (current := _current.get()) is None:
        return asyncio.create_task(work)
    pulses = current[1]
    pulses[name] = time.monotonic()
    context = copy_context()
    context.run(_current.set, (name, pulses))
    task = asyncio.create_task(work, context=context)
    task.add_done_callback(lambda _: pulses.pop(name, None))
    return task


def show(name: str, pulses: Pulses) -> None:
    """The current task is this loop: its beats count, and those of tasks that it begins."""
    _current.set((name, pulses))
    beat()


async def run_together(loops: Mapping[str, Loop], pulses: Pulses | None = None) -> None:
    """Run all loops until one ends or we are cancelled; returns when every one has ended.

    Args:
        loops: what runs for ever, by name.
        pulses: takes the time of each loop's last `beat`; what a loop runs together inside beats for it.

    Raises:
        Exception: what the first failing loop raised.
        LoopEndedError: one ended by itself.
    """
    tasks = {asyncio.create_task(_named(name, loop, pulses)) for name, loop in loops.items()}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await cancel(tasks)


async def cancel(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel, and ask again: before Python 3.12 `asyncio.wait_for`, which our clients use, can swallow the first."""
    for _ in range(_ASK_AT_MOST):
        for task in tasks:
            task.cancel()
        if not (await asyncio.wait(tasks, timeout=_ASK_AGAIN))[1]:
            return


async def _named(name: str, loop: Loop, pulses: Pulses | None) -> None:
    if pulses is not None:
        show(name, pulses)
    try:
        await _until_it_ends(name, loop)
    except Exception:
        log.exception("loop.crashed", loop=name)
        raise


async def _until_it_ends(name: str, loop: Loop) -> None:
    try:
        await loop()
    except asyncio.CancelledError:
        if being_cancelled():
            raise
    raise LoopEndedError(name)
