"""Each rule of the chaos checker accepts a run that nothing is wrong with, and refuses one that is spoilt."""

from dataclasses import replace

import pytest

from schemas.events import Mode
from services.alerting.core.incident import Status
from services.common.watchdog import EXIT_CODE
from tests.faults.chaos import rules_copies, rules_mails, rules_reports, rules_state, rules_watch
from tests.faults.chaos.checker import RULES, Rule, check
from tests.faults.chaos.history import Queued, watch_sender
from tests.faults.chaos.made_up import FAULT
from tests.faults.chaos.spoils import (
    GOOD,
    Spoil,
    a_second_incident,
    acts,
    again,
    alerting_was_not_told,
    begun,
    both,
    drop,
    emergency_after,
    first_mail,
    holder,
    hung,
    inputs,
    is_alarm,
    is_emergency,
    late_alarm,
    mails,
    over_both_servers,
    reports,
    reversed_lifecycle,
    said_again,
    said_too_much,
    state,
    without_mails,
    woke_up,
)

REFUSED: list[tuple[Rule, Spoil]] = [
    (rules_reports.every_report_is_mailed, without_mails("Raum 00000000000c")),
    (rules_reports.every_report_is_mailed, both(without_mails("Raum 00000000000d"), mails(is_emergency, text=""))),
    # What only informs is no alarm.
    (rules_reports.every_report_is_mailed, mails(lambda m: m.purpose == "alarm", step="taken_over-0-1-0")),
    (rules_reports.nobody_waits_too_long, reports("Raum 00000000000b", at=100.0)),
    (rules_reports.what_is_grave_is_mailed_as_grave, both(
        state("Raum 00000000000b", status=Status.OPEN), mails(lambda m: m.level == "3", level="2"))),
    (rules_reports.what_nobody_answered_is_loud, state("Raum 00000000000d", cycle=1)),
    (rules_reports.what_nobody_answered_is_loud, state("Raum 00000000000a", due_at=None)),
    (rules_reports.every_report_is_in_one_incident, lambda h: replace(h, incidents={})),
    (rules_reports.every_report_is_in_one_incident, drop("reports")),
    (rules_reports.every_report_is_in_one_incident, state("Zimmer 00000000000c", mode=Mode.ACTUAL)),
    (rules_reports.one_incident_a_room, a_second_incident("Raum 00000000000a")),
    (rules_reports.everybody_learns_what_became, lambda h: replace(h, statuses=dict.fromkeys(h.statuses, "accepted"))),
    (rules_reports.nothing_is_left_in_a_journal, lambda h: replace(h, journals={"ingest 1": 1})),
    (rules_copies.one_name_one_mail, first_mail(message_id="<another@example.org>")),
    (rules_copies.one_name_one_mail, first_mail(step="alarm-0-2-0")),
    (rules_copies.one_name_one_mail, lambda h: replace(h, unanswered=[replace(h.mails[0], message_id="<another>")])),
    (rules_copies.each_attempt_is_made_once, first_mail(at=130.0)),
    (rules_copies.each_attempt_is_made_once, lambda h: replace(h, unanswered=[h.mails[0]])),
    (rules_copies.each_attempt_is_made_once, lambda h: replace(h, attempts=[*h.attempts, h.attempts[0]])),
    # Nothing had failed; and faults that have nothing to do with it, or that came too early or too late.
    *((rules_copies.copies_come_of_open_attempts, both(*spans, again(is_alarm, heard=heard)))
      for heard in ("accepted", "deferred", None)
      for spans in (
          (), (hung(95, 110, "kill Kafka"),), (hung(95, 110, "hang ingest"),), (hung(95, 110, "kill ingest"),),
          (hung(95, 110, "hang link", "both to the fallback"),), (hung(95, 110, "mail server stalls", "fallback"),),
          (hung(80, 85, "kill alerting"),), (hung(60, 70, "kill PostgreSQL"),), (hung(120, 125, "hang alerting"),),
      )),
    # It was heard: no process has to end for want of an answer, and no mail server can have swallowed that.
    *((rules_copies.copies_come_of_open_attempts, both(hung(95, 110, *what), again(is_alarm, heard="accepted")))
      for what in (("mail server stalls", "normal"), ("cut", "both to the mail server"), ("kill alerting", 1))),
    # It was not heard, by a process that lives on: the database has nothing to do with that.
    *((rules_copies.copies_come_of_open_attempts, both(hung(95, 110, *what), again(is_alarm, heard="deferred")))
      for what in (("kill PostgreSQL", ""), ("kill alerting", 1), ("hang alerting", 1))),
    # Over the other server in the same attempt.
    *((rules_copies.copies_come_of_open_attempts, both(hung(95, 110, *what), over_both_servers))
      for what in (("kill alerting", 0), ("kill PostgreSQL", ""), ("mail server stalls", "fallback"))),
    (rules_copies.what_has_its_answer_is_not_tried_again, both(
        hung(99, 101, "kill alerting"), again(is_alarm, heard="accepted"),
        lambda h: replace(h, outbox=GOOD.outbox))),
    (rules_mails.nobody_is_called_after_a_take_over, late_alarm(240.0)),
    (rules_mails.no_alarm_is_begun_after_a_take_over, begun(213.0)),
    # A fault of something else, or of another process.
    *((rules_mails.no_alarm_is_begun_after_a_take_over, both(hung(205, 240, *what), begun(217.0)))
      for what in (("hang ingest", 0), ("hang link", "alerting to Kafka"), ("kill ingest", 0), ("hang alerting", 1))),
    (rules_mails.every_click_is_kept, inputs("Raum 00000000000b", 2)),
    (rules_mails.every_click_is_kept, acts(action="close", said="already_closed")),
    (rules_mails.every_click_is_kept, acts(said="")),
    (rules_mails.every_click_is_kept, acts(by="B. Muster")),
    (rules_mails.every_click_is_kept, acts(by="B. Muster", said="already_acknowledged")),
    (rules_mails.every_click_is_kept, state("Raum 00000000000a", calls=())),
    (rules_mails.every_decided_mail_is_in_the_outbox, lambda h: replace(h, outbox=h.outbox[-2:])),
    (rules_mails.what_is_recorded_as_accepted_was_accepted, drop("mails")),
    (rules_mails.what_is_recorded_as_accepted_was_accepted, lambda h: replace(h, outbox=[Queued("x", "", "due", 90)])),
    (rules_mails.every_mail_was_decided, drop("outbox")),
    (rules_mails.every_alarm_names_its_place, first_mail(text="Raum 00000000000b, Bernburg")),
    (rules_mails.every_alarm_names_its_place, first_mail(text="")),
    (rules_mails.every_alarm_names_its_place, first_mail(recipient="leitung.stassfurt@example.org")),
    (rules_watch.the_watch_lists_real_reports, mails(is_emergency, text="• Raum 00000000000e, Bernburg – 09:12")),
    (rules_watch.the_watch_lists_real_reports, reports("Raum 00000000000d", mode=Mode.EXERCISE)),
    (rules_watch.the_watch_lists_real_reports, both(
        mails(is_emergency, text="Raum 00000000000d, Bernburg\n• Raum 00000000000a, Staßfurt"),
        reports("Raum 00000000000a", site="stassfurt"))),
    (rules_watch.the_watch_mails_once_a_minute, emergency_after(50)),
    (rules_watch.the_watch_gives_the_chain_its_time, reports("Raum 00000000000d", began_at=303.0)),
    (rules_watch.the_watch_needs_a_fault, lambda h: replace(h, spans=())),
    (rules_watch.the_watch_needs_a_fault, lambda h: replace(h, spans=[replace(FAULT, began_at=200, ended_at=250)])),
    (rules_watch.the_watch_is_silent_about_what_is_heard, mails(is_emergency, at=340.0)),
    *((rules_watch.the_watch_is_silent_about_what_is_heard, both(hung(330, 335, what), mails(is_emergency, at=340.0)))
      for what in ("kill ingest", "disk is away from ingest")),
    (rules_watch.the_watch_is_silent_about_what_is_heard, both(
        hung(330, 335, "hang ingest", 1), mails(is_emergency, at=340.0))),
    (rules_watch.the_watch_repeats_only_what_it_could_not_know, first_mail(is_emergency, at=370.0)),
    *((rules_watch.the_watch_repeats_only_what_it_could_not_know, both(
        hung(300, 310, *what), first_mail(is_emergency, at=370.0)))
      for what in (
          ("mail server stalls", "fallback"), ("kill ingest", 1), ("hang ingest", 1), ("kill PostgreSQL", ""),
          ("disk is away from ingest", 0))),
    (rules_watch.the_watch_repeats_only_what_it_could_not_know, both(
        hung(320, 325, "kill ingest"), first_mail(is_emergency, at=370.0))),
    (rules_watch.the_watch_says_that_it_mailed, alerting_was_not_told),
    (rules_state.the_past_explains_the_present, state("Raum 00000000000b", repetition=7)),
    (rules_state.the_past_explains_the_present, inputs("Raum 00000000000b", 2)),
    (rules_state.the_past_explains_the_present, inputs("Raum 00000000000b", 0)),
    (rules_state.everything_is_told, drop("lifecycle", 1)),
    (rules_state.nothing_is_told_that_is_not_so, said_too_much),
    (rules_state.told_in_order, reversed_lifecycle),
    (rules_state.services_end_only_for_the_watchdog, lambda h: replace(h, ended=[("ingest 0", 1)])),
    (rules_state.no_stray_lines, lambda h: replace(h, stray_lines=["Traceback (most recent call last):"])),
]  # fmt: skip
ACCEPTED: list[tuple[Rule, Spoil]] = [
    # An exercise may wait, and so may whoever waits no longer than the watch does.
    (rules_reports.nobody_waits_too_long, reports("Zimmer 00000000000c", at=100.0)),
    (rules_reports.nobody_waits_too_long, reports("Raum 00000000000b", at=106.0)),
    # The watch's mail is one.
    (rules_reports.every_report_is_mailed, without_mails("Raum 00000000000d")),
    # Whoever made the first attempt ended over it, or before it could record the answer.
    (rules_copies.copies_come_of_open_attempts, both(hung(100.2, 101, "kill alerting"), again(is_alarm, heard=None))),
    (rules_copies.copies_come_of_open_attempts, both(
        hung(98, 120, "hang link", "both to the mail server"), hung(110, 111, "kill alerting"),
        again(is_alarm, heard=None))),
    (rules_copies.copies_come_of_open_attempts, both(
        hung(101, 102, "kill alerting"), again(is_alarm, heard="accepted"))),
    (rules_copies.copies_come_of_open_attempts, both(
        hung(100.1, 105, "ended by itself", "alerting 0"), again(is_alarm, heard="accepted"))),
    *((rules_copies.copies_come_of_open_attempts, both(hung(99, 101, *what), again(is_alarm, heard="accepted")))
      for what in (("hang alerting", 0), ("kill PostgreSQL", ""), ("hang link", "alerting to PostgreSQL"))),
    # The answer did not come.
    *((rules_copies.copies_come_of_open_attempts, both(hung(99, 101, *what), again(is_alarm, heard="deferred")))
      for what in (("hang alerting", 0), ("mail server is away", "normal"), ("slow link", "both to the mail server"))),
    (rules_copies.copies_come_of_open_attempts, both(
        hung(99, 101, "cut", "both to the mail server"), over_both_servers)),
    (rules_copies.each_attempt_is_made_once, over_both_servers),
    # Who was stopped makes its attempt when it wakes up; the one after it was recorded long ago.
    (rules_copies.copies_come_of_open_attempts, both(hung(120, 130, "hang alerting"), woke_up)),
    (rules_copies.what_has_its_answer_is_not_tried_again, both(hung(99, 130, "hang alerting"), woke_up)),
    (rules_copies.each_attempt_is_made_once, again(is_alarm, heard="accepted")),
    # What was in hand may arrive; and what was held by a stopped process, when that wakes up.
    (rules_mails.nobody_is_called_after_a_take_over, late_alarm(225.0)),
    (rules_mails.nobody_is_called_after_a_take_over, both(hung(205, 240), late_alarm(241.0))),
    (rules_mails.no_alarm_is_begun_after_a_take_over, begun(211.0)),
    (rules_mails.no_alarm_is_begun_after_a_take_over, both(hung(205, 240), begun(241.0))),
    (rules_mails.no_alarm_is_begun_after_a_take_over, both(hung(209, 211, "kill PostgreSQL"), begun(214.0))),
    (rules_mails.no_alarm_is_begun_after_a_take_over, begun(240.0, cycle=1)),
    (rules_mails.every_click_is_kept, acts(action="close", answered_at=None)),
    # Somebody else had been faster.
    (rules_mails.every_click_is_kept, acts(action="acknowledge", by="B. Muster", said="already_acknowledged")),
    *((rules_watch.the_watch_repeats_only_what_it_could_not_know, both(
        hung(300, 310, *what), first_mail(is_emergency, at=370.0)))
      for what in (("mail server stalls", "normal"), ("hang link", "both to the mail server"), ("hang ingest", 0))),
    (rules_watch.the_watch_repeats_only_what_it_could_not_know, both(
        hung(308, 310, "kill ingest"), first_mail(is_emergency, at=370.0))),
    (rules_watch.the_watch_repeats_only_what_it_could_not_know, both(
        hung(305, 310, "disk is away from ingest"), hung(330, 331, "kill ingest"), first_mail(is_emergency, at=370.0))),
    (rules_watch.the_watch_repeats_only_what_it_could_not_know, first_mail(is_emergency, sender=watch_sender(1))),
    (rules_watch.the_watch_mails_once_a_minute, emergency_after(61)),
    (rules_watch.the_watch_mails_once_a_minute, both(hung(330, 331, "kill ingest"), emergency_after(50))),
    (rules_watch.the_watch_mails_once_a_minute, emergency_after(50, ingest=1)),
    (rules_watch.the_watch_is_silent_about_what_is_heard, both(
        hung(324, 330, "kill Kafka"), mails(is_emergency, at=340.0))),
    (rules_watch.the_watch_is_silent_about_what_is_heard, both(
        hung(324, 330, "hang link", "alerting to Kafka"), mails(is_emergency, at=340.0))),
    (rules_watch.the_watch_is_silent_about_what_is_heard, both(
        hung(330, 335, "hang ingest"), mails(is_emergency, at=340.0))),
    (rules_state.services_end_only_for_the_watchdog, lambda h: replace(h, ended=[("ingest 0", EXIT_CODE)])),
    # A record that came twice, and one that says again where a report is.
    (rules_state.told_in_order, said_again(1)),
    (rules_state.nothing_is_told_that_is_not_so, said_again(1)),
    (rules_state.told_in_order, lambda h: replace(h, lifecycle=[*h.lifecycle, *h.lifecycle])),
]  # fmt: skip


