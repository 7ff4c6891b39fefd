"""News of ingest's emergency mails find their incidents, whichever of them comes first."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from schemas.events import Acknowledged, Event
from services.alerting import store
from services.alerting.core.incident import Incident, Status
from services.alerting.tables import held, incidents, inputs
from tests.alerting.conftest import Shell
from tests.core.office import emergency_mail, report


def press(shell: Shell, event_id: str, **data: Any) -> Event:
    return report(shell.now, id=event_id, **data)


async def known(shell: Shell) -> dict[str, Incident]:
    return {row.id: store.from_json(row.state) for row in await shell.rows(incidents)}


async def mailed(shell: Shell) -> dict[str, datetime | None]:
    return {r.event_id: r.emergency_mailed_at for i in (await known(shell)).values() for r in i.reports}


async def test_after_the_report(shell: Shell) -> None:
    await shell.apply(press(shell, "a"))
    await shell.apply(emergency_mail(shell.now, "a"))
    assert await mailed(shell) == {"a": shell.now}
    assert [row.reason for row in await shell.rows(inputs)] == ["opened", "emergency_mailed"]
    assert await shell.rows(held) == []


async def test_before_the_report(shell: Shell) -> None:
    at = shell.now
    await shell.apply(emergency_mail(at, "a", "b", "c"))
    assert len(await shell.rows(held)) == 3
    shell.later(1)
    await shell.apply(press(shell, "a"))
    await shell.apply(press(shell, "b"))
    assert list(await known(shell)) == ["a"], "the second press joins the first"
    assert await mailed(shell) == {"a": at, "b": at}
    assert [row.incident_id for row in await shell.rows(held)] == ["c"]


async def test_about_a_thousand_reports_it_takes_no_more_statements_than_about_one(shell: Shell) -> None:
    async def statements(*ids: str) -> int:
        count = 0

        def one_more(*_: object) -> None:
            nonlocal count
            count += 1

        sa.event.listen(shell.database.sync_engine, "before_cursor_execute", one_more)
        await shell.apply(emergency_mail(shell.now, *ids))
        sa.event.remove(shell.database.sync_engine, "before_cursor_execute", one_more)
        return count

    few = await statements("one")
    assert await statements(*(f"report-{number}" for number in range(1_000))) == few > 0
    assert len(await shell.rows(held)) == 1_001


async def test_in_one_batch_in_any_order(shell: Shell) -> None:
    mail = emergency_mail(shell.now, "a", "b")
    await shell.apply(mail, press(shell, "a"), press(shell, "b", location="Zimmer 113"))
    assert await mailed(shell) == {"a": shell.now, "b": shell.now}
    assert await shell.rows(held) == []


async def test_about_a_report_that_joined_an_older_incident(shell: Shell) -> None:
    await shell.apply(press(shell, "a"))
    await shell.apply(press(shell, "b"))
    await shell.apply(emergency_mail(shell.now, "b"))
    assert await mailed(shell) == {"a": None, "b": shell.now}


async def test_all_that_waited_for_a_report_counts_when_it_joins(shell: Shell) -> None:
    follow_up = Event(id="x", source="bus", time=shell.now, data=Acknowledged(by="A"), subject="b")
    await shell.apply(follow_up, press(shell, "a"), emergency_mail(shell.now, "b"))
    await shell.apply(press(shell, "b"))
    assert await mailed(shell) == {"a": None, "b": shell.now}
    (row,) = await shell.rows(incidents)
    assert row.status == "acknowledged"
    assert await shell.rows(held) == []


async def test_a_follow_up_that_overtook_its_report_within_a_batch_counts(shell: Shell) -> None:
    follow_up = Event(id="x", source="bus", time=shell.now, data=Acknowledged(by="A"), subject="a")
    await shell.apply(follow_up, press(shell, "a"))
    assert (await known(shell))["a"].status is Status.ACKNOWLEDGED


async def test_a_repetition_changes_nothing(shell: Shell) -> None:
    mail = emergency_mail(shell.now, "a")
    await shell.apply(press(shell, "a"), mail)
    before = await known(shell)
    await shell.apply(mail, emergency_mail(shell.now, "a"))
    assert await known(shell) == before


async def test_the_timeline_replays_to_the_same_state(shell: Shell) -> None:
    await shell.apply(emergency_mail(shell.now, "a", "z"), press(shell, "a"))
    shell.later(1)
    await shell.apply(press(shell, "b"), emergency_mail(shell.now, "b"))
    state: Incident | None = None
    for row in sorted(await shell.rows(inputs), key=lambda row: row.revision):
        given = [state] if state is not None else []
        state = store.replay(given, row.body, None, now=row.at, rules=shell.engine.rules()).incident
    assert state == (await known(shell))["a"]
