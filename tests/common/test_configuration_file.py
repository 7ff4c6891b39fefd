"""Every mistake in a configuration is named with its line, and all at once."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Category
from services.common.configuration.file import ConfigurationError, Mistake, examine, load
from tests.support.organisation import organisation

GOOD = """\
organisation:
  name: Jobcenter Beispiel
  holidays: DE-ST
  emergency: [bereitschaft@example.org]
sites:
  bernburg:
    name: Bernburg (Parkstraße)
    locations:
      - {id: r112, name: Zimmer 112, aliases: ["112"]}
      - {id: r113, name: Zimmer 113}
    opening_hours: "Mo,Fr 08:00-12:00"
    closed: [2026-12-24]
    people:
      site_management: [{email: leitung@example.org}]
      deputy: [vertretung@example.org]
roles: {on_call: [bereitschaft@example.org]}
sources:
  buttons:
    type: native
    kind: panic
    key_sha256: "000000000000000000000000000000000000000000000000000000000000000f"
    devices:
      btn-112: {site: bernburg, location: Zimmer 112, model: milesight-ws101}
      btn-113: {site: bernburg}
rules:
  - {name: violence, when: {danger_level: [2, 3], site: bernburg}, policy: normal}
  - {name: everything else, policy: normal}
policies:
  normal:
    steps:
      - {after: 0s, tell: [site_management]}
      - {after: 2m, tell: [on_call]}
    repeat: 5m
mail: {details: link, roles: {site_management: full}}
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str) -> Path:
        file = tmp_path / "organisation.yaml"
        file.write_text(text)
        return file

    return write_file


def mistakes(file: Path) -> list[Mistake]:
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert str(caught.value).splitlines() == [str(mistake) for mistake in caught.value.mistakes]
    return caught.value.mistakes


def test_a_good_file_loads(write: Write) -> None:
    configuration = load(write(GOOD))
    assert configuration.sites["bernburg"].people["deputy"].people[0].email == "vertretung@example.org"


KEY = "000000000000000000000000000000000000000000000000000000000000000f"


@pytest.mark.parametrize(
    ("old", "new", "path", "says"),
    [
        (
            "rules:\n", f'  bus:\n    type: cloudevents\n    kind: manual\n    key_sha256: "{KEY}"\nrules:\n',
            "sources.bus.key_sha256", "source `buttons`",
        ),
        (
            "  holidays", f'  operator_key_sha256: "{KEY}"\n  holidays',
            "organisation.operator_key_sha256", "source `buttons`",
        ),
    ],
)  # fmt: skip
def test_a_key_that_opens_two_doors_is_hinted_at(write: Write, old: str, new: str, path: str, says: str) -> None:
    hints = [str(hint) for hint in examine(write(GOOD.replace(old, new, 1)))[1]]
    assert [hint for hint in hints if path in hint and says in hint and "key of its own" in hint] != []
    _, other = examine(write(GOOD.replace(old, new.replace('f"', 'e"'), 1)))
    assert [str(hint) for hint in other if "key of its own" in str(hint)] == []


