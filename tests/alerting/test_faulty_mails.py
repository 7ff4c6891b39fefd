"""Mails that fail for their own sake, and mails that are old news."""

import asyncio
import sys
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from services.alerting.core.effects import Action, Click
from services.alerting.core.policy import Rules
from services.alerting.desk.tokens import Tokens
from services.alerting.mailer import Mailer
from services.alerting.mailing.holder import new_holder
from services.alerting.mailing.letters import Letters
from services.alerting.mailing.outbox import claim
from services.alerting.mailing.outcomes import MOST_CRASHES
from services.alerting.tables import outbox, relay
from services.common.mail.route import MailRoute
from services.common.mail.session import WHOLE_CONVERSATION
from services.common.mail.smtp import parse_smtp_url
from services.common.outage import Outage
from tests.alerting.conftest import Shell
from tests.alerting.mailing import MAIL_FROM, mailing
from tests.alerting.test_mailer import answered, at_night
from tests.core.office import report
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually

REFUSED = "554 5.6.0 this content is not wanted here"


@pytest.fixture
def night(shell: Shell) -> Shell:
    at_night(shell)
    return shell


async def by_recipient(shell: Shell) -> dict[tuple[str, str], str]:
    return {(row.recipient, row.purpose): row.state for row in await shell.rows(outbox)}


async def test_a_mail_whose_content_is_refused(night: Shell, smtp_sink: SmtpSink) -> None:
    smtp_sink.answer_data(REFUSED)
    async with mailing(night.engine, smtp_sink):
        await night.apply(report(night.now, id="e", location="112"))
        await answered(night, "set_aside", "accepted", "accepted")
    assert await by_recipient(night) == {
        ("leitung@example.org", "alarm"): "set_aside",
        ("vertretung@example.org", "alarm"): "accepted",  # the next step, at once
        ("notfall@example.org", "unsendable"): "accepted",
    }
    (warning,) = [mail for mail in smtp_sink.accepted if mail.recipients == ("notfall@example.org",)]
    assert warning.subject == "ALARM Zi. 112 Bernburg · Alarm-Mail nicht zustellbar"
    assert warning.message.get_content_type() == "text/plain"
    text = str(warning.message.get_content())
    assert text.startswith("Zimmer 112, Bernburg (Parkstraße) – 23:00 Uhr\n")
    assert "https://desk.example.org/a/" in text
    assert "Vorgang 9ZAL" in text
    assert warning.message["Importance"] == "high"
    assert b"delivery_failed" in b"".join(row.headers.encode() + row.value for row in await night.rows(relay))


async def test_nobody_else_hears_of_a_test_mail_that_is_refused(night: Shell, smtp_sink: SmtpSink) -> None:
    smtp_sink.answer_data(REFUSED)
    async with mailing(night.engine, smtp_sink):
        await night.apply(report(night.now, id="e", source="new", learning=True))
        await answered(night, "set_aside")
    assert await by_recipient(night) == {("test@example.org", "alarm"): "set_aside"}


async def test_when_every_content_is_refused_the_steps_go_on_and_nothing_runs_in_circles(
    night: Shell, smtp_sink: SmtpSink
) -> None:
    smtp_sink.answer_data(REFUSED, times=None)
    async with mailing(night.engine, smtp_sink):
        await night.apply(report(night.now, id="e"))
        # Three steps and the emergency contacts, and a warning for each.
        await answered(night, *["set_aside"] * 8)


async def test_a_mail_that_cannot_be_written(night: Shell, smtp_sink: SmtpSink) -> None:
    sound = night.engine.rules
    failures = 0  # of each of three attempts two: ahead, and at the attempt itself

    def rules_with_a_bug() -> Rules:
        nonlocal failures
        if failures < 6 and sys._getframe(1).f_code is Letters.write.__code__:
            failures += 1
            raise KeyError("a bug")
        return sound()

    async with mailing(night.engine, smtp_sink):
        night.engine.rules = rules_with_a_bug
        await night.apply(report(night.now, id="e"))
        await answered(night, "set_aside", "accepted", "accepted")
    (aside,) = [row for row in await night.rows(outbox) if row.state == "set_aside"]
    assert (aside.answer, aside.attempts, aside.recipient) == ("BUG - KeyError", 3, "leitung@example.org")


async def test_of_several_mails_only_the_one_that_cannot_be_written_is_not(night: Shell) -> None:
    for location in "1234":
        await night.apply(report(night.now, location=location))
    mails = (await claim(night.database, new_holder(), 100)).mails
    sound, broken = night.engine.rules, mails[2]

    def rules_with_a_bug() -> Rules:
        caller = sys._getframe(1)
        if caller.f_code is Letters.write.__code__ and broken in caller.f_locals["mails"]:
            raise KeyError("a bug")
        return sound()

    night.engine.rules = rules_with_a_bug
    letters = Letters(night.engine, MAIL_FROM, "https://desk.example.org", Tokens(["k" * 16]))
    route = MailRoute(parse_smtp_url("smtp://127.0.0.1:9"))
    written = Mailer(night.engine, route, letters, Outage("database")).write(mails)
    assert [mail.id for mail in written] == [mail.id for mail in mails]
    assert [mail.message is None for mail in written] == [mail is broken for mail in mails]


