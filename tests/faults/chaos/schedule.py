"""Which faults happen when: decided by a seed alone, so that a run that found something can be had again."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

What = Literal[
    "kill ingest", "kill alerting", "hang alerting", "restart Kafka", "kill Kafka", "restart PostgreSQL",
    "kill PostgreSQL", "cut", "hang link", "mail server defers", "mail server drops after DATA", "mail server stalls",
    "mail server refuses everything", "mail server is away",
]  # fmt: skip

LINKS: Final = ("ingest to Kafka", "alerting to Kafka", "alerting to PostgreSQL", "alerting to its mail server")
_WEIGHTS: Final[dict[What, int]] = {
    "kill ingest": 3,
    "kill alerting": 4,
    "hang alerting": 3,
    "restart Kafka": 1,
    "kill Kafka": 2,
    "restart PostgreSQL": 1,
    "kill PostgreSQL": 2,
    "cut": 4,
    "hang link": 4,
    "mail server defers": 2,
    "mail server drops after DATA": 3,
    "mail server stalls": 2,
    "mail server refuses everything": 1,
    "mail server is away": 2,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """`at` seconds after the start; it lasts `seconds`. `which` is the number of the process, or the link's name."""

    at: float
    what: What
    seconds: float
    which: int | str = ""

    @property
    def victim(self) -> str:
        """What it happens to."""
        kind = next((v for v in ("ingest", "alerting", "Kafka", "PostgreSQL", "mail server") if v in self.what), "link")
        return f"{kind} {self.which}".strip()

    def __str__(self) -> str:
        return f"{self.at:5.1f} s: {self.what} {self.which} for {self.seconds:.1f} s"


def schedule(seed: int, seconds: float) -> Sequence[Fault]:
    """Faults over so many seconds, one to three seconds apart, some of them at once."""
    chance = random.Random(seed)  # noqa: S311 – to be repeated, no secret
    faults: list[Fault] = []
    at = chance.uniform(0.5, 1.5)
    while at < seconds:
        (what,) = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        which: int | str = ""
        if what in {"cut", "hang link"}:
            which = chance.choice(LINKS)
        elif what.endswith(("ingest", "alerting")):
            which = chance.randrange(2)
        # A hang must outlast leases (3 s), time-outs (2 to 6 s) and the watch, and sometimes be over before them.
        lasts = chance.uniform(3.5, 9) if what.startswith("hang") else chance.uniform(0.3, 5)
        faults.append(Fault(at, what, lasts, which))
        at += chance.uniform(0, 3)
    return faults
