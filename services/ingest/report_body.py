"""The body of `POST /v1/incidents`: its shape, and in words what each field expects."""

import re
from typing import Annotated, Any, Final, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt

from schemas.events import Category, Kind, Mode, PoliceWish, Short, Text

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
T = TypeVar("T")


def _rfc3339(value: object) -> object:
    if value is None:
        return value
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("is no RFC 3339 time with offset")
    return value


def _one_line(value: object) -> object:
    """Line breaks have no place in what becomes a subject or a table; a field left empty was not filled in."""
    return (" ".join(value.split()) or None) if isinstance(value, str) else value


def _plain_string(value: object) -> object:
    if value is None or type(value) is str:
        return value
    raise ValueError("is not a string")


Line = Annotated[Short | None, BeforeValidator(_one_line)]
Time = Annotated[AwareDatetime | None, BeforeValidator(_rfc3339)]


class ReportBody(BaseModel):
    """One report. Only `site` is required, or a `device_id` that the source's register knows.

    An absent field, `null`, and an empty string in a text field all mean "not said".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="Report")

    id: Annotated[
        Annotated[str, Field(min_length=1, max_length=128)] | None,
        Field(description="Idempotency key within the source; the same id again never makes a second incident."),
    ] = None
    kind: Annotated[
        Kind | None, Field(description="What emitted the report; the source's `kind`, and nothing else.")
    ] = None
    site: Annotated[Line, Field(description="Key of a site in the configuration.")] = None
    location: Annotated[Line, Field(description="Room or zone: id, name or alias of a location, or free text.")] = None
    device_id: Annotated[
        Line, Field(description="A device of the register has its place from there, whatever the body says.")
    ] = None
    danger_level: Annotated[
        Annotated[StrictInt, Field(ge=0, le=3)] | None,
        Field(description="0 tense talk … 3 weapon; absent: unknown, treated as 2 for a press."),
    ] = None
    category: Annotated[Category | None, BeforeValidator(_plain_string), Field(description="What happened.")] = None
    description: Annotated[Text | None, Field(description="Free text; stays behind the link in the mail.")] = None
    reported_by: Annotated[Line, Field(description="Who reports.")] = None
    acute: Annotated[StrictBool | None, Field(description="Whether the danger lasts; default true.")] = None
    police: Annotated[
        PoliceWish | None, BeforeValidator(_plain_string), Field(description="`called`: 110 was called already.")
    ] = None
    reference: Annotated[Line, Field(description="Ties a form to an earlier press.")] = None
    mode: Annotated[
        Mode | None, BeforeValidator(_plain_string), Field(description="`exercise` marks a test alarm.")
    ] = None
    occurred_at: Annotated[Time, Field(description="RFC 3339 with offset.")] = None


def _any_of(values: Any) -> str:
    return "one of " + ", ".join(str(value) for value in values)


EXPECTED: Final[dict[str, str]] = {
    "id": "a string of 1 to 128 characters",
    "kind": _any_of(Kind),
    "site": "the key of a configured site",
    "location": "a string of at most 200 characters",
    "device_id": "a string of at most 200 characters",
    "danger_level": "an integer from 0 to 3",
    "category": _any_of(Category),
    "description": "a string of at most 20,000 characters",
    "reported_by": "a string of at most 200 characters",
    "acute": "true or false",
    "police": _any_of(PoliceWish),
    "reference": "a string of at most 200 characters",
    "mode": _any_of(Mode),
    "occurred_at": "an RFC 3339 time with offset, such as 2026-01-05T09:12:33+01:00",
}
LONGEST: Final[dict[str, int]] = {
    "id": 128, "site": 200, "location": 200, "device_id": 200, "description": 20_000, "reported_by": 200,
    "reference": 200,
}  # fmt: skip
"""Characters that a text field can hold; a press's longer text is cut, not refused."""
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "press": {
        "summary": "A panic button",
        "value": {"id": "btn-112-000417", "device_id": "btn-112"},
    },
    "form": {
        "summary": "An incident form",
        "value": {
            "id": "form-2026-0031", "kind": "form", "site": "bernburg", "location": "Zimmer 112", "danger_level": 1,
            "category": "insult", "description": "…", "reported_by": "A. Muster", "acute": False,
            "occurred_at": "2026-01-05T09:12:33+01:00",
        },
    },
    "exercise": {
        "summary": "A test alarm (Probealarm)",
        "value": {"site": "bernburg", "location": "Zimmer 112", "mode": "exercise"},
    },
}  # fmt: skip
