"""Everything that is known of a run, read from mail servers, database, Kafka, ingests and logs."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from schemas import codec, topics
from schemas.lifecycle import Change
from services.alerting import store
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.policy import Rules
from services.common.configuration.file import load as load_configuration
from tests.faults.chaos.history import Attempt, History, Input, Mail, Queued, Report, Stored, Told
from tests.faults.chaos.load import Load
from tests.faults.chaos.people import People
from tests.faults.chaos.schedule import Fault, Span
from tests.faults.chaos.world import World
from tests.support.database import rows
from tests.support.organisation import KEYS
from tests.support.records import records_on
from tests.support.smtp_sink import Received

_ATTEMPTED = ("mail.accepted", "mail.deferred", "mail.refused", "mail.set_aside")
_UNANSWERED = ("drop", "lie", "stall")
"""What a mail server does when it has a mail and does not say so."""
_TIMELINES = """
    select incidents.id, incidents.state::text as state, inputs.revision, inputs.at,
           inputs.body::text as body, inputs.plans::text as plans
    from incidents join inputs on inputs.incident_id = incidents.id order by incidents.id, inputs.revision
"""
"""One statement, because escalation goes on: what two would find might be of two moments."""
_OUTBOX = """
    select id::text, recipient, state, extract(epoch from now() - created_at)::float as age,
           extract(epoch from answered_at)::float as answered_at
    from outbox
"""


async def gather(world: World, load: Load, people: People, spans: Sequence[Span]) -> History:
    """Ask everything, when all is quiet; ends alerting, whose repeats would go on meanwhile."""
    configuration = load_configuration(Path(world.around.configuration))
    wall_clock = time.time() - time.monotonic()
    statuses, unconfirmed = await statuses_of(world, load.reports), await journals(world)
    await world.end_alerting()
    outbox = await rows(world.database_url, _OUTBOX)
    return History(
        rules=Rules(configuration, OfficeCalendar(configuration)),
        reports=tuple(load.reports),
        acts=tuple(people.acts),
        mails=taken(world, lambda answered: answered.startswith("250")),
        unanswered=taken(world, lambda answered: answered in _UNANSWERED),
        spans=(*spans, *(Span(Fault(0, "ended by itself", 0, name), at, at) for name, _, at in world.ended)),
        incidents=await _incidents(world, wall_clock),
        outbox=tuple(
            Queued(row["id"], row["recipient"], row["state"], row["age"], _earlier(row["answered_at"], wall_clock))
            for row in outbox
        ),
        attempts=tuple(attempts_in(world, wall_clock)),
        lifecycle=(*await _lifecycle(world, wall_clock), *await _untold(world)),
        statuses=statuses,
        journals=unconfirmed,
        ended=tuple((name, code) for name, code, _ in world.ended),
        stray_lines=tuple(line for service in world.services for line in service.stray_lines),
    )


def _earlier(at: float | None, wall_clock: float) -> float | None:
    return None if at is None else at - wall_clock


def taken(world: World, answered: Callable[[str], bool]) -> tuple[Mail, ...]:
    """The mails that either server answered so, oldest first."""
    found = [
        read(mail, via)
        for via, server in (("normal", world.relay), ("fallback", world.fallback))
        for mail in server.received
        if answered(mail.answered)
    ]
    return tuple(sorted(found, key=lambda mail: mail.at))


def read(received: Received, via: str) -> Mail:
    """A mail as rules see it."""
    message = received.message

    def header(name: str) -> str | None:
        return None if message[name] is None else str(message[name])

    return Mail(
        at=received.at,
        sender=received.sender,
        recipient=received.recipients[0],
        subject=received.subject,
        text=received.text(),
        message_id=header("Message-ID") or "",
        level=header("X-Rufkette-Level") or "",
        attempt=int(header("X-Rufkette-Attempt") or 1),
        via=via,
        incident_id=header("X-Rufkette-Incident"),
        step=header("X-Rufkette-Step"),
        emergency_id=header("X-Rufkette-Emergency"),
    )


def attempts_in(world: World, wall_clock: float) -> Iterator[Attempt]:
    """The attempts at mails that the logs of alerting tell of."""
    for service in world.alertings:
        for line in service.logs:
            if line["event"] in _ATTEMPTED:
                ended_at = datetime.fromisoformat(line["timestamp"]).timestamp() - wall_clock
                yield Attempt(
                    line["mail_id"], line["attempt"], world.name(service), line["event"].partition(".")[2],
                    line.get("via"), line["incident_id"], line["purpose"], line["cycle"],
                    ended_at - line["duration_ms"] / 1000, ended_at,
                )  # fmt: skip


async def statuses_of(world: World, reports: Sequence[Report]) -> dict[str, str]:
    """What the first ingest tells the sender of each report."""
    found = {}
    async with httpx.AsyncClient(base_url=world.ingests[0].url, timeout=10) as client:
        for report in reports:
            headers = {"Authorization": f"Bearer {KEYS[report.source]}"}
            answer = await client.get(f"/v1/events/{report.event_id}", headers=headers)
            found[report.event_id] = str(answer.json().get("status", answer.status_code))
    return found


async def journals(world: World) -> dict[str, int]:
    """How many events each ingest still answers for."""
    found = {}
    for ingest in world.ingests:
        async with httpx.AsyncClient(base_url=ingest.url, timeout=10) as client:
            lines = (await client.get("/metrics")).text.splitlines()
        entries = [line for line in lines if line.startswith("rufkette_ingest_entries{")]
        found[world.name(ingest)] = round(sum(float(line.rpartition(" ")[2]) for line in entries))
    return found


async def _incidents(world: World, wall_clock: float) -> dict[str, Stored]:
    inputs: dict[str, list[Input]] = defaultdict(list)
    states: dict[str, Any] = {}
    for row in await rows(world.database_url, _TIMELINES):
        at = row["at"].timestamp() - wall_clock
        inputs[row["id"]].append(Input(row["revision"], at, row["at"], row["body"], row["plans"]))
        states[row["id"]] = row["state"]
    return {id_: Stored(store.from_json(states[id_]), tuple(found)) for id_, found in inputs.items()}


async def _lifecycle(world: World, wall_clock: float) -> tuple[Told, ...]:
    found = []
    for record in await records_on(world.around, topics.LIFECYCLE):
        change, data = codec.decode_lifecycle(record.headers, record.value)
        if change is not Change.PROBED:
            found.append(Told(change, data, record.timestamp / 1000 - wall_clock))
    return tuple(found)


async def _untold(world: World) -> list[Told]:
    """What alerting decided last, and would have published when it is started again."""
    found = []
    for row in await rows(world.database_url, "select value, headers::text as headers from relay order by seq"):
        headers = [(name, value.encode()) for name, value in json.loads(row["headers"])]
        found.append(Told(*codec.decode_lifecycle(headers, row["value"]), time.monotonic()))
    return found
