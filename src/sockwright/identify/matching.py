"""Hold what was measured against signatures, and say how sure the best of them is.

Four things make an answer sure, and each is a factor of the confidence:

1. *Evidence.* A test that agrees counts its weight in bits for a signature, one that fails twice
   its weight against it. As in a bet on "this system" against "some system that nobody described",
   there must be some `NEEDED` bits before the two are even. A signature of few tests cannot bring
   that together, however well they agree.
2. *Fit.* A system that nobody described may still agree with its relatives in much. So the share
   of the weight that agrees must be high: where a fifth fails, it is a relative at best.
3. *Rivals.* Signatures that agree as well divide the answer among them. Those of one family have
   together what the best of them has: many that know little are not sure because they are many.
4. *Breadth.* Small facts do not add up to a sure answer. Refusals and ICMP errors are alike in many
   systems, also in such as nobody described. Where no test that tells much by itself agreed (how
   the system opens connections, what it says of itself), the answer is likely at best.

What cannot be told apart is said together: relatives that are as good, by the tests that both have,
become a range of versions. So a signature of many tests does not win over an older version of the
same system about which less is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sockwright.identify.identification import Candidate, Identification, Verdict
from sockwright.identify.observables import weight_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sockwright.identify.signature import Signature, Value

__all__ = ["DISTRUST", "NARROW", "is_narrow", "match"]

NEEDED: Final = 9.0
"""Bits that make a signature as likely as a system that nobody described: 1 in 500."""

SETTING: Final = 3.0
"""Bits that it costs to assume a changed setting, once for all tests that it changes.

