import asyncio
import csv
import io
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.alerting.core.codes import code_of
from services.alerting.core.effects import Action, Click
from services.alerting.database import in_transaction
from services.alerting.desk.board import Board
from services.alerting.desk.incidents import Arrival, Arrived
from services.alerting.mailing.deliveries import deliveries, find_incidents
from services.alerting.mailing.troubles import Trouble, tell
from services.alerting.tables import outbox
from services.commands.deliveries_command import Answer, DeliveriesFailed, Wish, parse_since, run
from services.commands.office import OfficeSettings
from tests.alerting.conftest import Shell
from tests.alerting.mailing import mailing
from tests.alerting.test_mailer import answered, at_night
from tests.core.office import report, rules
from tests.support.organisation import write_configuration
from tests.support.smtp_sink import SmtpSink

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> OfficeSettings:
    config = write_configuration(tmp_path / "config.yaml")
    return OfficeSettings.model_validate({"config": config, "database_url": database_url})


async def told(settings: OfficeSettings, **options: Any) -> Answer:
    """In a thread, because the command has a loop of its own."""
    wish = Wish(**{"incident": None, "since": None, "format": "text", "limit": 100} | options)
    return await asyncio.to_thread(run, wish, settings, NOW)


@pytest.fixture
async def mailed(shell: Shell, smtp_sink: SmtpSink) -> Shell:
    """Incident `e` was mailed at the second attempt, `f` went from a refused address to the deputy."""
    at_night(shell)
    smtp_sink.answer_data("451 4.3.0 =later\x1b[31m")
    async with mailing(shell.engine, smtp_sink):
        await shell.apply(report(shell.now, id="e"))
        await answered(shell, "accepted")
        smtp_sink.refuse_recipient("leitung@example.org")
        shell.later(1)
        await shell.apply(report(shell.now, id="f", location="2"))
        await answered(shell, "accepted", "refused", "accepted")
    return shell


async def test_every_attempt_of_an_incident(mailed: Shell, settings: OfficeSettings) -> None:
    for name in ("e", code_of("e"), code_of("e").lower()):
        lines = (await told(settings, incident=name)).output.splitlines()
        assert lines[0].split()[:4] == ["wanted", "incident", "site", "mail"]
        assert lines[1].split()[2:9] == [
            code_of("e"), "bernburg", "alarm", "1", "leitung@example.org", "(site_management)", "accepted",
        ]  # fmt: skip
        assert lines[1].endswith("normal  DATA 250 2.0.0 taken")
        assert lines[1].startswith("2026-11-20 23:00:00")
        assert lines[2].startswith("    attempt 1, ")
        assert lines[2].endswith("normal: DATA 451 4.3.0 =later [31m")
        assert len(lines) == 3


async def _arrived(board: Board, incident_id: str) -> Mapping[str, Arrived]:
    incident = await board.find(incident_id)
    assert incident is not None
    return await board.arrived(incident)


async def test_what_the_page_says_of_each_person(mailed: Shell) -> None:
    board = Board(mailed.engine)
    assert {email: arrived.how for email, arrived in (await _arrived(board, "e")).items()} == {
        "leitung@example.org": Arrival.ACCEPTED
    }
    found = await _arrived(board, "f")
    (deputy,) = [row for row in await mailed.rows(outbox) if row.recipient == "vertretung@example.org"]
    assert found == {
        "leitung@example.org": Arrived(Arrival.FAILED),
        "vertretung@example.org": Arrived(Arrival.ACCEPTED, deputy.answered_at),
    }
    mailed.later(1)
    await mailed.apply(report(mailed.now, id="g", location="3"))  # nobody sends now
    assert await _arrived(board, "g") == {"leitung@example.org": Arrived(Arrival.WAITING)}
    await board.act("g", Click("A. Muster", (Action.ACKNOWLEDGE,)))
    assert await _arrived(board, "g") == {}, "none is wanted any more"


async def test_a_graver_alarm_that_has_not_come_is_not_taken_for_the_one_that_did(mailed: Shell) -> None:
    board = Board(mailed.engine)
    before = (await _arrived(board, "e"))["leitung@example.org"]
    mailed.later(1)
    await mailed.apply(report(mailed.now, id="weapon", danger_level=3, category="weapon"))  # nobody sends now
    assert (await _arrived(board, "e"))["leitung@example.org"] == Arrived(Arrival.WAITING, earlier=before.at)
    mailed.later(1)
    await board.act("e", Click("A. Muster", (Action.ACKNOWLEDGE,)))
    assert (await _arrived(board, "e"))["leitung@example.org"] == before, "the new one is not wanted any more"


async def test_the_page_speaks_of_those_who_were_told_of_what_became_part_of_it(mailed: Shell) -> None:
    board = Board(mailed.engine)
    await board.join("f", "e", by="A. Muster", reason="one matter")
    arrived = await _arrived(board, "e")
    assert arrived["vertretung@example.org"].how is Arrival.ACCEPTED
    assert arrived["leitung@example.org"].how is Arrival.ACCEPTED


