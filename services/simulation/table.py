"""A timeline as a table for people: one line per mail, and a line beginning with `·` for what happened between."""

from collections.abc import Iterator
from datetime import timedelta

from services.alerting.core.incident import Incident, Status
from services.simulation.timeline import Entry, Mail, Timeline
from services.simulation.words import clock, columns, count, span, step

_HEAD = ("TIME", "AFTER", "INCIDENT", "STEP", "TO", "SUBJECT")


def table(timeline: Timeline) -> str:
    """The whole text, without a line end. Times are local to the site."""
    several = len(timeline.incidents) > 1
    rows: list[tuple[str, ...]] = [_HEAD] if timeline.entries else []
    seconds = any(entry.at.second for entry in timeline.entries)
    codes = {incident.id: incident.code for incident in timeline.incidents.values()}
    rows += [_row(timeline, entry, codes[entry.incident_id], seconds=seconds) for entry in timeline.entries]
    if not several:
        rows = [(*row[:2], *row[3:]) for row in rows]
    parts = columns(rows)
    if parts:
        parts.append("")
    return "\n".join([*parts, *_summary(timeline)])


def _row(timeline: Timeline, entry: Entry, code: str, *, seconds: bool) -> tuple[str, ...]:
    begin = (clock(timeline.local(entry), seconds=seconds), span(timeline.after(entry)), code)
    if isinstance(entry, Mail):
        return (*begin, step(entry), entry.address, entry.subject)
    return (*begin, f"· {entry.text}")


def _summary(timeline: Timeline) -> Iterator[str]:
    incidents = list(timeline.incidents.values())
    yield f"{count(len(timeline.mails), 'mail')} about {count(len(incidents), 'incident')}."
    if len(incidents) == 1:
        yield from _goes_on(timeline, incidents[0])
    elif still := [i for i in incidents if i.status is not Status.CLOSED]:
        verb = "is" if len(still) == 1 else "are"
        yield f"{len(still)} of them {verb} not closed: what is not listed here goes on until somebody takes over."


def _goes_on(timeline: Timeline, incident: Incident) -> Iterator[str]:
    """What the table leaves out of a single incident that does not end."""
    due = timeline.followed_until.get(incident.id)
    if due is None:
        return
    at = clock(due.astimezone(timeline.rules.zone(incident.site)))
    if incident.status is Status.ACKNOWLEDGED:
        yield f"It is taken over; the next mail is due {at}."
    elif isinstance(incident.policy.repeat, timedelta) and incident.acute:
        every = span(incident.policy.repeat)
        yield f"And so on from {at}: the last step is repeated every {every} until somebody takes over."
    else:
        yield f"And so on from {at}: it is repeated on each opening day until somebody takes over."
