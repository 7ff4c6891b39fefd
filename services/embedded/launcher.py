"""Runs a program so that it ends with the process that started it, even when that one is killed with SIGKILL.

Called as a script (`python -I launcher.py PARENT SIGNAL USER -- PROGRAM ARGUMENT…`), and replaced by the program.
A script rather than `preexec_fn`, which may deadlock in a process that has threads. `USER` is `-` to stay who we
are; PostgreSQL refuses to run as root. Outside Linux only the user is changed: no such signal exists there.
"""

import ctypes
import os
import pwd
import sys

_PR_SET_PDEATHSIG = 1


def _become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ["HOME"] = entry.pw_dir


def end_with(parent: int, signal_number: int) -> None:
    """Ask the kernel for the signal; a parent that died before we asked is noticed by its id."""
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        sys.exit(f"cannot tie the process to its parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the parent process has ended")


def main(parent: str, signal_number: str, user: str, separator: str, *command: str) -> None:
    """Become `command`. The user is changed first: the kernel forgets the signal when credentials change."""
    assert separator == "--"
    if user != "-":
        _become(user)
    end_with(int(parent), int(signal_number))
    os.execvp(command[0], command)  # noqa: S606 – being replaced by the program is the purpose of this script


if __name__ == "__main__":
    main(*sys.argv[1:])
