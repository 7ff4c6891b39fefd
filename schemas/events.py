"""Events on `incidents.events`: one immutable fact each, in a CloudEvents 1.0 envelope.

Writers are strict (`Report` refuses what it does not know); readers ignore unknown fields so that the
services can be upgraded one after the other.
"""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import NAMESPACE_URL

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from schemas.ids import named_id, random_id

REPORTED: Final = "rufkette.incident.reported.v1"
ACKNOWLEDGED: Final = "rufkette.incident.acknowledged.v1"
POLICE_REQUESTED: Final = "rufkette.incident.police_requested.v1"
HANDED_OVER: Final = "rufkette.incident.handed_over.v1"
CLOSED: Final = "rufkette.incident.closed.v1"
EMERGENCY_MAILED: Final = "rufkette.incident.emergency_mailed.v1"
HEARTBEAT: Final = "rufkette.device.heartbeat.v1"
PROBE: Final = "rufkette.chain.probe.v1"


class Kind(StrEnum):
    """What emitted a report."""

    PANIC = "panic"
    FORM = "form"
    MANUAL = "manual"


class Mode(StrEnum):
    """Whether a report is real or a Probealarm."""

    ACTUAL = "actual"
    EXERCISE = "exercise"


class Category(StrEnum):
    """What happened."""

    INSULT = "insult"
    THREAT = "threat"
    ASSAULT = "assault"
    PROPERTY_DAMAGE = "property_damage"
    WEAPON = "weapon"
    BOMB_THREAT = "bomb_threat"
    SELF_HARM_THREAT = "self_harm_threat"
    HOUSE_RULES = "house_rules"
    OTHER = "other"


class PoliceWish(StrEnum):
    """What a report itself says about the police; `called` means that 110 was called already."""

    NONE = "none"
    WANTED = "wanted"
    CALLED = "called"


class Outcome(StrEnum):
    """How an incident ended; only `resolved` counts in the figures."""

    RESOLVED = "resolved"
    FALSE_ALARM = "false_alarm"
    NOT_RELEVANT = "not_relevant"
    TEST = "test"


def _storable(text: str) -> str:
    """PostgreSQL takes neither NUL nor lone surrogates, so no event may carry them."""
    if text.isprintable():
        return text  # neither of them is
    if "\x00" in text:
        raise ValueError("must not contain the NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain lone surrogates") from None
    return text


def is_in_range(at: datetime) -> bool:
    """Times beyond are nobody's, and those at the ends of the calendar have no form in every zone."""
    return EARLIEST <= at < LATEST


def _in_range(at: datetime) -> datetime:
    if not is_in_range(at):
        raise ValueError("is out of range; expected a year from 1970 to 2899")
    return at


EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2900, 1, 1, tzinfo=UTC)
Instant = Annotated[AwareDatetime, AfterValidator(_in_range)]
Short = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_storable)]
Text = Annotated[str, Field(max_length=20_000), AfterValidator(_storable)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Reported(_Data):
    """Data of `rufkette.incident.reported.v1`: the report as ingest understood it.

    `site` is the key of a configured site, or None when ingest could not tell; `site_text` then keeps
    what the sender wrote. `location` is a location id, alias or free text. `learning`: it came from a source in
    learning mode. Set by ingest alone, and believed only where the reader's own configuration says so too.
    """

    kind: Kind = Kind.MANUAL
    site: Short | None = None
    site_text: Short | None = None
    location: Short | None = None
    device_id: Short | None = None
    danger_level: Annotated[int, Field(ge=0, le=3)] | None = None
    category: Category | None = None
    description: Text | None = None
    reported_by: Short | None = None
    acute: bool = True
    police: PoliceWish = PoliceWish.NONE
    reference: Short | None = None
    mode: Mode = Mode.ACTUAL
    occurred_at: Instant | None = None
    warnings: tuple[Short, ...] = ()
    learning: bool = False


class Acknowledged(_Data):
    """Somebody takes the incident over."""

    by: Short
    site: Short | None = None


class PoliceRequested(_Data):
    """Somebody called 110; `by` is who called."""

    by: Short
    reference: Short | None = None
    site: Short | None = None


class HandedOver(_Data):
    """The matter was passed to the police; `on` is the local date, by default the event's."""

    by: Short
    reference: Short | None = None
    on: date | None = None
    site: Short | None = None


class Closed(_Data):
    """The incident is over."""

    by: Short
    outcome: Outcome
    note: Text | None = None
    measures: tuple[Short, ...] = ()
    site: Short | None = None


class EmergencyMailed(_Data):
    """Ingest's watch mailed the emergency contacts about these events itself."""

    event_ids: tuple[Short, ...]
    site: Short | None = None


class Heartbeat(_Data):
    """A device is alive; `battery` from 0 to 1."""

    device_id: Short
    battery: Annotated[float, Field(ge=0, le=1)] | None = None
    site: Short | None = None


class Probe(_Data):
    """Ingest asks whether the whole chain works; about nobody and nothing."""

    site: Short | None = None


Data = Reported | Acknowledged | PoliceRequested | HandedOver | Closed | EmergencyMailed | Heartbeat | Probe
DATA_TYPES: Final[dict[str, type[Data]]] = {
    REPORTED: Reported,
    ACKNOWLEDGED: Acknowledged,
    POLICE_REQUESTED: PoliceRequested,
    HANDED_OVER: HandedOver,
    CLOSED: Closed,
    EMERGENCY_MAILED: EmergencyMailed,
    HEARTBEAT: Heartbeat,
    PROBE: Probe,
}
TYPE_OF: Final[dict[type[Data], str]] = {model: name for name, model in DATA_TYPES.items()}


class Event(BaseModel):
    """One fact with its envelope. `time` is when the source (or ingest) learnt of it.

    `subject` is the incident id for follow-ups. `imported` marks past events that never get a due time.
    """

    model_config = ConfigDict(frozen=True)

    id: Short
    source: Short
    time: datetime
    data: Data
    subject: Short | None = None
    imported: bool = False

    @property
    def type(self) -> str:
        """The CloudEvents type, e.g. `rufkette.incident.reported.v1`."""
        return TYPE_OF[type(self.data)]


def event_id(source: str, external_id: str | None) -> str:
    """The same id on every process for the same (source, id); a new one when the sender gave none."""
    if external_id is None:
        return random_id()
    return named_id(NAMESPACE_URL, f"rufkette:{source}:{external_id}")


def learning_id(event: str) -> str:
    """The id that a report gets in learning mode: the same message is new when its source has learnt."""
    return named_id(NAMESPACE_URL, f"rufkette-learning:{event}")
