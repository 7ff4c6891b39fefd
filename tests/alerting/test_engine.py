import asyncio
import json
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas import codec
from schemas.events import Acknowledged, Event
from services.alerting import store
from services.alerting.core.effects import Action, Click, Reason
from services.alerting.core.incident import Incident, Status
from services.alerting.database import in_transaction, is_data_fault
from services.alerting.desk.board import Board
from services.alerting.engine import Batch
from services.alerting.reading.leases import LeaseLostError, Position
from services.alerting.tables import events, held, incidents, inputs, outbox, relay
from tests.alerting.conftest import Shell
from tests.core.office import follow_up, report


async def only(shell: Shell) -> Incident:
    (row,) = await shell.rows(incidents)
    return store.from_json(row.state)


async def test_a_press_is_state_timeline_mails_and_lifecycle_in_one_commit(shell: Shell) -> None:
    await shell.apply(report(shell.now, id="e"))
    assert await shell.count() == {"incidents": 1, "inputs": 1, "outbox": 2 if await open_now(shell) else 1, "relay": 2}
    incident = await only(shell)
    assert incident.id == "e"
    headers = [dict(json.loads(row.headers)) for row in await shell.rows(relay)]
    assert [h["ce_type"] for h in headers] == ["rufkette.alert.opened.v1", "rufkette.alert.police_advised.v1"]


async def open_now(shell: Shell) -> bool:
    return shell.engine.rules().calendar.is_open("bernburg", shell.now)


async def test_the_same_event_is_applied_once(shell: Shell) -> None:
    event = report(shell.now, id="e", location=None)
    await shell.apply(event, event)
    await shell.apply(event)
    assert (await shell.count())["incidents"] == 1
    assert len(await shell.rows(events)) == 1


async def test_a_process_that_lost_its_lease_writes_nothing(shell: Shell, database: AsyncEngine) -> None:
    zombie = Shell(database, owner="zombie")
    with pytest.raises(LeaseLostError):
        await zombie.apply(report(shell.now))
    assert (await shell.count())["incidents"] == 0


async def test_a_position_that_moved_on_writes_nothing(shell: Shell) -> None:
    await shell.apply(report(shell.now))
    shell.offset = 0
    with pytest.raises(LeaseLostError):
        await shell.apply(report(shell.now, location="other"))
    assert (await shell.count())["incidents"] == 1


async def test_presses_at_one_place_from_two_partitions_are_one_incident(shell: Shell) -> None:
    presses = [report(shell.now, id=f"e{n}", site=None, site_text="Mars", location="1") for n in range(6)]
    for number in range(1, 6):
        await in_transaction(shell.database, partial(_lease, number=number))
    await asyncio.gather(*(_apply_to(shell, n, press) for n, press in enumerate(presses)))
    assert len(await shell.rows(incidents)) == 1


async def _lease(tx: AsyncConnection, number: int) -> None:
    await tx.execute(
        sa.text("INSERT INTO partitions (topic, partition, owner) VALUES ('incidents.events', :n, 'me')"), {"n": number}
    )


async def _apply_to(shell: Shell, partition: int, event: Event) -> None:
    await shell.engine.apply(Batch(Position("incidents.events", partition, 0), 1, event.id, [event]), "me")


async def test_a_follow_up_waits_for_its_report(shell: Shell) -> None:
    press = report(shell.now, id="late")
    early = Event(id="ack", source="bus", time=shell.now, data=Acknowledged(by="A"), subject="late")
    await shell.apply(early)
    assert len(await shell.rows(held)) == 1
    await shell.apply(press)
    assert (await only(shell)).status is Status.ACKNOWLEDGED
    assert await shell.rows(held) == []


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", [("first", "second", "ack"), ("first", "ack", "second"), ("ack", "first", "second")])
async def test_a_follow_up_may_name_a_report_that_joined(shell: Shell, order: tuple[str, ...], together: bool) -> None:
    """A sender knows the event that it sent, not the incident that it became part of."""
    about = {name: report(shell.now, id=name) for name in ("first", "second")}
    about["ack"] = Event(id="ack", source="bus", time=shell.now, data=Acknowledged(by="A"), subject="second")
    given = [about[name] for name in order]
    for batch in [given] if together else [[event] for event in given]:
        await shell.apply(*batch)
    incident = await only(shell)
    assert (incident.id, len(incident.reports), incident.status) == ("first", 2, Status.ACKNOWLEDGED)
    assert await shell.rows(held) == []


async def test_a_deadline_takes_the_next_step(shell: Shell) -> None:
    await shell.apply(report(shell.now))
    assert await shell.engine.fire(grace=False) == 0
    shell.later(2)
    assert await shell.engine.fire(grace=False) == 1
    assert (await only(shell)).step == 1
    assert await shell.engine.fire(grace=False) == 0


async def test_two_processes_fire_a_deadline_once(shell: Shell) -> None:
    await shell.apply(*(report(shell.now, location=f"room {n}") for n in range(20)))
    shell.later(3)
    fired = await asyncio.gather(*(shell.engine.fire(grace=False) for _ in range(4)))
    assert sum(fired) == 20


