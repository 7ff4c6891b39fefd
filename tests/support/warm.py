"""Service processes that start in a twentieth of a second, because everything that they import is there already.

`python -m tests.support.warm PARENT` imports both services, and then forks for each line of JSON that it reads; the
fork becomes `rufkette NAME` as a process of its own, a child of PARENT.
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
    nursery = _nursery()
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    with _adopting():
        nursery.stdin.write(
            json.dumps({"name": name, "module": module, "log": str(log), "env": dict(env)}).encode() + b"\n"
        )
        nursery.stdin.flush()
        line = nursery.stdout.readline()
    assert line, "the process that forks is gone"
    return Part(name, Adopted(int(line)), log)


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
    for number, place, flags in ((0, os.devnull, os.O_RDONLY), (1, job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)):
        handle = os.open(str(place), flags, 0o644)
        os.dup2(handle, number)
        os.close(handle)
    os.dup2(1, 2)
    environment = job["env"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    sys.argv = ["rufkette", str(job["name"])]
    runpy.run_module(str(job["module"]), run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
