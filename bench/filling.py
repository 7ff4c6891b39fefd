"""SQL that fills a database with made-up incidents: what `decide` leaves of one, with other names in it."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench import made_up
from schemas.events import Outcome
from services.alerting.changes import Changes
from services.alerting.core.effects import Action, Answer, Click, DeliveryResult
from services.alerting.core.policy import Rules
from services.alerting.saving import to_row

_MODEL: Final = "bench-template-0"
_STEP: Final = 50_000
_FILL: Final = """
INSERT INTO incidents (id, site, merge_keys, mode, status, urgency, due_at, opened_at, closed_at, revision, imported,
                       state)
SELECT {id}, {site}, {keys}, {mode}, {status}, {urgency}, {due_at} + n * interval '10 milliseconds',
       {opened_at}, {closed_at}, {revision}, false, {state}::jsonb
FROM generate_series({first}, {last}) n;
INSERT INTO inputs (incident_id, revision, at, reason, "by", body)
SELECT {id}, t.revision, t.at, t.reason, t."by", replace(t.body, {model}, {id})::jsonb
FROM generate_series({first}, {last}) n
CROSS JOIN json_to_recordset({inputs}) AS t(revision int, at timestamptz, reason text, "by" text, body text);
INSERT INTO outbox (id, incident_id, cycle, step, repetition, recipient, role, purpose, urgency, created_at, state,
                    attempts, answered_at)
SELECT gen_random_uuid(), {id}, 0, 0, 0, t.recipient, t.role, t.purpose, t.urgency, t.created_at, 'accepted', 1,
       t.created_at
FROM generate_series({first}, {last}) n
CROSS JOIN json_to_recordset({mails}) AS t(recipient text, role text, purpose text, urgency int,
                                           created_at timestamptz);
INSERT INTO events (id, digest, applied_at) SELECT {id}, md5({id}), {opened_at}
FROM generate_series({first}, {last}) n;
"""


def open_ones(rules: Rules, prefix: str, count: int) -> list[str]:
    """Statements that enter so many incidents of which somebody was told and which nobody took over."""
    return _statements(_life(rules, ended=False), prefix, 1, count)


def ended(rules: Rules, prefix: str, first: int, last: int) -> list[str]:
    """Statements that enter incidents with these numbers which were told, taken over and ended."""
    return _statements(_life(rules, ended=True), prefix, first, last)


def _life(rules: Rules, *, ended: bool) -> Changes:
    now = datetime.now(UTC) - timedelta(days=1 if ended else 0)
    changes = made_up.opened([made_up.report(0, "template", now)], rules, now)
    for notify in list(changes.notifies.values()):
        result = DeliveryResult(
            notify.recipient.email, notify.purpose, notify.cycle, notify.step, notify.repetition, Answer.ACCEPTED
        )
        _go_on(changes, result)
    if ended:
        _go_on(changes, Click("A. Muster", (Action.ACKNOWLEDGE,)))
        _go_on(changes, Click("A. Muster", (Action.CLOSE,), outcome=Outcome.RESOLVED))
    return changes


def _go_on(changes: Changes, cause: Click | DeliveryResult) -> None:
    changes.decide(list(changes.known.values()), cause)


def _statements(changes: Changes, prefix: str, first: int, last: int) -> list[str]:
    (incident,) = changes.known.values()
    row = to_row(incident)
    id_ = f"'{prefix}-' || n"
    times = {key: f"{_literal(row[key])}::timestamptz" for key in ("due_at", "opened_at", "closed_at")}
    values = times | {
        "id": id_,
        "model": _text(_MODEL),
        "keys": f"ARRAY[{', '.join(_named(str(key), id_) for key in incident.keys)}]",
        "state": _named(str(row["state"]), id_),
        "inputs": _json(changes.timeline),
        "mails": _json(list(changes.mails.values())),
        **{key: _literal(row[key]) for key in ("site", "mode", "status", "urgency", "revision")},
    }
    return [
        *(
            _FILL.format(**values, first=start, last=min(start + _STEP - 1, last))
            for start in range(first, last + 1, _STEP)
        ),
        "ANALYZE",
    ]


def _named(text: str, id_: str) -> str:
    """SQL for a text of the model with an incident's id and room in it."""
    return f"replace(replace({_text(text)}, {_text(_MODEL)}, {id_}), 'Rtemplate-0', 'F' || n)"


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return _text(json.dumps(list(rows), default=str))


def _literal(value: object) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else _text(str(value))


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
