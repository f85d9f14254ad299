"""What differs in the ports of one host between two scans, and what loss explains of it.

Rules
    1. Two states that both rest on answers differ if they differ.
    2. A state that rests on silence differs from one that rests on an answer only if loss is an
       unlikely reason for the silence. How many of the ports that answered in the one scan loss
       alone would hide from the other is estimated from that one's loss and tries, or is what it
       says itself to have missed, whichever is more. That as many ports fall silent as did has to
       be less likely than `UNLIKELY` under that (Poisson). Otherwise they are unproven.
    3. Silence is no proof either where answers were limited, where the scan of the host did not
       come to its end, and where a host has not answered at all.
    4. ``open|filtered`` contradicts neither ``open`` nor ``filtered``, and ``unfiltered`` neither
       ``open`` nor ``closed``: unproven.
    5. nmap's XML tells neither loss nor tries; its silence is believed, and that is said.
    6. Programs write versions differently ("9.2p1", "9.2p1 Debian 2+deb12u10"): where two of them
       scanned, one that only says more of the same is none that changed.
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Final, NamedTuple

from sockwright.scan.reports.difference import Difference
from sockwright.scan.rows import ranges

if TYPE_CHECKING:
    from sockwright.scan.reports.kept import KeptHost, KeptPort, KeptService
    from sockwright.scan.results import Protocol

__all__ = ["PROTOCOLS", "UNLIKELY", "port_changes"]

UNLIKELY: Final = 0.01
"""What loss does with less than this probability is not put down to it."""
_GUESS = 0.5  # the confidence in a service below which it is a guess
PROTOCOLS: Final[tuple[Protocol, ...]] = ("tcp", "udp")
_COMPATIBLE = (
    ({"open|filtered", "open"}, "a silent port was called open or filtered: it may have been open"),
    ({"open|filtered", "filtered"}, "silence means open or filtered here: the two scans differ"),
    ({"unfiltered", "open"}, "an ACK cannot tell open from closed: the scans asked differently"),
    ({"unfiltered", "closed"}, "an ACK cannot tell open from closed: the scans asked differently"),
)


class _Change(NamedTuple):
    """Ports of one protocol that went from one state to another."""

    protocol: Protocol
    old: KeptPort
    new: KeptPort
    numbers: list[int]


def port_changes(old: KeptHost, new: KeptHost) -> tuple[list[Difference], int]:
    """Return what differs in the ports of a host, and how many ports only one scan asked."""
    changes, services = _changes(old, new)
    not_compared = sum(len(old.asked(name) ^ new.asked(name)) for name in PROTOCOLS)
    silent = sum(len(change.numbers) for change in changes if change.new.silent)
    if silent and not new.answered():
        # One row instead of a thousand: nothing is known of any of the ports.
        why = (
            "the host answered nothing in the new scan: it may be gone, or the way to it; "
            f"nothing is known of {_ports(silent)} that answered before"
        )
        return [Difference(new.host, "host", "up", "silent", proven=False, why=why)], not_compared
    sure_now = _Loss(new, old, sum(_fell(c.new, c.old) * len(c.numbers) for c in changes), "now")
    sure_then = _Loss(
        old, new, sum(_fell(c.old, c.new) * len(c.numbers) for c in changes), "before"
    )
    found = []
    for change in changes:
        proven, why = _judge(change, sure_then, sure_now)
        found.append(
            Difference(
                host=new.host,
                what="port",
                old=change.old.state,
                new=change.new.state,
                proven=proven,
                why=why,
                ports=ranges(change.numbers),
                protocol=change.protocol,
                old_reason=change.old.reason,
                new_reason=change.new.reason,
            )
        )
    for protocol, port, was, now in services:
        guessed = min(was.confidence, now.confidence) < _GUESS
        why = "one of the two answers is a guess" if guessed else "both scans asked the service"
        found.append(
            Difference(
                new.host, "service", str(was), str(now), not guessed, why, str(port), protocol
            )
        )
    return found, not_compared


def _changes(
    old: KeptHost, new: KeptHost
) -> tuple[list[_Change], list[tuple[Protocol, int, KeptService, KeptService]]]:
    """Return the ports whose state changed, and the services that did."""
    changes: list[_Change] = []
    services = []
    alike = old.program == new.program
    for key in sorted(old.ports.keys() | new.ports.keys()):
        was, now = old.port(*key), new.port(*key)
        if was is None or now is None:
            continue
        if was.state != now.state:
            changes.append(_Change(key[0], was, now, [key[1]]))
        elif was.service and now.service and _another(was.service, now.service, alike=alike):
            services.append((*key, was.service, now.service))
    shown = old.ports.keys() | new.ports.keys()
    for group in old.groups:
        for other in new.groups:
            same = group.port.state == other.port.state
            if same or group.protocol != other.protocol:
                continue
            if not (group.port.asked and other.port.asked):
                continue
            numbers = [
                port
                for port in group.numbers
                if port in other.numbers and (group.protocol, port) not in shown
            ]
            if numbers:
                changes.append(_Change(group.protocol, group.port, other.port, numbers))
    return changes, services


def _another(was: KeptService, now: KeptService, *, alike: bool) -> bool:
    """Whether two answers of a service differ in what both tell; `alike`: of one program."""
    if not alike and (_begins(was.version, now.version) or _begins(now.version, was.version)):
        now = now._replace(version=was.version)
    told = zip(was[:3], now[:3], strict=True)
    return was.tunnel != now.tunnel or any(one and other and one != other for one, other in told)


def _begins(version: str, more: str) -> bool:
    """Whether one version begins with the words of the other."""
    return f"{more} ".startswith(f"{version} ")


def _fell(silent: KeptPort, answered: KeptPort) -> bool:
    """Whether loss could have made the one state of the other."""
    return silent.silent and not answered.silent and not silent.limited


class _Loss:
    """What loss explains of the silence of one scan, by what the other one had answers to."""

    def __init__(self, host: KeptHost, other: KeptHost, silent: int, when: str) -> None:
        self._host = host
        self._answered = other.answered()
        self._silent = silent
        self._when = when

    def judge(self, port: KeptPort) -> tuple[bool, str]:
        """Return whether the silence of a port is proof, and why."""
        host = self._host
        told = f"silent {self._when}"
        if port.tries:
            told += f" to {port.tries} tries" if port.tries > 1 else " to one try"
        if not host.complete:
            return False, f"{told}, in a scan of the host that is not complete"
        if host.loss is None and host.expected_misses is None:
            return True, f"{told}; that file does not tell how many packets were lost"
        expected = host.expected_misses or 0.0
        if host.loss and port.tries:
            expected = max(expected, self._answered * host.loss**port.tries)
        there = "1 of them is" if self._silent == 1 else f"{self._silent} of them are"
        told += (
            f"; a loss of {100 * (host.loss or 0):.0f} % would hide {expected:.2g} of "
            f"{_ports(self._answered)} that answered the other scan, and {there} silent"
        )
        return _at_least(self._silent, expected) < UNLIKELY, told


def _judge(change: _Change, then: _Loss, now: _Loss) -> tuple[bool, str]:
    """Return whether a change of state is proven, and why."""
    old, new = change.old, change.new
    for states, why in _COMPATIBLE:
        if {old.state, new.state} == states:
            return False, why
    for port, when in ((new, "now"), (old, "before")):
        if port.silent and (port.limited or port.reason == "unproven"):
            return False, f"silent {when}, where answers were limited ({port.limited or 'icmp'})"
    if old.silent and new.silent:
        return False, "both states rest on silence, which the two scans read differently"
    if new.silent:
        return now.judge(new)
    if old.silent:
        return then.judge(old)
    return True, f"both states rest on answers: {old.reason} before, {new.reason} now"


def _at_least(count: int, expected: float) -> float:
    """Return the probability of `count` or more where `expected` are (Poisson)."""
    term = below = exp(-expected)
    for number in range(1, count):
        term *= expected / number
        below += term
        if number > expected and term < UNLIKELY * UNLIKELY:
            break  # the rest adds nothing
    return max(0.0, 1.0 - below) if count else 1.0


def _ports(count: int) -> str:
    return "1 port" if count == 1 else f"{count} ports"