def test_the_example_is_good() -> None:
    load(Path(__file__).parents[2] / "config/example.yaml")


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "wrong", "expected"),
    [
        # shape
        ("  holidays:", "  holiday:", 3, "organisation.holiday", "unknown key", "did you mean `holidays`?"),
        ("  name: Jobcenter Beispiel\n", "", 1, "organisation.name", "is missing", "name: …"),
        ("[bereitschaft@example.org]\nsites", "[]\nsites", 4, "organisation.emergency", "is empty", "one entry"),
        ("[bereitschaft@example.org]\nsites", "[x]\nsites", 4, "organisation.emergency[0]", "no mail address", "@"),
        ("{email:", "{emial: 1, email:", 14, "sites.bernburg.people.site_management[0].emial", "unknown", "`email`?"),
        ("[vertretung@", "[{mail: vertretung@", 0, "", "is no YAML", ""),
        ("[2026-12-24]", "[Heiligabend]", 12, "sites.bernburg.closed[0]", "`Heiligabend`", "a date such as"),
        ("[2026-12-24]", "[2026-13-24]", 12, "sites.bernburg.closed[0]", "no date", "a real one"),
        ('["112"]', "[112]", 9, "sites.bernburg.locations[0].aliases[0]", "`112`", "quotes"),
        ("type: native", "type: nativ", 18, "sources.buttons", "unknown type `nativ`", "`native`?"),
        ("    type: native\n", "", 18, "sources.buttons", "has no `type`", "type: native"),
        ("kind: panic", "kind: panik", 20, "sources.buttons.kind", "`panik`", "`panic`?"),
        ("00f", "00g", 21, "sources.buttons.key_sha256", "form", "new-key"),
        ("[2, 3]", "[2, 7]", 26, "rules[0].when.danger_level[1]", "`7`", "0, 1, 2 or 3"),
        ("[2, 3]", "hoch", 26, "rules[0].when.danger_level", "`hoch`", "whole number"),
        ("after: 2m", "after: 2min", 32, "policies.normal.steps[1].after", "no duration", "2m"),
        ("after: 0s", "after: 3m", 29, "policies.normal", "steps", "in the order"),
        ("after: 2m", "after: 101y", 32, "policies.normal.steps[1].after", "too long", "100y"),
        ("after: 2m", "after: 99999999999y", 32, "policies.normal.steps[1].after", "too long", "100y"),
        ("after: 2m", f"after: {'9' * 5000}s", 32, "policies.normal.steps[1].after", "no duration", "2m"),
        ("repeat: 5m", "repeat: 5", 33, "policies.normal.repeat", "no duration", "next_opening"),
        ("    repeat: 5m\n", "", 29, "policies.normal", "never end", "repeat: 5m"),
        ("repeat: 5m", "repeat: 1s", 29, "policies.normal", "repeat", "at least 10s"),
        ("details: link", "details: all", 34, "mail.details", "`all`", "full, link"),
        ("  bernburg:\n", "  1234:\n", 6, "sites.1234", "as a number", '"1234" in quotes'),
        ("on_call: [", "on: [", 16, "roles.on", "truth value", '"on" in quotes'),
        ("      btn-113", "      btn-112", 24, "sources.buttons.devices.btn-112", "line 23", "each key once"),
        # names that lead nowhere
        ("normal}\n  -", "norml}\n  -", 26, "rules[0].policy", "`norml`", "`normal`?"),
        ("site: bernburg}, pol", "site: [bernbrug]}, pol", 26, "rules[0].when.site", "`bernbrug`", "`bernburg`?"),
        ("site: bernburg}, pol", "source: mqtt}, pol", 26, "rules[0].when.source", "`mqtt`", "one of buttons"),
        ("btn-113: {site: b", "btn-113: {site: hallb", 24, "sources.buttons.devices.btn-113.site", "hallb", "one"),
        ("milesight-ws101", "milesight-101", 23, "sources.buttons.devices.btn-112.model", "", "`milesight-ws101`?"),
        ("tell: [on_call]", "tell: [oncall]", 32, "policies.normal.steps[1].tell[0]", "nobody has", "`on_call`?"),
        ("{on_call: [bereitschaft@example.org]}", "{}", 32, "policies.normal.steps[1].tell[0]", "nobody", "one"),
        ("{site_management: full}", "{boss: full}", 34, "mail.roles.boss", "no role `boss`", "one of"),
        ("DE-ST", "DE-XX", 3, "organisation.holidays", "`DE-XX`", "DE-ST"),
        ("DE-ST", "Sachsen", 3, "organisation.holidays", "`Sachsen`", "DE-ST"),
        # contradictions
        ("Mo,Fr 08:00-12:00", "Montag", 11, "sites.bernburg.opening_hours", "cannot be read", "OpenStreetMap"),
        (
            "Mo,Fr 08:00-12:00",
            "Mo,Do 08:00-12:00",
            11,
            "sites.bernburg.opening_hours",
            "cannot be read",
            "`Mo,Th 08:00",
        ),
        ("Mo,Fr 08:00-12:00", "Mo-Fr 08:00-12:00; PH off", 11, "sites.bernburg.opening_hours", "PH", "without them"),
        ("btn-113:", "BTN112:", 24, "sources.buttons.devices.BTN112", "same device as `btn-112`", "each device once"),
        ("name: Zimmer 113}", "name: ZIMMER-112}", 10, "sites.bernburg.locations[1]", "`r112`", "one location only"),
        ("everything else, ", "all, when: {acute: true}, ", 27, "rules[1]", "the last rule", "without `when`"),
        (", when: {danger_level: [2, 3], site: bernburg}", "", 26, "rules[0]", "no rule after it", "last rule"),
        # what can never come true
        ("Mo,Fr 08:00-12:00", "off", 11, "sites.bernburg.opening_hours", "`off` never opens", "at least one time"),
        ("Mo,Fr 08:00-12:00", "Mo-Fr off", 11, "sites.bernburg.opening_hours", "never opens", "at least one time"),
        ("site: bernburg}, ", "hours: closed, site: [hall]}, ", 26, "rules[0].when.site", "`hall`", "bernburg"),
    ],
)
def test_each_mistake_is_named(
    old: str, new: str, line: int, path: str, wrong: str, expected: str, write: Write
) -> None:
    assert old in GOOD
    file = write(GOOD.replace(old, new, 1))
    mistake, *others = mistakes(file)
    # A key that YAML does not read as text also leads whoever names it nowhere.
    assert not others or "YAML reads" in mistake.wrong
    assert mistake.file == file
    if line:
        assert (mistake.line, mistake.path) == (line, path)
    assert wrong in mistake.wrong
    assert expected in mistake.expected
    assert str(mistake).startswith(f"{file}:{mistake.line}: ")


