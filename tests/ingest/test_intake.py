"""In which order a message is verified, limited and parsed; nothing here comes as far as the publisher."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.common.configuration.file import load
from services.common.settings import IngestSettings
from services.ingest.activity import Activity
from services.ingest.api.problems import Refusal
from services.ingest.intake import Intake
from services.ingest.journal.journal import Journal
from services.ingest.journal.ledger import Ledger
from services.ingest.kafka_writer import KafkaWriter
from services.ingest.limits import BURST, Limits
from services.ingest.publisher import Publisher
from services.ingest.sender import Sender, senders
from services.ingest.sources.shape import Message
from services.ingest.status import Statuses
from tests.ingest import every_source
from tests.ingest.every_source import proof
from tests.support.organisation import WS101

NO_REPORT = b"{}"


@pytest.fixture
def limits() -> Limits:
    """Filled by no time."""
    return Limits(lambda: 0.0)


@pytest.fixture
def intake(tmp_path: Path, limits: Limits) -> Intake:
    given = IngestSettings(
        config=Path("unused"), kafka_bootstrap_servers="127.0.0.1:9", journal_path=tmp_path / "journal",
        smtp_url=SecretStr("smtp://127.0.0.1:9"), mail_from="rufkette@example.org",
    )  # fmt: skip
    ledger = Ledger(Journal(given.journal_path))
    statuses = Statuses(ledger)
    publisher = Publisher(KafkaWriter(given), ledger, is_taken=statuses.is_taken, caught_up=lambda: False)
    return Intake(publisher, statuses, Activity(), limits)


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Sender]:
    file = every_source.write(tmp_path)
    return senders(load(file), file)


async def answer(intake: Intake, sender: Sender, *, body: bytes = NO_REPORT, forged: bool = False) -> object:
    headers, query = proof(sender.name, b"something else" if forged else body)
    headers = headers | {"content-type": "application/json"}
    try:
        said = await intake.receive(Message(body, datetime.now(UTC), headers=headers, query=query), sender)
    except Refusal as refusal:
        return refusal.status
    return said["status"]


@pytest.mark.parametrize(
    ("source", "otherwise"), [("hmac", 422), ("formbricks", 422), ("typeform", "ignored"), ("tally", "ignored")]
)
async def test_first_verified_then_limited_then_parsed(
    intake: Intake, limits: Limits, sources: dict[str, Sender], source: str, otherwise: object
) -> None:
    sender = sources[source]
    limits.admit(source, int(BURST) - 1)
    # Whoever proves nothing uses up no room …
    assert {await answer(intake, sender, forged=True) for _ in range(10)} == {401}
    # … so there is some for the source itself, once.
    assert await answer(intake, sender) == otherwise
    assert await answer(intake, sender, body=b"not even JSON") == 429
    assert await answer(intake, sender, forged=True) == 401
    assert await answer(intake, sources["intranet"]) == 422


async def test_what_is_no_press_of_a_button_is_limited_once_it_is_known_to_be_none(
    intake: Intake, limits: Limits, sources: dict[str, Sender]
) -> None:
    limits.admit("lorawan", int(BURST))
    uplink = {"end_device_ids": {"dev_eui": WS101}, "uplink_message": {"decoded_payload": {"battery": 50}}}
    assert await answer(intake, sources["lorawan"], body=json.dumps(uplink).encode()) == 429
    assert await answer(intake, sources["lorawan"], body=b'{"downlink_ack": {}}') == "ignored"
    assert await answer(intake, sources["lorawan"], body=b"[]") == 422
