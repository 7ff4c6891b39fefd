"""What a log line looks like, and what it may never hold."""

import asyncio
import gc
import json
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import structlog
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from services.common import telemetry

Lines = Callable[[], list[dict[str, Any]]]


class Written:
    """All that was written to stdout since the test began."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capfd.readouterr().out
        return self._text


@pytest.fixture
def out(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in telemetry._QUIET}
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield Written(capfd)
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


def started(out: Written) -> Lines:
    """Configure, inside the test: pytest exchanges stdout between set-up and call."""
    telemetry.configure(service="ingest", log_format="json", log_level="info", strict=True)
    return lambda: [json.loads(line) for line in out.getvalue().splitlines()]


def test_one_json_object_a_line(out: Written) -> None:
    lines = started(out)
    structlog.get_logger().info("service.started", host="127.0.0.1", port=8080)
    (line,) = lines()
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"], line["service"]) == ("info", "service.started", "ingest")
    assert line["port"] == 8080
    assert line["version"]


def test_a_library_record_is_a_value_under_a_static_name(out: Written) -> None:
    lines = started(out)
    logging.getLogger("sqlalchemy.pool").error("lost %s\nDETAIL: (anna)", "it")
    (line,) = lines()
    assert (line["event"], line["logger"], line["level"]) == ("library.logged", "sqlalchemy.pool", "error")
    assert line["message"] == "lost it"


async def _abandon(work: Coroutine[Any, Any, None]) -> None:
    """As the Kafka client's commit does when nobody waits for it any longer."""
    task = asyncio.create_task(work)
    while not task.done():
        await asyncio.sleep(0)
    del task
    gc.collect()


async def _bug() -> None:
    await asyncio.sleep(0)
    raise KeyError("x")


async def test_a_commit_that_nobody_waits_for_is_no_error_but_another_task_is(out: Written) -> None:
    lines = started(out)
    coordinator = object.__new__(GroupCoordinator)
    coordinator.group_id, coordinator.generation, coordinator.member_id = "rufkette-alerting", 1, "m"
    coordinator.coordinator_id = None  # Kafka is away
    offsets = {TopicPartition("incidents.events", 0): OffsetAndMetadata(1, "")}
    await _abandon(coordinator._do_commit_offsets(None, offsets))
    assert lines() == []
    await _abandon(_bug())
    (line,) = lines()
    assert (line["event"], line["logger"], line["level"]) == ("library.logged", "asyncio", "error")
    assert line["exception"][0]["type"] == "KeyError"


def test_noisy_libraries_are_quiet(out: Written) -> None:
    lines = started(out)
    for name in ("aiokafka.conn", "sqlalchemy.engine", "uvicorn.error", "httpx", "alembic.runtime"):
        logging.getLogger(name).info("chatter")
    logging.getLogger("uvicorn.access").error("GET /a/token")
    assert lines() == []


def test_the_kafka_client_says_a_thing_once_in_a_while(out: Written) -> None:
    lines = started(out)
    for port in range(5):
        logging.getLogger("aiokafka.cluster").error("cannot connect to %s", port)
    logging.getLogger("aiokafka.cluster").error("something else")
    assert [line["message"] for line in lines()] == ["cannot connect to 0", "something else"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("to anna.muster@example.org failed", "to [address] failed"),
        ("<anna@example.org>: 550", "<[address]>: 550"),
        ("('anna@example.org', 'x')", "('[address]', 'x')"),
        ("GET /a/eyJ0.abc-_1 HTTP", "GET /a/[secret] HTTP"),
        ("Authorization: Bearer rk_abc", "Authorization: Bearer [secret]"),
        ("/v1/hooks/shelly/1?secret=abc&x=1", "/v1/hooks/shelly/1?secret=[secret]&x=1"),
        ("smtp://user:pass@mail.example.org:25", "[address]"),
        ("/a/{token}", "/a/{token}"),
        ("nothing = here", "nothing = here"),
    ],
)
def test_the_second_net(text: str, written: str, out: Written) -> None:
    lines = started(out)
    structlog.get_logger().info("library.logged", message=text, logger={"deep": [text]})
    (line,) = lines()
    assert line["message"] == written
    assert line["logger"] == {"deep": [written]}


