"""Alerting's loops in a process that ends right after its n-th effect (see `tests.support.crashing`).

Job `reading`: consumer, leases and relay, until everything is applied and published; with a mail server the mail loop,
too, until everything is mailed. Job `mailing`: the mail loop alone. Job `firing`: timers.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerting import one_trip, timers
from services.alerting.consumer import Consumer
from services.alerting.core.policy import Rules
from services.alerting.database import create_engine
from services.alerting.desk.tokens import Tokens
from services.alerting.engine import Engine
from services.alerting.mailer import Mailer
from services.alerting.mailing import outbox
from services.alerting.mailing.letters import Letters
from services.alerting.relay import LifecycleRelay
from services.alerting.tables import metadata
from services.alerting.timers import Timers
from services.common.loops import Loop, run_together
from services.common.mail.route import MailRoute
from services.common.mail.smtp import parse_smtp_url
from services.common.outage import Outage
from services.common.settings import AlertingSettings
from tests.alerting.mailing import MAIL_FROM
from tests.core.office import CONFIGURATION, MONDAY, rules
from tests.support.crashing import Fuse, burning, watch_smtp

RULES: Rules = rules(
    policies={name: policy | {"acknowledged_for": "4m"} for name, policy in CONFIGURATION["policies"].items()}
)
RULES.calendar.is_open("bernburg", MONDAY)  # it loads the holidays, which no child has to do again
_TABLE = re.compile(rf"\b({'|'.join(metadata.tables)})\b")
_WRITES = ("insert", "update", "delete", "with")
_UNSENT = "select count(*) from outbox where state = 'due'"
_POSITIONS = "select array_agg(next_offset order by partition) from partitions"


def _watch_database(fuse: Fuse, database: AsyncEngine) -> None:
    """Every statement that writes and its commit are effects; what only reads leaves nothing behind."""
    engine = database.sync_engine
    commit = engine.dialect.do_commit
    written: list[str] = []

    def executed(connection: sa.Connection, _: object, statement: str, *__: object) -> None:
        verb, table = statement.split(maxsplit=1)[0].lower(), _TABLE.search(statement)
        if verb in _WRITES and table is not None:
            connection.info["wrote"] = f"{verb} {table[1]}"
            fuse.burn(f"{verb} {table[1]}")

    def commits(connection: sa.Connection) -> None:
        written.append(connection.info.pop("wrote", ""))

    def then_burn(connection: Any) -> None:
        last = written.pop()
        with fuse.writing():
            commit(connection)
            if last:
                fuse.burn(f"commit after {last}")

    def past_sqlalchemy(name: str, statement: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """It sees nothing of these; each is its own commit."""
        burns = burning(fuse, name, statement)

        async def written(*arguments: Any) -> Any:
            with fuse.writing():
                return await burns(*arguments)

        return written

    setattr(one_trip, "write", past_sqlalchemy("one trip", one_trip.write))  # noqa: B010 – no part of its type
    setattr(outbox, "claim", past_sqlalchemy("claim", outbox.claim))  # noqa: B010
    sa.event.listen(engine, "after_cursor_execute", executed)
    sa.event.listen(engine, "commit", commits)
    engine.dialect.do_commit = then_burn  # type: ignore[assignment, method-assign]


def _watch_kafka(fuse: Fuse) -> None:
    getmany = AIOKafkaConsumer.getmany

    async def fetch(*arguments: Any, **options: Any) -> Mapping[Any, Any]:
        found: Mapping[Any, Any] = await getmany(*arguments, **options)
        if found:
            fuse.burn("fetch")
        return found

    AIOKafkaConsumer.getmany = fetch
    for name in ("send_batch",):
        setattr(AIOKafkaProducer, name, burning(fuse, name, getattr(AIOKafkaProducer, name)))


async def _run_until_done(fuse: Fuse, loops: Mapping[str, Loop], done: asyncio.Task[None]) -> None:
    running = asyncio.create_task(run_together(loops))
    await asyncio.wait({running, done}, return_when=asyncio.FIRST_COMPLETED)
    (running if running.done() else done).result()
    await fuse.written()


def _mail_loops(fuse: Fuse, engine: Engine, smtp_url: str) -> dict[str, Loop]:
    watch_smtp(fuse)
    route = MailRoute(parse_smtp_url(smtp_url))
    letters = Letters(engine, MAIL_FROM, "https://desk.example.org", Tokens(["k" * 16]))
    return {"mail servers": route.run, "mailer": Mailer(engine, route, letters, Outage("database")).run}


async def _never(_: object) -> bool:
    return False


async def _mail(fuse: Fuse, job: dict[str, Any]) -> None:
    database = create_engine(job["database_url"])
    engine = Engine(database, lambda: RULES, clock=lambda: MONDAY)
    _watch_database(fuse, database)
    if job["under_locks"]:
        setattr(engine, "in_one_trip", _never)  # noqa: B010 – no part of its type

    async def done() -> None:
        looking = await asyncpg.connect(job["database_url"])
        while await looking.fetchval(_UNSENT) != 0:
            await asyncio.sleep(0.01)

    await _run_until_done(fuse, _mail_loops(fuse, engine, job["smtp_url"]), asyncio.create_task(done()))


async def _read(fuse: Fuse, job: dict[str, Any]) -> None:
    settings = AlertingSettings(
        config=Path("unused"), kafka_bootstrap_servers=job["kafka"], topic_prefix=job["prefix"],
        database_url=SecretStr(job["database_url"]), smtp_url=SecretStr("smtp://127.0.0.1:9"),
        mail_from="unused@example.org", public_url="http://127.0.0.1", secret_key=SecretStr("k" * 16),
    )  # fmt: skip
    database = create_engine(job["database_url"])
    engine = Engine(database, lambda: RULES, topic_prefix=job["prefix"], clock=lambda: MONDAY)
    consumer = Consumer(engine, settings, job["owner"], Outage("database"))
    relay = LifecycleRelay(engine, settings, Outage("database"))
    _watch_database(fuse, database)
    _watch_kafka(fuse)

    loops: dict[str, Loop] = {"consumer": consumer.run, "leases": consumer.keep_leases, "relay": relay.run}
    if job["smtp_url"] is not None:
        loops |= _mail_loops(fuse, engine, job["smtp_url"])

    async def done() -> None:
        looking = await asyncpg.connect(job["database_url"])
        # Whatever is announced is announced by the commit that moves a position or records a mail.
        while (
            await looking.fetchval(_POSITIONS) != job["ends"]
            or (job["smtp_url"] is not None and await looking.fetchval(_UNSENT) != 0)
            or await looking.fetchval("select count(*) from relay") != 0
        ):
            await asyncio.sleep(0.01)

    await _run_until_done(fuse, loops, asyncio.create_task(done()))


@dataclass(slots=True)
class _Clock:
    now: datetime


async def _fire(fuse: Fuse, job: dict[str, Any]) -> None:
    """Everything that is due up to `until`: at its due time, one after the other, or all of it `late`, after that."""
    database = create_engine(job["database_url"])
    looking = await asyncpg.connect(job["database_url"])
    until = datetime.fromisoformat(job["until"])
    clock = _Clock(until if job["late"] else await looking.fetchval("select max(at) from inputs"))
    engine = Engine(database, lambda: RULES, clock=lambda: clock.now)
    _watch_database(fuse, database)
    timers._LONGEST_SLEEP = timers._BLOCKED_SLEEP = 0.02  # the clock is ours, so nobody has to wait for it

    async def done() -> None:
        while (due_at := await looking.fetchval("select min(due_at) from incidents")) <= until or (
            await looking.fetchval("select count(*) from suspects") != 0
        ):
            clock.now = max(clock.now, min(due_at, until))
            await asyncio.sleep(0.01)

    await _run_until_done(fuse, {"timers": Timers(engine, Outage("database")).run}, asyncio.create_task(done()))


def main(fuse: Fuse, job: dict[str, Any]) -> None:
    """Do the job, or die trying."""
    asyncio.run({"reading": _read, "firing": _fire, "mailing": _mail}[job["what"]](fuse, job))
