"""Around uvicorn's HTTP: an answer leaves in one piece, and a request says when all of it is here."""

import asyncio
from typing import Any, Final

from services.common.connections import Impatient
from services.common.turn import EndOfTurn

ALL_HERE: Final = "rufkette.all_here"
"""Key in the scope of a request that has arrived to its end."""


class Protocol(Impatient):
    """HTTP as uvicorn speaks it, but that what is written in one turn of the event loop is sent at its end.

    Head and body would else be two packets, and small devices read once. Nor is a head waited for without end.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the library has it
        """A sender is there."""
        super().connection_made(_Gathering(transport))

    def on_message_complete(self) -> None:
        """The end of a request; most are here with their first packet, before anybody looks at them."""
        self.scope[ALL_HERE] = True  # type: ignore[typeddict-unknown-key]  # a scope may carry what its server likes
        super().on_message_complete()


class _Answers:
    """Connections with something to send at the end of this turn of the event loop: one call for all of them."""

    def __init__(self) -> None:
        self._writing: list[_Gathering] = []
        self._turn = EndOfTurn(self._send)

    def add(self, connection: "_Gathering") -> None:
        """Send what waits in it, at the end."""
        self._turn.ask()
        self._writing.append(connection)

    def _send(self) -> None:
        writing, self._writing = self._writing, []
        for connection in writing:
            connection.send()


_ANSWERS: Final = _Answers()


class _Gathering(asyncio.Transport):
    """The connection; only what uvicorn uses of it."""

    def __init__(self, connection: asyncio.Transport) -> None:
        super().__init__()
        self._connection = connection
        self._waiting: list[bytes | bytearray | memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._waiting:
            _ANSWERS.add(self)
        self._waiting.append(data)

    def send(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting and not self._connection.is_closing():  # a sender that is gone is no reason to leave out the next
            self._connection.write(b"".join(waiting))

    def close(self) -> None:
        self.send()
        self._connection.close()

    def is_closing(self) -> bool:
        return self._connection.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._connection.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        self._connection.resume_reading()
