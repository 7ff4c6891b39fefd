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
    "mail server lies", "mail server refuses some", "mail server refuses us", "mail server greets with an error",
    "disk is away from ingest", "ended by itself",
]  # fmt: skip

LINKS: Final = (
    "ingest to Kafka", "alerting to Kafka", "alerting to PostgreSQL", "both to the mail server", "both to the fallback",
)  # fmt: skip
MAIL_SERVERS: Final = ("normal", "fallback")
TO: Final = {"normal": "to the mail server", "fallback": "to the fallback"}
"""How the link to each mail server ends."""
ON_THE_WAY: Final = {via: (via, TO[via]) for via in MAIL_SERVERS}
"""Words in the names of all faults between a service and each mail server, and of that server itself."""
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
    "mail server lies": 2,
    "mail server refuses some": 1,
    "mail server refuses us": 1,
    "mail server greets with an error": 1,
    "disk is away from ingest": 2,
}
KINDS: Final = frozenset(_WEIGHTS)
_BREAKS: Final[tuple[What, ...]] = ("cut", "hang link")
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
    """Faults over so many seconds, up to three seconds apart, some of them at once.

    First one of each kind, and each link cut or hung, so that also a short run knows them all; then any.
    """
    chance = random.Random(seed)  # noqa: S311 – to be repeated, no secret
    faults: list[Fault] = []
    unseen: list[tuple[What, int | str]] = [(what, _victim(chance, what)) for what in _WEIGHTS if what not in _BREAKS]
    unseen += [(chance.choice(_BREAKS), link) for link in LINKS]
    chance.shuffle(unseen)
    at = chance.uniform(*_CALM)
    while at < seconds:
        if unseen:
            what, which = unseen.pop()
        else:
            (what,) = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
            which = _victim(chance, what)
        # A hang must outlast leases (3 s), time-outs (2 to 6 s) and the watch, and sometimes be over before them.
        lasts = chance.uniform(3.5, 9) if what.startswith(("hang", "slow")) else chance.uniform(0.3, 5)
        faults.append(Fault(at, what, lasts, which))
        at += chance.uniform(0, 3)
    return faults


def _victim(chance: random.Random, what: What) -> int | str:
    if what in (*_BREAKS, "slow link"):
        return chance.choice(LINKS)
    if what.startswith("mail server"):
        return chance.choice(MAIL_SERVERS)
    return chance.randrange(2) if what.endswith(("ingest", "alerting")) else ""
