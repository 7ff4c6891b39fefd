"""The mail loop ends after every single effect, is started again, and loses nothing."""

import asyncio
import sys

from services.alerting.tables import outbox
from tests.alerting.conftest import Shell
from tests.alerting.crashing_mailer import CRASHED
from tests.alerting.mailing import mailing
from tests.alerting.test_mailer import at_night
from tests.core.office import report
from tests.support.database import end_mail_leases
from tests.support.smtp_sink import SmtpSink

MOST_EFFECTS = 60


async def run_until_effect(number: int, shell: Shell, database_url: str, sink: SmtpSink) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.alerting.crashing_mailer", database_url, sink.url, str(number),
        shell.now.isoformat(), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode().rpartition("\n")[2]


async def everything_mailed(shell: Shell, database_url: str, sink: SmtpSink) -> None:
    await end_mail_leases(database_url)
    async with mailing(shell.engine, sink), asyncio.timeout(15):
        while any(row.state == "due" for row in await shell.rows(outbox)):
            await asyncio.sleep(0.02)
    shell.engine.senders = None


async def test_a_crash_after_every_single_effect(shell: Shell, database_url: str, smtp_sink: SmtpSink) -> None:
    at_night(shell)
    effects: list[str] = []
    for number in range(1, MOST_EFFECTS):
        pressed = [f"{number}-a", f"{number}-b"]
        for room in pressed:
            await shell.apply(report(shell.now, id=room, location=room))
        code, effect = await run_until_effect(number, shell, database_url, smtp_sink)
        if code == 0:
            break
        assert code == CRASHED
        effects.append(effect)
        open_attempts = {row.incident_id for row in await shell.rows(outbox) if row.lease is not None}
        await everything_mailed(shell, database_url, smtp_sink)
        for room in pressed:
            mails = [mail.message for mail in smtp_sink.received if mail.message["X-Rufkette-Incident"] == room]
            assert mails, f"lost after {effect}"
            assert len({mail["Message-ID"] for mail in mails}) == 1
            assert len(mails) == 1 or (room in open_attempts and len(mails) == 2), f"doubled after {effect}"
            assert [mail["X-Rufkette-Attempt"] for mail in mails][1:] in ([], ["2"])
    else:
        raise AssertionError(f"it never came to its end: {effects}")
    # What is between a claim and its commit: none of it may have been left out.
    assert {"connect", "mail", "rcpt", "data", "update", "commit"} <= set(effects)
    assert len(effects) > 12
