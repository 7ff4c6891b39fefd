"""Devices on a real database: signs of life, silence told once whatever processes there are, mails through SMTP."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas.configuration import Configuration
from schemas.events import Event, Heartbeat
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.devices import DeviceState
from services.alerting.core.policy import Rules
from services.alerting.database import in_transaction
from services.alerting.desk.tokens import Tokens
from services.alerting.devices.attendance import Attendance
from services.alerting.devices.notices import NoticeMailer
from services.alerting.mailer import Mailer
from services.alerting.mailing.letters import Letters
from services.alerting.tables import device_signs, devices, incidents, notices, outbox, relay
from services.alerting.upkeep import housekeeping
from services.alerting.upkeep import repeating as upkeep
from services.common.loops import run_together
from services.common.mail.route import MailRoute
from services.common.mail.smtp import parse_smtp_url
from services.common.outage import Outage
from tests.alerting.conftest import Shell
from tests.core.office import CONFIGURATION, report
from tests.support.smtp_sink import Received, SmtpSink

MAIL_FROM = "Rufkette <rufkette@example.org>"
OFFICE_HOURS = datetime(2026, 11, 20, 9, tzinfo=UTC)


def watching(language: str = "de", **source: Any) -> Rules:
    """Three buttons in Bernburg, one in a kiosk that has nobody for maintenance."""
    buttons = {
        "type": "native",
        "kind": "panic",
        "key_sha256": "0" * 64,
        "expect_every": "1h",
        "devices": {
            "btn-112": {"site": "bernburg", "location": "Zimmer 112"},
            "btn-113": {"site": "bernburg", "location": "Zimmer 113"},
            "btn-114": {"site": "bernburg"},
            "btn-k": {"site": "kiosk"},
        },
    }
    organisation = CONFIGURATION["organisation"] | {"language": language}
    changes = {"sources": {"buttons": buttons | source}, "organisation": organisation}
    configuration = Configuration.model_validate(CONFIGURATION | changes)
    return Rules(configuration, OfficeCalendar(configuration))


class Office(Shell):
    """A shell whose configuration can be changed, with the loop over devices, run round by round."""

    def use(self, rules: Rules) -> "Office":
        self.engine.rules = lambda: rules
        self.attendance = Attendance(self.engine, Outage("database"))
        return self

    async def look(self) -> None:
        await self.attendance.round(grace=False)

    async def look_later(self, minutes: float) -> None:
        """Look now and once what is noticed has been collected."""
        self.later(minutes)
        await self.look()
        self.later(1)
        await self.look()

    async def alive(self, *ids: str, battery: float | None = None) -> None:
        await self.apply(*(heartbeat(self.now, id_, battery) for id_ in ids))

    async def devices(self) -> dict[str, DeviceState]:
        return {device.id: device for device in await self.attendance.all()}

    async def told(self) -> list[tuple[str, str, int, str]]:
        rows = sorted(await self.rows(notices), key=lambda row: (row.created_at, row.site, row.news))
        return [(row.site, row.news, row.devices.count('"id"'), row.recipient) for row in rows]


_numbers = iter(range(10**6))


def heartbeat(at: datetime, device_id: str, battery: float | None = None) -> Event:
    data = Heartbeat(device_id=device_id, battery=battery)
    return Event(id=f"h{next(_numbers)}", source="buttons", time=at, data=data)


@pytest.fixture
async def office(database: AsyncEngine) -> Office:
    office = Office(database, now=OFFICE_HOURS).use(watching())
    await office.lease()
    await office.look()
    return office


async def test_a_heartbeat_is_a_sign_and_no_incident(office: Office) -> None:
    await office.alive("BTN:112", battery=0.7)
    assert len(await office.rows(device_signs)) == 1
    await office.look()
    assert await office.rows(device_signs) == []
    device = (await office.devices())["btn112"]
    assert (device.last_seen_at, device.battery) == (OFFICE_HOURS, 0.7)
    for table in (incidents, outbox, relay):
        assert await office.rows(table) == []


async def test_a_press_is_a_sign_of_life_too(office: Office) -> None:
    await office.apply(report(office.now, device_id="btn-112"))
    await office.look()
    assert (await office.devices())["btn112"].last_seen_at == OFFICE_HOURS
    assert len(await office.rows(incidents)) == 1


async def test_a_press_waits_for_no_device_row(office: Office) -> None:
    async with office.database.begin() as elsewhere:
        await elsewhere.execute(sa.select(devices).with_for_update())
        async with asyncio.timeout(1):
            await office.apply(report(office.now, device_id="btn-112"))
    await office.look()
    assert (await office.devices())["btn112"].last_seen_at == OFFICE_HOURS


async def test_devices_silent_at_once_are_one_mail_a_site(office: Office) -> None:
    await office.look_later(61)
    expected = [("bernburg", "silent", 3, "leitung@example.org"), ("kiosk", "silent", 1, "bereitschaft@example.org")]
    assert await office.told() == expected
    await office.look_later(600)
    assert await office.told() == expected
    assert await office.rows(incidents) == []


async def test_all_clear_for_those_that_report_again(office: Office) -> None:
    await office.look_later(61)
    office.later(30)
    await office.alive("btn-112", "btn-113")
    await office.look_later(0)
    assert (await office.told())[2:] == [("bernburg", "recovered", 2, "leitung@example.org")]


async def test_those_that_fall_silent_within_the_minute_are_told_together(office: Office) -> None:
    await office.alive("btn-112")
    office.later(0.5)
    await office.alive("btn-113")
    office.later(20)
    await office.alive("btn-114", "btn-k")
    await office.look()
    office.now = OFFICE_HOURS
    office.later(60.1)
    await office.look()
    office.later(0.5)
    await office.look()
    office.later(0.5)
    await office.look()
    assert [(news, count) for _, news, count, _ in await office.told()] == [("silent", 2)]


async def test_a_battery_is_told_once_with_hysteresis(office: Office) -> None:
    for charge in (0.5, 0.15, 0.25, 0.18, 0.95):
        await office.alive("btn-112", battery=charge)
        await office.look_later(1)
    assert [(news, count) for _, news, count, _ in await office.told()] == [
        ("battery_low", 1),
        ("battery_restored", 1),
    ]


async def test_any_number_of_processes_tell_once(office: Office, database: AsyncEngine) -> None:
    others = [Office(database, owner=f"other {n}", now=office.now).use(watching()) for n in range(4)]
    everybody = [office, *others]
    for minutes in (61, 1, 1):
        for one in everybody:
            one.later(minutes)
        await asyncio.gather(*(one.look() for one in everybody))
    assert [(site, count) for site, _, count, _ in await office.told()] == [("bernburg", 3), ("kiosk", 1)]


async def test_a_restart_begins_nothing_anew(office: Office) -> None:
    office.later(59)
    office.use(watching())
    await office.look()
    await office.look_later(2)
    assert len(await office.told()) == 2
    office.use(watching())
    await office.look_later(61)
    assert len(await office.told()) == 2


async def test_nobody_is_silent_while_records_wait_on_kafka(office: Office) -> None:
    await in_transaction(office.database, partial(_behind, seconds=60))
    office.later(90)
    await office.attendance.round()
    assert all(device.silent_since is None for device in (await office.devices()).values())
    await in_transaction(office.database, partial(_behind, seconds=0))
    await office.attendance.round()
    assert all(device.silent_since is not None for device in (await office.devices()).values())


async def _behind(tx: AsyncConnection, seconds: int) -> None:
    long_ago = sa.text("UPDATE partitions SET caught_up_at = clock_timestamp() - make_interval(secs => :seconds)")
    await tx.execute(long_ago, {"seconds": seconds})


async def test_devices_follow_the_configuration(office: Office) -> None:
    one_left = watching(devices={"btn-112": {"site": "kiosk"}, "new": {"site": "bernburg"}})
    await office.alive("btn-112")
    await office.look()
    office.use(one_left)
    await office.look()
    found = await office.devices()
    assert {id_: device.site for id_, device in found.items()} == {"btn112": "kiosk", "new": "bernburg"}
    assert found["btn112"].last_seen_at == OFFICE_HOURS


async def test_what_a_process_with_another_configuration_dropped_is_watched_again(
    office: Office, database: AsyncEngine
) -> None:
    """It was started with an old file, for example; nobody would find the others' devices silent any more."""
    await office.alive("btn-112")
    await office.look()
    stranger = Office(database, now=office.now).use(watching(devices={"btn-9": {"site": "bernburg"}}))
    await stranger.look()
    assert set(await office.devices()) == {"btn9"}
    office.later(6)
    await office.look()
    assert set(await office.devices()) == {"btn9", "btn112", "btn113", "btn114", "btnk"}
    await office.look_later(61)
    silent = {id_ for id_, device in (await office.devices()).items() if device.silent_since}
    assert silent == {"btn112", "btn113", "btn114", "btnk"}


