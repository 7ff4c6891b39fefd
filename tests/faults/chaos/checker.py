"""What must hold over everything that happened. Each finding is one line; none is a run that kept its promise."""

from collections.abc import Callable, Iterator
from typing import Final

from tests.faults.chaos import rules_copies, rules_mails, rules_reports, rules_state, rules_watch
from tests.faults.chaos.history import History

Rule = Callable[[History], Iterator[str]]

RULES: Final[tuple[Rule, ...]] = (
    rules_reports.every_report_is_mailed,
    rules_reports.nobody_waits_too_long,
    rules_reports.what_is_grave_is_mailed_as_grave,
    rules_reports.what_nobody_answered_is_loud,
    rules_reports.every_report_is_in_one_incident,
    rules_reports.one_incident_a_room,
    rules_reports.everybody_learns_what_became,
    rules_reports.nothing_is_left_in_a_journal,
    rules_copies.one_name_one_mail,
    rules_copies.each_attempt_is_made_once,
    rules_copies.copies_come_of_open_attempts,
    rules_copies.what_has_its_answer_is_not_tried_again,
    rules_mails.nobody_is_called_after_a_take_over,
    rules_mails.no_alarm_is_begun_after_a_take_over,
    rules_mails.every_click_is_kept,
    rules_mails.every_decided_mail_is_in_the_outbox,
    rules_mails.what_is_recorded_as_accepted_was_accepted,
    rules_mails.every_mail_was_decided,
    rules_mails.every_alarm_names_its_place,
    rules_watch.the_watch_lists_real_reports,
    rules_watch.the_watch_mails_once_a_minute,
    rules_watch.the_watch_repeats_only_what_it_could_not_know,
    rules_watch.the_watch_gives_the_chain_its_time,
    rules_watch.the_watch_needs_a_fault,
    rules_watch.the_watch_is_silent_about_what_is_heard,
    rules_watch.the_watch_says_that_it_mailed,
    rules_state.the_past_explains_the_present,
    rules_state.everything_is_told,
    rules_state.nothing_is_told_that_is_not_so,
    rules_state.told_in_order,
    rules_state.services_end_only_for_the_watchdog,
    rules_state.no_stray_lines,
)


def check(history: History) -> list[str]:
    """Every finding of every rule, each with the rule's name."""
    return [f"{rule.__name__}: {finding}" for rule in RULES for finding in rule(history)]