Somebody does so on one system of eight.
"""

TELLING: Final = 3.0
"""Bits that a test weighs which tells much by itself."""

NARROW: Final = 0.6
"""What is left of the confidence where no such test agreed."""

DOUBT: Final = 3.3
"""Bits by which one version must be better than another to be named alone: 10 to 1."""

DISTRUST: Final = {"high": 0.0, "medium": 1.0, "low": 3.0}
"""Bits that it costs to believe the source of a signature."""

_GOOD_FIT, _BAD_FIT = 0.95, 0.75
_LAST = 1 << 30  # of a version that is written x: whatever number it is
_UNKNOWN = 0.5  # what is less likely than not has no name
_MOST_SURE = 0.99
_KEPT = 10  # candidates


def match(
    measured: Mapping[str, Value],
    signatures: Iterable[Signature],
    *,
    host: str = "",
    missing: Sequence[str] = (),
    states: Mapping[int, str] | None = None,
) -> Identification:
    """Name the system that `measured` (test to value) agrees with best.

    `missing` and `states` are handed on: what could not be tested, and why; of the ports.
    """
    groups: dict[str, dict[str, Value]] = {}
    for test, value in measured.items():
        group, _, name = test.partition(".")
        groups.setdefault(group, {})[name] = value
    held = [_hold(signature, measured, groups) for signature in signatures]
    candidates = _share(held)
    best, family, confidence, chosen = _answer(candidates)
    uptime, why = _uptime(measured, chosen, confidence)
    return Identification(
        host=host,
        best=best,
        family=family,
        confidence=confidence,
        candidates=tuple(one for one in candidates if _was_tested(one))[:_KEPT],
        measured=dict(measured),
        missing=tuple(missing),
        stands_for=tuple(dict.fromkeys(one.name for one in chosen)),
        device=chosen[0].device if chosen else "",
        uptime_ns=uptime,
        why_no_uptime=why,
        states=dict(states or {}),
    )


def _hold(
    signature: Signature, measured: Mapping[str, Value], groups: Mapping[str, Mapping[str, Value]]
) -> Candidate:
    """Hold one signature against what was measured; the score is filled in when all are."""
    matched, failed, by_settings, untested = [], [], [], []
    settings: set[str] = set()
    agreed = weighed = 0.0
    evidence = -DISTRUST[signature.provenance.certainty]
    for test, expected in signature.tests.items():
        if test not in measured:
            untested.append(test)
            continue
        weight, found = weight_of(test), measured[test]
        weighed += weight
        agreement = expected.agreement(found, groups[test.partition(".")[0]])
        if agreement == "none":
            failed.append(Verdict(test, -2 * weight, str(expected), found))
            evidence -= 2 * weight
            continue
        agreed += weight
        if agreement == "other":
            # One setting changes what many tests give: the TTL of each answer, all options.
            setting = test.partition(".")[2].rstrip("23456")
            weight -= SETTING
            if setting in settings:
                weight = max(0.0, weight)
            settings.add(setting)
            by_settings.append(Verdict(test, weight, str(expected), found))
        else:
            matched.append(Verdict(test, weight, str(expected), found))
        evidence += weight
    return Candidate(
        name=signature.name,
        family=signature.family,
        score=0.0,
        fit=agreed / weighed if weighed else 0.0,
        evidence=evidence,
        matched=_heaviest(matched),
        failed=_heaviest(failed),
        by_settings=_heaviest(by_settings),
        untested=tuple(untested),
        unlisted=tuple(
            test for test in measured if weight_of(test) and test not in signature.tests
        ),
        provenance=signature.provenance,
        versions=signature.versions,
        device=signature.device,
        clock_from_boot=signature.clock_from_boot,
    )


def _was_tested(one: Candidate) -> bool:
    return bool(one.matched or one.failed or one.by_settings)


def _heaviest(verdicts: list[Verdict]) -> tuple[Verdict, ...]:
    return tuple(sorted(verdicts, key=lambda verdict: -abs(verdict.weight)))


def _share(held: list[Candidate]) -> list[Candidate]:
    """Divide the answer among the candidates and nobody; the best first."""
    from dataclasses import replace

    if not held:
        return []
    # Powers of 2 of what lies within some 60 bits of the highest; the rest is nothing beside it.
    highest = max(NEEDED, *(one.evidence for one in held))
    parts = [2.0 ** max(-1000.0, one.evidence - highest) for one in held]
    families: dict[str, list[float]] = {}
    for one, part in zip(held, parts, strict=True):
        families.setdefault(one.family, []).append(part)
    whole = sum(map(max, families.values())) + 2.0 ** (NEEDED - highest)
    scored = []
    for one, part in zip(held, parts, strict=True):
        relatives = families[one.family]
        breadth = NARROW if is_narrow(one) else 1.0
        share = part * max(relatives) / sum(relatives) / whole
        scored.append(replace(one, score=min(_MOST_SURE, share) * _trust(one.fit) * breadth))
    return sorted(scored, key=lambda one: (-one.score, -one.evidence, one.name))


def is_narrow(one: Candidate) -> bool:
    """Tell whether no test that tells much by itself agrees with a candidate."""
    agreed = (*one.matched, *one.by_settings)
    return not any(weight_of(verdict.test) >= TELLING for verdict in agreed)


def _trust(fit: float) -> float:
    return min(1.0, max(0.0, (fit - _BAD_FIT) / (_GOOD_FIT - _BAD_FIT)))


def _answer(candidates: Sequence[Candidate]) -> tuple[str, str, float, list[Candidate]]:
    """Return the name, the family, the confidence, and the candidates that it stands for."""
    families: dict[str, float] = {}
    for one in candidates:
        families[one.family] = families.get(one.family, 0.0) + one.score
    family = max(families, key=lambda name: families[name], default="")
    whole = families.get(family, 0.0)
    if whole < _UNKNOWN:
        return "unknown", "", round(whole, 3), []
    of_family = [one for one in candidates if one.family == family]
    chosen = [one for one in of_family if _as_good(one, of_family[0])]
    told = sum(one.score for one in chosen)
    return _name(family, chosen), family, round(min(told, _MOST_SURE), 3), chosen


def _as_good(one: Candidate, best: Candidate) -> bool:
    """Tell whether the tests that both have leave it open which of two relatives it is.

    A signature with few tests has little evidence, but that is no reason to prefer the other one
    among versions of the same system.
    """
    if one is best:
        return True
    ours, theirs = _verdicts(one), _verdicts(best)
    common = ours.keys() & theirs.keys()
    deficit = sum(theirs[test] - ours[test] for test in common)
    if deficit > DOUBT:
        return False
    # Another version that no test speaks of is not excluded either; what has no version has to
    # bring something, or every banner would blur the answer.
    agreed = sum(ours[test] for test in common) >= NEEDED / 2 and _trust(one.fit) > 0
    return agreed or (bool(one.versions) and not one.failed)


def _verdicts(one: Candidate) -> dict[str, float]:
    return {
        verdict.test: verdict.weight for verdict in (*one.matched, *one.failed, *one.by_settings)
    }


def _name(family: str, chosen: Sequence[Candidate]) -> str:
    names = list(dict.fromkeys(one.name for one in chosen))
    if len(names) == 1:
        return names[0]
    if not all(one.versions for one in chosen):
        return " or ".join(names) if len(names) <= 3 else family
    low = min((one.versions[0] for one in chosen), key=_order)
    high = max((one.versions[-1] for one in chosen), key=_order)
    return f"{family} {low}" if low == high else f"{family} {low}-{high}"


def _order(version: str) -> list[tuple[int, str]]:
    """Return what sorts versions: 6.9 comes before 6.12, and 6.x after both."""
    return [
        (int(part), "") if part.isdigit() else (_LAST if part == "x" else -1, part)
        for part in version.replace("-", ".").split(".")
    ]


def _uptime(
    measured: Mapping[str, Value], chosen: Sequence[Candidate], confidence: float
) -> tuple[int | None, str]:
    """Return how long the system has run, in nanoseconds, or why nobody can say."""
    clock = measured.get("seq.clock")
    if clock is None:
        return None, "TCP timestamps were not measured"
    if clock in {"none", "zero"}:
        return None, "the host sends no TCP timestamps"
    if clock == "random":
        return None, "each connection has timestamps of its own, from a random start"
    ticks, value = clock, measured.get("seq.clock_value")
    if not isinstance(ticks, int) or not isinstance(value, int) or ticks <= 0:
        return None, "the timestamps count at no steady rate"
    if not chosen or confidence < 0.8 or not all(one.clock_from_boot for one in chosen):
        return None, (
            "its timestamps count steadily, but most systems start them anywhere (Linux since 4.10 "
            "adds a random number for each pair of addresses), and nothing says that this one "
            "counts from its start"
        )
    return value * 1_000_000_000 // ticks, ""
