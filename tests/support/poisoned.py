"""`python -m tests.support.poisoned`: alerting with a bug that ends the process whenever it decides certain things."""

import os
from collections.abc import Sequence
from typing import Any

from schemas.events import Event, Reported
from services.alerting import app, changes
from services.alerting.core.decide import decide
from services.alerting.core.effects import Deadline
from services.alerting.core.incident import Incident
from services.common.settings import AlertingSettings, load

DEADLY_ROOM = "Giftraum"
DEADLY_CLOCK = "Uhrengift"
STUMBLE = "Stolperraum"


def _bug(candidates: Sequence[Incident], what: Any, **more: Any) -> Any:
    match what:
        case Event(data=Reported(location=location)) if location == DEADLY_ROOM:
            os._exit(66)
        case Event(data=Reported(location=location)) if location == STUMBLE:
            raise ZeroDivisionError
        case Deadline() if candidates[0].location == DEADLY_CLOCK:
            os._exit(66)
    return decide(candidates, what, **more)


if __name__ == "__main__":
    changes.decide = _bug  # type: ignore[assignment, attr-defined]  # the bug
    app.run(load(AlertingSettings))
