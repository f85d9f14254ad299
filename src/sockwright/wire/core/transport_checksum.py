"""Judging the checksums that cover a pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1).

A wrong checksum is tried against the mistakes that people and hardware make, so that the finding can
say which one it was. All arithmetic is modulo 65535, see `checksum.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import complement, value_of
from sockwright.wire.core.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.wire.core.finding import Place, Severity

__all__ = ["plain_checksum_finding", "transport_checksum_findings"]


def transport_checksum_findings(
    place: Place, protocol: int, at: int, reference: str, covered: bytes | None = None
) -> Iterator[Finding]:
    """Yield a finding when the checksum of the header at `place` is wrong.

    The field lies `at` octets into the header; `protocol` is the number in the pseudo-header, and
    `covered` the octets summed, where that is not all of the header and what it carries. Nothing is
    said of a fragment, of octets cut off, or without an IP header to take the addresses from.
    """
    headers = place.packet.layers
    addresses = headers[place.index].pseudo_sum(headers, place.index)
    if addresses is None or place.fragment or place.truncated:
        return
    whole = place.whole
    if covered is None:
        covered = whole
    found = int.from_bytes(covered[at : at + 2], "big")
    rest = value_of(covered) - _placed(found, at, len(covered))
    pseudo = addresses + protocol + len(whole)
    if (pseudo + rest + found) % 65535 == 0:
        return
    expected = complement(pseudo + rest)
    code, severity, message = _mistake(place, found, expected, pseudo, rest, protocol)
    layer = headers[place.index].layer
    yield Finding(
        f"{layer}-checksum{code}",
        severity,
        layer,
        "checksum",
        f"{found:#06x}",
        f"{expected:#06x}",
        reference,
        message,
    )


def plain_checksum_finding(place: Place, found: int, reference: str) -> Iterator[Finding]:
    """Yield a finding when the checksum over header and body, without pseudo-header, is wrong."""
    if place.fragment or place.truncated:
        return
    rest = value_of(place.whole) - _placed(found, 2, len(place.whole))
    if (rest + found) % 65535 == 0 and (found or rest):
        return
    expected = complement(rest)
    if found == _swapped(expected):
        message = "the checksum is right, but its two octets are swapped"
    elif found == 0:
        message = "the checksum was left at 0; it covers the header and what it carries"
    elif (found - rest) % 65535 == 0:
        message = "this is the sum itself; the checksum is its complement"
    else:
        message = "the checksum does not fit the header and what it carries"
    layer = place.packet.layers[place.index].layer
    yield Finding(
        f"{layer}-checksum",
        "error",
        layer,
        "checksum",
        f"{found:#06x}",
        f"{expected:#06x}",
        reference,
        message,
    )


def _mistake(
    place: Place, found: int, expected: int, pseudo: int, rest: int, protocol: int
) -> tuple[str, Severity, str]:
    """Return the end of the code, the severity and the message for a checksum that is wrong."""
    if (found - pseudo) % 65535 == 0:
        return (
            "-offload",
            "note",
            "this is the sum of the pseudo-header alone: the sender leaves the rest to its network "
            "card (checksum offload), so a capture on the sending machine looks like this",
        )
    if (rest + found) % 65535 == 0 and found:
        return (
            "",
            "error",
            "the checksum is right without the pseudo-header; it must cover the addresses, the "
            f"protocol {protocol} and the length too",
        )
    if found == 0:
        return "", "error", "the checksum was left at 0; it covers pseudo-header, header and data"
    if found == _swapped(expected):
        return "", "error", "the checksum is right, but its two octets are swapped"
    if (found - pseudo - rest) % 65535 == 0:
        return "", "error", "this is the sum itself; the checksum is its complement"
    network = place.network
    other = getattr(network, "protocol", None)
    if (
        isinstance(other, int)
        and other != protocol
        and (pseudo - protocol + other + rest + found) % 65535 == 0
    ):
        return (
            "",
            "error",
            f"the pseudo-header was summed with protocol {other}, as in the IP header; "
            f"what follows needs {protocol} in both",
        )
    return "", "error", "the checksum does not fit pseudo-header, header and data"


def _placed(found: int, at: int, length: int) -> int:
    """Return what the checksum adds to `value_of` of `length` octets."""
    return found << 8 * (length + length % 2 - at - 2)


def _swapped(number: int) -> int:
    return (number & 0xFF) << 8 | number >> 8
