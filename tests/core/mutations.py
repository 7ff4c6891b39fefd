"""`make mutations`: change the core in one place at a time, and list the changes that tests/core does not notice.

Not a test: it takes minutes. Works on a copy, never on the files themselves.
"""

import argparse
import ast
import copy
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = Path("services/alerting/core")
MODULES = ("decide", "acting", "emergency", "escalation", "joining", "learning", "reporting", "splitting", "policy")
# Those that notice most first, the slow one last; all others of tests/core between them.
FIRST, LAST = ("test_states", "test_decide", "test_rules"), ("test_machine",)
_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}
_SWAPPED_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed place: the new source of the module, and what was changed."""

    path: Path
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  →  {self.after}"


def mutants(path: Path) -> Iterator[Mutant]:
    """Every single change of a module."""
    tree = ast.parse((ROOT / path).read_text())
    # Decorators say how a class is stored and how much is cached, nothing about rules.
    decorators = {id(n) for d in ast.walk(tree) for one in getattr(d, "decorator_list", ()) for n in ast.walk(one)}
    for index, node in enumerate(ast.walk(tree)):
        if id(node) in decorators:
            continue
        for number in range(_variants(node)):
            changed = copy.deepcopy(tree)
            place = next(n for i, n in enumerate(ast.walk(changed)) if i == index)
            before = ast.unparse(place)
            _change(place, number)
            after = ast.unparse(place)
            if before != after:
                line = getattr(node, "lineno", 0)
                yield Mutant(path, line, _short(before), _short(after), ast.unparse(changed))


def _short(code: str) -> str:
    line = " ".join(code.split())
    return line if len(line) <= 100 else f"{line[:97]}…"


def _variants(node: ast.AST) -> int:
    """In how many ways a node can be changed."""
    match node:
        case ast.Compare(ops=ops):
            return sum(type(op) in _SWAPPED for op in ops)
        case ast.Call(func=ast.Name(id="replace"), keywords=keywords):
            return len(keywords)
        case ast.Call(func=ast.Name(id=name)) if name in _SWAPPED_NAMES:
            return 1
        case ast.Tuple(elts=elements, ctx=ast.Load()):
            return len(elements) if len(elements) > 1 and _is_of_effects(elements) else 0
        case ast.BoolOp() | ast.IfExp() | ast.UnaryOp(op=ast.Not()) | ast.If():
            return 1
        case ast.BinOp(op=op):
            return int(type(op) in _SWAPPED)
        case ast.Constant(value=value):
            return int(isinstance(value, int | bool))
        case _:
            return 0


def _is_of_effects(elements: list[ast.expr]) -> bool:
    """A tuple that strings effects or reports together; taking one out leaves valid code."""
    return any(isinstance(element, ast.Starred) for element in elements)


def _change(node: ast.AST, number: int) -> None:
    match node:
        case ast.Compare():
            node.ops[number] = _SWAPPED[type(node.ops[number])]()  # type: ignore[call-overload]
        case ast.Call(func=ast.Name(id="replace")):
            del node.keywords[number]
        case ast.Call(func=ast.Name() as name):
            name.id = _SWAPPED_NAMES[name.id]
        case ast.Tuple():
            del node.elts[number]
        case ast.BoolOp() | ast.BinOp():
            node.op = _SWAPPED[type(node.op)]()  # type: ignore[assignment]
        case ast.IfExp():
            node.body, node.orelse = node.orelse, node.body
        case ast.UnaryOp():
            node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
        case ast.If():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.Constant(value=bool() as value):
            node.value = not value
        case ast.Constant(value=int() as value):
            node.value = value + 1
        case _:
            raise AssertionError(node)


def noticed(mutant: Mutant, copies: "queue.Queue[Path]") -> bool:
    """Whether any test of the core fails with it."""
    place = copies.get()
    file = place / mutant.path
    original = file.read_text()
    try:
        file.write_text(mutant.source)
        command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *_tests(place)]
        # With CI set, Hypothesis tries the same examples each time.
        environment = os.environ | {"CI": "1"}
        try:
            done = subprocess.run(command, cwd=place, capture_output=True, check=False, timeout=180, env=environment)
        except subprocess.TimeoutExpired:
            return True  # it runs for ever
        return done.returncode != 0
    finally:
        file.write_text(original)
        copies.put(place)


def _tests(place: Path) -> list[str]:
    names = {file.stem for file in (place / "tests/core").glob("test_*.py")} - {*FIRST, *LAST}
    return [f"tests/core/{name}.py" for name in (*FIRST, *sorted(names), *LAST)]


def _copy(target: Path) -> Path:
    skip = shutil.ignore_patterns("__pycache__", "node_modules", ".hypothesis")
    for name in ("schemas", "services", "tests"):
        shutil.copytree(ROOT / name, target / name, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def main() -> int:
    """Write the survivors and the share of mutants that was noticed; 1 when the copies cannot be trusted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--sample", type=int, help="so many mutants, picked at random (always the same ones)")
    parser.add_argument("--module", choices=MODULES, action="append")
    arguments = parser.parse_args()
    paths = [CORE / f"{name}.py" for name in arguments.module or MODULES]
    found = [mutant for path in paths for mutant in mutants(path)]
    if arguments.sample is not None and arguments.sample < len(found):
        found = random.Random(1).sample(found, arguments.sample)  # noqa: S311 – a choice, not a secret
    with tempfile.TemporaryDirectory() as directory:
        copies: queue.Queue[Path] = queue.Queue()
        for number in range(arguments.jobs):
            copies.put(_copy(Path(directory) / str(number)))
        broken = Mutant(CORE / "decide.py", 1, "", "", "raise RuntimeError")
        same = Mutant(CORE / "decide.py", 1, "", "", (ROOT / CORE / "decide.py").read_text())
        if noticed(same, copies) or not noticed(broken, copies):
            sys.stderr.write("tests/core must pass without a change and fail with a broken module\n")
            return 1
        with ThreadPoolExecutor(arguments.jobs) as pool:
            answers = list(zip(found, pool.map(lambda mutant: noticed(mutant, copies), found), strict=True))
    survivors = [mutant for mutant, seen in answers if not seen]
    sys.stdout.write("".join(f"{mutant}\n" for mutant in survivors))
    sys.stdout.write(f"{len(found) - len(survivors)} of {len(found)} changes were noticed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
