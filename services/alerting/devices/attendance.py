"""Watches the devices that must report: takes in their signs of life, finds who is silent, and has it told once."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from prometheus_client import Gauge
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import topics
from schemas.configuration import Configuration
from services.alerting.core.devices import Check, DeviceState, Input, News, Noticed, Sign, judge, look_up, sites_to_tell
from services.alerting.core.maintenance import Notice, Snapshot, caretakers
from services.alerting.database import in_transaction, patiently
from services.alerting.devices import notices
from services.alerting.engine import Engine
from services.alerting.tables import device_signs, device_tests, devices, partitions
from services.alerting.upkeep.repeating import repeat
from services.common.outage import Outage

log = structlog.get_logger()

SILENT = Gauge("rufkette_devices_silent", "Devices that should have reported and did not.", ["source"])
BATTERY_LOW = Gauge("rufkette_devices_battery_low", "Devices whose battery is low.", ["source"])
_EVERY = 1.0
_ENTER_AGAIN = timedelta(minutes=5)
"""A process that was started with another configuration drops devices that it does not know."""
_SIGNS_AT_ONCE = 2000
_DEVICES_AT_ONCE = 2000
_LOCK = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended('devices', 1))")
_LOCK_PATIENTLY = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('devices', 1))")
_TAKE_SIGNS = sa.text("""
    WITH taken AS (
        DELETE FROM device_signs WHERE seq IN (SELECT seq FROM device_signs ORDER BY seq LIMIT :limit)
        RETURNING seq, device_id, at, battery
    )
    SELECT device_id, at, battery FROM taken ORDER BY seq
""").columns(device_signs.c.device_id, device_signs.c.at, device_signs.c.battery)


@dataclass(slots=True)
class _Round:
    """What one round decided; `noticed` goes into the log once it is stored."""

    now: datetime
    configuration: Configuration
    known: dict[str, DeviceState]
    noticed: list[tuple[News, DeviceState]] = field(default_factory=list)
    to_tell: dict[tuple[str, News], list[DeviceState]] = field(default_factory=lambda: defaultdict(list))

    def give(self, device_id: str, what: Input, collect: timedelta) -> None:
        """Judge one input; a device that this process's configuration does not have is left to others."""
        found, before = look_up(self.configuration, device_id), self.known.get(device_id)
        if found is None:
            return
        before = before or DeviceState(device_id, found.source_key, found.device.site)
        before = replace(before, source=found.source_key, site=found.device.site)
        after, effects = judge(before, what, now=self.now, known=found, collect=collect)
        self.known[device_id] = after
        for effect in effects:
            if isinstance(effect, Noticed):
                self.noticed.append((effect.news, after))
            else:
                self.to_tell[after.site, effect.news].append(after)


class Attendance:
    """Any number of processes may run it: one at a time does a round, so that a site's devices go into one mail."""

    def __init__(self, engine: Engine, database: Outage) -> None:
        self._engine = engine
        self._database = database
        self._entered: Configuration | None = None
        self._entered_at: datetime | None = None

    async def run(self) -> None:
        """Watch for ever."""
        await repeat("attendance", self._watch, _EVERY)

    async def _watch(self) -> None:
        await patiently(self._database, self.round)
        await patiently(self._database, self._measure)

    async def round(self, *, grace: bool = True) -> None:
        """Take in all signs of life, and look at every device that is due.

        With `grace` no device is found silent before everything that waits on Kafka is read: its sign of life may
        be there.
        """
        configuration = self._engine.rules().configuration
        now = self._engine.clock()
        if configuration is not self._entered:
            await in_transaction(self._engine.database, lambda tx: _enter(tx, configuration, now))
            self._entered, self._entered_at = configuration, now
        elif self._entered_at is None or now - self._entered_at >= _ENTER_AGAIN:
            await in_transaction(self._engine.database, lambda tx: _enter_missing(tx, configuration, now))
            self._entered_at = now
        while await self._anything(now):
            signs, noticed = await in_transaction(self._engine.database, lambda tx: self._judge(tx, now, grace=grace))
            for news, device in noticed:
                _say(news, device)
            if signs < _SIGNS_AT_ONCE:
                return

    async def all(self) -> Sequence[DeviceState]:
        """Every device as it is now, for the desk."""
        async with self._engine.database.connect() as connection:
            return [_state(row) for row in await connection.execute(sa.select(devices))]

    async def last_tests(self) -> Mapping[str, datetime]:
        """When each device was last pressed within an announced test, by normalised id."""
        async with self._engine.database.connect() as connection:
            rows = await connection.execute(sa.select(device_tests.c.device_id, device_tests.c.at))
            return {row.device_id: row.at for row in rows}

    async def _anything(self, now: datetime) -> bool:
        due = sa.exists().where(devices.c.due_at <= now)
        query = sa.select(sa.or_(sa.exists(sa.select(device_signs.c.seq)), due))
        async with self._engine.database.connect() as connection:
            return bool(await connection.scalar(query))

    async def _judge(
        self, tx: AsyncConnection, now: datetime, *, grace: bool
    ) -> tuple[int, Sequence[tuple[News, DeviceState]]]:
        if not await tx.scalar(_LOCK):
            return 0, ()
        rules = self._engine.rules()
        collect = rules.configuration.organisation.maintenance.collect
        signs = [Sign(*row) for row in await tx.execute(_TAKE_SIGNS, {"limit": _SIGNS_AT_ONCE})]
        concerned = devices.c.id.in_({sign.device_id for sign in signs})
        work = _Round(now, rules.configuration, await _load(tx, concerned))
        for sign in signs:
            work.give(sign.device_id, sign, collect)
        if len(signs) < _SIGNS_AT_ONCE and not (grace and await self._behind(tx)):
            await _check(tx, work, collect)
        await _save(tx, work.known.values())
        for (site, news), of_one in sorted(work.to_tell.items()):
            told = tuple(Snapshot(d.id, d.last_seen_at, d.battery) for d in sorted(of_one, key=lambda d: d.id))
            await notices.add(tx, Notice(site, news, told), caretakers(rules, site), now)
        return len(signs), work.noticed

    async def _behind(self, tx: AsyncConnection) -> bool:
        topic = topics.prefixed(topics.EVENTS, self._engine.topic_prefix)
        long_ago = sa.func.coalesce(partitions.c.caught_up_at, sa.text("'-infinity'::timestamptz"))
        late = long_ago < sa.func.clock_timestamp() - sa.text("interval '3 seconds'")
        return bool(await tx.scalar(sa.select(sa.exists().where(partitions.c.topic == topic, late))))

    async def _measure(self) -> None:
        silent, low = (sa.func.count(column) for column in (devices.c.silent_since, devices.c.low_since))
        async with self._engine.database.connect() as connection:
            rows = await connection.execute(sa.select(devices.c.source, silent, low).group_by(devices.c.source))
            found = {source: counts for source, *counts in rows}
        for source in {*self._engine.rules().configuration.sources, *found}:
            count_silent, count_low = found.get(source, (0, 0))
            SILENT.labels(source).set(count_silent)
            BATTERY_LOW.labels(source).set(count_low)


