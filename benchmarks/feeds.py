"""Do the feeds' readers take real files, and does KEV meet what Amazon Inspector reports?

    PYTHONPATH=plugins:examples python benchmarks/feeds.py --data FOLDER

Reads every kev_*.csv and epss_observed.csv in FOLDER through the product's readers, and looks up the vulnerabilities of
the samples in FOLDER's neighbour `inspector`. Exits 1 when a file cannot be read, or nothing joins.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from ecs_exposure.feed_files import EpssFeed, Feed, FeedError, KevFeed

REFUSALS_SHOWN = 3
_CVE = re.compile(r"CVE-\d{4}-\d{4,19}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of kev_*.csv and epss_observed.csv")
    arguments = parser.parse_args()
    files = [*sorted(arguments.data.glob("kev_*.csv")), *sorted(arguments.data.glob("epss_observed.csv"))]
    samples = sorted((arguments.data.parent / "inspector").glob("*.json"))
    if not files or not samples:
        parser.error(f"{arguments.data} holds no kev_*.csv or epss_observed.csv, or has no samples in ../inspector")
    reported = {found for path in samples for found in _CVE.findall(path.read_text(encoding="utf-8"))}
    print(f"{len(samples)} samples of Amazon Inspector name {len(reported)} vulnerabilities")
    return max([_read(path, reported) for path in files])


def _read(path: Path, reported: set[str]) -> int:
    """Print what one file gave; 1 when it could not be read or covers nothing that was reported."""
    feed: Feed = KevFeed(path) if path.name.startswith("kev_") else EpssFeed(path)
    refused: list[tuple[int, str]] = []
    try:
        known = {row["vulnerability_id"] for row in feed.rows(refuse=lambda line, why: refused.append((line, why)))}
    except FeedError as error:
        print(error, file=sys.stderr)
        return 1
    joined = sorted(known & reported)
    print(
        f"{path.name}: {feed.entries} entries of {feed.feed_date or 'no day'} read, {len(refused)} lines refused, "
        f"{len(known)} vulnerabilities, {len(joined)} of them reported: {', '.join(joined) or 'none'}"
    )
    for line, why in refused[:REFUSALS_SHOWN]:
        print(f"  line {line}: {why}")
    return 0 if joined else 1


if __name__ == "__main__":
    sys.exit(main())
