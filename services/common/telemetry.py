"""Logs: JSON lines on stdout for machines, coloured text for people, libraries' records through the same renderer.

No line may carry personal data. The first net is the catalogue (static names, listed keys); the second is
`redact`, which also goes over libraries' messages. An exception is written as type and frames, without local
variables; its message only where it is ours, the operating system's or Kafka's – a database error quotes rows.
"""

import json
import logging
import os
import re
import sys
import time
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Final, Literal

import structlog
from pydantic_core import to_json
from structlog.typing import EventDict, Processor, WrappedLogger

from services.common.catalogue import CATALOGUE, COMMON, STANDARD
from services.common.library_noise import NoAbandonedCommit, OnceInAWhile
from services.common.lines import Lines

LogFormat = Literal["json", "console"]

_ADDRESS = re.compile(r"[^\s@<>\"'(),;]+@[^\s@<>\"'(),;]+")
_SECRET = re.compile(r"(/a/|[Bb]earer\s+|[?&](?:secret|key|token)=)[^\s\"'&?#{]+")
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_QUIET: Final = {
    "aiokafka": logging.WARNING,
    # The group is for lag tools only, and its coordinator is always late on a fresh broker.
    "aiokafka.consumer.group_coordinator": logging.CRITICAL,
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "uvicorn": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
}
_SPEAKING_MODULES = ("services.", "schemas.", "aiokafka.")
_MESSAGE_LIMIT = 500
_FRAME_LIMIT = 40
_UNSAID: Final = frozenset({"_record", "_from_structlog", "exception"})
"""structlog's own, and what is redacted already."""
_HARMLESS: Final = frozenset({int, float, bool, type(None)})


class UnlistedEventError(AssertionError):
    """A log line that the catalogue does not know (raised in tests only)."""


def redact(text: str) -> str:
    """The text without mail addresses, links to the desk, and keys."""
    if "/a/" in text or "=" in text or "earer" in text:
        text = _SECRET.sub(r"\1[secret]", text)
    return _ADDRESS.sub("[address]", text) if "@" in text else text


def _first_line(text: str) -> str:
    return redact(text.strip().split("\n", 1)[0][:_MESSAGE_LIMIT])


