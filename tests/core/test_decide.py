from services.alerting.core.effects import Answer, DeliveryResult, Reason
from services.alerting.core.incident import Status
from tests.core.office import MONDAY, Desk, minutes, report, rules


def test_a_press_tells_the_first_step_at_once() -> None:
    desk = Desk()
    incident = desk.press()
    assert desk.told() == ["wache@example.org", "leitung@example.org"]
    assert desk.changes == ["opened", "police_advised"]
    assert incident.status is Status.OPEN
    assert incident.due_at == MONDAY + minutes(2)


def test_it_escalates_on_time_and_never_ends_by_itself() -> None:
    desk = Desk()
    incident = desk.press()
    when = [desk.wait_until_due(incident).reason for _ in range(100)]
    assert when[:2] == [Reason.STEP_DUE, Reason.STEP_DUE]
    assert set(when[2:]) == {Reason.REPEAT_DUE}
    times = [(at - MONDAY).total_seconds() / 60 for at, _, _ in desk.mails]
    assert times[:6] == [0, 0, 2, 5, 10, 15]
    assert desk.told()[2:5] == ["vertretung@example.org", "bereitschaft@example.org", "bereitschaft@example.org"]
    assert len({(n.cycle, n.step, n.repetition, n.recipient.email) for _, _, n in desk.mails}) == len(desk.mails)


def test_after_an_outage_steps_keep_their_distance() -> None:
    desk = Desk()
    incident = desk.press()
    desk.now = MONDAY + minutes(60)
    desk.wait_until_due(incident)
    assert desk.told(since=desk.now) == ["vertretung@example.org"]
    assert desk.incidents[incident.id].due_at == desk.now + minutes(3)


def test_a_role_that_is_absent_is_left_out() -> None:
    desk = Desk(now=MONDAY + minutes(60 * 9))  # the office is closed: no house security
    desk.press()
    assert desk.told() == ["leitung@example.org"]


def test_a_step_with_nobody_present_is_skipped_at_once() -> None:
    steps = [{"after": "0s", "tell": ["house_security"]}, {"after": "2m", "tell": ["deputy"]}]
    policies = {"p": {"steps": steps, "repeat": "5m"}}
    desk = Desk(rules(rules=[{"name": "all", "policy": "p"}], policies=policies), now=MONDAY + minutes(600))
    incident = desk.press()
    assert desk.told() == ["vertretung@example.org"]
    assert incident.step == 1


def test_nobody_left_means_the_emergency_contacts() -> None:
    desk = Desk(rules(roles={"on_call": []}))
    incident = desk.press(site="kiosk")
    assert incident.emergency
    assert desk.told() == ["bereitschaft@example.org"]  # the kiosk has none of its own
    desk.wait_until_due(incident)
    assert desk.told() == ["bereitschaft@example.org"] * 2


def test_an_unknown_site_takes_the_ordinary_rules_with_the_organisations_people() -> None:
    desk = Desk(rules(roles={"site_management": ["zentrale@example.org"]}))
    incident = desk.press(site=None, site_text="Mars")
    assert (incident.site, incident.site_text, incident.policy_name) == (None, "Mars", "urgent")
    assert desk.told() == ["zentrale@example.org"]


def test_nobody_is_told_twice_in_one_step() -> None:
    people = {"site_management": ["x@example.org"], "house_security": ["X@example.org"], "deputy": ["y@example.org"]}
    site = {"bernburg": {"name": "B", "people": people}}
    desk = Desk(rules(sites=site))
    desk.press()
    assert desk.told() == ["X@example.org"]


def test_the_first_accepted_mail_is_news_once() -> None:
    desk = Desk()
    incident = desk.press()
    desk.deliver(incident, Answer.ACCEPTED)
    assert desk.changes.count("notified") == 1
    assert desk.incidents[incident.id].awaited == ()


def test_a_step_that_reaches_nobody_takes_the_next_one_at_once() -> None:
    desk = Desk()
    incident = desk.press()
    reasons = [d.reason for d in desk.deliver(incident, Answer.REFUSED)]
    assert reasons == [Reason.MAIL_REFUSED, Reason.NOBODY_REACHED]
    assert desk.told()[-1] == "vertretung@example.org"
    desk.deliver(incident, Answer.REFUSED)
    assert desk.told()[-1] == "bereitschaft@example.org"
    desk.deliver(incident, Answer.REFUSED)
    assert desk.told()[-1] == "notfall@example.org"
    count = len(desk.told())
    desk.deliver(incident, Answer.REFUSED)
    assert len(desk.told()) == count  # nobody is left until the repeat
    assert desk.wait_until_due(incident).reason is Reason.REPEAT_DUE


def test_one_bad_address_does_not_hurry_the_others() -> None:
    desk = Desk()
    incident = desk.press()
    desk.deliver(incident, Answer.REFUSED, "wache@example.org")
    desk.deliver(incident, Answer.ACCEPTED, "leitung@example.org")
    assert len(desk.told()) == 2
    assert desk.incidents[incident.id].due_at == MONDAY + minutes(2)


def test_a_result_of_an_earlier_step_still_tells_that_it_was_heard() -> None:
    desk = Desk()
    incident = desk.press()
    early = [n for _, _, n in desk.mails]
    desk.wait_until_due(incident)
    n = early[0]
    result = DeliveryResult(n.recipient.email, n.purpose, n.cycle, n.step, n.repetition, Answer.ACCEPTED)
    assert desk.give(result, incident).reason is Reason.MAIL_ACCEPTED
    assert desk.give(result, incident).reason is Reason.OUTDATED_RESULT
    assert desk.changes.count("notified") == 1


def test_an_incident_keeps_the_policy_it_was_opened_under() -> None:
    desk = Desk()
    incident = desk.press()
    desk.rules = rules(policies={"urgent": {"steps": [{"after": "0s", "tell": ["deputy"]}], "repeat": "1h"}})
    desk.wait_until_due(incident)
    assert desk.incidents[incident.id].due_at == MONDAY + minutes(5)


def test_an_event_from_the_future_happened_now() -> None:
    desk = Desk()
    found = desk.give(report(MONDAY + minutes(600))).incident
    assert found is not None
    assert found.opened_at == MONDAY
