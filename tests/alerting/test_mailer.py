import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.events import Category
from services.alerting import store
from services.alerting.core.effects import Action, Click
from services.alerting.core.incident import Incident
from services.alerting.core.policy import Rules
from services.alerting.mailing.in_hand import MOST_AHEAD
from services.alerting.mailing.letters import Letters
from services.alerting.tables import incidents, outbox
from services.common.mail.route import MailRoute
from services.common.mail.smtp import CONNECTIONS
from tests.alerting.conftest import Shell
from tests.alerting.mailing import mailing
from tests.core.office import report
from tests.support.smtp_sink import SmtpSink


@pytest.fixture
async def mailer(shell: Shell, smtp_sink: SmtpSink) -> AsyncIterator[MailRoute]:
    async with mailing(shell.engine, smtp_sink) as route:
        yield route


async def state(shell: Shell) -> Incident:
    (row,) = await shell.rows(incidents)
    return store.from_json(row.state)


async def answered(shell: Shell, *states: str) -> None:
    """Wait until the outbox holds exactly these states."""
    async with asyncio.timeout(30):
        while sorted(row.state for row in await shell.rows(outbox)) != sorted(states):
            shell.engine.signals.mail.set()
            await asyncio.sleep(0.02)


def at_night(shell: Shell) -> None:
    """Only the site management is present: one mail a step."""
    shell.now = datetime.fromisoformat("2026-11-20T22:00:00+00:00")


async def test_a_mail_is_delivered_with_its_headers(shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink) -> None:
    at_night(shell)
    await shell.apply(report(shell.now, id="e", danger_level=2, category=Category.THREAT))
    (mail,) = await smtp_sink.wait_for(1)
    message = mail.message
    assert mail.recipients == ("leitung@example.org",)
    assert mail.sender == "rufkette@example.org"
    assert message["Subject"] == "ALARM Zi. 112 Bernburg · Bedrohung · 110"
    assert message["To"] == '"A. Muster" <leitung@example.org>'
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Importance"] == "high"
    assert message["X-Rufkette-Incident"] == "e"
    assert message["X-Rufkette-Level"] == "2"
    assert message["X-Rufkette-Attempt"] == "1"
    assert message["References"] == message["In-Reply-To"]
    assert "https://desk.example.org/a/" in mail.text()
    assert "https://desk.example.org/a/" in mail.text("html")
    await answered(shell, "accepted")
    assert (await state(shell)).notified


async def test_while_many_events_wait_to_be_read_few_mails_are_sent_at_once(shell: Shell, mailer: MailRoute) -> None:
    senders = shell.engine.senders
    assert senders is not None
    async with asyncio.timeout(30):
        while not mailer.usable:
            await asyncio.sleep(0.02)
    shell.engine.signals.behind = True
    few = senders.reserve(CONNECTIONS)
    senders.send([], few)
    shell.engine.signals.behind = False
    all_of_them = senders.reserve(CONNECTIONS)
    senders.send([], all_of_them)
    assert 0 < few < all_of_them == CONNECTIONS


async def test_one_bad_address_does_not_hold_back_the_others(
    shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink
) -> None:
    shell.now = datetime.fromisoformat("2026-11-20T09:00:00+00:00")
    smtp_sink.refuse_recipient("wache@example.org")
    await shell.apply(report(shell.now))
    await answered(shell, "accepted", "refused")
    (refused,) = [row for row in await shell.rows(outbox) if row.state == "refused"]
    assert refused.answer.startswith("RCPT 550")
    assert (await state(shell)).step == 0


async def test_a_step_that_reaches_nobody_is_followed_by_the_next_at_once(
    shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink
) -> None:
    at_night(shell)
    smtp_sink.refuse_recipient("leitung@example.org")
    await shell.apply(report(shell.now))
    (mail,) = await smtp_sink.wait_for(1)
    assert mail.recipients == ("vertretung@example.org",)


