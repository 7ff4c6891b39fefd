"""Joining two incidents and splitting one on a real database: one commit, locks, and replay from what was stored."""

import asyncio
import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from schemas.events import Acknowledged, Closed, Event, Outcome, PoliceRequested
from services.alerting import regrouping, store
from services.alerting.core.effects import Action, Click, Reason
from services.alerting.core.incident import Incident, Status
from services.alerting.desk.board import Board
from services.alerting.reporting.reports import Reporting
from services.alerting.tables import incidents, inputs, outbox, relay
from services.alerting.upkeep import housekeeping
from tests.alerting.conftest import Shell
from tests.core.office import BERLIN, report
from tests.support.waiting import eventually

_WAITING = sa.text("""
    SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
""")
WHY = {"by": "A. Muster", "reason": "dieselbe Sache"}


async def state(shell: Shell, incident_id: str) -> Incident:
    async with shell.database.connect() as connection:
        found = await store.load(connection, incident_id)
    assert found is not None
    return found


async def two(shell: Shell) -> None:
    await shell.apply(
        report(shell.now, id="room", danger_level=2),
        report(shell.now, id="corridor", location="Flur", danger_level=1, source="forms", kind="form"),
    )


async def replayed(shell: Shell, incident_id: str) -> list[Incident]:
    known: list[Incident] = []
    for row in sorted(await shell.rows(inputs), key=lambda row: row.revision):
        if row.incident_id == incident_id:
            decision = store.replay(known, row.body, row.plans, now=row.at, rules=shell.engine.rules())
            assert decision.incident is not None
            known = [decision.incident]
    return known


async def published(shell: Shell) -> list[tuple[str, dict[str, object]]]:
    rows = sorted(await shell.rows(relay), key=lambda row: row.seq)
    return [(dict(json.loads(row.headers))["ce_type"].split(".")[2], json.loads(row.value)) for row in rows]


async def test_joining_is_one_commit_and_stops_the_alarm(shell: Shell) -> None:
    await two(shell)
    decision = await regrouping.join(shell.engine, "room", "corridor", **WHY)
    assert decision.reason is Reason.JOINED_REALARMED
    room, corridor = await state(shell, "room"), await state(shell, "corridor")
    assert (room.status, room.due_at, corridor.status) == (Status.CLOSED, None, Status.OPEN)
    assert corridor.event_ids == ("corridor", "room")
    mails = {(row.incident_id, row.purpose, row.state) for row in await shell.rows(outbox)}
    assert ("room", "alarm", "withdrawn") in mails
    assert ("room", "alarm", "due") not in mails
    assert ("room", "joined", "due") in mails
    (row,) = [row for row in await shell.rows(incidents) if row.id == "room"]
    assert (row.joined_into, row.joined_at, row.closed_at) == ("corridor", shell.now, shell.now)
    changes = [(change, data["incident_id"], data.get("into")) for change, data in await published(shell)]
    assert ("merged", "corridor", None) in changes
    assert ("merged", "room", "corridor") in changes
    ids = [dict(json.loads(row.headers))["ce_id"] for row in await shell.rows(relay)]
    assert len(ids) == len(set(ids))


async def test_replaying_the_stored_inputs_gives_both_states(shell: Shell) -> None:
    await two(shell)
    await shell.apply(report(shell.now, id="again", source="others"))
    await shell.engine.act("room", Click("B. Beispiel", (Action.CALLED_POLICE, Action.HAND_OVER)))
    shell.later(1)
    await regrouping.join(shell.engine, "room", "corridor", **WHY)
    shell.later(1)
    await shell.engine.act("corridor", Click("C. Beispiel", (Action.ACKNOWLEDGE,)))
    shell.later(1)
    split = await regrouping.split(shell.engine, "corridor", ["room"], **WHY)
    assert split.reason is Reason.SPLIT_OFF
    await regrouping.split(shell.engine, "corridor", ["again"], **WHY)
    for incident_id in ("room", "corridor", "again"):
        assert await replayed(shell, incident_id) == [await state(shell, incident_id)]
    room, corridor = await state(shell, "room"), await state(shell, "corridor")
    assert ([call.by for call in room.calls], corridor.calls) == (["B. Beispiel"], ())
    assert room.status is Status.OPEN
    (row,) = [row for row in await shell.rows(incidents) if row.id == "room"]
    assert (row.joined_into, row.joined_at, row.closed_at) == (None, None, None)


