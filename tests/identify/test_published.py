"""The published signatures: each says where it is from, and none claims more than it knows."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from sockwright.identify.database import load_signatures
from sockwright.identify.observables import weight_of

if TYPE_CHECKING:
    from sockwright.identify.signature import Signature

_FOLDER = files("sockwright.identify") / "data"
_FILES = sorted(one.name for one in _FOLDER.iterdir() if one.name.startswith("published-"))
_BANNED = ("nmap", "p0f", "fingerbank", "satori")
"""What may not be a source: their licences, or that of what is made from them, forbid it."""
_ASKED = {
    "Linux", "Windows", "Apple", "FreeBSD", "OpenBSD", "NetBSD", "Solaris", "AIX", "Cisco IOS",
    "Junos", "VxWorks", "lwIP", "uIP", "FreeRTOS", "Zephyr", "printer",
}  # fmt: skip


def _entries(name: str) -> list[dict[str, Any]]:
    return list(tomllib.loads((_FOLDER / name).read_text())["signature"])


@pytest.fixture(scope="module")
def published() -> list[Signature]:
    found = load_signatures(learned=False)
    return [one for one in found if one.provenance.kind == "published"]


def test_the_data_come_with_the_package() -> None:
    assert len(_FILES) >= 10


@pytest.mark.parametrize("name", _FILES)
def test_every_entry_names_a_source_that_may_be_used(name: str) -> None:
    for entry in _entries(name):
        provenance = entry["provenance"]
        assert provenance["kind"] == "published"
        assert len(provenance["source"]) > 10, entry["name"]
        assert provenance["date"], entry["name"]
        text = (provenance["source"] + provenance.get("how", "")).lower()
        assert not [word for word in _BANNED if word in text], entry["name"]


def test_the_systems_asked_for_are_there(published: list[Signature]) -> None:
    assert {one.family for one in published} >= _ASKED


def test_a_sparse_signature_of_a_stack_cannot_be_sure(published: list[Signature]) -> None:
    # By `matching`: 9 bits make a system as likely as one that nobody described.
    for one in published:
        for group in ("syn", "syn_ack"):
            tests = [test for test in one.tests if test.partition(".")[0] == group]
            bits = sum(weight_of(test) for test in tests)
            if 0 < len(tests) <= 6:
                assert bits < 12.0, one.name


def test_every_entry_can_be_matched(published: list[Signature]) -> None:
    for one in published:
        assert any(weight_of(test) >= 3 for test in one.tests), one.name


def test_an_uncertain_source_makes_a_less_certain_answer() -> None:
    from dataclasses import replace

    from tests.identify.passive.segments import linux, opening, segment

    from sockwright.identify.matching import match

    traits = opening(segment(linux())).traits()
    signatures = load_signatures(learned=False)
    best = match(traits, signatures).candidates[0].name
    (true,) = [one for one in signatures if one.name == best and "syn.ttl" in one.tests]
    sure: list[float] = []
    for certainty in ("high", "medium", "low"):
        provenance = replace(true.provenance, certainty=certainty)
        one = replace(true, provenance=provenance)
        sure.append(match(traits, [one]).confidence)
    assert sure == sorted(sure, reverse=True)
    assert sure[0] > 0.9
    assert sure[2] < 0.8


def test_the_certainty_of_sources_is_said() -> None:
    said = {
        entry["provenance"].get("certainty", "high") for name in _FILES for entry in _entries(name)
    }
    assert said == {"high", "medium", "low"}
