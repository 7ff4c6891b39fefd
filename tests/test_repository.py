"""The repository as its readers meet it: sizes, links, commands, and nothing of one machine."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from services.cli import app

ROOT = Path(__file__).parents[1]
FILES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]
DOCUMENTS = [file for file in FILES if file.suffix == ".md"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMANDS = {
    (command.name or command.callback.__name__).replace("_", "-")
    for command in app.registered_commands
    if command.callback
}


def relative(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("top", ["schemas", "services"])
def test_no_module_is_too_long(top: str) -> None:
    modules = [file for file in FILES if file.suffix == ".py" and file.is_relative_to(ROOT / top)]
    long = {
        relative(file): length
        for file in modules
        if "migrations" not in file.parts and (length := len(file.read_text().splitlines())) > 300
    }
    assert modules
    assert long == {}


def test_statements_name_their_columns() -> None:
    """A process reads them by number, while a newer version beside it may add one to the table."""
    everything = re.compile(r"(SELECT|RETURNING)\s+(\w+\.)?\*", re.IGNORECASE)
    modules = [
        file for file in FILES if file.is_relative_to(ROOT / "services" / "alerting") and file.suffix in (".py", ".sql")
    ]
    assert modules
    assert [relative(file) for file in modules if everything.search(file.read_text())] == []


def test_no_file_names_a_machine_or_a_package_index() -> None:
    # Written in parts, so that this file does not match itself.
    forbidden = re.compile(
        "|".join(["/" + "work/", "/" + "root/", "pypi" + r"\.org", "maven" + r"\.apache", "files.python" + "hosted"])
    )
    found = []
    for file in FILES:
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{relative(file)}: {match}" for match in forbidden.findall(text) if match]
    assert found == []


@pytest.mark.parametrize("file", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(file: Path) -> None:
    text = re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://", "#")):
            assert (file.parent / target.split("#")[0]).exists(), f"{target} in {relative(file)}"


@pytest.mark.parametrize("file", DOCUMENTS, ids=relative)
def test_commands_in_documents_exist(file: Path) -> None:
    text = file.read_text()
    for target in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, re.MULTILINE):
        assert target in TARGETS, f"make {target} in {relative(file)}"
    for command in re.findall(r"(?:^|`|/)rufkette ([a-z][a-z-]*)", text, re.MULTILINE):
        assert command in COMMANDS, f"rufkette {command} in {relative(file)}"


@pytest.mark.parametrize("file", DOCUMENTS, ids=relative)
def test_paths_in_documents_exist(file: Path) -> None:
    for path in re.findall(
        r"`((?:schemas|services|docs|tests|config|requirements)/[A-Za-z0-9_./-]*)`", file.read_text()
    ):
        assert (ROOT / path).exists(), f"{path} in {relative(file)}"


def test_the_readme_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert "make run" in text
    assert "make test" in text
    for never in ("DIN EN 50726-1", "does not replace 110", "alarm line to the police", "emergency signal device"):
        assert never in text


def test_every_adr_is_numbered_and_has_the_same_parts() -> None:
    adrs = sorted((ROOT / "docs/adr").glob("*.md"))
    assert [adr.name[:4] for adr in adrs] == [f"{number:04}" for number in range(1, len(adrs) + 1)]
    for adr in adrs:
        for part in ("## Context", "## Decision", "## Consequences"):
            assert part in adr.read_text(), f"{part} in {relative(adr)}"


def test_hooks_are_local() -> None:
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
