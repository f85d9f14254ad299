"""What all evidence of a host says together.

Kinds of evidence are independent of each other where different parts of a system make them: the
kernel its SYNs and SYN-ACKs, programs what they call themselves, the DHCP client its requests. What
several of them say is surer than what one says; where they contradict each other, each is right of
something, and the address stands for more than one system, or for one that imitates another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sockwright.identify.identification import Identification

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sockwright.identify.passive.clock import Clock

__all__ = ["Evidence", "HostIdentity", "conclude"]

_MOST_SURE: Final = 0.99
_CONFLICT: Final = 0.5
"""How sure two families must be for both to be taken to be there."""
_NAMED: Final = 0.5
# What part of a system makes each kind.
_MAKERS: Final = {
    "syn": "kernel",
    "syn_ack": "kernel",
    "http-request": "client",
    "http-response": "server",
    "ssh": "ssh",
    "dhcp": "dhcp",
}
_WORDS: Final = {
    "syn": "SYN",
    "syn_ack": "SYN-ACK",
    "http-request": "User-Agent",
    "http-response": "HTTP server",
    "ssh": "SSH banner",
    "dhcp": "DHCP",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that a host told, and what system that speaks for.

    `kind` is ``syn``, ``syn_ack``, ``http-request``, ``http-response``, ``ssh`` or ``dhcp``; `told`
    is it in words, cleaned for terminals. It came `count` times; `number` is the first packet's,
    `first_ns` and `last_ns` are nanoseconds since 1970. `distance` is in hops and `link` what the
    MSS says of the link, both of segments only.
    """

    host: str
    kind: str
    told: str
    identification: Identification
    number: int
    first_ns: int | None
    last_ns: int | None
    distance: int | None = None
    link: str = ""
    count: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        found = self.identification
        return {
            "kind": "evidence",
            "host": self.host,
            "evidence": self.kind,
            "told": self.told,
            "best": found.best,
            "family": found.family,
            "confidence": found.confidence,
            "number": self.number,
            "count": self.count,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "distance": self.distance,
            "link": self.link,
            "identification": found.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """What a host is, by all that it told.

    `identification` is the answer; its candidates are those of the strongest evidence of that
    family. `remarks` are sentences: contradictions, what was left out. `mac` and `hostname` come
    from DHCP.
    """

    host: str
    identification: Identification
    evidence: tuple[Evidence, ...]
    remarks: tuple[str, ...] = ()
    mac: str = ""
    hostname: str = ""

    def explain(self) -> str:
        """Say in several lines what the host told, and what follows from it."""
        found = self.identification
        lines = [f"{self.host}: {found.best}, confidence {found.confidence:.2f}"]
        for one in self.evidence:
            said = one.identification
            lines.append(f"  {_WORDS.get(one.kind, one.kind)} {one.told}")
            times = f"{one.count} time{'s' if one.count != 1 else ''}"
            lines.append(f"    {said.best} ({said.confidence:.2f}), {times}")
        lines += [f"  {remark}" for remark in self.remarks]
        if found.uptime_ns is not None:
            lines.append(f"  up for {found.uptime_ns / 86_400e9:.2f} days or more")
        else:
            lines.append(f"  no uptime: {found.why_no_uptime}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {
            "kind": "system",
            **self.identification.as_dict(),
            "mac": self.mac,
            "hostname": self.hostname,
            "remarks": list(self.remarks),
            "evidence": [one.as_dict() for one in self.evidence],
        }


def conclude(
    address: str,
    evidence: Sequence[Evidence],
    clocks: Mapping[str, Clock],
    *,
    mac: str = "",
    hostname: str = "",
    left_out: int = 0,
) -> HostIdentity:
    """Put together what one address told; `clocks` are those of its SYNs and of its SYN-ACKs."""
    families = _families(evidence)
    family = max(families, key=lambda name: families[name], default="")
    supporting = [one for one in evidence if family and one.identification.family == family]
    remarks = [*_contradictions(evidence, families), *_distances(evidence)]
    if left_out:
        remarks.append(f"{left_out} packets told more different things than are kept of one host")
    if not supporting:
        base = max(
            (one.identification for one in evidence),
            key=lambda found: found.confidence,
            default=Identification(address, "unknown", "", 0.0, (), {}),
        )
        found = replace(base, host=address)
    else:
        strongest = max(supporting, key=lambda one: one.identification.confidence)
        rivals = sum(sure for name, sure in families.items() if name != family)
        sure = families[family]
        found = replace(
            strongest.identification,
            host=address,
            best=_best(supporting),
            confidence=round(sure * sure / (sure + rivals), 3),
        )
    uptime, why = _uptime(supporting, clocks, found.confidence)
    found = replace(found, uptime_ns=uptime, why_no_uptime=why)
    return HostIdentity(address, found, tuple(evidence), tuple(remarks), mac, hostname)


def _families(evidence: Sequence[Evidence]) -> dict[str, float]:
    """Return how sure each family is: independent makers that agree make it surer."""
    by_maker: dict[str, dict[str, float]] = {}
    for one in evidence:
        found = one.identification
        if found.family:
            makers = by_maker.setdefault(found.family, {})
            maker = _MAKERS.get(one.kind, one.kind)
            makers[maker] = max(makers.get(maker, 0.0), found.confidence)
    sure: dict[str, float] = {}
    for family, makers in by_maker.items():
        doubt = 1.0
        for confidence in makers.values():
            doubt *= 1.0 - confidence
        sure[family] = min(_MOST_SURE, 1.0 - doubt)
    return sure


def _best(supporting: Sequence[Evidence]) -> str:
    """Return the name: of the system as its programs call it, and of its kernel."""
    best: dict[bool, Identification] = {}
    for one in supporting:
        kernel = _MAKERS.get(one.kind) == "kernel"
        known = best.get(kernel)
        if known is None or one.identification.confidence > known.confidence:
            best[kernel] = one.identification
    kernel_says, others_say = best.get(True), best.get(False)
    if others_say is None or kernel_says is None:
        return next(iter(best.values())).best
    plain = {kernel_says.best, kernel_says.family}
    if others_say.confidence < _NAMED or others_say.best in plain:
        return kernel_says.best
    if kernel_says.confidence < _NAMED:
        return others_say.best
    return f"{others_say.best} ({kernel_says.best})"


def _contradictions(evidence: Sequence[Evidence], families: Mapping[str, float]) -> list[str]:
    there = [family for family, sure in families.items() if sure >= _CONFLICT]
    if len(there) < 2:
        return []
    said = []
    for family in there:
        kinds = {
            _WORDS.get(one.kind, one.kind)
            for one in evidence
            if one.identification.family == family and one.identification.confidence >= _CONFLICT
        }
        said.append(f"{family} by {', '.join(sorted(kinds))}" if kinds else family)
    return [
        "several systems behind one address (NAT, a proxy), or one that imitates another: "
        + "; ".join(said)
    ]


def _distances(evidence: Sequence[Evidence]) -> list[str]:
    """Notice segments of one kind that come over ways of different length."""
    hops = sorted({one.distance for one in evidence if one.distance is not None})
    if len(hops) < 2 or hops[-1] - hops[0] < 2:
        return []
    return [f"segments came over {hops[0]} to {hops[-1]} hops: several systems, or several ways"]


def _uptime(
    supporting: Sequence[Evidence], clocks: Mapping[str, Clock], confidence: float
) -> tuple[int | None, str]:
    """Return how long the system has run, in nanoseconds, or why nobody can say."""
    why = "no TCP timestamps were seen"
    for clock in clocks.values():
        if clock.running_ns is None:
            why = clock.why
            continue
        kernels = [one.identification for one in supporting if _MAKERS.get(one.kind) == "kernel"]
        chosen = [found.candidates[0] for found in kernels if found.candidates]
        if confidence >= _NAMED and chosen and all(one.clock_from_boot for one in chosen):
            return clock.running_ns, ""
        return None, (
            f"its timestamps count at {clock.frequency} a second for all peers, but nothing says "
            "that this system counts from its start"
        )
    return None, why
