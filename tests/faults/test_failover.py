"""PostgreSQL fails over to a synchronous standby: what was answered is still there, and the alarms go on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.embedded import postgres as embedded
from services.embedded.process import run_once
from tests.faults.chaos.network import Link
from tests.support.chain import Chain, alerting_service
from tests.support.database import rows
from tests.support.mails import link_in, mails_about, press_button, wait_for_mails
from tests.support.office import all_mailed, office_on, one_mail_an_incident, start_both
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.waiting import eventually


@pytest.fixture
async def pair(postgres_directory: Path) -> AsyncIterator[tuple[PostgresServer, PostgresServer]]:
    """A primary, and a standby that has every commit before it is answered."""
    primary, standby = PostgresServer(postgres_directory / "primary"), PostgresServer(postgres_directory / "standby")
    try:
        primary.start()
        _copy(primary, standby)
        standby.launch()
        primary.execute("alter system set synchronous_standby_names = '*'")
        primary.execute("select pg_reload_conf()")

        async def state() -> str:
            return primary.execute("select sync_state from pg_stat_replication")

        await eventually(state, lambda found: found == "sync")
        yield primary, standby
    finally:
        standby.stop()
        primary.kill()


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


async def test_the_standby_knows_all_and_alarms_go_on(
    kafka_server: KafkaServer, pair: tuple[PostgresServer, PostgresServer], tmp_path: Path
) -> None:
    primary, standby = pair
    address = Link(primary.postgres.port)  # what moves to the standby: an address, a name or a proxy
    await address.start()
    async with office_on(kafka_server, primary, tmp_path, one_mail_an_incident) as chain:
        through = chain.database_url.replace(f":{primary.postgres.port}/", f":{address.port}/")
        alerting = chain.alerting = alerting_service(chain.around, through, chain.sink.url)
        try:
            await start_both(chain)
            first, second = [await chain.press({"site": "bernburg", "location": f"Zimmer {n}"}) for n in (1, 2)]
            (mail,) = await wait_for_mails(chain.sink, first, 1)
            await all_mailed(chain, [first, second])
            await press_button(link_in(mail), name="A. Muster", action="acknowledge")
            address.cut()
            primary.kill()
            third = await chain.press({"site": "bernburg", "location": "Zimmer 3"})
            standby.execute("select pg_promote()")
            address.target = standby.postgres.port
            address.heal()
            chain.database_url = standby.url(chain.database_url.rpartition("/")[2])
            await wait_for_mails(chain.sink, third, 1)
            await _as_before(chain, first, second, third)
        finally:
            alerting.stop()
            await address.stop()


async def _as_before(chain: Chain, first: str, second: str, third: str) -> None:
    """The take-over is known, nothing was lost, and nothing is mailed twice."""
    found = {row["id"]: row["status"] for row in await rows(chain.database_url, "select id, status from incidents")}
    assert found == {first: "acknowledged", second: "open", third: "open"}
    await all_mailed(chain, found)
    assert [len(mails_about(chain.sink, id_, "alarm")) for id_ in found] == [1, 1, 1]
    assert chain.alerting.events("database.unreachable")
    await asyncio.gather(chain.alerting.wait_ready(), chain.ingest.wait_ready())
