"""What `rufkette run` says once everything is ready."""

import json
import shlex

from schemas.configuration import Configuration
from services.common.keys import key_hash
from services.embedded.data import DEMO_SOURCE
from services.embedded.plan import Plan


def _demo_key(plan: Plan, configuration: Configuration) -> str | None:
    """The kept key, as long as the configuration still knows it."""
    key = plan.data.read_api_key()
    known = {source.key for source in configuration.sources.values()}
    return key if key is not None and key_hash(key) in known else None


def _first_alarm(plan: Plan, configuration: Configuration, key: str | None) -> str:
    """A command line for any shell that raises a first alarm."""
    site = "bernburg" if "bernburg" in configuration.sites else next(iter(configuration.sites))
    report = {"site": site, "location": "Zimmer 112", "danger_level": 2, "category": "threat"}
    bearer = shlex.quote(f"Authorization: Bearer {key}") if key else '"Authorization: Bearer $RUFKETTE_API_KEY"'
    return (
        f"curl -sS {plan.ingest_url}/v1/incidents -H {bearer} -H 'Content-Type: application/json'"
        f" -d {shlex.quote(json.dumps(report))}"
    )


def banner(plan: Plan, configuration: Configuration) -> str:
    """Addresses, the key and the first thing to do."""
    key = _demo_key(plan, configuration)
    given = "as the environment says"
    kafka = f"127.0.0.1:{plan.kafka_port}" if plan.kafka_port else given
    database = f"postgresql://postgres@127.0.0.1:{plan.postgres_port}/rufkette" if plan.postgres_port else given
    rows = [
        ("mails", plan.mail_url if plan.mail_port else f"sent by your mail server, {given}"),
        ("desk", f"{plan.alerting_url}/"),
        ("API of ingest", f"{plan.ingest_url}/docs"),
        ("Kafka", kafka),
        ("PostgreSQL", database),
        ("configuration", f"{plan.configuration} (edit it, then start again)"),
        ("data and logs", str(plan.data.root)),
    ]
    if key is not None:
        rows.append(("API key", f"{key} (source {DEMO_SOURCE}; all keys: {plan.data.api_keys})"))
    table = "\n".join(f"  {name:<14} {value}" for name, value in rows)
    return (
        f"\nRufkette runs. Ctrl-C stops everything.\n\n{table}\n\n"
        f"Raise a first alarm, then look at the mails:\n\n  {_first_alarm(plan, configuration, key)}\n"
    )
