"""How many mails wait, and for how long, as every process shows it to whoever watches the metrics."""

from typing import Final

import sqlalchemy as sa
from prometheus_client import Gauge

from services.alerting.core.effects import Purpose
from services.alerting.database import patiently, single_statement
from services.alerting.engine import Engine
from services.alerting.tables import outbox
from services.alerting.upkeep.repeating import repeat
from services.common.outage import Outage

_EVERY: Final = 10.0
_WAITING: Final = Gauge(
    "rufkette_mails_waiting", "Mails that no mail server has taken or refused yet, of all processes together.", ["kind"]
)
_OLDEST: Final = Gauge(
    "rufkette_oldest_waiting_mail_seconds", "Since the oldest of them was decided; 0 where none waits.", ["kind"]
)
_ALARM: Final = outbox.c.purpose == Purpose.ALARM.value
_COUNT: Final = (
    sa.select(
        sa.case((_ALARM, "alarm"), else_="information").label("kind"),
        sa.func.count().label("mails"),
        sa.func.extract("epoch", sa.func.clock_timestamp() - sa.func.min(outbox.c.created_at)).label("oldest"),
    )
    .where(outbox.c.state == "due")
    .group_by(sa.text("1"))
)


async def run(engine: Engine, database: Outage) -> None:
    """Count for ever, every ten seconds."""
    await repeat("waiting mails", lambda: patiently(database, lambda: count(engine)), _EVERY)


async def count(engine: Engine) -> None:
    """Set the figures to what waits now."""
    async with single_statement(engine.database) as connection:
        found = {row.kind: (row.mails, max(0.0, float(row.oldest))) for row in await connection.execute(_COUNT)}
    for kind in ("alarm", "information"):
        mails, oldest = found.get(kind, (0, 0.0))
        _WAITING.labels(kind).set(mails)
        _OLDEST.labels(kind).set(oldest)
