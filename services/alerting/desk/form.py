"""What a person sent from the page: read with care, turned into a `Click` or into what is missing."""

from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import parse_qs

from schemas.events import Outcome
from services.alerting.core.effects import Action, Click
from services.alerting.core.plain_text import one_line
from services.alerting.desk.texts import PageWords

NAME_LIMIT: Final = 120
LINE_LIMIT: Final = 120
NOTE_LIMIT: Final = 4_000
BODY_LIMIT: Final = 64 * 1024
"""Bytes: a full note of umlauts, each of which takes six, fits."""

ACTIONS: Final[dict[str, tuple[Action, ...]]] = {
    "acknowledge": (Action.ACKNOWLEDGE,),
    "acknowledge_and_called": (Action.ACKNOWLEDGE, Action.CALLED_POLICE),
    "called_police": (Action.CALLED_POLICE,),
    "hand_over": (Action.HAND_OVER,),
    "raise_level": (Action.RAISE_LEVEL,),
    "add_measures": (Action.ADD_MEASURES,),
    "close": (Action.CLOSE,),
}
LEVELS: Final = ("1", "2", "3")
OUTCOMES: Final = (Outcome.RESOLVED, Outcome.FALSE_ALARM, Outcome.NOT_RELEVANT)
_LONGER_THAN_ANY_LIMIT: Final = BODY_LIMIT


def as_id(text: str) -> str:
    """Ids come from senders and are taken as they are, but for what PostgreSQL refuses and no id can hold."""
    return text.replace("\x00", "")


@dataclass(frozen=True, slots=True)
class Filled:
    """The fields as they were sent; shown again when something is missing."""

    action: str = ""
    person: str = ""
    name: str = ""
    outcome: str = ""
    level: str = ""
    note: str = ""
    measures: tuple[str, ...] = ()
    measure: str = ""
    on: str = ""
    reference: str = ""
    seen: int | None = None
    """How many reports the page showed."""
    about: str = ""
    """The incident that the page showed: it may have become part of another one since."""
    into: str = ""
    reports: tuple[str, ...] = ()
    reason: str = ""

    @classmethod
    def parse(cls, body: bytes) -> "Filled":
        """Fields of a urlencoded body; unknown ones are ignored.

        Raises:
            ValueError: more fields than any page of ours has.
        """
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=60)

        def line(key: str) -> str:
            return one_line(fields.get(key, [""])[0], _LONGER_THAN_ANY_LIMIT)

        note = "\n".join(one_line(part, _LONGER_THAN_ANY_LIMIT) for part in fields.get("note", [""])[0].splitlines())
        return cls(
            action=line("action"),
            person=line("person"),
            name=line("name"),
            outcome=line("outcome"),
            level=line("level"),
            note=note.strip(),
            measures=tuple(one_line(measure, LINE_LIMIT) for measure in fields.get("measures", []))[:10],
            measure=line("measure"),
            on=line("on"),
            reference=line("reference"),
            seen=_number(fields.get("seen", [""])[0]),
            about=as_id(fields.get("about", [""])[0]),
            into=as_id(fields.get("into", [""])[0]),
            reports=tuple(map(as_id, fields.get("reports", []))),
            reason=line("reason"),
        )

    @property
    def by(self) -> str:
        """Who acts: a name that was typed wins over one that was chosen."""
        return self.name or self.person


def understand(
    filled: Filled, words: PageWords, *, today: date, exercise: bool, under_test: bool
) -> tuple[Click | None, list[str]]:
    """The click, or what is missing or wrong in the words of the page."""
    actions = ACTIONS.get(filled.action)
    if actions is None or (exercise and Action.CALLED_POLICE in actions):
        return None, [words.action_unknown]
    mistakes = about_name(filled, words)
    outcome: Outcome | None = None
    on: date | None = None
    if Action.CLOSE in actions:
        outcome, wrong = _outcome(filled, words, under_test=under_test)
        mistakes += [*wrong, *too_long(words.too_long, (words.note, filled.note, NOTE_LIMIT))]
        mistakes += too_long(words.too_long, (words.other_measure, filled.measure, LINE_LIMIT))
    if Action.HAND_OVER in actions:
        on, wrong = _date(filled, words, today)
        mistakes += [*wrong, *too_long(words.too_long, (words.hand_over_reference, filled.reference, LINE_LIMIT))]
    if Action.RAISE_LEVEL in actions and filled.level not in LEVELS:
        mistakes.append(words.level_missing)
    measures = tuple(dict.fromkeys(measure for measure in (*filled.measures, filled.measure) if measure))
    if Action.ADD_MEASURES in actions:
        mistakes += [] if measures else [words.measures_missing]
        mistakes += too_long(words.too_long, (words.other_measure, filled.measure, LINE_LIMIT))
    if mistakes:
        return None, mistakes
    closing = Action.CLOSE in actions
    return Click(
        by=filled.by,
        actions=actions,
        reference=(filled.reference or None) if Action.HAND_OVER in actions else None,
        on=on,
        danger_level=int(filled.level) if Action.RAISE_LEVEL in actions else None,
        outcome=outcome,
        note=(filled.note or None) if closing else None,
        measures=measures if closing or Action.ADD_MEASURES in actions else (),
        seen=filled.seen if closing else None,
    ), []


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


def about_name(filled: Filled, words: PageWords) -> list[str]:
    """Whether a name is missing, too long, or none: a person takes over, not a mailbox."""
    if not filled.by:
        return [words.name_missing]
    if "@" in filled.by:
        return [words.name_no_address]
    return too_long(words.too_long, (words.other_name, filled.by, NAME_LIMIT))


def too_long(sentence: str, *fields: tuple[str, str, int]) -> list[str]:
    """Which of these (label, text, limit) are longer than they may be, each in this sentence."""
    return [sentence.format(field=label, limit=limit) for label, text, limit in fields if len(text) > limit]


def _outcome(filled: Filled, words: PageWords, *, under_test: bool) -> tuple[Outcome | None, list[str]]:
    if filled.outcome == Outcome.TEST and not under_test:
        return None, [words.outcome_test]
    if filled.outcome not in (*OUTCOMES, Outcome.TEST):
        return None, [words.outcome_missing]
    return Outcome(filled.outcome), []


def _date(filled: Filled, words: PageWords, today: date) -> tuple[date | None, list[str]]:
    if not filled.on:
        return today, []
    try:
        on = date.fromisoformat(filled.on)
    except ValueError:
        return None, [words.date_wrong]
    return (None, [words.date_future]) if on > today else (on, [])
