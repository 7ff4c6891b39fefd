"""What somebody sent from the page of holds, carried out, or what is wrong with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from services.alerting.core.incident import Incident
from services.alerting.core.plain_text import one_line
from services.alerting.desk.form import NAME_LIMIT, as_id, too_long
from services.alerting.desk.holding import Holding
from services.alerting.desk.texts.holds import HoldWords

REASON_LIMIT = 300
_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """The fields as they were sent, each a line; shown again when something is missing.

    `incident`: an id, or a code.
    """

    action: str = ""
    incident: str = ""
    reason: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        for name in ("reason", "name"):
            object.__setattr__(self, name, one_line(getattr(self, name), _SHOWN))

    @classmethod
    def parse(cls, body: bytes) -> "Wish":
        """Fields of a urlencoded body; unknown ones are ignored.

        Raises:
            ValueError: more fields than the form has.
        """
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20)
        lines = {name: fields.get(name, [""])[0] for name in ("action", "reason", "name")}
        return cls(incident=as_id(fields.get("incident", [""])[0]), **lines)


Done = tuple[Incident | None, list[str]]
"""The incident whose hold was placed or ended, or why nothing changed, in the words of the page."""


async def place(holding: Holding, wish: Wish, words: HoldWords) -> Done:
    """Place a hold.

    Raises:
        sqlalchemy.exc.DBAPIError, OSError: the database cannot be reached; nothing was written.
    """
    mistakes = _about(wish, words)
    if not wish.reason:
        mistakes.append(words.reason_missing)
    mistakes += too_long(words.too_long, (words.reason, wish.reason, REASON_LIMIT))
    if mistakes:
        return None, mistakes
    found = await holding.find(wish.incident)
    if len(found) != 1:
        return None, [_which(wish, found, words)]
    try:
        placed = await holding.place(found[0].id, reason=wish.reason, by=wish.name)
    except LookupError:
        return None, [_which(wish, (), words)]
    return (found[0], []) if placed else (None, [words.already_held])


async def end(holding: Holding, wish: Wish, words: HoldWords) -> Done:
    """End a hold.

    Raises:
        sqlalchemy.exc.DBAPIError, OSError: the database cannot be reached; nothing was written.
    """
    mistakes = _about(wish, words)
    if mistakes:
        return None, mistakes
    held = {hold.incident.id for hold in await holding.standing()}
    found = await holding.find(wish.incident)
    named = [incident for incident in found if incident.id in held] or found
    if len(named) != 1:
        return None, [_which(wish, named, words)]
    ended = await holding.end(named[0].id, by=wish.name)
    return (named[0], []) if ended else (None, [words.not_held])


def _about(wish: Wish, words: HoldWords) -> list[str]:
    mistakes = []
    if not wish.incident.strip():
        mistakes.append(words.incident_missing)
    if not wish.name:
        mistakes.append(words.name_missing)
    return mistakes + too_long(words.too_long, (words.name, wish.name, NAME_LIMIT))


def _which(wish: Wish, found: Sequence[Incident], words: HoldWords) -> str:
    if not found:
        return words.unknown.format(name=one_line(wish.incident))
    return words.several.format(name=one_line(wish.incident), which=", ".join(incident.id for incident in found))
