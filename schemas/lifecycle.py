"""Events on `incidents.lifecycle`: what alerting made of the reports. No personal data."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from schemas.events import Mode

ALWAYS_SAID: Final = frozenset({"site", "danger_level"})
"""Fields that are there also where nothing is known: null. Others are left out then."""


class Change(StrEnum):
    """What happened to an incident; the CloudEvents type is `rufkette.alert.{value}.v1`."""

    OPENED = "opened"
    MERGED = "merged"
    SUPPRESSED = "suppressed"
    NOTIFIED = "notified"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    POLICE_ADVISED = "police_advised"
    POLICE_REQUESTED = "police_requested"
    HANDED_OVER = "handed_over"
    CLOSED = "closed"
    DELIVERY_FAILED = "delivery_failed"
    PROBED = "probed"
    """Not of an incident: a probe of the chain came as far as the mail server; `event_ids` names it."""

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return f"rufkette.alert.{self.value}.v1"


class Lifecycle(BaseModel):
    """Data of a lifecycle event.

    `revision` rises with each change of the incident, so that readers can ignore what arrives late.
    `event_ids` are the reports that the change speaks of: all of the incident's, or for `merged` the one that joined.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    incident_id: str
    event_ids: tuple[str, ...]
    source: str
    site: str | None = None
    danger_level: Annotated[int, Field(ge=0, le=3)] | None = None
    mode: Mode = Mode.ACTUAL
    learning: bool = False
    """Of a source in learning mode: only its test address is told, and there is nothing to be done about it."""
    revision: int
    step: int | None = None
    """`escalated`: the step now taken, from 1."""
    cycle: int | None = None
    repetition: int | None = None
    police: str | None = None
    """`police_advised`: `advised` or `urgent`."""
    outcome: str | None = None
    """`closed`: how it ended."""
    failure: str | None = None
    """`delivery_failed`: `permanent` or `nobody_reached`."""
    reason: str | None = None
    """`suppressed`: why nobody was told."""
    into: str | None = None
    """`merged`: this whole incident is part of that one now, which goes on; until it is `opened` again."""
    notified: bool = False
    """Whether somebody is known to have heard of it: a mail server took an alarm mail, or a person answered."""
