"""What the metrics say of mails that wait."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from services.alerting.core.effects import Action, Click
from services.alerting.tables import outbox
from services.alerting.upkeep.waiting_mails import count
from tests.alerting.conftest import Shell
from tests.core.office import report


def said(kind: str) -> tuple[float | None, float | None]:
    names = ("rufkette_mails_waiting", "rufkette_oldest_waiting_mail_seconds")
    mails, oldest = (REGISTRY.get_sample_value(name, {"kind": kind}) for name in names)
    return mails, oldest


async def test_they_are_counted_with_their_age(shell: Shell) -> None:
    shell.now = datetime.fromisoformat("2026-11-20T22:00:00+00:00")  # one mail a step
    await count(shell.engine)
    assert said("alarm") == said("information") == (0, 0)
    for number in range(3):
        await shell.apply(report(shell.now, id=f"e{number}", location=f"room {number}"))
    async with shell.database.begin() as connection:
        an_hour_ago = sa.text("clock_timestamp() - interval '1 hour'")
        await connection.execute(sa.update(outbox).values(created_at=an_hour_ago))
        taken = sa.update(outbox).where(outbox.c.incident_id == "e0").values(state="accepted")
        await connection.execute(taken)
    await count(shell.engine)
    mails, oldest = said("alarm")
    assert (mails, said("information")) == (2, (0, 0))
    assert oldest == pytest.approx(timedelta(hours=1).total_seconds(), abs=60)
    await shell.engine.act("e0", Click("A. Muster", (Action.ACKNOWLEDGE,)))
    await count(shell.engine)
    assert said("information")[0] == 1
