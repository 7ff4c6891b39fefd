"""A name service that is away, or hangs, is in no mail's way."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from aiosmtplib.errors import SMTPConnectError

from services.common.mail.names import PATIENCE, Address, Names
from services.common.mail.session import SmtpSession, Verdict
from services.common.mail.smtp import parse_smtp_url
from services.common.mail.wire import as_data
from services.embedded.ports import free_port
from tests.support.smtp_sink import SmtpSink

HOST = "mail.example.org"
SOON = 0.3
MAIL = as_data(b"Subject: x\r\n\r\nx\r\n")


class NameService:
    """Answers, fails or hangs."""

    def __init__(self, *ports: int) -> None:
        self.ports = ports
        self.own_name = "office.example.org"
        self.fails = False
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    @property
    def names(self) -> Names:
        return Names(self.look_up, self.me)

    async def look_up(self, host: str, port: int) -> Sequence[Address]:
        self.asked += 1
        await self.answers.wait()
        if self.fails:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        assert host == HOST
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", one)) for one in self.ports]

    async def me(self) -> str:
        await self.answers.wait()
        return self.own_name


@pytest.fixture
async def server() -> AsyncIterator[int]:
    """The port of something that takes connections."""
    taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with taken:
        yield taken.sockets[0].getsockname()[1]


async def reached(names: Names, host: str = HOST, port: int = 25) -> tuple[int, float]:
    """The port of the server that was reached, and after how many seconds."""
    began = time.monotonic()
    with await names.connect(host, port) as connection:
        return connection.getpeername()[1], time.monotonic() - began


async def test_an_address_needs_no_name_service(server: int) -> None:
    service = NameService()
    service.answers.clear()
    assert (await reached(service.names, "127.0.0.1", server))[0] == server
    assert service.asked == 0


async def test_each_connection_asks_anew_while_there_is_an_answer(server: int) -> None:
    service = NameService(server)
    names = service.names
    assert (await reached(names))[0] == server
    moved = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with moved:
        service.ports = (moved.sockets[0].getsockname()[1],)
        assert (await reached(names))[0] == service.ports[0]


async def test_where_there_is_none_the_address_that_was_known_last_is_used(server: int) -> None:
    service = NameService(server)
    names = service.names
    await reached(names)
    service.fails = True
    port, took = await reached(names)
    assert (port, took < SOON) == (server, True)
    assert names.outage.down == "gaierror"
    service.fails = False
    await reached(names)
    assert names.outage.down is None


async def test_one_that_hangs_is_waited_for_once_and_asked_once(server: int) -> None:
    service = NameService(server)
    names = service.names
    await reached(names)
    service.answers.clear()
    first, second = await asyncio.gather(reached(names), reached(names))
    assert {first[0], second[0]} == {server}
    assert PATIENCE - SOON < max(first[1], second[1]) < PATIENCE + 1
    assert (await reached(names))[1] < SOON, "it is known to hang"
    assert service.asked == 2
    service.answers.set()
    await asyncio.sleep(0)
    await reached(names)
    assert names.outage.down is None


async def test_a_name_that_was_never_known_is_a_server_that_cannot_be_reached() -> None:
    service = NameService()
    service.fails = True
    with pytest.raises(SMTPConnectError):
        await service.names.connect(HOST, 25)
    answer = await SmtpSession(parse_smtp_url(f"smtp://{HOST}"), service.names).send("a@b.org", "c@d.org", MAIL, 5)
    assert str(answer) == "CONNECT - SMTPConnectError: its name cannot be looked up"


async def test_an_answer_that_comes_late_is_remembered(server: int) -> None:
    service = NameService(free_port())
    service.answers.clear()
    names = service.names
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await names.connect(HOST, 25)
    service.ports = (server,)
    service.answers.set()
    await asyncio.sleep(0.05)
    service.fails = True
    assert (await reached(names))[0] == server


async def test_a_second_address_is_tried_where_the_first_does_not_answer(server: int) -> None:
    assert (await reached(NameService(free_port(), server).names))[0] == server


async def test_nobody_at_any_address() -> None:
    with pytest.raises(SMTPConnectError) as found:
        await NameService(free_port(), free_port()).names.connect(HOST, 25)
    assert isinstance(found.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize(
    ("own_name", "hangs", "greeting"),
    [
        ("office.example.org", False, "office.example.org"),
        ("office", False, "[127.0.0.1]"),
        ("office.example.org", True, "[127.0.0.1]"),
    ],
)
async def test_who_we_say_we_are(smtp_sink: SmtpSink, own_name: str, hangs: bool, greeting: str) -> None:
    service = NameService(smtp_sink.port)
    service.own_name = own_name
    names = service.names
    if hangs:
        service.answers.clear()
    session = SmtpSession(parse_smtp_url(smtp_sink.url), names)
    answer = await session.send("a@b.org", "c@d.org", MAIL, 5)
    await session.close()
    assert answer.verdict is Verdict.ACCEPTED
    (mail,) = smtp_sink.received
    assert mail.greeting == greeting


async def test_an_address_of_version_6(server: int) -> None:
    service = NameService()
    service.own_name = "office"
    with socket.socket(socket.AF_INET6) as connection:
        connection.bind(("::1", 0))
        assert await service.names.me(connection) == "[IPv6:::1]"


async def test_our_own_name_is_the_systems(server: int) -> None:
    names = Names()
    with await names.connect("127.0.0.1", server) as connection:
        expected = socket.getfqdn()
        assert await names.me(connection) == (expected if "." in expected else "[127.0.0.1]")


def test_an_own_name_that_is_still_looked_up_does_not_hold_up_the_end_of_the_process() -> None:
    program = """
