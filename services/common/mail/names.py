"""The addresses of mail servers as they were last known, and our own name: no alarm waits for a name service.

Idle connections are closed by mail servers after some minutes, so nearly every alarm begins with a new one.
"""

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from aiosmtplib.errors import SMTPConnectError

from services.common.outage import Outage
from services.common.threads import Answer, ask_apart

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""As `socket.getaddrinfo` gives it."""

PATIENCE: Final = 1.0
"""Seconds that an answer is waited for where one can do without."""
_ASK_AGAIN_AFTER: Final = 600.0
"""Seconds until our own name is asked for again, where it was no full one."""
_EACH_WITHIN: Final = 2.0
"""Seconds for a server at one of its addresses, where it has another one."""


async def _look_up(host: str, port: int) -> Sequence[Address]:
    return await ask_apart(partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM), "name service")


async def _own_name() -> str:
    return await ask_apart(socket.getfqdn, "name service")


class Names:
    """`look_up` and `own_name` ask a name service, and may take as long as they like."""

    def __init__(
        self,
        look_up: Callable[[str, int], Awaitable[Sequence[Address]]] = _look_up,
        own_name: Callable[[], Awaitable[str]] = _own_name,
    ) -> None:
        self.outage = Outage("name_service")
        self._look_up, self._own_name = look_up, own_name
        self._known: dict[tuple[str, int], Sequence[Address]] = {}
        self._failing: set[tuple[str, int]] = set()
        self._me = ""
        self._ask_me_at = 0.0
        self._asked: dict[object, tuple[asyncio.Task[Any], float]] = {}
        """One question each at a time, and since when: an unanswered one holds a thread."""

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connection to the first address of a server that answers.

        Raises:
            SMTPConnectError: none does, or its name is not known and cannot be looked up.
        """
        try:
            *others, last = await self._addresses(host, port)
            for address in others:
                with contextlib.suppress(OSError):  # a TimeoutError is one
                    async with asyncio.timeout(_EACH_WITHIN):
                        return await _connect(address)
            return await _connect(last)
        except OSError as error:
            raise SMTPConnectError("no connection") from error

    async def me(self, connection: socket.socket) -> str:
        """Our name for the greeting; without a full one our address, as RFC 5321 (4.1.4) has it."""
        if not self._me and asyncio.get_running_loop().time() >= self._ask_me_at:
            with contextlib.suppress(TimeoutError):
                await self._ask("me", self._learn_own_name, PATIENCE)
        if self._me:
            return self._me
        address = connection.getsockname()[0].partition("%")[0]
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return await self._looked_up(host, port)
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)

    async def _looked_up(self, host: str, port: int) -> Sequence[Address]:
        known = self._known.get((host, port))
        try:
            found = await self._ask((host, port), lambda: self._learn(host, port), PATIENCE if known else None)
        except OSError as error:
            self._failing.add((host, port))
            self.outage.noticed(error)
            if not known:
                raise
            return known
        self._failing.discard((host, port))
        if not self._failing:
            self.outage.over()
        return found

    async def _learn(self, host: str, port: int) -> Sequence[Address]:
        found = self._known[host, port] = await self._look_up(host, port)
        return found

    async def _learn_own_name(self) -> None:
        name = await self._own_name()
        if "." in name:
            self._me = name
        else:
            self._ask_me_at = asyncio.get_running_loop().time() + _ASK_AGAIN_AFTER

    async def _ask(
        self, what: object, question: Callable[[], Coroutine[Any, Any, Answer]], patience: float | None
    ) -> Answer:
        """The answer; what is asked already is not asked twice.

        Raises:
            TimeoutError: there is none so many seconds after it was asked; one that comes later is remembered.
        """
        loop = asyncio.get_running_loop()
        task, since = self._asked.get(what, (None, 0.0))
        if task is None or task.done() or task.get_loop() is not loop:
            task, since = loop.create_task(question()), loop.time()
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever asked may be gone
            self._asked[what] = task, since
        async with asyncio.timeout_at(None if patience is None else since + patience):
            return await asyncio.shield(task)


async def _connect(address: Address) -> socket.socket:
    """Not by the event loop's own way: uvloop's asks its threads for the address of an address."""
    family, kind, protocol, _, where = address
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = connection.connect_ex(where)
        if error == errno.EINPROGRESS:
            await _writable(connection)
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:
        connection.close()
        raise
    return connection


async def _writable(connection: socket.socket) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(connection.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(connection.fileno())


KNOWN: Final = Names()
"""What this process knows."""
