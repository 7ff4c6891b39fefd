"""What check-config says about the maps of forms."""

from pathlib import Path

import pytest

from services.common.configuration.file import examine
from tests.common.test_configuration_file import GOOD, mistakes

FORM = """\
  intranet:
    type: form
    key_sha256: "000000000000000000000000000000000000000000000000000000000000000a"
    only: "ereignis == 'fertig'"
    fields: daten
    map:
      site: {field: standort, values: {"Standort Bernburg": bernburg}, required: true}
      location: raum
      danger_level: {field: "Wie schlimm? (0 bis 3)", values: {"laut": 0}, default: 1}
      acute: {field: vorbei, values: {"ja": false}, default: true}
      category: {field: "daten.art", values: {"Beleidigung": insult}}
      police: {field: polizei, values: {"ja": called}}
      description: {field: beschreibung}
"""
AT = GOOD[: GOOD.index("  buttons:")].count("\n")


def write(tmp_path: Path, form: str) -> Path:
    file = tmp_path / "organisation.yaml"
    file.write_text(GOOD.replace("sources:\n", "sources:\n" + form))
    return file


def test_a_good_map_is_good(tmp_path: Path) -> None:
    _, hints = examine(write(tmp_path, FORM))
    assert hints == []


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "wrong", "expected"),
    [
        ("only: \"ereignis == 'fertig'\"", 'only: "ereignis =="', 4, "only", "no JMESPath", "an expression such as"),
        (
            "only: \"ereignis == 'fertig'\"",
            'only: "a ?? b"',
            4,
            "only",
            "`?` is out of place at character 3",
            "an expr",
        ),
        ("fields: daten", 'fields: "daten["', 5, "fields", "no JMESPath", "an expression"),
        ("daten.art", "daten.art[", 11, "map.category.field", "at character 11", "in double quotes"),
        ("      location", "      locaton", 8, "map.locaton", "`locaton` is not known", "did you mean `location`?"),
        (": bernburg}", ": bernbrug}", 7, "map.site.values.Standort Bernburg", "no site", "one of bernburg"),
        (
            "required: true",
            "default: hier, required: true",
            7,
            "map.site.required",
            "beside `default`",
            "one of the two",
        ),
        ('"laut": 0', '"laut": 4', 9, "map.danger_level.values.laut", "`4` is no danger_level", "0, 1, 2 or 3"),
        ('"laut": 0', '"laut": true', 9, "map.danger_level.values.laut", "`true` is no danger_level", "0, 1, 2 or 3"),
        ("default: 1", 'default: "1"', 9, "map.danger_level.default", "`1` is no danger_level", "without quotes"),
        ('"ja": false', '"ja": "nein"', 10, "map.acute.values.ja", "`nein` is no acute", "true or false"),
        ("insult}", "insult!}", 11, "map.category.values.Beleidigung", "`insult!` is no category", "one of insult"),
        (": called", ": phoned", 12, "map.police.values.ja", "`phoned` is no police", "one of none, wanted, called"),
        ("{field: beschreibung}", "{default: 5}", 13, "map.description.default", "`5` is no description", "text"),
        ("{field: beschreibung}", "{required: true}", 13, "map.description", "has no `field`", "field's name"),
        ("key_sha256", "preset: tally\n    key_sha256", 1, "", "has key_sha256 and preset", "exactly one of"),
        ("key_sha256", "preset: tallyho\n    key_sha256", 3, "preset", "`tallyho`", "did you mean `tally`?"),
        ("key_sha256", "secret_file: x\n    key_sha256", 1, "", "belong together", "neither"),
    ],
)
def test_mistakes_in_a_map(tmp_path: Path, old: str, new: str, line: int, path: str, wrong: str, expected: str) -> None:
    assert FORM.count(old) == 1
    found = mistakes(write(tmp_path, FORM.replace(old, new)))
    place = "sources.intranet" + (f".{path}" if path else "")
    assert [m.path for m in found if m.path == place], [str(m) for m in found]
    mistake = next(m for m in found if m.path == place)
    assert mistake.line == AT + line
    assert wrong in mistake.wrong
    assert expected in mistake.expected


def test_a_form_needs_exactly_one_proof(tmp_path: Path) -> None:
    lines = [line for line in FORM.splitlines() if "key_sha256" not in line]
    [mistake] = mistakes(write(tmp_path, "\n".join(lines) + "\n"))
    assert "has no proof of who sends" in mistake.wrong
    lines.insert(2, "    preset: typeform")
    [mistake] = mistakes(write(tmp_path, "\n".join(lines) + "\n"))
    assert "belong together" in mistake.wrong
    lines[2] = "    signature: {header: X-Sig, secret_file: geheim}\n    key_in_url: true"
    [mistake] = mistakes(write(tmp_path, "\n".join(lines) + "\n"))
    assert "`key_in_url` needs a key" in mistake.wrong


def test_a_form_without_a_place_is_refused_and_a_press_is_hinted_at(tmp_path: Path) -> None:
    text = '  intranet: {type: form, key_sha256: "' + "a" * 64 + '", map: {location: raum}}\n'
    [mistake] = mistakes(write(tmp_path, text))
    assert (mistake.path, "every message is refused" in mistake.wrong) == ("sources.intranet.map", True)
    _, hints = examine(write(tmp_path, text.replace("type: form,", "type: form, kind: panic,")))
    assert [hint.path for hint in hints] == ["sources.intranet.map"]
    text = "  hook: {type: standard-webhooks, secret_file: x}\n"
    assert examine(write(tmp_path, text))[1] == []


def test_signed_messages_without_an_id_can_be_played_back(tmp_path: Path) -> None:
    text = "  hook: {type: form, signature: {header: X-Sig, secret_file: x}, map: {site: ort}}\n"
    _, hints = examine(write(tmp_path, text))
    assert "sent again" in hints[0].wrong
    assert examine(write(tmp_path, text.replace("{site: ort}", "{site: ort, id: nummer}")))[1] == []
