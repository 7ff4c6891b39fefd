"""Services and commands that start in a twentieth of a second, because all that they import is there already.

`python -m tests.support.warm PARENT` imports both services, and then forks for each line of JSON that it reads; the
fork becomes `rufkette …` as a process of its own, a child of PARENT.
"""

import ctypes
import gc
import importlib
import json
import os
import random
import runpy
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from services.embedded.launcher import end_with
from services.embedded.process import Part, launched

_PR_SET_CHILD_SUBREAPER = 36
_KILL = 9


class Adopted(subprocess.Popen[bytes]):
    """A child of ours that another process began."""

    def __init__(self, pid: int) -> None:  # instead of the inherited one, which would begin a process
        self.args, self.pid, self.returncode = (), pid, None
        self.stdin = self.stdout = self.stderr = None
        vars(self).update(_waitpid_lock=threading.Lock(), _child_created=True, _sigint_wait_secs=0.25)


def start(name: str, *, log: Path, env: Mapping[str, str], module: str = "services.cli") -> Part:
    """`rufkette NAME`, or what another module makes of it, in a session of its own, with its output in `log`.

    It ends with us, as all parts do.
    """
    job = {"arguments": [name], "module": module, "out": str(log), "env": dict(env)}
    return Part(name, _fork(job), log)


def run(
    *arguments: str | Path, env: Mapping[str, str], cwd: Path | None = None, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """`rufkette ARGUMENTS…` to its end, with this on its standard input."""
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as name:
        files = {stream: Path(name) / stream for stream in ("in", "out", "err")}
        files["in"].write_text(given, encoding="utf-8")
        job = {"arguments": words, "module": "services.cli", "env": dict(env), "cwd": str(cwd or Path.cwd())}
        code = _fork(job | {stream: str(file) for stream, file in files.items()}).wait(120)
        out, err = (files[stream].read_text(encoding="utf-8") for stream in ("out", "err"))
    return subprocess.CompletedProcess(words, code, out, err)


def _fork(job: Mapping[str, object]) -> Adopted:
    nursery = _nursery()
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    with _adopting():
        nursery.stdin.write(json.dumps(job).encode() + b"\n")
        nursery.stdin.flush()
        line = nursery.stdout.readline()
    assert line, "the process that forks is gone"
    return Adopted(int(line))


@cache
def _nursery() -> subprocess.Popen[bytes]:
    # The kernel ties it to the thread that starts it.
    assert threading.current_thread() is threading.main_thread()
    command = launched([sys.executable, "-m", "tests.support.warm", str(os.getpid())])
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@contextmanager
def _adopting() -> Iterator[None]:
    """Whose parent ends meanwhile becomes a child of ours; only meanwhile, else we had to bury everybody's orphans."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        _prctl(_PR_SET_CHILD_SUBREAPER, 0)


def _prctl(option: int, value: int) -> None:
    assert ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0


def _serve(parent: int) -> None:
    for module in ("services.ingest.app", "services.alerting.app", "holidays.countries"):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    for line in sys.stdin.buffer:
        between = os.fork()
        if between == 0:
            if os.fork() == 0:
                _become(json.loads(line), parent)
                return
            os._exit(0)
        os.waitpid(between, 0)


def _become(job: dict[str, object], parent: int) -> None:
    while os.getppid() != parent:  # until who forked us has ended
        time.sleep(0.001)
    os.setsid()
    end_with(parent, _KILL)
    os.write(1, f"{os.getpid()}\n".encode())
    written = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    streams = ((0, job.get("in", os.devnull), os.O_RDONLY), (1, job["out"], written), (2, job.get("err"), written))
    for number, place, flags in streams:
        handle = os.dup(1) if place is None else os.open(str(place), flags, 0o644)
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(str(job.get("cwd", os.curdir)))
    environment = job["env"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    arguments = job["arguments"]
    assert isinstance(arguments, list)
    sys.argv = ["rufkette", *arguments]
    runpy.run_module(str(job["module"]), run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
