"""The real service processes, started with settings in their environment, killed and started again by tests."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from services.embedded.process import Part
from tests.support import warm

_POLL = 0.02  # seconds between two looks at a condition
Record = dict[str, Any]


@dataclass(slots=True)
class Service:
    """One service process. Its log stays in one file over restarts, so tests see what was said before a crash."""

    name: str
    port: int
    environment: Mapping[str, str]
    directory: Path
    _part: Part | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        return self.directory / f"{self.name}-{self.port}.log"

    @property
    def running(self) -> bool:
        return self._part is not None and self._part.running

    @property
    def pid(self) -> int:
        assert self._part is not None
        return self._part.process.pid

    @property
    def exit_code(self) -> int | None:
        assert self._part is not None
        return self._part.process.poll()

    @property
    def output(self) -> str:
        """Everything that it wrote to stdout and stderr."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    @property
    def logs(self) -> list[Record]:
        """Its JSON log records so far, oldest first."""
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{") and line.endswith("}")]

    @property
    def stray_lines(self) -> list[str]:
        """What it wrote that is no JSON: a test that ends with any has found a mistake."""
        return [line for line in self.output.splitlines() if not line.startswith("{")]

    def events(self, name: str, **bound: object) -> list[Record]:
        """Log records of this event name with these values."""
        return [r for r in self.logs if r.get("event") == name and all(r.get(k) == v for k, v in bound.items())]

    def spawn(self) -> None:
        """Start the process without waiting for anything."""
        assert not self.running, f"{self.name} already runs"
        # A name of the environment that a developer has set must not change what a test tests.
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
        self._part = warm.start(self.name, log=self.log_file, env=clean | dict(self.environment))

    async def start(self, *, ready: bool = True) -> None:
        """Start the process and, unless told otherwise, wait until it is ready."""
        self.spawn()
        if ready:
            await self.wait_ready()

    async def wait_ready(self, timeout: float = 30.0) -> None:  # noqa: ASYNC109 – reads best so
        """Wait until nothing is away; fails when the process ends before."""
        await self.wait_for_readiness("ok", timeout)

    async def wait_for_readiness(self, status: str, timeout: float = 30.0) -> dict[str, str]:  # noqa: ASYNC109
        """Wait until `/readyz` says `ok`, `degraded` or `unavailable`; returns what is away."""
        code = 503 if status == "unavailable" else 200
        answer = await self._wait_for_answer("/readyz", timeout, code, lambda body: body["status"] == status)
        return dict(answer.json().get("problems", {}))

    async def wait_for_status(self, path: str, status: int, timeout: float = 30.0) -> httpx.Response:  # noqa: ASYNC109
        """Poll a path until it answers with this status, and return the answer."""
        return await self._wait_for_answer(path, timeout, status, lambda _: True)

    async def _wait_for_answer(
        self,
        path: str,
        timeout: float,  # noqa: ASYNC109
        status: int,
        suits: Callable[[Any], bool],
    ) -> httpx.Response:
        deadline = time.monotonic() + timeout
        async with httpx.AsyncClient(base_url=self.url, timeout=5) as client:
            while time.monotonic() < deadline:
                assert self.running, f"{self.name} ended with {self.exit_code}:\n{self.output[-4000:]}"
                try:
                    answer = await client.get(path)
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code == status and suits(answer.json()):
                    return answer
                await asyncio.sleep(_POLL)
        last = f"{answer.status_code} {answer.text}" if answer is not None else "no answer"
        raise AssertionError(f"{self.name}{path} was not {status} in {timeout} s ({last}):\n{self.output[-4000:]}")

    async def wait_for_event(self, name: str, timeout: float = 30.0, **bound: object) -> Record:  # noqa: ASYNC109
        """Wait until the log has such a record (also of the past), and return the newest."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if found := self.events(name, **bound):
                return found[-1]
            await asyncio.sleep(_POLL)
        raise AssertionError(f"{self.name} did not log {name} {bound} in {timeout} s:\n{self.output[-4000:]}")

    async def wait_for_exit(self, timeout: float = 30.0) -> int:  # noqa: ASYNC109
        """Wait until the process has ended by itself; returns its exit code."""
        deadline = time.monotonic() + timeout
        while self.running:
            assert time.monotonic() < deadline, f"{self.name} still runs after {timeout} s:\n{self.output[-4000:]}"
            await asyncio.sleep(_POLL)
        code = self.exit_code
        assert code is not None
        return code

    def kill(self) -> None:
        """SIGKILL: no goodbye, no clean-up."""
        if self._part is not None:
            self._part.kill()

    def pause(self) -> None:
        """SIGSTOP: it hangs without closing any connection."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self, timeout: float = 10.0) -> None:
        """SIGTERM and wait; SIGKILL after `timeout` seconds. Does nothing when it has ended."""
        if self._part is not None:
            self._part.stop(timeout)

    async def restart(self) -> None:
        """Start again after a kill or stop, and wait until it is ready."""
        self.kill()
        await self.start()


@contextmanager
def stopped_at_the_end() -> Iterator[list[Service]]:
    """Services that are put into this list are asked to end all at once, and waited for."""
    started: list[Service] = []
    try:
        yield started
    finally:
        for service in started:
            if service.running:
                os.kill(service.pid, signal.SIGTERM)
        for service in started:
            service.stop()
