"""What became of an event, as `incidents.lifecycle` tells it: a copy in memory of the last seven days."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.lifecycle import Change, Lifecycle
from services.ingest.journal.ledger import Entry, Ledger

KEPT_FOR: Final = 7 * 24 * 3600.0
"""Seconds."""


class Status(StrEnum):
    """What the sender is told."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    EMERGENCY = "emergency"
    ALERTED = "alerted"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


@dataclass(slots=True)
class _Incident:
    revision: int
    changed_at: float
    notified: bool = False
    acknowledged: bool = False
    closed: bool = False
    joined_into: str | None = None
    status_at: float = 0.0
    """When what its senders are told changed last, in seconds since the epoch."""

    @property
    def status(self) -> Status:
        if self.closed:
            return Status.CLOSED
        if self.acknowledged:
            return Status.ACKNOWLEDGED
        return Status.ALERTED if self.notified else Status.ACCEPTED


@dataclass(slots=True)
class _Report:
    source: str | None
    seen_at: float
    incident_id: str | None = None
    assigned_at: float = 0.0
    """When it was said to belong to that incident: people regroup, and partitions are read in any order."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a sender may know of its event."""

    status: Status
    incident_id: str | None
    since: float = 0.0
    """When alerting said so, in seconds since the epoch; 0 where it said nothing."""


class Statuses:
    """The copy: pure bookkeeping, filled by the follower and by what this process accepted itself."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._reports: dict[str, _Report] = {}
        self._incidents: dict[str, _Incident] = {}

    def accept(self, event_id: str, source: str, now: float) -> None:
        """This process took the event; alerting has not spoken of it yet."""
        report = self._reports.setdefault(event_id, _Report(source, now))
        report.source = source

    def apply(self, change: Change, data: Lifecycle, at: float) -> None:
        """Take in a change of an incident; lower revisions than the one known are old news."""
        self._join(change, data, at)
        incident = self._incidents.setdefault(data.incident_id, _Incident(data.revision, at))
        if data.revision < incident.revision:
            return
        incident.revision, incident.changed_at = data.revision, max(at, incident.changed_at)
        before = incident.status
        # Of what was closed and begins anew nobody has heard any more.
        incident.notified = data.notified or change is Change.NOTIFIED
        match change:
            case Change.ACKNOWLEDGED:
                incident.acknowledged = True
            case Change.ESCALATED:
                # A step is taken only while nobody has the incident: the time of whoever had it ran out.
                incident.acknowledged = incident.closed = False
            case Change.CLOSED:
                # What is of a learning source is over from the beginning; its sender asks whether the mail went out.
                incident.closed = not data.learning
            case Change.MERGED if data.into is not None:
                incident.joined_into = data.into
            case Change.OPENED:
                incident.joined_into = None
                incident.acknowledged = incident.closed = False
            case _:
                pass
        if incident.status is not before:
            incident.status_at = at

    def _join(self, change: Change, data: Lifecycle, at: float) -> None:
        speaks_for_sender = change in (Change.OPENED, Change.MERGED, Change.SUPPRESSED)
        for event_id in data.event_ids:
            # Later changes list reports of several sources, so they do not say whose this one is.
            source = data.source if speaks_for_sender or event_id == data.incident_id else None
            report = self._reports.setdefault(event_id, _Report(source, at))
            report.source = report.source or source
            if at >= report.assigned_at:
                report.incident_id, report.assigned_at = data.incident_id, at

    def is_taken(self, event_id: str) -> bool:
        """Whether alerting is known to have taken the event."""
        report = self._reports.get(event_id)
        return report is not None and report.incident_id is not None

    def find(self, event_id: str, source: str) -> Known | None:
        """What became of an event, for the source that sent it; None for anybody else's."""
        report, entry = self._reports.get(event_id), self._ledger.find(event_id)
        if source not in (report and report.source, entry and entry.event.source):
            return None
        incident_id = report.incident_id if report else None
        chain = self._chain(incident_id)
        status, since = Status.ACCEPTED, max((self._incidents[id_].status_at for id_ in chain), default=0.0)
        if chain:
            incident_id = chain[-1]
            status = self._incidents[incident_id].status
        # Who was told of an incident that was joined has been told of its reports, too.
        if status is Status.ACCEPTED and any(self._incidents[id_].notified for id_ in chain):
            status = Status.ALERTED
        if status is Status.ACCEPTED and entry is not None:
            status = _until_alerted(entry)
        return Known(status, incident_id, since)

    def _chain(self, incident_id: str | None) -> list[str]:
        """The incident, and those that it became part of, one after the other.

        A ring is possible while partitions are read one after the other: two that were joined, parted, and joined
        the other way round.
        """
        chain: list[str] = []
        while incident_id in self._incidents and incident_id not in chain:
            chain.append(incident_id)
            incident_id = self._incidents[incident_id].joined_into
        return chain

    def prune(self, now: float) -> None:
        """Forget what nothing was heard of for `KEPT_FOR`."""
        oldest = now - KEPT_FOR
        self._incidents = {k: v for k, v in self._incidents.items() if v.changed_at > oldest}
        self._reports = {
            k: v for k, v in self._reports.items() if v.seen_at > oldest or v.incident_id in self._incidents
        }


def _until_alerted(entry: Entry) -> Status:
    if entry.mailed_at is not None:
        return Status.EMERGENCY
    return Status.ACCEPTED if entry.acknowledged_by_kafka else Status.QUEUED
