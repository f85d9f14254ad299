"""A machine with sockets of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sockets.diag.population import Population

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def machine() -> Iterator[Population]:
    """A machine with sockets of every kind; one for each module, since TIME-WAIT ends.

    A test that asks for it needs "namespaces", and "root" for `Population.inside`.
    """
    with Population() as population:
        yield population
