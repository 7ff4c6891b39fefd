"""A form's fields become a report body by the source's `map`; what nothing maps goes into the description."""

import re
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from typing import Final

from schemas.configuration_forms import Map, Mapped, Target, plain
from schemas.report_warnings import warning
from services.ingest.api.problems import Fault, pointer, quoted
from services.ingest.report_body import EXPECTED, LONGEST
from services.ingest.reports import storable
from services.ingest.sender import Sites
from services.ingest.sources.form_entries import Posted
from services.ingest.sources.form_reading import Submission, search
from services.ingest.sources.form_values import Unfit, read, shown, tabled, too_long

MOST_LINES: Final = 100
LONGEST_LINE: Final = 2_000
LONGEST_REST: Final = 8_000
"""Characters of the description that unmapped fields may fill; it holds 20,000."""
ALWAYS_IGNORED: Final = ("api_token", "api_key", "apikey", "auth_token", "access_token", "_charset_")
"""What forms send to prove who they are has no place in a mail."""


@dataclass(frozen=True, slots=True)
class Step:
    """How one field of the report came about, for `rufkette try-source`."""

    target: Target
    field: str
    answer: str | None
    value: object
    how: str


@dataclass(slots=True)
class Applied:
    """A report body, and how it came about. `faults` name the form's fields."""

    body: dict[str, object] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    """What went into the description besides: a line each."""

    def fault(self, target: Target, mapped: Mapped, detail: str, expected: str) -> None:
        """Something that a form is refused for."""
        self.faults.append(Fault(pointer(mapped.field or target), detail, expected, target))


class _Fields:
    """The fields of a submission by all of their names; remembers which were asked for."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission
        self.used: set[int] = set()
        self._by_name: dict[str, int] = {}
        for number, one in enumerate(submission.fields):
            for name in one.names:
                self._by_name.setdefault(name, number)
        self._by_plain_name: dict[str, int] = {}

    def find(self, name: str) -> object:
        """The answer: a field of this name, key or label, else what the JMESPath expression finds."""
        if len(name) > 2 and name[0] == name[-1] == '"':
            name = name[1:-1]  # a name that looks like an expression
        number = self._by_name.get(name)
        if number is None:
            number = self._by_any_case(plain(name))
        if number is not None:
            self.used.add(number)
            return self._submission.fields[number].value
        found = search(name, self._submission.document)
        if isinstance(found, str | list | dict):
            self.used |= {n for n, one in enumerate(self._submission.fields) if _is_or_holds(found, one.raw)}
        return found

    def _by_any_case(self, name: str) -> int | None:
        if not self._by_plain_name:
            for known, number in self._by_name.items():
                self._by_plain_name.setdefault(plain(known), number)
        return self._by_plain_name.get(name)


def _is_or_holds(found: object, raw: object) -> bool:
    return raw is found or (isinstance(found, list) and any(raw is part for part in found))


def apply(mapping: Map, submission: Submission, sites: Sites, ignore: tuple[str, ...], *, lenient: bool) -> Applied:
    """The report body of a submission.

    Args:
        mapping: the source's `map`.
        submission: what the form sent.
        sites: by key or name.
        ignore: names of fields that are not needed in the description; `*` stands for anything.
        lenient: keep an unknown site's name, and cut or repair texts, rather than finding fault.
    """
    fields = _Fields(submission)
    applied = Applied()
    for target, mapped in mapping.items():
        answer = fields.find(mapped.field)
        _take(applied, target, mapped, answer, sites, lenient=lenient)
    used = fields.used
    left = [one for number, one in enumerate(submission.fields) if number not in used and not _ignored(one, ignore)]
    _describe(applied, left, lenient=lenient)
    return applied


@lru_cache(maxsize=1000)
def _pattern(ignore: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(plain(one)) for one in (*ALWAYS_IGNORED, *ignore)))


def _ignored(one: Posted, ignore: tuple[str, ...]) -> bool:
    pattern = _pattern(ignore)
    return any(pattern.match(plain(name)) for name in one.names)


def _take(applied: Applied, target: Target, mapped: Mapped, answer: object, sites: Sites, *, lenient: bool) -> None:
    """One line of the map: the answer, else the default, else a fault if it is required."""
    text = shown(answer)
    if not text:
        if mapped.default is not None:
            applied.body[target] = mapped.default
            applied.steps.append(Step(target, mapped.field, None, mapped.default, "default: the form says nothing"))
        elif mapped.required:
            applied.fault(target, mapped, "is missing", _expected(mapped, target, sites))
            applied.steps.append(Step(target, mapped.field, None, None, "missing, and required"))
        else:
            applied.steps.append(Step(target, mapped.field, None, None, "the form says nothing"))
        return
    try:
        value, how = _read(applied, target, mapped, answer, sites)
    except Unfit as unfit:
        expected = ", ".join(mapped.values) or unfit.expected
        applied.fault(
            target, mapped, f"{quoted(text)} does not fit {target}", f"one of {expected}" if mapped.values else expected
        )
        applied.steps.append(Step(target, mapped.field, text, None, "does not fit"))
        if lenient:
            _keep(applied, target, mapped, text)
        return
    if isinstance(value, str):
        value = _fitting(applied, target, mapped, value, lenient=lenient)
    applied.body[target] = value
    applied.steps.append(Step(target, mapped.field, text, value, how))


def _read(applied: Applied, target: Target, mapped: Mapped, answer: object, sites: Sites) -> tuple[object, str]:
    found = tabled(mapped.table, answer) if mapped.values else None
    if found is not None:
        return found, "by the value table"
    value, supposed = read(target, answer, sites)
    if supposed is not None:
        applied.warnings.append(supposed)
    return value, "as it stands"


def _keep(applied: Applied, target: Target, mapped: Mapped, text: str) -> None:
    """From a press nothing is lost: a site's unknown name stays its name, the rest is told in the description."""
    if target == "site":
        applied.body[target] = text
    elif mapped.default is not None:
        applied.body[target] = mapped.default
    if target != "site":
        applied.rest.append(_line(mapped.field, text))


