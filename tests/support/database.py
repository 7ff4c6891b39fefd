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
