"""Mails that a newer version wrote, or that were damaged: they hold up no other, and are left to who can read them."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from services.alerting.core.effects import Purpose
from services.alerting.mailing import outbox as mails
from services.alerting.mailing.holder import new_holder
from services.alerting.mailing.outbox import Unread
from services.alerting.mailing.unreadable import TOLD_AFTER, Unreadable
from services.alerting.tables import outbox, troubles
from services.common.outage import Outage
from tests.alerting.conftest import Shell
from tests.alerting.mailing import mailing
from tests.alerting.test_mailer import answered, at_night
from tests.core.office import report
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually

OF_A_NEWER_VERSION = {
    "a purpose": "UPDATE outbox SET purpose = 'something_new' WHERE incident_id = :id",
    "a state": "UPDATE incidents SET state = jsonb_set(state, '{status}', '\"something_new\"') WHERE id = :id",
}
newer = pytest.mark.parametrize("what", OF_A_NEWER_VERSION.values(), ids=OF_A_NEWER_VERSION)


@pytest.fixture
def night(shell: Shell) -> Shell:
    at_night(shell)
    return shell


async def change(shell: Shell, sql: str, **values: object) -> None:
    async with shell.database.begin() as tx:
        await tx.execute(sa.text(sql), values)


async def row_of(shell: Shell, incident_id: str) -> sa.Row[tuple[object, ...]]:
    return next(row for row in await shell.rows(outbox) if row.incident_id == incident_id)


@newer
async def test_the_mails_behind_it_go_out(night: Shell, smtp_sink: SmtpSink, what: str) -> None:
    await night.apply(*(report(night.now, id=f"new-{number}", location=str(number)) for number in range(12)))
    for number in range(12):
        await change(night, what, id=f"new-{number}")
    await night.apply(report(night.now, id="e", location="99"))
    with capture_logs() as lines:
        async with mailing(night.engine, smtp_sink):
            await answered(night, *["due"] * 12, "accepted")
    told = {line["incident_id"] for line in lines if line["event"] == "mail.unreadable"}
    assert told == {f"new-{number}" for number in range(12)}
    assert (await row_of(night, "e")).state == "accepted"
    assert await night.rows(troubles) == []  # a newer process has a minute


@newer
async def test_a_process_that_can_read_it_may_take_it_at_once(night: Shell, smtp_sink: SmtpSink, what: str) -> None:
    await night.apply(report(night.now, id="e"))
    await change(night, what, id="e")
    row = await row_of(night, "e")

    async def given_back() -> bool:
        now = await row_of(night, "e")
        return bool(now.lease is None and now.attempt_at > row.attempt_at)

    async with mailing(night.engine, smtp_sink):
        await eventually(given_back, bool)
        # Who left it alone does not take it again, another one can.
        other = await mails.claim(night.database, new_holder(), 10)
        assert [one.id for one in other.unread] == [row.id]
        claimed = await row_of(night, "e")
        assert (claimed.state, claimed.attempts, claimed.crashes) == ("due", 1, 0)


async def test_who_leaves_it_alone_looks_again(night: Shell) -> None:
    await night.apply(report(night.now, id="e"))
    await change(night, OF_A_NEWER_VERSION["a purpose"], id="e")
    claimed = await mails.claim(night.database, new_holder(), 10)
    unreadable = Unreadable(night.engine, Outage("database"), left_for=0.05)
    await unreadable.leave(claimed.unread)
    assert list(unreadable.left()) == [one.id for one in claimed.unread]
    again = await mails.claim(night.database, new_holder(), 10, unreadable.left())
    assert again.count == 0
    await eventually(lambda: asyncio.sleep(0, list(unreadable.left())), lambda left: left == [])


async def test_where_nobody_can_read_it_the_emergency_contacts_are_told_once(night: Shell) -> None:
    await night.apply(report(night.now, id="e"))
    await change(night, OF_A_NEWER_VERSION["a state"], id="e")
    unreadable = Unreadable(night.engine, Outage("database"))
    for _ in range(2):
        await unreadable.leave((await mails.claim(night.database, new_holder(), 10)).unread)
        assert await night.rows(troubles) == []
        night.now += TOLD_AFTER / 2
    for _ in range(2):
        await unreadable.leave((await mails.claim(night.database, new_holder(), 10)).unread)
        (told,) = await night.rows(troubles)
        assert told.recipient == "notfall@example.org"


async def test_nobody_is_told_of_one_that_only_informs_or_of_what_is_being_learnt(night: Shell) -> None:
    await night.apply(report(night.now, id="e"), report(night.now, id="f", source="new", learning=True))
    night.now += 2 * TOLD_AFTER
    unreadable = Unreadable(night.engine, Outage("database"))
    of = {row.incident_id: row for row in await night.rows(outbox)}
    taken_over = Unread(of["e"].id, of["e"].id, "e", Purpose.TAKEN_OVER, night.now - timedelta(hours=1), "ValueError")
    learning = Unread(of["f"].id, of["f"].id, "f", Purpose.ALARM, night.now - timedelta(hours=1), "ValueError")
    await unreadable.leave([taken_over, learning])
    assert await night.rows(troubles) == []
