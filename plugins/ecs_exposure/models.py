"""Runs the SQL models of `sql/` in the order in which they read each other.

A model is one `.sql` file holding one SELECT; its path is its table name (`sql/resources/service.sql` is
`resources.service`). Around the files the runner provides `traits.catalogue` and `traits.all`; everything else a model
may read (`snapshot.*`, `reference.*`, `previous.*`, `rebased.*`, `run.day`) is attached before it runs. A model whose
name is a declared result table must have exactly its columns. A model becomes a table, or a view where no model reads
it or its text begins with `-- As a view`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
import yaml

from ecs_exposure.databases import attach_functions, connect
from ecs_exposure.schemas import Table
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS

FOLDERS = ("resources", "traits", "exposures", "findings")
"""Folders in the order of the flow; a model reads its own folder and those before it."""

GIVEN = frozenset({"snapshot", "reference", "previous", "rebased", "run"})
PROVIDED = frozenset({"traits.catalogue", "traits.all"})
TRAIT_COLUMNS = ["resource_id", "account_id", "region", "evidence"]

Observer = Callable[[str, float], None]
"""Told each model's name and its seconds."""


class ModelError(ValueError):
    """A model or trait text is wrong; the message names the file and what to change."""


@dataclass(frozen=True)
class Model:
    """One SQL file: `name` is `<folder>.<stem>`, `reads` the qualified tables of its FROM clauses."""

    name: str
    path: Path
    select: str
    reads: frozenset[str]

    @property
    def folder(self) -> str:
        return self.name.partition(".")[0]

    @property
    def stem(self) -> str:
        return self.name.partition(".")[2]

    @property
    def is_view(self) -> bool:
        """Whether it is computed each time it is read: its text begins with `-- As a view`."""
        return self.select.startswith("-- As a view")

    @property
    def result(self) -> Table | None:
        """The declared result table it fills, if any; traits fill `trait_hit` together."""
        return RESULTS.get(self.stem) if self.folder != "traits" else None


@dataclass(frozen=True)
class TraitText:
    """Front matter of `<trait>.md`: title and category in AWS's words, the datasets the trait needs, and what to do.

    `is_ours`: a trait beyond those that AWS's exposure findings know; pages show it after theirs.
    """

    trait: str
    title: str
    category: str
    datasets: tuple[str, ...]
    url: str
    recommendation: str
    fix: str
    remediation: str
    is_ours: bool = False


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    return connect()


@lru_cache(maxsize=1_000)  # a day whose rules changed is built twice
def tables_read(select: str, where: Path) -> frozenset[str]:
    """The qualified tables one SELECT reads, found by parsing only.

    Raises ModelError for a syntax error, for anything but exactly one SELECT, and for a table without its schema.
    """
    row = _parser().execute("select json_serialize_sql(?)", [select]).fetchone()
    tree = json.loads(row[0]) if row else {}
    if tree.get("error"):
        raise ModelError(f"{where}: {tree.get('error_message', 'not a SELECT')}")
    if len(tree["statements"]) != 1:
        raise ModelError(f"{where}: a model is exactly one SELECT, found {len(tree['statements'])} statements")
    found: set[str] = set()
    named: set[str] = set()
    for node in _nodes(tree):
        if node.get("type") == "BASE_TABLE":
            found.add(f"{node['schema_name']}.{node['table_name']}" if node["schema_name"] else node["table_name"])
        for entry in node.get("cte_map", {}).get("map", []) if isinstance(node.get("cte_map"), dict) else []:
            named.add(entry["key"])
    if bare := sorted(name for name in found if "." not in name and name not in named):
        raise ModelError(f"{where}: write {', '.join(bare)} with its folder, e.g. resources.{bare[0]}")
    return frozenset(name for name in found if "." in name)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def load(sql: Path) -> list[Model]:
    """Every model of `sql/`, ordered so that each comes after what it reads.

    Raises ModelError naming the file for a syntax error, an unknown table, a folder read against the flow, or a cycle.
    """
    models: dict[str, Model] = {}
    for folder in FOLDERS:
        for path in sorted((sql / folder).glob("*.sql")):
            select = path.read_text(encoding="utf-8").strip().rstrip(";")
            model = Model(f"{folder}.{path.stem}", path, select, tables_read(select, path))
            models[model.name] = model
    if not models:
        raise ModelError(f"{sql}: no SQL models there; point ECS_EXPOSURE_SQL at the project's sql folder")
    graph: dict[str, set[str]] = {
        "traits.catalogue": set(),
        "traits.all": {name for name in models if name.startswith("traits.")}
        | {"traits.catalogue", "resources.service_coverage"},
    }
    for model in models.values():
        graph[model.name] = set()
        for name in model.reads:
            schema = name.partition(".")[0]
            if schema in GIVEN:
                continue
            if name not in models and name not in PROVIDED:
                raise ModelError(f"{model.path}: reads {name}, which no model makes")
            if FOLDERS.index(schema) > FOLDERS.index(model.folder):
                raise ModelError(f"{model.path}: {model.folder}/ comes before {schema}/ and must not read {name}")
            graph[model.name].add(name)
    try:
        order = list(TopologicalSorter({node: sorted(graph[node]) for node in sorted(graph)}).static_order())
    except CycleError as error:
        raise ModelError(f"{sql}: models read each other in a circle: {' → '.join(error.args[1])}") from None
    # Folders run one after another: traits.all stands between traits/ and exposures/.
    return sorted((models[name] for name in order if name in models), key=lambda model: FOLDERS.index(model.folder))


