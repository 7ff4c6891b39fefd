"""Mails while the name service of the network is away: it is one server more that may fail."""

import asyncio
import socket
import time
from typing import Any

import pytest

from services.common.mail.names import KNOWN
from tests.alerting.conftest import Shell
from tests.alerting.mailing import mailing
from tests.alerting.test_mailer import answered, at_night
from tests.core.office import report
from tests.support.smtp_sink import SmtpSink


async def hang(*_: object) -> Any:
    await asyncio.Event().wait()


async def fail(*_: object) -> Any:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize("away", [hang, fail])
async def test_mails_go_to_where_the_server_was(
    shell: Shell, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch, away: Any
) -> None:
    at_night(shell)
    smtp_sink.host = "localhost"
    async with mailing(shell.engine, smtp_sink) as route:
        await shell.apply(report(shell.now, location="1"))
        await answered(shell, "accepted")
        monkeypatch.setattr(KNOWN, "_look_up", away)
        monkeypatch.setattr(KNOWN, "_own_name", hang)
        monkeypatch.setattr(KNOWN, "_me", "")
        await smtp_sink.stop()  # it closes connections that nobody used for a while
        await smtp_sink.start()
        await shell.apply(report(shell.now, location="2"))
        pressed_at = time.monotonic()
        _, mail = await smtp_sink.wait_for(2)
        await answered(shell, "accepted", "accepted")
        assert mail.at - pressed_at < 5, "each question is waited for a second at most"
        assert route.takes_mails
        assert KNOWN.outage.down is not None
