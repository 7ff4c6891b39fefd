"""Announced tests and planned silences in the database: what a decision is made under, and what ended."""

import dataclasses
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.configuration_sources import normalise_device_id
from schemas.events import Event, Reported
from services.alerting.core.effects import Decision, Input
from services.alerting.core.incident import Incident
from services.alerting.core.plans import AnnouncedTest, Plans, Silence
from services.alerting.desk.planning import Planned
from services.alerting.store import from_json
from services.alerting.tables import announced_tests, device_tests, incidents, silences

_LOOK_EVERY = timedelta(seconds=1)
_HELD_BY = sa.text("state -> 'hold' ->> 'silence_id' = :silence_id")


class InForce:
    """The plans in force, read in the transaction that decides; that there are none is believed for a second.

    So an office without plans pays nothing, a new plan counts within a second, and one that ended counts no longer
    at once: the lock makes ending a silence and holding a report back happen one after the other.
    """

    def __init__(self) -> None:
        self._none_at: datetime | None = None

    def forget(self) -> None:
        """This process has just made a plan."""
        self._none_at = None

    async def look(self, tx: AsyncConnection, now: datetime) -> Plans:
        """What is in force at `now`."""
        if self._none_at is not None and timedelta() <= now - self._none_at < _LOOK_EVERY:
            return Plans()
        running = silences.c.starts_at <= now, silences.c.ends_at > now, silences.c.told_at.is_(None)
        found = await tx.execute(sa.select(silences).where(*running).order_by(silences.c.id).with_for_update(read=True))
        quiet = tuple(silence_of(row) for row in found)
        tests = announced_tests.c
        tried = await tx.execute(
            sa.select(announced_tests).where(tests.starts_at <= now, tests.ends_at > now).order_by(tests.id)
        )
        plans = Plans(tuple(test_of(row) for row in tried), quiet)
        self._none_at = None if plans else now
        return plans


def test_of(row: sa.Row[Any]) -> AnnouncedTest:
    """A row as the core knows it."""
    return AnnouncedTest(row.id, row.site, tuple(row.devices), row.starts_at, row.ends_at, row.by)


def silence_of(row: sa.Row[Any]) -> Silence:
    """A row as the core knows it."""
    return Silence(row.id, row.site, row.device, row.starts_at, row.ends_at, row.reason, row.by)


async def record_tests(tx: AsyncConnection, journeys: Iterable[tuple[Input, Decision]]) -> None:
    """Keep the last press of each device within an announced test."""
    rows: dict[str, dict[str, object]] = {}
    for cause, decision in journeys:
        if not isinstance(cause, Event) or not isinstance(cause.data, Reported) or decision.incident is None:
            continue
        report = next((r for r in decision.incident.reports if r.event_id == cause.id), None)
        if report is not None and report.announced_test is not None and report.device_id is not None:
            device = normalise_device_id(report.device_id)
            rows[device] = {"device_id": device, "at": report.at, "test_id": report.announced_test}
            rows[device] |= {"event_id": report.event_id}
    if rows:
        # In order of id, so that two processes never wait for each other.
        statement = insert(device_tests).values([rows[device] for device in sorted(rows)])
        newest = {name: statement.excluded[name] for name in ("at", "test_id", "event_id")}
        older = device_tests.c.at < statement.excluded["at"]
        await tx.execute(statement.on_conflict_do_update(index_elements=["device_id"], set_=newest, where=older))


async def next_ended(tx: AsyncConnection, now: datetime) -> str | None:
    """A silence that is over and was not told; locked, and left to others that hold it."""
    query = (
        sa.select(silences.c.id)
        .where(silences.c.told_at.is_(None), silences.c.ends_at <= now)
        .order_by(silences.c.ends_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found: str | None = await tx.scalar(query)
    return found


async def still_held(tx: AsyncConnection, silence_id: str, limit: int) -> list[Incident]:
    """Incidents that nobody was told of because of this silence; locked."""
    query = (
        sa.select(incidents.c.state)
        .where(_HELD_BY, incidents.c.status == "open", sa.text("(state ->> 'step')::int < 0"))
        .order_by(incidents.c.id)
        .limit(limit)
        .with_for_update()
    )
    found = [from_json(row.state) for row in await tx.execute(query, {"silence_id": silence_id})]
    return [incident for incident in found if incident.held]


async def held_back_by(tx: AsyncConnection, silence_id: str) -> list[Incident]:
    """All incidents that it ever held back, whatever became of them, oldest first."""
    query = sa.select(incidents.c.state).where(_HELD_BY).order_by(incidents.c.opened_at, incidents.c.id)
    return [from_json(row.state) for row in await tx.execute(query, {"silence_id": silence_id})]


async def mark_told(tx: AsyncConnection, silence_id: str, now: datetime) -> None:
    """It is over, and everybody knows."""
    await tx.execute(sa.update(silences).where(silences.c.id == silence_id).values(told_at=now))


async def add_test(tx: AsyncConnection, test: AnnouncedTest) -> None:
    """Announce."""
    await tx.execute(sa.insert(announced_tests).values(dataclasses.asdict(test) | {"devices": list(test.devices)}))


async def add_silence(tx: AsyncConnection, silence: Silence) -> None:
    """Plan."""
    await tx.execute(sa.insert(silences).values(dataclasses.asdict(silence)))


async def end(tx: AsyncConnection, plan_id: str, by: str, now: datetime) -> str | None:
    """End a test or silence before its time; returns which of both it was, None if it was over already."""
    for table, kind in ((announced_tests, "test"), (silences, "silence")):
        running = table.c.id == plan_id, table.c.ends_at > now
        ended = await tx.execute(sa.update(table).where(*running).values(ends_at=now, ended_by=by))
        if ended.rowcount:
            return kind
    return None


async def planned(tx: AsyncConnection, now: datetime) -> Planned:
    """Everything that is not over."""
    tests = await tx.execute(
        sa.select(announced_tests).where(announced_tests.c.ends_at > now).order_by(announced_tests.c.starts_at)
    )
    quiet = (await tx.execute(sa.select(silences).where(silences.c.ends_at > now).order_by(silences.c.starts_at))).all()
    held: dict[str, tuple[str, ...]] = {}
    for row in quiet:
        ids = sa.select(incidents.c.id).where(_HELD_BY).order_by(incidents.c.opened_at)
        held[row.id] = tuple((await tx.execute(ids, {"silence_id": row.id})).scalars())
    last = await tx.execute(sa.select(device_tests.c.device_id, device_tests.c.at))
    plans = Plans(tuple(map(test_of, tests)), tuple(map(silence_of, quiet)))
    return Planned(plans, held, {row.device_id: row.at for row in last})


async def forget(tx: AsyncConnection, before: datetime) -> None:
    """Drop plans that ended before, with the names in them."""
    await tx.execute(sa.delete(announced_tests).where(announced_tests.c.ends_at < before))
    told = silences.c.told_at.is_not(None)
    await tx.execute(sa.delete(silences).where(silences.c.ends_at < before, told))