RULE = "  - {name: violence, when: {danger_level: [2, 3], site: bernburg}, policy: normal}\n"


def with_rules(*rules: str) -> str:
    """The good file with these rules before the last one; the first stands on line 26."""
    return GOOD.replace(
        RULE, "".join(f"  - {{name: rule {n}, {rule}, policy: normal}}\n" for n, rule in enumerate(rules))
    )


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        # the same conditions
        ("when: {danger_level: 2}", "when: {danger_level: 2}"),
        # some of its values, or more conditions
        ("when: {danger_level: [2, 3]}", "when: {danger_level: 3}"),
        ("when: {kind: panic}", "when: {kind: panic, danger_level: 3, site: bernburg}"),
        ("when: {acute: false}", "when: {kind: form, acute: false}"),
        ("when: {hours: closed}", "when: {hours: closed, category: weapon}"),
        # a condition that lists everything excludes nothing
        ("when: {danger_level: [0, 1, 2, 3]}", "when: {kind: form}"),
        ("when: {hours: [open, closed], kind: [panic, form]}", "when: {kind: [form, panic]}"),
        ("when: {mode: [actual, exercise], police: [none, wanted, called]}", "when: {source: buttons}"),
    ],
)
def test_a_rule_that_is_never_reached(wide: str, narrow: str, write: Write) -> None:
    (mistake,) = mistakes(write(with_rules("when: {source: buttons, category: threat}", wide, narrow)))
    assert (mistake.line, mistake.path) == (28, "rules[2]")
    assert mistake.wrong == "is never reached: whatever it matches, the rule `rule 1` (rules[1]) matches first"
    assert "narrower rule before the wider" in mistake.expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("when: {danger_level: 3}", "when: {danger_level: [2, 3]}"),  # level 2 is left
        ("when: {kind: panic, danger_level: 3}", "when: {kind: panic}"),
        ("when: {acute: false}", "when: {acute: true}"),
        ("when: {acute: false}", "when: {kind: form}"),
        ("when: {hours: open}", "when: {hours: closed}"),
        # a report may have no category, and come from no site that is known
        (f"when: {{category: [{', '.join(Category)}]}}", "when: {kind: form}"),
        ("when: {site: bernburg}", "when: {kind: form}"),
    ],
)
def test_a_rule_that_is_reached_sometimes(first: str, second: str, write: Write) -> None:
    load(write(with_rules(first, second)))


def test_a_rule_for_closing_times_needs_an_office_that_closes(write: Write) -> None:
    (mistake,) = mistakes(
        write(with_rules("when: {hours: closed}").replace('    opening_hours: "Mo,Fr 08:00-12:00"\n', ""))
    )
    assert (mistake.path, mistake.wrong) == (
        "rules[0].when.hours",
        "is never reached: none of its sites is ever closed",
    )


@pytest.mark.parametrize(
    ("people", "hours"),
    [
        ("{people: [x@example.org], when: closed}", '"24/7"'),  # present outside opening hours, of which there is none
        ("{people: [x@example.org], when: closed}", None),  # without hours it counts as open
    ],
)
def test_a_step_that_nobody_can_receive(people: str, hours: str | None, write: Write) -> None:
    text = GOOD.replace("[vertretung@example.org]", people).replace("tell: [on_call]", "tell: [deputy]")
    old = '    opening_hours: "Mo,Fr 08:00-12:00"\n'
    load(write(text))
    text = text.replace("    closed: [2026-12-24]\n", "").replace(old, f"    opening_hours: {hours}\n" if hours else "")
    (mistake,) = mistakes(write(text))
    assert mistake.path == "policies.normal.steps[1].tell"
    assert mistake.line == text.splitlines().index("      - {after: 2m, tell: [deputy]}") + 1
    assert "nobody can ever receive" in mistake.wrong


