"""Ingest mailed the emergency contacts itself: the incident knows, and every later mail says so."""

from datetime import timedelta

import pytest

from schemas.events import Outcome
from services.alerting.core.effects import Action, Notify, Purpose, Reason
from services.alerting.core.incident import Incident
from services.alerting.core.messages import compose
from services.alerting.core.telling import Telling
from services.alerting.desk.view import incident_page
from tests.core.office import MONDAY, Desk, emergency_mail, minutes, rules

SAID = "Notbetrieb: Die Notfallkontakte haben um 09:13 Uhr schon eine Mail zu diesem Alarm bekommen."
CONTACT = "notfall@example.org"


def mailed(desk: Desk, incident: Incident, *event_ids: str, after: float = 1) -> Reason:
    """The watch's mail `after` minutes past MONDAY."""
    return desk.give(emergency_mail(MONDAY + minutes(after), *event_ids), incident).reason


def texts(desk: Desk, purpose: Purpose) -> list[str]:
    """Every mail of this purpose as it reads now."""
    return [
        compose(desk.incidents[id_], notify, desk.rules, now=desk.now, link="https://x").text
        for _, id_, notify in desk.mails
        if notify.purpose is purpose
    ]


@pytest.mark.parametrize("about", [("a",), ("b", "a"), ("a", "elsewhere")])
def test_every_later_mail_and_the_page_say_so(about: tuple[str, ...]) -> None:
    desk = Desk()
    incident = desk.press(location="112", danger_level=2)
    desk.now += minutes(2)
    about = tuple(incident.id if id_ == "a" else id_ for id_ in about)
    assert mailed(desk, incident, *about) is Reason.EMERGENCY_MAILED
    assert desk.incidents[incident.id].revision == incident.revision + 1
    desk.wait_until_due(incident)
    desk.click(incident, Action.ACKNOWLEDGE)
    desk.wait_until_due(incident)
    desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED)
    for purpose in (Purpose.ALARM, Purpose.TAKEN_OVER, Purpose.REMINDER, Purpose.CLOSED):
        found = texts(desk, purpose)
        assert found
        assert all(SAID in text for text in found), purpose
        assert all(CONTACT not in text for text in found)
    page = incident_page(Telling.of(desk.incidents[incident.id], desk.rules, desk.now), [])
    assert SAID in page["lead"]


def test_in_english() -> None:
    organisation = {"name": "Office", "language": "en", "emergency": ["bereitschaft@example.org"]}
    desk = Desk(rules(organisation=organisation))
    incident = desk.press(site=None)
    desk.now += minutes(2)
    mailed(desk, incident, incident.id)
    said = "Emergency mode: the emergency contacts were already mailed about this alarm at 09:13."
    assert said in texts(desk, Purpose.ALARM)[0]


def test_nothing_is_said_where_nothing_was_mailed() -> None:
    desk = Desk()
    incident = desk.press()
    assert "Notbetrieb" not in texts(desk, Purpose.ALARM)[0]
    assert mailed(desk, incident, "another") is Reason.HELD
    assert desk.incidents[incident.id] == incident


def test_the_earliest_mail_counts_in_whatever_order() -> None:
    desk = Desk()
    incident = desk.press()
    desk.now += minutes(30)
    assert mailed(desk, incident, incident.id, after=6) is Reason.EMERGENCY_MAILED
    assert mailed(desk, incident, incident.id, after=16) is Reason.EMERGENCY_MAILED_BEFORE
    assert mailed(desk, incident, incident.id, after=1) is Reason.EMERGENCY_MAILED
    assert desk.incidents[incident.id].reports[0].emergency_mailed_at == MONDAY + minutes(1)


def test_a_clock_that_is_ahead_does_not_count() -> None:
    desk = Desk()
    incident = desk.press()
    mailed(desk, incident, incident.id, after=600)
    assert desk.incidents[incident.id].reports[0].emergency_mailed_at == MONDAY


def told(desk: Desk, purpose: Purpose) -> list[str]:
    return sorted(n.recipient.email for _, _, n in desk.mails if n.purpose is purpose)


def test_the_contacts_hear_who_took_over_and_how_it_ended() -> None:
    desk = Desk()
    incident = desk.press()
    mailed(desk, incident, incident.id)
    assert CONTACT not in desk.told()
    desk.click(incident, Action.ACKNOWLEDGE)
    assert CONTACT in told(desk, Purpose.TAKEN_OVER)
    desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED)
    assert told(desk, Purpose.CLOSED).count(CONTACT) == 1


@pytest.mark.parametrize(
    ("actions", "purpose"),
    [((Action.ACKNOWLEDGE,), Purpose.TAKEN_OVER), ((Action.ACKNOWLEDGE, Action.CLOSE), Purpose.CLOSED)],
)
def test_late_news_tell_the_contacts_alone_what_the_others_know(actions: tuple[Action, ...], purpose: Purpose) -> None:
    desk = Desk()
    incident = desk.press()
    desk.click(incident, *actions, outcome=Outcome.RESOLVED)
    desk.now += timedelta(seconds=10)
    decision = desk.give(emergency_mail(MONDAY, incident.id), incident)
    assert [(e.recipient.email, e.purpose) for e in decision.effects if isinstance(e, Notify)] == [(CONTACT, purpose)]


def test_reports_take_it_along_when_incidents_are_joined_and_split() -> None:
    desk = Desk()
    one, other = desk.press(), desk.press(location="Zimmer 113")
    mailed(desk, one, one.id)
    desk.join(one, other)
    assert [r.emergency_mailed_at is not None for r in desk.incidents[other.id].reports] == [False, True]
    assert mailed(desk, one, one.id) is Reason.ALREADY_JOINED
    desk.split(other, one.id)
    assert desk.incidents[one.id].reports[0].emergency_mailed_at is not None
    assert desk.incidents[other.id].reports[0].emergency_mailed_at is None
