"""What the tests of integrations share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posewire.shared.settings import Settings
from tests.integration.tracker.integrating import Broker, NewSettings


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    server = Broker(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def new_settings(postgres_url: str) -> NewSettings:
    def make(**integrations: Any) -> Settings:
        return Settings.model_validate(
            {
                "database": {"url": postgres_url},
                "cameras": {"door": {"source": "demo", "policy": "lossless"}},
                "tracker": {"commit_every_s": 0.05},
                "integrations": integrations,
            }
        )

    return make
