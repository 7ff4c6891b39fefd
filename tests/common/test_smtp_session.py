"""What each answer of a mail server means, and what it says of whom."""

import pytest

from services.common.mail.session import Blame, SmtpAnswer, SmtpSession, Verdict
from services.common.mail.smtp import parse_smtp_url
from services.common.mail.wire import as_data
from tests.support.smtp_sink import SmtpSink, Stage


@pytest.fixture(params=[True, False], ids=["pipelining", "one by one"], autouse=True)
def _pipelining(request: pytest.FixtureRequest, smtp_sink: SmtpSink) -> None:
    """Both ways to talk to a server have the same outcome."""
    smtp_sink.pipelining = request.param


async def send(sink: SmtpSink, within: float = 5.0) -> SmtpAnswer:
    session = SmtpSession(parse_smtp_url(sink.url))
    try:
        return await session.send("r@example.org", "a@example.org", as_data(b"Subject: x\r\n\r\nx\r\n"), within)
    finally:
        await session.close()


@pytest.mark.parametrize(
    ("stage", "answer", "verdict", "blames"),
    [
        ("CONNECT", "554 5.7.1 go away", Verdict.DEFERRED, Blame.OPERATOR),
        ("CONNECT", "421 4.3.2 busy", Verdict.DEFERRED, Blame.SERVER),
        ("MAIL", "550 5.7.1 not you", Verdict.DEFERRED, Blame.OPERATOR),
        ("MAIL", "530 5.7.0 log in first", Verdict.DEFERRED, Blame.OPERATOR),
        ("MAIL", "451 4.3.0 later", Verdict.DEFERRED, Blame.SERVER),
        ("RCPT", "550 5.1.1 unknown", Verdict.REFUSED, Blame.RECIPIENT),
        ("RCPT", "550 no such user", Verdict.REFUSED, Blame.RECIPIENT),
        ("RCPT", "554 5.1.1 unknown", Verdict.REFUSED, Blame.RECIPIENT),
        ("RCPT", "550 5.7.1 relaying denied", Verdict.DEFERRED, Blame.OPERATOR),
        ("RCPT", "554 relaying denied", Verdict.DEFERRED, Blame.OPERATOR),
        ("RCPT", "530 log in first", Verdict.DEFERRED, Blame.OPERATOR),
        ("RCPT", "450 4.2.0 greylisted", Verdict.DEFERRED, Blame.RECIPIENT),
        ("RCPT", "421 4.3.2 closing", Verdict.DEFERRED, Blame.SERVER),
        ("DATA", "554 5.6.0 content", Verdict.REFUSED, Blame.MESSAGE),
        ("DATA", "550 5.1.1 unknown after all", Verdict.REFUSED, Blame.RECIPIENT),
        ("DATA", "451 4.3.0 later", Verdict.DEFERRED, Blame.SERVER),
    ],
)
async def test_an_answer(smtp_sink: SmtpSink, stage: Stage, answer: str, verdict: Verdict, blames: Blame) -> None:
    smtp_sink.answer(stage, answer)
    heard = await send(smtp_sink)
    assert (heard.stage, heard.code) == (stage, int(answer[:3]))
    assert (heard.verdict, heard.blames) == (verdict, blames)
    assert str(heard).startswith(f"{stage} {answer}")


@pytest.mark.parametrize("stage", ["CONNECT", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("fault", ["drop", "stall", "garbage"])
async def test_no_answer(smtp_sink: SmtpSink, stage: Stage, fault: str) -> None:
    smtp_sink.answer(stage, fault)
    heard = await send(smtp_sink, within=0.5)
    assert (heard.stage, heard.verdict, heard.blames) == (stage, Verdict.DEFERRED, Blame.SERVER)


async def test_half_an_answer_after_the_mail_is_none(smtp_sink: SmtpSink) -> None:
    smtp_sink.lie()
    heard = await send(smtp_sink)
    assert (heard.stage, heard.code, heard.verdict) == ("DATA", None, Verdict.DEFERRED)


async def test_a_wrong_password_is_the_operators_fault(smtp_sink: SmtpSink) -> None:
    server = parse_smtp_url(f"smtp://user:wrong@127.0.0.1:{smtp_sink.port}?starttls=off")
    heard = await SmtpSession(server).greet()
    assert (heard.stage, heard.code) == ("AUTH", 535)
    assert (heard.verdict, heard.blames) == (Verdict.DEFERRED, Blame.OPERATOR)


async def test_an_address_that_smtp_cannot_carry(smtp_sink: SmtpSink) -> None:
    session = SmtpSession(parse_smtp_url(smtp_sink.url))
    heard = await session.send("r@example.org", "ä@example.org", as_data(b""), 5)
    assert (heard.stage, heard.verdict, heard.blames) == ("RCPT", Verdict.REFUSED, Blame.RECIPIENT)
    assert (await session.send("r@example.org", "a@example.org", as_data(b"\r\n"), 5)).verdict is Verdict.ACCEPTED
    await session.close()


async def test_after_a_refusal_the_next_mail_follows_on_the_same_connection(smtp_sink: SmtpSink) -> None:
    session = SmtpSession(parse_smtp_url(smtp_sink.url))
    smtp_sink.refuse_recipient("nobody@example.org")
    smtp_sink.answer("MAIL", "451 4.3.0 later", times=1)
    smtp_sink.answer_data("554 5.6.0 content")
    stages = []
    for recipient in ("a@example.org", "nobody@example.org", "a@example.org", "a@example.org"):
        heard = await session.send("r@example.org", recipient, as_data(b"Subject: x\r\n\r\nx\r\n"))
        stages.append((heard.stage, heard.code))
    await session.close()
    assert stages == [("MAIL", 451), ("RCPT", 550), ("DATA", 554), ("DATA", 250)]
    assert (smtp_sink.connections, len(smtp_sink.accepted)) == (1, 1)


async def test_a_connection_that_the_server_closed_meanwhile(smtp_sink: SmtpSink) -> None:
    session = SmtpSession(parse_smtp_url(smtp_sink.url))
    for _ in range(2):
        answer = await session.send("r@example.org", "a@example.org", as_data(b"Subject: x\r\n\r\nx\r\n"))
        assert answer.verdict is Verdict.ACCEPTED
        await smtp_sink.stop()
        await smtp_sink.start()
    await session.close()
    assert (smtp_sink.connections, len(smtp_sink.accepted)) == (2, 2)


async def test_a_rehearsal_hands_nothing_over(smtp_sink: SmtpSink) -> None:
    session = SmtpSession(parse_smtp_url(smtp_sink.url))
    heard = await session.rehearse("r@example.org", "a@example.org")
    assert (heard.stage, heard.verdict) == ("RCPT", Verdict.ACCEPTED)
    smtp_sink.refuse_recipient("nobody@example.org")
    assert (await session.rehearse("r@example.org", "nobody@example.org")).verdict is Verdict.REFUSED
    assert (await session.send("r@example.org", "a@example.org", as_data(b"\r\n"))).verdict is Verdict.ACCEPTED
    await session.close()
    assert len(smtp_sink.received) == 1