async def test_who_acts_on_the_joined_one_acts_on_the_other(shell: Shell) -> None:
    await two(shell)
    await regrouping.join(shell.engine, "room", "corridor", **WHY)
    await shell.apply(Event(id="x", source="bus", time=shell.now, data=Acknowledged(by="A"), subject="room"))
    assert (await state(shell, "corridor")).status is Status.ACKNOWLEDGED
    decision = await shell.engine.act("room", Click("B", (Action.CALLED_POLICE,)))
    assert decision.incident is not None
    assert (decision.incident.id, [call.by for call in decision.incident.calls]) == ("corridor", ["B"])
    assert (await state(shell, "room")).calls == ()


async def test_who_ends_the_joined_one_ends_nothing_else(shell: Shell) -> None:
    await two(shell)
    await regrouping.join(shell.engine, "room", "corridor", **WHY)
    click = Click("B", (Action.CLOSE,), outcome=Outcome.FALSE_ALARM)
    assert (await shell.engine.act("room", click)).reason is Reason.ALREADY_JOINED
    ended = Closed(by="B", outcome=Outcome.FALSE_ALARM)
    await shell.apply(Event(id="x", source="bus", time=shell.now, data=ended, subject="room"))
    assert (await state(shell, "corridor")).status is Status.OPEN


async def test_names_and_reasons_are_forgotten_with_the_rest(shell: Shell) -> None:
    await two(shell)
    await shell.engine.act("corridor", Click("C. Beispiel", (Action.ACKNOWLEDGE,)))
    await regrouping.join(shell.engine, "room", "corridor", **WHY)
    shell.later(60 * 24 * 181)
    await housekeeping.clean(shell.engine)
    (row,) = [row for row in await shell.rows(incidents) if row.id == "room"]
    assert row.forgotten
    for text in (*WHY.values(), "C. Beispiel"):
        assert text not in str(row.state)
    assert "corridor" in str(row.state)


async def test_a_chain_of_joinings_leads_to_its_end(shell: Shell) -> None:
    await two(shell)
    await shell.apply(report(shell.now, id="hall", location="Halle"))
    await regrouping.join(shell.engine, "room", "corridor", **WHY)
    await regrouping.join(shell.engine, "corridor", "hall", **WHY)
    await shell.apply(Event(id="x", source="bus", time=shell.now, data=PoliceRequested(by="A"), subject="room"))
    assert [call.by for call in (await state(shell, "hall")).calls] == ["A"]


async def test_a_press_at_the_place_of_the_joined_one_belongs_to_the_other(shell: Shell) -> None:
    await two(shell)
    await regrouping.join(shell.engine, "room", "corridor", **WHY)
    shell.later(1)
    await shell.apply(report(shell.now, id="again"))
    assert (await state(shell, "corridor")).event_ids == ("corridor", "room", "again")
    assert len(await shell.rows(incidents)) == 2


async def test_presses_while_it_is_joined_are_lost_nowhere(shell: Shell) -> None:
    await two(shell)
    presses = [report(shell.now, id=f"p{number}", location=("112", "Flur")[number % 2]) for number in range(10)]

    async def press() -> None:
        for one in presses:
            await shell.apply(one)

    await asyncio.gather(press(), regrouping.join(shell.engine, "room", "corridor", **WHY))
    room, corridor = await state(shell, "room"), await state(shell, "corridor")
    assert len(await shell.rows(incidents)) == 2
    assert set(corridor.event_ids) == {"room", "corridor", *(one.id for one in presses)}
    assert room.joined is not None


async def test_of_many_who_join_crosswise_one_is_first(shell: Shell) -> None:
    await two(shell)
    pairs = [("room", "corridor"), ("corridor", "room")] * 4
    decisions = await asyncio.gather(*(regrouping.join(shell.engine, *pair, **WHY) for pair in pairs))
    reasons = sorted(decision.reason for decision in decisions)
    assert reasons.count(Reason.ALREADY_JOINED) == 7
    ended = [row.id for row in await shell.rows(incidents) if row.joined_into]
    assert len(ended) == 1