def trait_texts(sql: Path) -> list[TraitText]:
    """The texts of all traits, by name. Raises ModelError naming the file and field that is missing or wrong."""
    texts = []
    for path in sorted((sql / "traits").glob("*.sql")):
        text = path.with_suffix(".md")
        if not text.exists():
            raise ModelError(f"{path}: every trait has its text beside it; write {text.name}")
        parts = text.read_text(encoding="utf-8").split("---\n", 2)
        if len(parts) != 3:
            raise ModelError(f"{text}: begins with front matter between two lines of ---")
        front = yaml.safe_load(parts[1])
        fields = ("title", "category", "datasets", "url", "recommendation", "fix")
        if missing := [field for field in fields if not front.get(field)]:
            raise ModelError(f"{text}: front matter lacks {', '.join(missing)}")
        if unknown := sorted(set(front["datasets"]) - SNAPSHOTS.keys()):
            raise ModelError(
                f"{text}: datasets names {', '.join(unknown)}, which schemas/snapshots.py does not declare"
            )
        if len(front["recommendation"]) > 512:
            raise ModelError(
                f"{text}: recommendation has {len(front['recommendation'])} characters, Security Hub takes 512"
            )
        texts.append(
            TraitText(
                path.stem, front["title"], front["category"], tuple(front["datasets"]), front["url"],
                front["recommendation"].strip(), front["fix"].strip(), parts[2].strip(), bool(front.get("is_ours")),
            )
        )  # fmt: skip
    return texts


def rules_version(sql: Path, *detectors: str) -> str:
    """Twelve hex digits over everything that decides a result: models, trait texts, reference tables and detector
    versions.
    """
    digest = hashlib.sha256("\0".join(detectors).encode())
    for folder in ("reference", "resources", "traits", "exposures"):
        for path in sorted((sql / folder).iterdir() if (sql / folder).is_dir() else []):
            digest.update(f"\0{folder}/{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def build(
    connection: duckdb.DuckDBPyConnection, sql: Path, *, observe: Observer | None = None, results_only: bool = False
) -> list[str]:
    """Materialise every model in order in a database that has snapshot, reference, previous, rebased and run attached.

    With `results_only` a table is dropped once no result needs it any more: a large day's would fill the memory.
    Returns the names of the result tables made, as `<schema>.<table>`. Raises ModelError naming file and message when a
    model does not run or does not have the columns its result table declares.
    """
    texts = trait_texts(sql)
    models = load(sql)
    attach_functions(connection)
    results: list[str] = []
    for folder in FOLDERS:
        connection.execute(f"create schema if not exists {folder}")
    _create_catalogue(connection, texts)
    has_traits = False
    views = _views(models)
    last_reads = _last_reads(models)
    for model in models:
        if model.folder in ("exposures", "findings") and not has_traits:
            _create_traits(connection, texts)
            has_traits = True
        began = time.perf_counter()
        try:
            _create(connection, model, is_view=model.name in views)
        except duckdb.Error as error:
            raise ModelError(f"{model.path}: {error}") from error
        if model.result:
            results.append(model.name)
        if results_only:
            for name in last_reads.get(model.name, ()):
                connection.execute(f"drop table if exists {name}")
        if observe:
            observe(model.name, time.perf_counter() - began)
    return results


def _views(models: Sequence[Model]) -> frozenset[str]:
    """Models computed each time they are asked for: those that say so, and what no model reads."""
    read = frozenset().union(*(model.reads for model in models))
    return frozenset(model.name for model in models if model.is_view or model.name not in read)


def _last_reads(models: Sequence[Model]) -> dict[str, list[str]]:
    """Model → models' tables that nobody reads once it is built. Traits are read by `traits.all`; results, and what
    a view reads, are read in the end.
    """
    views = _views(models)
    kept = {model.name for model in models if model.result or model.folder == "traits"} | views
    kept |= {name for model in models if model.name in views for name in model.reads}
    last = {name: model.name for model in models for name in model.reads}  # the last in order wins
    gone: dict[str, list[str]] = {}
    for model in models:
        if model.name not in kept:
            gone.setdefault(last[model.name], []).append(model.name)
    return gone


