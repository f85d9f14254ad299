"""The packets of strangers' captures, by link type, and our interpreter compiled by numba."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pytest
from tests.filters.peer import NAMES, Packets, Peer, collect

from sockwright.filters import MEMORY_WORDS, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sockwright.filters import Instruction

    # The numbers of the packets that a program lets through.
    Passed = Callable[[Sequence[Instruction], Packets], set[int]]


@pytest.fixture(scope="session")
def packets(captures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Packets]:
    return collect(captures, tmp_path_factory.mktemp("packets"), NAMES)


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Peer:
    return Peer(tmp_path_factory.mktemp("peer"))


@pytest.fixture(scope="session")
def passed() -> Passed:
    """Return the function that runs a program over packets, compiled."""
    compiled_run: Any = numba.njit(run)

    @numba.njit
    def over(  # noqa: PLR0917  # numba knows no other arguments
        code: Any, jt: Any, jf: Any, k: Any, octets: Any, starts: Any, lengths: Any, originals: Any,
        verdicts: Any,
    ) -> None:  # fmt: skip
        memory = np.zeros(MEMORY_WORDS, np.int64)
        for i in range(len(starts)):
            verdicts[i] = compiled_run(
                code, jt, jf, k, octets, starts[i], lengths[i], originals[i], memory
            )

    arrays: dict[int, tuple[Any, ...]] = {}

    def numbers(program: Sequence[Instruction], packets: Packets) -> set[int]:
        if packets.link_type not in arrays:
            records = packets.records
            lengths = np.array([len(record.octets) for record in records], np.int64)
            arrays[packets.link_type] = (
                np.frombuffer(b"".join(record.octets for record in records), np.uint8),
                np.cumsum(lengths) - lengths,
                lengths,
                np.array([record.original_length for record in records], np.int64),
                np.zeros(len(records), np.int64),
            )
        columns = [np.array(column, np.int64) for column in zip(*program, strict=True)]
        over(*columns, *arrays[packets.link_type])
        return set(np.flatnonzero(arrays[packets.link_type][-1]).tolist())

    return numbers
