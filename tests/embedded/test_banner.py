"""The banner of `rufkette run` with a configuration of one's own."""

import json
import shlex
from pathlib import Path

import pytest

from services.common.configuration.file import load
from services.embedded.banner import banner
from services.embedded.data import EXAMPLE, DataDirectory
from services.embedded.plan import decide

PROCESSES = {"mail catcher": 11, "Kafka": 12, "PostgreSQL": 13}


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("RUFKETTE_API_KEY", raising=False)
    file = tmp_path / "own.yaml"
    file.write_text(EXAMPLE.read_text().replace("bernburg", "musterstadt").replace("Zimmer 112", "Raum A"))
    data = DataDirectory(tmp_path)
    return banner(decide(data, file, terminal=False), load(file), PROCESSES)


def test_the_first_alarm_names_a_place_that_the_file_has(shown: str, tmp_path: Path) -> None:
    curl = next(line for line in shown.splitlines() if line.strip().startswith("curl "))
    report = json.loads(shlex.split(curl)[-1])
    site = load(tmp_path / "own.yaml").sites[report["site"]]
    assert "location" not in report if not site.locations else report["location"] in {x.name for x in site.locations}


def test_it_says_which_key_is_meant(shown: str) -> None:
    assert "RUFKETTE_API_KEY is the key of your source buttons" in shown
    assert "rufkette new-key" in shown


def test_the_processes_are_named(shown: str) -> None:
    assert "(process 12)" in shown
