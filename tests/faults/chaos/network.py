"""One stretch of network between two programs, which can be cut, can hang and can be slow."""

import asyncio
import contextlib
from dataclasses import dataclass, field

from services.embedded.ports import free_port


@dataclass(slots=True)
class Link:
    """A TCP proxy on a free port. `target` is the port behind it."""

    target: int
    port: int = field(default_factory=free_port)
    delay: float = 0.0
    """Seconds that each piece of at most 64 KiB takes."""
    _server: asyncio.Server | None = None
    _passing: asyncio.Event = field(default_factory=asyncio.Event)
    _cut: bool = False
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Listen; everything passes."""
        self._passing.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection, and take no new one."""
        self._cut = True
        for writer in self._open:
            writer.transport.abort()

    def hang(self) -> None:
        """Keep connections, and take new ones, but let nothing through: the packets are lost."""
        self._passing.clear()

    def heal(self) -> None:
        """Let everything through again, at once."""
        self._cut = False
        self.delay = 0.0
        self._passing.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open.add(writer)
        try:
            if not self._cut:
                await self._passing.wait()
                await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # either end has gone, or the whole link: so is the connection
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond_reader, beyond_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._open.add(beyond_writer)
        try:
            there, back = (
                asyncio.create_task(self._pass(reader, beyond_writer)),
                asyncio.create_task(self._pass(beyond_reader, writer)),
            )
            try:
                await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (there, back):
                    task.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
        finally:
            self._open.discard(beyond_writer)
            beyond_writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await asyncio.sleep(self.delay)
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
