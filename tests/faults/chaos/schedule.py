"""Which faults happen when: decided by a seed alone, so that a run that found something can be had again."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

What = Literal[
    "kill ingest", "hang ingest", "kill alerting", "hang alerting", "restart Kafka", "kill Kafka",
    "empty topic of Kafka", "restart PostgreSQL", "kill PostgreSQL", "cut", "hang link", "slow link",
    "mail server defers",
    "mail server drops after DATA", "mail server stalls", "mail server refuses everything", "mail server is away",
    "disk is away from ingest", "ended by itself",
]  # fmt: skip

LINKS: Final = ("ingest to Kafka", "alerting to Kafka", "alerting to PostgreSQL", "alerting to its mail server")
MAIL_SERVERS: Final = ("normal", "fallback")
_WEIGHTS: Final[dict[What, int]] = {
    "kill ingest": 3,
    "hang ingest": 3,
    "kill alerting": 4,
    "hang alerting": 3,
    "restart Kafka": 1,
    "kill Kafka": 2,
    "empty topic of Kafka": 1,
    "restart PostgreSQL": 1,
    "kill PostgreSQL": 2,
    "cut": 4,
    "hang link": 4,
    "slow link": 3,
    "mail server defers": 2,
    "mail server drops after DATA": 3,
    "mail server stalls": 2,
    "mail server refuses everything": 1,
    "mail server is away": 2,
    "disk is away from ingest": 2,
}
_CALM: Final = (3.0, 5.0)
"""Seconds before the first fault, in which everything has to work as on any day."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`at` seconds after the start; it lasts `seconds`. `which` is the number of a process, or a name."""

    at: float
    what: What
    seconds: float
    which: int | str = ""

    @property
    def name(self) -> str:
        """What happens, to what."""
        return f"{self.what} {self.which}".strip()

    @property
    def victim(self) -> str:
        """What cannot have two faults at once."""
        for kind in ("Kafka", "PostgreSQL"):
            if kind in self.what:
                return kind
        kind = next((kind for kind in ("mail server", "ingest", "alerting") if kind in self.what), "link")
        return f"{kind} {self.which}"

    def __str__(self) -> str:
        return f"{self.at:5.1f} s: {self.name} for {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class Span:
    """When a fault really was, in `time.monotonic()`."""

    fault: Fault
    began_at: float
    ended_at: float


def schedule(seed: int, seconds: float) -> Sequence[Fault]:
    """Faults over so many seconds, up to three seconds apart, some of them at once."""
    chance = random.Random(seed)  # noqa: S311 – to be repeated, no secret
    faults: list[Fault] = []
    at = chance.uniform(*_CALM)
    while at < seconds:
        (what,) = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        which: int | str = ""
        if what in {"cut", "hang link", "slow link"}:
            which = chance.choice(LINKS)
        elif what.startswith("mail server"):
            which = chance.choice(MAIL_SERVERS)
        elif what.endswith(("ingest", "alerting")):
            which = chance.randrange(2)
        # A hang must outlast leases (3 s), time-outs (2 to 6 s) and the watch, and sometimes be over before them.
        lasts = chance.uniform(3.5, 9) if what.startswith(("hang", "slow")) else chance.uniform(0.3, 5)
        faults.append(Fault(at, what, lasts, which))
        at += chance.uniform(0, 3)
    return faults
