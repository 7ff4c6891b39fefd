"""What `check-config` says about sources in learning mode."""

from pathlib import Path

import pytest

from services.common.configuration.file import load
from tests.common.test_configuration_devices import examined
from tests.common.test_configuration_file import GOOD

LEARN = "    learn: true\n"
ADDRESS = "    test_address: integrator@example.org\n"


def with_lines(*lines: str) -> str:
    return GOOD.replace("    devices:\n", "".join(lines) + "    devices:\n")


def test_a_learning_source_is_good_and_never_passes_unseen(tmp_path: Path) -> None:
    mistakes, hints = examined(tmp_path, with_lines(LEARN, ADDRESS))
    assert mistakes == []
    (hint,) = hints
    assert "sources.buttons.learn" in hint
    assert "integrator@example.org alone, to nobody else" in hint
    source = load(tmp_path / "organisation.yaml").sources["buttons"]
    assert (source.learn, source.test_address) == (True, "integrator@example.org")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ((LEARN,), ("there is nobody to be mailed", "test_address: you@example.org")),
        ((ADDRESS,), ("does not learn: everybody is alarmed", "learn: true, or no test_address")),
        (("    learn: false\n", ADDRESS), ("does not learn: everybody is alarmed", "learn: true")),
        ((LEARN, "    test_address: nobody\n"), ("test_address",)),
        ((LEARN, "    test_address: [a@example.org, b@example.org]\n"), ("test_address",)),
        (("    learn: perhaps\n", ADDRESS), ("sources.buttons.learn", "true or false")),
    ],
)
def test_each_mistake_is_named(lines: tuple[str, ...], says: tuple[str, ...], tmp_path: Path) -> None:
    mistakes, _ = examined(tmp_path, with_lines(*lines))
    (mistake,) = mistakes
    assert "sources.buttons" in mistake
    for words in says:
        assert words in mistake


def test_without_it_nothing_is_said(tmp_path: Path) -> None:
    assert examined(tmp_path, with_lines("    learn: false\n")) == ([], [])
