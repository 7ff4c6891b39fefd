"""Words for people, one module per language. `Words` names what every language must have."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.events import Category, Outcome
from services.alerting.core.incident import Again, LevelFrom


@dataclass(frozen=True, slots=True)
class Words:
    """Sentences and words; names in braces are filled in by `str.format`, times come formatted."""

    code: str
    # the first word of a subject
    subject_by_level: tuple[str, str, str, str]
    subject_not_acute: str
    subject_exercise: str
    subject_taken_over: str
    subject_reminder: str
    subject_closed: str
    subject_joined: str
    subject_learning: str
    exercise_short: str
    # announced tests and silences
    announced_test: str
    subject_summary: str
    held: str
    was_held: str
    told_then: str
    summary_title: str
    summary_intro: str
    summary_more: str
    summary_reports: str
    summary_next: str
    # place and time
    weekdays: tuple[str, ...]
    date: str
    plain_date: str
    short_date: str
    short_date_of_another_year: str
    at: str
    site_unknown: str
    site_given: str
    room_unknown: str
    device: str
    reported_through: str
    """Where nothing else says where to look: the source's name in the configuration."""
    occurred: str
    # what happened
    level: str
    level_from: Mapping[LevelFrom, str]
    level_unknown: str
    category: Mapping[Category, str]
    silent: str
    several: str
    late: str
    late_by: tuple[str, str]
    later_step: str
    repeated: str
    emergency: str
    emergency_mailed: str
    again: Mapping[Again, str]
    warnings: str
    description: str
    shortened: str
    reported_by: str
    # joined and split
    elsewhere: str
    also: str
    """Where else, within the sentence for the phone."""
    split_from: str
    joined_with: str
    joined_by: str
    joined_reason: str
    joined_taken: str
    joined_open: str
    joined_here: str
    # police
    advised: str
    urgent: str
    not_flagged: str
    called: str
    called_by: str
    called_more: str
    dial: str
    dial_if_needed: str
    quotes: tuple[str, str]
    exercise: str
    handed_over: str
    handed_over_by: str
    not_called_at_end: str
    file_number: str
    # what to do
    take_over: str
    take_over_and_confirm: str
    call_now: str
    take_over_exercise: str
    # a source in learning mode
    learning: str
    learning_alert: str
    learning_rule: str
    learning_fields: str
    see_incident: str
    to_incident: str
    to_end: str
    add_facts: str
    # who, and what comes next
    roles: Mapping[str, str]
    informed: str
    mailed: str
    without_takeover: str
    then_every: str
    again_every: str
    each_opening: str
    each_opening_from: str
    every: Mapping[str, tuple[str, str]]
    taken: str
    nothing_to_do: str
    alarms_again: str
    stays_taken: str
    reminder: str
    closed: str
    outcome: Mapping[Outcome, str]
    note: str
    measures: str
    reference: str

    def role(self, key: str) -> str:
        """A role as people call it; one that only the configuration knows is shown as it stands there."""
        return self.roles.get(key) or key.replace("_", " ")
