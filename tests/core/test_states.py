"""Every state with every input, against tests/core/states.txt: a changed rule shows as changed lines there."""

from pathlib import Path

import pytest

from services.states.scenes import INPUTS, states
from services.states.table import CANNOT_HAPPEN, document, pairs

_ALL = list(pairs())


def _expected() -> dict[str, list[str]]:
    blocks = (Path(__file__).parent / "states.txt").read_text().split("\n== ")[1:]
    by_input: dict[str, list[str]] = {}
    for block in blocks:
        name, *lines = block.splitlines()
        by_input[name] = [line for line in lines if line and not line.startswith("#")]
    return by_input


EXPECTED = _expected()


@pytest.mark.parametrize("name", INPUTS)
def test_each_pair(name: str) -> None:
    assert [f"{pair.state} | {pair.outcome}" for pair in _ALL if pair.input == name] == EXPECTED[name]


def test_the_table_is_complete() -> None:
    assert list(EXPECTED) == list(INPUTS)
    assert {len(lines) for lines in EXPECTED.values()} == {len(states())}
    assert all(document().count(f"\n## {state}\n") == 1 for state in states())


def test_only_what_needs_an_incident_cannot_happen() -> None:
    impossible = {pair.state for pair in _ALL if pair.reason == CANNOT_HAPPEN}
    # Nobody was mailed about what is held back, or told by a file.
    assert impossible == {"none", "held back", "imported", "imported, closed"}


def test_an_exercise_is_told_like_the_real_thing() -> None:
    """Where both can happen alike: what people do, mails and time."""
    alike = [name for name in INPUTS if not name.startswith(("press", "form")) and not name.endswith("joins")]
    by_state = {state: [p.outcome for p in _ALL if p.state == state and p.input in alike] for state in states()}
    assert by_state["exercise"] == by_state["open"]
