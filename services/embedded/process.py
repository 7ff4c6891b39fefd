"""Child processes of the embedded stack: started so that they cannot outlive us, stopped within a bound."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LAUNCHER = Path(__file__).with_name("launcher.py")


class EmbeddedError(Exception):
    """A part cannot be started or has ended; the message is what the person at the terminal reads."""


def launched(
    command: Sequence[str], *, user: str | None = None, on_parent_death: signal.Signals = signal.SIGKILL
) -> list[str]:
    """The command line that runs `command` tied to this process.

    The kernel ties a child to the *thread* that started it, so start what is to last from the main thread.
    """
    tie = [str(os.getpid()), str(int(on_parent_death)), user or "-", "--"]
    return [sys.executable, "-I", "-S", str(_LAUNCHER), *tie, *command]


def run_once(
    command: Sequence[str], *, what: str, user: str | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a preparing program to its end and return its output.

    Raises:
        EmbeddedError: it failed; with the end of what it printed.
    """
    done = subprocess.run(
        launched(command, user=user), env=env, capture_output=True, text=True, check=False, cwd="/", errors="replace"
    )
    if done.returncode != 0:
        raise EmbeddedError(f"{what} failed: {' / '.join((done.stdout + done.stderr).strip().splitlines()[-3:])}")
    return done.stdout


@dataclass(slots=True)
class Part:
    """A running child process. `log` is the file that takes its output; None: our own stdout and stderr."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: Path | None = None,
        piped: bool = False,
        stop_signal: signal.Signals = signal.SIGTERM,
        on_parent_death: signal.Signals = signal.SIGKILL,
    ) -> "Part":
        """Start it in a session of its own, so that Ctrl-C at the terminal reaches only us.

        Its output goes to the file `log`, or with `piped` to `process.stdout`, which then must be read.
        """
        output: IO[bytes] | int | None = log.open("ab") if log is not None else subprocess.PIPE if piped else None
        try:
            process = subprocess.Popen(
                launched(command, user=user, on_parent_death=on_parent_death),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output is not None else None,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        finally:
            if output is not None and not isinstance(output, int):
                output.close()
        return cls(name, process, log, stop_signal)

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        if self.log is None or not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def ended(self) -> EmbeddedError:
        """What to say when it is no longer running."""
        code = self.process.returncode
        if code == -signal.SIGKILL:  # nothing in its log is about it
            where = f" (by somebody, or by the system when memory ran out; its log: {self.log})" if self.log else ""
            return EmbeddedError(f"{self.name} was killed by SIGKILL{where}")
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        where = f"; the end of {self.log}:\n{self.tail()}" if self.log is not None else ""
        return EmbeddedError(f"{self.name} {how}{where}")

    def wait_until(self, ready: Callable[[], bool], *, timeout: float) -> None:
        """Ask `ready` until it says yes; `timeout` in seconds.

        Raises:
            EmbeddedError: it ended, or was not ready in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            answers = ready()
            if not self.running:  # whoever answered was another program on the same port
                raise self.ended()
            if answers:
                return
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{self.name} was not ready within {timeout:.0f} s\n{self.tail()}".strip())
            time.sleep(0.02)

    def stop(self, timeout: float = 10.0) -> None:
        """Ask it to end, and kill it after `timeout` seconds; does nothing when it has ended."""
        if self.running:
            self._go_on()
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process.wait()

    def _go_on(self) -> None:
        """Wake it and its children: who tried an outage may have stopped them, and what is stopped cannot end."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with suppress(OSError):
            for child in children.read_text().split():
                os.kill(int(child), signal.SIGCONT)
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, with what it started in its session."""
        if self.running:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
