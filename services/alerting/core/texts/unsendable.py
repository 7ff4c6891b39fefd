"""Words of the mail that says that an alarm mail could not be sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.configuration import Language


@dataclass(frozen=True, slots=True)
class UnsendableWords:
    """Names in braces are filled in."""

    subject: str
    what: str
    to_do: str


WORDS: Final[Mapping[Language, UnsendableWords]] = {
    "de": UnsendableWords(
        subject="Alarm-Mail nicht zustellbar",
        what="Eine Alarm-Mail zu diesem Vorgang konnte nicht verschickt werden. Vielleicht weiß noch niemand davon.",
        to_do="Bitte jetzt nachsehen, was gemeldet ist, und wenn nötig übernehmen:",
    ),
    "en": UnsendableWords(
        subject="alarm mail undeliverable",
        what="An alarm mail about this incident could not be sent. Perhaps nobody knows of it yet.",
        to_do="Please look now at what was reported, and take it over if need be:",
    ),
}