async def _enter(tx: AsyncConnection, configuration: Configuration, now: datetime) -> None:
    """Enter the devices of the configuration, drop the others; all are looked at anew: what is expected may differ."""
    await tx.execute(_LOCK_PATIENTLY)
    await tx.execute(sa.delete(devices).where(devices.c.id.not_in(sorted(configuration.register))))
    for new in _as_new(configuration, now):
        same = {name: new.excluded[name] for name in ("source", "site", "due_at")}
        await tx.execute(new.on_conflict_do_update(index_elements=["id"], set_=same))


async def _enter_missing(tx: AsyncConnection, configuration: Configuration, now: datetime) -> None:
    """Devices that another process has dropped are expected from now on."""
    await tx.execute(_LOCK_PATIENTLY)
    for new in _as_new(configuration, now):
        await tx.execute(new.on_conflict_do_nothing())


def _as_new(configuration: Configuration, now: datetime) -> Iterator[Insert]:
    rows = [
        {"id": id_, "source": key, "site": configuration.sources[key].devices[spelt].site, "due_at": now}
        for id_, (key, spelt) in sorted(configuration.register.items())
    ]
    for start in range(0, len(rows), _DEVICES_AT_ONCE):
        yield insert(devices).values(rows[start : start + _DEVICES_AT_ONCE])


async def _check(tx: AsyncConnection, work: _Round, collect: timedelta) -> None:
    """Everything that is due, and with it all that changed at a site where something is to be told."""
    due = await _load(tx, devices.c.due_at <= work.now)
    # What a sign has changed in this round is newer than its row.
    for device_id in due | {key: state for key, state in work.known.items() if _is_due(state, work.now)}:
        work.known.setdefault(device_id, due.get(device_id) or work.known[device_id])
        work.give(device_id, Check(), collect)
    sites = sites_to_tell(work.known.values(), work.now, collect)
    if sites:
        changed = await _load(tx, sa.and_(devices.c.site.in_(sites), devices.c.changed_at.is_not(None)))
        work.known = changed | work.known
        for device in [d for d in work.known.values() if d.site in sites and d.changed_at is not None]:
            work.give(device.id, Check(tell=True), collect)


def _is_due(device: DeviceState, now: datetime) -> bool:
    return device.due_at is not None and device.due_at <= now


async def _load(tx: AsyncConnection, which: sa.ColumnElement[bool]) -> dict[str, DeviceState]:
    return {row.id: _state(row) for row in await tx.execute(sa.select(devices).where(which))}


async def _save(tx: AsyncConnection, states: Iterable[DeviceState]) -> None:
    rows = [asdict(state) for state in sorted(states, key=lambda state: state.id)]
    for start in range(0, len(rows), _DEVICES_AT_ONCE):
        new = insert(devices).values(rows[start : start + _DEVICES_AT_ONCE])
        same = {column.name: new.excluded[column.name] for column in devices.c if not column.primary_key}
        await tx.execute(new.on_conflict_do_update(index_elements=["id"], set_=same))


def _state(row: sa.Row[Any]) -> DeviceState:
    return DeviceState(**row._asdict())


def _say(news: News, device: DeviceState) -> None:
    about = {"device_id": device.id, "source": device.source, "site": device.site}
    match news:
        case News.SILENT:
            log.warning("device.silent", **about)
        case News.RECOVERED:
            log.info("device.recovered", **about)
        case News.BATTERY_LOW:
            log.warning("device.battery_low", **about)
        case News.BATTERY_RESTORED:
            log.info("device.battery_restored", **about)
