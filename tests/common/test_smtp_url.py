"""Addresses of mail servers, and what is wrong with one."""

import asyncio
import re

import pytest

from services.common.mail.lane import Lane
from services.common.mail.session import Verdict
from services.common.mail.smtp import CONNECTIONS, SmtpServer, parse_smtp_url
from services.common.mail.wire import as_data
from tests.support.smtp_sink import SmtpSink


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.org", SmtpServer("mail.example.org", 25, None, None, False, "opportunistic")),
        ("smtp://mail.example.org:2525?starttls=off", SmtpServer("mail.example.org", 2525, None, None, False, "off")),
        ("smtp://u:p@mail.example.org", SmtpServer("mail.example.org", 587, "u", "p", False, "required")),
        ("smtps://u%40x:p%2F@[::1]", SmtpServer("::1", 465, "u@x", "p/", True, "required")),
        (
            "smtp://u:p@mail.example.org?connections=2&starttls=opportunistic",
            SmtpServer("mail.example.org", 587, "u", "p", False, "opportunistic", connections=2),
        ),
    ],
)
def test_an_address(url: str, server: SmtpServer) -> None:
    assert parse_smtp_url(url) == server


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("mail.example.org", "must start with smtp:// or smtps://"),
        ("smtp://", "name a host"),
        ("smtp://u:s3cret@mail.example.org:port", "is no URL"),
        ("smtp://u:s3cret@mail.example.org?tls=on", "unknown option 'tls'; known are connections and starttls"),
        ("smtp://u:s3cret@mail.example.org?starttls=yes", "starttls must be required, opportunistic or off"),
        *(
            (f"smtp://u:s3cret@mail.example.org?connections={number}", "connections must be a number from 1 to 32")
            for number in ("0", "33", "-1", "two", "1.5", "²")
        ),
    ],
)
def test_what_is_wrong_with_an_address(url: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wrong)) as error:
        parse_smtp_url(url)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(("options", "most"), [("", CONNECTIONS), ("&connections=2", 2)])
async def test_no_more_connections_than_the_server_allows(smtp_sink: SmtpSink, options: str, most: int) -> None:
    smtp_sink.options = options
    lane = Lane("normal", parse_smtp_url(smtp_sink.url))
    message = as_data(b"Subject: x\r\n\r\nx\r\n")
    answers = await asyncio.gather(
        *(lane.send("r@example.org", f"a{number}@example.org", message, 5.0) for number in range(3 * CONNECTIONS))
    )
    await lane.close()
    assert {answer.verdict for answer in answers} == {Verdict.ACCEPTED}
    assert smtp_sink.connections == most


async def test_waiting_for_a_connection_is_part_of_a_mails_time(smtp_sink: SmtpSink) -> None:
    """A lease holds for so long only."""
    smtp_sink.options = "&connections=1"
    smtp_sink.misbehave("stall", None)
    lane = Lane("normal", parse_smtp_url(smtp_sink.url))
    message = as_data(b"Subject: x\r\n\r\nx\r\n")
    async with asyncio.timeout(1.5):
        first, second = await asyncio.gather(
            lane.send("r@example.org", "a@example.org", message, 1.0),
            lane.send("r@example.org", "b@example.org", message, 0.5),
        )
    assert (first.stage, first.verdict) == ("DATA", Verdict.DEFERRED)
    assert (str(second), second.verdict) == ("CONNECT - all connections to it are busy", Verdict.DEFERRED)
    smtp_sink.behave()
    assert (await lane.send("r@example.org", "b@example.org", message, 5.0)).verdict is Verdict.ACCEPTED
    await lane.close()