def test_a_step_with_somebody_at_one_site_is_good(write: Write) -> None:
    away = GOOD.replace("[vertretung@example.org]", "[]").replace("tell: [on_call]", "tell: [deputy, on_call]")
    (mistake,) = mistakes(write(away))  # an empty role is one that nobody has
    assert "nobody has the role `deputy`" in mistake.wrong
    site = "  kiosk: {name: Kiosk, people: {deputy: [{email: x@example.org}]}}\nroles:"
    load(write(away.replace("\nroles:", f"\n{site}")))


def test_hints_do_not_fail(write: Write) -> None:
    more = "policies:\n  spare: {steps: [{after: 0s, tell: [on_call]}], repeat: 5m}"
    text = GOOD.replace("policies:", more).replace("Mo,Fr 08:00-12:00", "2020 Mo-Fr 08:00-12:00")
    _, hints = examine(write(text))
    assert [(hint.line, hint.path, hint.wrong) for hint in hints] == [
        (11, "sites.bernburg.opening_hours", "`2020 Mo-Fr 08:00-12:00` does not open within the next year"),
        (29, "policies.spare", "no rule takes this policy"),
    ]
    assert examine(write(GOOD))[1] == []


@pytest.mark.parametrize(
    ("old", "new", "line", "path"),
    [
        ("[bereitschaft@example.org]\nsites", "[a@example.org, lost@example]\nsites", 4, "organisation.emergency[1]"),
        ("leitung@example.org", "lost@example", 14, "sites.bernburg.people.site_management[0].email"),
        ("[vertretung@example.org]", "{people: [lost@example]}", 15, "sites.bernburg.people.deputy.people[0]"),
        ("roles:", "    emergency: [lost@example]\nroles:", 16, "sites.bernburg.emergency[0]"),
        ("[bereitschaft@example.org]}", "[a@example.org, lost@example]}", 16, "roles.on_call[1]"),
        (
            "    kind: panic\n", "    kind: panic\n    learn: true\n    test_address: lost@example\n",
            22, "sources.buttons.test_address",
        ),
    ],
)  # fmt: skip
def test_an_address_whose_domain_has_no_dot_is_hinted_at(
    write: Write, old: str, new: str, line: int, path: str
) -> None:
    assert old in GOOD
    hints = [hint for hint in examine(write(GOOD.replace(old, new, 1)))[1] if "has no dot" in hint.wrong]
    assert [(hint.line, hint.path) for hint in hints] == [(line, path)]
    assert hints[0].wrong.startswith("the domain of `lost@example` has no dot")
    for good in ("lost@localhost", "lost@LOCALHOST", "lost@intranet.example", "lost@[10.0.0.1]"):
        text = GOOD.replace(old, new.replace("lost@example", f'"{good}"'), 1)
        assert [hint for hint in examine(write(text))[1] if "has no dot" in hint.wrong] == []


@pytest.mark.parametrize(
    ("retention", "said"),
    [
        ("{personal_data: 180d, incidents: 10y}", []),
        ("{incidents: 99y}", []),
        ("{personal_data: 30d, incidents: 2y}", []),
        ("{personal_data: 4y, incidents: 3y}", ["never counts: `incidents` deletes everything before"]),
        ("{incidents: 1y}", ["the yearly report is short of what is deleted before it is made"]),
        ("{personal_data: 0s}", ["names and descriptions go while the links in mails are still good"]),
    ],
)
def test_retention_that_is_hardly_meant_is_hinted_at(write: Write, retention: str, said: list[str]) -> None:
    hints = examine(write(f"{GOOD}retention: {retention}\n"))[1]
    assert [hint.wrong for hint in hints] == said
    assert all(hint.path.startswith("retention.") and hint.line == len(GOOD.splitlines()) + 1 for hint in hints)


