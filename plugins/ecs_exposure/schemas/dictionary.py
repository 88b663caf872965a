"""The data dictionary, from the declarations: `python -m ecs_exposure.schemas.dictionary > docs/data-dictionary.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import pyarrow as pa

from ecs_exposure.schemas import Column, Table
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS

_HEAD = """\
# Data dictionary

Written from `plugins/ecs_exposure/schemas/` by `python -m ecs_exposure.schemas.dictionary`; a test keeps it current.

The result tables are public: `ecs-exposure sql` shows each of them over all assessed days under its own name, and as
`latest.<table>` on the last assessed day. Columns may be added, never renamed or removed; in files older than a column
it is NULL. NULL means unknown or not applicable, as the column says, and never zero.
"""
_VIEW = """\
### service_vulnerability

A view: `service_image` joined with `image_vulnerability`; one row per service × container × image × vulnerability ×
package. Columns of `image_vulnerability`, and `resource_id`, `account_id`, `container_name`, `image`, `is_running` of
the service.
"""
_SNAPSHOTS = """\
## Snapshot datasets

What AWS answered on one day, before any judgement. Internal: they may change between versions, and are kept for a
shorter time than results. Not shown by `ecs-exposure sql`. Files lie under `snapshots/<dataset>/snapshot_date=D/`.
"""


def data_dictionary() -> str:
    """Every table in Markdown: what a row is, its key, and of each column type, NULL, description and value set."""
    parts = [
        _HEAD,
        _contents("Results", RESULTS.values(), extra=["service_vulnerability"]),
        _contents("Snapshots", SNAPSHOTS.values()),
        "## Result tables\n",
        *map(_section, RESULTS.values()),
        _VIEW,
        _SNAPSHOTS,
        *map(_section, SNAPSHOTS.values()),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _contents(title: str, tables: Iterable[Table], extra: Iterable[str] = ()) -> str:
    names = [*(table.name for table in tables), *extra]
    return f"{title}: " + " · ".join(f"[{name}](#{name})" for name in names) + "\n"


def _section(table: Table) -> str:
    key = ", ".join(f"`{name}`" for name in table.key)
    lines = [f"### {table.name}", "", f"{table.row[:1].upper()}{table.row[1:]}. Key within a day: {key}.", ""]
    lines += ["| column | type | NULL | what it holds |", "|---|---|---|---|", *map(_row, table.columns), ""]
    return "\n".join(lines)


def _row(column: Column) -> str:
    values = f" One of {', '.join(f'`{value}`' for value in column.values)}." if column.values else ""
    description = f"{column.description[:1].upper()}{column.description[1:]}.{values}".replace("|", "\\|")
    return f"| `{column.name}` | {duckdb_type(column.type)} | {'yes' if column.nullable else ''} | {description} |"


def duckdb_type(type_: pa.DataType) -> str:
    """The type as DuckDB names it. Raises ValueError for one that no schema uses yet."""
    simple = {
        pa.string(): "VARCHAR",
        pa.bool_(): "BOOLEAN",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.date32(): "DATE",
        pa.timestamp("ms", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
    }
    if type_ in simple:
        return simple[type_]
    if pa.types.is_list(type_):
        return f"{duckdb_type(type_.value_type)}[]"
    if pa.types.is_struct(type_):
        return f"STRUCT({', '.join(_fields(type_))})"
    raise ValueError(f"{type_}: name it in schemas/dictionary.py")


def _fields(struct: pa.StructType) -> Iterator[str]:
    for index in range(struct.num_fields):
        yield f"{struct.field(index).name} {duckdb_type(struct.field(index).type)}"


if __name__ == "__main__":
    sys.stdout.write(data_dictionary())
