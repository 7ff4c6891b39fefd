"""`rufkette import`: past events."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.commands.exits import fail
from services.commands.options import DataDir

_MOST_SHOWN = 50
"""Of a file that is something else altogether nobody reads every line."""


def import_events(
    events: Annotated[
        Path, typer.Argument(metavar="EVENTS.jsonl", help="One structured CloudEvent a line; - is standard input.")
    ],
    data_dir: DataDir = Path("var"),
) -> None:
    """Take past events in, through Kafka, for statistics and timeline. Nothing is mailed; importing again is safe.

    Uses RUFKETTE_KAFKA_BOOTSTRAP_SERVERS and RUFKETTE_DATABASE_URL, or the stack that runs in the data directory.
    Without a database it does not wait until alerting has taken the events. With RUFKETTE_CONFIG it warns of sites
    that the configuration does not have.
    """
    import logging

    from aiokafka.errors import KafkaError
    from sqlalchemy.exc import SQLAlchemyError

    from services.alerting.upkeep.importing import ImportSettings, Refused, Stalled, UnreadableFile, read, take_in
    from services.commands.failures import cause_of
    from services.commands.import_command import unknown_sites
    from services.common.configuration.file import ConfigurationError
    from services.embedded.neighbour import load_beside

    settings = load_beside(ImportSettings, data_dir)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the lines below say it
    try:
        past = read(events)
        for warning in unknown_sites(past, settings.config):
            print(f"warning: {warning}", file=sys.stderr)
        done = take_in(past, settings)
    except ConfigurationError as error:
        fail("\n".join(map(str, error.mistakes)), 1)
    except Refused as error:
        print(*error.mistakes[:_MOST_SHOWN], sep="\n", file=sys.stderr)
        if len(error.mistakes) > _MOST_SHOWN:
            print(f"… and {len(error.mistakes) - _MOST_SHOWN} more", file=sys.stderr)
        fail(f"nothing was imported: {len(error.mistakes)} lines have to be corrected first", 1)
    except Stalled as error:
        fail(f"{error} Everything is on Kafka and will be taken; importing again is safe.", 1)
    except KafkaError as error:
        fail(f"cannot publish on {settings.kafka_bootstrap_servers}: {error}", 1)
    except UnreadableFile as error:
        fail(f"cannot read {events}: {error}", 2)
    except (SQLAlchemyError, OSError) as error:
        fail(f"cannot import {events}: {cause_of(error)}", 1)
    if done.known is None:
        print(f"{done.events} events are on Kafka; alerting takes them when it runs")
        return
    print(f"{done.events} events taken, {done.known} of them were known and changed nothing")
    if done.waiting:
        print(f"warning: {done.waiting} events name an incident that is not known; kept for 24 hours", file=sys.stderr)
