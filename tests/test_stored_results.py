"""What assessing leaves in the lake: the rows of the models, as declared, and the same bytes each time."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ecs_exposure.assessing import assess
from ecs_exposure.lake import Lake
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.settings import load

from tests.exposures import night as nights
from tests.exposures.generated import shapes

DAY = nights.DAY


@pytest.fixture(scope="module")
def night() -> nights.Night:
    made = nights.Night()
    for number, shape in enumerate(shapes(5, 60)):
        made.service(f"s{number}", shape)
    return made


@pytest.fixture(scope="module")
def lake(night: nights.Night, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("stored") / "lake"
    with Lake.open(str(place), create=True) as opened:
        night.write(opened)
        assess(load(lake=str(place)), opened, DAY)
    return place


def stored(lake: Path) -> dict[str, bytes]:
    with Lake.open(str(lake)) as opened:
        return {name: (lake / file).read_bytes() for name, files in opened.day(DAY).files.items() for file in files}


def test_every_file_has_the_declared_columns(lake: Path) -> None:
    tables = stored(lake)
    assert {"image_vulnerability", "exposure", "fix", "driver", "scenario", "trait_hit"} <= tables.keys()
    for name, data in tables.items():
        found = pq.ParquetFile(pa.BufferReader(data)).schema_arrow.remove_metadata()
        assert found == RESULTS[name].schema.remove_metadata(), name


def test_vulnerabilities_are_stored_as_the_model_has_them_image_after_image(lake: Path, night: nights.Night) -> None:
    rows = pq.ParquetFile(pa.BufferReader(stored(lake)["image_vulnerability"])).read().to_pylist()
    made = nights.assess(night).rows("image_vulnerability")
    assert len(rows) > 100
    assert sorted(map(repr, rows)) == sorted(repr({name: row[name] for name in rows[0]}) for row in made)
    images = [(row["registry_account"], row["region"], row["repository_name"], row["image_digest"]) for row in rows]
    assert images == sorted(images)


def test_assessing_again_stores_the_same_bytes(lake: Path) -> None:
    before = stored(lake)
    with Lake.open(str(lake)) as opened:
        assess(load(lake=str(lake)), opened, DAY)
    assert stored(lake) == before


def test_a_night_without_any_finding_is_stored(tmp_path: Path) -> None:
    night = nights.Night()
    night.service("clean", public=True, role="admin")
    with Lake.open(str(tmp_path / "lake"), create=True) as opened:
        night.write(opened)
        assess(load(lake=opened.location), opened, DAY)
        assert "image_vulnerability" not in opened.day(DAY).files
        assert "exposure" in opened.day(DAY).files
