"""What ingest doubts is said in the site's language: no sentence stands outside the table."""

import ast
from pathlib import Path
from string import Formatter

import pytest

from schemas.report_warnings import WARNINGS, said, warning

_INGEST = Path(__file__).parents[2] / "services" / "ingest"
_FILLED = {"field": "location", "value": "“Zi. 1”", "count": 3, "detail": "is unknown"}
_GERMAN = {**_FILLED, "value": "„Zi. 1“", "detail": "ist unbekannt"}


def _names(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("code", WARNINGS)
def test_each_warning_has_both_languages(code: str) -> None:
    english, german = WARNINGS[code]
    assert _names(english) == _names(german)
    sentence = warning(code, **{name: _FILLED[name] for name in _names(english)})
    assert said(sentence, "en") == sentence
    assert said(sentence, "de") == german.format(**_GERMAN)


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("“stufe” left out: “5” does not fit danger_level", "„stufe“ weggelassen: „5“ passt nicht zu danger_level"),
        ("occurred_at left out: is in the future", "occurred_at weggelassen: liegt in der Zukunft"),
        ("danger_level left out: should be a valid integer", "danger_level weggelassen: der Wert passt nicht"),
        ("danger_level left out: should be less than or equal to 3", "danger_level weggelassen: darf höchstens 3 sein"),
        (
            "police left out: should be 'none', 'wanted' or 'called'",
            "police weggelassen: muss 'none', 'wanted' oder 'called' sein",
        ),
        ("site “a” is unknown” is unknown", "Standort „a” is unknown“ ist unbekannt"),
    ],
)
def test_the_reason_is_translated_too_and_foreign_text_is_kept(english: str, german: str) -> None:
    assert said(english, "de") == german


def test_a_sentence_that_is_not_known_stays() -> None:
    assert said("something of another version", "de") == "something of another version"
    assert said("", "de") == ""


def _calls() -> list[ast.Call]:
    trees = [ast.parse(path.read_text()) for path in _INGEST.rglob("*.py")]
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _is_warning(call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute):
        return False
    holder = ast.unparse(function.value)
    return (function.attr == "warn" and holder.endswith("findings")) or (
        function.attr == "append" and holder.endswith("warnings")
    )


def test_ingest_says_nothing_outside_the_table() -> None:
    said_here = [call.args[0] for call in _calls() if _is_warning(call)]
    free = [ast.unparse(one) for one in said_here if isinstance(one, ast.Constant | ast.JoinedStr)]
    assert len(said_here) > 10
    assert not free


def test_every_warning_of_the_table_is_used_and_every_used_one_is_in_it() -> None:
    codes = {ast.literal_eval(c.args[0]) for c in _calls() if isinstance(c.func, ast.Name) and c.func.id == "warning"}
    assert codes == set(WARNINGS)
