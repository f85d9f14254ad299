"""Choose among the packets of a capture by a filter; count them.

The program of a filter depends on the link type, so each link type of a capture has its own.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, cast

from sockwright.columns.kernels import select as kernel
from sockwright.errors import DecodeError
from sockwright.filters import MEMORY_WORDS, compile_filter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sockwright.columns.batch import Batch
    from sockwright.columns.capture_file import CaptureFile, CaptureSlice
    from sockwright.filters import Filter

__all__ = ["Selector", "accepted", "count_packets"]


class Selector:
    """A filter over batches. It may be used by several threads at once, each with its own batches.

    The filter is compiled for a link type when the first packet of it is met; without a link type,
    for Ethernet, so that a wrong filter is told before a capture is read.

    Raises: FilterError where the expression is wrong, or cannot hold for a link type that is met.
    """

    def __init__(self, expression: str, link_types: Sequence[int] = ()) -> None:
        self._expression = expression
        self._programs: dict[int, Any] = {}
        self._compiled: dict[int, Any] = {}
        for link_type in dict.fromkeys(link_types or (1,)):
            self._program(link_type)

    def rows(self, batch: Batch) -> Sequence[int]:
        """Return the rows of `batch` that pass, in order."""
        passes, count = self._mark(batch)
        if not count:
            return []
        if batch.compiled:
            import numpy as np

            found: Any = np.flatnonzero(passes)
            return cast("Sequence[int]", found)
        return [row for row in range(len(batch)) if passes[row]]

    def count(self, batch: Batch) -> int:
        """Return how many packets of `batch` pass."""
        return self._mark(batch)[1]

    def passes(self, batch: Batch) -> Any:
        """Return 1 or 0 for each packet of `batch`: an array of octets, of numpy if compiled."""
        return self._mark(batch)[0]

    def _mark(self, batch: Batch) -> tuple[Any, int]:
        mark: Any = kernel.mark
        passes: Any = bytearray(len(batch))
        if batch.compiled:
            import numpy as np

            from sockwright.columns.compiling import compiled

            mark = compiled(kernel.mark)
            passes = np.zeros(len(batch), np.uint8)
        count = 0
        link_types = [int(link_type) for link_type in batch.link_types]
        for link_type in dict.fromkeys(link_types):
            asked: Any = array("B", [each == link_type for each in link_types])
            program = self._program(link_type)
            memory: Any = array("q", bytes(8 * MEMORY_WORDS))
            if batch.compiled:
                program = self._as_numpy(link_type)
                asked, memory = np.frombuffer(asked, np.uint8), np.zeros(MEMORY_WORDS, np.int64)
            count += mark(
                *program,
                memory,
                batch.octets,
                batch.start,
                batch.captured,
                batch.original,
                batch.interface,
                asked,
                passes,
            )
        return passes, count

    def _program(self, link_type: int) -> Any:
        program = self._programs.get(link_type)
        if program is None:
            found = compile_filter(self._expression, link_type)
            program = self._programs[link_type] = _columns(found)
        return program

    def _as_numpy(self, link_type: int) -> Any:
        program = self._compiled.get(link_type)
        if program is None:
            import numpy as np

            program = [np.array(column, np.int64) for column in self._program(link_type)]
            self._compiled[link_type] = program
        return program


def _columns(found: Filter) -> list[list[int]]:
    return [list(column) for column in zip(*found.instructions, strict=True)]


def count_packets(capture: CaptureFile, selector: Selector | None) -> int:
    """Return how many packets of `capture` pass, all without a selector; all cores count.

    What is wrong behind the last whole record is then in ``capture.error``.
    """

    def work(batches: Iterator[Batch]) -> int:
        if selector is None:
            return sum([len(batch) for batch in batches])
        return sum([selector.count(batch) for batch in batches])

    if not capture.compression and capture.progress is not None:
        return sum(capture.in_parts(work))
    # A stream has one part, and its size is not known: kernels are compiled once it is not small.
    counted = 0
    try:
        for batch in capture.batches():
            counted += work(iter((batch,)))
    except DecodeError:  # in capture.error too
        pass
    return counted


def accepted(capture: CaptureFile | CaptureSlice, expression: str | Filter) -> NDArray[np.bool_]:
    """Return for each packet of `capture` whether a filter accepts it.

    Of a `Filter` the expression counts: it is compiled for every link type of the capture.

    Raises: FilterError for a wrong expression; see `Selector`.
    """
    import numpy as np

    text = expression if isinstance(expression, str) else expression.text
    selector = Selector(text, [interface.link_type for interface in capture.interfaces])

    def work(batches: Iterator[Batch]) -> list[Any]:
        return [np.frombuffer(selector.passes(batch), np.uint8) for batch in batches]

    parts = [passes for part in capture.in_parts(work) for passes in part]
    return np.concatenate([np.zeros(0, np.uint8), *parts]).astype(bool)
