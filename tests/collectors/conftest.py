"""Recorded AWS: `play` starts a server of given answers and points boto3's environment at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.collectors.playback import Playback

Play = Callable[[dict[tuple[str, str], list[Any]]], Playback]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    with ExitStack() as stack:

        def start(answers: dict[tuple[str, str], list[Any]]) -> Playback:
            playback = stack.enter_context(Playback(answers))
            for name, value in playback.environ().items():
                monkeypatch.setenv(name, value)
            for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
                monkeypatch.delenv(name, raising=False)
            return playback

        yield start