async def test_old_notices_are_forgotten(office: Office) -> None:
    await office.look_later(61)
    await housekeeping.clean(office.engine)
    assert len(await office.rows(notices)) == 2
    office.later(181 * 24 * 60)
    await housekeeping.clean(office.engine)
    assert await office.rows(notices) == []


async def until(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(15):
        while not await done():
            await asyncio.sleep(0.05)


def about_bernburg(sink: SmtpSink) -> list[Received]:
    return [mail for mail in sink.accepted if mail.recipients == ("leitung@example.org",)]


async def send(office: Office, sink: SmtpSink, *, until_states: list[str]) -> None:
    """Run the mailer until all notices have these states."""
    mailer = NoticeMailer(office.engine, MailRoute(parse_smtp_url(sink.url)), MAIL_FROM, Outage("database"))
    task = asyncio.create_task(run_together({"notices": mailer.run}))

    async def done() -> bool:
        return sorted(row.state for row in await office.rows(notices)) == until_states

    await until(done)
    task.cancel()
    await asyncio.wait({task})


async def test_the_mails_say_what_it_is_about(office: Office, smtp_sink: SmtpSink) -> None:
    await office.alive("btn-113", "btn-114", "btn-k")
    await office.look_later(31)
    await office.alive("btn-113", "btn-114", "btn-k")
    await office.look_later(31)
    await office.alive("btn-112", "btn-113", battery=0.1)
    await office.look_later(0)
    await send(office, smtp_sink, until_states=["accepted"] * 3)
    mails = about_bernburg(smtp_sink)
    assert [mail.subject for mail in mails] == [
        "WARTUNG Knopf btn-112 Zi. 112 Bernburg · meldet sich nicht",
        "WARTUNG Bernburg · 2 Knöpfe: Batterie schwach",
        "WARTUNG Knopf btn-112 Zi. 112 Bernburg · meldet sich wieder",
    ]
    message, text = mails[0].message, mails[0].text()
    assert message["Importance"] is None
    assert message["X-Rufkette-Incident"] is None
    assert message["X-Rufkette-Maintenance"] == "silent"
    assert message["To"] == '"A. Muster" <leitung@example.org>'
    assert text.startswith("Knopf btn-112, Zimmer 112, Bernburg (Parkstraße)\nHat sich noch nie gemeldet.\n")
    assert "Längste erlaubte Pause: 1 Std." in text
    assert "kein Vorfall" in text
    assert "http" not in text
    assert "Batterie: 10 %." in mails[1].text()


async def test_the_mails_in_english(office: Office, smtp_sink: SmtpSink) -> None:
    office.use(watching("en"))
    await office.look_later(61)
    await send(office, smtp_sink, until_states=["accepted"] * 2)
    (mail,) = about_bernburg(smtp_sink)
    assert mail.subject == "MAINTENANCE Bernburg · 3 buttons do not report"


async def test_a_mail_about_devices_is_tried_again_as_the_same_mail(office: Office, smtp_sink: SmtpSink) -> None:
    await office.look_later(61)
    smtp_sink.answer_data("451 4.3.0 later")
    await send(office, smtp_sink, until_states=["accepted"] * 2)
    assert len(smtp_sink.received) == 3
    assert len({mail.message["Message-ID"] for mail in smtp_sink.received}) == 2


async def test_a_recipient_that_is_refused_is_recorded(office: Office, smtp_sink: SmtpSink) -> None:
    smtp_sink.refuse_recipient("leitung@example.org")
    await office.look_later(61)
    await send(office, smtp_sink, until_states=["accepted", "refused"])


async def test_alarms_go_first(office: Office, smtp_sink: SmtpSink) -> None:
    await office.look_later(61)
    await office.apply(*(report(office.now, location=f"room {n}") for n in range(20)))
    route = MailRoute(parse_smtp_url(smtp_sink.url))
    letters = Letters(office.engine, MAIL_FROM, "https://d.example.org", Tokens(["k" * 16]))
    alarms = Mailer(office.engine, route, letters, Outage("database"))
    about_devices = NoticeMailer(office.engine, route, MAIL_FROM, Outage("database"))
    task = asyncio.create_task(run_together({"alarms": alarms.run, "notices": about_devices.run}))
    waiting = len(await office.rows(outbox))
    mails = await smtp_sink.wait_for(waiting + 2)
    task.cancel()
    await asyncio.wait({task})
    assert all(mail.subject.startswith("WARTUNG") for mail in mails[-2:])
    assert not any(mail.subject.startswith("WARTUNG") for mail in mails[:-2])


async def test_a_mail_that_cannot_be_written_holds_back_no_other(office: Office, smtp_sink: SmtpSink) -> None:
    await office.look_later(61)
    async with office.database.begin() as tx:
        broken = sa.update(notices).where(notices.c.site == "bernburg").values(devices='[{"id": 1}]')
        await tx.execute(broken)
    await send(office, smtp_sink, until_states=["accepted", "set_aside"])


async def test_a_bug_about_devices_does_not_end_the_loop() -> None:
    turns = 0
    done = asyncio.Event()

    async def fails() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise ZeroDivisionError
        done.set()

    task = asyncio.create_task(upkeep.repeat("devices", fails, 0.01, after_a_bug=0.01))
    async with asyncio.timeout(20):
        await done.wait()
    task.cancel()
    await asyncio.wait({task})
