"""Who reads which partition: leases in PostgreSQL, on the database's clock, shared fairly by living processes.

The pattern of the Kinesis Client Library, instead of a consumer group: a group needed 10 s to hand a partition on
after a kill -9 (measured); a lease needs 3.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting.tables import partitions, processes

_CLOCK = sa.func.clock_timestamp()
_LEASE = sa.text("interval '3 seconds'")
RENEW_EVERY = 1.0
"""Seconds between renewals; three may fail before a lease is lost."""
AGAIN_AFTER = 0.2
"""Seconds until the next one where a batch of our own was in the way."""


class LeaseLostError(Exception):
    """Another process owns the partition or has moved its position: nothing of ours may be written."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition is read next; `inherited`: from an owner that ended without giving it back."""

    topic: str
    partition: int
    next_offset: int
    last_event_id: str | None = None
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """A step of a partition's position, allowed to its owner alone; without an `end_offset` it stays."""

    position: Position
    owner: str
    end_offset: int | None
    last_event_id: str | None


async def register(tx: AsyncConnection, topic: str, numbers: Iterable[int]) -> None:
    """Enter partitions that the topic has and the table has not (also ones added to a topic later).

    What a topic that was created anew no longer has is removed: deadlines would wait for it to be read. A broker that
    has not heard of a new partition yet takes none away that is read.
    """
    there = sorted(numbers)
    if not there:
        return
    rows = [{"topic": topic, "partition": number} for number in there]
    await tx.execute(insert(partitions).values(rows).on_conflict_do_nothing())
    read = sa.func.coalesce(partitions.c.caught_up_at >= _CLOCK - sa.text("interval '30 seconds'"), sa.false())
    gone = _unlocked(partitions.c.topic == topic, partitions.c.partition.not_in(there), sa.not_(read))
    await tx.execute(sa.delete(partitions).where(partitions.c.topic == topic, _among(gone)))


def _unlocked(*where: sa.ColumnElement[bool], limit: int | None = None) -> sa.CTE:
    """Rows to change that nobody has locked: who stopped in the middle of a batch is waited for by nobody."""
    found = sa.select(partitions.c.partition).where(*where).order_by(partitions.c.partition).limit(limit)
    return found.with_for_update(key_share=True, skip_locked=True).cte()


def _among(rows: sa.CTE) -> sa.ColumnElement[bool]:
    return partitions.c.partition.in_(sa.select(rows.c.partition))


async def renew(tx: AsyncConnection, owner: str, topic: str, caught_up: Mapping[int, bool]) -> set[int]:
    """Say that this process lives, and keep the leases it has; `caught_up` tells where nothing waits on Kafka.

    Returns:
        The partitions that were renewed. One that a batch of our own holds is not, and is nobody else's meanwhile.
    """
    alive = insert(processes).values(id=owner, seen_at=_CLOCK)
    await tx.execute(alive.on_conflict_do_update(index_elements=["id"], set_={"seen_at": _CLOCK}))
    long_dead = sa.select(processes.c.id).where(processes.c.seen_at < _CLOCK - sa.text("interval '1 hour'"))
    dead = long_dead.with_for_update(skip_locked=True).cte()
    await tx.execute(sa.delete(processes).where(processes.c.id.in_(sa.select(dead.c.id))))
    mine = _unlocked(partitions.c.topic == topic, partitions.c.owner == owner)
    current = partitions.c.partition.in_([number for number, at_end in caught_up.items() if at_end])
    keep = sa.update(partitions).where(partitions.c.topic == topic, _among(mine))
    keep = keep.values(
        lease_until=_CLOCK + _LEASE, caught_up_at=sa.case((current, _CLOCK), else_=partitions.c.caught_up_at)
    )
    return set((await tx.execute(keep.returning(partitions.c.partition))).scalars())


async def claim(tx: AsyncConnection, owner: str, topic: str) -> dict[int, Position]:
    """Take free partitions up to this process's fair share, give back what is over it; returns what it now holds.

    A lease that ran out is still ours until somebody takes it.
    """
    live = partitions.c.lease_until >= _CLOCK
    here = partitions.c.topic == topic
    looked = sa.select(partitions.c.partition, partitions.c.owner, live.label("live")).where(here)
    rows = (await tx.execute(looked.order_by(partitions.c.partition))).all()
    others = sa.select(sa.func.count()).where(processes.c.seen_at >= _CLOCK - _LEASE, processes.c.id != owner)
    share = -(-len(rows) // ((await tx.scalar(others) or 0) + 1))
    mine = [row.partition for row in rows if row.owner == owner]
    if mine[share:]:
        surplus = _unlocked(here, partitions.c.owner == owner, partitions.c.partition.in_(mine[share:]))
        await tx.execute(sa.update(partitions).where(here, _among(surplus)).values(owner=None, lease_until=None))
    if len(mine) < share:
        free = _unlocked(here, sa.func.coalesce(live, sa.false()).is_(False), limit=share - len(mine))
        taken = sa.update(partitions).where(here, _among(free))
        await tx.execute(taken.values(owner=owner, lease_until=_CLOCK + _LEASE))
    orphaned = {row.partition for row in rows if not row.live and row.owner not in (None, owner)}
    held = sa.select(partitions).where(here, partitions.c.owner == owner)
    return {
        row.partition: Position(
            topic, row.partition, row.next_offset, row.last_event_id, inherited=row.partition in orphaned
        )
        for row in await tx.execute(held)
    }


async def release(tx: AsyncConnection, owner: str) -> None:
    """Give everything back at a clean stop, so that others need not wait for leases to run out."""
    await tx.execute(sa.update(partitions).where(partitions.c.owner == owner).values(owner=None, lease_until=None))
    await tx.execute(sa.delete(processes).where(processes.c.id == owner))


async def rewind(tx: AsyncConnection, position: Position, owner: str, next_offset: int) -> None:
    """Start a partition again from an earlier record, after Kafka forgot or changed what it had.

    Raises:
        LeaseLostError: somebody else owns the partition or has moved it.
    """
    statement = (
        sa.update(partitions)
        .where(partitions.c.topic == position.topic, partitions.c.partition == position.partition)
        .where(partitions.c.owner == owner, partitions.c.next_offset == position.next_offset)
        .values(next_offset=next_offset, last_event_id=None)
    )
    if (await tx.execute(statement)).rowcount != 1:
        raise LeaseLostError(f"{position.topic}/{position.partition} at {position.next_offset}")
