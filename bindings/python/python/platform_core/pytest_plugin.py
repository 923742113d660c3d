"""A plugin for pytest: the fixture ``platform`` is a fresh platform in memory, within milliseconds. It is there without being
named anywhere when ``platform_core`` is installed.

.. code-block:: python

    def test_a_name_is_kept(platform: Platform) -> None:
        ada = platform.users.create("ada@example.org", name="Ada")
        assert platform.users.get(ada.id).name == "Ada"
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import Platform

__all__ = ["platform"]


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform of the test's own: empty, and gone afterwards."""
    with Platform.in_memory() as fresh:
        yield fresh
