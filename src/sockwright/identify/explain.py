"""An identification in words, and as an object for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from sockwright.identify.matching import DISTRUST, NARROW, is_narrow
from sockwright.identify.observables import OBSERVABLES
from sockwright.identify.signature import word_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.identify.identification import Candidate, Identification, Verdict

__all__ = ["as_dict", "explain", "listed", "summarise"]

_MENTIONED: Final = 0.05
"""Candidates that have less of the answer are left to `explain`."""
_TOLD: Final = 0.01
_BOUND: Final = (
    "no test that tells much by itself was there to agree, so the confidence is at most "
    f"{NARROW:.2f}"
)


def as_dict(found: Identification) -> dict[str, Any]:
    """Return all of it for JSON: what was measured, and each candidate with its verdicts."""
    return {**asdict(found), "explanation": explain(found)}


def summarise(found: Identification) -> list[str]:
    """Say in a few sentences what the answer rests on, without the tests one by one.

    They begin with a small letter and end without a full stop.
    """
    if not found.candidates:
        return []
    if found.best == "unknown":
        near = listed(found.candidates)
        return [f"nothing is more likely than not; perhaps {near}" if near else "nothing fits"]
    best, others = _parted(found)
    said = [_agreement(best)]
    if open_still := [name for name in found.stands_for if name != best.name]:
        said.append(f"not ruled out: {', '.join(open_still)}")
    if rivals := listed(others):
        said.append(f"also possible: {rivals}")
    if is_narrow(best):
        said.append(_BOUND)
    return said


def listed(candidates: Iterable[Candidate]) -> str:
    """Return candidates by name, with what each has of the answer; those with little left out."""
    told = [f"{one.name} {one.score:.2f}" for one in candidates if one.score >= _MENTIONED]
    return ", ".join(told)


def _parted(found: Identification) -> tuple[Candidate, list[Candidate]]:
    """Return the best that the answer stands for, and the candidates that it does not."""
    best = next((one for one in found.candidates if one.name in found.stands_for), None)
    others = [one for one in found.candidates if one.name not in found.stands_for]
    return best or found.candidates[0], others


def _agreement(best: Candidate) -> str:
    agree = len(best.matched) + len(best.by_settings)
    text = f"{agree} test{'s' if agree != 1 else ''} agree{'s' if agree == 1 else ''}"
    text += f" with {best.name}"
    if best.by_settings:
        text += f" ({len(best.by_settings)} of them if a setting was changed)"
    failed = ", ".join(verdict.test for verdict in best.failed)
    if not failed:
        return f"{text}, none fails"
    return f"{text}; {'this fails' if len(best.failed) == 1 else 'these fail'}: {failed}"


def explain(found: Identification) -> str:
    """Say what speaks for the answer, what against it, and what is missing.

    Each test of the best candidate that agrees or fails has a line, with its weight in bits; of the
    others, those that tell them from the best.
    """
    lines = [_headline(found)]
    if found.candidates:
        best = _parted(found)[0]
        lines += _candidate(best)
        for one in found.candidates:
            if one is not best and one.score >= _TOLD:
                lines += _other(one, best, found.stands_for)
        told = {one.name for one in found.candidates if one is best or one.score >= _TOLD}
        if rest := [name for name in found.stands_for if name not in told]:
            lines.append(f"Not ruled out, though less is known of them: {', '.join(rest)}.")
        if is_narrow(best):
            lines.append(f"{_BOUND[:1].upper()}{_BOUND[1:]}.")
    lines += [f"Not tested: {text}." for text in found.missing]
    if found.uptime_ns is not None:
        lines.append(f"Up for at least {found.uptime_ns / 86_400e9:.2f} days, by its timestamps.")
    elif found.why_no_uptime:
        lines.append(f"No uptime: {found.why_no_uptime}.")
    return "\n".join(lines)


def _headline(found: Identification) -> str:
    if found.best == "unknown":
        near = f"; nearest is {found.candidates[0].name}" if found.candidates else ""
        return f"No signature agrees well enough with what was measured{near}."
    return f"{found.best}, with a confidence of {found.confidence:.2f}."


def _candidate(one: Candidate) -> list[str]:
    source = f"{one.provenance.kind}: {one.provenance.source}"
    if cost := DISTRUST[one.provenance.certainty]:
        source += f"; certainty {one.provenance.certainty}, which costs {cost:.0f} bits"
    count = len(one.matched) + len(one.by_settings)
    head = f"{one.name} ({source}): {count} tests agree, {len(one.failed)} fail; "
    head += f"{one.evidence:.1f} bits in all."
    if one.untested:
        head += f" {len(one.untested)} of its tests were not made."
    if one.unlisted:
        head += f" Of {len(one.unlisted)} that were it says nothing."
    lines = [head]
    lines += [_verdict("fails", verdict) for verdict in one.failed]
    lines += [_verdict("agrees if a setting was changed", verdict) for verdict in one.by_settings]
    lines += [_verdict("agrees", verdict) for verdict in one.matched]
    if one.untested:
        lines.append(f"  not made: {_by_group(one.untested)}")
    return lines


def _verdict(word: str, verdict: Verdict) -> str:
    text = f"  {word} ({verdict.weight:+.1f}): {verdict.test} is {word_for(verdict.found)}"
    if word != "agrees":
        text += f", expected {verdict.expected}"
    known = OBSERVABLES.get(verdict.test)
    return f"{text} ({known.meaning})" if known else text


def _by_group(tests: Iterable[str]) -> str:
    groups: dict[str, list[str]] = {}
    for test in tests:
        group, _, name = test.partition(".")
        groups.setdefault(group, []).append(name)
    return "; ".join(f"{group}: {', '.join(names)}" for group, names in groups.items())


def _other(one: Candidate, best: Candidate, stands_for: tuple[str, ...]) -> list[str]:
    """Tell of a candidate what tells it from the best."""
    ours = {v.test: v.weight for v in (*best.matched, *best.by_settings, *best.failed)}
    worse = [
        ("fails" if verdict in one.failed else "agrees if a setting was changed", verdict)
        for verdict in (*one.failed, *one.by_settings)
        if ours.get(verdict.test) != verdict.weight
    ]
    head = "Not ruled out" if one.name in stands_for else "Also possible"
    why = "what differs" if worse else f"no test tells it from {best.name}"
    if not worse and one.evidence < best.evidence:
        why = f"it says nothing of tests that speak for {best.name}"
    lines = [f"{head}: {one.name}, {one.score:.2f}; {why}{':' if worse else '.'}"]
    return lines + [_verdict(word, verdict) for word, verdict in worse]
