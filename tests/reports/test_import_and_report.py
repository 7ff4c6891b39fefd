"""Past events through real Kafka and the same core, and the yearly report from outside."""

import asyncio
import csv
import io
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas import codec
from schemas.events import (
    Acknowledged,
    Closed,
    Data,
    Event,
    HandedOver,
    Heartbeat,
    Kind,
    Mode,
    Outcome,
    PoliceRequested,
    Reported,
)
from schemas.structured import to_line
from tests.support import warm
from tests.support.chain import Surroundings
from tests.support.database import rows
from tests.support.records import write
from tests.support.service import Service
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "config" / "examples"
NOON = datetime(2024, 3, 5, 11, tzinfo=UTC)
SNAPSHOT = """select id, revision, state::text from incidents order by id"""


@dataclass(frozen=True)
class Office:
    """A running alerting, and commands beside it."""

    surroundings: Surroundings
    database_url: str
    alerting: Service
    sink: SmtpSink

    async def rufkette(self, *arguments: object, code: int = 0, **environment: str) -> str:
        """Standard output of a command that must end with `code`; standard error when it must fail."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
        settings = self.surroundings.common() | {"RUFKETTE_DATABASE_URL": self.database_url} | environment
        done = warm.run(*map(str, arguments), env=clean | settings, cwd=ROOT)
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    async def report(self, year: int, *options: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.rufkette("report", year, "--format", "json", *options))
        return found

    async def take(self, file: Path, *events: Event) -> str:
        await asyncio.to_thread(file.write_text, "".join(to_line(event) + "\n" for event in events), encoding="utf-8")
        return await self.rufkette("import", file)


@pytest.fixture
def configuration() -> Path:
    return ROOT / "config" / "example.yaml"


@pytest.fixture
async def office(
    surroundings: Surroundings,
    database_url: str,
    start_alerting: Callable[..., Awaitable[Service]],
    smtp_sink: SmtpSink,
) -> Office:
    return Office(surroundings, database_url, await start_alerting(), smtp_sink)


def event(id_: str, data: Data, minutes: float = 0, subject: str | None = None) -> Event:
    return Event(id=id_, source="akten", time=NOON + timedelta(minutes=minutes), data=data, subject=subject)


def press(id_: str, minutes: float = 0, room: str = "1", mode: Mode = Mode.ACTUAL) -> Event:
    data = Reported(kind=Kind.PANIC, site="bernburg", location=room, danger_level=2, mode=mode)
    return event(id_, data, minutes)


def closed(id_: str, incident: str, outcome: Outcome, minutes: float = 30) -> Event:
    return event(id_, Closed(by="A. Muster", outcome=outcome), minutes, incident)


async def test_the_examples_reproduce_the_published_lines(office: Office) -> None:
    said = await office.rufkette("import", EXAMPLES / "made-up-2018.jsonl")
    assert said == "72 events taken, 0 of them were known and changed nothing\n"
    await office.rufkette("import", EXAMPLES / "made-up-2019.jsonl")
    first, second = await office.report(2018), await office.report(2019)
    assert (first["incidents"], first["police_requested"], first["handed_over"]) == (29, 14, 0)
    assert (second["incidents"], second["police_requested"], second["handed_over"]) == (19, 0, 15)
    assert second["handed_over_in_year"] == 15
    assert sum(count > 0 for count in first["by_site"].values()) == 5
    for found in (first, second):
        for table in ("by_site", "by_month", "by_level", "by_category"):
            assert sum(found[table].values()) == found["incidents"] == len(found["ids"]["incidents"])
        assert "erfundene-beispieldaten" in found["notes"][0]
        assert "nicht veröffentlicht" in found["notes"][1]
    assert len(first["ids"]["police_requested"]) == 14
    before = await rows(office.database_url, SNAPSHOT)
    again = await office.rufkette("import", EXAMPLES / "made-up-2018.jsonl")
    assert again == "72 events taken, 72 of them were known and changed nothing\n"
    assert await rows(office.database_url, SNAPSHOT) == before
    # Nobody is told, nothing is announced, nothing will ever be due.
    silent = "select (select count(*) from outbox), (select count(*) from relay), count(due_at) from incidents"
    assert tuple((await rows(office.database_url, silent))[0]) == (0, 0, 0)
    assert office.sink.accepted == []
    # Ids of imported events are kept for ever: importing after years still changes nothing.
    assert (await rows(office.database_url, "select count(*) from events where applied_at < 'infinity'"))[0][0] == 0


async def test_the_report_in_all_its_forms(office: Office) -> None:
    await office.rufkette("import", EXAMPLES / "made-up-2018.jsonl")
    text = await office.rufkette("report", 2018)
    assert text.startswith("Sicherheitsvorfälle 2018 – Jobcenter Beispiel\n")
    for line in ("Vorfälle 29", "Polizei angefordert (Vorfälle) 14", "nicht zugeordnet 0", "So ist gezählt"):
        assert line in " ".join(text.split())
    found = await office.report(2018)
    assert not any(id_ in text for id_ in found["ids"]["incidents"])
    assert "mit --ids" in text
    listed = await office.rufkette("report", 2018, "--ids")
    assert all(id_ in listed for id_ in found["ids"]["incidents"])
    table = list(csv.reader(io.StringIO(await office.rufkette("report", 2018, "--format", "csv"))))
    assert table[0] == ["figure", "of", "value"]
    assert ["police_requested", "", "14"] in table
    assert sum(int(value) for figure, _, value in table if figure == "by_site") == 29
    async with httpx.AsyncClient(base_url=office.alerting.url) as client:
        page = await client.get("/reports/2018")
        assert page.status_code == 200
        assert "29" in page.text
        assert "nicht veröffentlicht" in page.text
        assert "Erfundene Person" not in page.text
        sheet = await client.get("/reports/2018.csv")
        assert sheet.headers["content-type"].startswith("text/csv")
        assert list(csv.reader(io.StringIO(sheet.text.removeprefix("\ufeff")))) == table
        assert (await client.get("/reports/once")).status_code == 404


async def test_the_report_in_english(office: Office, tmp_path: Path) -> None:
    english = tmp_path / "english.yaml"
    english.write_text(office.surroundings.configuration.read_text().replace("language: de ", "language: en "))
    text = await office.rufkette("report", 2018, RUFKETTE_CONFIG=str(english))
    assert text.startswith("Security incidents 2018 – Jobcenter Beispiel\n")
    assert "not assigned" in text


async def test_exclusions_merging_and_as_of(office: Office, tmp_path: Path) -> None:
    await office.take(
        tmp_path / "past.jsonl",
        press("a"),
        press("a2", 5),  # the same room within ten minutes
        event("a-ack", Acknowledged(by="A. Muster"), 6, "a"),
        event("a-call", PoliceRequested(by="A. Muster"), 7, "a"),
        event("a-again", PoliceRequested(by="B. Muster"), 8, "a"),
        press("b", 20),  # the same room, too late to be the same
        closed("b-end", "b", Outcome.FALSE_ALARM),
        press("c", room="3"),
        closed("c-end", "c", Outcome.NOT_RELEVANT),
        press("d", room="4"),
        closed("d-end", "d", Outcome.TEST),
        press("e", room="5", mode=Mode.EXERCISE),
        event("f", Reported(site="mars", danger_level=None)),
        event("a-over", HandedOver(by="A. Muster"), 60 * 24 * 400, "a"),
    )
    found = await office.report(2024)
    assert found["ids"]["incidents"] == ["a", "f"]
    assert (found["police_requested"], found["police_calls"]) == (1, 2)
    assert found["excluded"] == {"exercise": 1, "false_alarm": 1, "not_relevant": 1, "test": 1, "learning": 0}
    assert (found["handed_over"], found["handed_over_in_year"]) == (1, 0)
    assert found["by_site"]["unassigned"] == 1
    assert (await office.report(2025))["handed_over_in_year"] == 1
    assert (await office.report(2024, "--as-of", "2024-12-31"))["handed_over"] == 0
    assert (await office.report(2024, "--as-of", "2024-03-04"))["incidents"] == 0


async def test_a_frozen_report_shows_what_changed_since(office: Office, tmp_path: Path) -> None:
    frozen = tmp_path / "2024.json"
    await office.take(tmp_path / "past.jsonl", press("a"))
    await office.rufkette("report", 2024, "--freeze", frozen)
    assert "nichts geändert" in await office.rufkette("report", 2024, "--compare", frozen)
    assert "exists already" in await office.rufkette("report", 2024, "--freeze", frozen, code=1)
    await office.take(tmp_path / "more.jsonl", press("b", room="2"), event("call", PoliceRequested(by="A"), 1, "a"))
    changes = {c["figure"]: c for c in (await office.report(2024, "--compare", frozen))["changes"]}
    assert changes["incidents"] == {"figure": "incidents", "before": 1, "after": 2}
    assert changes["ids.incidents"] == {"figure": "ids.incidents", "added": ["b"], "removed": []}
    assert changes["ids.police_requested"]["added"] == ["a"]
    frozen.write_text(frozen.read_text().replace('"incidents": 1', '"incidents": 2', 1))
    assert "SHA-256" in await office.rufkette("report", 2024, "--compare", frozen, code=1)


async def test_every_mistake_is_named_and_nothing_is_sent(office: Office, tmp_path: Path) -> None:
    file = tmp_path / "wrong.jsonl"
    beat = event("h", Heartbeat(device_id="btn-112"))
    future = replace_time(press("z"), datetime.now(UTC) + timedelta(days=1))
    good = to_line(press("a"))
    file.write_text("\n".join([good, "{", good, to_line(beat), to_line(future)]) + "\n")
    errors = (await office.rufkette("import", file, code=1)).splitlines()
    assert [line.split(":")[1] for line in errors[:4]] == ["2", "3", "4", "5"]
    assert errors[4].startswith("nothing was imported")
    assert await rows(office.database_url, "select id from events") == []


async def test_a_misspelt_site_is_warned_of_and_standard_input_read(office: Office) -> None:
    lines = "".join(to_line(press(id_)).replace("bernburg", "bernbrug") + "\n" for id_ in ("a", "b"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "import", "-"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | office.surroundings.common() | {"RUFKETTE_DATABASE_URL": office.database_url},
    )
    out, err = (part.decode() for part in await process.communicate(lines.encode()))
    assert out == "2 events taken, 0 of them were known and changed nothing\n"
    assert err.startswith("warning: 2 reports name a site `bernbrug` that is not configured, and count as not assigned")
    assert "did you mean `bernburg`?" in err


def replace_time(one: Event, time: datetime) -> Event:
    return one.model_copy(update={"time": time})


async def test_a_day_that_is_not_over_is_warned_of(office: Office) -> None:
    ahead = date.today().year + 1  # noqa: DTZ011 - a day more or less does not matter
    soon = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "report", "2024", "--as-of", f"{ahead}-12-31"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | office.surroundings.common() | {"RUFKETTE_DATABASE_URL": office.database_url},
    )
    assert (await soon.communicate())[1].decode().startswith(f"warning: --as-of {ahead}-12-31 is not over")


async def test_a_file_of_something_else_is_not_told_line_by_line(office: Office, tmp_path: Path) -> None:
    file = tmp_path / "wrong.jsonl"
    file.write_text("{\n" * 60)
    errors = (await office.rufkette("import", file, code=1)).splitlines()
    assert (len(errors), errors[50]) == (52, "… and 10 more")
    assert errors[51].startswith("nothing was imported: 60 lines")


async def test_a_file_never_changes_a_live_incident(office: Office, tmp_path: Path) -> None:
    record = codec.encode(replace_time(press("live"), datetime.now(UTC)))
    await write(office.surroundings, record.value, record.headers, key=record.key)
    await eventually(lambda: rows(office.database_url, "select id from incidents"), bool)
    await office.take(tmp_path / "past.jsonl", press("past"), closed("end", "live", Outcome.FALSE_ALARM))
    found = {row["id"]: row for row in await rows(office.database_url, "select id, status, imported from incidents")}
    assert (found["live"]["status"], found["live"]["imported"], found["past"]["imported"]) == ("open", False, True)