def test_a_good_run_keeps_every_rule() -> None:
    assert check(GOOD) == []


@pytest.mark.parametrize(("rule", "spoil"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_wrong_is_found(rule: Rule, spoil: Spoil) -> None:
    assert list(rule(spoil(GOOD))) != []


@pytest.mark.parametrize(("rule", "spoil"), ACCEPTED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_allowed_is_accepted(rule: Rule, spoil: Spoil) -> None:
    assert list(rule(spoil(GOOD))) == []


@pytest.mark.parametrize("missing", [None, 0, 1, 2])
def test_only_a_disk_a_process_and_a_topic_together_take_a_report_along(missing: int | None) -> None:
    report = next(one for one in GOOD.reports if one.said == "Raum 00000000000c")
    faults = [
        hung(report.at - 1, report.at + 2, "disk is away from ingest", 1),
        hung(report.at + 3, report.at + 4, "kill ingest", 1),
        hung(report.at + 1, report.at + 5, "empty topic of Kafka", ""),
    ]
    incident = holder(GOOD, report.said).state.id
    history = without_mails(report.said)(GOOD)
    history = replace(history, incidents={id_: one for id_, one in history.incidents.items() if id_ != incident})
    for number, fault in enumerate(faults):
        history = history if number == missing else fault(history)
    assert rules_reports.was_nowhere(history, report) is (missing is None)
    mailed, held = (list(rule(history)) for rule in (
        rules_reports.every_report_is_mailed, rules_reports.every_report_is_in_one_incident))  # fmt: skip
    assert any(report.event_id in found for found in mailed) is (missing is not None)
    assert any(f"{report.event_id} is in 0" in found for found in held) is (missing is not None)


def test_every_rule_is_shown_to_find_something() -> None:
    assert {rule for rule, _ in REFUSED} == set(RULES)
