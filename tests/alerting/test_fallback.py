"""Two mail servers: what one does not take, the other does."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import sqlalchemy as sa

from services.alerting.core.effects import Action, Click
from services.alerting.tables import mail_attempts, outbox
from services.common.loops import cancel, run_together
from services.common.mail.lane import NOT_TAKEN
from services.common.mail.route import MailRoute
from services.common.mail.smtp import parse_smtp_url
from services.common.mail.switch import FAILURES
from tests.alerting.conftest import Shell
from tests.alerting.mailing import mailing
from tests.alerting.test_mailer import answered, at_night
from tests.core.office import report
from tests.support.smtp_sink import Received, SmtpSink


@pytest.fixture
async def second() -> AsyncIterator[SmtpSink]:
    sink = SmtpSink()
    await sink.start()
    yield sink
    await sink.stop()


@pytest.fixture
async def route(shell: Shell, smtp_sink: SmtpSink, second: SmtpSink) -> AsyncIterator[MailRoute]:
    at_night(shell)
    async with mailing(shell.engine, smtp_sink, second) as route:
        async with asyncio.timeout(30):
            while route.state.problems:
                await asyncio.sleep(0.02)
        yield route


async def vias(shell: Shell) -> list[tuple[str, str | None]]:
    return sorted((row.state, row.via) for row in await shell.rows(outbox))


def message_ids(mails: Sequence[Received]) -> set[str]:
    return {str(mail.message["Message-ID"]) for mail in mails}


async def presses(shell: Shell, *rooms: str) -> None:
    for room in rooms:
        await shell.apply(report(shell.now, location=room))


async def until(route: MailRoute, **state: bool) -> None:
    """Wait until the fallback is engaged, or is not."""
    async with asyncio.timeout(20):
        while route.engaged is not state["engaged"]:
            await asyncio.sleep(0.02)


async def test_what_waits_for_a_mail_server_goes_out_as_soon_as_it_is_back(shell: Shell, smtp_sink: SmtpSink) -> None:
    at_night(shell)
    await smtp_sink.stop()
    async with mailing(shell.engine, smtp_sink):
        await presses(shell, "1")
        async with asyncio.timeout(20):
            while (await shell.rows(outbox))[0].answer is None:
                await asyncio.sleep(0.02)
        async with shell.database.begin() as connection:  # as after many attempts
            await connection.execute(
                sa.update(outbox).values(attempt_at=sa.text("clock_timestamp() + interval '1 hour'"))
            )
        assert (await shell.rows(outbox))[0].answer == "CONNECT - SMTPConnectError: Connection refused"
        await smtp_sink.start()
        await smtp_sink.wait_for(1)
        await answered(shell, "accepted")


async def test_a_mail_that_is_refused_for_now_keeps_its_pause(shell: Shell, smtp_sink: SmtpSink) -> None:
    at_night(shell)
    smtp_sink.answer("RCPT", "451 4.7.1 greylisted")
    async with mailing(shell.engine, smtp_sink) as route:
        await presses(shell, "1")
        async with asyncio.timeout(20):
            while (await shell.rows(outbox))[0].attempts < 3:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)  # the answer is recorded
        (before,) = await shell.rows(outbox)
        route.recovered.set()
        await asyncio.sleep(1.2)
        assert (await shell.rows(outbox))[0].attempt_at == before.attempt_at


async def test_the_normal_server_is_used_while_it_works(
    shell: Shell, route: MailRoute, smtp_sink: SmtpSink, second: SmtpSink
) -> None:
    await presses(shell, "1", "2")
    await smtp_sink.wait_for(2)
    await answered(shell, "accepted", "accepted")
    assert await vias(shell) == [("accepted", "normal")] * 2
    assert second.received == []


@pytest.mark.parametrize(
    "answer", ["451 4.3.0 later", "421 4.3.2 closing", "554 5.6.0 content", "drop", "lie", "garbage"]
)
async def test_what_the_normal_server_does_not_take_goes_over_the_fallback_at_once(
    shell: Shell, route: MailRoute, smtp_sink: SmtpSink, second: SmtpSink, answer: str
) -> None:
    smtp_sink.answer_data(answer, times=None)
    await presses(shell, "1")
    (mail,) = await second.wait_for(1)
    await answered(shell, "accepted")
    assert mail.message["X-Rufkette-Attempt"] == "1"
    assert message_ids(smtp_sink.received) == message_ids(second.received)
    assert await vias(shell) == [("accepted", "fallback")]
    (attempt,) = await shell.rows(mail_attempts)
    assert (attempt.attempt, attempt.via) == (1, "normal")
    assert attempt.answer.startswith("DATA ")


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
async def test_a_normal_server_that_hangs_costs_five_seconds(
    shell: Shell, route: MailRoute, smtp_sink: SmtpSink, second: SmtpSink, stage: str
) -> None:
    smtp_sink.misbehave("stall", times=None, at=stage)  # type: ignore[arg-type] # a stage each
    await presses(shell, "1")
    await second.wait_for(1)
    await answered(shell, "accepted")
    assert len(second.received) == 1
    assert await vias(shell) == [("accepted", "fallback")]


@pytest.mark.parametrize(
    ("stage", "answer"),
    [("CONNECT", "554 5.7.1 go away"), ("MAIL", "550 5.7.1 not you"), ("RCPT", "554 relaying denied")],
)
async def test_a_server_that_refuses_us_is_no_reason_to_give_up(
    shell: Shell, smtp_sink: SmtpSink, second: SmtpSink, stage: str, answer: str
) -> None:
    at_night(shell)
    smtp_sink.answer(stage, answer)  # type: ignore[arg-type] # a stage each
    async with mailing(shell.engine, smtp_sink, second):
        await presses(shell, "1")
        await second.wait_for(1)
        await answered(shell, "accepted")
    assert await vias(shell) == [("accepted", "fallback")]


async def test_without_a_fallback_a_server_that_refuses_us_is_asked_again(shell: Shell, smtp_sink: SmtpSink) -> None:
    at_night(shell)
    smtp_sink.answer("RCPT", "550 5.7.1 relaying denied", times=2)
    async with mailing(shell.engine, smtp_sink):
        await presses(shell, "1")
        (mail,) = await smtp_sink.wait_for(1)
    assert mail.message["X-Rufkette-Attempt"] == "3"


async def test_a_closed_list_at_a_server_that_takes_other_mails_is_a_bad_address(
    shell: Shell, smtp_sink: SmtpSink
) -> None:
    at_night(shell)
    async with mailing(shell.engine, smtp_sink):
        await presses(shell, "1")
        await answered(shell, "accepted")
        smtp_sink.refuse_recipient("leitung@example.org", "550 5.7.1 members only")
        await presses(shell, "2")
        await answered(shell, "accepted", "refused", "accepted")


async def test_a_closed_list_is_a_bad_address_only_where_both_servers_refuse_us_for_it(
    shell: Shell, route: MailRoute, smtp_sink: SmtpSink, second: SmtpSink
) -> None:
    await presses(shell, "1")
    await answered(shell, "accepted")
    smtp_sink.refuse_recipient("leitung@example.org", "550 5.7.1 members only")
    second.refuse_recipient("leitung@example.org", "550 5.7.1 members only")
    await presses(shell, "2")
    await answered(shell, "accepted", "refused", "accepted")
    second.behave()
    await presses(shell, "3")
    await answered(shell, "accepted", "refused", "accepted", "accepted")
    assert ("accepted", "fallback") in await vias(shell)


async def test_a_server_that_begins_to_refuse_us_takes_no_alarm_with_it(
    shell: Shell, route: MailRoute, smtp_sink: SmtpSink, second: SmtpSink
) -> None:
    await presses(shell, "1")
    await answered(shell, "accepted")
    smtp_sink.answer("RCPT", "550 5.7.1 relaying denied")
    await presses(shell, "2")
    (mail,) = await second.wait_for(1)
    assert mail.recipients == ("leitung@example.org",)
    await answered(shell, "accepted", "accepted")


async def test_a_lone_server_that_begins_to_refuse_us_is_soon_not_believed(shell: Shell, smtp_sink: SmtpSink) -> None:
    at_night(shell)
    async with mailing(shell.engine, smtp_sink):
        await presses(shell, "1")
        await answered(shell, "accepted")
        smtp_sink.answer("RCPT", "550 5.7.1 relaying denied", times=4)
        await presses(shell, "2")
        await answered(shell, "accepted", "refused", "refused", "accepted")
        assert smtp_sink.received[-1].recipients == ("bereitschaft@example.org",)


async def test_a_refused_recipient_is_not_asked_for_at_the_fallback(
    shell: Shell, route: MailRoute, smtp_sink: SmtpSink, second: SmtpSink
) -> None:
    smtp_sink.refuse_recipient("leitung@example.org")
    await presses(shell, "1")
    (mail,) = await smtp_sink.wait_for(1)
    assert mail.recipients == ("vertretung@example.org",)
    assert second.received == []


async def test_a_server_that_refuses_everybody_is_not_believed(
    shell: Shell, route: MailRoute, smtp_sink: SmtpSink, second: SmtpSink
) -> None:
    smtp_sink.answer("RCPT", "550 5.1.1 unknown")
    await presses(shell, "1")
    (mail,) = await second.wait_for(1)
    assert mail.recipients == ("bereitschaft@example.org",)  # of the third step, taken at once


async def test_a_fallback_that_fails_too(shell: Shell, route: MailRoute, smtp_sink: SmtpSink, second: SmtpSink) -> None:
    smtp_sink.answer_data("451 4.3.0 later", times=2)
    second.answer_data("452 4.3.1 full", times=1)
    await presses(shell, "1")
    (mail,) = await second.wait_for(1)
    assert mail.message["X-Rufkette-Attempt"] == "2"
    await answered(shell, "accepted")
    attempts = [(row.attempt, row.via) for row in await shell.rows(mail_attempts)]
    assert sorted(attempts) == [(1, "fallback"), (1, "normal"), (2, "normal")]


@pytest.mark.parametrize("answer", ["451 4.7.1 later", "550 5.1.1 unknown"])
async def test_a_server_that_lets_us_in_and_takes_nothing_is_a_problem(
    shell: Shell, smtp_sink: SmtpSink, answer: str
) -> None:
    """Whether it refuses or defers: whoever watches `/readyz`, and whoever looks at the board, has to hear of it."""
    at_night(shell)
    smtp_sink.answer("RCPT", answer)
    async with mailing(shell.engine, smtp_sink) as route:
        await presses(shell, *map(str, range(NOT_TAKEN)))
        async with asyncio.timeout(20):
            while route.takes_mails:
                await asyncio.sleep(0.02)
        (problem,) = route.state.problems.items()
        assert problem[0] == "mail_server"
        assert "mails were not taken, whoever they were for (RCPT " in problem[1]
        assert route.state.usable, "another alerting process would fare no better"
        smtp_sink.behave()
        await presses(shell, "again")
        async with asyncio.timeout(20):
            while not route.takes_mails:
                await asyncio.sleep(0.02)
        assert route.state.problems == {}


async def test_a_second_server_that_took_nothing_is_a_problem_only_while_it_is_needed(
    shell: Shell, smtp_sink: SmtpSink, second: SmtpSink
) -> None:
    """Nothing but a mail could tell that it takes mails again, and none goes there while the first one works."""
    at_night(shell)
    smtp_sink.answer_data("451 4.3.0 later", times=None)
    second.answer_data("451 4.3.0 later", times=None)
    async with mailing(shell.engine, smtp_sink, second) as route:
        await presses(shell, *map(str, range(NOT_TAKEN)))
        async with asyncio.timeout(20):
            while not {"mail_server", "mail_fallback"} <= route.state.problems.keys():
                await asyncio.sleep(0.02)
        smtp_sink.behave()
        async with asyncio.timeout(30):
            while route.state.problems:
                await asyncio.sleep(0.02)


async def test_as_many_mails_at_once_as_the_server_in_use_takes(
    shell: Shell, smtp_sink: SmtpSink, second: SmtpSink
) -> None:
    """Microsoft 365, for example, takes three connections for a mailbox."""
    at_night(shell)
    smtp_sink.options, second.options = "&connections=3", "&connections=2"

    async def at_once(expected: int) -> None:
        senders = shell.engine.senders
        assert senders is not None
        async with asyncio.timeout(30):
            while (reserved := senders.reserve(20)) != expected:
                senders.send([], reserved)
                await asyncio.sleep(0.02)
        senders.send([], reserved)

    async with mailing(shell.engine, smtp_sink, second) as route:
        await at_once(3)
        smtp_sink.answer_data("451 4.3.0 later", times=None)
        await presses(shell, *map(str, range(FAILURES)))
        await until(route, engaged=True)
        await answered(shell, *["accepted"] * FAILURES)
        await at_once(2)
    assert 0 < len(second.accepted) <= FAILURES


async def test_after_some_failures_all_goes_over_the_fallback_and_back(
    shell: Shell, route: MailRoute, smtp_sink: SmtpSink, second: SmtpSink
) -> None:
    smtp_sink.answer_data("451 4.3.0 later", times=None)
    await presses(shell, *map(str, range(FAILURES)))
    await until(route, engaged=True)
    await second.wait_for(FAILURES)
    assert route.state.usable
    assert route.state.problems == {"mail_server": "the mail server failed lately; mails go over the second one"}
    smtp_sink.behave()
    rooms = 0
    async with asyncio.timeout(20):
        while route.engaged:
            await presses(shell, f"later {rooms}")
            rooms += 1
            await answered(shell, *["accepted"] * (FAILURES + rooms))
    assert [mail.subject.split()[1] for mail in smtp_sink.accepted] == ["later"]
    assert route.state.problems == {}


async def test_a_server_that_was_only_away_is_used_again_without_a_trial(
    shell: Shell, route: MailRoute, smtp_sink: SmtpSink, second: SmtpSink
) -> None:
    await smtp_sink.stop()
    await presses(shell, *map(str, range(FAILURES)))
    await second.wait_for(FAILURES)
    await until(route, engaged=True)
    await smtp_sink.start()
    await until(route, engaged=False)
    await presses(shell, "after")
    await smtp_sink.wait_for(1)


async def test_a_mail_that_was_withdrawn_meanwhile_is_not_sent_over_the_fallback(
    shell: Shell, route: MailRoute, smtp_sink: SmtpSink, second: SmtpSink
) -> None:
    smtp_sink.misbehave("stall", times=None)
    await shell.apply(report(shell.now, id="e"))
    async with asyncio.timeout(30):
        while not smtp_sink.received:
            await asyncio.sleep(0.02)
    async with shell.database.begin() as tx:  # as if its first lease had run out
        await tx.execute(outbox.update().values(lease_until=shell.now))
    await shell.engine.act("e", Click("B. Beispiel", (Action.ACKNOWLEDGE,)))
    await answered(shell, "withdrawn", "accepted")
    (mail,) = await second.wait_for(1)  # who took over; wanted later than the alarm, and sent after it
    assert mail.message["X-Rufkette-Step"].startswith("taken_over")
    assert len(second.received) == 1


async def test_the_watch_over_the_servers_shows_that_it_goes_round(smtp_sink: SmtpSink) -> None:
    route = MailRoute(parse_smtp_url(smtp_sink.url))
    pulses: dict[str, float] = {}
    task = asyncio.create_task(run_together({"mail servers": route.run}, pulses))
    async with asyncio.timeout(30):
        while not pulses:
            await asyncio.sleep(0.01)
        began = dict(pulses)
        for _ in range(2):  # the first may be that of its start
            while pulses == began:
                await asyncio.sleep(0.01)
            began = dict(pulses)
    await cancel({task})