def _create(connection: duckdb.DuckDBPyConnection, model: Model, *, is_view: bool) -> None:
    target = f'{model.folder}."{model.stem}"'
    declared = model.result
    kind = "view" if is_view else "table"
    if declared is None:
        connection.execute(
            f"create or replace {'table' if model.folder == 'traits' else kind} {target} as {model.select}"
        )
        if model.folder == "traits" and _columns(connection, target) != TRAIT_COLUMNS:
            raise ModelError(f"{model.path}: a trait selects exactly {', '.join(TRAIT_COLUMNS)}")
        return
    described = {row[0] for row in connection.execute(f"describe {model.select}").fetchall()}
    wanted = set(declared.column_names)
    if "snapshot_date" in wanted:
        described.add("snapshot_date")
    if described != wanted:
        lacks, extra = sorted(wanted - described), sorted(described - wanted)
        raise ModelError(f"{model.path}: lacks {lacks or 'nothing'}, has beyond its schema {extra or 'nothing'}")
    types = _types(connection, declared)
    listed = ", ".join(
        f"cast((select snapshot_date from run.day) as date) as {name}"
        if name == "snapshot_date"
        else f'cast("{name}" as {types[name]}) as "{name}"'
        for name in declared.column_names
    )
    connection.execute(f"create or replace {kind} {target} as select {listed} from ({model.select}\n)")


def _columns(connection: duckdb.DuckDBPyConnection, target: str) -> list[str]:
    return [row[0] for row in connection.execute(f"describe {target}").fetchall()]


def _types(connection: duckdb.DuckDBPyConnection, declared: Table) -> dict[str, str]:
    connection.register("declared_columns", declared.schema.empty_table())
    types = {row[0]: row[1] for row in connection.execute("describe declared_columns").fetchall()}
    connection.unregister("declared_columns")
    return types


def _create_catalogue(connection: duckdb.DuckDBPyConnection, texts: list[TraitText]) -> None:
    connection.execute(
        """create or replace table traits.catalogue (trait varchar, title varchar, category varchar, datasets varchar[],
        url varchar, recommendation varchar, fix varchar, is_ours boolean)"""
    )
    for text in texts:
        connection.execute(
            "insert into traits.catalogue values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                text.trait, text.title, text.category, list(text.datasets), text.url, text.recommendation, text.fix,
                text.is_ours,
            ],
        )  # fmt: skip


def _create_traits(connection: duckdb.DuckDBPyConnection, texts: list[TraitText]) -> None:
    """`traits.all`: hits folded per service and trait, and `unknown` where a needed dataset was not seen today."""
    hits = " union all ".join(
        f"""select resource_id, account_id, region, '{text.trait}' as trait, to_json(evidence)::varchar as evidence
        from traits."{text.trait}\""""
        for text in texts
    )
    connection.execute(
        f"""create or replace table traits.all as
        with hit as ({hits}),
        folded as (
            select resource_id, trait, account_id, region,
                '[' || case when len(evidence) = 1 then evidence[1]
                    else array_to_string(list_sort(list_distinct(evidence)), ',') end || ']' as evidence
            from (
                select resource_id, trait, min(account_id) as account_id, min(region) as region,
                    list(evidence) as evidence
                from hit group by resource_id, trait
            )
        ),
        -- Most services were seen alike, as the sum of what was seen tells: what a trait needs is looked up for one of
        -- them.
        sight as (
            select resource_id, sum((hash(dataset, status = 'ok', observed_date) >> 8)::bigint) as seen
            from resources.service_coverage
            group by resource_id
        ),
        alike as (
            select seen, min(resource_id) as resource_id, row_number() over () as sight_id from sight group by seen
        ),
        needed as materialized (
            select alike.sight_id, catalogue.trait,
                bool_and(coverage.status = 'ok') as is_seen, min(coverage.observed_date) as observed_date
            from alike
            join resources.service_coverage as coverage using (resource_id)
            join (select trait, unnest(datasets) as dataset from traits.catalogue) as catalogue
                on catalogue.dataset = coverage.dataset
            group by alike.sight_id, catalogue.trait
        ),
        looked as materialized (
            select sight.resource_id, alike.sight_id from sight join alike on alike.seen = sight.seen
        ),
        decided as (
            select folded.resource_id, folded.account_id, folded.region, folded.trait, 'hit' as state, folded.evidence
            from folded
            union all
            select service.resource_id, service.account_id, service.region, needed.trait, 'unknown', null
            from needed
            join looked using (sight_id)
            join resources.service as service on service.resource_id = looked.resource_id
            anti join folded on folded.resource_id = looked.resource_id and folded.trait = needed.trait
            where not needed.is_seen
        )
        select decided.resource_id, decided.account_id, decided.region, decided.trait, catalogue.category,
            decided.state, decided.evidence,
            coalesce(needed.observed_date < day.snapshot_date, false) as is_carried,
            coalesce(needed.observed_date, day.snapshot_date) as observed_date
        from decided
        join traits.catalogue as catalogue using (trait)
        left join looked on looked.resource_id = decided.resource_id
        left join needed on needed.sight_id = looked.sight_id and needed.trait = decided.trait
        cross join run.day as day"""
    )
