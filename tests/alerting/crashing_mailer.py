"""A mailer in a process of its own that ends, without any goodbye, right after its n-th effect on the world.

`python -m tests.alerting.crashing_mailer DATABASE_URL SMTP_URL N NOW`: prints the effect that was its last, or ends by
itself with code 0 when nothing waits in the outbox any more.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import aiosmtplib
import sqlalchemy as sa

from services.alerting.database import create_engine
from services.alerting.desk.tokens import Tokens
from services.alerting.engine import Engine
from services.alerting.letters import Letters
from services.alerting.mailer import Mailer
from services.alerting.tables import outbox
from services.common.loops import run_together
from services.common.mail_route import MailRoute
from services.common.outage import Outage
from services.common.smtp import parse_smtp_url
from tests.alerting.mailing import MAIL_FROM
from tests.core.office import rules

CRASHED = 9
_SPOKEN_OF = ("outbox", "incidents", "inputs", "relay")


class Fuse:
    """Ends the process after so many effects."""

    def __init__(self, effects: int) -> None:
        self._left = effects

    def burn(self, effect: str) -> None:
        """An effect has happened."""
        self._left -= 1
        if self._left == 0:
            sys.stdout.write(effect)
            sys.stdout.flush()
            os._exit(CRASHED)


def watch_smtp(fuse: Fuse) -> None:
    """Every command that a server has answered is an effect."""
    for name in ("connect", "mail", "rcpt", "data"):
        setattr(aiosmtplib.SMTP, name, _burning(fuse, name, getattr(aiosmtplib.SMTP, name)))


def _burning(fuse: Fuse, name: str, command: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def then_burn(*arguments: Any, **options: Any) -> Any:
        answer = await command(*arguments, **options)
        fuse.burn(name)
        return answer

    return then_burn


def watch_database(fuse: Fuse, engine: sa.Engine) -> None:
    """Every statement about mails, and every commit, is an effect."""

    def executed(_: object, __: object, statement: str, *___: object) -> None:
        if any(table in statement for table in _SPOKEN_OF):
            fuse.burn(statement.split(maxsplit=1)[0].lower())

    sa.event.listen(engine, "after_cursor_execute", executed)
    # The driver commits after this event; a crash here is one before the commit.
    sa.event.listen(engine, "commit", lambda _: fuse.burn("commit"))


async def main(database_url: str, smtp_url: str, effects: int, now: datetime) -> None:
    """Send what waits, or die trying."""
    database = create_engine(database_url)
    engine = Engine(database, rules, clock=lambda: now)
    route = MailRoute(parse_smtp_url(smtp_url))
    letters = Letters(engine, MAIL_FROM, "https://desk.example.org", Tokens(["k" * 16]))
    mailer = Mailer(engine, route, letters, Outage("database"))
    fuse = Fuse(effects)
    watch_smtp(fuse)
    watch_database(fuse, database.sync_engine)
    task = asyncio.create_task(run_together({"mail servers": route.run, "mailer": mailer.run}))
    looking = create_engine(database_url)
    async with looking.connect() as connection:
        waiting = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.state == "due")
        while await connection.scalar(waiting):
            await connection.rollback()
            await asyncio.wait({task}, timeout=0.02)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), datetime.fromisoformat(sys.argv[4])))