def _fitting(applied: Applied, target: Target, mapped: Mapped, text: str, *, lenient: bool) -> str:
    """The text as the field can hold it; what is cut off is told in full in the description."""
    if not lenient and storable(text) != text:
        applied.fault(target, mapped, "holds characters that cannot be stored (NUL, lone surrogates)", "plain text")
        return storable(text)
    if target not in ("description", "id") and too_long(target, text):
        applied.rest.append(_line(mapped.field, text))
        applied.warnings.append(warning("too_long", field=target))
        return text[: LONGEST[target]]
    return text


def _expected(mapped: Mapped, target: Target, sites: Sites) -> str:
    if mapped.values:
        return f"one of {', '.join(mapped.values)}"
    return sites.expectation if target == "site" else EXPECTED[target]


def _line(label: str, text: str) -> str:
    cut = text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1] + "…"
    return f"{' '.join(label.split())[:200]}: {cut}"


def _describe(applied: Applied, left: list[Posted], *, lenient: bool) -> None:
    """Put the fields that nothing maps below the description, as far as there is room."""
    for one in left:
        text = shown(one.value)
        if not text:
            continue
        line = _line(one.label, text)
        if storable(line) != line and not lenient:
            detail = "holds characters that cannot be stored (NUL, lone surrogates)"
            applied.faults.append(Fault(pointer(storable(one.names[0])[:200]), detail, "plain text", "description"))
        applied.rest.append(storable(line))
    said = applied.body.get("description")
    told = f"{said}\n\n" if said else ""
    room = min(LONGEST_REST, LONGEST["description"] - len(told)) - 40
    kept: list[str] = []
    for line in applied.rest[:MOST_LINES]:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    if len(kept) < len(applied.rest):
        applied.warnings.append(warning("no_room", count=len(applied.rest) - len(kept)))
    if kept:
        applied.body["description"] = told + "\n".join(kept)
