"""Every table of the lake, declared once: name, what a row means, key, columns with descriptions and value sets.

Parquet schemas, DuckDB's empty typed tables, the Great Expectations suites and docs/data-dictionary.md are all derived from here.
A schema changes only by adding columns: old Parquet files are read with the missing columns as NULL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

STRINGS = pa.list_(pa.string())


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, what it holds, whether NULL ("unknown") is allowed, and its closed value set if it has one."""

    name: str
    type: pa.DataType
    description: str
    nullable: bool = True
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """One table: `row` says what one row means, `key` names the columns that identify it within a day."""

    name: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema that every file and every DuckDB table of this name has."""
        return pa.schema([pa.field(column.name, column.type) for column in self.columns])

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def to_arrow(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Rows as an Arrow table of exactly this schema.

        Columns a row leaves out are NULL. Raises ValueError naming table, column and type (never the value, which could be a secret)
        for an undeclared column or a value of the wrong type.
        """
        materialised = list(rows)
        known = set(self.column_names)
        for row in materialised:
            if unknown := sorted(set(row) - known):
                raise ValueError(f"{self.name}: undeclared column(s) {', '.join(unknown)}; declare them in schemas/")
        arrays = []
        for column in self.columns:
            try:
                arrays.append(pa.array([row.get(column.name) for row in materialised], type=column.type))
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
                kinds = sorted({type(row.get(column.name)).__name__ for row in materialised})
                raise ValueError(
                    f"{self.name}.{column.name}: expected {column.type}, got values of type {', '.join(kinds)}"
                ) from None  # Arrow's own message quotes the value
        return pa.Table.from_arrays(arrays, schema=self.schema)


def column(
    name: str, type_: pa.DataType, description: str, *, nullable: bool = True, values: Iterable[str] | None = None
) -> Column:
    return Column(name, type_, description, nullable, tuple(values) if values is not None else None)


def table(name: str, row: str, key: str, columns: Iterable[Column]) -> Table:
    """Declare a table; `key` is a space-separated list of column names."""
    declared = tuple(columns)
    names = [item.name for item in declared]
    if missing := set(key.split()) - set(names):
        raise ValueError(f"{name}: key column(s) {sorted(missing)} not declared")
    if len(set(names)) != len(names):
        raise ValueError(f"{name}: a column is declared twice")
    return Table(name, row, tuple(key.split()), declared)
