"""What the mailer is measured against: as many connections, messages that are finished before the first one goes."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import aiosmtplib

from bench import made_up
from services.alerting.database import create_engine
from services.alerting.desk.tokens import Tokens
from services.alerting.engine import Engine
from services.alerting.mailing.holder import new_holder
from services.alerting.mailing.letters import Letters
from services.common.mail.smtp import CONNECTIONS
from services.common.mail.wire import END

_SENDER = "rufkette@example.org"


def messages(count: int) -> list[tuple[str, bytes]]:
    """Recipients and messages, as alerting writes them."""
    rules = made_up.rules_of(made_up.configuration())
    now = datetime.now(UTC)
    changes = made_up.opened([made_up.report(number, "1", now) for number in range(count)], rules, now)
    # Only asked for its clock and its rules: nothing connects.
    engine = Engine(create_engine("postgresql://127.0.0.1/none"), lambda: rules)
    letters = Letters(engine, _SENDER, "http://127.0.0.1", Tokens(["a-key-for-the-benchmark-only"]))
    changes.lease_mails(count, new_holder())
    mails = changes.leased_mails()
    finished = letters.write(*mails)
    return [(m.notify.recipient.email, message.removesuffix(END)) for m, message in zip(mails, finished, strict=True)]


async def send_all(port: int, finished: list[tuple[str, bytes]]) -> None:
    """Over kept-open connections, each sending one mail after the other."""
    rest = iter(finished)
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(_send_some(port, rest))


async def _send_some(port: int, rest: Iterator[tuple[str, bytes]]) -> None:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
        for recipient, message in rest:
            await client.sendmail(_SENDER, [recipient], message)


if __name__ == "__main__":
    asyncio.run(send_all(int(sys.argv[1]), messages(int(sys.argv[2]))))
