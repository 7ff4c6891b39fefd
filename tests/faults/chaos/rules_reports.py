"""Rules about what was reported: each report is heard, in time, as grave as it is, and of one incident."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from schemas.events import Kind, Mode
from services.alerting.core.incident import Status
from tests.faults.chaos.history import History, Report
from tests.faults.chaos.timing import BACK, LONGEST_WAIT, REWRITTEN


def every_report_is_mailed(history: History) -> Iterator[str]:
    """Each answered report reached somebody, over alerting or by the watch."""
    for report in history.reports:
        if history.heard_at(report) is None and not was_nowhere(history, report):
            yield f"report {report.event_id} ({report.status}) was answered and never mailed"


def was_nowhere(history: History, report: Report) -> bool:
    """Three faults at once, beyond the promise: its ingest was killed without its disk, and Kafka emptied meanwhile."""
    for away in history.spans:
        back = away.ended_at + REWRITTEN
        if "disk is away from ingest" in away.fault.name and away.began_at <= report.at and report.began_at <= back:
            ends = f"kill ingest {away.fault.which}", f"itself ingest {away.fault.which}"
            killed = [
                s.began_at for s in history.spans if s.fault.name.endswith(ends) and report.began_at <= s.began_at
            ]
            if any(at <= back and history.failing(report.began_at, at + BACK, "empty topic") for at in killed):
                return True
    return False


def nobody_waits_too_long(history: History) -> Iterator[str]:
    """Whatever fails, the watch is there: it mails after its time, at most a minute later than a mail before."""
    for report in history.reports:
        heard_at = history.heard_at(report)
        if report.mode is Mode.ACTUAL and heard_at is not None and heard_at - report.at > LONGEST_WAIT:
            yield f"report {report.event_id} waited {heard_at - report.at:.0f} s for its first mail"


def what_is_grave_is_mailed_as_grave(history: History) -> Iterator[str]:
    """A report of level 3 reaches somebody as level 3, also where it joins a lesser one, unless somebody answered."""
    for report in history.reports:
        holder = history.holders.get(report.event_id)
        if report.level != 3 or holder is None or holder.state.status is not Status.OPEN:
            continue
        by_alerting = any(mail.level == "3" for mail in history.alarms(holder.state.id))
        if not by_alerting and not any(report.said in mail.places for mail in history.by_the_watch):
            yield f"report {report.event_id} of level 3 was mailed only as something less"


def what_nobody_answered_is_loud(history: History) -> Iterator[str]:
    """An open incident has an alarm mail of its present cycle, and a due time for the next."""
    for stored in history.incidents.values():
        incident = stored.state
        if incident.status is not Status.CLOSED and incident.due_at is None:
            yield f"incident {incident.id} is {incident.status} without a due time"
        if incident.status is Status.OPEN and not any(
            mail.cycle == incident.cycle for mail in history.alarms(incident.id)
        ):
            yield f"incident {incident.id} is open, and nobody was mailed in cycle {incident.cycle}"


def every_report_is_in_one_incident(history: History) -> Iterator[str]:
    """Each report in exactly one incident, of its own site and mode, and no incident of anything else."""
    holders: dict[str, list[str]] = defaultdict(list)
    for stored in history.incidents.values():
        for event_id in stored.state.event_ids:
            holders[event_id].append(stored.state.id)
    reports = {report.event_id: report for report in history.reports}
    for event_id, report in reports.items():
        found = holders.get(event_id, [])
        if len(found) != 1 and not (found == [] and was_nowhere(history, report)):
            yield f"report {event_id} is in {len(found)} incidents"
        for incident in (history.incidents[id_].state for id_ in found):
            if (incident.site, incident.mode) != (report.site, report.mode):
                yield f"report {event_id} is in an incident of {incident.site}, {incident.mode}"
    yield from (
        f"incident {holders[id_]} holds {id_}, which nobody reported" for id_ in holders.keys() - reports.keys()
    )


def one_incident_a_room(history: History) -> Iterator[str]:
    """Reports of a room and mode are one incident; only what is no press may find it closed, and open another one."""
    rooms: dict[tuple[str, str, Mode], list[Report]] = defaultdict(list)
    for report in history.reports:
        rooms[report.site, report.room, report.mode].append(report)
    for (_, room, mode), reports in rooms.items():
        found = {history.holders[r.event_id].state.id for r in reports if r.event_id in history.holders}
        closed = any(history.incidents[id_].state.closing is not None for id_ in found)
        late = sum(report.kind is not Kind.PANIC for report in reports) if closed else 0
        if len(found) > 1 + late:
            yield f"room {room} has {len(found)} incidents of mode {mode}"


_EXPECTED: Final = {Status.CLOSED: {"closed"}, Status.ACKNOWLEDGED: {"acknowledged"}, Status.OPEN: {"alerted"}}


def everybody_learns_what_became(history: History) -> Iterator[str]:
    """What ingest tells the sender at the end is what the database says."""
    for report in history.reports:
        holder = history.holders.get(report.event_id)
        said = history.statuses.get(report.event_id)
        if holder is not None and said not in _EXPECTED[holder.state.status]:
            yield f"report {report.event_id} is {said} for its sender, and its incident {holder.state.status}"


def nothing_is_left_in_a_journal(history: History) -> Iterator[str]:
    """In the end the chain has confirmed everything to the ingest that took it."""
    for ingest, left in history.journals.items():
        if left:
            yield f"{ingest} still answers for {left} events"
