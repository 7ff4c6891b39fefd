"""docs/configuration.md against the models: every key is explained, and every example is a valid one."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from schemas import configuration
from services.common.catalogue import CATALOGUE
from services.common.configuration.file import load
from services.common.settings import COMMANDS, AlertingSettings, IngestSettings
from tests.support.organisation import organisation

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "configuration.md").read_text()
MODELS = [
    model
    for model in vars(configuration).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == configuration.__name__
]


def with_keys(example: str) -> str:
    """Each `"…"` stands for the hash of a key of its own."""
    keys = (f'"{number:064x}"' for number in itertools.count(1))
    return re.sub('"…"', lambda _: next(keys), example)


def test_every_key_is_explained() -> None:
    named = set(re.findall(r"`([a-z_0-9]+)`", TEXT)) | set(re.findall(r"([a-z_0-9]+):", TEXT))
    for model in MODELS:
        missing = set(model.model_fields) - named
        assert not missing, f"{model.__name__}: {sorted(missing)}"


def test_the_examples_together_are_a_configuration() -> None:
    whole: dict[str, Any] = {}
    for example in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        part = yaml.safe_load(with_keys(example))
        more = part.pop("sources", {}) if "sources" in whole else {}
        assert not set(part) & set(whole)
        assert not more.keys() & whole.get("sources", {}).keys()
        whole |= part
        whole.get("sources", {}).update(more)
    whole["policies"]["normal"] = whole["policies"]["urgent"]
    assert set(whole) == set(configuration.Configuration.model_fields)
    configuration.Configuration.model_validate(whole)


def test_every_setting_is_in_the_runbook() -> None:
    runbook = (DOCS / "runbook.md").read_text()
    settings = set(IngestSettings.model_fields) | set(AlertingSettings.model_fields)
    missing = {name for name in settings if f"`{name.upper()}`" not in runbook}
    assert missing == set()


def test_the_runbook_names_only_settings_that_exist() -> None:
    table = (DOCS / "runbook.md").read_text().split("## Settings", 1)[1].split("\n## ", 1)[0]
    named = set(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))
    settings = {name.upper() for name in {*IngestSettings.model_fields, *AlertingSettings.model_fields}}
    assert set(re.findall(r"`([A-Z_]+)`", " ".join(named))) == settings | COMMANDS


def test_the_runbook_says_what_to_do_about_every_error() -> None:
    runbook = (DOCS / "runbook.md").read_text()
    loud = {name for name, entry in CATALOGUE.items() if entry.level in ("warning", "error", "critical")}
    assert {name for name in loud if f"`{name}`" not in runbook} == set()


RULES = re.findall(r"```yaml\n(.*?)```", (DOCS / "rules.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(RULES)))
def test_every_example_of_the_rules_is_a_good_one(number: int, tmp_path: Path) -> None:
    """Put into an office that has everything else, it passes `check-config`."""
    example: dict[str, Any] = yaml.safe_load(with_keys(RULES[number]))
    file = tmp_path / "office.yaml"
    office = organisation() | {"policies": organisation()["policies"] | example.pop("policies", {})}
    office |= example
    if "sites" in example:
        office["sources"] = {}
    file.write_text(yaml.safe_dump(office))
    load(file)


def test_every_guarantee_names_tests_that_exist() -> None:
    text = (DOCS / "guarantees.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 20
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (DOCS.parent / file).is_file() or f"def {name}(" not in (DOCS.parent / file).read_text()
    ]
    assert missing == []


def test_every_guarantee_names_log_events_that_exist() -> None:
    table = (DOCS / "guarantees.md").read_text().split("## Each fault", 1)[1].split("\n## ", 1)[0]
    seen = {
        word for row in table.splitlines() if row.startswith("| ") for word in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)
    }
    assert len(seen) > 15
    assert seen - set(CATALOGUE) - {"incidents.lifecycle"} == set()