async def test_all_mails_as_json_and_csv(mailed: Shell, settings: OfficeSettings) -> None:
    rows = json.loads((await told(settings, format="json")).output)
    assert [(row["incident_id"], row["recipient"], row["state"]) for row in rows] == [
        ("e", "leitung@example.org", "accepted"),
        ("f", "leitung@example.org", "refused"),
        ("f", "vertretung@example.org", "accepted"),
    ]
    assert rows[0]["code"] == code_of("e")
    assert [one["number"] for one in rows[0]["failed"]] == [1]
    assert datetime.fromisoformat(rows[1]["answered_at"]).tzinfo is not None
    table = list(csv.DictReader(io.StringIO((await told(settings, format="csv")).output)))
    assert [row["state"] for row in table] == ["accepted", "refused", "accepted"]
    assert table[0]["failed"].startswith("1 normal DATA 451")


async def test_a_mail_about_an_exercise_says_so(shell: Shell, settings: OfficeSettings) -> None:
    await shell.apply(report(shell.now, id="e", location="1"), report(shell.now, id="x", location="2", mode="exercise"))
    lines = (await told(settings)).output.splitlines()[1:]
    assert {code_of("e"): False, code_of("x"): True} == {
        line.split()[2]: "alarm 1 (exercise)" in line for line in lines
    }
    rows = json.loads((await told(settings, format="json")).output)
    assert {row["incident_id"]: row["mode"] for row in rows} == {"e": "actual", "x": "exercise"}


async def test_mails_about_what_could_not_be_processed(shell: Shell, settings: OfficeSettings) -> None:
    await shell.apply(report(shell.now, id="e"))
    for trouble in (
        Trouble("bernburg", "why", "incidents.events", 3, 17),
        Trouble("bernburg", "why", incident_id="e", code=code_of("e"), attempts=3, minutes=5),
        Trouble(None, "why", incident_id="e", code=code_of("e")),
    ):
        await in_transaction(shell.database, partial(tell, trouble=trouble, rules=rules(), now=shell.now))

    async def purposes(**options: Any) -> dict[str, tuple[Any, ...]]:
        rows = json.loads((await told(settings, format="json", **options)).output)
        assert {row["state"] for row in rows} == {"due"}
        found = {row["purpose"]: (row["recipient"], row["role"], row["code"], row["site"]) for row in rows}
        return {purpose: about for purpose, about in found.items() if purpose.startswith("trouble_")}

    emergency = ("notfall@example.org", "emergency")
    of_e = {
        "trouble_deadline": (*emergency, code_of("e"), "bernburg"),
        "trouble_mail": ("bereitschaft@example.org", "emergency", code_of("e"), None),
    }
    assert await purposes() == of_e | {"trouble_record": (*emergency, None, "bernburg")}
    assert await purposes(incident=code_of("e")) == of_e
    assert "trouble_record" in (await told(settings)).output
    assert (await told(settings, since="2999-01-01")).output == "no mails"


async def test_what_is_left_out_is_said(mailed: Shell, settings: OfficeSettings) -> None:
    answer = await told(settings, limit=1, format="json")
    assert [row["recipient"] for row in json.loads(answer.output)] == ["vertretung@example.org"]
    assert answer.remark == "2 older mails are left out; --limit 3 shows all"


async def test_since(mailed: Shell, settings: OfficeSettings) -> None:
    async with mailed.database.connect() as connection:
        later = datetime.now(UTC) + timedelta(days=9_000)
        assert await deliveries(connection, since=later, limit=9) == ([], 0)
        assert (await deliveries(connection, since=mailed.now, limit=9))[1] == 3
    assert (await told(settings, since="2999-01-01")).output == "no mails"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=BERLIN)),
        ("2026-07-05T08:00", datetime(2026, 7, 5, 6, 0, tzinfo=UTC)),
        ("2026-07-05T08:00Z", datetime(2026, 7, 5, 8, 0, tzinfo=UTC)),
    ],
)
def test_since_when(text: str, expected: datetime) -> None:
    assert parse_since(text, NOW, BERLIN) == expected


@pytest.mark.parametrize("text", ["yesterday", "", "2 hours", "999999d", "2026-13-01"])
def test_since_when_nobody_understands(text: str) -> None:
    with pytest.raises(DeliveriesFailed, match="write for example 2h") as refused:
        parse_since(text, NOW, BERLIN)
    assert refused.value.usage


async def test_an_incident_that_is_not_there(mailed: Shell, settings: OfficeSettings) -> None:
    for name in ("nobody", "2222", "ÄÖÜ!"):
        with pytest.raises(DeliveriesFailed, match=f"there is no incident {name}"):
            await told(settings, incident=name)


async def test_incidents_that_share_a_code(shell: Shell) -> None:
    at_night(shell)
    first = next(f"a{n}" for n in range(10**7) if code_of(f"a{n}") == code_of("twin"))
    await shell.apply(report(shell.now, id="twin", location="1"))
    shell.later(1)
    await shell.apply(report(shell.now, id=first, location="2"))
    async with shell.database.connect() as connection:
        assert await find_incidents(connection, code_of("twin")) == (first, "twin")


async def test_a_format_that_there_is_not(settings: OfficeSettings) -> None:
    with pytest.raises(DeliveriesFailed, match="write text, csv or json"):
        await told(settings, format="xml")


async def test_the_command(mailed: Shell, settings: OfficeSettings) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli", "deliveries", "--incident", code_of("f"), "--limit", "1",
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("RUFKETTE_")},
            "RUFKETTE_CONFIG": str(settings.config),
            "RUFKETTE_DATABASE_URL": settings.database_url.get_secret_value(),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, remarks = await process.communicate()
    assert process.returncode == 0, remarks
    assert b"vertretung@example.org (deputy)" in output
    assert remarks == b"1 older mails are left out; --limit 2 shows all\n"
