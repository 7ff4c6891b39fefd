"""Mails about made-up incidents, as one recipient gets them four minutes after the press."""

from datetime import timedelta
from typing import Any

from schemas.events import Outcome
from services.alerting.core.effects import Action, Click, Purpose
from services.alerting.core.incident import Incident
from services.alerting.core.messages import Message, compose
from services.alerting.core.policy import Rules
from tests.core.made_up import LINK, PRESSED_AT, notify, rules

RULES = rules()
FULL = rules(mail={"details": "link", "roles": {"site_management": "full"}})
TAKE = Click("B. Beispiel", (Action.ACKNOWLEDGE,))
CALL = Click("B. Beispiel", (Action.CALLED_POLICE,))
FOUR_MINUTES = timedelta(minutes=4)
ABOUT_ONE = (Purpose.ALARM, Purpose.TAKEN_OVER, Purpose.REMINDER, Purpose.CLOSED)
"""Mails about one incident; the summary after a silence names a site, not a room."""


def mail(
    incident: Incident, purpose: Purpose = Purpose.ALARM, role: str = "house_security", by: Rules = RULES
) -> Message:
    return compose(incident, notify(incident, purpose, role), by, now=PRESSED_AT + FOUR_MINUTES, link=LINK)


def close(outcome: Outcome = Outcome.RESOLVED, **more: Any) -> Click:
    return Click("D. Dritte", (Action.CLOSE,), outcome=outcome, **more)
