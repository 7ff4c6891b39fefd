"""`rufkette run`: everything on one machine, started in order, watched, and ended together."""

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

from schemas.configuration import Configuration
from services.common.configuration.file import ConfigurationError, load
from services.common.settings import SettingsError
from services.embedded.aot_cache import prepared_jars
from services.embedded.banner import banner
from services.embedded.data import DataDirectory, InUse
from services.embedded.jobs import Job, in_sequence
from services.embedded.kafka import Kafka
from services.embedded.output import Output
from services.embedded.plan import Plan, decide, misspelt
from services.embedded.postgres import Postgres
from services.embedded.process import EmbeddedError, Part
from services.embedded.restarts import AT_MOST, Restarts
from services.embedded.topics import set_up_topics, topic_settings

_POLL = 0.05  # seconds between two looks at the parts
_STOP = 10.0  # seconds that each part gets to end by itself
_READY = 60.0  # seconds until a part must answer
_RECOVERED = 600.0  # the same for a PostgreSQL that was killed
_SERVICES = ("ingest", "alerting")
_WHAT_NOW = (
    "So everything was stopped: nothing takes alarms now. All data is kept; start it again the same way.\n"
    "To try an outage while it runs, stop a process for a while with kill -STOP (docs/runbook.md, “Try an outage”)."
)


class _Stopped(Exception):
    """SIGINT or SIGTERM arrived, or the terminal is gone."""


class Stack:
    """One run. All processes are started from the main thread: the kernel ties them to it.

    The services are started again when they end: only so can they end themselves when nothing else helps.
    """

    def __init__(self, plan: Plan, configuration: Configuration) -> None:
        self._plan = plan
        self._configuration = configuration
        self._parts: list[Part] = []
        self._jobs: list[Job] = []
        self._output = Output(json_only=plan.log_format == "json")
        self._signals = 0
        self._up = False
        self._restarts = Restarts()
        self._reload = False
        self._terminals = _terminals()

    def run(self) -> None:
        """Start everything and stay until a signal or the end of a server; in any case nothing is left running.

        Raises:
            EmbeddedError: a part cannot be started or has ended.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_hangup)
        try:
            self._start_servers()
            self._start_services()
            self._plan.data.write_addresses(self._plan.addresses())
            print(banner(self._plan, self._configuration, self._show_processes()), flush=True)
            self._output.release()
            self._up = True
            self._wait(lambda: False, timeout=None)
        except _Stopped:
            self._output.say("stopping …")
        finally:
            self._stop()

    @property
    def preparing(self) -> bool:
        """Whether a preparing thread still works."""
        return any(job.running for job in self._jobs)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:  # impatience: no more waiting
            for part in self._parts:
                if part.running:
                    os.killpg(part.process.pid, signal.SIGKILL)

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        """A SIGHUP of somebody: read the configuration anew. The kernel's, when the terminal is gone: stop."""
        if self._terminals and not _terminals():
            self._on_signal(number, frame)
        else:
            self._reload = True

    def _pass_on_reload(self) -> None:
        self._reload = False
        for part in self._parts:
            if part.name in _SERVICES and part.running:
                part.process.send_signal(signal.SIGHUP)

    def _wait(self, condition: Callable[[], bool], *, timeout: float | None, what: str = "") -> None:
        """Wait for the condition while all parts live; the timeout does not run during preparations (downloads)."""
        deadline = time.monotonic() + timeout if timeout is not None else None
        while not condition():
            if self._signals:
                raise _Stopped
            if self._reload and self._up:
                self._pass_on_reload()
            self._look_at_parts()
            self._output.flush()
            if timeout is not None and deadline is not None:
                if self.preparing:
                    deadline = time.monotonic() + timeout
                elif time.monotonic() > deadline:
                    raise EmbeddedError(f"{what} not ready in {timeout:.0f} s; see the logs in {self._plan.data.root}")
            time.sleep(_POLL)

    def _look_at_parts(self) -> None:
        """Start a service again that ended; when anything else ended, so do we.

        Raises:
            EmbeddedError: a server ended, or a service that cannot be helped by starting it again.
        """
        for index, part in enumerate(self._parts):
            if part.running:
                continue
            if not self._up or part.name not in _SERVICES:
                raise self._crashed(part)
            now = time.monotonic()
            if part not in self._restarts:
                part.process.wait()
                if not self._restarts.plan(part, now):
                    raise self._crashed(part, f", and was started again {AT_MOST} times within a minute")
                self._output.say(f"rufkette: {part.ended()}; starting it again")
            if self._restarts.due(part, now):
                self._parts[index] = self._start_service(part.name)
                self._show_processes()

    def _show_processes(self) -> dict[str, int]:
        processes = {part.name: part.process.pid for part in self._parts}
        self._plan.data.write_processes(processes)
        return processes

    def _crashed(self, part: Part, more: str = "") -> EmbeddedError:
        self._output.release()
        part.process.wait()
        why = f"{part.ended()}{more}"
        if part.log is None and (tail := self._output.tail(part.name)):
            why += f"; its last lines:\n{tail}"
        return EmbeddedError(f"{why}\n{_WHAT_NOW if self._up else ''}".rstrip())

    def _job(self, work: Callable[[], None]) -> Job:
        job = Job(work)
        self._jobs.append(job)
        return job

    def _start_servers(self) -> None:
        """Kafka, PostgreSQL and the mail catcher side by side, each as soon as it is prepared."""
        plan, root, within = self._plan, self._plan.data.root, _READY
        waiting = [self._kafka()]
        if plan.mail_port is not None:
            self._parts.append(_start_mail(plan))
            waiting.append(lambda: _answers(f"{plan.mail_url}/healthz"))
        if plan.postgres_port is not None:
            postgres = Postgres(root / "postgres", plan.postgres_port)
            if postgres.was_killed:
                _say(["PostgreSQL did not end properly last time; it recovers from its log, which can take a minute …"])
                within = _RECOVERED
            waiting.append(self._postgres(postgres))
        self._wait(lambda: all([ready() for ready in waiting]), timeout=within, what="Kafka or PostgreSQL")  # noqa: C419 – each is to be asked, so that each goes on

    def _postgres(self, postgres: Postgres) -> Callable[[], bool]:
        def set_up() -> None:
            postgres.ensure_database("rufkette")

        return in_sequence(
            lambda: self._job(postgres.prepare).done,
            lambda: self._started(postgres.start(), postgres.ready),
            lambda: self._job(set_up).done,
        )

    def _kafka(self) -> Callable[[], bool]:
        port, settings = self._plan.kafka_port, topic_settings(self._plan.kafka_port)

        def topics() -> None:
            set_up_topics(settings, embedded=port is not None)

        if port is None:
            return in_sequence(lambda: self._job(topics).done)
        made: list[Kafka] = []

        def prepare() -> None:
            made.append(Kafka(self._plan.data.root / "kafka", prepared_jars(), port))
            made[0].prepare()

        return in_sequence(
            lambda: self._job(prepare).done,
            lambda: self._started(made[0].start(), made[0].ready),
            lambda: self._job(topics).done,
        )

    def _started(self, part: Part, ready: Callable[[], bool]) -> Callable[[], bool]:
        self._parts.append(part)
        return ready

    def _start_services(self) -> None:
        for name in _SERVICES:
            self._parts.append(self._start_service(name))
        for name, url in (("ingest", self._plan.ingest_url), ("alerting", self._plan.alerting_url)):
            self._wait(lambda url=url: _answers(f"{url}/readyz"), timeout=_READY, what=name)  # type: ignore[misc]

    def _start_service(self, name: str) -> Part:
        command = [sys.executable, "-m", "services.cli", name]
        part = Part.start(name, command, env=self._plan.environment(os.environ, name), piped=True)
        self._output.follow(part)
        return part

    def _stop(self) -> None:
        self._output.release()
        self._plan.data.addresses.unlink(missing_ok=True)
        self._plan.data.processes.unlink(missing_ok=True)
        for part in reversed(self._parts):
            part.stop(_STOP)
        self._output.finish()