def _describe(error: BaseException) -> dict[str, Any]:
    """Type, frames and – where it cannot quote data – message of one exception, without what caused it."""
    kind = type(error)
    described: dict[str, Any] = {"type": f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")}
    if isinstance(error, OSError) or kind.__module__.startswith(_SPEAKING_MODULES):
        described["message"] = _first_line(str(error))
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        described["sqlstate"] = sqlstate
    frames = traceback.extract_tb(error.__traceback__)[-_FRAME_LIMIT:]
    described["frames"] = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    if isinstance(error, BaseExceptionGroup):
        described["exceptions"] = [_describe(one) for one in error.exceptions]
    return described


def _short(filename: str) -> str:
    return filename.rsplit("site-packages" + os.sep, 1)[-1].removeprefix(str(os.getcwd()) + os.sep)  # noqa: PTH109 – os.getcwd is the cheap one, and this runs in error storms


def describe_exception(error: BaseException) -> list[dict[str, Any]]:
    """The exception and what led to it, the outermost first."""
    chain: list[dict[str, Any]] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        chain.append(_describe(current))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return chain


def _structure_exception(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    if "exc_info" not in event_dict:
        return event_dict
    exc_info = event_dict.pop("exc_info")
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if isinstance(error, BaseException):
        event_dict["exception"] = describe_exception(error)
    return event_dict


def _safe(value: object) -> object:
    """A value as JSON takes it, redacted; an exception given as a value is only named."""
    match value:
        case str():
            return redact(value)
        case None | bool() | int() | float():
            return value
        case BaseException():
            return type(value).__name__
        case dict():
            return {str(key): _safe(one) for key, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_safe(one) for one in value]
        case _:
            return redact(str(value))


def _now() -> str:
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=2)
def _second(since_the_epoch: int) -> str:
    """Its date and time (UTC), which take longer to write than all the rest of a line."""
    return datetime.fromtimestamp(since_the_epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _shorten_traceback(text: str) -> str:
    """A traceback that a library logs as text (uvicorn does, of a failed start): type and places, no message."""
    kinds = [line.split(":", 1)[0] for line in text.splitlines() if line[:1] not in ("", " ", "T", "D")]
    places = [f"{_short(file)}:{line} {name}" for file, line, name in _FRAME.findall(text)]
    return f"{kinds[-1] if kinds else 'error'} at {' < '.join(reversed(places[-8:]))}"


def _foreign(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    """A library's record: its text becomes the value `message`, so that event names stay static."""
    record: logging.LogRecord = event_dict["_record"]
    text = str(event_dict["event"])
    event_dict["message"] = _shorten_traceback(text) if text.startswith("Traceback ") else _first_line(text)
    event_dict["event"] = "library.logged"
    event_dict["logger"] = record.name
    event_dict["level"] = record.levelname.lower()
    repeated = getattr(record, "repeated", 0)
    if repeated:
        event_dict["repeated"] = repeated
    return event_dict


def _listed(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    """Raise for a line that the catalogue does not know.

    Raises:
        UnlistedEventError: with what to enter.
    """
    name = event_dict["event"]
    entry = CATALOGUE.get(name)
    if entry is None:
        raise UnlistedEventError(f"{name!r} is not in services/common/catalogue.py")
    if name != "library.logged" and event_dict["level"] != entry.level:
        raise UnlistedEventError(f"{name} is logged at {event_dict['level']}, the catalogue says {entry.level}")
    unlisted = {key for key in event_dict if not key.startswith("_")} - {*entry.keys, *COMMON, *STANDARD}
    if unlisted:
        raise UnlistedEventError(f"{name} carries {sorted(unlisted)}, which the catalogue does not list")
    return event_dict


def _json(_: WrappedLogger, __: str, event_dict: EventDict) -> str:
    try:
        return to_json(event_dict).decode()  # a fifth of the time that the standard library takes
    except ValueError:
        return json.dumps(event_dict, separators=(",", ":"))  # half a character, which UTF-8 cannot carry


def _readable_exception(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    chain = event_dict.get("exception")
    if isinstance(chain, list):
        event_dict["exception"] = "\n".join(
            "\n".join([f"{one['type']}: {one.get('message', '')}".rstrip(": "), *(f"  {f}" for f in one["frames"])])
            for one in chain
        )
    return event_dict


def installed_version() -> str:
    """The version of Rufkette; `unknown` when it runs from a bare checkout."""
    try:
        return version("rufkette")
    except PackageNotFoundError:
        return "unknown"


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger().critical("process.crashed", exc_info=(kind, error, trace))


def configure(*, service: str, log_format: LogFormat | None, log_level: str, strict: bool = False) -> None:
    """Send all logs of this process to stdout; call once, before the first line is logged.

    Args:
        service: the value of the key `service`.
        log_format: None means console text on a terminal and JSON otherwise.
        log_level: the least level that is written: debug, info, warning or error.
        strict: raise for lines that the catalogue does not list (tests).
    """
    level = logging.getLevelNamesMapping()[log_level.upper()]
    constants = {"service": service, "version": installed_version()}

    def complete(_: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
        line = {"timestamp": _now(), "level": event_dict.pop("level", method), "event": ""}
        for key, value in event_dict.items():
            kind = type(value)
            if kind is str:
                line[key] = redact(value)
            elif kind in _HARMLESS or key in _UNSAID:
                line[key] = value
            else:
                line[key] = _safe(value)
        line.update(constants)
        return line

    console = log_format == "console" or (log_format is None and sys.stdout.isatty())
    common: list[Processor] = [
        _structure_exception,
        complete,
        *([_listed] if strict else []),
    ]
    render: list[Processor] = (
        [_readable_exception, structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())] if console else [_json]
    )
    lines = Lines(sys.stdout, lambda count: structlog.get_logger().error("log.lines_lost", lines=count))
    structlog.configure(
        processors=[*common, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=not strict,
    )
    handler = logging.StreamHandler(lines)
    handler.addFilter(OnceInAWhile())
    handler.addFilter(NoAbandonedCommit())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_foreign, *common],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    _route_libraries(handler, level)
    if not strict:
        sys.excepthook = _log_uncaught


def _route_libraries(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, floor in _QUIET.items():
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(floor, level))
