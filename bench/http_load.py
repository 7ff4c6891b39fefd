"""Many HTTP requests at once over kept-open connections, with nothing in it that takes time of its own."""

import asyncio
import time
from collections.abc import Sequence

from bench.http_client import HttpError, length_in

CONCURRENCY = 64


def post_all(port: int, head: bytes, bodies: Sequence[bytes], concurrency: int = CONCURRENCY) -> list[int]:
    """Post every body, in order, `concurrency` at a time; when each was begun, as `time.monotonic_ns()`.

    Raises:
        HttpError: an answer is not 2xx.
    """
    begun = [0] * len(bodies)
    numbers = iter(range(len(bodies)))

    async def post_some() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            body = bodies[number]
            begun[number] = time.monotonic_ns()
            writer.write(b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.split(b" ", 2)[1].startswith(b"2"):
                raise HttpError(answer.splitlines()[0].decode())
            await reader.readexactly(length_in(answer))
        writer.close()

    async def post_everything() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(post_some())

    asyncio.run(post_everything())
    return begun
