"""Processes that end, without any goodbye, right after any one of their effects on the world.

`python -m tests.support.crashing MODULE` imports the module once, and then forks for each job that it reads (a line of
JSON): the child does `MODULE.main(fuse, job)`, and the answer is a line of JSON that says how it ended. So dozens of
processes cost no more than one start.
"""

import asyncio
import gc
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiosmtplib

from services.common.mail.conversation import Conversation

World = TypeVar("World")
CRASHED = 9
Moment = tuple[str, int]
"""An effect, and for the how manieth time it happens, from 1."""
_AT_MOST = 40
"""Seconds for one process."""
_TRIES = 20
"""How often a run is begun that is to die of an effect which not every run has."""


class Fuse:
    """Ends the process when this effect happened so many times. What it tells is heard even if that is its last act."""

    def __init__(self, effect: str | None, times: int, report: int) -> None:
        self._effect, self._left = effect, times
        self._report = report
        self._writing = 0

    def burn(self, effect: str) -> None:
        """An effect has happened."""
        self.tell("effect", effect)
        if effect == self._effect:
            self._left -= 1
            if self._left == 0:
                os._exit(CRASHED)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around a write and the telling of it: others see what it wrote before its answer is here."""
        self._writing += 1
        try:
            yield
        finally:
            self._writing -= 1

    async def written(self) -> None:
        """Wait until each write that others may have seen has been told."""
        while self._writing:
            await asyncio.sleep(0.001)

    def tell(self, what: str, value: str) -> None:
        """Something that the test wants to know."""
        os.write(self._report, f"{json.dumps([what, value])}\n".encode())


def burning(fuse: Fuse, effect: str, command: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The command, after whose answer the fuse burns."""

    async def then_burn(*arguments: Any, **options: Any) -> Any:
        answer = await command(*arguments, **options)
        fuse.burn(effect)
        return answer

    return then_burn


def watch_smtp(fuse: Fuse) -> None:
    """Every command that a mail server has answered is an effect."""
    for owner, name in ((aiosmtplib.SMTP, "connect"), (Conversation, "reply")):
        setattr(owner, name, burning(fuse, f"smtp {name}", getattr(owner, name)))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended; the last of its effects is the one it died of."""

    code: int
    told: list[tuple[str, str]]
    log: Path

    @property
    def crashed(self) -> bool:
        """Else it came to its end; anything but these two fails the test."""
        assert self.code in (0, CRASHED), f"exit code {self.code}:\n{self.log.read_text()}"
        return self.code == CRASHED

    @property
    def effects(self) -> list[str]:
        return self.heard("effect")

    @property
    def moments(self) -> list[Moment]:
        """Of its effects, in their order."""
        return [(effect, self.effects[: number + 1].count(effect)) for number, effect in enumerate(self.effects)]

    def heard(self, what: str) -> list[str]:
        """What it told under this name, in its order."""
        return [value for name, value in self.told if name == what]


@dataclass(slots=True)
class Nursery:
    """One process that forks others, one after the other."""

    _process: asyncio.subprocess.Process
    _directory: Path
    _count: int = field(default=0)

    async def run(self, moment: Moment | None = None, **job: Any) -> Ended:
        """One process to its end, or until this moment."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._count += 1
        log = self._directory / f"{self._process.pid}-{self._count}.log"
        job |= {"moment": moment or (None, 0), "log": str(log)}
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        line = await self._process.stdout.readline()
        assert line, "the process that forks is gone"
        answer = json.loads(line)
        return Ended(answer["code"], [tuple(told) for told in answer["told"]], log)


@asynccontextmanager
async def nursery(module: str, directory: Path) -> AsyncIterator[Nursery]:
    """For processes of this module."""
    command = (sys.executable, "-m", "tests.support.crashing", module)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20
    )
    try:
        yield Nursery(process, directory)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def crash_after_each_effect(
    worlds: Sequence[World],
    undisturbed: Ended,
    attempt: Callable[[World, Moment], Awaitable[Ended]],
    *,
    always: Collection[str],
    by_the_clock: Collection[str] = (),
) -> int:
    """Try a run that crashes at each moment of one that came to its end by itself; returns how many did.

    `always` are the effects that some run has to die of, each; `by_the_clock` are those that a run can have less often
    than another one, or not at all where they are not in `always`.
    """
    assert not undisturbed.crashed
    assert set(undisturbed.effects) >= set(always), set(always) - set(undisturbed.effects)
    left = list(reversed(undisturbed.moments))
    crashed: set[Moment] = set()

    async def work(world: World) -> None:
        while left:
            await at(world, left.pop())

    async def at(world: World, moment: Moment) -> None:
        try:
            if (await attempt(world, moment)).crashed:
                crashed.add(moment)
        except AssertionError as error:
            raise AssertionError(f"after {moment}") from error

    def unseen() -> set[str]:
        wanted = set(undisturbed.effects) - (set(by_the_clock) - set(always))
        return wanted - {effect for effect, _ in crashed}

    async with asyncio.TaskGroup() as group:
        for world in worlds:
            group.create_task(work(world))
    for _ in range(_TRIES):
        for effect in sorted(unseen() & set(by_the_clock)):
            await at(worlds[0], (effect, 1))
    assert not unseen(), f"no run died of {unseen()}"
    missed = [one for one in undisturbed.moments if one not in crashed and one[0] not in by_the_clock]
    # A fetch that comes in two parts makes two commits of one.
    assert len(missed) <= len(undisturbed.moments) / 10, missed
    return len(crashed)


def _bear(main: Callable[[Fuse, dict[str, Any]], None], job: dict[str, Any]) -> dict[str, Any]:
    hear, report = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hear)
        _live(main, job, report)
    os.close(report)
    with os.fdopen(hear) as heard:
        told = [json.loads(line) for line in heard]
    return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "told": told}


def _live(main: Callable[[Fuse, dict[str, Any]], None], job: dict[str, Any], report: int) -> None:
    code = 1
    try:
        output = os.open(job["log"], os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.alarm(_AT_MOST)
        effect, times = job["moment"]
        main(Fuse(effect, times, report), job)
        code = 0
    except BaseException:  # noqa: BLE001 – nothing may return into the loop of the process that forked this one
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    module = importlib.import_module(sys.argv[1])
    gc.freeze()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_bear(module.main, json.loads(line))) + "\n")
        sys.stdout.flush()
