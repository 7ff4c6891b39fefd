"""Escalation in real time: the next steps come on time and go on until somebody takes the alarm over."""

import asyncio

from schemas.lifecycle import Change
from tests.support.chain import Chain
from tests.support.mails import link_in, mails_about, press_button, to, wait_for_mails
from tests.support.records import lifecycle_of
from tests.support.waiting import eventually

GUARD, MANAGER = "wache.stassfurt@example.org", "leitung.stassfurt@example.org"
DEPUTY, ON_CALL = "vertretung.stassfurt@example.org", "bereitschaft@example.org"
EVERYBODY = {GUARD, MANAGER, DEPUTY, ON_CALL}
SLACK = 3.0
"""Seconds that a mail may come late on a busy machine; never may it come early."""


def steps_told(office: Chain, incident_id: str) -> list[str]:
    return [str(mail.message["X-Rufkette-Step"]) for mail in mails_about(office.sink, incident_id, "alarm")]


async def test_steps_and_repeats_come_on_time_until_somebody_takes_over(office: Chain) -> None:
    event_id = await office.press({"site": "stassfurt", "location": "Empfang", "danger_level": 2})
    # guard and manager, deputy after 1 s, on-call after 2 s, and on-call again after 12 s
    mails = await wait_for_mails(office.sink, event_id, 5, within=20)
    assert steps_told(office, event_id) == ["alarm-0-1-0"] * 2 + ["alarm-0-2-0", "alarm-0-3-0", "alarm-0-3-1"]
    began = mails[0].at
    for mail, who, after in zip(mails[2:], (DEPUTY, ON_CALL, ON_CALL), (1, 2, 12), strict=True):
        assert mail.recipients == (who,)
        # Due times count from the decision, some milliseconds before the first mail is accepted.
        assert after - 0.3 <= mail.at - began <= after + SLACK, (who, after, mail.at - began)
    assert len({mail.message["Message-ID"] for mail in mails}) == 5
    assert "Wiederholung" in mails[4].text()
    assert mails[4].subject.startswith("ALARM Empfang Staßfurt")

    await press_button(link_in(mails[4]), name="Olga Obhut", action="acknowledge")
    informed = await wait_for_mails(office.sink, event_id, 4, "taken_over")
    assert {mail.recipients[0] for mail in informed} == EVERYBODY
    taken_at = min(mail.at for mail in informed)
    (reminder,) = await wait_for_mails(office.sink, event_id, 1, "reminder")
    assert reminder.recipients == mails[4].recipients  # whose link it was

    # Nobody closes it within `acknowledged_for`: the chain begins anew, as mails of their own.
    again = await wait_for_mails(office.sink, event_id, 5 + 4)
    assert steps_told(office, event_id)[5:9] == ["alarm-1-1-0"] * 2 + ["alarm-1-2-0", "alarm-1-3-0"]
    assert {mail.recipients[0] for mail in again[5:7]} == {GUARD, MANAGER}
    assert taken_at < reminder.at < again[5].at
    assert 2 - 0.3 <= again[5].at - taken_at <= 2 + SLACK
    assert "Wieder offen" in again[5].text()
    assert len({mail.message["Message-ID"] for mail in again}) == len(again)

    await press_button(link_in(to(again[5:], GUARD)), name="Olga Obhut", action="close", outcome="resolved")
    closed = await wait_for_mails(office.sink, event_id, 4, "closed")
    assert {mail.recipients[0] for mail in closed} == EVERYBODY

    async def changes() -> list[Change]:
        return [change for change, _ in await lifecycle_of(office.around, event_id)]

    told = await eventually(changes, lambda found: Change.CLOSED in found)
    assert told.count(Change.ESCALATED) == 6
    assert told[-1] is Change.CLOSED


async def test_taking_over_stops_what_was_still_to_come(office: Chain) -> None:
    event_id = await office.press({"site": "stassfurt", "location": "Archiv", "danger_level": 2})
    (first, *_) = await wait_for_mails(office.sink, event_id, 1)
    await press_button(link_in(first), name="Olga Obhut", action="close", outcome="false_alarm")
    await wait_for_mails(office.sink, event_id, 2, "closed")
    told = steps_told(office, event_id)
    assert told[:2] == ["alarm-0-1-0"] * 2
    # Another alarm goes through the steps that this one would have taken meanwhile.
    other = await office.press({"site": "stassfurt", "location": "Keller", "danger_level": 2})
    mails = await wait_for_mails(office.sink, other, 4)
    assert mails[-1].recipients == (ON_CALL,)
    assert steps_told(office, event_id) == told
    await press_button(link_in(mails[-1]), name="Olga Obhut", action="close", outcome="resolved")


async def test_many_alarms_at_once_all_escalate(office: Chain) -> None:
    rooms = [f"Raum {number}" for number in range(12)]
    ids = await asyncio.gather(
        *(office.press({"site": "stassfurt", "location": room, "danger_level": 2}) for room in rooms)
    )
    for event_id in ids:
        mails = await wait_for_mails(office.sink, event_id, 4)
        assert steps_told(office, event_id) == ["alarm-0-1-0"] * 2 + ["alarm-0-2-0", "alarm-0-3-0"]
        await press_button(link_in(mails[0]), name="Olga Obhut", action="close", outcome="resolved")
