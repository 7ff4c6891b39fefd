"""Rows of several tables in one statement: each round trip to the database is a third of a millisecond of an alarm."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_json
from sqlalchemy.dialects.postgresql import JSONB

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Insert:
    """How rows go into one table.

    `on_conflict` is what follows ON CONFLICT, or empty; `computed` are columns with an SQL expression over the row
    `r`; `returning` is a column whose inserted values the statement answers as texts, under the
    table's name.
    """

    table: sa.Table
    columns: tuple[str, ...]
    on_conflict: str = ""
    computed: tuple[tuple[str, str], ...] = ()
    returning: str = ""

    def as_cte(self, parameter: str, after: str) -> str:
        """`name_rows AS (INSERT … SELECT … FROM json_to_recordset(parameter))`; `after`: as for `statement`."""
        chosen = [self.table.c[name] for name in self.columns]
        names = ", ".join([f'"{column.name}"' for column in chosen] + [f'"{name}"' for name, _ in self.computed])
        values = ", ".join([_value(column) for column in chosen] + [expression for _, expression in self.computed])
        shape = ", ".join(f'"{column.name}" {_sent_as(column)}' for column in chosen)
        conflict = f" ON CONFLICT {self.on_conflict}" if self.on_conflict else ""
        conflict += f' RETURNING "{self.returning}"' if self.returning else ""
        name = self.table.name
        source = f"{after}, " if after else ""
        return (
            f"{name}_rows AS (INSERT INTO {name} ({names}) "  # noqa: S608 - names of our own tables, values are bound
            f"SELECT {values} FROM {source}json_to_recordset(CAST({parameter} AS json)) AS r({shape}){conflict})"
        )


def statement(inserts: Sequence[Insert], parameter: Callable[[str], str], *, first: str = "", after: str = "") -> str:
    """One statement that takes the rows of each table as JSON text.

    Args:
        inserts: the tables, each once.
        parameter: how the rows of a table are bound, from its name.
        first: common table expressions that come before.
        after: the name of one of them with exactly one row, which is computed before anything is inserted.
    """
    ctes = ", ".join([first] * bool(first) + [insert.as_cte(parameter(insert.table.name), after) for insert in inserts])
    answers = [
        f'ARRAY(SELECT "{insert.returning}"::text FROM {insert.table.name}_rows) AS {insert.table.name}'  # noqa: S608 - as above
        for insert in inserts
        if insert.returning
    ]
    return f"WITH {ctes} SELECT {', '.join(answers) or 1}{f' FROM {after}' if after else ''}"  # noqa: S608 - as above


def as_json(rows: Sequence[Row]) -> str:
    """Rows as the statement takes them."""
    try:
        return to_json(rows, bytes_mode="hex").decode()  # a quarter of the time that the standard library takes
    except ValueError:
        return json.dumps(rows, default=_plain)  # half a character: it is PostgreSQL that refuses it


def _value(column: sa.Column[Any]) -> str:
    match column.type:
        case sa.LargeBinary():
            return f"decode(r.\"{column.name}\", 'hex')"
        case JSONB():
            return f'CAST(r."{column.name}" AS jsonb)'
        case _:
            return f'r."{column.name}"'


def _sent_as(column: sa.Column[Any]) -> str:
    match column.type:
        case sa.LargeBinary() | JSONB() | sa.Text():
            return "text"
        case sa.ARRAY():
            return "text[]"
        case sa.DateTime():
            return "timestamptz"
        case sa.Boolean():
            return "boolean"
        case sa.Double():
            return "double precision"
        case sa.Uuid():
            return "uuid"
        case _:
            return "bigint"


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, datetime) else str(value)
