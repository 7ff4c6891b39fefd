from hypothesis import given
from hypothesis import strategies as st

from services.alerting.candidates import Candidates
from services.alerting.core.incident import Incident
from services.alerting.core.replacing import replace
from tests.core.office import MONDAY, Desk, report

ROOMS = st.sampled_from(["Zimmer 1", "Zimmer 2", "Zimmer 3", "Zimmer 4"])
ONE = Desk().press()


def made_up(number: int, keys: list[str]) -> Incident:
    return replace(ONE, id=f"i{number}", keys=tuple(keys))


@given(
    st.lists(st.lists(ROOMS, min_size=1, max_size=3), max_size=6),
    st.lists(st.tuples(st.integers(0, 7), st.lists(ROOMS, max_size=2)), max_size=6),
    st.lists(ROOMS, max_size=3),
)
def test_the_index_finds_what_looking_through_all_would(
    first: list[list[str]], changes: list[tuple[int, list[str]]], wanted: list[str]
) -> None:
    known = {f"i{number}": made_up(number, keys) for number, keys in enumerate(first)}
    candidates = Candidates(known)
    for number, keys in changes:
        known[f"i{number}"] = made_up(number, keys)
        candidates.note(known[f"i{number}"])
    press = report(MONDAY)
    found = candidates.of(press, wanted, known)
    assert found == [incident for incident in known.values() if not set(wanted).isdisjoint(incident.keys)]
