"""The yearly report as JSON, CSV and text, and frozen for later comparison."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.alerting.core.figures import EXCLUDED, UNASSIGNED, UNKNOWN, Figures
from services.alerting.core.plain_text import one_line
from services.alerting.reporting.words import ReportWords

Document = dict[str, Any]
COUNTS: Final = ("incidents", "open", "police_requested", "police_calls", "handed_over", "handed_over_in_year")
BREAKDOWNS: Final = (
    "by_site", "by_month", "by_level", "by_category", "police_requested_by_site", "handed_over_by_site", "excluded",
)  # fmt: skip


def document(found: Figures, words: ReportWords) -> Document:
    """The report as JSON gives it. `unassigned` stands for no site, `unknown` for no level or category."""
    return {
        "year": found.year,
        "as_of": found.as_of.isoformat() if found.as_of else None,
        "incidents": len(found.incidents),
        "open": len(found.still_open),
        "police_requested": len(found.police_requested),
        "police_calls": found.police_calls,
        "handed_over": len(found.handed_over),
        "handed_over_in_year": found.handed_over_in_year,
        "by_site": _all_sites(found, found.by_site),
        "by_month": {month: found.by_month[month] for month in (f"{found.year}-{n:02}" for n in range(1, 13))},
        "by_level": {level: found.by_level[level] for level in ("0", "1", "2", "3", UNKNOWN)},
        "by_category": {kind: found.by_category[kind] for kind in (*words.categories, UNKNOWN)},
        "police_requested_by_site": _all_sites(found, found.requested_by_site),
        "handed_over_by_site": _all_sites(found, found.handed_over_by_site),
        "excluded": {reason: len(found.excluded[reason]) for reason in EXCLUDED},
        "acknowledgement": {
            "incidents": found.waits.incidents,
            "median_seconds": found.waits.median,
            "p90_seconds": found.waits.p90,
        },
        "notes": _notes(found, words),
        "definitions": dict(words.definitions),
        "ids": {
            "incidents": found.incidents,
            "open": found.still_open,
            "police_requested": found.police_requested,
            "handed_over": found.handed_over,
            "handed_over_in_year": found.handed_over_in_year_ids,
            "joined": found.joined,
            "excluded": {reason: sorted(found.excluded[reason]) for reason in EXCLUDED},
        },
    }


def _all_sites(found: Figures, counts: Mapping[str, int]) -> dict[str, int]:
    """Each site, also with nothing, and last what belongs to none."""
    sites = [site for site in found.by_site if site != UNASSIGNED]
    return {site: counts.get(site, 0) for site in (*sites, UNASSIGNED)}


def _notes(found: Figures, words: ReportWords) -> list[str]:
    """Where the figures come from, and which of their zeros only mean that nobody said."""
    every = len(found.incidents)
    notes = [
        words.imported.format(count=count, all=every, source=one_line(source, 60))
        for source, count in sorted(found.imported.items())
    ]
    if every and found.imported.total() == every:
        if not found.police_requested:
            notes.append(words.no_call_known)
        if not found.handed_over:
            notes.append(words.no_hand_over_known)
    return notes


def as_csv(report: Document) -> str:
    """RFC 4180, three columns: figure, of what, value; ids and definitions as lines of the same shape."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("figure", "of", "value"))
    for figure, of, value in _lines(report):
        writer.writerow((figure, _harmless(of), _harmless(value) if isinstance(value, str) else value))
    return text.getvalue()


def _lines(report: Document) -> Iterator[tuple[str, str, object]]:
    yield "year", "", report["year"]
    yield "as_of", "", report["as_of"] or ""
    for name in COUNTS:
        yield name, "", report[name]
    for name in (*BREAKDOWNS, "acknowledgement"):
        for of, value in report[name].items():
            yield name, of, "" if value is None else value
    for name, ids in flat_ids(report).items():
        for id_ in ids:
            yield f"ids.{name}", id_, 1
    for number, note in enumerate(report["notes"], 1):
        yield "note", str(number), note
    for name, definition in report["definitions"].items():
        yield "definition", name, definition
    for change in report.get("changes", ()):
        yield "change", change["figure"], json.dumps(change, ensure_ascii=False)


def flat_ids(report: Document) -> dict[str, list[str]]:
    """The incidents behind each figure, with `excluded.test` and the like beside the others."""
    ids = report["ids"]
    excluded = {f"excluded.{reason}": of_reason for reason, of_reason in ids["excluded"].items()}
    return {name: of_figure for name, of_figure in ids.items() if name != "excluded"} | excluded


def _harmless(text: str) -> str:
    """Ids come from outside: no spreadsheet may take one for a formula."""
    text = one_line(text, 1000)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


class Tampered(Exception):
    """A frozen report that is none, or whose checksum does not fit; the message is one line."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A report as it was published."""

    report: Document
    version: str

    def write(self, path: Path) -> None:
        """Write it with its checksum; an existing file stays as it is.

        Raises:
            OSError: the file exists already, or cannot be written.
        """
        body = {"rufkette_report": 1, "version": self.version, "report": self.report}
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(body | {"sha256": checksum(body)}, ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Frozen":
        """Read it and verify the checksum.

        Raises:
            Tampered: see there.
            OSError: the file cannot be read.
        """
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            claimed = body.pop("sha256")
            report, version = body["report"], body["version"]
        except (ValueError, KeyError, AttributeError, TypeError):
            raise Tampered(f"{path} is no frozen report of `rufkette report --freeze`") from None
        if claimed != checksum(body):
            raise Tampered(f"{path} was changed after it was frozen: its SHA-256 does not fit")
        return cls(report, version)


def checksum(body: Document) -> str:
    """SHA-256 of the canonical JSON: keys sorted, no white space, UTF-8."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def changes(before: Document, after: Document) -> list[Document]:
    """What differs: figures with both values, and incidents that came or went behind a figure."""
    was, now = _figures(before), _figures(after)
    found: list[Document] = [
        {"figure": name, "before": was.get(name, 0), "after": now.get(name, 0)}
        for name in was.keys() | now.keys()
        if was.get(name, 0) != now.get(name, 0)
    ]
    earlier, later = flat_ids(before), flat_ids(after)
    for name in sorted(earlier.keys() | later.keys()):
        was_there, is_there = set(earlier.get(name, ())), set(later.get(name, ()))
        if was_there != is_there:
            found.append(
                {
                    "figure": f"ids.{name}",
                    "added": sorted(is_there - was_there),
                    "removed": sorted(was_there - is_there),
                }
            )
    return sorted(found, key=lambda change: str(change["figure"]))


def _figures(report: Document) -> dict[str, Any]:
    flat = {name: report[name] for name in COUNTS}
    for breakdown in (*BREAKDOWNS, "acknowledgement"):
        flat |= {f"{breakdown}.{of}": value for of, value in report[breakdown].items()}
    return flat
