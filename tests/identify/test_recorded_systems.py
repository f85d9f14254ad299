"""Systems that answered measure.py once, and the same conversation again."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from tests.identify.asking import VECTORS, Replay

from sockwright.identify.database import load_signatures
from sockwright.identify.matching import match

if TYPE_CHECKING:
    from pathlib import Path

_SYSTEMS = {
    "linux-6.1": "Linux",
    "linux-6.12": "Linux",
    "linux-6.18": "Linux",
    "lwip": "lwIP",
    "libslirp": "libslirp",
    "pytcp": "PyTCP",
}
_PATHS = sorted(VECTORS.glob("*.pcap"))


def _system(path: Path) -> str:
    return path.stem.rpartition("-")[0]


def test_each_system_was_recorded() -> None:
    assert set(_SYSTEMS) <= {_system(path) for path in _PATHS}


@pytest.mark.parametrize("path", _PATHS, ids=lambda path: path.stem)
def test_the_same_questions_are_asked_again(path: Path) -> None:
    replay = Replay(path)
    assert replay.traits()
    assert replay.unforeseen == []


@pytest.mark.parametrize("path", _PATHS, ids=lambda path: path.stem)
def test_a_recorded_system_is_identified_and_nothing_else_claimed(path: Path) -> None:
    found = match(Replay(path).traits(), load_signatures(learned=False))
    family = _SYSTEMS[_system(path)]
    assert found.family == family
    assert found.confidence > 0.9
    assert not found.candidates[0].failed
    others = [one.score for one in found.candidates if one.family != family]
    assert max(others, default=0.0) < 0.1
    assert found.uptime_ns is None


@pytest.mark.parametrize("path", _PATHS, ids=lambda path: path.stem)
def test_without_its_own_signatures_no_other_system_is_claimed(path: Path) -> None:
    signatures = load_signatures(learned=False)
    traits = Replay(path).traits()
    family = match(traits, signatures).family
    found = match(traits, [one for one in signatures if one.family != family])
    assert found.confidence < 0.8
    assert all(one.score < 0.8 for one in found.candidates)


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_a_kernel_is_given_a_range_that_it_lies_in(version: str) -> None:
    traits = Replay(VECTORS / f"linux-{version}-ipv4.pcap").traits()
    found = match(traits, load_signatures(learned=False))
    low, _, high = found.best.removeprefix("Linux ").partition("-")
    major, minor = map(int, version.split("."))
    assert [int(part) for part in low.split(".")] <= [major, minor]
    assert high == "6.x" or [int(part) for part in high.split(".")] >= [major, minor]
    assert version in found.candidates[0].name


@pytest.mark.parametrize("path", [p for p in _PATHS if "ipv4" in p.stem], ids=lambda p: p.stem)
def test_whatever_part_is_measured_no_other_system_is_claimed(path: Path) -> None:
    signatures = load_signatures(learned=False)
    traits = Replay(path).traits()
    family = _SYSTEMS[_system(path)]
    groups = sorted({test.partition(".")[0] for test in traits})
    parts = [set(some) for count in (1, 2) for some in combinations(groups, count)]
    parts += [set(groups) - {left_out} for left_out in groups]
    for part in parts:
        some = {test: value for test, value in traits.items() if test.partition(".")[0] in part}
        found = match(some, signatures)
        assert found.family in {family, ""} or found.confidence < 0.8, (part, found.best)
