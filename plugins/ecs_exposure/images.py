"""Which images the second wave asks ECR and Amazon Inspector about: the digests that run, and little else."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from ecs_exposure.collectors.images import ImageRequest

# Registry hosts: https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html (dual-stack and FIPS endpoints
# included).
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.(?:aws|amazonwebservices\.com\.cn))/"
    r"(?P<repository>[a-z0-9][a-z0-9._/-]*)(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)

REQUEST_DATASETS = ("service", "deployment", "task", "task_container", "container")
"""Datasets that `image_requests` reads."""

DORMANT_DAYS = 7
"""A dormant service keeps the vulnerability traits of the images last seen running for so many days."""


@dataclass(frozen=True)
class ImageReference:
    """An image in ECR as a task names it."""

    account_id: str
    region: str
    repository_name: str
    tag: str | None
    digest: str | None


def parse_image(image: str | None) -> ImageReference | None:
    """The ECR image a reference names; None for images outside ECR. Without tag and digest the tag is `latest`."""
    match = _ECR.fullmatch((image or "").strip())
    if not match:
        return None
    tag = match["tag"] or (None if match["digest"] else "latest")
    return ImageReference(match["account"], match["region"], match["repository"], tag, match["digest"])


def image_requests(connection: duckdb.DuckDBPyConnection, day: date) -> list[ImageRequest]:
    """One request per repository, sorted, from `snapshot.*` of the first wave and `previous.service_image`.

    Running containers are asked for by digest (by tag while ECS reports none); services with nothing running by the
    tags their definitions name, and by the digests they were last seen running during the last seven days.
    """
    named: list[tuple[str | None, str | None]] = connection.execute(
        """select distinct image, image_digest from snapshot.task_container
        union
        select distinct container.image, null
        from snapshot.service as service
        join snapshot.deployment as deployment using (account_id, region, resource_id)
        join snapshot.container as container
            on container.account_id = service.account_id and container.region = service.region
            and container.task_definition_arn = deployment.task_definition_arn
        where not exists (select 1 from snapshot.task as task where task.resource_id = service.resource_id)"""
    ).fetchall()
    digests: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    tags: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for image, running in named:
        if reference := parse_image(image):
            repository = (reference.account_id, reference.region, reference.repository_name)
            if digest := running or reference.digest:
                digests[repository].add(digest)
            elif reference.tag:
                tags[repository].add(reference.tag)
    remembered = connection.execute(
        """select distinct registry_account, registry_region, repository_name, image_digest from previous.service_image
        where registry_account is not null and image_digest is not null and last_running_date >= ?""",
        [day - timedelta(days=DORMANT_DAYS)],
    ).fetchall()
    for account_id, region, repository_name, digest in remembered:
        digests[(account_id, region, repository_name)].add(digest)
    return [
        ImageRequest(*repository, image_digests=frozenset(digests[repository]), image_tags=frozenset(tags[repository]))
        for repository in sorted({*digests, *tags})
    ]


def regions_of(requests: Iterable[ImageRequest]) -> list[str]:
    return sorted({request.region for request in requests})
