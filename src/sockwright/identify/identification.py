"""What is said of a host: the system, how sure that is, and every test for it and against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sockwright.identify.signature import Provenance, Value

__all__ = ["Candidate", "Identification", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One test held against a signature; `weight` in bits, what it counts for or against."""

    test: str
    weight: float
    expected: str
    found: Value


@dataclass(frozen=True, slots=True)
class Candidate:
    """A signature and how it agrees.

    `score` is its share of the answer, from 0 to 1; the scores of all candidates together are at
    most 1. `by_settings` are tests that agree only if somebody changed settings. `untested` are
    tests of the signature that were not measured, `unlisted` measured ones that it says nothing
    of. `fit` is the share of the weight of its tests that agreed, `evidence` in bits how far all
    tests together speak for it.
    """

    name: str
    family: str
    score: float
    fit: float
    evidence: float
    matched: tuple[Verdict, ...] = field(repr=False)
    failed: tuple[Verdict, ...] = field(repr=False)
    by_settings: tuple[Verdict, ...] = field(repr=False)
    untested: tuple[str, ...] = field(repr=False)
    unlisted: tuple[str, ...] = field(repr=False)
    provenance: Provenance = field(repr=False)
    versions: tuple[str, ...] = ()
    device: str = ""
    clock_from_boot: bool = False


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer for one host.

    `best` is as exact as the tests allow: ``Linux 6.1``, ``Linux 5.x-6.x``, ``Linux``, or
    ``unknown`` where nothing is more likely than not; `confidence`, from 0 to 1, is in that.
    `stands_for` names the candidates that no test tells from it. `measured` is what each test gave,
    `missing` says what could not be tested, and why. `uptime_ns` is None where nothing says how
    long the system has run, and `why_no_uptime` then says why. `states` says of the TCP ports that
    the probes went to what they turned out to be: ``open``, ``closed``, ``filtered`` (an ICMP error
    came back) or ``silent``.
    """

    host: str
    best: str
    family: str
    confidence: float
    candidates: tuple[Candidate, ...]
    measured: Mapping[str, Value] = field(repr=False)
    missing: tuple[str, ...] = ()
    stands_for: tuple[str, ...] = ()
    device: str = ""
    uptime_ns: int | None = None
    why_no_uptime: str = ""
    states: Mapping[int, str] = field(default_factory=dict)

    def explain(self) -> str:
        """Say what speaks for the answer, what against it, and what is missing: a line a test."""
        from sockwright.identify.explain import explain

        return explain(self)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON, verdicts as objects."""
        from sockwright.identify.explain import as_dict

        return as_dict(self)
