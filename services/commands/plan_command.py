"""What `rufkette announce-test` and `rufkette silence` do: understand, check and write, as the page does."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from schemas.configuration import Configuration
from schemas.configuration_sources import normalise_device_id
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.plans import AnnouncedTest, Silence
from services.alerting.core.policy import Rules
from services.alerting.database import create_engine, in_transaction
from services.alerting.desk.plans_form import Wish, understand
from services.alerting.desk.texts.plans import ENGLISH
from services.alerting.plans import plan_store
from services.commands.office import OfficeSettings, Refused
from services.common.configuration import file as configuration_file
from services.common.configuration.checks import suggestion

_OPTIONS = replace(ENGLISH, starts="--from", until="--to")
"""The words of the page; its fields are options here."""


def plan(wish: Wish, settings: OfficeSettings) -> str:
    """Make the plan; returns a line about it.

    Raises:
        Refused: it cannot be planned like this.
        services.common.configuration.file.ConfigurationError: the configuration has mistakes.
        sqlalchemy.exc.SQLAlchemyError, OSError: the database cannot be reached or refuses.
    """
    configuration = configuration_file.load(settings.config)
    rules = Rules(configuration, OfficeCalendar(configuration))
    made, mistakes = understand(wish, _OPTIONS, rules, datetime.now(UTC))
    if made is None:
        raise Refused([*mistakes, *_unknown(wish, configuration)])
    asyncio.run(_write(made, settings.database_url.get_secret_value()))
    zone = rules.zone(made.site)
    start, end = (at.astimezone(zone).strftime("%Y-%m-%d %H:%M") for at in (made.starts_at, made.ends_at))
    kind = "test announced" if isinstance(made, AnnouncedTest) else "silence planned"
    return f"{kind} from {start} to {end}"


def _unknown(wish: Wish, configuration: Configuration) -> Iterator[str]:
    """The page offers what there is; at a command line names are typed."""
    kind, _, where = wish.where.partition(":")
    sites = {wish.site, where if kind == "site" else ""} - {"", *configuration.sites}
    devices = {*wish.devices, normalise_device_id(where) if kind == "device" else ""} - {"", *configuration.register}
    for words, there in (
        (sites, configuration.sites),
        (devices, (spelt for _, spelt in configuration.register.values())),
    ):
        yield from (f"`{word}`: expected {suggestion(word, there)}" for word in sorted(words))


async def _write(made: AnnouncedTest | Silence, database_url: str) -> None:
    database = create_engine(database_url)
    try:
        if isinstance(made, AnnouncedTest):
            await in_transaction(database, lambda tx: plan_store.add_test(tx, made))
        else:
            await in_transaction(database, lambda tx: plan_store.add_silence(tx, made))
    finally:
        await database.dispose()
