"""HTTP byte by byte, as small devices speak it."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import uvloop

from services.ingest.api.protocol import Protocol
from tests.support.organisation import KEYS
from tests.support.service import Service

BODY = json.dumps({"site": "bernburg"}).encode()


def head(length: int = len(BODY), method: str = "POST", path: str = "/v1/incidents", more: str = "") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEYS['buttons']}\r\n"
        f"Content-Length: {length}\r\n{more}\r\n"
    ).encode()


@asynccontextmanager
async def connected(ingest: Service) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()


async def answered(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next answer's status and body."""
    said = await reader.readuntil(b"\r\n\r\n")
    lines = dict(line.split(b": ", 1) for line in said.lower().splitlines()[1:] if b": " in line)
    return int(said.split()[1]), await reader.readexactly(int(lines[b"content-length"]))


@pytest.mark.parametrize("path", ["/v1/incidents", "/v1/nothing"])
async def test_an_answer_comes_in_one_piece(ingest: Service, path: str) -> None:
    for _ in range(20):
        async with connected(ingest) as (reader, writer):
            writer.write(head(path=path) + BODY)
            said = await reader.read(65_536)
            start, _, body = said.partition(b"\r\n\r\n")
            assert start.startswith((b"HTTP/1.1 202 ", b"HTTP/1.1 404 "))
            assert f"content-length: {len(body)}" in start.decode().lower()
            assert json.loads(body)


async def test_a_body_that_comes_bit_by_bit(ingest: Service) -> None:
    async with connected(ingest) as (reader, writer):
        for part in (head(), *(BODY[n : n + 1] for n in range(len(BODY)))):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        assert (await answered(reader))[0] == 202


async def test_requests_one_after_the_other_in_one_packet(ingest: Service) -> None:
    async with connected(ingest) as (reader, writer):
        writer.write((head() + BODY) * 5)
        ids = [json.loads((await answered(reader))[1])["event_id"] for _ in range(5)]
    assert len(set(ids)) == 5


async def test_who_expects_a_word_before_the_body_gets_it(ingest: Service) -> None:
    async with connected(ingest) as (reader, writer):
        writer.write(head(more="Expect: 100-continue\r\n"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(BODY)
        assert (await answered(reader))[0] == 202


async def test_an_answer_to_head_has_no_body_and_the_connection_goes_on(ingest: Service) -> None:
    async with connected(ingest) as (reader, writer):
        writer.write(head(0, "HEAD", "/v1/nothing"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
        writer.write(head() + BODY)
        assert (await answered(reader))[0] == 202


async def test_who_wants_the_connection_closed_reads_all_of_the_answer_first(ingest: Service) -> None:
    async with connected(ingest) as (reader, writer):
        writer.write(head(more="Connection: close\r\n") + BODY)
        assert (await answered(reader))[0] == 202
        assert await reader.read() == b""


async def test_a_sender_that_hangs_up_in_the_middle_harms_nobody(ingest: Service) -> None:
    for part in (head()[:40], head(), head() + BODY[:5], head() + BODY):
        async with connected(ingest) as (_, writer):
            writer.write(part)
            await writer.drain()
    async with connected(ingest) as (reader, writer):
        writer.write(head() + BODY)
        assert (await answered(reader))[0] == 202
    assert ingest.stray_lines == []
    assert not ingest.events("request.failed")


def test_a_sender_that_is_gone_in_the_turn_of_its_answer_withholds_no_other_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/now":
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.close()
            now.set()  # the two others are answered in the turn in which it is read that one of them is gone
            await asyncio.sleep(0.1)
        else:
            await now.wait()
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def the_other_answer() -> bytes:
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, http=Protocol, lifespan="off", ws="none", log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        loop = asyncio.get_running_loop()
        readers, writers = [], []
        try:
            gone.setblocking(False)
            await loop.sock_connect(gone, listener.getsockname())
            await loop.sock_sendall(gone, b"GET /gone HTTP/1.1\r\nHost: x\r\n\r\n")
            for path in (b"/there", b"/now"):
                await asyncio.sleep(0.1)  # who asks first is answered first
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                writer.write(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
                readers.append(reader)
                writers.append(writer)
            async with asyncio.timeout(3):
                return await readers[0].readuntil(b"\r\n\r\n")
        finally:
            for writer in writers:
                writer.close()
            server.should_exit = True
            await serving

    now = asyncio.Event()
    with socket.socket() as gone, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(the_other_answer()).startswith(b"HTTP/1.1 202 ")
