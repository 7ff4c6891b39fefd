"""A form's submission as an event: mapped, judged, and its faults told in the form's own words."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from schemas.configuration_forms import Map
from schemas.events import Event
from schemas.report_warnings import warning
from services.ingest.api.problems import Fault, Refusal, pointer
from services.ingest.report_body import LONGEST
from services.ingest.reports import report
from services.ingest.sender import Sender
from services.ingest.sources.form_map import Applied, apply
from services.ingest.sources.form_reading import Submission, matches
from services.ingest.sources.shape import Ignored

NOT_WANTED: Final = "condition not met"
_LISTED: Final = "The form does not fit; every wrong field is listed by the form's own name for it."


@dataclass(frozen=True, slots=True)
class Understood:
    """The event, and how the form's fields became it; None for a report body that no map was needed for."""

    event: Event
    applied: Applied | None


class FormRefusal(Refusal):
    """A form that does not fit. `applied`: how far its fields became a report, for who tries it."""

    def __init__(self, faults: Sequence[Fault], applied: Applied) -> None:
        super().__init__(422, _LISTED, errors=faults)
        self.applied = applied


def judged(only: str | None, submission: Submission) -> tuple[str, ...] | None:
    """None for a message that does not meet the condition; else warnings about it."""
    met = only is None or matches(only, submission.document)
    if met is None:
        return (warning("condition"),)
    return () if met else None


def fitting(key: str | None) -> str | None:
    """The key, or what stands for one that is too long."""
    if key is None or len(key) <= LONGEST["id"]:
        return key
    return hashlib.sha256(key.encode("utf-8", errors="replace")).hexdigest()


def understand(
    submission: Submission,
    sender: Sender,
    mapping: Map,
    ignore: tuple[str, ...],
    *,
    only: str | None,
    key: str | None,
    at: datetime,
) -> Understood | Ignored:
    """The report in a submission.

    Args:
        submission: the form's fields.
        sender: whose form it is.
        mapping: which field of the form fills which of the report.
        ignore: fields that nobody needs to read.
        only: the condition that a report meets.
        key: the submission's id, unless the map has one.
        at: when it came.

    Raises:
        Refusal: 422 naming the form's fields; never for a press.
    """
    doubts = judged(only, submission)
    if doubts is None:
        return Ignored(NOT_WANTED)
    warnings = [*submission.warnings, *doubts]
    applied = apply(mapping, submission, sender.sites, ignore, lenient=sender.lenient)
    warnings += applied.warnings
    if sender.lenient:
        # A site's unknown name is kept, and `report` says so.
        warnings += [
            warning("left_out", field=fault.field, detail=fault.detail)
            for fault in applied.faults
            if fault.field != "site"
        ]
    key = None if "id" in applied.body else fitting(key)
    try:
        event = report(applied.body, sender, received_at=at, idempotency_key=key, warnings=tuple(warnings))
    except Refusal as refusal:
        raise FormRefusal(_in_its_words(refusal, applied, mapping), applied) from None
    if applied.faults and not sender.lenient:
        raise FormRefusal(applied.faults, applied)
    return Understood(event, applied)


def _in_its_words(refusal: Refusal, applied: Applied, mapping: Map) -> list[Fault]:
    """The faults by the form's names for its fields, together with what the map itself found wrong."""
    told = {fault.target for fault in applied.faults}
    others = [_translated(fault, mapping) for fault in refusal.errors if fault.field not in told]
    return [*applied.faults, *others]


def _translated(fault: Fault, mapping: Map) -> Fault:
    mapped = next((one for target, one in mapping.items() if target == fault.field), None)
    if mapped is None or not mapped.field:
        return fault
    return replace(fault, pointer=pointer(mapped.field), target=fault.field, detail=f"{fault.field} {fault.detail}")
