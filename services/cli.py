"""The command line `rufkette`. Modules are imported inside the commands, so that `--help` answers at once."""

import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.commands import deliveries_cli, hold_cli, import_cli, plan_cli, simulate_cli, try_source_cli
from services.commands.exits import fail
from services.commands.options import DataDir

app = typer.Typer(
    name="rufkette",
    help="Alarms from panic buttons and incident forms: taken in, mailed, escalated until a person answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def run(
    data_dir: DataDir = Path("var"),
    config: Annotated[
        Path | None,
        typer.Option(help="The organisation's configuration. Without it, an example in the data directory."),
    ] = None,
) -> None:
    """Start everything on this machine: Kafka, PostgreSQL, a mail catcher, ingest and alerting.

    RUFKETTE_KAFKA_BOOTSTRAP_SERVERS, RUFKETTE_DATABASE_URL and RUFKETTE_SMTP_URL each replace the embedded part.
    Ctrl-C stops everything.
    """
    from services.embedded.stack import run as run_stack

    raise typer.Exit(run_stack(data_dir, config))


@app.command()
def ingest() -> None:
    """Run the service that takes reports in and puts them on Kafka (settings from the environment)."""
    from services.common.settings import IngestSettings, load
    from services.ingest.app import run as run_ingest

    run_ingest(load(IngestSettings))


@app.command()
def alerting() -> None:
    """Run the service that decides, mails and escalates (settings from the environment)."""
    from services.alerting.app import run as run_alerting
    from services.common.settings import AlertingSettings, load

    run_alerting(load(AlertingSettings))


@app.command()
def migrate() -> None:
    """Create the tables in RUFKETTE_DATABASE_URL, or bring them up to this version. Safe to repeat."""
    from sqlalchemy.exc import SQLAlchemyError

    from services.alerting.migrations.apply import migrate as apply
    from services.commands.failures import cause_of
    from services.common.settings import MigrateSettings, load

    url = load(MigrateSettings).database_url.get_secret_value()
    try:
        apply(url)
    except (SQLAlchemyError, OSError) as error:
        fail(f"cannot migrate the database: {cause_of(error)}", 1)
    print("the database is up to date")


@app.command()
def topics(
    replication: Annotated[int, typer.Option(min=1, help="Copies of each record; 3 in production.")] = 1,
    config: Annotated[
        list[str] | None, typer.Option(help="A topic setting name=value such as min.insync.replicas=2; repeatable.")
    ] = None,
    strict: Annotated[bool, typer.Option(help="Fail when a topic exists that is otherwise than asked for.")] = False,
) -> None:
    """Create the topics that are missing on RUFKETTE_KAFKA_BOOTSTRAP_SERVERS. Safe to repeat.

    Those that exist are left as they are; it warns where they have fewer copies or other settings than asked for.
    """
    import asyncio
    import logging

    from aiokafka.errors import KafkaError

    from schemas.topics import ALL, prefixed
    from services.common.kafka import create_topics
    from services.common.settings import TopicsSettings, load
    from services.common.topic_differences import differences

    overrides = dict(item.partition("=")[::2] for item in config or ())
    if wrong := [item for item in config or () if "=" not in item]:
        fail(f"--config {wrong[0]}: write name=value, for example min.insync.replicas=2", 2)
    settings = load(TopicsSettings)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the line below says it
    try:
        made = asyncio.run(create_topics(settings, replication=replication, overrides=overrides))
        there = [name for topic in ALL if (name := prefixed(topic.name, settings.topic_prefix)) not in made]
        found = asyncio.run(differences(settings, there, replication=replication, overrides=overrides))
    except KafkaError as error:
        fail(f"cannot create the topics on {settings.kafka_bootstrap_servers}: {error}", 1)
    print("\n".join(f"created {name}" for name in made) or "all topics exist")
    for difference in found:
        print(f"warning: {difference}", file=sys.stderr)
    if strict and found:
        raise typer.Exit(1)


