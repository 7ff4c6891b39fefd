"""A backlog on one partition: what is most urgent is applied before its turn, everything once, and nothing is lost."""

from collections.abc import Sequence
from functools import partial

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from schemas import topics
from schemas.events import Event
from services.alerting.core.learning import keys_of
from services.alerting.reading.applying import Applier
from services.alerting.reading.backlog import MAX_RECORDS, Backlog
from services.alerting.reading.breaker import Breaker
from services.alerting.reading.in_hand import Lane
from services.alerting.reading.leases import LeaseLostError, Position
from services.alerting.reading.turns import Turns
from services.alerting.reading.waiting import LEAP, Read
from services.alerting.tables import events, partitions
from services.common.outage import Outage
from services.common.settings import AlertingSettings
from tests.alerting.conftest import TOPIC, Shell
from tests.alerting.reading import holding, holds, reading, reported, send, somebody_waits
from tests.alerting.records import Record, record_of
from tests.core.office import report, rules
from tests.support.waiting import eventually


def quarrels(shell: Shell) -> list[Event]:
    return [report(shell.now, id=f"quarrel {n}", location=f"Raum Q{n}", danger_level=0) for n in range(LEAP)]


def weapon(shell: Shell, id_: str = "weapon", location: str = "Zimmer 7") -> Event:
    return report(shell.now, id=id_, location=location, danger_level=3)


class Reader:
    """Applies what is put before it as the next records of partition 0."""

    def __init__(self, shell: Shell, owner: str = "me") -> None:
        self.moved: list[Position] = []
        self.lost: list[int] = []
        self.applier = Applier(shell.engine, owner, Outage("database"), Breaker(accept=False), self._moved)
        self.position = Position(TOPIC, 0, 0)
        self.turns = Turns(self.applier, rules, lambda _: self.position, self.lost.append)

    def put(self, *given: Event) -> None:
        first = len(self.turns.backlog.of(0))
        self.turns.backlog.of(0).put([Read.of(record_of(event, first + n)) for n, event in enumerate(given)])

    async def apply(self) -> None:
        while self.turns.backlog.records and not self.lost:
            self.turns.begin()
            await self.turns.in_hand.all_applied()

    def _moved(self, position: Position) -> None:
        self.moved.append(position)
        self.position = position
        self.turns.backlog.of(0).moved(position.next_offset)


async def test_a_weapon_passes_what_waits_for_the_database_and_what_waits_behind_that(
    shell: Shell, database: AsyncEngine, database_url: str, settings: AlertingSettings
) -> None:
    topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
    await shell.apply(report(shell.now, id="first"))
    stay = {"waits", "same room", *(event.id for event in quarrels(shell))}
    async with reading(shell, settings):
        async with holding(database_url, "SELECT FROM incidents WHERE id = 'first' FOR UPDATE"):
            await send(settings, topic, 0, report(shell.now, id="waits"))
            await eventually(partial(somebody_waits, database), bool)
            await send(settings, topic, 0, *quarrels(shell), weapon(shell, "same room", "Zimmer 112"), weapon(shell))
            known = await eventually(partial(reported, shell), partial(holds, "weapon"))
            assert not known & stay
        await eventually(partial(reported, shell), (stay | {"first", "weapon"}).__eq__)


async def test_what_was_read_and_is_not_applied_counts_as_waiting_and_is_applied_before_kafka_is_read_anew(
    shell: Shell, database: AsyncEngine, database_url: str, settings: AlertingSettings
) -> None:
    topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
    await shell.apply(report(shell.now, id="first"))
    async with reading(shell, settings) as consumer:

        async def waits() -> bool:
            return (await consumer.look_ahead())[0].waiting

        with capture_logs() as said:
            async with holding(database_url, "SELECT FROM incidents WHERE id = 'first' FOR UPDATE"):
                await send(settings, topic, 0, report(shell.now, id="waits"))
                await eventually(partial(somebody_waits, database), bool)
                await send(settings, topic, 0, *quarrels(shell))
                assert await waits(), "the client has handed out all there is"
                consumer._anchors.forgotten.add(0)
            await eventually(partial(reported, shell), partial(holds, f"quarrel {LEAP - 1}"))

            async def read_anew_after() -> list[int]:
                return [line["offset"] for line in said if line["event"] == "log.diverged"]

            await eventually(read_anew_after, [LEAP + 1].__eq__)
            await eventually(waits, lambda so: not so)


