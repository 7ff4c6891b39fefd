"""PostgreSQL fails over to a standby: with a synchronous one nothing is forgotten, and no press with any."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.embedded import postgres as embedded
from services.embedded.process import run_once
from tests.faults.chaos.network import Link
from tests.support.chain import Chain, alerting_service
from tests.support.database import rows
from tests.support.mails import link_in, mails_about, press_button, wait_for_mails
from tests.support.office import (
    all_mailed,
    assert_nothing_lost_and_nothing_doubled,
    office_on,
    one_mail_an_incident,
    start_both,
)
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.waiting import eventually


@dataclass(frozen=True, slots=True)
class Pair:
    """What runs, what takes over from it, and the address that moves from one to the other."""

    primary: PostgresServer
    standby: PostgresServer
    address: Link

    async def wait_for(self, sql: str, wanted: str) -> None:
        """Until the primary says so."""

        async def found() -> str:
            return self.primary.execute(sql)

        await eventually(found, lambda found: found == wanted)

    async def fail_over(self, chain: Chain, meanwhile: Callable[[], Awaitable[str]]) -> str:
        """The primary dies, something happens, the standby takes its place."""
        self.address.cut()
        self.primary.kill()
        happened = await meanwhile()
        self.standby.execute("select pg_promote()")
        self.address.target = self.standby.postgres.port
        self.address.heal()
        chain.database_url = self.standby.url(chain.database_url.rpartition("/")[2])
        return happened


@pytest.fixture
async def pair(postgres_directory: Path) -> AsyncIterator[Pair]:
    """A primary, and a standby that follows it."""
    name = uuid.uuid4().hex[:8]
    primary, standby = (PostgresServer(postgres_directory / f"{role}-{name}") for role in ("primary", "standby"))
    try:
        primary.start()
        _copy(primary, standby)
        standby.launch()
        address = Link(primary.postgres.port)  # an address, a name or a proxy
        await address.start()
        try:
            pair = Pair(primary, standby, address)
            await pair.wait_for("select state from pg_stat_replication", "streaming")
            yield pair
        finally:
            await address.stop()
    finally:
        standby.stop()
        primary.kill()


@asynccontextmanager
async def an_office(kafka: KafkaServer, pair: Pair, directory: Path) -> AsyncIterator[Chain]:
    """Both services run; alerting's way to its database is the pair's address."""
    async with office_on(kafka, pair.primary, directory, one_mail_an_incident) as chain:
        through = chain.database_url.replace(f":{pair.primary.postgres.port}/", f":{pair.address.port}/")
        alerting = chain.alerting = alerting_service(chain.around, through, chain.sink.url)
        try:
            await start_both(chain)
            yield chain
        finally:
            alerting.stop()


def _copy(primary: PostgresServer, standby: PostgresServer) -> None:
    place = standby.postgres.directory
    place.mkdir()
    if (user := embedded._user()) is not None:
        embedded._hand_over(place)
    command = [
        embedded._program("pg_basebackup"), "-h", "127.0.0.1", "-p", str(primary.postgres.port), "-U", "postgres",
        "-D", str(standby.postgres._cluster), "--write-recovery-conf", "--checkpoint=fast",
    ]  # fmt: skip
    run_once(command, what="copying PostgreSQL", user=user, env=embedded._environment())


async def press_in(chain: Chain, room: int) -> str:
    return await chain.press({"site": "bernburg", "location": f"Zimmer {room}"})


async def states(chain: Chain) -> dict[str, str]:
    return {row["id"]: row["status"] for row in await rows(chain.database_url, "select id, status from incidents")}


async def test_the_standby_knows_all_and_alarms_go_on(kafka_server: KafkaServer, pair: Pair, tmp_path: Path) -> None:
    pair.primary.execute("alter system set synchronous_standby_names = '*'")
    pair.primary.execute("select pg_reload_conf()")
    await pair.wait_for("select sync_state from pg_stat_replication", "sync")
    async with an_office(kafka_server, pair, tmp_path) as chain:
        first, second = [await press_in(chain, room) for room in (1, 2)]
        (mail,) = await wait_for_mails(chain.sink, first, 1)
        await all_mailed(chain, [first, second])
        await press_button(link_in(mail), name="A. Muster", action="acknowledge")
        third = await pair.fail_over(chain, lambda: press_in(chain, 3))
        await wait_for_mails(chain.sink, third, 1)
        # The take-over is known, nothing was lost, and nothing is mailed twice.
        assert await states(chain) == {first: "acknowledged", second: "open", third: "open"}
        await all_mailed(chain, [first, second, third])
        assert [len(mails_about(chain.sink, id_, "alarm")) for id_ in (first, second, third)] == [1, 1, 1]
        assert chain.alerting.events("database.unreachable")
        await asyncio.gather(chain.alerting.wait_ready(), chain.ingest.wait_ready())


async def test_a_standby_that_lags_forgets_clicks_and_no_press(
    kafka_server: KafkaServer, pair: Pair, tmp_path: Path
) -> None:
    async with an_office(kafka_server, pair, tmp_path) as chain:
        first = await press_in(chain, 1)
        (mail,) = await wait_for_mails(chain.sink, first, 1)
        await all_mailed(chain, [first])
        await _fall_behind(pair)
        await press_button(link_in(mail), name="A. Muster", action="acknowledge")
        forgotten = [await press_in(chain, room) for room in (2, 3, 4)]
        await all_mailed(chain, forgotten)
        meanwhile = await pair.fail_over(chain, lambda: press_in(chain, 5))
        later = await press_in(chain, 6)
        # What it had not heard of is read from Kafka again, and mailed again, as the same mail.
        await all_mailed(chain, [meanwhile, later])
        pressed = [first, *forgotten, meanwhile, later]
        assert await states(chain) == dict.fromkeys(pressed, "open")
        await assert_nothing_lost_and_nothing_doubled(chain, pressed)
        assert [len(mails_about(chain.sink, id_, "alarm")) for id_ in pressed] == [1, 2, 2, 2, 1, 1]
        # The page still takes over: the next steps had come otherwise.
        await press_button(link_in(mail), name="A. Muster", action="acknowledge")
        assert (await states(chain))[first] == "acknowledged"
        await asyncio.gather(chain.alerting.wait_ready(), chain.ingest.wait_ready())


async def _fall_behind(pair: Pair) -> None:
    """All that was committed until now is on the standby, and nothing after it."""
    await pair.wait_for("select bool_and(replay_lsn >= pg_current_wal_flush_lsn()) from pg_stat_replication", "t")
    pair.standby.execute("alter system set primary_conninfo = ''")
    pair.standby.execute("select pg_reload_conf()")
    await pair.wait_for("select count(*) from pg_stat_replication", "0")
