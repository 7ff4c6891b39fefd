"""The guides about LoRaWAN are tried as they stand: their configuration, and what their `curl` posts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.configuration_sources import ChirpstackSource
from services.common.device_models import names
from services.ingest.api.hook_examples import HOOK_EXAMPLES
from services.ingest.sources.registry import EMITTERS
from tests.ingest.networks import posted
from tests.ingest.support import reported, sender

DOCS = Path(__file__).parents[2] / "docs"


def section(file: str, heading: str) -> str:
    text = (DOCS / file).read_text()
    found = re.search(rf"^#+ [^\n]*{re.escape(heading)}[^\n]*$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def configured(text: str, type_: str) -> dict[str, Any]:
    """The source of this type in the first YAML block."""
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    sources: dict[str, dict[str, Any]] = yaml.safe_load(block[1])["sources"]
    (source,) = (one for one in sources.values() if one["type"] == type_)
    return source | {"key_sha256": "0" * 64}


@pytest.mark.parametrize("type_", ["ttn", "chirpstack"])
def test_the_curl_of_a_sender_is_a_press_at_a_known_place(type_: str) -> None:
    text = section("integrating.md", f"`type: {type_}`")
    bodies = re.findall(r"--data '(.*?)'\n", text, re.DOTALL)
    assert bodies
    source = sender("lorawan", **{"presses": {}} | configured(text, type_))
    for body in bodies:
        report = reported(posted(EMITTERS[type_], json.loads(body), source, event="up")[0])
        assert (report.site, report.warnings) == ("bernburg", ())
        assert report.location in {"Zimmer 112", "Zimmer 114"}


def test_the_patterns_of_the_guide_can_be_read() -> None:
    source = ChirpstackSource.model_validate(configured(section("configuration.md", "`sources`"), "chirpstack"))
    shared, own = source.patterns.values()
    assert shared.press["long"] == ("event == 'sos_long'", "hex:02.*")
    assert own.press == {"any": ("hex:a1..01",)}
    assert own.battery == shared.battery


@pytest.mark.parametrize("type_", ["ttn", "chirpstack"])
def test_the_example_of_the_api_page_is_a_press(type_: str) -> None:
    source = sender("lorawan", **{"presses": {}} | configured(section("integrating.md", f"`type: {type_}`"), type_))
    report = reported(posted(EMITTERS[type_], HOOK_EXAMPLES[type_]["value"], source, event="up")[0])
    assert (report.site, report.warnings) == ("bernburg", ())


def test_every_model_is_in_the_guides() -> None:
    for text in (section("integrating.md", "What a LoRaWAN message means"), section("configuration.md", "`sources`")):
        assert {name for name in names() if f"`{name}`" not in text} == set()
