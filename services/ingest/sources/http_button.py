"""Buttons that can only call an address, such as Shelly's first generation: GET or POST, without a body of ours.

`/v1/hooks/{source}/{device}?secret=…`, or `?device=…&secret=…`; `press=short|long|double` where the button can say so.
A device may have a secret of its own.

Such a sender has no id for a press – its counter, if any, starts again at each reboot – so each call is a press of its
own, and merging absorbs those that belong together.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from schemas.configuration_sources import HttpButtonSource, Press
from schemas.events import Event, Mode, PoliceWish, Reported, event_id
from schemas.report_warnings import warning
from services.ingest.api.problems import Fault, Refusal, quoted
from services.ingest.report_body import EXPECTED
from services.ingest.reports import Findings, storable
from services.ingest.sender import Sender
from services.ingest.sources.shape import Emitter, Made, Message
from services.ingest.sources.signatures import refused

_PRESSES: Final = ("short", "long", "double")
_LONGEST: Final = 200
_MOST_FIELDS: Final = 20


def _fields(message: Message) -> dict[str, str]:
    """The address's parameters, then those of a posted form; the first of each name counts."""
    posted: list[tuple[str, str]] = []
    if "form-urlencoded" in message.headers.get("content-type", ""):
        text = message.body.decode("latin-1")
        posted = parse_qsl(text, max_num_fields=_MOST_FIELDS) if text.count("&") < _MOST_FIELDS else []
    return dict(reversed([*message.query.items(), *posted]))


def check_secret(message: Message, sender: Sender) -> None:
    """Compare the secret in the address, in constant time; a device that has its own shows that one.

    Raises:
        Refusal: 401.
    """
    fields = _fields(message)
    expected = sender.secret_for(_device(message, fields))
    shown = fields.get("secret", "").encode(errors="replace")
    if not hmac.compare_digest(shown, expected) or not expected:
        raise refused("The secret is missing or wrong. Call the address with ?secret=SECRET as configured here.")


def _parse(message: Message, sender: Sender) -> Sequence[Made]:
    """One press.

    Raises:
        Refusal: 422 from a source that is not `kind: panic`, for a device that its register does not know.
    """
    source = sender.source
    assert isinstance(source, HttpButtonSource)
    fields, findings = _fields(message), Findings()
    stated = " ".join(storable(_device(message, fields)[:_LONGEST]).split()) or None
    known = sender.device(stated) if stated else None
    if known is None:
        _doubt(stated, sender, findings)
    press, mode = _press(source, fields.get("press"), findings), _mode(fields.get("mode"), findings)
    place = known.device if known else None
    data = Reported(
        kind=source.kind,
        site=place.site if place else None,
        location=place.location if place else None,
        device_id=known.device_id if known else stated,
        danger_level=press.danger_level,
        category=press.category,
        police=press.police or PoliceWish.NONE,
        mode=mode,
        warnings=findings.spoken(),
    )
    return [Event(id=event_id(sender.name, None), source=sender.name, time=message.received_at, data=data)]


def _device(message: Message, fields: Mapping[str, str]) -> str:
    """In the path, which buttons' forms like to end with a slash, else in a field."""
    return message.rest.rstrip("/") or fields.get("device", "")


def _mode(stated: str | None, findings: Findings) -> Mode:
    """What is no mode is no exercise: an alarm rather than none, and it is said."""
    if stated is not None and stated not in tuple(Mode):
        findings.faults.append(Fault("/mode", "is no known mode", EXPECTED["mode"]))
        return Mode.ACTUAL
    return Mode(stated) if stated is not None else Mode.ACTUAL


def _press(source: HttpButtonSource, stated: str | None, findings: Findings) -> Press:
    if stated is None:
        return Press()
    for name in _PRESSES:
        if stated.casefold() == name:
            return source.presses.get(name, Press())
    findings.warn(warning("press", value=quoted(stated)))
    return Press()


def _doubt(stated: str | None, sender: Sender, findings: Findings) -> None:
    if not sender.lenient:
        fault = Fault("/device", "is not in the register of this source", "a device of the source, in the address")
        raise Refusal(422, "The device is not in the register of this source.", errors=[fault])
    if stated is None:
        findings.warn(warning("no_device"))
    else:
        findings.warn(warning("unknown_device_placeless", value=quoted(stated)))


EMITTER: Final = Emitter(_parse, check_secret, frozenset({"GET", "POST"}))
