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
    """A step of a partition's position, allowed to its owner alone."""

    position: Position
    owner: str
    end_offset: int
    last_event_id: str | None


async def register(tx: AsyncConnection, topic: str, numbers: Iterable[int]) -> None:
    """Enter partitions that the topic has and the table has not (also ones added to a topic later)."""
    rows = [{"topic": topic, "partition": number} for number in sorted(numbers)]
    if rows:
        await tx.execute(insert(partitions).values(rows).on_conflict_do_nothing())


async def renew(tx: AsyncConnection, owner: str, topic: str, caught_up: Mapping[int, bool]) -> None:
    """Say that this process lives, and keep the leases it has; `caught_up` tells where nothing waits on Kafka."""
    alive = insert(processes).values(id=owner, seen_at=_CLOCK)
    await tx.execute(alive.on_conflict_do_update(index_elements=["id"], set_={"seen_at": _CLOCK}))
    await tx.execute(sa.delete(processes).where(processes.c.seen_at < _CLOCK - sa.text("interval '1 hour'")))
    mine = sa.and_(partitions.c.topic == topic, partitions.c.owner == owner, partitions.c.lease_until >= _CLOCK)
    await tx.execute(sa.update(partitions).where(mine).values(lease_until=_CLOCK + _LEASE))
    current = [number for number, at_end in caught_up.items() if at_end]
    if current:
        await tx.execute(
            sa.update(partitions).where(mine, partitions.c.partition.in_(current)).values(caught_up_at=_CLOCK)
        )


async def claim(tx: AsyncConnection, owner: str, topic: str) -> dict[int, Position]:
    """Take free partitions up to this process's fair share, give back what is over it; returns what it now holds.

    Nothing is locked while looking: a stopped process in the middle of a batch must not hold the others up.
    """
    live = partitions.c.lease_until >= _CLOCK
    here = partitions.c.topic == topic
    looked = sa.select(partitions.c.partition, partitions.c.owner, live.label("live")).where(here)
    rows = (await tx.execute(looked.order_by(partitions.c.partition))).all()
    others = sa.select(sa.func.count()).where(processes.c.seen_at >= _CLOCK - _LEASE, processes.c.id != owner)
    share = -(-len(rows) // ((await tx.scalar(others) or 0) + 1))
    mine = [row.partition for row in rows if row.owner == owner and row.live]
    free = [row.partition for row in rows if not row.live][: max(0, share - len(mine))]
    if mine[share:]:
        surplus = sa.and_(here, partitions.c.owner == owner, partitions.c.partition.in_(mine[share:]))
        await tx.execute(sa.update(partitions).where(surplus).values(owner=None, lease_until=None))
    if free:
        still_free = sa.and_(here, partitions.c.partition.in_(free), sa.func.coalesce(live, sa.false()).is_(False))
        await tx.execute(sa.update(partitions).where(still_free).values(owner=owner, lease_until=_CLOCK + _LEASE))
    orphaned = {row.partition for row in rows if not row.live and row.owner not in (None, owner)}
    held = sa.select(partitions).where(here, partitions.c.owner == owner, live)
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
