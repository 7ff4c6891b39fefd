"""Words of the pages, one module per language; what mails and pages share is in `core/texts`."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageWords:
    """Sentences and words; names in braces are filled in by `str.format`, times come formatted."""

    level_means: tuple[str, str, str, str]
    exercise: str
    incident: str
    status: Mapping[str, str]
    status_since: str
    who_takes_over: str
    who_are_you: str
    other_person: str
    other_name: str
    your_name: str
    take_over: str
    take_over_and_called: str
    called: str
    called_hint: str
    taken_by: str
    taken_until: str
    second_person: str
    known: str
    nothing_known: str
    reported: str
    informed: str
    arrival: Mapping[str, str]
    arrival_of_a_new_mail: Mapping[str, str]
    next: str
    timeline: str
    close: str
    close_button: str
    outcome: str
    outcomes: Mapping[str, str]
    exercise_over: str
    note: str
    measures: str
    measure_choices: tuple[str, ...]
    other_measure: str
    hand_over: str
    hand_over_button: str
    hand_over_on: str
    hand_over_reference: str
    hand_over_hint: str
    add_measures: str
    add_measures_button: str
    raise_level: str
    raise_level_button: str
    call_later: str
    mistakes: str
    name_missing: str
    name_no_address: str
    too_long: str
    level_missing: str
    measures_missing: str
    outcome_missing: str
    outcome_test: str
    pressed_since: str
    date_wrong: str
    date_future: str
    action_unknown: str
    foreign: str
    done: Mapping[str, str]
    done_called_too: str
    done_already: str
    no_phone_call: str
    told_only_here: str
    what: Mapping[str, str]
    by: str
    board: str
    no_mails: str
    nobody_reached: str
    """All mails about it were refused."""
    called_too: str
    """After what else somebody did with the same click."""
    board_empty: str
    board_as_of: str
    to_board: str
    to_devices: str
    to_report: str
    notices: Mapping[str, tuple[str, str]]
    """Heading and sentence; `expired` is told `since` when all is over."""
    in_danger: str
    newest_mail: str
    phone_to: str