@pytest.mark.parametrize("answer", ["451 4.3.0 later", "421 4.3.2 closing"])
async def test_a_passing_refusal_is_tried_again_as_the_same_mail(
    shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink, answer: str
) -> None:
    at_night(shell)
    smtp_sink.answer_data(answer)
    await shell.apply(report(shell.now))
    await smtp_sink.wait_for(1)
    first, second = smtp_sink.received
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert [m.message["X-Rufkette-Attempt"] for m in (first, second)] == ["1", "2"]
    await answered(shell, "accepted")


async def test_a_mail_in_hand_is_not_tried_again_once_somebody_took_over(
    shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink
) -> None:
    at_night(shell)
    smtp_sink.misbehave("stall", None)
    await shell.apply(report(shell.now, id="e"))
    async with asyncio.timeout(30):
        while not smtp_sink.received:
            await asyncio.sleep(0.02)
    smtp_sink.behave()
    await shell.engine.act("e", Click("A. Muster", (Action.ACKNOWLEDGE,)))
    assert {(row.purpose, row.state) for row in await shell.rows(outbox)} >= {("alarm", "recalled")}
    await answered(shell, "withdrawn", "accepted")
    assert [mail.message["X-Rufkette-Step"] for mail in smtp_sink.accepted] == ["taken_over-0-1-0"]


async def test_a_connection_lost_after_data_is_tried_again_as_the_same_mail(
    shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink
) -> None:
    at_night(shell)
    smtp_sink.misbehave("drop")
    await shell.apply(report(shell.now))
    await smtp_sink.wait_for(1)
    first, second = smtp_sink.received
    assert first.message["Message-ID"] == second.message["Message-ID"]


async def test_a_mail_server_that_is_away_is_waited_for(shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink) -> None:
    at_night(shell)
    await smtp_sink.stop()
    await shell.apply(report(shell.now))
    async with asyncio.timeout(30):
        while mailer.usable:
            await asyncio.sleep(0.02)
    await smtp_sink.start()
    await smtp_sink.wait_for(1)
    await answered(shell, "accepted")
    assert mailer.usable


async def test_a_kept_connection_that_the_server_closed_costs_no_attempt(
    shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink
) -> None:
    at_night(shell)
    await shell.apply(report(shell.now, location="1"))
    await smtp_sink.wait_for(1)
    await smtp_sink.stop()
    await smtp_sink.start()
    for number in range(2, 12):
        await shell.apply(report(shell.now, location=str(number)))
    mails = await smtp_sink.wait_for(11)
    assert {mail.message["X-Rufkette-Attempt"] for mail in mails} == {"1"}


async def test_the_worst_goes_first(shell: Shell, smtp_sink: SmtpSink) -> None:
    at_night(shell)
    for number in range(30):
        await shell.apply(report(shell.now, location=f"a{number}", danger_level=2))
    await shell.apply(report(shell.now, location="worst", danger_level=3))
    async with mailing(shell.engine, smtp_sink):
        mails = await smtp_sink.wait_for(31)
    assert "NOTFALL" in " ".join(mail.subject for mail in mails[:8])


async def test_mails_claimed_ahead_go_back_when_the_server_gets_slow(
    shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink
) -> None:
    """So that the worst can go first, others can send them, and nobody who was answered is told again."""
    at_night(shell)
    await shell.apply(*(report(shell.now, id=f"press-{number}", location=f"room {number}") for number in range(200)))
    await smtp_sink.wait_for(60)
    smtp_sink.misbehave("stall", None)
    claimed = [row.id for row in await shell.rows(outbox) if row.lease is not None and row.state == "due"]
    assert len(claimed) > CONNECTIONS
    async with asyncio.timeout(4):  # seconds before an attempt is given up
        while (
            len(leased := [row for row in await shell.rows(outbox) if row.lease and row.state == "due"]) > CONNECTIONS
        ):
            await asyncio.sleep(0.05)
    assert all(row.attempts == 1 for row in leased)
    waiting = next(row for row in await shell.rows(outbox) if row.state == "due" and row.lease is None)
    assert waiting.attempts == 0, "it counts as never tried"
    await shell.engine.act(waiting.incident_id, Click("A. Muster", (Action.ACKNOWLEDGE,)))
    worst = len(smtp_sink.received)
    await shell.apply(report(shell.now, location="worst", danger_level=3))
    smtp_sink.behave()
    told = await smtp_sink.wait_for(200)
    steps = {
        mail.message["X-Rufkette-Step"] for mail in told if mail.message["X-Rufkette-Incident"] == waiting.incident_id
    }
    assert steps <= {"taken_over-0-1-0"}
    assert "NOTFALL" in " ".join(mail.subject for mail in smtp_sink.received[worst : worst + 2 * CONNECTIONS + 1])


