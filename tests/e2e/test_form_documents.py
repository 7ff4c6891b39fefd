"""docs/forms.md, tried: each configuration with the curl line beside it, from ingest to the mail."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.configuration import Configuration
from services.ingest.api.hook_examples import HOOK_EXAMPLES
from services.ingest.sender import senders
from services.ingest.sources import form
from services.ingest.sources.shape import Message
from tests.ingest.reading import events_on
from tests.ingest.support import NOW, reported
from tests.support.chain import Chain
from tests.support.mails import first_line, wait_for_mails
from tests.support.organisation import organisation, write_configuration

TEXT = (Path(__file__).parents[2] / "docs/forms.md").read_text()
KEY = "rk_test_forms_page"
SECRETS = {
    "formbricks": "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode(),
    "typeform": "geheim",
    "tally": "auch geheim",
}
EXPECTED: dict[str, dict[str, Any]] = {
    "intranet": {"location": "Zimmer 112", "category": "threat", "acute": False,
                 "description": "Wurde am Schalter laut.\n\nzeugen: B. Beispiel"},
    "formbricks": {"location": "112", "danger_level": 1, "description": "was: Streit um einen Termin"},
    "typeform": {"acute": False, "description": None},
    "tally": {"location": "112", "description": None},
    "formcycle": {"location": "112", "description": "Tür eingetreten"},
    "limesurvey": {"location": "112", "description": "Was ist passiert?: Streit um einen Termin"},
    "formio": {"location": "112", "description": "was: Streit"},
    "powerautomate": {"location": "112", "acute": False, "description": "was: Streit um einen Termin"},
}  # fmt: skip

needed = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("bash", "curl", "openssl")),
    reason="the examples of the page need bash, curl and openssl",
)


def sources() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        found |= yaml.safe_load(block.replace('"…"', f'"{hashlib.sha256(KEY.encode()).hexdigest()}"'))["sources"]
    return found


def commands() -> dict[str, str]:
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) if "curl " in block]
    return {re.findall(r"/v1/hooks/(\w+)", block)[0]: block for block in blocks}


def test_each_sender_has_configuration_and_command() -> None:
    assert set(sources()) == set(commands()) == set(EXPECTED)


def test_the_example_of_the_api_page_is_one_for_the_first_configuration() -> None:
    content = organisation()
    content["sources"] = {"intranet": sources()["intranet"]}
    sender = senders(Configuration.model_validate(content))["intranet"]
    body = json.dumps(HOOK_EXAMPLES["form"]["value"]).encode()
    sent = Message(body, NOW, headers={"content-type": "application/json"})
    report = reported(form.parse(sent, sender)[0])
    assert (report.site, report.location, report.category, report.warnings) == ("bernburg", "Zimmer 112", "threat", ())


def run(command: str, **environment: str) -> str:
    done = subprocess.run(
        ["bash", "-euc", command], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    def add(content: dict[str, Any]) -> None:
        content["sources"].update(sources())
        content["merge"] = {"within": "0s"}  # all of them report the same room

    (tmp_path / "secrets").mkdir()
    for name, secret in SECRETS.items():
        (tmp_path / "secrets" / name).write_text(secret + "\n")
    return write_configuration(tmp_path / "config.yaml", add)


@needed
async def test_each_command_raises_the_report_that_its_configuration_describes(chain: Chain) -> None:
    ids: dict[str, str] = {}
    for name, command in commands().items():
        output = run(command, INGEST=chain.ingest.url, KEY=KEY, SECRET=SECRETS.get(name, ""))
        assert " 202 " in output.splitlines()[0], output
        answer = json.loads(output.splitlines()[-1])
        assert answer["warnings"] == []
        ids[name] = answer["event_id"]
    for name, event_id in ids.items():
        mails = await wait_for_mails(chain.sink, event_id, 1)
        room = EXPECTED[name].get("location", "Bernburg").removeprefix("Zimmer ")
        assert room in first_line(mails[0]), name
    events = {event.id: event for event in await events_on(chain.around.kafka, chain.around.topic_prefix)}
    for name, event_id in ids.items():
        report = reported(events[event_id]).model_dump(mode="json")
        assert report["site"] == "bernburg", name
        assert {key: report[key] for key in EXPECTED[name]} == EXPECTED[name], name
    for secret in (KEY, *SECRETS.values(), "Streit", "Schalter"):
        assert secret not in chain.ingest.output
