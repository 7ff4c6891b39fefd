"""Connections of the HTTP servers: enough of them, and none that is held by somebody who says nothing.

A button whose battery ran out never closes its connection; without an end to that, the last press of many months would
find none free, and neither would a mail.
"""

import asyncio
import resource
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_WITHIN: Final = 10.0
"""Seconds that a sender has for the head of a request: from its connection, or from the head's first byte."""
_FILES: Final = 65_536


class Impatient(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, which waits for the rest of a head without end; after an answer it waits 5 s."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the library has it
        """A sender is there."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_WITHIN, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Nearly always a whole request, which needs no clock; what else comes ends the library's own."""
        head = self.scope
        super().data_received(data)
        if head is not None and self.scope is not head:
            self._at_ease()  # the next head has a time of its own
        in_head = self.scope is not None and "method" not in self.scope  # which the library enters at the head's end
        # After the rest of a body that was answered, or an empty line, nothing runs.
        if in_head or (self.timeout_keep_alive_task is None and self._is_idle):
            if self._deadline is None:
                self._deadline = self.loop.call_later(HEAD_WITHIN, self._give_up)
        else:
            self._at_ease()  # from here on whoever reads the body has a limit of its own

    def connection_lost(self, exc: Exception | None) -> None:
        """The sender is gone."""
        self._at_ease()
        super().connection_lost(exc)

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _at_ease(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_idle:
            self.transport.close()
        else:  # a request before it is being answered
            self._deadline = self.loop.call_later(HEAD_WITHIN, self._give_up)


def allow_many() -> None:
    """Let this process have as many connections as the system lets it; often it begins with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
