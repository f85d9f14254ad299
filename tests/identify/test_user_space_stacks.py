"""Stacks that run in programs, asked as they run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.identify.asking import ask_system
from tests.identify.systems import OPEN_PORT, LwIP, Slirp, System

from sockwright.identify.database import load_signatures
from sockwright.identify.matching import match


def _check(system: System, family: str) -> None:
    with system:
        traits, _ = ask_system(system, system.ipv4, OPEN_PORT)
    signatures = load_signatures(learned=False)
    found = match(traits, signatures)
    assert found.family == family, found.explain()
    assert found.confidence > 0.9
    assert all(one.score < 0.1 for one in found.candidates if one.family != family)
    without = match(traits, [one for one in signatures if one.family != family])
    assert without.confidence < 0.8, without.explain()


@pytest.mark.needs("root", "cc")
def test_lwip_is_identified() -> None:
    if not Path("/usr/include/lwip").is_dir():
        pytest.skip("needs the Debian package liblwip-dev")
    _check(LwIP(), "lwIP")


@pytest.mark.needs("root", "slirp4netns", "nsenter")
def test_libslirp_is_identified() -> None:
    _check(Slirp(), "libslirp")
