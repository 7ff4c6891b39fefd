"""What `rufkette run` says once everything is ready."""

import json
import os
import shlex
from collections.abc import Mapping

from schemas.configuration import Configuration
from schemas.configuration_sources import NativeSource
from services.common.keys import key_hash
from services.embedded.data import DEMO_SOURCE
from services.embedded.plan import Plan


def _demo_key(plan: Plan, configuration: Configuration) -> str | None:
    """The kept key, as long as the configuration still knows it."""
    key = plan.data.read_api_key()
    known = {source.key for source in configuration.sources.values()}
    return key if key is not None and key_hash(key) in known else None


def _first_alarm(plan: Plan, configuration: Configuration, key: str | None) -> str:
    """A command line for any shell that raises a first alarm, at a place that the configuration has."""
    name = "bernburg" if "bernburg" in configuration.sites else next(iter(configuration.sites))
    rooms = [location.name for location in configuration.sites[name].locations]
    report: dict[str, object] = {"site": name}
    if rooms:
        report["location"] = "Zimmer 112" if "Zimmer 112" in rooms else rooms[0]
    report |= {"danger_level": 2, "category": "threat"}
    bearer = shlex.quote(f"Authorization: Bearer {key}") if key else '"Authorization: Bearer $RUFKETTE_API_KEY"'
    return (
        f"curl -sS {plan.ingest_url}/v1/incidents -H {bearer} -H 'Content-Type: application/json'"
        f" -d {shlex.quote(json.dumps(report))}"
    )


def _which_key(configuration: Configuration) -> str:
    """What stands for `$RUFKETTE_API_KEY`: only hashes are in the configuration."""
    natives = [name for name, source in configuration.sources.items() if isinstance(source, NativeSource)]
    where = f"of your source {natives[0]}" if natives else "of a source of type native, which your configuration lacks"
    return (
        f"  RUFKETTE_API_KEY is the key {where}.\n"
        "  `rufkette new-key` makes a new one and the line key_sha256 for the configuration; then send SIGHUP.\n\n"
    )


def _rows(plan: Plan, processes: Mapping[str, int]) -> list[tuple[str, str]]:
    given = "as the environment says"

    def own(address: str, part: str) -> str:
        return f"{address} (process {processes[part]})"

    kafka = own(f"127.0.0.1:{plan.kafka_port}", "Kafka") if plan.kafka_port else given
    database = f"postgresql://postgres@127.0.0.1:{plan.postgres_port}/rufkette"
    return [
        ("mails", own(plan.mail_url, "mail catcher") if plan.mail_port else f"sent by your mail server, {given}"),
        ("desk", f"{plan.alerting_url}/"),
        ("API of ingest", f"{plan.ingest_url}/docs"),
        ("Kafka", kafka),
        ("PostgreSQL", own(database, "PostgreSQL") if plan.postgres_port else given),
        ("configuration", f"{plan.configuration} (edit it, then: kill -HUP {os.getpid()})"),
        ("data and logs", str(plan.data.root)),
    ]


def banner(plan: Plan, configuration: Configuration, processes: Mapping[str, int]) -> str:
    """Addresses, the key and the first thing to do."""
    key = _demo_key(plan, configuration)
    rows = _rows(plan, processes)
    if key is not None:
        rows.append(("API key", f"{key} (source {DEMO_SOURCE}; all keys: {plan.data.api_keys})"))
    table = "\n".join(f"  {name:<14} {value}" for name, value in rows)
    return (
        f"\nRufkette runs. Ctrl-C stops everything.\n\n{table}\n\n"
        f"Raise a first alarm, then look at the mails:\n\n{_which_key(configuration) if key is None else ''}"
        f"  {_first_alarm(plan, configuration, key)}\n"
    )
