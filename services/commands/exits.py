"""How a command ends when it could not do its work."""

import sys
from typing import NoReturn

import typer


def fail(message: str, code: int) -> NoReturn:
    """A word on stderr; 2 is for what was asked wrongly, 1 for everything else."""
    print(message, file=sys.stderr)
    raise typer.Exit(code)
