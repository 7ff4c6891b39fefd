"""Answers to buttons: what is told, in which words, and what happens to it when file or receiver fail."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook
from structlog.testing import capture_logs

from schemas.configuration import Configuration
from schemas.configuration_callbacks import Callback
from schemas.events import Event, Kind, Mode, Reported
from schemas.lifecycle import Change
from services.common.configuration.file import ConfigurationError
from services.ingest.callbacks.answering import Callbacks
from services.ingest.callbacks.breaker import Breaker
from services.ingest.callbacks.press import KEPT_FOR, STALE_AFTER, Answer, Press, Verdict, judge, replaces
from services.ingest.callbacks.request import Called, call, called
from services.ingest.callbacks.store import Store
from services.ingest.journal.ledger import Ledger
from services.ingest.status import Known, Status, Statuses
from tests.ingest.answers import SECRET, Office
from tests.support.organisation import WS101, organisation
from tests.support.receiver import Receiver, Request
from tests.support.waiting import eventually

NOW = datetime.now(UTC).timestamp()
HTTP = {"on": ["alerted", "acknowledged", "closed"], "devices": ["btn-112"]}
TTN = {
    "url": "http://127.0.0.1:9", "application": "jobcenter", "webhook": "rufkette", "key_file": "secret", "f_port": 85,
    "payloads": {"acknowledged": "FF 01"},
}  # fmt: skip


def callback(**changes: Any) -> Callback:
    return Callback.model_validate(HTTP | {"http": {"url": "https://example.org/", "secret_file": "secret"}} | changes)


def downlink(**changes: Any) -> Callback:
    return Callback.model_validate({"on": ["acknowledged"], "models": ["milesight-ws101"], "ttn": TTN | changes})


def press(event_id: str = "a", **changes: Any) -> Press:
    given: dict[str, Any] = {"source": "buttons", "device_id": "btn-112", "exercise": False, "accepted_at": NOW}
    return Press(**({"event_id": event_id} | given | changes))


@pytest.mark.parametrize(
    ("told", "known", "on", "verdict"),
    [
        (None, None, ["alerted"], Verdict.NOTHING_NEW),
        (None, Known(Status.ACCEPTED, "a", NOW), ["alerted"], Verdict.NOTHING_NEW),
        (None, Known(Status.EMERGENCY, None), ["alerted"], Verdict.NOTHING_NEW),
        (None, Known(Status.ALERTED, "a", NOW), ["alerted"], Verdict.TELL),
        (None, Known(Status.ALERTED, "a", NOW), ["closed"], Verdict.NOT_WANTED),
        ("alerted", Known(Status.ALERTED, "a", NOW), ["alerted"], Verdict.NOTHING_NEW),
        ("alerted", Known(Status.ACKNOWLEDGED, "a", NOW), ["acknowledged"], Verdict.TELL),
        ("acknowledged", Known(Status.ALERTED, "a", NOW), ["alerted", "acknowledged"], Verdict.TELL),
        (None, Known(Status.ALERTED, "a", NOW - STALE_AFTER - 1), ["alerted"], Verdict.TELL),
    ],
)
def test_what_is_told(told: str | None, known: Known | None, on: list[str], verdict: Verdict) -> None:
    assert judge(press(told=told), known, callback(on=on), NOW)[0] is verdict


def test_what_is_an_hour_old_is_not_told() -> None:
    old = press(accepted_at=NOW - 2 * STALE_AFTER)
    fresh, stale = (Known(Status.CLOSED, "a", NOW - age) for age in (STALE_AFTER - 1, STALE_AFTER + 1))
    assert judge(old, fresh, callback(), NOW)[0] is Verdict.TELL
    assert judge(old, stale, callback(), NOW)[0] is Verdict.STALE


@pytest.mark.parametrize(
    ("newer", "how", "expected"),
    [
        ({"accepted_at": NOW + 1}, downlink(), True),
        ({"accepted_at": NOW + 1}, callback(), False),
        ({"accepted_at": NOW - 1}, downlink(), False),
        ({"accepted_at": NOW + 1, "device_id": "btn-113"}, downlink(), False),
        ({"accepted_at": NOW + 1, "source": "other"}, downlink(), False),
        ({"accepted_at": NOW + 1, "exercise": True}, downlink(), False),
    ],
)
def test_a_light_shows_what_became_of_the_newest_press(newer: Any, how: Callback, expected: bool) -> None:
    assert replaces(press("b", **newer), press("a"), how) is expected


def test_an_exercise_gives_way_and_two_at_once_do_not_end_each_other() -> None:
    assert replaces(press("b", accepted_at=NOW + 1), press("a", exercise=True), downlink())
    assert [replaces(press(x), press(y), downlink()) for x, y in (("a", "b"), ("b", "a"), ("a", "a"))].count(True) == 1


ANSWER = Answer("event", WS101, "acknowledged", "incident", exercise=False, at=datetime(2026, 1, 5, 8, tzinfo=UTC))


def test_the_official_library_verifies_what_we_sign() -> None:
    made = call(Called(callback(), SECRET.encode(), {}), ANSWER, datetime.now(UTC))
    assert made.url == "https://example.org/"
    Webhook(SECRET).verify(made.body.decode(), dict(made.headers))
    assert json.loads(made.body) == {
        "event_id": "event", "device_id": WS101, "status": "acknowledged", "incident_id": "incident",
        "mode": "actual", "at": "2026-01-05T08:00:00.000+00:00",
    }  # fmt: skip
    again = call(Called(callback(), SECRET.encode(), {}), ANSWER, datetime.now(UTC))
    assert again.headers["webhook-id"] == made.headers["webhook-id"]


@pytest.mark.parametrize(
    ("ids", "device_id", "name"),
    [
        ({}, WS101, f"eui-{WS101.lower()}"),
        ({WS101.lower(): "knopf-112"}, "00-04-A3-0B-00-1C-05-30", "knopf-112"),
        ({}, "Knopf-7", "knopf-7"),
        ({}, "../../../users", "..%2F..%2F..%2Fusers"),
    ],
)
def test_a_downlink_through_the_things_stack(ids: dict[str, str], device_id: str, name: str) -> None:
    answer = Answer("event", device_id, "acknowledged", "incident", exercise=False, at=ANSWER.at)
    made = call(Called(downlink(ids=ids), b"NNSXS.key", {}), answer, datetime.now(UTC))
    path = f"/api/v3/as/applications/jobcenter/webhooks/rufkette/devices/{name}/down/push"
    assert made.url == TTN["url"] + path  # type: ignore[operator]
    assert made.headers["Authorization"] == "Bearer NNSXS.key"
    assert json.loads(made.body) == {"downlinks": [{"f_port": 85, "frm_payload": "/wE=", "priority": "NORMAL"}]}


def test_a_downlink_through_chirpstack() -> None:
    way = {"url": "http://127.0.0.1:8090/", "token_file": "token", "f_port": 85, "payloads": {"acknowledged": "ff01"}}
    how = Callback.model_validate({"on": ["acknowledged"], "models": ["milesight-ws101"], "chirpstack": way})
    made = call(Called(how, b"token", {}), ANSWER, datetime.now(UTC))
    assert made.url == f"http://127.0.0.1:8090/api/devices/{WS101.lower()}/queue"
    assert made.headers["Grpc-Metadata-Authorization"] == "Bearer token"
    assert json.loads(made.body) == {"queueItem": {"confirmed": False, "f_port": 85, "data": "/wE="}}


def test_the_breaker_opens_waits_and_asks_once() -> None:
    breaker = Breaker()
    assert [breaker.fail(now) for now in range(5)] == [0, 0, 0, 0, 30]
    assert (breaker.wait(5), breaker.wait(33.5), breaker.wait(34)) == (29, 0.5, 0)
    assert [breaker.fail(34), breaker.fail(100), breaker.fail(300), breaker.fail(700)] == [60, 120, 240, 300]
    assert breaker.wait(800) == 200
    breaker.succeed()
    assert breaker.wait(800) == 0
    assert not breaker.is_open
    assert breaker.fail(800) == 0


def test_a_press_outlives_the_process_and_a_broken_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "new" / "callbacks"
    store = Store(path)
    store.write({"a": press("a", told="alerted"), "b": press("b", exercise=True), "c": press("c")})
    store.write({"c": None})
    store.close()
    assert store.load() == [press("a", told="alerted"), press("b", exercise=True)]
    store.close()
    path.write_bytes(b"no database at all" * 100)
    assert store.load() == []
    store.close()
    (aside,) = path.parent.glob("callbacks.corrupt-*")
    assert aside.read_bytes().startswith(b"no database")


def by_http(directory: Path, receiver: Receiver, **changes: Any) -> Office:
    way = {"http": {"url": f"{receiver.url}/answer", "secret_file": "secret"}}
    return Office(directory, HTTP | way | changes)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.stop()


def statuses(requests: list[Request]) -> list[str]:
    return [request.json["status"] for request in requests]


async def test_in_order_and_only_to_devices_of_the_register(tmp_path: Path, receiver: Receiver) -> None:
    office = by_http(tmp_path, receiver)
    office.start()
    office.press("stranger", device_id=receiver.url)
    office.press("nobody", device_id=None)
    office.press("other", device_id="btn-113")
    office.press("drill", mode=Mode.EXERCISE)
    office.press("a", device_id="BTN_112")
    for event_id in ("stranger", "nobody", "other", "drill"):
        await office.say(event_id, 1, Change.NOTIFIED)
    for revision, change in enumerate((Change.OPENED, Change.NOTIFIED, Change.ACKNOWLEDGED, Change.CLOSED), 1):
        await office.say("a", revision, change)
        await receiver.wait_for(max(1, revision))
    await office.callbacks.stop()
    assert statuses([r for r in receiver.requests if r.json["event_id"] == "a"]) == [
        "alerted", "acknowledged", "closed",
    ]  # fmt: skip
    (drill,) = [r.json for r in receiver.requests if r.json["event_id"] != "a"]
    assert (drill["event_id"], drill["mode"], drill["device_id"]) == ("drill", "exercise", "btn-112")


async def test_what_was_replaced_meanwhile_is_not_told(tmp_path: Path, receiver: Receiver) -> None:
    office = by_http(tmp_path, receiver)
    office.start()
    receiver.respond = lambda _: 404
    office.press("a")
    await office.say("a", 1, Change.NOTIFIED)
    await receiver.wait_for(1)
    receiver.respond = lambda _: 204
    await office.say("a", 2, Change.ACKNOWLEDGED)
    await office.say("a", 3, Change.CLOSED)
    *refused, last = await receiver.wait_for(2)
    await office.callbacks.stop()
    assert set(statuses(refused)) == {"alerted"}
    assert last.json["status"] == "closed"


async def test_retried_until_it_is_taken_and_told_once(tmp_path: Path, receiver: Receiver) -> None:
    office = by_http(tmp_path, receiver, on=["alerted"])
    answers = iter([500, 404, 204])
    receiver.respond = lambda _: next(answers)
    office.start()
    office.press("a")
    await office.say("a", 1, Change.NOTIFIED)
    requests = await receiver.wait_for(3)
    await office.say("a", 2, Change.ACKNOWLEDGED)
    await office.callbacks.stop()
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    # Another process reads the lifecycle again, and knows what was told.
    office.anew()
    office.start()
    office.press("b")
    await office.say("b", 1, Change.NOTIFIED)
    receiver.respond = lambda _: 204
    assert [r.json["event_id"] for r in await receiver.wait_for(4)] == ["a", "a", "a", "b"]
    await office.callbacks.stop()


async def test_a_redirect_is_not_followed(tmp_path: Path, receiver: Receiver) -> None:
    elsewhere = Receiver()
    receiver.location, receiver.respond = f"{elsewhere.url}/", lambda _: 307
    office = by_http(tmp_path, receiver)
    office.start()
    office.press("a")
    await office.say("a", 1, Change.NOTIFIED)
    await receiver.wait_for(2)
    await office.callbacks.stop()
    elsewhere.stop()
    assert elsewhere.requests == []


async def test_a_receiver_that_fails_is_left_alone(tmp_path: Path, receiver: Receiver) -> None:
    receiver.respond = lambda _: 503
    office = by_http(tmp_path, receiver)
    office.start()
    for number in range(8):
        office.press(f"press-{number}")
        await office.say(f"press-{number}", 1, Change.NOTIFIED)
    lane = office.callbacks._lanes["buttons"]

    async def is_open() -> bool:
        return lane._breaker.is_open

    await eventually(is_open, bool)
    await office.callbacks.stop()
    assert len(receiver.requests) == 5


def two_of_earlier(path: Path) -> None:
    store = Store(path)
    old, late = press("old", accepted_at=NOW - KEPT_FOR - 60), press("late", accepted_at=NOW - 2 * STALE_AFTER)
    store.write({"old": old, "late": late})
    store.close()


async def test_what_comes_too_late_is_not_told(tmp_path: Path, receiver: Receiver) -> None:
    office = by_http(tmp_path, receiver)
    two_of_earlier(office.path)
    for event_id in ("old", "late"):
        office.statuses.accept(event_id, "buttons", NOW)
        await office.say(event_id, 1, Change.NOTIFIED, at=NOW - 2 * STALE_AFTER)
    with capture_logs() as logs:
        office.start()
        office.press("now")
        await office.say("now", 1, Change.NOTIFIED)
        assert [r.json["event_id"] for r in await receiver.wait_for(1)] == ["now"]

        async def sent() -> list[str]:
            return [line["event_id"] for line in logs if line["event"] == "callback.sent"]

        await eventually(sent, lambda ids: ids == ["now"])  # written down after the receiver's answer
    await office.callbacks.stop()
    found = sqlite3.connect(office.path).execute("SELECT event_id, told FROM presses ORDER BY event_id").fetchall()
    assert found == [("late", "alerted"), ("now", "alerted")]
    assert len(receiver.requests) == 1


async def test_an_unusable_file_holds_nobody_up(tmp_path: Path, receiver: Receiver) -> None:
    office = by_http(tmp_path, receiver)
    office.path.mkdir()
    office.start()
    office.press("a")
    await office.say("a", 1, Change.NOTIFIED)
    office.path.rmdir()
    assert statuses(await receiver.wait_for(1)) == ["alerted"]
    await office.callbacks.stop()


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_off_by_default(tmp_path: Path) -> None:
    callbacks = Callbacks(tmp_path / "callbacks", Statuses(Ledger()), {})
    callbacks.start(asyncio.Event())
    data = Reported(kind=Kind.PANIC, site="bernburg", device_id="btn-112")
    callbacks.note(Event(id="a", source="buttons", time=datetime.now(UTC), data=data))
    await callbacks.take_word(["a"])
    await callbacks.stop()
    assert files_in(tmp_path) == []


async def test_a_reload_takes_a_callback_away(tmp_path: Path, receiver: Receiver) -> None:
    office = by_http(tmp_path, receiver)
    office.start()
    office.press("a")
    office.callbacks.take({})
    office.press("while it was off")
    for event_id in ("a", "while it was off"):
        await office.say(event_id, 1, Change.NOTIFIED)
    assert receiver.requests == []
    office.callbacks.take(called(office.configuration, office.file))
    office.press("b")
    await office.say("b", 1, Change.NOTIFIED)
    assert {r.json["event_id"] for r in await receiver.wait_for(2)} == {"a", "b"}
    await office.callbacks.stop()


@pytest.mark.parametrize(
    ("content", "wrong"),
    [(None, "cannot read"), ("", "is empty"), ("not base64!", "no secret of Standard Webhooks")],
)
def test_a_secret_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, wrong: str) -> None:
    organised = organisation()
    organised["sources"]["buttons"]["callback"] = HTTP | {"http": {"url": "https://x.org/", "secret_file": "s"}}
    if content is not None:
        (tmp_path / "s").write_text(content)
    with pytest.raises(ConfigurationError) as refused:
        called(Configuration.model_validate(organised), tmp_path / "config.yaml")
    (mistake,) = refused.value.mistakes
    assert mistake.path == "sources.buttons.callback.http.secret_file"
    assert wrong in mistake.wrong
