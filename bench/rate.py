"""How long an answer takes while presses come at a steady rate, with everything on one machine."""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

from bench import chain
from bench.http_client import HttpError, length_in
from bench.sink import Sink
from bench.systems import System, rufkette

PER_SECOND: Final = 200
TARGET_P99_MS: Final = 50.0
_WARM_UP: Final = 200


def run(rounds: int, presses: int) -> dict[str, Any]:
    """Each press at its moment, whatever became of the ones before; counted from that moment until its answer."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rufkette-bench-")))
        sink = stack.enter_context(Sink(gather=0.05))
        print("starting Rufkette …", file=sys.stderr)
        ours = stack.enter_context(rufkette(directory, sink.port))
        chain.press_many(ours, sink, _WARM_UP)
        found = [_round(ours, presses, number) for number in range(1, rounds + 1)]
    p99 = sorted(one["p99_ms"] for one in found)[len(found) // 2]
    reached = "reached" if p99 <= TARGET_P99_MS else "MISSED"
    print(f"target p99 ≤ {TARGET_P99_MS} ms at {PER_SECOND} requests/s: {reached} ({p99:.1f}, median of the rounds)")
    return {"cores": os.cpu_count(), "per_second": PER_SECOND, "presses": presses, "rounds": found, "p99_ms": p99}


def _round(system: System, presses: int, number: int) -> dict[str, float]:
    bodies = [system.body(f"R{80_000 + number}-{press}", 2) for press in range(presses)]
    took = asyncio.run(_post_in_step(system.client.port, system.client.head, bodies))
    figures = {f"p{share}_ms": round(chain.percentile(took, share) * 1000, 2) for share in (50, 99)}
    figures["load"] = os.getloadavg()[0]
    row = "round {}  p50 {:.2f} ms   p99 {:.2f} ms   (load {:.1f})"
    print(row.format(number, figures["p50_ms"], figures["p99_ms"], figures["load"]))
    return figures


async def _post_in_step(port: int, head: bytes, bodies: list[bytes]) -> list[float]:
    # In turns, so that none is idle for so long that ingest closes it.
    idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
    started = time.monotonic() + 0.1

    async def post(number: int, body: bytes) -> float:
        due = started + number / PER_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        reader, writer = idle.popleft() if idle else await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.split(b" ", 2)[1].startswith(b"2"):
            raise HttpError(answer.splitlines()[0].decode())
        await reader.readexactly(length_in(answer))
        idle.append((reader, writer))
        return time.monotonic() - due

    took = await asyncio.gather(*(post(number, body) for number, body in enumerate(bodies)))
    for _, writer in idle:
        writer.close()
    return took
