"""The yearly report for a person: tables that add up, where they come from, and how it is counted."""

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Final, NamedTuple

from services.alerting.core.figures import UNASSIGNED, UNKNOWN
from services.alerting.core.plain_text import one_line
from services.alerting.reporting.formats import Document, flat_ids
from services.alerting.reporting.words import ReportWords

_WIDTH: Final = 100
_LABEL: Final = 56


class Table(NamedTuple):
    """A breakdown: (label, count) lines that add up to the number of incidents."""

    title: str
    lines: list[tuple[str, int]]


def headline(report: Document, words: ReportWords) -> list[tuple[str, int]]:
    """The figures that are published, in order; a star leads to the note that says what a zero means."""
    call = " *" if words.no_call_known in report["notes"] else ""
    hand_over = " *" if words.no_hand_over_known in report["notes"] else ""
    return [
        (words.incidents, report["incidents"]),
        (words.still_open, report["open"]),
        (words.requested + call, report["police_requested"]),
        (words.calls + call, report["police_calls"]),
        (words.handed_over + hand_over, report["handed_over"]),
        (words.handed_over_in_year, report["handed_over_in_year"]),
    ]


def excluded(report: Document, words: ReportWords) -> Table:
    """What was reported and is not counted, with the sum of everything."""
    lines = [(words.reasons[reason], count) for reason, count in report["excluded"].items()]
    total = report["incidents"] + sum(report["excluded"].values())
    return Table(words.excluded, [*lines, (words.total, total)])


def tables(report: Document, words: ReportWords, site_names: Mapping[str, str]) -> list[Table]:
    """The breakdowns; what was never assigned or known is shown only with a count, except for sites."""

    def site(key: str) -> str:
        return words.unassigned if key == UNASSIGNED else one_line(site_names.get(key, key), 60)

    def level(key: str) -> str:
        return words.unknown if key == UNKNOWN else words.level.format(level=key)

    def by_site(name: str) -> list[tuple[str, int]]:
        return [(site(key), count) for key, count in report[name].items()]

    def category(key: str) -> str:
        return words.categories.get(key, words.unknown)

    return [
        Table(words.by_site, by_site("by_site")),
        Table(words.by_month, list(zip(words.months, report["by_month"].values(), strict=True))),
        Table(words.by_level, [(level(key), count) for key, count in report["by_level"].items()]),
        Table(words.by_category, [(category(key), count) for key, count in report["by_category"].items()]),
        Table(f"{words.requested} – {words.by_site}", by_site("police_requested_by_site")),
        Table(f"{words.handed_over} – {words.by_site}", by_site("handed_over_by_site")),
    ]


def waits(report: Document, words: ReportWords) -> str:
    """Time until somebody took over, or that there are too few."""
    found = report["acknowledgement"]
    if found["median_seconds"] is None:
        return words.too_few
    return words.waits.format(
        median=_duration(found["median_seconds"], words),
        p90=_duration(found["p90_seconds"], words),
        count=found["incidents"],
    )


def _duration(seconds: float, words: ReportWords) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return words.duration.format(minutes=minutes, seconds=rest)


def title(report: Document, words: ReportWords, organisation: str) -> str:
    """What the report is about."""
    return f"{words.title.format(year=report['year'])} – {one_line(organisation, 80)}"


def as_text(
    report: Document, words: ReportWords, organisation: str, site_names: Mapping[str, str], *, ids: bool
) -> str:
    """The whole report, with the changes since a frozen one if there are `changes`.

    `ids`: with the list of incidents behind each figure, which is long; else it says how to get it.
    """
    heading = title(report, words, organisation)
    lines = [heading, "=" * len(heading), ""]
    if report["as_of"]:
        lines += [words.as_of.format(day=report["as_of"]), ""]
    lines += [_line(label, count) for label, count in headline(report, words)]
    lines += ["", f"{words.acknowledgement}: {waits(report, words)}"]
    for table in (*tables(report, words, site_names), excluded(report, words)):
        lines += ["", table.title, *(_line(f"  {label}", count) for label, count in table.lines)]
    if report["notes"]:
        lines += ["", words.notes, *(line for note in report["notes"] for line in _paragraph(note))]
    lines += ["", words.definitions_title]
    lines += [line for definition in report["definitions"].values() for line in _paragraph(definition)]
    if "changes" in report:
        lines += ["", words.changes, *_changes(report, words)]
    lines += ["", words.ids, *(_listed(report) if ids else [f"  {words.ids_left_out}"])]
    return "\n".join(lines) + "\n"


def _listed(report: Document) -> Iterator[str]:
    for name, ids in flat_ids(report).items():
        yield f"  {name} ({len(ids)})"
        yield from (f"    {one_line(id_, 200)}" for id_ in ids)


def _line(label: str, count: int) -> str:
    return f"{label:<{_LABEL}} {count:>7}"


def _paragraph(text: str) -> list[str]:
    return wrap(text, _WIDTH, initial_indent="  – ", subsequent_indent="    ")


def _changes(report: Document, words: ReportWords) -> Iterator[str]:
    if not report["changes"]:
        yield f"  {words.unchanged}"
    for change in report["changes"]:
        if "before" in change:
            yield f"  {words.changed.format(**change)}"
        for key, sentence in (("added", words.added), ("removed", words.removed)):
            if change.get(key):
                ids = ", ".join(one_line(id_, 200) for id_ in change[key])
                yield f"  {sentence.format(figure=change['figure'], ids=ids)}"
