"""`rufkette simulate` as an administrator uses it."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schemas.events import Closed, Event, Kind, Outcome, Reported
from schemas.structured import to_line
from tests.core.office import MONDAY, minutes
from tests.support import warm

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config/example.yaml"
ENDED = Closed(by="A. Muster", outcome=Outcome.RESOLVED)
DESCRIBED = ("--site", "bernburg", "--location", "Zi. 112", "--level", "2", "--at", "2026-01-05T09:12")


def simulate(
    *arguments: str | Path, config: Path = EXAMPLE, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
    return warm.run("simulate", "--config", config, *arguments, env=clean, cwd=ROOT, given=given or "")


def data(*arguments: str | Path, config: Path = EXAMPLE) -> dict[str, Any]:
    done = simulate(*arguments, "--format", "json", config=config)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another configuration: the deputy a minute later and with the staff unit; another house security."""
    text = EXAMPLE.read_text().replace("{after: 2m, tell: [deputy]}", "{after: 3m, tell: [deputy, staff_unit]}")
    file = tmp_path / "other.yaml"
    file.write_text(text.replace("wache.bernburg@", "pforte.bernburg@"))
    return file


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A press in room 112, one in another site three minutes later, and the end of the first."""
    file = tmp_path / "events.jsonl"
    lines = [
        Event(id="e3", source="x", time=MONDAY + minutes(4), data=ENDED, subject="e1"),
        Event(id="e1", source="buttons", time=MONDAY, data=Reported(kind=Kind.PANIC, site="bernburg", location="112")),
        Event(id="e2", source="buttons", time=MONDAY + minutes(3), data=Reported(kind=Kind.PANIC, site="calbe")),
    ]  # fmt: skip
    file.write_text("\n".join(map(to_line, lines)))
    return file


def test_the_table_can_be_read_from_left_to_right() -> None:
    done = simulate(*DESCRIBED)
    assert (done.returncode, done.stderr) == (0, "")
    judged = 'rule "violence or threat", policy urgent, police advised'
    assert done.stdout.splitlines() == [
        "TIME                  AFTER  STEP     TO                               SUBJECT",
        f"Mon 2026-01-05 09:12  0m     · opened: level 2 (manual), {judged}",
        "Mon 2026-01-05 09:12  0m     1        wache.bernburg@example.org       ALARM Zi. 112 Bernburg · 110",
        "Mon 2026-01-05 09:12  0m     1        leitung.bernburg@example.org     ALARM Zi. 112 Bernburg · 110",
        "Mon 2026-01-05 09:14  2m     2        vertretung.bernburg@example.org  ALARM Zi. 112 Bernburg · 110",
        "Mon 2026-01-05 09:17  5m     3        bereitschaft@example.org         ALARM Zi. 112 Bernburg · 110",
        "Mon 2026-01-05 09:22  10m    3 again  bereitschaft@example.org         ALARM Zi. 112 Bernburg · 110",
        "Mon 2026-01-05 09:27  15m    3 again  bereitschaft@example.org         ALARM Zi. 112 Bernburg · 110",
        "",
        "6 mails about 1 incident.",
        "And so on from Mon 2026-01-05 09:32: the last step is repeated every 5m until somebody takes over.",
    ]


def test_several_incidents_are_told_apart(events: Path) -> None:
    done = simulate(events)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["TIME", "AFTER", "INCIDENT", "STEP", "TO", "SUBJECT"]
    codes = [line.split()[4] for line in lines if " · opened" in line]
    assert len(set(codes)) == 2
    assert [line for line in lines if "· closed by a person" in line and codes[0] in line]
    assert done.stdout.endswith("1 of them is not closed: what is not listed here goes on until somebody takes over.\n")
    assert simulate("-", given=events.read_text()).stdout == done.stdout


def test_json_has_the_same_in_fields(events: Path) -> None:
    found = data(events)
    assert set(found) == {"incidents", "timeline", "unheard"}
    assert [incident["id"] for incident in found["incidents"]] == ["e1", "e2"]
    first = found["incidents"][0]
    assert (first["status"], first["policy"], first["next_due_not_listed"]) == ("closed", "urgent", None)
    assert first["opened_at"] == "2026-01-05T09:12:00+01:00"
    mails = [entry for entry in found["timeline"] if entry["what"] == "mail"]
    assert mails[0] == {
        "at": "2026-01-05T09:12:00+01:00",
        "minute": 0.0,
        "incident": "e1",
        "what": "mail",
        "purpose": "alarm",
        "step": 1,
        "cycle": 0,
        "repetition": 0,
        "role": "house_security",
        "address": "wache.bernburg@example.org",
        "subject": "ALARM Zi. 112 Bernburg · 110",
        "refused": False,
    }
    assert [entry["at"] for entry in found["timeline"]] == sorted(entry["at"] for entry in found["timeline"])
    assert {entry["what"] for entry in found["timeline"]} == {"opened", "mail", "closed", "skipped"}


def test_no_address_stands_anywhere_but_in_its_mails() -> None:
    done = simulate(*DESCRIBED, "--undeliverable", "wache.bernburg@example.org", "--acknowledge-at", "3")
    for line in done.stdout.splitlines():
        assert line.count("@") == (0 if "·" in line[:35] or not re.match(r"[A-Z][a-z]{2} \d", line) else 1), line


def test_a_device_stands_where_it_is_registered() -> None:
    done = simulate("--device", "BTN 201", "--site", "bernburg", "--at", "2026-01-05T09:12")
    assert "leitung.aschersleben@example.org     ALARM Zi. 201 Aschersleben · 110" in done.stdout
    assert done.stderr == "warning: --site bernburg: the device is registered at aschersleben, and that counts\n"


def test_options_describe_the_report() -> None:
    exercise = simulate("--site", "calbe", "--category", "weapon", "--mode", "exercise", "--kind", "panic")
    assert "PROBEALARM Calbe, Raum unbekannt · Waffe" in exercise.stdout
    form = data("--site", "calbe", "--source", "forms", "--not-acute", "--at", "2026-01-05T09:12")
    assert [incident["policy"] for incident in form["incidents"]] == ["notice"]
    wanted = data("--site", "calbe", "--police", "wanted")
    assert wanted["incidents"][0]["police"] == "urgent"
    unknown = simulate("--site", "bernbrg")
    assert "Ort unbekannt" in unknown.stdout
    assert unknown.stderr == "warning: --site bernbrg: is not configured (did you mean bernburg?)\n"


def test_who_takes_over_is_reminded() -> None:
    found = data(*DESCRIBED, "--acknowledge-at", "90s", "--until", "25")
    told = [(entry["minute"], entry.get("purpose")) for entry in found["timeline"] if entry["what"] == "mail"]
    assert told == [(0, "alarm"), (0, "alarm"), (1.5, "taken_over"), (1.5, "taken_over")]
    reminded = data(*DESCRIBED, "--acknowledge-at", "3", "--until", "2h")
    assert [e["minute"] for e in reminded["timeline"] if e.get("purpose") == "reminder"] == [28]


def test_two_configurations_side_by_side(other: Path) -> None:
    done = simulate(*DESCRIBED, "--compare", other)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "   AFTER    STEP  TO                               SUBJECT",
        "-  0m       1     wache.bernburg@example.org       ALARM Zi. 112 Bernburg · 110",
        "+  0m       1     pforte.bernburg@example.org      ALARM Zi. 112 Bernburg · 110",
        "~  2m → 3m  2     vertretung.bernburg@example.org  ALARM Zi. 112 Bernburg · 110",
        "+  3m       2     stabsstelle@example.org          ALARM Zi. 112 Bernburg · 110",
        "",
        "4 mails as before; 2 added, 1 removed, 1 moved, 0 changed.",
    ]


def test_the_same_configuration_changes_nothing(events: Path) -> None:
    assert (
        simulate(events, "--compare", EXAMPLE).stdout == "11 mails as before; 0 added, 0 removed, 0 moved, 0 changed.\n"
    )


def test_comparing_as_json(other: Path, tmp_path: Path) -> None:
    found = data(*DESCRIBED, "--compare", other)
    assert [d["what"] for d in found["differences"]] == ["removed", "added", "moved", "added"]
    assert [d["before"] is None for d in found["differences"]] == [False, True, False, True]
    moved = found["differences"][2]
    assert (moved["before"]["minute"], moved["after"]["minute"]) == (2, 3)
    assert (found["unchanged"], found["incidents"]) == (4, [])
    english = tmp_path / "english.yaml"
    english.write_text(EXAMPLE.read_text().replace("language: de ", "language: en "))
    changed = data(*DESCRIBED, "--category", "threat", "--compare", english)["differences"]
    assert {d["what"] for d in changed} == {"changed"}


def test_comparing_names_another_policy(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(
        EXAMPLE.read_text().replace("police: advised, policy: urgent}", "police: urgent, policy: maximal}")
    )
    done = simulate(*DESCRIBED, "--compare", other)
    assert re.search(
        r'~ \w{4}: rule "violence or threat", policy urgent, police advised → '
        r'rule "violence or threat", policy maximal, police urgent\n',
        done.stdout,
    )
    judged = data(*DESCRIBED, "--compare", other)["incidents"]
    assert [(one["before"]["policy"], one["after"]["policy"]) for one in judged] == [("urgent", "maximal")]


def test_mistakes_of_each_configuration_are_told_as_check_config_does(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(EXAMPLE.read_text().replace("policy: maximal}", "policy: maximall}"))
    for done in (simulate(*DESCRIBED, config=wrong), simulate(*DESCRIBED, "--compare", wrong)):
        assert (done.returncode, done.stdout) == (1, "")
        assert re.match(rf"{wrong}:\d+: rules\[1\]\.policy: there is no policy `maximall`; expected ", done.stderr)


def test_a_bad_line_is_named_with_its_file(events: Path) -> None:
    events.write_text(events.read_text() + '\n{"specversion":"1.0"}\n')
    done = simulate(events)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{events}:4: id: is missing; expected a text\n"


def test_files_that_hold_nothing_are_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    done = simulate(empty)
    assert (done.returncode, done.stderr) == (1, f"{empty}: has no events; expected one CloudEvent (JSON) a line\n")
    done = simulate(tmp_path / "none.jsonl")
    assert (done.returncode, done.stderr) == (1, f"{tmp_path}/none.jsonl: cannot be read: No such file or directory\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a file of events, or describe a report with --site and --level"),
        (["x.jsonl", "--site", "calbe"], "give a file of events or a description, not both"),
        (["--level", "2"], "name a --site, or a --device that the configuration knows"),
        (["--site", "calbe", "--category", "wepon"], "--category wepon: expected one of insult, threat, "),
        (["--site", "calbe", "--source", "form"], "--source form: is not configured (did you mean forms?)"),
        (["--site", "calbe", "--at", "gestern"], "--at gestern: expected a time such as 2026-01-05T22:30"),
        (["--site", "calbe", "--until", "soon"], "--until soon: expected minutes such as 5, or a duration"),
        (["--site", "calbe", "--acknowledge-at", "-1"], "--acknowledge-at -1: expected minutes such as 5"),
        (["--site", "calbe", "--format", "xml"], "--format xml: expected text or json"),
    ],
)
def test_mistakes_of_use_end_in_one_line_and_exit_code_2(arguments: list[str], told: str) -> None:
    done = simulate(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1


def test_doubts_are_told_beside_the_result(events: Path) -> None:
    lost = Event(id="e9", source="x", time=MONDAY, subject="nowhere", data=ENDED)
    events.write_text(events.read_text() + "\n" + to_line(lost))
    done = simulate(events, "--undeliverable", "nobody@example.org")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "warning: event 'e9' is about an incident that no report before it (or within 24 h after it) opened",
        "warning: --undeliverable nobody@example.org: nothing is sent there",
    ]


def test_a_source_in_learning_mode_tells_its_test_address_alone(tmp_path: Path) -> None:
    """Whatever the file says: ingest would mark it, and alerting believe the configuration."""
    learns = "    learn: true\n    test_address: integrator@example.org\n"
    text = EXAMPLE.read_text()
    assert text.count("    type: native\n    kind: panic\n") == 1
    config = tmp_path / "learning.yaml"
    config.write_text(
        text.replace("    type: native\n    kind: panic\n", f"    type: native\n    kind: panic\n{learns}")
    )
    event = Event(
        id="press", source="buttons", time=MONDAY,
        data=Reported(kind=Kind.PANIC, site="bernburg", location="Zimmer 112", danger_level=2),
    )  # fmt: skip
    file = tmp_path / "events.jsonl"
    file.write_text(to_line(event) + "\n")
    found = data(file, config=config)
    assert [one["address"] for one in found["timeline"] if one["what"] == "mail"] == ["integrator@example.org"]
    assert (found["incidents"][0]["mode"], found["incidents"][0]["status"]) == ("learning", "closed")
    assert "nobody else is told" in found["timeline"][0]["text"]
    forged = event.model_copy(update={"data": event.data.model_copy(update={"learning": True})})
    file.write_text(to_line(forged) + "\n")
    addresses = {one["address"] for one in data(file)["timeline"] if one["what"] == "mail"}
    assert len(addresses) > 1, "the mark alone hides nothing"
