"""Who says nothing holds no connection for ever."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.common import connections
from services.common.connections import Impatient
from services.ingest.api.protocol import Protocol

WITHIN = 0.5
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
REQUEST = HEAD + b"\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * WITHIN)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(params=[Impatient, Protocol])
async def port(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(connections, "HEAD_WITHIN", WITHIN)
    protocol: type[HttpToolsProtocol] = request.param
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, lifespan="off", ws="none", log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving


async def said(port: int, *pieces: bytes, pause: float = 0.0) -> tuple[bytes, float]:
    """What is heard until the connection is closed, and after how many seconds that is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        async with asyncio.timeout(20):
            return await reader.read(), time.monotonic() - began
    finally:
        writer.close()


@pytest.mark.parametrize("pieces", [(), (b"G",), (HEAD,)])
async def test_a_head_that_does_not_come_is_not_waited_for(port: int, pieces: tuple[bytes, ...]) -> None:
    heard, after = await said(port, *pieces)
    assert heard == b""
    assert WITHIN - 0.1 < after < 4, "uvicorn's own limit begins with the first answer"


async def test_nor_the_one_of_a_second_request(port: int) -> None:
    heard, after = await said(port, REQUEST, HEAD, pause=0.1)
    assert heard.startswith(b"HTTP/1.1 204 ")
    assert after < 4


async def test_nor_anything_after_an_empty_line_that_some_send_behind_a_request(port: int) -> None:
    heard, after = await said(port, REQUEST, b"\r\n", pause=0.1)
    assert heard.startswith(b"HTTP/1.1 204 ")
    assert after < 4


async def test_nor_the_rest_of_a_body_that_was_answered(port: int) -> None:
    heard, after = await said(port, HEAD + b"Content-Length: 9\r\n\r\n", b"half", pause=0.1)
    assert heard.startswith(b"HTTP/1.1 204 ")
    assert after < 4


async def test_the_head_of_a_second_request_has_a_time_of_its_own(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_WITHIN", 2.0)
    heard, after = await said(port, HEAD, b"\r\n" + HEAD, b"\r\n", pause=1.4)
    assert heard.count(b"HTTP/1.1 204 ") == 2
    assert after > 2.0


async def test_a_request_after_a_while_is_answered_like_the_first(port: int) -> None:
    heard, _ = await said(port, REQUEST + b"\r\n", REQUEST, SLOW, pause=0.1)
    assert heard.count(b"HTTP/1.1 204 ") == 3


async def test_a_request_that_takes_long_to_answer_is_answered(port: int) -> None:
    heard, after = await said(port, SLOW, HEAD)
    assert heard.startswith(b"HTTP/1.1 204 ")
    assert after > 3 * WITHIN


async def test_a_head_in_pieces_is_a_request(port: int) -> None:
    heard, _ = await said(port, HEAD[:5], HEAD[5:], b"Connection: close\r\n\r\n", pause=0.1)
    assert heard.startswith(b"HTTP/1.1 204 ")


def test_a_process_has_as_many_connections_as_the_system_lets_it() -> None:
    program = """
import resource
from services.common.connections import allow_many
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, min(hard, 5000) if hard != resource.RLIM_INFINITY else 5000))
allow_many()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    soft, hard = map(int, done.stdout.split())
    assert soft == hard > 100
