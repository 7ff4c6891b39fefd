"""Mails about what was set aside: to whom, once, and without content."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from services.alerting.database import in_transaction
from services.alerting.mailing import troubles as told
from services.alerting.mailing.troubles import UNREADABLE, Trouble, TroubleMailer, written
from services.alerting.tables import troubles
from services.common.loops import cancel
from services.common.mail.route import MailRoute
from services.common.mail.smtp import parse_smtp_url
from services.common.outage import Outage
from tests.alerting.conftest import Shell
from tests.core.office import rules
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually

RECORD = Trouble("bernburg", "the database refuses its data", "incidents.events", 3, 17)


async def tell(shell: Shell, trouble: Trouble) -> None:
    await in_transaction(shell.database, lambda tx: told.tell(tx, trouble, rules(), shell.now))


async def test_a_flood_of_records_is_one_mail_a_minute_and_site(shell: Shell) -> None:
    people = len(rules().emergency("bernburg"))
    for offset in range(50):
        await tell(shell, Trouble("bernburg", "…", "incidents.events", 3, offset))
    assert len(await shell.rows(troubles)) == people
    shell.later(1)
    await tell(shell, RECORD)
    await tell(shell, Trouble(None, "…", "incidents.events", 3, 18))
    assert len(await shell.rows(troubles)) == 2 * people + len(rules().emergency(None))


async def test_each_time_that_a_deadline_is_set_aside_is_a_mail(shell: Shell) -> None:
    for attempts in (3, 3, 4):
        await tell(shell, Trouble(None, "…", incident_id="e", code="7F3K", attempts=attempts, minutes=5))
    assert len(await shell.rows(troubles)) == 2 * len(rules().emergency(None))


@asynccontextmanager
async def mailed(shell: Shell, sink: SmtpSink) -> AsyncIterator[None]:
    """Meanwhile a process sends what is due."""
    route = MailRoute(parse_smtp_url(sink.url))
    mailer = TroubleMailer(shell.engine, route, "Rufkette <rufkette@example.org>", Outage("database"))
    task = asyncio.create_task(mailer.run())
    try:
        yield
    finally:
        await cancel({task})
        await route.close()


async def tries(shell: Shell, state: str) -> list[int]:
    return [row.attempts for row in await shell.rows(troubles) if row.state == state and row.lease is None]


async def test_it_is_tried_until_it_is_taken(shell: Shell, smtp_sink: SmtpSink) -> None:
    """Soon, as an alarm is: a press may be behind it."""
    smtp_sink.answer_data("451 4.3.0 later")
    await tell(shell, Trouble(None, "…", "incidents.events", 3, 17))
    async with mailed(shell, smtp_sink):
        assert await eventually(lambda: tries(shell, "accepted"), bool) == [2]
    first, second = smtp_sink.received
    assert first.message["Message-ID"] == second.message["Message-ID"]


async def test_also_when_it_is_refused_but_not_so_soon(shell: Shell, smtp_sink: SmtpSink) -> None:
    smtp_sink.answer_data("550 5.7.1 no")
    await tell(shell, Trouble(None, "…", "incidents.events", 3, 17))
    async with mailed(shell, smtp_sink):
        assert await eventually(lambda: tries(shell, "due"), lambda found: found == [1]) == [1]
        (row,) = await shell.rows(troubles)
        assert timedelta(seconds=30) < row.attempt_at - datetime.now(UTC) <= timedelta(seconds=60)
        async with shell.database.begin() as connection:
            await connection.execute(troubles.update().values(attempt_at=shell.now))  # the pause passes
        assert await eventually(lambda: tries(shell, "accepted"), bool) == [2]


def test_the_texts_name_place_and_where_operations_look() -> None:
    subject, text = written(RECORD, rules())
    assert subject.startswith("STÖRUNG Bernburg")
    assert "Partition\n3, Offset 17" in text
    subject, text = written(Trouble(None, "…", incident_id="e", code="7F3K", minutes=5), rules())
    assert "7F3K" in subject
    assert "In 5 Minuten" in text
    subject, text = written(Trouble("bernburg", UNREADABLE, incident_id="e", code="7F3K"), rules())
    assert subject == "STÖRUNG Bernburg · Mail zu Vorgang 7F3K"
    assert f"Grund: {UNREADABLE}." in text
