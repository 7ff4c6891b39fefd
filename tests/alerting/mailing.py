"""A mailer on real mail servers: the first is the normal one, the second the fallback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.alerting.desk.tokens import Tokens
from services.alerting.engine import Engine
from services.alerting.mailer import Mailer
from services.alerting.mailing.letters import Letters
from services.common.loops import cancel, run_together
from services.common.mail.route import MailRoute
from services.common.mail.smtp import parse_smtp_url
from services.common.outage import Outage
from tests.support.smtp_sink import SmtpSink

MAIL_FROM = "Rufkette <rufkette@example.org>"


@asynccontextmanager
async def mailing(engine: Engine, *sinks: SmtpSink) -> AsyncIterator[MailRoute]:
    """Its route, while it runs."""
    route = MailRoute(*(parse_smtp_url(sink.url) for sink in sinks))
    letters = Letters(engine, MAIL_FROM, "https://desk.example.org", Tokens(["k" * 16]))
    mailer = Mailer(engine, route, letters, Outage("database"))
    task = asyncio.create_task(run_together({"mail servers": route.run, "mailer": mailer.run}))
    try:
        yield route
    finally:
        await cancel({task})
