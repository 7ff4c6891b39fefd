"""The envelope and the message over one connection, byte by byte, with servers that only the test could think of."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.mail.conversation import path_of
from services.common.mail.session import SmtpAnswer, SmtpSession, Verdict
from services.common.mail.smtp import parse_smtp_url
from services.common.mail.wire import as_data

MESSAGE = b"Subject: x\r\n\r\n.x\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def session_with(serve: Serve) -> AsyncIterator[SmtpSession]:
    """A session whose server has answered EHLO with PIPELINING, and then does as it is told."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        assert (await reader.readline()).startswith(b"EHLO")
        writer.write(b"250-here\r\n250 PIPELINING\r\n")
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    session = SmtpSession(parse_smtp_url(f"smtp://127.0.0.1:{port}?starttls=off"))
    try:
        yield session
    finally:
        await session.close()
        server.close()


async def send(session: SmtpSession) -> SmtpAnswer:
    return await session.send("r@example.org", "a@example.org", as_data(MESSAGE), within=5)


async def take(reader: asyncio.StreamReader, *verbs: bytes) -> None:
    for verb in verbs:
        assert (await reader.readline()).startswith(verb)


async def test_the_envelope_goes_out_at_once() -> None:
    messages: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader, b"MAIL FROM:<r@example.org>", b"RCPT TO:<a@example.org>", b"DATA")
        writer.write(b"250 OK\r\n250 OK\r\n354 go on\r\n")
        messages.append(await reader.readuntil(b"\r\n.\r\n"))
        writer.write(b"250-2.0.0 taken\r\n250 as 4711\r\n")
        await take(reader, b"QUIT")
        writer.write(b"221 bye\r\n")

    async with session_with(serve) as session:
        heard = await send(session)
    assert (heard.verdict, heard.code, heard.text) == (Verdict.ACCEPTED, 250, "2.0.0 taken\nas 4711")
    assert messages == [b"Subject: x\r\n\r\n..x\r\n.\r\n"]


async def test_a_server_that_waits_for_a_message_though_nobody_is_to_get_it() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader, b"MAIL", b"RCPT", b"DATA")
        writer.write(b"250 OK\r\n550 5.1.1 unknown\r\n354 go on\r\n")
        seen.append(await reader.readline())
        writer.write(b"554 no recipients\r\n")
        await take(reader, b"RSET")
        writer.write(b"250 OK\r\n")
        await take(reader, b"MAIL", b"RCPT", b"DATA")
        writer.write(b"250 OK\r\n250 OK\r\n354 go on\r\n")
        seen.append(await reader.readuntil(b"\r\n.\r\n"))
        writer.write(b"250 taken\r\n")
        await take(reader, b"QUIT")
        writer.write(b"221 bye\r\n")

    async with session_with(serve) as session:
        refused = await send(session)
        assert (refused.stage, refused.code, refused.verdict) == ("RCPT", 550, Verdict.REFUSED)
        assert (await send(session)).verdict is Verdict.ACCEPTED
    assert seen == [b".\r\n", as_data(MESSAGE)]


async def test_what_a_server_says_unasked_is_no_answer_to_the_next_mail() -> None:
    """An idle connection is closed with `421`; a mail after it must not take that, or worse a 250, for its own."""
    conversations = 0
    said = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal conversations
        conversations += 1
        await take(reader, b"MAIL", b"RCPT", b"DATA")
        writer.write(b"250 OK\r\n250 OK\r\n354 go on\r\n")
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 taken\r\n")
        if conversations == 1:
            await asyncio.sleep(0)
            writer.write(b"250 OK\r\n" * 4)
            said.set()
        while await reader.read(1000):
            pass

    async with session_with(serve) as session:
        assert (await send(session)).verdict is Verdict.ACCEPTED
        await said.wait()
        assert (await send(session)).verdict is Verdict.ACCEPTED
    assert conversations == 2


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
async def test_answers_that_come_in_pieces(chunk: int) -> None:
    answers = b"250-OK\r\n250 go\r\n250 OK\r\n354 go on\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader, b"MAIL", b"RCPT", b"DATA")
        for start in range(0, len(answers), chunk):
            writer.write(answers[start : start + chunk])
            await asyncio.sleep(0)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 taken\r\n")
        await take(reader, b"QUIT")
        writer.write(b"221 bye\r\n")

    async with session_with(serve) as session:
        assert (await send(session)).verdict is Verdict.ACCEPTED


async def test_an_answer_without_end() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader, b"MAIL", b"RCPT", b"DATA")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"250-" + b"x" * 1000 + b"\r\n")
                await writer.drain()

    async with session_with(serve) as session:
        heard = await send(session)
    assert (heard.stage, heard.code, heard.verdict) == ("MAIL", None, Verdict.DEFERRED)


@given(st.binary(max_size=200) | st.text("ab.\r\n", max_size=40).map(str.encode))
def test_a_message_is_the_same_on_the_other_side(message: bytes) -> None:
    sent = as_data(message)
    assert sent.endswith(b".\r\n")
    *lines, end, rest = sent.split(b"\r\n")
    assert (end, rest) == (b".", b"")
    assert not any(line == b"." or b"\r" in line or b"\n" in line for line in lines)
    there = b"\r\n".join(line.removeprefix(b".") for line in lines)
    as_lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n")
    assert there == as_lines.replace(b"\n", b"\r\n")


@pytest.mark.parametrize("address", ["a b@example.org", "a@example.org>\r\nRCPT TO:<b@example.org", "a@example.org\n"])
def test_an_address_that_would_be_more_than_one(address: str) -> None:
    try:
        path = path_of(address)
    except ValueError:
        return
    assert path == b"<a@example.org>", "what stands around an address is not sent"
