"""What looks too good, or too silent: all ports open, and few rejected where others say nothing."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, Final

from sockwright.scan.reasons import REASONS

if TYPE_CHECKING:
    from sockwright.scan.port_table import PortTable

__all__ = ["icmp_limit", "suspicions"]

_MANY: Final = 64  # open ports from which on it is worth a thought
_RUN: Final = 32  # neighbouring ones
_BURST: Final = 6  # ICMP errors that Linux sends in a row (XRLIM_BURST_FACTOR, net/ipv4/icmp.c)
_CHANCE: Final = 0.01  # that loss alone explains what is seen
_LEAST_LOSS: Final = 0.001
_BY_ICMP: Final = frozenset(
    number
    for number, reason in enumerate(REASONS)
    if reason.state == "filtered" and reason.word not in {"no-response", "no-route", "not-asked"}
)


def suspicions(table: PortTable, tiny_windows: int = 0) -> list[str]:
    """Return remarks, as sentences, about open ports that may be no services.

    A SYN proxy completes handshakes for every port, and only then looks whether somebody listens; a
    tarpit accepts everything to hold those who connect. `tiny_windows` is how many open ports
    announced a window of a few octets, as tarpits do.
    """
    numbers = table.open_ports()
    count = len(numbers)
    if tiny_windows > max(2, count // 2):
        remark = (
            f"{tiny_windows} of {count} open ports announce a tiny window or none: a SYN proxy, "
            "or a tarpit, which accepts connections only to hold them; -sV shows which of them talk"
        )
        return [remark]
    if count >= _MANY and count * 2 > len(table):
        remark = (
            f"{count} of {len(table)} ports are open: more likely a SYN proxy or a tarpit that "
            "answers for all of them than so many services; -sV shows which of them talk"
        )
        return [remark]
    run = _longest_run(numbers)
    if run is not None:
        first, last = run
        remark = (
            f"the {last - first + 1} ports from {first} to {last} are all open: "
            "perhaps a SYN proxy or a tarpit answers for them; -sV shows which of them talk"
        )
        return [remark]
    return []


def icmp_limit(table: PortTable, loss: float | None, seconds: float) -> str:
    """Return a remark if rejected TCP ports may be silent since ICMP errors are limited, else "".

    Silent ports are told nothing by that; but some were rejected, and either these are as many as
    Linux lets through in `seconds` (6 in a row, then one a second: icmp_ratelimit, ip-sysctl), or
    more of them were late than `loss`, from 0 to 1, explains.
    """
    counts = table.counts()
    rejected = [at for number in counts if number in _BY_ICMP for at in table.at_reason(number)]
    silent = counts.get(table.silent, 0)
    if not (rejected and silent) or table.limited:
        return ""
    late = sum(table.row(at).attempt > 1 for at in rejected)
    count = len(rejected)
    as_limited = _BURST <= count <= _BURST + seconds + 1
    if not as_limited and not _is_too_many(late, count, max(loss or 0.0, _LEAST_LOSS)):
        return ""
    ports = "1 port was" if count == 1 else f"{count} ports were"
    return (
        f"{ports} rejected by ICMP errors, as few or as late as where these are limited (by Linux "
        f"to 6, then one a second): the {silent} silent ports may be rejected, too"
    )


def _is_too_many(late: int, count: int, loss: float) -> bool:
    """Whether `late` of `count` answers are too many to be late by loss alone."""
    if late <= loss * count:
        return False
    fewer = sum(comb(count, n) * loss**n * (1 - loss) ** (count - n) for n in range(min(late, 50)))
    return 1 - fewer < _CHANCE


def _longest_run(numbers: list[int]) -> tuple[int, int] | None:
    """Return the longest run of neighbouring numbers, None if it is short."""
    best: tuple[int, int] | None = None
    first = previous = -2
    for number in numbers:
        if number != previous + 1:
            first = number
        previous = number
        if number - first + 1 >= _RUN and (best is None or number - first > best[1] - best[0]):
            best = (first, number)
    return best
