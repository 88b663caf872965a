"""The gate's Great Expectations suites, derived from schemas/: one validation per batch and dataset, one cross-table
validation a night.

Great Expectations costs a fixed fifth of a CPU-second a validation, so rows are validated a batch at a time, never a
target at a time, and across batches only a small profile computed by DuckDB is validated. It is imported on first use:
the import alone takes seconds.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from ecs_exposure.schemas import Table
from ecs_exposure.schemas.results import COVERAGE_STATUSES

MAX_FRAME_ROWS = 250_000
"""Rows validated at once: a frame of this size costs well under a second and some 200 MB."""

TargetKey = tuple[str, str]
"""(account_id, region)"""

_PROBABILITIES = {"epss"}
_BASE_SCORES = {"cvss_base_score"}


def offending_targets(dataset: Table, rows: pa.Table) -> dict[TargetKey, str]:
    """Targets whose rows break the dataset's suite, each with what is wrong; empty when all rows may be written.

    The suite: no NULL where the schema allows none, only declared values, account ids of twelve digits, probabilities
    within 0–1, base scores within 0–10, and the key unique. List and struct columns are typed by Arrow already and not
    framed.
    """
    offending: dict[TargetKey, str] = {}
    for chunk in _chunks(rows):
        for target, what in _validate(dataset, chunk):
            offending.setdefault(target, what)
    return offending


def _chunks(rows: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, rows.num_rows, MAX_FRAME_ROWS):
        yield rows.slice(start, MAX_FRAME_ROWS)


def _validate(dataset: Table, rows: pa.Table) -> Iterator[tuple[TargetKey, str]]:
    gx = _import()
    context = _context()  # before the suite: adding an expectation asks for the active context
    suite = gx.ExpectationSuite(name=dataset.name)
    for expectation in _expectations(dataset):
        suite.add_expectation(expectation)
    flat = [column.name for column in dataset.columns if not pa.types.is_nested(column.type)]
    frame = rows.select(flat).to_pandas()
    batch = context.data_sources.pandas_default.read_dataframe(frame)
    outcome = batch.validate(
        suite,
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": ["account_id", "region"],
            "include_unexpected_rows": False,
        },
    )
    for result in outcome.results:
        if result.success:
            continue
        what = _describe(dataset, result)
        if result.exception_info.get("raised_exception"):
            raise RuntimeError(f"{dataset.name}: {what} could not be evaluated: {result.exception_info}")
        for index in result.result.get("unexpected_index_list") or ():
            yield (str(index["account_id"]), str(index["region"])), what


def _expectations(dataset: Table) -> Iterator[Any]:
    from great_expectations import expectations as gxe

    for column in dataset.columns:
        if not column.nullable:
            yield gxe.ExpectColumnValuesToNotBeNull(column=column.name)
        if column.values is not None:
            yield gxe.ExpectColumnValuesToBeInSet(column=column.name, value_set=list(column.values))
        if column.name == "account_id":
            yield gxe.ExpectColumnValuesToMatchRegex(column=column.name, regex=r"^\d{12}$")
        if column.name in _PROBABILITIES:
            yield gxe.ExpectColumnValuesToBeBetween(column=column.name, min_value=0, max_value=1)
        if column.name in _BASE_SCORES:
            yield gxe.ExpectColumnValuesToBeBetween(column=column.name, min_value=0, max_value=10)
    # A key identifies a row within its target; two accounts may well have the same repository name and digest.
    key = dict.fromkeys(("account_id", "region", *dataset.key))
    yield gxe.ExpectCompoundColumnsToBeUnique(column_list=list(key), ignore_row_if="never")


def _describe(dataset: Table, result: Any) -> str:
    arguments = result.expectation_config.kwargs
    where = arguments.get("column") or " + ".join(arguments.get("column_list", ()))
    rule = result.expectation_config.type.removeprefix("expect_").replace("_", " ")
    return f"{dataset.name}.{where}: {rule}"


def validate_profile(profile: pa.Table, *, collapse_share: float, docs: Path) -> list[dict[str, Any]]:
    """Validate the night's cross-table profile and build Data Docs once, as HTML under `docs`.

    `profile` has one row per target × dataset: account_id, region, dataset, status, rows, row_share (today's rows over
    those of the last day the target was seen; NULL when there is nothing to compare), dangling_count (rows that name a
    task definition that was not seen), missing_role_count (roles named but not there). Returns the failures:
    account_id, region, dataset, what.
    """
    gx = _import()
    from great_expectations import expectations as gxe
    from great_expectations.checkpoint import UpdateDataDocsAction

    context = _new_context()  # of its own: names are unique within one, and a night may be gated twice
    site = f"data_docs_{docs.name}"
    context.add_data_docs_site(
        site_name=site,
        site_config={
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
        },
    )
    suite = context.suites.add(gx.ExpectationSuite(name=f"night of {docs.name}"))
    rules = (
        gxe.ExpectColumnValuesToNotBeNull(column="status", notes="Every target has a coverage row for each dataset."),
        gxe.ExpectColumnValuesToBeInSet(column="status", value_set=list(COVERAGE_STATUSES)),
        gxe.ExpectColumnValuesToBeBetween(
            column="row_share",
            min_value=collapse_share,
            notes="Row counts have not collapsed against the last day the target was seen.",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="dangling_count", max_value=0, notes="Every task definition that a service runs was seen."
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="missing_role_count",
            max_value=0,
            notes="Every role that is named exists; a missing one makes the impact Unknown, nothing is quarantined.",
        ),
    )
    for rule in rules:
        suite.add_expectation(rule)
    asset = context.data_sources.add_pandas(f"profile of {docs.name}").add_dataframe_asset("targets × datasets")
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(
            name=f"gate of {docs.name}", data=asset.add_batch_definition_whole_dataframe("night"), suite=suite
        )
    )
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name=f"gate of {docs.name}",
            validation_definitions=[definition],
            actions=[UpdateDataDocsAction(name="docs", site_names=[site])],
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": ["account_id", "region", "dataset"],
            },
        )
    )
    outcome = checkpoint.run(batch_parameters={"dataframe": profile.to_pandas()})
    _link_night(docs)
    failures = []
    for validation in outcome.run_results.values():
        for result in validation.results:
            if result.success:
                continue
            if result.exception_info.get("raised_exception"):
                raise RuntimeError(
                    f"the gate could not evaluate {result.expectation_config.type}: {result.exception_info}"
                )
            column = result.expectation_config.kwargs["column"]
            failures += [
                {
                    "account_id": index["account_id"],
                    "region": index["region"],
                    "dataset": index["dataset"],
                    "what": column,
                }
                for index in result.result.get("unexpected_index_list") or ()
            ]
    return failures


NIGHT_PAGE = "night.html"
"""Leads to the night's validation page. Great Expectations' own index needs scripts from the web to show anything."""


def _link_night(docs: Path) -> None:
    (page,) = docs.glob("validations/**/*.html")
    target = quote(page.relative_to(docs).as_posix())
    (docs / NIGHT_PAGE).write_text(
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={target}">'
        f'<title>The gate</title><a href="{target}">What the gate checked</a>\n',
        encoding="utf-8",
    )


_CONTEXT: Any = None


def _import() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    return gx


def _context() -> Any:
    global _CONTEXT
    if _CONTEXT is None:
        _CONTEXT = _new_context()
    return _CONTEXT


def _new_context() -> Any:
    context = _import().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    return context