import asyncio, socket, time
from services.common.mail.names import Names
socket.getfqdn = lambda: time.sleep(60)
async def main():
    with socket.create_server(("127.0.0.1", 0)) as here:
        print(await Names().me(here))
asyncio.run(main())
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout == "[127.0.0.1]\n"
    assert time.monotonic() - began < 30


def test_connecting_needs_none_of_the_event_loops_threads() -> None:
    """uvloop has four for look-ups, and all of them may hang."""
    program = """
import asyncio, os, socket, uvloop
from services.common.mail.names import Names
async def main():
    with socket.create_server(("127.0.0.1", 0)) as here:
        before = os.listdir("/proc/self/task")
        names = Names(own_name=lambda: asyncio.sleep(0, "office.example.org"))
        for _ in range(8):
            with await names.connect(*here.getsockname()) as connection:
                assert await names.me(connection) == "office.example.org"
        assert os.listdir("/proc/self/task") == before
        try:
            await names.connect("localhost", 1)
        except OSError as error:
            print(repr(error.__cause__))
uvloop.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    assert done.stdout == "ConnectionRefusedError(111, 'Connection refused')\n", done.stderr


async def test_an_outage_is_over_when_every_name_is_known_again(server: int) -> None:
    service = NameService(server)
    names = service.names
    service.fails = True
    for port in (1, 2):
        with pytest.raises(SMTPConnectError):
            await names.connect(HOST, port)
    service.fails = False
    await reached(names, port=1)
    assert names.outage.down is not None
    await reached(names, port=2)
    assert names.outage.down is None


async def test_a_name_that_is_no_full_one_is_asked_for_again_in_a_while(server: int) -> None:
    service = NameService()
    service.own_name = "office"
    names = service.names
    with await names.connect("127.0.0.1", server) as connection:
        assert await names.me(connection) == "[127.0.0.1]"
        service.own_name = "office.example.org"
        assert await names.me(connection) == "[127.0.0.1]"
        names._ask_me_at = 0.0
        assert await names.me(connection) == "office.example.org"


async def test_a_host_that_is_no_name_is_said_at_once() -> None:
    answer = await SmtpSession(parse_smtp_url("smtp://mail..example.org"), Names()).send("a@b.org", "c@d.org", MAIL, 20)
    assert str(answer) == "CONNECT - UnicodeError"
