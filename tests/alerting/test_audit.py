"""The self-audit on a database that was damaged by hand."""

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from services.alerting import store
from services.alerting.core.incident import Incident
from services.alerting.mailing.holder import new_holder
from services.alerting.mailing.outbox import claim
from services.alerting.mailing.outcomes import LONGEST_DELAY
from services.alerting.tables import incidents, inputs, outbox
from services.alerting.upkeep.audit import Audit
from services.common.outage import Outage
from tests.alerting.conftest import Shell
from tests.core.office import report


@pytest.fixture
async def audit(shell: Shell) -> Audit:
    await shell.apply(report(shell.now, id="e"))
    return Audit(shell.engine, Outage("database"), settle=0.05)


async def damage(shell: Shell, sql: str) -> None:
    async with shell.database.begin() as connection:
        await connection.execute(sa.text(sql))


async def stored(shell: Shell) -> Incident:
    (row,) = await shell.rows(incidents)
    incident = store.from_json(row.state)
    assert row.due_at == incident.due_at
    return incident


async def found(audit: Audit) -> dict[str, list[str]]:
    with capture_logs() as lines:
        await audit.look()
    return {line["problem"]: line["ids"] for line in lines if line["event"] == "audit.found"}


async def test_a_sound_database_is_left_alone(shell: Shell, audit: Audit) -> None:
    before = await stored(shell)
    assert await found(audit) == {}
    assert await stored(shell) == before


async def test_a_due_time_that_only_the_column_lost_is_given_back(shell: Shell, audit: Audit) -> None:
    before = await stored(shell)
    await damage(shell, "UPDATE incidents SET due_at = NULL")
    assert await found(audit) == {"no_due_time": ["e"]}
    assert await stored(shell) == before
    assert await found(audit) == {}


async def test_an_incident_without_any_due_time_takes_its_next_step_at_once(shell: Shell, audit: Audit) -> None:
    lost = "UPDATE incidents SET due_at = NULL, state = jsonb_set(state, '{due_at}', 'null')"
    await damage(shell, lost)
    shell.later(3)
    assert await found(audit) == {"no_due_time": ["e"]}
    after = await stored(shell)
    assert (after.step, after.due_at is not None) == (1, True)
    state: list[Incident] = []
    for row in sorted(await shell.rows(inputs), key=lambda row: row.revision):
        decision = store.replay(state, row.body, row.plans, now=row.at, rules=shell.engine.rules())
        assert decision.incident is not None
        state = [decision.incident]
    assert state == [after]


async def test_an_overdue_step_that_no_loop_takes_is_taken(shell: Shell, audit: Audit) -> None:
    overdue = "clock_timestamp() - interval '2 minutes'"
    await damage(
        shell,
        f"UPDATE incidents SET due_at = {overdue}, state = jsonb_set(state, '{{due_at}}', to_jsonb({overdue}))",  # noqa: S608 - a constant
    )
    assert await found(audit) == {"overdue": ["e"]}
    assert (await stored(shell)).step == 1


async def test_a_mail_that_nobody_takes_and_one_that_is_held_for_ever(shell: Shell, audit: Audit) -> None:
    later = "clock_timestamp() + interval '1 year'"
    held = await shell.rows(outbox)
    await damage(shell, f"UPDATE outbox SET lease = gen_random_uuid(), lease_until = {later}")  # noqa: S608 - a constant
    assert await found(audit) == {"mail_held": [str(row.id) for row in held]}
    assert {row.lease for row in await shell.rows(outbox)} == {None}
    await damage(shell, "UPDATE outbox SET attempt_at = clock_timestamp() - interval '2 minutes'")
    assert list(await found(audit)) == ["mail_waiting"]
    assert shell.engine.signals.mail.is_set()


async def test_a_mail_that_waits_for_a_time_that_a_wrong_clock_wrote(shell: Shell, audit: Audit) -> None:
    longest = LONGEST_DELAY * 1.25
    await damage(shell, f"UPDATE outbox SET attempt_at = clock_timestamp() + interval '{longest} seconds'")  # noqa: S608 - a constant
    assert await found(audit) == {}
    mails = {str(row.id) for row in await shell.rows(outbox)}
    await damage(shell, "UPDATE outbox SET attempt_at = clock_timestamp() + interval '1 year'")
    assert {name: set(ids) for name, ids in (await found(audit)).items()} == {"mail_postponed": mails}
    assert (await claim(shell.database, new_holder(), 100)).count == len(mails)


async def test_mails_whose_incident_is_gone_hold_up_no_others(shell: Shell, audit: Audit) -> None:
    await damage(shell, "DELETE FROM incidents")
    lost = {str(row.id) for row in await shell.rows(outbox)}
    await shell.apply(report(shell.now, id="f", location="2"))
    assert (await claim(shell.database, new_holder(), len(lost))).count == 0
    assert {name: set(ids) for name, ids in (await found(audit)).items()} == {"mail_without_incident": lost}
    claimed = await claim(shell.database, new_holder(), len(lost))
    assert {mail.incident.id for mail in claimed.mails} == {"f"}


async def test_an_incident_that_cannot_be_read_hides_no_other_finding(shell: Shell, audit: Audit) -> None:
    await shell.apply(report(shell.now, id="f", location="2"))
    await damage(shell, "UPDATE incidents SET due_at = NULL")
    await damage(shell, "UPDATE incidents SET state = jsonb_set(state, '{kind}', '\"new\"') WHERE id = 'e'")
    assert await found(audit) == {"no_due_time": ["f"], "unreadable": ["e"]}
    assert await found(audit) == {"unreadable": ["e"]}


async def test_one_process_looks_at_a_time(shell: Shell, audit: Audit) -> None:
    await damage(shell, "UPDATE incidents SET due_at = NULL")
    async with shell.database.begin() as other:
        await other.execute(sa.text("SELECT pg_advisory_xact_lock(x'61756474'::int)"))
        assert await found(audit) == {}
    assert await found(audit) == {"no_due_time": ["e"]}
