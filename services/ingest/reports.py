"""From a body to the report that goes to Kafka: strict with forms, and never refusing a press for its content."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from schemas.events import Event, Kind, Mode, PoliceWish, Reported, event_id
from schemas.report_warnings import warning
from services.ingest.api.problems import Fault, Refusal, pointer, quoted
from services.ingest.report_body import EXPECTED, LONGEST, ReportBody
from services.ingest.sender import Sender

_MOST_WARNINGS: Final = 20
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_CLOCK_DRIFT: Final = timedelta(hours=1)
_OLDEST_PRESS: Final = timedelta(days=7)
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_UNKNOWN_FIELD: Final = "one of " + ", ".join(EXPECTED)


@dataclass(slots=True)
class Findings:
    """What did not fit. A strict sender is refused with `faults`; a press carries everything as warnings."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Something that a person should know, whoever sent it."""
        self.warnings.append(text)

    def spoken(self) -> tuple[str, ...]:
        """Everything as warnings, each short enough for the event, and not endlessly many."""
        if not self.faults and not self.warnings:
            return ()
        # Our own fields first: they must not be crowded out by what somebody sends besides.
        faults = sorted(self.faults, key=lambda fault: fault.field not in EXPECTED)
        left_out = [warning("left_out", field=quoted(f.field, 40), detail=f.detail) for f in faults]
        texts = [text if len(text) <= 200 else text[:199] + "…" for text in self.warnings + left_out]
        if len(texts) > _MOST_WARNINGS:
            texts = [*texts[:_MOST_WARNINGS], warning("more", count=len(texts) - _MOST_WARNINGS)]
        return tuple(texts)


def storable(text: str) -> str:
    """Text that PostgreSQL takes: NUL and lone surrogates become U+FFFD."""
    return text if text.isprintable() else _UNSTORABLE.sub("\ufffd", text)


