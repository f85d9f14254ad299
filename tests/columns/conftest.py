"""Captures that several tests of columns look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.columns import transfers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def lossy_captures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What both ends saw of three transfers over bad links. Needs namespaces and ethtool."""
    folder = tmp_path_factory.mktemp("lossy")
    paths = []
    for number, (loss, delay) in enumerate([(0.02, 0.005), (0.1, 0.001), (0.05, 0.002)]):
        ends = [folder / f"{number}-{end}.pcap" for end in ("sender", "receiver")]
        transfers.lossy(*ends, loss=loss, delay=delay, seed=number)
        paths += ends
    return paths
