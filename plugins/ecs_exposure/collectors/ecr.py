"""Amazon ECR: the images that services use, by digest or tag, with the platform digests of indexes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ecs_exposure.aws_errors import IncompleteAnswer
from ecs_exposure.collectors.base import Row, moment, required

BATCH = 100  # image ids in one DescribeImages or BatchGetImage
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_NOT_FOUND = ("ImageNotFound",)


@dataclass(frozen=True)
class ImageRequest:
    """Images of one repository that services name: the registry's account, digests that run, tags definitions name."""

    account_id: str
    region: str
    repository_name: str
    image_digests: frozenset[str] = field(default_factory=frozenset)
    image_tags: frozenset[str] = field(default_factory=frozenset)


def scan_type(client: Any) -> str:
    """BASIC or ENHANCED, as GetRegistryScanningConfiguration answers."""
    answer = client.get_registry_scanning_configuration()
    configuration = required(answer, "scanningConfiguration", "GetRegistryScanningConfiguration")
    return str(required(configuration, "scanType", "GetRegistryScanningConfiguration"))


def describe_images(client: Any, request: ImageRequest) -> Iterator[Row]:
    """Columns of dataset image for what of a request is still in the repository; deleted images simply have no row."""
    ids = [{"imageDigest": digest} for digest in sorted(request.image_digests)]
    ids += [{"imageTag": tag} for tag in sorted(request.image_tags)]
    details: dict[str, Row] = {}
    for batch in _chunks(ids):
        for detail in _describe(client, request.repository_name, batch):
            details[detail["imageDigest"]] = detail
    indexes = [digest for digest, detail in details.items() if detail.get("imageManifestMediaType") in INDEXES]
    platforms = _platforms(client, request.repository_name, indexes)
    for digest, detail in sorted(details.items()):
        yield {
            "repository_name": request.repository_name,
            "image_digest": digest,
            "image_tags": sorted(detail.get("imageTags", [])),
            "platform_digests": platforms.get(digest, []),
            "pushed_at": moment(detail.get("imagePushedAt")),
        }


def _describe(client: Any, repository: str, ids: Sequence[Row]) -> list[Row]:
    """DescribeImages refuses the whole batch for one image that is gone: it is then asked again in halves."""
    if not ids:
        return []
    try:
        answer = client.describe_images(repositoryName=repository, imageIds=list(ids))
    except client.exceptions.RepositoryNotFoundException:
        return []
    except client.exceptions.ImageNotFoundException:
        if len(ids) == 1:
            return []
        middle = len(ids) // 2
        return _describe(client, repository, ids[:middle]) + _describe(client, repository, ids[middle:])
    found: list[Row] = required(answer, "imageDetails", "DescribeImages")
    return found


def _platforms(client: Any, repository: str, indexes: list[str]) -> dict[str, list[str]]:
    """Digests of the platform manifests of each index; attestation manifests are no image and are left out."""
    platforms: dict[str, list[str]] = {}
    for batch in _chunks([{"imageDigest": digest} for digest in sorted(indexes)]):
        answer = client.batch_get_image(
            repositoryName=repository, imageIds=list(batch), acceptedMediaTypes=list(INDEXES)
        )
        for image in required(answer, "images", "BatchGetImage"):
            platforms[image["imageId"]["imageDigest"]] = _manifests(image.get("imageManifest"), repository)
        for failure in answer.get("failures", []):
            if failure.get("failureCode") not in _NOT_FOUND:
                raise IncompleteAnswer(f"BatchGetImage failed on {repository}: {failure.get('failureCode')}")
    return platforms


def _manifests(manifest: str | None, repository: str) -> list[str]:
    try:
        listed = json.loads(manifest or "")["manifests"]
        images = [item for item in listed if (item.get("platform") or {}).get("architecture") != "unknown"]
        return sorted(item["digest"] + "" for item in images)  # a digest that is no text is a TypeError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IncompleteAnswer(f"BatchGetImage answered an index of {repository} that cannot be read") from None


def _chunks(ids: Iterable[Row]) -> Iterator[Sequence[Row]]:
    everything = list(ids)
    for start in range(0, len(everything), BATCH):
        yield everything[start : start + BATCH]