def _start_mail(plan: Plan) -> Part:
    ports = ["--smtp-port", str(plan.smtp_port), "--http-port", str(plan.mail_port)]
    command = [sys.executable, "-m", "services.embedded.mail", "--directory", str(plan.data.root / "mails"), *ports]
    return Part.start("mail catcher", command, log=plan.data.root / "mail.log")


def _terminals() -> int:
    """How many of our standard streams are terminals; one that was hung up is none any more."""
    return sum(os.isatty(number) for number in range(3))


def _answers(url: str) -> bool:
    """Whether it answers 200. Loopback addresses are asked directly, whatever proxy is set."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _say(lines: Iterable[object]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def run(data_dir: Path, config: Path | None) -> int:
    """Run the stack; returns the exit code: 0 after a signal, 2 for what the user has to change, else 1."""
    stack: Stack | None = None
    code = 0
    try:
        data = DataDirectory(data_dir.resolve())
        with data.locked():
            path = config.resolve() if config is not None else data.ensure_configuration()
            _say(misspelt(os.environ))
            plan = decide(data, path, terminal=sys.stdout.isatty())
            stack = Stack(plan, load(path))
            stack.run()
    except ConfigurationError as error:
        _say(error.mistakes)
        code = 2
    except (InUse, SettingsError) as error:
        _say([error])
        code = 2
    except EmbeddedError as error:
        _say([f"rufkette: {error}"])
        code = 1
    if stack is not None and stack.preparing:
        sys.stdout.flush()
        os._exit(code)  # a download in a thread would go on for as long as it takes
    return code