@app.command()
def press(
    site: Annotated[str, typer.Option(help="The site's key in the configuration, for example bernburg.")],
    location: Annotated[str | None, typer.Option(help='The room, for example "Zimmer 112".')] = None,
    level: Annotated[int | None, typer.Option(min=0, max=3, help="Danger level.")] = None,
    category: Annotated[str | None, typer.Option(help="What happened, for example threat or weapon.")] = None,
    exercise: Annotated[bool, typer.Option("--exercise", help="A marked test alarm (Probealarm).")] = False,
    url: Annotated[
        str | None, typer.Option(help="Address of ingest. Without it, the embedded stack of the data directory.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(envvar="RUFKETTE_API_KEY", help="API key. Without it, that of the embedded stack.")
    ] = None,
    data_dir: DataDir = Path("var"),
) -> None:
    """Raise an alarm from the command line, through ingest."""
    from services.embedded.press import PressFailed, send

    report = {"site": site, "location": location, "danger_level": level, "category": category}
    report["mode"] = "exercise" if exercise else "actual"
    try:
        answer = send({k: v for k, v in report.items() if v is not None}, url=url, key=key, data_dir=data_dir)
    except PressFailed as error:
        fail(str(error), 1)
    print(f"event {answer.event_id} {answer.status}\n{answer.status_url}")
    for warning in answer.warnings:
        print(f"warning: {warning}", file=sys.stderr)


@app.command()
def new_key() -> None:
    """Make an API key for a source, and the hash that stands in the configuration."""
    from services.common.keys import key_hash
    from services.common.keys import new_key as make

    key = make()
    print(f"key (give it to the sender; it is shown only now):\n  {key}\n")
    print(f'line for the source in the configuration:\n  key_sha256: "{key_hash(key)}"')


@app.command()
def check_config(
    file: Annotated[Path | None, typer.Argument(envvar="RUFKETTE_CONFIG", help="The YAML file.")] = None,
    strict: Annotated[bool, typer.Option(help="Fail on hints, too.")] = False,
) -> None:
    """Check a configuration: every mistake with file and line, and what to write instead."""
    from services.common.configuration.file import ConfigurationError, examine
    from services.common.configuration.secret_checks import unreadable_secrets

    if file is None:
        fail("name a file, or set RUFKETTE_CONFIG", 2)
    try:
        configuration, hints = examine(file)
    except ConfigurationError as error:
        for mistake in error.mistakes:
            print(mistake, file=sys.stderr)
        raise typer.Exit(1) from None
    noticed = [*hints, *unreadable_secrets(configuration, file)]
    for hint in noticed:
        print(f"hint: {hint}", file=sys.stderr)
    if strict and noticed:
        raise typer.Exit(1)
    print(f"{file}: OK – {len(configuration.sites)} sites, {len(configuration.sources)} sources")


@app.command()
def report(
    year: Annotated[int, typer.Argument(metavar="YEAR", help="The year to count, for example 2026.")],
    as_of: Annotated[
        str | None, typer.Option(metavar="DATE", help="Count only what was recorded by the end of this day.")
    ] = None,
    format: Annotated[str, typer.Option(help="text, csv or json.")] = "text",  # noqa: A002 - the option's name
    freeze: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the figures to a new file, with their SHA-256.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="FILE", help="List what changed since the figures in this file were frozen.")
    ] = None,
    ids: Annotated[
        bool, typer.Option("--ids", help="List the incidents behind each figure in the text, too (csv, json: always).")
    ] = False,
    data_dir: DataDir = Path("var"),
) -> None:
    """Print the yearly report, with its definitions and – in csv and json always – the incidents behind each figure.

    Uses RUFKETTE_CONFIG and RUFKETTE_DATABASE_URL, or the stack that runs in the data directory.
    """
    # The command reads once and ends: looking for garbage among 100,000 incidents would be a third of its time.
    gc.disable()
    from datetime import UTC, datetime

    from services.commands.office import OfficeSettings
    from services.commands.report_command import ReportFailed, Wish, remark
    from services.commands.report_command import run as answer
    from services.common.configuration.file import ConfigurationError
    from services.embedded.neighbour import load_beside

    try:
        wish = Wish(year, as_of, format, freeze, compare, ids)
        print(answer(wish, load_beside(OfficeSettings, data_dir)))
        if (said := remark(wish, datetime.now(UTC).date())) is not None:
            print(f"warning: {said}", file=sys.stderr)
    except ConfigurationError as error:
        fail("\n".join(map(str, error.mistakes)), 1)
    except ReportFailed as error:
        fail(str(error), 2 if error.usage else 1)


app.command("import")(import_cli.import_events)
app.command("announce-test")(plan_cli.announce_test)
app.command("silence")(plan_cli.silence)
app.command()(hold_cli.hold)
app.command("end-hold")(hold_cli.end_hold)
app.command()(hold_cli.holds)
app.command()(simulate_cli.simulate)
app.command()(deliveries_cli.deliveries)
app.command("try-source")(try_source_cli.try_source)


def main() -> None:
    """Entry point: a mistake of the operator ends in one line and exit code 2, never in a traceback."""
    from services.common.settings import SettingsError

    try:
        app()
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
