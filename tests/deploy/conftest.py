"""What the deployment files are held against: the sample organisation, really scanned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_aws import EmbeddedAws
from embedded_aws.organization import sample_settings

from ecs_exposure.aws import AwsAccess
from ecs_exposure.scan import scan
from ecs_exposure.settings import Settings, load

SAMPLE = Path(__file__).parents[2] / "examples" / "sample_org"