def _repair(body: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    """A press's texts made storable and short enough; a name that is only too long is not lost altogether."""
    repaired = dict(body)
    for name, longest in LONGEST.items():
        text = repaired.get(name)
        if not isinstance(text, str):
            continue
        if len(text) > longest:
            findings.warn(warning("cut", field=name, count=longest))
        clean = storable(text[:longest])
        if clean != text[:longest]:
            findings.warn(warning("replaced", field=name))
        repaired[name] = clean
    level = _whole(repaired.get("danger_level"))
    if level is not None:
        repaired["danger_level"] = level
        findings.warn(warning("level", value=str(level)))
    if repaired.get("id") == "":
        del repaired["id"]
        findings.warn(warning("empty_id"))
    return repaired


def _whole(level: object) -> int | None:
    """A level that was sent as `3.0` or `"3"`: of a press it counts, for what it says cannot be doubted."""
    if isinstance(level, str):
        return int(level) if level.strip() in ("0", "1", "2", "3") else None
    return int(level) if isinstance(level, float) and level in (0, 1, 2, 3) else None


def _fault(name: str, message: str) -> Fault:
    detail = message.removeprefix("Value error, ").replace("Input should", "should")
    return Fault(pointer(name), detail, EXPECTED[name])


def _validate(body: Mapping[str, Any], findings: Findings) -> ReportBody:
    """The fields that fit; each of the others becomes a fault."""
    known = body
    if not body.keys() <= EXPECTED.keys():
        known = {name: value for name, value in body.items() if name in EXPECTED}
        unknown = [name for name in body if name not in EXPECTED]
        findings.faults += [Fault(pointer(name), "is not a known field", _UNKNOWN_FIELD) for name in unknown]
    try:
        return ReportBody.model_validate(known)
    except ValidationError as error:
        wrong: dict[str, Fault] = {}
        for one in error.errors(include_url=False, include_input=False, include_context=False):
            name = str(one["loc"][0])
            wrong.setdefault(name, _fault(name, one["msg"]))
        findings.faults += wrong.values()
        return ReportBody.model_validate({name: value for name, value in known.items() if name not in wrong})


class Place(NamedTuple):
    """Where it happened, as far as ingest can tell."""

    site: str | None
    site_text: str | None
    location: str | None
    device_id: str | None


def place(body: ReportBody, sender: Sender, findings: Findings) -> Place:
    """The register's place for a device that it knows, else what the body says."""
    known = sender.device(body.device_id) if body.device_id else None
    if known is not None:
        for name, said, registered in (
            ("site", body.site, known.device.site),
            ("location", body.location, known.device.location),
        ):
            same = said is None or said == registered or (name == "site" and sender.sites.by_name(said) == registered)
            if not same:
                findings.warn(warning("elsewhere", field=name, value=quoted(said or "")))
        return Place(known.device.site, None, known.device.location, known.device_id)
    if body.device_id is not None:
        if sender.lenient:
            findings.warn(warning("unknown_device", value=quoted(body.device_id)))
        elif body.site is None or not sender.sites.have(body.device_id):
            findings.faults.append(
                Fault("/device_id", "is not in the register",
                      "a device under `devices` of this source; or a site, alone or with a device of another one")
            )  # fmt: skip
    return _stated_place(body, sender, findings)


def _stated_place(body: ReportBody, sender: Sender, findings: Findings) -> Place:
    site = None
    if body.site is not None:
        site = sender.sites.by_name(body.site) if sender.lenient else sender.sites.exactly(body.site)
        if site is None and sender.lenient:
            findings.warn(warning("unknown_site", value=quoted(body.site)))
        elif site is None:
            findings.faults.append(Fault("/site", "is unknown", sender.sites.expectation))
    elif sender.lenient:
        findings.warn(warning("no_site"))
    elif body.device_id is None and not any(f.pointer in ("/site", "/device_id") for f in findings.faults):
        findings.faults.append(Fault("/site", "is missing", f"{sender.sites.expectation} (or a registered device_id)"))
    return Place(site, body.site if site is None else None, body.location, body.device_id)


def plausible(at: datetime | None, received_at: datetime, kind: Kind, findings: Findings) -> datetime | None:
    """The stated time in UTC, unless it cannot be true."""
    if at is None:
        return None
    fault = None
    if at > received_at + _CLOCK_DRIFT:
        fault = "is in the future"
    elif is_too_long_ago(at, received_at, kind):
        fault = "is too long ago"
    if fault is None:
        return at.astimezone(UTC)
    findings.faults.append(Fault("/occurred_at", fault, EXPECTED["occurred_at"]))
    return None


def is_too_long_ago(at: datetime, received_at: datetime, kind: Kind) -> bool:
    """Whether somebody's clock must have been wrong: nobody presses for a week."""
    return at < _EARLIEST or (kind is Kind.PANIC and at < received_at - _OLDEST_PRESS)


def _external_id(body: ReportBody, header: str | None, sender: Sender, findings: Findings) -> str | None:
    """The idempotency key: the body's `id`, or the header."""
    if header is not None and not 1 <= len(header) <= LONGEST["id"]:
        findings.faults.append(Fault("/id", "the header Idempotency-Key does not fit", EXPECTED["id"]))
        header = None
    if header is not None and body.id is not None and header != body.id:
        detail = "differs from the header Idempotency-Key"
        if sender.lenient:
            findings.warn(warning("two_ids"))
        else:
            findings.faults.append(Fault("/id", detail, "the same value in both, or only one of them"))
    return body.id if body.id is not None else header


def report(
    body: Mapping[str, Any],
    sender: Sender,
    *,
    received_at: datetime,
    idempotency_key: str | None = None,
    warnings: tuple[str, ...] = (),
) -> Event:
    """The event for a report body.

    Raises:
        Refusal: 422 with one entry per wrong field; never for a source of `kind: panic`.
    """
    findings = Findings(warnings=list(warnings))
    kind = sender.source.kind
    fields = _validate(_repair(body, findings) if sender.lenient else body, findings)
    if fields.kind is not None and fields.kind is not kind:
        findings.faults.append(Fault("/kind", f"this source reports {kind}, not {fields.kind}", f"{kind}, or nothing"))
    where = place(fields, sender, findings)
    occurred_at = plausible(fields.occurred_at, received_at, kind, findings)
    external_id = _external_id(fields, idempotency_key, sender, findings)
    if external_id is not None and storable(external_id) != external_id:
        findings.faults.append(Fault("/id", "holds characters that cannot be stored", EXPECTED["id"]))
    if findings.faults and not sender.lenient:
        raise Refusal(422, "The report does not fit; every wrong field is listed.", errors=findings.faults)
    data = _reported(fields, kind, where, occurred_at, findings.spoken())
    return Event(id=event_id(sender.name, external_id), source=sender.name, time=received_at, data=data)


def _reported(
    fields: ReportBody, kind: Kind, where: Place, occurred_at: datetime | None, warnings: tuple[str, ...]
) -> Reported:
    return Reported(
        kind=kind,
        site=where.site,
        site_text=where.site_text,
        location=where.location,
        device_id=where.device_id,
        danger_level=fields.danger_level,
        category=fields.category,
        description=fields.description or None,
        reported_by=fields.reported_by,
        acute=fields.acute if fields.acute is not None else True,
        police=fields.police or PoliceWish.NONE,
        reference=fields.reference,
        mode=fields.mode or Mode.ACTUAL,
        occurred_at=occurred_at,
        warnings=warnings,
    )
