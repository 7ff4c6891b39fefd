"""A disk that takes a write and never answers, as a network disk or a broken controller does. Linux only.

Nothing of the process is replaced: the kernel holds the one thread that asks for an fsync, right at its door, as a
debugger would. All other threads go on.
"""

import ctypes
import errno
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_SEIZE, _INTERRUPT, _SYSCALL, _DETACH, _GET_SYSCALL_INFO = 0x4206, 0x4207, 24, 17, 0x420E
_TRACESYSGOOD = 1
_WALL = 0x40000000
_ENTRY = 1
_NUMBER_AT = 24
_SYNC = {"x86_64": (74, 75), "aarch64": (82, 83)}
"""fsync and fdatasync."""
_POLL = 0.001

_kernel = ctypes.CDLL(None, use_errno=True)
_kernel.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_kernel.ptrace.restype = ctypes.c_long


def _ptrace(request: int, thread: int, address: int = 0, data: int = 0) -> None:
    if _kernel.ptrace(request, thread, address, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}: {os.strerror(ctypes.get_errno())}")


def _asks_for_sync(thread: int) -> bool:
    info = ctypes.create_string_buffer(128)
    _ptrace(_GET_SYSCALL_INFO, thread, len(info), ctypes.addressof(info))
    number = int.from_bytes(info.raw[_NUMBER_AT : _NUMBER_AT + 8], "little")
    return info.raw[0] == _ENTRY and number in _SYNC[platform.machine()]


class HungDisk:
    """Of one process that this one has started: its next fsync hangs."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._armed, self._hangs, self._answers = threading.Event(), threading.Event(), threading.Event()
        self._error: OSError | None = None
        # All requests have to come from the thread that began.
        self._thread = threading.Thread(target=self._run, name="hung disk")
        self._thread.start()
        assert self._armed.wait(10)
        if self._error is not None:
            raise self._error

    @property
    def hangs(self) -> bool:
        """Whether a thread waits for its fsync."""
        return self._hangs.is_set()

    def answer(self) -> None:
        """It is done, and so is each that follows."""
        self._answers.set()
        self._thread.join()

    def _run(self) -> None:
        traced: set[int] = set()
        try:
            threads = {int(task.name) for task in Path(f"/proc/{self._pid}/task").iterdir()} - {self._pid}
            for thread in threads:
                _ptrace(_SEIZE, thread, 0, _TRACESYSGOOD)
                traced.add(thread)
                _ptrace(_INTERRUPT, thread)
            self._armed.set()
            hung = self._watch(traced)
            for thread in traced - {hung}:
                self._release(thread)
            if hung is not None:
                self._hangs.set()
                self._hold(hung)
        except OSError as error:
            if error.errno != errno.ESRCH:  # else the process has ended
                self._error = error
        finally:
            self._armed.set()

    def _watch(self, traced: set[int]) -> int | None:
        """The thread that stands before an fsync; None when nothing shall hang any more."""
        while not self._answers.is_set():
            for thread in traced:
                found, status = os.waitpid(thread, os.WNOHANG | _WALL)
                if found == 0 or not os.WIFSTOPPED(status):
                    continue
                stopped_by = os.WSTOPSIG(status)
                at_a_call = stopped_by == signal.SIGTRAP | 0x80
                if at_a_call and _asks_for_sync(thread):
                    return thread
                is_signal = not at_a_call and status >> 16 == 0
                _ptrace(_SYSCALL, thread, 0, stopped_by if is_signal else 0)
            time.sleep(_POLL)
        return None

    def _hold(self, hung: int) -> None:
        while not self._answers.wait(_POLL):
            if os.waitpid(hung, os.WNOHANG | _WALL)[0]:  # its process has ended, and is gone when we know it
                return
        _ptrace(_DETACH, hung)

    def _release(self, thread: int) -> None:
        _ptrace(_INTERRUPT, thread)
        with suppress(ChildProcessError):
            os.waitpid(thread, _WALL)
            _ptrace(_DETACH, thread)


@contextmanager
def hung_disk(pid: int) -> Iterator[HungDisk]:
    """Its next fsync does not return before `answer`, or the end of the block."""
    if not sys.platform.startswith("linux") or platform.machine() not in _SYNC:
        pytest.skip("a disk is made to hang by Linux' ptrace")
    try:
        disk = HungDisk(pid)
    except PermissionError:
        pytest.skip("this machine allows no ptrace, not even of own children")
    try:
        yield disk
    finally:
        disk.answer()
