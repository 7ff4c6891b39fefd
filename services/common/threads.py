"""Questions that block, to a disk or a name service, and that may never be answered."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Answer = TypeVar("Answer")


async def ask_apart(question: Callable[[], Answer], name: str) -> Answer:
    """Its answer, from a thread of its own that nobody waits for.

    Event loops have few threads for this, which hanging ones would use up, and the end of a process waits for them.

    Raises:
        Exception: what the question raises.
    """
    answer: Future[Answer] = Future()
    answer.set_running_or_notify_cancel()  # whoever asked may go; it is answered all the same

    def ask() -> None:
        try:
            found = question()
        except Exception as error:  # noqa: BLE001 – it is whoever asks that hears of it
            answer.set_exception(error)
        else:
            answer.set_result(found)

    Thread(target=ask, name=name, daemon=True).start()
    return await asyncio.wrap_future(answer)
