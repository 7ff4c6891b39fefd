"""What is left of an incident when its time for personal data is over."""

import json

from schemas.events import Outcome
from services.alerting.core.effects import Action
from services.alerting.retention.personal_data import without_personal_data
from services.alerting.store import to_json
from tests.core.office import MONDAY, Desk

_OF_A_PERSON = "Zorbax"


def test_names_addresses_and_everything_that_somebody_wrote_are_gone_and_the_facts_stay() -> None:
    desk = Desk()
    name = f"Frau {_OF_A_PERSON}"
    incident = desk.press(description=f"wegen {name}", reported_by=name, reference=_OF_A_PERSON)
    desk.click(incident, Action.ACKNOWLEDGE, Action.CALLED_POLICE, by=name)
    handed = Action.HAND_OVER
    desk.click(incident, handed, by=name, on=MONDAY.date(), reference=f"AZ {_OF_A_PERSON}")
    ended = desk.click(
        incident, Action.CLOSE, by=name, outcome=Outcome.RESOLVED, note=name, measures=("Hausverbot", name)
    ).incident
    assert ended is not None
    assert to_json(ended).count(_OF_A_PERSON) > 8
    left = without_personal_data(ended)
    text = to_json(left)
    assert _OF_A_PERSON not in text, [
        text[max(0, i - 90) : i + 30] for i in range(len(text)) if text.startswith(_OF_A_PERSON, i)
    ]
    assert "@" not in text
    assert (left.closing is not None, len(left.calls), len(left.hand_overs)) == (True, 1, 1)
    assert left.hand_overs[0].on == MONDAY.date()
    assert json.loads(text)["site"] == "bernburg"
