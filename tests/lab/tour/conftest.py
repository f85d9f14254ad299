"""The tour, played once for all tests that only look at what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sockwright.lab.tour import StepResult, Tour, all_steps

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def tour() -> Iterator[Tour]:
    with Tour() as made:
        yield made


@pytest.fixture(scope="session")
def results() -> dict[str, StepResult]:
    with Tour() as made:
        found = {name: made.play(step) for name, step in all_steps().items()}
    # On a busy machine a kernel asks in the middle whether the other's link address still holds.
    return {
        name: replace(one, packets=[rung for rung in one.packets if rung.protocol != "ARP"])
        for name, one in found.items()
    }