async def test_taking_over_withdraws_what_is_not_sent_yet(shell: Shell) -> None:
    await shell.apply(report(shell.now, id="e"))
    decision = await shell.engine.act("e", Click("A. Muster", (Action.ACKNOWLEDGE,)))
    assert decision.reason is Reason.ACKNOWLEDGED
    rows = await shell.rows(outbox)
    assert {(row.purpose, row.state) for row in rows} == {("alarm", "withdrawn"), ("taken_over", "due")}


async def test_of_two_clicks_at_once_one_is_first(shell: Shell) -> None:
    await shell.apply(report(shell.now, id="e"))
    clicks = [shell.engine.act("e", Click(f"person {n}", (Action.ACKNOWLEDGE,))) for n in range(5)]
    reasons = sorted(decision.reason for decision in await asyncio.gather(*clicks))
    assert reasons == [Reason.ACKNOWLEDGED, *[Reason.ALREADY_ACKNOWLEDGED] * 4]


async def test_a_click_on_an_unknown_incident(shell: Shell) -> None:
    with pytest.raises(LookupError):
        await shell.engine.act("nothing", Click("A", (Action.ACKNOWLEDGE,)))


async def test_replaying_the_stored_inputs_gives_the_stored_state(shell: Shell) -> None:
    await shell.apply(report(shell.now, id="e"), report(shell.now, id="f"))
    shell.later(2)
    await shell.engine.fire(grace=False)
    incident = await only(shell)
    await shell.apply(follow_up(Acknowledged(by="A"), incident, shell.now))
    shell.later(31)
    await shell.engine.fire(grace=False)
    rows = sorted(await shell.rows(inputs), key=lambda row: row.revision)
    assert [row.reason for row in rows] == ["opened", "merged", "step_due", "acknowledged", "acknowledgement_ran_out"]
    state: list[Incident] = []
    for row in rows:
        decision = store.replay(state, row.body, row.plans, now=row.at, rules=shell.engine.rules())
        assert decision.incident is not None
        state = [decision.incident]
    assert state == [await only(shell)]


async def test_data_that_postgresql_refuses_is_told_apart(shell: Shell) -> None:
    bad = report(shell.now).model_copy(update={"id": "nul\x00"})
    with pytest.raises(DBAPIError) as caught:
        await shell.apply(bad)
    assert is_data_fault(caught.value)
    assert (await shell.count())["incidents"] == 0


async def test_what_is_set_aside_waits_in_the_relay(shell: Shell) -> None:
    await shell.apply(rejected=(codec.Record(b"", b"\xff\x00", (("rufkette_reason", b"why"),)),))
    (row,) = await shell.rows(relay)
    assert (row.topic, row.value) == ("incidents.events.rejected", b"\xff\x00")


async def test_the_board_shows_the_worst_first(shell: Shell) -> None:
    board = Board(shell.engine)
    for level in (1, 3, 0, 2):
        await shell.apply(report(shell.now, id=f"level-{level}", location=f"room {level}", danger_level=level))
    assert [i.danger_level for i in await board.open()] == [3, 2, 1, 0]
    assert [entry.what for entry in await board.timeline("level-3")] == ["opened"]
    assert await board.find("nothing") is None


async def test_the_timeline_knows_who_called_when_taking_over(shell: Shell) -> None:
    board = Board(shell.engine)
    await shell.apply(report(shell.now, id="e"))
    await shell.engine.act("e", Click("A. Muster", (Action.ACKNOWLEDGE, Action.CALLED_POLICE)))
    await shell.engine.act("e", Click("B. Beispiel", (Action.CALLED_POLICE,)))
    told = [(entry.what, entry.by, entry.called) for entry in await board.timeline("e")]
    assert told == [
        ("opened", None, False),
        ("acknowledged", "A. Muster", True),
        ("police_called_again", "B. Beispiel", True),
    ]


async def said_since(shell: Shell, seen: int) -> list[tuple[str, dict[str, Any]]]:
    rows = sorted(await shell.rows(relay), key=lambda row: row.seq)[seen:]
    return [(dict(json.loads(row.headers))["ce_type"], json.loads(row.value)) for row in rows]


async def test_where_a_report_is_that_comes_again_is_said_again(shell: Shell) -> None:
    opening, joining = report(shell.now, id="e"), report(shell.now, id="f")
    await shell.apply(opening)
    await shell.apply(joining)
    seen = len(await shell.rows(relay))
    await shell.apply(opening, joining, report(shell.now, id="g", location="room 9"))
    again = (await said_since(shell, seen))[:2]
    assert [(kind, said["incident_id"], said["event_ids"]) for kind, said in again] == [
        ("rufkette.alert.merged.v1", "e", ["e"]),
        ("rufkette.alert.merged.v1", "e", ["f"]),
    ]


async def test_of_old_reports_that_come_again_nothing_is_said(shell: Shell) -> None:
    old = report(shell.now, id="e")
    await shell.apply(old)
    seen = len(await shell.rows(relay))
    shell.later(8 * 24 * 60)
    await shell.apply(old)
    assert await said_since(shell, seen) == []