async def test_what_is_refused_leaves_no_trace(shell: Shell) -> None:
    await two(shell)
    before = await shell.count()
    assert (await regrouping.join(shell.engine, "room", "room", **WHY)).reason is Reason.SAME_INCIDENT
    assert (await regrouping.split(shell.engine, "room", ["room"], **WHY)).reason is Reason.FIRST_REPORT
    assert (await regrouping.split(shell.engine, "room", ["x"], **WHY)).reason is Reason.UNKNOWN_REPORT
    for known, unknown in (("room", "nothing"), ("nothing", "room")):
        with pytest.raises(LookupError):
            await regrouping.join(shell.engine, known, unknown, **WHY)
    with pytest.raises(LookupError):
        await regrouping.split(shell.engine, "nothing", ["x"], **WHY)
    assert await shell.count() == before


async def test_what_is_split_off_alarms_though_somebody_took_over_the_whole(shell: Shell) -> None:
    await shell.apply(report(shell.now, id="room"), report(shell.now, id="second"))
    await shell.apply(Event(id="x", source="bus", time=shell.now, data=Acknowledged(by="A"), subject="second"))
    assert (await state(shell, "room")).status is Status.ACKNOWLEDGED
    await regrouping.split(shell.engine, "room", ["second"], **WHY)
    assert (await state(shell, "room")).status is Status.ACKNOWLEDGED
    assert (await state(shell, "second")).status is Status.OPEN


async def test_the_board_tells_what_can_be_joined_and_why_it_was(shell: Shell) -> None:
    board = Board(shell.engine)
    await two(shell)
    await shell.apply(
        report(shell.now, id="drill", mode="exercise"),
        report(shell.now, id="kiosk", site="kiosk"),
        report(shell.now, id="nowhere", site=None, site_text="?", location="?"),
        report(shell.now, id="over", location="Keller"),
    )
    await shell.engine.act("over", Click("A", (Action.CLOSE,), outcome=Outcome.RESOLVED))
    room, nowhere = await state(shell, "room"), await state(shell, "nowhere")
    assert [one.id for one in await board.could_join(room)] == ["corridor"]
    assert {one.id for one in await board.could_join(nowhere)} == {"room", "corridor", "kiosk"}
    await board.join("room", "corridor", **WHY)
    told = [(entry.what, entry.by, entry.why) for entry in await board.timeline("room")]
    assert told[-1] == ("joined_into", "A. Muster", "dieselbe Sache")
    assert [entry.why for entry in await board.timeline("corridor")] == [None, "dieselbe Sache"]


async def test_the_report_counts_it_once_from_the_joining_on(shell: Shell) -> None:
    await two(shell)
    shell.later(1)
    await shell.engine.act("room", Click("B", (Action.ACKNOWLEDGE, Action.CALLED_POLICE)))
    shell.later(60 * 30)
    await regrouping.join(shell.engine, "room", "corridor", **WHY)
    reporting, day = Reporting(shell.database, shell.engine.rules()), shell.now.astimezone(BERLIN).date()
    found = await reporting.year(day.year)
    assert (found.incidents, found.joined) == (["corridor"], ["room"])
    assert (found.police_requested, found.police_calls) == (["corridor"], 1)
    before = await reporting.year(day.year, day - timedelta(days=1))
    assert (before.incidents, before.police_requested) == (["corridor", "room"], ["room"])
    await regrouping.split(shell.engine, "corridor", ["room"], **WHY)
    again = await reporting.year(day.year)
    assert (again.incidents, again.joined, again.police_requested) == (["corridor", "room"], [], ["room"])


async def test_the_lock_waits_for_a_report_that_is_looking_for_its_incident(shell: Shell) -> None:
    await two(shell)
    async with shell.database.connect() as other:
        await other.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('bernburg/r112', 0))"))
        joining = asyncio.create_task(regrouping.join(shell.engine, "room", "corridor", **WHY))
        assert await eventually(lambda: other.scalar(_WAITING), bool)
        assert not joining.done()
    assert (await joining).reason is Reason.JOINED_REALARMED
