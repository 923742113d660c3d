"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_core import Platform, Profile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder that is not there yet."""
    return tmp_path / "data"


@pytest.fixture
def p(folder: Path) -> Iterator[Platform]:
    """An open platform."""
    with Platform.open(folder) as platform:
        yield platform


@pytest.fixture
def ada(p: Platform) -> Profile:
    """Somebody."""
    return p.users.create("ada@example.org", name="Ada")
