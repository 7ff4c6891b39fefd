"""Mails about what was set aside: to whom, once, and without content."""

import asyncio

from services.alerting.database import in_transaction
from services.alerting.mailing import troubles as told
from services.alerting.mailing.troubles import Trouble, TroubleMailer, written
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


async def test_it_is_tried_until_it_is_taken(shell: Shell, smtp_sink: SmtpSink) -> None:
    smtp_sink.answer_data("451 4.3.0 later")
    await tell(shell, Trouble(None, "…", "incidents.events", 3, 17))
    route = MailRoute(parse_smtp_url(smtp_sink.url))
    mailer = TroubleMailer(shell.engine, route, "Rufkette <rufkette@example.org>", Outage("database"))
    task = asyncio.create_task(mailer.run())
    try:

        async def tries() -> list[int]:
            rows = await shell.rows(troubles)
            async with shell.database.begin() as connection:
                await connection.execute(troubles.update().values(attempt_at=shell.now))  # the pause passes
            return [row.attempts for row in rows if row.state == "accepted"]

        assert await eventually(tries, bool) == [2]
    finally:
        await cancel({task})
        await route.close()
    first, second = smtp_sink.received
    assert first.message["Message-ID"] == second.message["Message-ID"]


def test_the_texts_name_place_and_where_operations_look() -> None:
    subject, text = written(RECORD, rules())
    assert subject.startswith("STÖRUNG Bernburg")
    assert "Partition\n3, Offset 17" in text
    subject, text = written(Trouble(None, "…", incident_id="e", code="7F3K", minutes=5), rules())
    assert "7F3K" in subject
    assert "In 5 Minuten" in text