def test_wrong_shapes_do_not_hide_contradictions(write: Write) -> None:
    text = (
        with_rules("when: {danger_level: 9}", "when: {kind: panic}", "when: {kind: panic, acute: true}", "whn: 1")
        .replace("name: Jobcenter Beispiel", "nam: x")
        .replace("DE-ST", "DE-XX")
        .replace("[{email: leitung@example.org}]", "[leitung]")
        .replace("btn-113: {site: bernburg}", "btn-113: {site: bernbrug}")
        .replace("model: milesight-ws101", "modell: x")
        .replace("tell: [on_call]", "tell: [oncall]")
        .replace("{name: everything else, policy: normal}", "{name: everything else, policy: norml}")
    )
    assert [(m.line, m.path) for m in mistakes(write(text))] == [
        (1, "organisation.name"),
        (2, "organisation.nam"),
        (3, "organisation.holidays"),
        (14, "sites.bernburg.people.site_management[0]"),
        (23, "sources.buttons.devices.btn-112.modell"),
        (24, "sources.buttons.devices.btn-113.site"),
        (26, "rules[0].when.danger_level"),
        (28, "rules[2]"),
        (29, "rules[3].whn"),
        (30, "rules[4].policy"),
        (35, "policies.normal.steps[1].tell[0]"),
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("repeat: 5m", "repeat: x"),  # the policy is still there for the rules that name it
        ("name: Bernburg (Parkstraße)", "nam: x"),  # so is the site for its devices
        ("type: native", "type: x"),
        ("policy: normal}\npolicies", "polic: normal}\npolicies"),  # so is the last rule
        ("{on_call: [bereitschaft@example.org]}", "{on_call: [bereitschaft]}"),  # so are the people of a role
    ],
)
def test_a_wrong_shape_makes_no_further_mistakes(old: str, new: str, write: Write) -> None:
    assert old in GOOD
    found = mistakes(write(GOOD.replace(old, new)))
    assert not [m for m in found if "there is no" in m.wrong or "nobody" in m.wrong or "last rule" in m.wrong]


def test_all_mistakes_come_at_once_in_the_order_of_the_file(write: Write) -> None:
    text = (
        GOOD.replace("holidays:", "holiday:").replace("kind: panic", "kind: panik").replace("repeat: 5m", "repeat: x")
    )
    assert [mistake.line for mistake in mistakes(write(text))] == [3, 20, 33]


@pytest.mark.parametrize(
    ("content", "line", "wrong"),
    [
        (b"", 1, "is empty"),
        (b"# only a comment\n", 1, "is empty"),
        (b"- a\n- b\n", 1, "does not fit"),
        (b"just text\n", 1, "does not fit"),
        (b"a: [1\nb: 2\n", 2, "is no YAML"),
        (b"sites:\n\tbernburg: 1\n", 2, "is no YAML"),
        (b"a: \xff\n", 0, "is not UTF-8"),
        (b"a: \x01\n", 1, "is no YAML"),
        (b"a: 1\n---\nb: 2\n", 2, "is no YAML"),
        (b"a: !!python/object:os.system x\n", 1, "is no YAML"),
        (b"a: *unknown\n", 1, "is no YAML"),
        (b"a: &a [*a]\n", 1, "is nested too deep"),
    ],
)
def test_what_is_no_configuration_at_all(content: bytes, line: int, wrong: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    first = mistakes(file)[0]
    assert first.line == line
    assert wrong in first.wrong


def test_a_missing_file(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path / "nowhere.yaml")
    assert str(mistake) == (
        f"{tmp_path}/nowhere.yaml: cannot be read (No such file or directory); "
        "expected a YAML file that this user may read"
    )


def test_anchors_and_merges_work(write: Write) -> None:
    text = GOOD.replace("btn-112: {", "btn-112: &b {").replace("btn-113: {site: bernburg}", "btn-113: {<<: *b}")
    assert load(write(text)).sources["buttons"].devices["btn-113"].model == "milesight-ws101"


WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, -1, True, "x", "", [], ["x"], [[]], {}, {"x": 1}, {"people": None}, [{}], 3.5, [None]]
)


def places(data: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_is_wrong_is_said_as_mistakes(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = organisation()
    for _ in range(data.draw(st.integers(1, 4))):
        *above, last = data.draw(st.sampled_from(places(content)[1:]))
        node: Any = content
        for key in above:
            node = node[key]
        if data.draw(st.booleans()):
            node[last] = copy.deepcopy(data.draw(WRONG))
        else:
            del node[last]
        if not content:
            return
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(content))
    try:
        load(file)
    except ConfigurationError as error:
        assert error.mistakes  # noqa: PT017 – a good file is fine as well
