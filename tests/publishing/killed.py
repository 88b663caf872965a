"""Publishing in a process of its own, to be killed: forked from one that has everything imported."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from datetime import date
from multiprocessing.process import BaseProcess

from ecs_exposure import scan
from ecs_exposure.lake import Lake
from ecs_exposure.settings import load

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


def _publish(environment: dict[str, str], location: str, day: date) -> None:
    os.environ.update(environment)
    with Lake.open(location) as lake:
        scan.publish(load(lake=location, publish="on", rate_share=1.0), lake, day)


def start(environment: dict[str, str], location: str, day: date) -> BaseProcess:
    """Begin to publish a day."""
    process = _CONTEXT.Process(target=_publish, args=(environment, location, day))
    process.start()
    return process


def publish_and_kill(
    environment: dict[str, str], location: str, day: date, chance: random.Random, seconds: float
) -> bool:
    """SIGKILL publishing at a random moment within so many seconds; whether it was still at work."""
    process = start(environment, location, day)
    process.join(chance.uniform(0, seconds))
    was_at_work = process.is_alive()
    process.kill()
    process.join()
    return was_at_work


def seconds_of(environment: dict[str, str], location: str, day: date) -> float:
    """How long publishing takes that nobody kills."""
    began = time.monotonic()
    process = start(environment, location, day)
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - began
