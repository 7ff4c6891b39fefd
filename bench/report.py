"""Seconds of `rufkette report` over 100,000 incidents: made-up rows, written by SQL into a PostgreSQL of its own."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from schemas.events import Category, Closed, Event, HandedOver, Kind, Outcome, PoliceRequested, Reported
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.decide import decide
from services.alerting.core.incident import Incident
from services.alerting.core.policy import Rules
from services.alerting.migrations.apply import migrate
from services.alerting.store import to_json
from services.common.configuration import file as configuration_file
from services.embedded.data import EXAMPLE
from services.embedded.ports import free_port
from services.embedded.postgres import Postgres

TARGET: Final = 2.0
"""Seconds."""
INCIDENTS: Final = 100_000
_YEAR: Final = 2025
_ROUNDS: Final = 5
_FILL: Final = """
INSERT INTO incidents (id, site, merge_keys, mode, status, urgency, opened_at, closed_at, revision, imported, state)
SELECT 'i' || n, t.state ->> 'site', '{}', 'actual', 'closed', 1, at, at + interval '1 hour', 5, false,
    jsonb_set(jsonb_set(t.state, '{opened_at}', to_jsonb(at)), '{reports,0,at}', to_jsonb(at))
FROM generate_series(1, %(incidents)d) n
CROSS JOIN LATERAL (SELECT timestamptz '%(year)d-01-02 08:00+00' + n * interval '310 seconds' AS at) moment
JOIN (VALUES %(states)s) AS t(k, state) ON t.k = n %% %(kinds)d;
INSERT INTO inputs (incident_id, revision, at, reason, body)
SELECT id, r, opened_at + r * interval '1 minute', CASE r WHEN 2 THEN 'acknowledged' ELSE 'closed' END, '{}'
FROM incidents CROSS JOIN generate_series(1, 4) r;
ANALYZE;
"""


def _states(rules: Rules) -> list[str]:
    """Whole lives of a few kinds, as `decide` leaves them behind."""
    found = []
    sites = list(rules.configuration.sites)
    at = datetime(_YEAR, 1, 5, 9, tzinfo=UTC)
    for number, category in enumerate(Category):
        data = Reported(
            kind=Kind.PANIC, site=sites[number % len(sites)], location="Raum 1", danger_level=number % 4,
            category=category, description="Made up. " * 20,
        )  # fmt: skip
        incident = _after(None, Event(id="i", source="buttons", time=at, data=data), rules)
        follow_ups: list[Any] = [Closed(by="A", outcome=Outcome.FALSE_ALARM if number == 8 else Outcome.RESOLVED)]
        if number % 2:
            follow_ups.insert(0, PoliceRequested(by="A"))
        if number % 3 == 0:
            follow_ups.append(HandedOver(by="A"))
        for step, follow_up in enumerate(follow_ups, 1):
            event = Event(id=f"f{step}", source="bus", time=at + timedelta(minutes=step), data=follow_up, subject="i")
            incident = _after(incident, event, rules)
        assert incident is not None
        found.append(to_json(replace(incident, id="i")))
    return found


def _after(incident: Incident | None, event: Event, rules: Rules) -> Incident | None:
    return decide([incident] if incident else [], event, now=event.time, rules=rules).incident


def run() -> dict[str, Any]:
    """Fill a database and measure the command, from its start to its last line."""
    with tempfile.TemporaryDirectory(prefix="rufkette-bench-") as folder:
        directory = Path(folder)
        directory.chmod(0o755)  # PostgreSQL runs as another user when we are root
        postgres = Postgres(directory / "postgres", free_port())
        postgres.prepare()
        server = postgres.start()
        try:
            server.wait_until(postgres.ready, timeout=60)
            return _measure(postgres)
        finally:
            server.stop()


def _measure(postgres: Postgres) -> dict[str, Any]:
    configuration = configuration_file.load(EXAMPLE)
    postgres.ensure_database("rufkette")
    migrate(postgres.url())
    states = _states(Rules(configuration, OfficeCalendar(configuration)))
    values = ", ".join(f"({number}, $json${state}$json$::jsonb)" for number, state in enumerate(states))
    fill = _FILL % {"incidents": INCIDENTS, "year": _YEAR, "states": values, "kinds": len(states)}
    postgres.execute(fill, "rufkette")
    seconds = [_timed(postgres.url()) for _ in range(_ROUNDS)]
    median = statistics.median(seconds)
    print(f"report: {median:.2f} s over {INCIDENTS:,} incidents of one year (median of {_ROUNDS} runs of the command)")
    print(f"target {TARGET} s: {'reached' if median <= TARGET else 'MISSED'}")
    return {"seconds": median, "rounds": seconds, "incidents": INCIDENTS, "target": TARGET}


def _timed(database_url: str) -> float:
    settings = {"RUFKETTE_DATABASE_URL": database_url, "RUFKETTE_CONFIG": str(EXAMPLE)}
    command = [sys.executable, "-m", "services.cli", "report", str(_YEAR), "--format", "json"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=True, env=os.environ | settings)
    taken = time.perf_counter() - started
    report = json.loads(done.stdout)
    counted = report["incidents"] + sum(report["excluded"].values())
    if counted != INCIDENTS:
        raise RuntimeError(f"the report counts {counted} of {INCIDENTS} incidents")
    return round(taken, 2)


if __name__ == "__main__":
    run()
