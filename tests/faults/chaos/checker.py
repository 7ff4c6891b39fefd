"""What must hold over everything that happened. Each finding is one line; none is a run that kept its promise."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from schemas import codec, topics
from services.alerting import store
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.incident import Incident
from services.alerting.core.policy import Rules
from services.common.configuration_file import load
from tests.faults.chaos.faults import Span
from tests.faults.chaos.load import Load, Pressed
from tests.faults.chaos.world import WATCH_AFTER, World
from tests.support.database import rows
from tests.support.mails import named
from tests.support.records import records_on
from tests.support.smtp_sink import Received

CONVERSATION = 20.0
"""Seconds that one attempt at a mail may take: what was claimed before a take-over may still arrive within them."""
LEASE = 60.0
"""Seconds after which a mail whose sender is gone is sent by another one."""
RECORDED_WITHIN = 5.0
"""Seconds from a mail server's answer to its record, if nothing is away."""
LONGEST_WAIT = WATCH_AFTER + 60.0 + 30.0
"""Seconds: the watch's time, its minute between two mails, and a restart with all that it reads first."""
_ROOM = re.compile(r"Raum [0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class History:
    """All that is known of a run when it is over and quiet."""

    world: World
    load: Load
    spans: Sequence[Span]

    @property
    def mails(self) -> list[Received]:
        """What the mail servers took, oldest first."""
        return self.world.accepted

    def by_alerting(self) -> list[Received]:
        """Mails of the normal way; the others are the watch's."""
        return [mail for mail in self.mails if not mail.subject.endswith("Notbetrieb")]


def first_mail(history: History) -> dict[str, float]:
    """When the first mail about each room was accepted, by room."""
    found: dict[str, float] = {}
    for mail in history.mails:
        for room in _ROOM.findall(mail.text()):
            found.setdefault(room, mail.at)
    return found


def unheard(history: History) -> list[Pressed]:
    """Answered presses that no mail speaks of."""
    mailed = first_mail(history)
    return [pressed for pressed in history.load.pressed if pressed.room not in mailed]


def every_press_is_mailed(history: History) -> Iterator[str]:
    """Each answered press reached somebody, over alerting or by the watch."""
    for pressed in unheard(history):
        yield f"press {pressed.event_id} ({pressed.status}) was answered and never mailed"


def one_name_one_mail(history: History) -> Iterator[str]:
    """Recipient, incident and step name one mail, whose copies share a Message-ID; a copy needs a fault before it."""
    by_name: dict[tuple[str, ...], list[Received]] = defaultdict(list)
    by_id: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for mail in history.by_alerting():
        incident_id, step, message_id = named(mail)
        by_name[incident_id, step, *mail.recipients].append(mail)
        by_id[message_id].add((incident_id, step, *mail.recipients))
    for message_id, names in by_id.items():
        if len(names) > 1:
            yield f"{message_id} is the Message-ID of {len(names)} mails"
    for name, copies in by_name.items():
        if len({named(copy).message_id for copy in copies}) > 1:
            yield f"{name[:2]} was sent under several Message-IDs"
        for earlier, later in pairwise(copies):
            if not _open_at_a_fault(earlier, history):
                yield f"{name[:2]} was sent again at {later.at - earlier.at:.1f} s though nothing had failed"


def _open_at_a_fault(mail: Received, history: History) -> bool:
    """Whether something failed between the earliest begin of the attempt and the recording of its answer."""
    began, recorded = mail.at - CONVERSATION, mail.at + RECORDED_WITHIN
    return any(span.began_at <= recorded and span.ended_at >= began for span in history.spans)


def nobody_waits_too_long(history: History) -> Iterator[str]:
    """Whatever fails, the watch is there: it mails after its time, at most a minute later than a mail before."""
    mailed = first_mail(history)
    for pressed in history.load.pressed:
        waited = mailed.get(pressed.room, pressed.at) - pressed.at
        if waited > LONGEST_WAIT:
            yield f"press {pressed.event_id} waited {waited:.0f} s for its first mail"


def nobody_is_called_after_a_take_over(history: History) -> Iterator[str]:
    """No alarm mail of an incident is claimed once a person was told that it is theirs."""
    hangs = [span for span in history.spans if "hang" in span.fault.what or "stall" in span.fault.what]
    for mail in history.by_alerting():
        taken_at = history.load.taken_over.get(named(mail).incident_id)
        if taken_at is None or named(mail).purpose != "alarm":
            continue
        late = mail.at - taken_at
        # A process that was stopped in the middle of a conversation ends it when it wakes up.
        held = sum(s.ended_at - s.began_at for s in hangs if s.began_at <= mail.at and s.ended_at >= taken_at)
        if late > CONVERSATION + held:
            yield f"{named(mail).step} of {named(mail).incident_id} came {late:.1f} s after it was taken over"


async def every_press_is_an_incident(history: History) -> list[str]:
    """One incident a press, none besides, and none that is open without a due time."""
    found = await rows(history.world.database_url, "select id, status, due_at from incidents")
    pressed = sorted(one.event_id for one in history.load.pressed)
    findings = [f"press {id_} has no incident" for id_ in set(pressed) - {row["id"] for row in found}]
    findings += [f"incident {row['id']} is of no press" for row in found if row["id"] not in pressed]
    findings += [f"incident {r['id']} is {r['status']} without a due time" for r in found if r["due_at"] is None]
    return findings


async def the_past_explains_the_present(history: History) -> list[str]:
    """Deciding each incident's stored inputs again gives its stored state, without a gap in its revisions."""
    configuration = load(Path(history.world.around.configuration))
    rules = Rules(configuration, OfficeCalendar(configuration))
    # One statement, because escalation goes on: what two would find might be of two moments.
    query = """
        select incidents.id, incidents.state::text as state, inputs.revision, inputs.at,
               inputs.body::text as body, inputs.plans::text as plans
        from incidents join inputs on inputs.incident_id = incidents.id order by incidents.id, inputs.revision
    """
    inputs: dict[str, list[Any]] = defaultdict(list)
    for row in await rows(history.world.database_url, query):
        inputs[row["id"]].append(row)
    findings = []
    for id_, causes in inputs.items():
        known: list[Incident] = []
        for one in causes:
            decision = store.replay(known, one["body"], one["plans"], now=one["at"], rules=rules)
            known = [decision.incident] if decision.incident is not None else known
        if known != [store.from_json(causes[0]["state"])]:
            findings.append(f"incident {id_} is not what its inputs make of it")
        if [one["revision"] for one in causes] != list(range(1, len(causes) + 1)):
            findings.append(f"incident {id_} has a gap in its revisions")
    return findings


async def told_in_order(history: History) -> list[str]:
    """The lifecycle of each incident speaks of its revisions in their order, apart from records that came twice."""
    last: dict[str, int] = {}
    seen: set[tuple[str, int, str]] = set()
    findings = []
    for record in await records_on(history.world.around, topics.LIFECYCLE):
        change, data = codec.decode_lifecycle(record.headers, record.value)
        again = (data.incident_id, data.revision, change.value) in seen
        seen.add((data.incident_id, data.revision, change.value))
        if data.revision < last.get(data.incident_id, 0) and not again:
            findings.append(f"{change} of {data.incident_id} at revision {data.revision} came late")
        last[data.incident_id] = max(data.revision, last.get(data.incident_id, 0))
    return findings


def no_stray_lines(history: History) -> Iterator[str]:
    """Whatever happens, a service says it as one line of JSON."""
    for service in history.world.services:
        for line in service.stray_lines[:3]:
            yield f"{service.name} wrote {line[:120]!r}"


async def check(history: History) -> list[str]:
    """Every finding of every rule."""
    findings: list[str] = []
    for rule in (
        every_press_is_mailed,
        nobody_waits_too_long,
        one_name_one_mail,
        nobody_is_called_after_a_take_over,
        no_stray_lines,
    ):
        findings += rule(history)
    for looking in (every_press_is_an_incident, the_past_explains_the_present, told_in_order):
        findings += await partial(looking, history)()
    return findings