async def test_everything_is_applied_once_and_the_position_is_moved_last(shell: Shell) -> None:
    reader = Reader(shell)
    given = [*quarrels(shell), weapon(shell), *quarrels(shell)[:1]]
    reader.put(*given[:-1])
    await reader.apply()
    assert [row.id for row in await shell.rows(events)].count("weapon") == 1
    assert await reported(shell) == {event.id for event in given}
    assert [position.next_offset for position in reader.moved] == [LEAP + 1]


async def _order(shell: Shell) -> Sequence[str]:
    async with shell.database.connect() as connection:
        return (await connection.scalars(sa.text("SELECT id FROM events ORDER BY xmin::text::bigint"))).all()


async def test_what_the_database_has_forgotten_is_applied_when_its_turn_comes(shell: Shell) -> None:
    """A standby that lagged behind has taken over: the position is the same, and what was let past is gone."""
    reader = Reader(shell)
    reader.put(*quarrels(shell), weapon(shell))
    waiting = reader.turns.backlog.of(0)
    waiting.settle(waiting.ahead(lambda event: keys_of(event, rules())), applied=True)
    reader.turns.begin()
    assert Lane(0, ahead=True) not in reader.turns.in_hand
    await reader.apply()
    assert await reported(shell) == {"weapon", *(event.id for event in quarrels(shell))}
    assert reader.position.next_offset == LEAP + 1


async def test_in_turn_means_after_those_that_were_let_past(shell: Shell) -> None:
    reader = Reader(shell)
    reader.put(*quarrels(shell), weapon(shell))
    await reader.apply()
    assert (await _order(shell))[0] == "weapon"


async def test_after_a_death_nothing_is_let_past_what_may_be_the_reason(shell: Shell) -> None:
    reader = Reader(shell)
    reader.applier.inherit(0)
    reader.put(*quarrels(shell), weapon(shell))
    reader.turns.begin()
    assert Lane(0) in reader.turns.in_hand
    assert Lane(0, ahead=True) not in reader.turns.in_hand
    await reader.turns.in_hand.all_applied()
    reader.applier.absolve(0)
    reader.put(*quarrels(shell), weapon(shell, "another"))
    reader.turns.begin()
    assert Lane(0, ahead=True) in reader.turns.in_hand
    await reader.turns.in_hand.all_applied()


async def test_what_the_database_refuses_is_left_to_its_turn_and_set_aside_there(shell: Shell) -> None:
    async with shell.database.begin() as tx:
        await tx.execute(sa.text("ALTER TABLE incidents ADD CONSTRAINT unforeseen CHECK (id <> 'weapon')"))
    reader = Reader(shell)
    assert not await reader.applier.let_past(reader.position, [weapon(shell)])
    reader.put(*quarrels(shell), weapon(shell), weapon(shell, "another", "Zimmer 8"))
    await reader.apply()
    assert await reported(shell) == {"another", *(event.id for event in quarrels(shell))}
    assert reader.position.next_offset == LEAP + 2


async def test_who_lost_the_partition_lets_nothing_past(shell: Shell) -> None:
    reader = Reader(shell, owner="another")
    with pytest.raises(LeaseLostError):
        await reader.applier.let_past(reader.position, [weapon(shell)])
    reader.put(*quarrels(shell), weapon(shell))
    await reader.apply()
    assert set(reader.lost) == {0}
    assert await reported(shell) == set()
    assert await shell.rows(events) == []


async def test_the_position_stays_where_it_is_meanwhile(shell: Shell) -> None:
    reader = Reader(shell)
    assert await reader.applier.let_past(reader.position, [weapon(shell)])
    assert [row.next_offset for row in await shell.rows(partitions)] == [0]
    assert await reported(shell) == {"weapon"}
    assert reader.moved == []


def test_what_is_read_ahead_has_an_end() -> None:
    backlog = Backlog()
    small = Record(value=b"unreadable")
    for number in range(10):
        assert backlog.has_room(0)
        backlog.of(0).put([Read.of(small) for _ in range(MAX_RECORDS)])
        assert backlog.records == (number + 1) * MAX_RECORDS
    assert not backlog.has_room(0)
    assert backlog.has_room(1), "some of each partition is always read"
    backlog.forget(0)
    assert backlog.has_room(0)
    large = Record(value=b"x" * 2**20)
    backlog.of(0).put([Read.of(small) for _ in range(MAX_RECORDS)])
    assert backlog.has_room(0)
    backlog.of(1).put([Read.of(large) for _ in range(16)])
    assert not backlog.has_room(0)
    backlog.forget_all()
    assert backlog.records == 0
