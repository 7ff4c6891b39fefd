"""The desk over incidents kept in memory, changed by the real `decide` only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fastapi import FastAPI

from services.alerting.core.decide import decide
from services.alerting.core.devices import DeviceState
from services.alerting.core.effects import Action, Click, Decision, Input, Joined
from services.alerting.core.incident import Incident
from services.alerting.core.joining import refusal, to_the_other
from services.alerting.core.plans import Plans
from services.alerting.core.policy import Rules
from services.alerting.core.splitting import leaving, to_the_new_one
from services.alerting.desk.incidents import Arrived, TimelineEntry
from services.alerting.desk.router import router_for
from services.alerting.desk.tokens import Tokens

KEYS = ["a key for tests, long enough"]


@dataclass
class IncidentsInMemory:
    """Counts its writes, so that a test can say that nothing was written."""

    rules: Rules
    clock: Callable[[], datetime]
    known: dict[str, Incident] = field(default_factory=dict)
    entries: dict[str, list[TimelineEntry]] = field(default_factory=dict)
    arrivals: dict[str, Arrived] = field(default_factory=dict)
    clicks: list[Click] = field(default_factory=list)
    on_hold: set[str] = field(default_factory=set)
    away: bool = False

    def add(self, incident: Incident) -> None:
        self.known[incident.id] = incident
        self.entries[incident.id] = [TimelineEntry(incident.opened_at, "opened", None)]

    def apply(self, incident_id: str, what: Input, at: datetime) -> Decision:
        known = [self.known[incident_id]] if incident_id in self.known else []
        decision = decide(known, what, now=at, rules=self.rules)
        assert decision.incident is not None
        self.known[incident_id] = decision.incident
        by, why = getattr(what, "by", None), getattr(what, "reason", None)
        called = isinstance(what, Click) and Action.CALLED_POLICE in what.actions
        self.entries.setdefault(incident_id, []).append(TimelineEntry(at, decision.reason.value, by, why, called))
        return decision

    async def find(self, incident_id: str) -> Incident | None:
        if self.away:
            raise ConnectionRefusedError
        return self.known.get(incident_id)

    async def timeline(self, incident_id: str) -> Sequence[TimelineEntry]:
        return self.entries[incident_id]

    async def arrived(self, incident: Incident) -> Mapping[str, Arrived]:
        return self.arrivals

    async def act(self, incident_id: str, click: Click) -> Decision:
        self.clicks.append(click)
        return self.apply(incident_id, click, self.clock())

    async def join(self, incident_id: str, into: str, *, by: str, reason: str) -> Decision:
        what = Joined(by, reason, self.known[incident_id])
        if into not in self.known:
            raise KeyError(into)
        decision = self.apply(into, what, self.clock())
        follows = to_the_other(what, decision)
        if follows is not None:
            self.apply(incident_id, follows, self.clock())
        return decision

    async def split(self, incident_id: str, event_ids: Sequence[str], *, by: str, reason: str) -> Decision:
        before = self.known[incident_id]
        former = next((one for id_ in event_ids if (one := self.known.get(id_)) and one.joined), None)
        what = leaving(before, event_ids, former, by=by, reason=reason)
        decision = self.apply(incident_id, what, self.clock())
        opens = to_the_new_one(before, what, decision)
        return decision if opens is None else self.apply(event_ids[0], opens, self.clock())

    async def could_join(self, incident: Incident) -> Sequence[Incident]:
        return [other for other in self.known.values() if refusal(other, incident) is None]

    async def open(self) -> Sequence[Incident]:
        return list(self.known.values())

    async def spared(self, incident_id: str) -> bool:
        return incident_id in self.on_hold

    async def plans(self) -> Plans:
        return self.rules.plans


@dataclass
class DevicesInMemory:
    known: list[DeviceState] = field(default_factory=list)
    tests: dict[str, datetime] = field(default_factory=dict)

    async def all(self) -> Sequence[DeviceState]:
        return self.known

    async def last_tests(self) -> Mapping[str, datetime]:
        return self.tests


@dataclass
class Desk:
    """The real router with a clock that tests move."""

    rules: Rules
    now: datetime
    tokens: Tokens = field(default_factory=lambda: Tokens(KEYS))
    mails_go: bool = True

    def __post_init__(self) -> None:
        self.incidents = IncidentsInMemory(self.rules, lambda: self.now)
        self.devices = DevicesInMemory()
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self.app.include_router(
            router_for(
                self.incidents,
                self.devices,
                lambda: self.rules,
                self.tokens,
                lambda: self.now,
                mails_go=lambda: self.mails_go,
            )
        )

    def link(self, incident: Incident, email: str | None = None) -> str:
        return f"/a/{self.tokens.issue(incident.id, email or incident.told[0].email, self.now)}"
