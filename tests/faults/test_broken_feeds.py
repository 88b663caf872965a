"""Local feeds over several nights: what they change, that a broken one changes nothing, and a day assessed again."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from ecs_exposure.assessing import reassess
from ecs_exposure.lake import Lake
from ecs_exposure.scan import scan
from ecs_exposure.settings import load
from embedded_aws import EmbeddedAws

from tests.faults.conftest import DAY, coverage, results, severities

ORGANIZATION = "111111111111"
CVE = "CVE-2021-44228"


def written(folder: Path, day: date) -> dict[str, Path]:
    """Feeds of one day; EPSS falls from day to day, and CISA decided otherwise than the vector says."""
    score = 0.5 - 0.01 * (day - DAY).days
    catalogue = {"dateReleased": f"{day}T10:00:00Z", "vulnerabilities": [{"cveID": CVE, "dateAdded": "2021-12-10"}]}
    texts = {
        "epss_file": f"#model_version:v4,score_date:{day}T00:00:00+0000\ncve,epss,percentile\n{CVE},{score},0.9\n",
        "kev_file": json.dumps(catalogue),
        "vulnrichment_file": f"cve,automatable,technical_impact,exploitation\n{CVE},no,partial,active\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in texts}


def told(lake: Lake, day: date) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    columns = "severity, likelihood, driver, score, due_date"
    return (
        results(lake, day, f"select resource_id, {columns} from night.exposure order by all"),
        results(lake, day, "select finding_id, content_hash from night.finding order by all"),
        results(lake, day, "select * from night.vulnerability order by all"),
    )


def test_feeds_decide_break_and_are_assessed_again(aws: EmbeddedAws, lake: Lake, tmp_path: Path) -> None:
    settings = load(lake=lake.location, rate_share=1.0)
    scan(settings, lake, DAY)
    by_vector = severities(lake, DAY)
    days = [DAY + timedelta(days=number) for number in range(1, 4)]
    for day in days[:2]:
        scan(load(lake=lake.location, rate_share=1.0, **written(tmp_path, day)), lake, day)
    # KEV, exposed, not automatable, partial is "14 days" in BOD 26-04 where automatable and total were "3 days".
    by_cisa = severities(lake, days[1])
    web = "222222222222/web"
    assert (by_vector[web], by_cisa[web]) == ("HIGH", "MEDIUM")
    files = written(tmp_path, days[2])
    for path in files.values():
        path.write_text("broken")
    scan(load(lake=lake.location, rate_share=1.0, **files), lake, days[2])
    assert coverage(lake, days[2], ORGANIZATION, "kev_entry", "global")["status"] == "failed"
    assert severities(lake, days[2]) == by_cisa
    [known] = results(lake, days[2], "select * from night.vulnerability")
    assert (known["decision_source"], known["kev"]) == ("vulnrichment", True)

    before = [told(lake, day) for day in days]
    # EPSS and with it LEV moved from night to night; no finding did.
    assert len({rows[2][0]["lev"] for rows in before}) == len(days)
    assert before[0][1] == before[1][1] == before[2][1]
    for path in files.values():
        path.unlink()
    reassess(settings, lake, days[0])
    assert [told(lake, day) for day in days] == before
