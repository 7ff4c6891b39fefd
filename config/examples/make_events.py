# ruff: noqa: INP001 - a script beside the files that it makes, no package
"""Make the example files `made-up-2018.jsonl` and `made-up-2019.jsonl`: python config/examples/make_events.py.

Every event in them is MADE UP. Real are only two lines of a press release (Jobcenter Salzlandkreis, 02/20 of 10
January 2020), and each file reproduces one of them:

- 2018: 29 incidents from five sites; police support was requested 14 times. Hand-overs were not published: none here.
- 2019: 19 incidents; 15 were handed over to the police. Requests were not published: none here.

14 and 15 count two different facts, and are no series. Days, sites, levels, categories, rooms and all other details
come from a random number generator with a fixed seed, so that the files are the same on each machine.
"""

import random
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from schemas.events import (
    Category,
    Closed,
    Data,
    Event,
    HandedOver,
    Kind,
    Outcome,
    PoliceRequested,
    Reported,
    event_id,
)
from schemas.structured import to_line

SOURCE: Final = "erfundene-beispieldaten"
"""Shown in the notes of every report that counts these events."""
SEED: Final = 20200110
SITES: Final = ("bernburg", "aschersleben", "schoenebeck", "stassfurt", "calbe")
MADE_UP: Final = "Erfundenes Beispiel – kein wirklicher Vorfall."
_NOBODY: Final = "Erfundene Person"
_ZONE: Final = ZoneInfo("Europe/Berlin")
_KINDS: Final = (
    (Category.INSULT, 0), (Category.INSULT, 1), (Category.HOUSE_RULES, 1), (Category.PROPERTY_DAMAGE, 1),
    (Category.THREAT, 2), (Category.THREAT, 2), (Category.ASSAULT, 2), (Category.SELF_HARM_THREAT, 2),
    (Category.WEAPON, 3),
)  # fmt: skip


def events_of(year: int, incidents: int, *, requested: int = 0, handed_over: int = 0) -> list[Event]:
    """A made-up year in the order of time, each incident on a day and at a place of its own."""
    chance = random.Random(f"{SEED}/{year}")  # noqa: S311 - made-up data that must be the same each time
    first = datetime(year, 1, 8, tzinfo=_ZONE)
    weekdays = [day for day in (first + timedelta(n) for n in range(340)) if day.weekday() < 5]
    days = sorted(chance.sample(weekdays, incidents))
    # All five sites occur; which one has more is chance and says nothing about the real ones.
    sites = [*SITES, *chance.choices(SITES, k=incidents - len(SITES))]
    chance.shuffle(sites)
    call = set(chance.sample(range(incidents), requested))
    give = set(chance.sample(range(incidents), handed_over))
    found: list[Event] = []
    for number, (day, site) in enumerate(zip(days, sites, strict=True)):
        at = day + timedelta(hours=chance.randint(8, 11), minutes=chance.randrange(60))
        category, level = chance.choice(_KINDS)
        report = Reported(
            kind=Kind.FORM, site=site, location=f"Beispielraum {number + 1}", danger_level=level, category=category,
            description=MADE_UP, acute=False, occurred_at=at - timedelta(minutes=20),
        )  # fmt: skip
        name = f"{year}-{number + 1:02}"
        incident = event_id(SOURCE, name)
        found.append(Event(id=incident, source=SOURCE, time=at, data=report))
        later: list[tuple[str, timedelta, Data]] = []
        if number in call:
            later.append(("requested", timedelta(minutes=3), PoliceRequested(by=_NOBODY)))
        if number in give:
            later.append(
                ("handed-over", timedelta(days=chance.randint(1, 9)), HandedOver(by=_NOBODY, reference="ohne"))
            )
        later.append(("closed", timedelta(days=10), Closed(by=_NOBODY, outcome=Outcome.RESOLVED, note=MADE_UP)))
        found += [
            Event(id=event_id(SOURCE, f"{name}/{what}"), source=SOURCE, time=at + after, data=data, subject=incident)
            for what, after, data in later
        ]
    return sorted(found, key=lambda event: event.time)


FILES: Final = {
    "made-up-2018.jsonl": lambda: events_of(2018, 29, requested=14),
    "made-up-2019.jsonl": lambda: events_of(2019, 19, handed_over=15),
}


def main(folder: Path) -> None:
    """Write both files into a folder."""
    for name, make in FILES.items():
        (folder / name).write_text("".join(to_line(event) + "\n" for event in make()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
