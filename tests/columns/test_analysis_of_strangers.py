"""Every analysis of every capture of strangers: no surprise, and compiled as interpreted."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, cast

import pytest

from sockwright.columns import open_capture
from sockwright.columns.conversations import conversations, endpoints
from sockwright.columns.follow import follow
from sockwright.columns.hierarchy import protocols
from sockwright.columns.kernels.tcp import VERDICTS
from sockwright.columns.rates import rates
from sockwright.columns.tcp_analysis import tcp_flows
from sockwright.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sockwright.columns import Batch, CaptureFile

_PARTS = 4


class _Forced:
    """A capture whose batches are compiled, or not."""

    def __init__(self, capture: CaptureFile, *, compiled: bool) -> None:
        self._capture = capture
        self._compiled = compiled

    def batches(self) -> Iterator[Batch]:
        return self._capture.batches(compiled=self._compiled)


def _all(path: Path, *, compiled: bool) -> list[Any]:
    found: list[Any] = []
    for function in (conversations, endpoints, protocols, rates, tcp_flows):
        with open_capture(path) as capture:
            rows = iter(cast("Any", function)(_Forced(capture, compiled=compiled)))
            try:
                while True:
                    found.append(next(rows))
            except StopIteration:
                pass
            except DecodeError as error:
                found.append(str(error))
    return found


@pytest.mark.parametrize("part", range(_PARTS))
def test_compiled_and_interpreted_kernels_agree(captures: Path, part: int) -> None:
    for path in sorted(captures.rglob("*.pcap*"))[part::_PARTS]:
        try:
            interpreted = _all(path, compiled=False)
        except DecodeError:
            continue  # no capture at all
        assert interpreted == _all(path, compiled=True), path.name


@pytest.mark.parametrize("part", range(_PARTS))
def test_every_flow_with_a_stream_can_be_followed(captures: Path, part: int) -> None:
    followed = 0
    for path in sorted(captures.rglob("*.pcap*"))[part :: 4 * _PARTS]:
        for flow in count():
            try:
                with open_capture(path) as capture:
                    followed += sum(len(piece.octets) for piece in follow(capture, flow))
            except DecodeError:
                break
            except ValueError as error:
                if "there is no flow" in str(error):
                    break
    assert followed > 1000


def test_the_page_tells_of_every_verdict(project: Path) -> None:
    text = (project / "docs" / "analysis.md").read_text()
    assert all(f"`{name}`" in text for name in VERDICTS)
