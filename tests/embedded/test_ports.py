"""Ports that are chosen stay their chooser's."""

import subprocess
import sys

from services.embedded.ports import _PORTS, _Claims, _claims, choose, free_port, is_free

CHOOSE = "from services.embedded.ports import free_port; print(*(free_port() for _ in range({})), flush=True); input()"


def choose_many(count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHOOSE.format(count)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_process_gives_none_twice() -> None:
    chosen = [free_port() for _ in range(300)]
    assert len(set(chosen)) == 300
    assert all(port in _PORTS for port in chosen)
    assert all(map(is_free, chosen[:20]))


def test_two_processes_choose_different_ones_for_as_long_as_they_live() -> None:
    with choose_many(3000) as one, choose_many(3000) as other:
        assert one.stdout is not None
        assert other.stdout is not None
        theirs, others = (
            {int(port) for port in made.stdout.readline().split()} for made in (one, other) if made.stdout
        )
        assert len(theirs) == len(others) == 3000
        assert not theirs & others
        mine = _Claims()
        port = theirs.pop()
        assert not mine.take(port)
        one.kill()
        one.wait()
        assert mine.take(port)
        other.kill()


def test_a_certain_port_is_chosen_by_one_process_alone() -> None:
    """Such as 8080, which two that start at the same time would find free."""
    port = free_port()
    code = f"from services.embedded.ports import choose; print(choose({port}))"
    for chosen in (False, True):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == f"{chosen}\n"
        _claims().give_back()
    assert choose(port)
    assert not choose(port)


def test_whoever_has_chosen_all_of_them_begins_anew() -> None:
    code = "from services.embedded import ports; ports._PORTS = range(30_000, 30_010);"
    code += "print(*(ports.free_port() for _ in range(30)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == 30
