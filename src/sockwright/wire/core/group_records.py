"""What reports of IGMPv3 and MLDv2 share: their group records differ in the size of addresses.

RFC 9776 section 4.2 and RFC 9777 section 5.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Header

__all__ = ["kind_findings", "number_findings", "records_stop"]


def records_stop(
    octets: bytes,
    start: int,
    end: int,
    number: int,
    *,
    least: int,
    size_at: Callable[[bytes, int], int],
) -> int:
    """Return where `number` records that begin at `start` stop, the first one beyond `end` at most.

    A record has `least` octets; ``size_at(octets, offset)`` tells how many it claims once these are
    there.
    """
    stop = start
    for _ in range(number):
        # A record that is cut still shows that one was meant.
        stop += size_at(octets, stop) if stop + least <= end else least
        if stop > end:
            break
    return stop


def number_findings(
    header: Header, place: Place, said: int, follow: int, reference: str
) -> Iterator[Finding]:
    """Yield a finding where the number of records is not that of those that follow."""
    if said != follow and not place.truncated:
        yield header.finding(
            "number-of-records",
            "error",
            "number_of_records",
            said,
            follow,
            reference,
            f"the number says {said} records, {follow} follow",
        )


def kind_findings(
    header: Header, kind: int, known: Container[int], reference: str
) -> Iterator[Finding]:
    """Yield a finding where a record is of no kind that is `known`."""
    if kind not in known:
        yield header.finding(
            "record-kind",
            "warning",
            "records",
            kind,
            "1 to 6",
            reference,
            "a record of a kind that is not known is ignored",
        )
