"""An upgrade as operations do it: one process after the other, and migrations while others work."""

import asyncio
import random
from functools import partial

import asyncpg

from services.alerting.migrations.apply import migrate_async
from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.gateway import Gateway
from tests.support.leases import shared
from tests.support.mails import mails_about, wait_for_mails
from tests.support.office import all_mailed, assert_nothing_lost_and_nothing_doubled
from tests.support.service import Service
from tests.support.waiting import eventually


async def test_a_rolling_restart_loses_and_doubles_nothing(office: Chain, second: Service) -> None:
    gateway, chance = Gateway(office), random.Random(51)  # noqa: S311 – no secret
    stream = asyncio.create_task(gateway.stream(150, chance, apart=0.06))

    async def answered() -> int:
        return len(gateway.answered)

    for enough, service in ((20, office.alerting), (70, second)):
        await eventually(answered, lambda count, enough=enough: count >= enough, within=30)  # type: ignore[misc]
        await asyncio.to_thread(service.stop)
        assert service.exit_code == 0
        await service.start()
        await shared(office, office.alerting, second)
    pressed = await stream
    assert gateway.failed == 0
    await all_mailed(office, pressed)
    await assert_nothing_lost_and_nothing_doubled(office, pressed)
    assert [event_id for event_id in pressed if len(mails_about(office.sink, event_id)) != 1] == []


async def test_a_migration_while_another_process_works(office: Chain, second: Service) -> None:
    """The newest one, from the version before it, as presses stream in."""
    gateway, chance = Gateway(office), random.Random(52)  # noqa: S311 – no secret
    stream = asyncio.create_task(gateway.stream(200, chance, apart=0.06))

    async def answered() -> int:
        return len(gateway.answered)

    await eventually(answered, lambda count: count >= 20)
    await asyncio.to_thread(second.stop)
    await rows(office.database_url, "drop table retention_holds")
    await rows(office.database_url, "update alembic_version set version_num = '0009'")
    second.spawn()
    await second.wait_for_event("migration.applied", revision="0010")
    assert not stream.done()
    await second.wait_ready()
    assert await rows(office.database_url, "select 1 from retention_holds") == []
    await shared(office, office.alerting, second)
    pressed = await stream
    assert gateway.failed == 0
    await all_mailed(office, pressed)
    await assert_nothing_lost_and_nothing_doubled(office, pressed)
    assert [event_id for event_id in pressed if len(mails_about(office.sink, event_id)) != 1] == []


async def test_a_process_of_this_version_starts_beside_a_newer_one(chain: Chain) -> None:
    """It was killed in the middle of the upgrade, or the upgrade is taken back."""
    chain.alerting.kill()
    await rows(chain.database_url, "alter table senders add column news text")
    await rows(chain.database_url, "update alembic_version set version_num = '9999'")
    await chain.alerting.start()
    assert chain.alerting.events("migration.newer", revision="9999")
    event_id = await chain.press()
    assert await wait_for_mails(chain.sink, event_id, 1)


async def test_a_migration_holds_nobody_up_and_waits_for_nothing_for_ever(empty_database_url: str) -> None:
    """It needs a table that somebody keeps locked: it lets go again and again until that one has finished."""
    await migrate_async(empty_database_url)
    await rows(empty_database_url, "update alembic_version set version_num = '0004'")
    await rows(empty_database_url, "drop table suspects, troubles")
    holder = await asyncpg.connect(empty_database_url)
    try:
        async with holder.transaction():
            await holder.execute("lock table alembic_version in access exclusive mode")
            migration = asyncio.create_task(migrate_async(empty_database_url))
            waits = "select 1 from pg_locks where not granted"
            looking = partial(rows, empty_database_url, waits)
            await eventually(looking, bool)
            await eventually(looking, lambda waiting: not waiting)  # after a second; else it would wait for ever
            assert not migration.done()
        await asyncio.wait_for(migration, 15)
    finally:
        await holder.close()
    assert await rows(empty_database_url, "select 1 from suspects") == []


async def test_a_process_that_stopped_while_migrating_blocks_nobody_for_ever(empty_database_url: str) -> None:
    holder = await asyncpg.connect(empty_database_url, server_settings={"idle_in_transaction_session_timeout": "1000"})
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("select pg_advisory_xact_lock(x'52756665'::int)")  # the migrations' own, as if it stopped now
    await migrate_async(empty_database_url)
    assert await rows(empty_database_url, "select 1 from incidents") == []
    assert holder.is_closed(), "the database has ended the stopped process's session"