async def test_an_address_that_mail_cannot_carry_holds_nobody_up(night: Shell, smtp_sink: SmtpSink) -> None:
    await night.apply(report(night.now, id="e"))
    await change(night, recipient="lëitung@example.org")
    await night.apply(report(night.now, id="f", location="2"))
    async with mailing(night.engine, smtp_sink):
        await answered(night, "set_aside", "accepted", "accepted")
    assert {mail.recipients for mail in smtp_sink.accepted} == {("leitung@example.org",), ("notfall@example.org",)}


async def change(shell: Shell, **values: Any) -> None:
    async with shell.database.begin() as tx:
        await tx.execute(sa.update(outbox).values(**values))


async def test_a_mail_that_processes_die_over_is_set_aside(night: Shell, smtp_sink: SmtpSink) -> None:
    await night.apply(report(night.now, id="e"))
    ended = sa.text("clock_timestamp() - interval '1 second'")
    await change(night, crashes=MOST_CRASHES - 1, lease=sa.func.gen_random_uuid(), lease_until=ended)
    await night.apply(report(night.now, id="f", location="2"))
    async with mailing(night.engine, smtp_sink):
        await answered(night, "set_aside", "accepted", "accepted", "accepted")
    (aside,) = [row for row in await night.rows(outbox) if row.state == "set_aside"]
    assert aside.incident_id == "e"
    assert not [mail for mail in smtp_sink.received if mail.message["X-Rufkette-Step"] == "alarm-0-1-0"][1:]


async def test_mails_under_suspicion_are_sent_one_at_a_time(night: Shell, smtp_sink: SmtpSink) -> None:
    await night.apply(*(report(night.now, location=str(room)) for room in range(5)))
    ended = sa.text("clock_timestamp() - interval '1 second'")
    await change(night, crashes=2, lease=sa.func.gen_random_uuid(), lease_until=ended)
    async with mailing(night.engine, smtp_sink):
        await answered(night, *["accepted"] * 5)
    assert all(row.crashes == 0 for row in await night.rows(outbox))
    assert len({mail.message["Message-ID"] for mail in smtp_sink.received}) == len(smtp_sink.received) == 5


async def test_a_mail_under_suspicion_holds_up_no_other_for_longer_than_a_first_attempt(
    night: Shell, smtp_sink: SmtpSink
) -> None:
    """Its server stands still; then it is under suspicion no longer, and has the time of any mail."""
    await night.apply(report(night.now, id="e"))
    ended = sa.text("clock_timestamp() - interval '1 second'")
    await change(night, crashes=2, lease=sa.func.gen_random_uuid(), lease_until=ended, attempts=3)
    smtp_sink.misbehave("stall")
    async with mailing(night.engine, smtp_sink):
        await eventually(lambda: _attempts(night), lambda attempts: attempts > 3)
        await night.apply(report(night.now, id="f", location="2", danger_level=3))
        async with asyncio.timeout(WHOLE_CONVERSATION / 2):
            await smtp_sink.wait_for(1)
    assert smtp_sink.accepted[0].message["X-Rufkette-Incident"] == "f"


@pytest.mark.parametrize(("age", "state"), [(timedelta(hours=23), "accepted"), (timedelta(hours=25), "expired")])
async def test_who_took_over_is_old_news_after_a_day(
    night: Shell, smtp_sink: SmtpSink, age: timedelta, state: str
) -> None:
    async with mailing(night.engine, smtp_sink):
        await night.apply(report(night.now, id="e"))
        await answered(night, "accepted")
    night.engine.senders = None
    await night.engine.act("e", Click("B. Beispiel", (Action.ACKNOWLEDGE,)))
    night.now += age
    async with mailing(night.engine, smtp_sink):
        await answered(night, "accepted", state)
    assert len(smtp_sink.received) == (2 if state == "accepted" else 1)


async def test_an_alarm_never_expires(night: Shell, smtp_sink: SmtpSink) -> None:
    await night.apply(report(night.now, id="e"))
    night.now += timedelta(days=400)
    async with mailing(night.engine, smtp_sink):
        await answered(night, "accepted")


async def test_an_answer_that_no_database_can_hold(night: Shell, smtp_sink: SmtpSink) -> None:
    smtp_sink.answer_data("451 \x00\udcff\x1b later")
    async with mailing(night.engine, smtp_sink):
        await night.apply(report(night.now, id="e"))
        await answered(night, "accepted")


async def test_a_decision_that_comes_to_nothing_holds_no_suspect_up(night: Shell, smtp_sink: SmtpSink) -> None:
    """A suspect is sent when nothing else is in hand; a connection that was reserved in vain is free again."""
    await night.apply(report(night.now, id="e"))
    await change(night, attempt_at=sa.text("'infinity'"), crashes=2)
    async with mailing(night.engine, smtp_sink):
        senders = night.engine.senders
        assert senders is not None

        async def reserve() -> int:
            return senders.reserve(1)

        reserved = await eventually(reserve, bool)  # as soon as the mail server is known to be there
        await change(night, attempt_at=sa.func.clock_timestamp())
        night.engine.signals.mail.set()
        await eventually(lambda: _attempts(night), lambda attempts: attempts == 1)
        senders.send([], reserved)
        await answered(night, "accepted")


async def _attempts(night: Shell) -> int:
    (row,) = await night.rows(outbox)
    attempts: int = row.attempts
    return attempts
