"""Looking into alerting's database as an operator would."""

from typing import Any

import asyncpg


async def rows(database_url: str, sql: str, *arguments: object) -> list[Any]:
    """The rows that a query finds."""
    connection = await asyncpg.connect(database_url)
    try:
        return list(await connection.fetch(sql, *arguments))
    finally:
        await connection.close()


async def incident_count(database_url: str) -> int:
    """How many incidents there are."""
    return int((await rows(database_url, "select count(*) from incidents"))[0][0])


async def end_mail_leases(database_url: str) -> None:
    """Let the minute pass after which a mail that a dead process was sending is sent by another one.

    Only right while no process that claimed a mail is alive.
    """
    await rows(
        database_url, "update outbox set lease_until = clock_timestamp() where state = 'due' and lease is not null"
    )
