"""What the tests of moving octets share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import Peers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Peers]:
    """Start netcats of every kind; what was started is ended with the test."""
    with Peers(tmp_path) as started:
        yield started