def test_an_exception_is_type_and_frames_without_locals_or_foreign_messages(out: Written) -> None:
    lines = started(out)

    class SqlError(Exception):
        sqlstate = "23505"

    def fail(name: str) -> None:
        raise SqlError(f"duplicate {name}")

    try:
        try:
            fail("Anna Muster")
        except SqlError as error:
            raise ConnectionRefusedError(111, "refused") from error
    except OSError:
        structlog.get_logger().error("loop.crashed", loop="timers", exc_info=True)
    (line,) = lines()
    outer, inner = line["exception"]
    assert outer["type"] == "ConnectionRefusedError"
    assert outer["message"] == "[Errno 111] refused"
    assert inner["sqlstate"] == "23505"
    assert "message" not in inner
    assert inner["frames"][-1].endswith(" fail")
    assert "Anna" not in json.dumps(line)


def test_every_exception_of_a_group_is_described(out: Written) -> None:
    lines = started(out)
    try:
        raise ExceptionGroup("both", [OSError(2, "a"), ValueError("Anna")])
    except ExceptionGroup:
        structlog.get_logger().error("loop.crashed", loop="x", exc_info=True)
    (group,) = lines()[0]["exception"]
    assert [one["type"] for one in group["exceptions"]] == ["FileNotFoundError", "ValueError"]
    assert "Anna" not in json.dumps(group)


def test_an_exception_as_value_is_only_named(out: Written) -> None:
    lines = started(out)
    structlog.get_logger().error("kafka.unreachable", error=ValueError("Anna"), since=None)
    assert lines()[0]["error"] == "ValueError"


def test_a_traceback_that_comes_as_text_is_shortened(out: Written) -> None:
    lines = started(out)
    text = 'Traceback (most recent call last):\n  File "/x/app.py", line 3, in start\n    go()\nValueError: Anna\n'
    logging.getLogger("uvicorn.error").error(text)
    assert lines()[0]["message"] == "ValueError at /x/app.py:3 start"


def test_the_log_level_is_kept(out: Written) -> None:
    telemetry.configure(service="x", log_format="json", log_level="error", strict=True)
    structlog.get_logger().info("service.stopped")
    logging.getLogger("any").warning("less")
    logging.getLogger("any").error("enough")
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == ["enough"]


@pytest.mark.parametrize(
    ("level", "name", "values"),
    [
        ("info", "nobody.knows", {}),
        ("warning", "service.stopped", {}),
        ("info", "service.stopped", {"description": "text"}),
    ],
)
def test_strict_refuses_what_the_catalogue_does_not_list(
    level: str, name: str, values: dict[str, str], out: Written
) -> None:
    started(out)
    with pytest.raises(telemetry.UnlistedEventError, match=name):
        getattr(structlog.get_logger(), level)(name, **values)


def test_people_get_text(out: Written) -> None:
    telemetry.configure(service="x", log_format="console", log_level="info", strict=True)
    try:
        raise OSError(2, "gone")
    except OSError:
        structlog.get_logger().error("loop.crashed", loop="relay", exc_info=True)
    text = out.getvalue()
    assert "loop.crashed" in text
    assert "FileNotFoundError: [Errno 2] gone" in text
    assert "\x1b[" not in text


def test_without_a_terminal_the_default_is_json(out: Written) -> None:
    telemetry.configure(service="x", log_format=None, log_level="info", strict=True)
    structlog.get_logger().info("service.stopped")
    assert json.loads(out.getvalue())["event"] == "service.stopped"


def test_configuring_again_does_not_double_lines(out: Written) -> None:
    for _ in range(2):
        telemetry.configure(service="x", log_format="json", log_level="info", strict=True)
    logging.getLogger("any").error("once")
    assert len(out.getvalue().splitlines()) == 1