async def test_with_many_answers_unrecorded_nothing_is_claimed(
    shell: Shell, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash each of them would be mailed again."""
    monkeypatch.setattr("services.alerting.mailer._MOST_UNRECORDED", 20)
    at_night(shell)
    await shell.apply(*(report(shell.now, id=f"press-{number}", location=f"room {number}") for number in range(400)))
    async with mailing(shell.engine, smtp_sink):
        await smtp_sink.wait_for(1)
        async with shell.database.begin() as connection:
            await connection.execute(sa.select(incidents.c.id).with_for_update())  # so nothing can be recorded
            unrecorded = 0
            async with asyncio.timeout(1.8):  # seconds; an idle transaction is ended after two
                while len(smtp_sink.accepted) > unrecorded or unrecorded < 20:
                    unrecorded = len(smtp_sink.accepted)
                    await asyncio.sleep(0.3)
        assert unrecorded < 20 + CONNECTIONS + MOST_AHEAD + 100
        await answered(shell, *["accepted"] * 400)
    assert len(smtp_sink.accepted) == 400


async def test_two_mailers_send_each_mail_once(
    shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink, database: AsyncEngine
) -> None:
    at_night(shell)
    async with mailing(shell.engine, smtp_sink):
        await shell.apply(*(report(shell.now, location=f"room {n}") for n in range(60)))
        await answered(shell, *["accepted"] * 60)
    ids = [mail.message["Message-ID"] for mail in smtp_sink.received]
    assert len(ids) == len(set(ids)) == 60


async def test_those_who_were_told_hear_who_took_over_and_how_it_ended(
    shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink
) -> None:
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))
    await answered(shell, "accepted")
    await shell.engine.act("e", Click("B. Beispiel", (Action.ACKNOWLEDGE,)))
    _, taken = await smtp_sink.wait_for(2)
    assert taken.subject.startswith("ÜBERNOMMEN Zi. 112")
    assert "B. Beispiel" in taken.text()
    assert taken.message["References"] == smtp_sink.accepted[0].message["References"]
    assert taken.message["Message-ID"] != smtp_sink.accepted[0].message["Message-ID"]


async def test_a_mail_that_cannot_be_written_does_not_hold_back_the_others(
    shell: Shell, mailer: MailRoute, smtp_sink: SmtpSink
) -> None:
    at_night(shell)
    sound = shell.engine.rules
    broken: list[uuid.UUID] = []  # one mail: ahead, with others or alone, and at its first attempt

    def rules_with_a_bug() -> Rules:
        caller = sys._getframe(1)
        if caller.f_code is Letters.write.__code__:
            first = {mail.id for mail in caller.f_locals["mails"] if mail.attempt == 1}
            broken.extend([] if broken else sorted(first)[:1])
            if not first.isdisjoint(broken):
                raise KeyError("a bug")
        return sound()

    shell.engine.rules = rules_with_a_bug
    await shell.apply(report(shell.now, location="1"))
    await shell.apply(report(shell.now, location="2"))
    mails = await smtp_sink.wait_for(2)
    assert sorted(mail.message["X-Rufkette-Attempt"] for mail in mails) == ["1", "2"]
