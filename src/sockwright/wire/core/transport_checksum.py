"""Judging the checksums that cover a pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1).

A wrong checksum is tried against the mistakes that people and hardware make, so that the finding
can say which one it was. All arithmetic is modulo 65535, see `checksum.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import complement, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.wire.core.finding import Finding, Place, Severity

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
    other = getattr(place.network, "protocol", protocol)
    wrong_protocol = pseudo - protocol + other + rest + found
    severity: Severity = "error"
    code = "checksum"
    if (found - pseudo) % 65535 == 0:
        code, severity = "checksum-offload", "note"
        message = (
            "this is the sum of the pseudo-header alone: the sender leaves the rest to its network "
            "card (checksum offload), so a capture on the sending machine looks like this"
        )
    elif found and (rest + found) % 65535 == 0:
        message = (
            "the checksum is right without the pseudo-header; it must cover the addresses, the "
            f"protocol {protocol} and the length too"
        )
    elif found and other != protocol and wrong_protocol % 65535 == 0:
        message = (
            f"the pseudo-header was summed with protocol {other}, as the IP header has it; "
            f"what follows needs {protocol} in both"
        )
    else:
        message = _mistake(found, pseudo + rest, "pseudo-header, header and data")
    yield _finding(place, code, severity, found, complement(pseudo + rest), reference, message)


def plain_checksum_finding(place: Place, found: int, reference: str) -> Iterator[Finding]:
    """Yield a finding when the checksum over header and body, without pseudo-header, is wrong."""
    if place.fragment or place.truncated:
        return
    rest = value_of(place.whole) - _placed(found, 2, len(place.whole))
    if (rest + found) % 65535 == 0 and (found or rest):
        return
    message = _mistake(found, rest, "the header and what it carries")
    yield _finding(place, "checksum", "error", found, complement(rest), reference, message)


def _mistake(found: int, total: int, covered: str) -> str:
    """Return what is wrong with a checksum of `covered`, whose words sum up to `total`."""
    if found == 0:
        return f"the checksum was left at 0; it covers {covered}"
    if found == _swapped(complement(total)):
        return "the checksum is right, but its two octets are swapped"
    if (found - total) % 65535 == 0:
        return "this is the sum itself; the checksum is its complement"
    return f"the checksum does not fit {covered}"


def _finding(  # noqa: PLR0917  # the parts of a finding, in their order
    place: Place,
    code: str,
    severity: Severity,
    found: int,
    expected: int,
    reference: str,
    message: str,
) -> Finding:
    header = place.packet.layers[place.index]
    return header.finding(
        code, severity, "checksum", f"{found:#06x}", f"{expected:#06x}", reference, message
    )


def _placed(found: int, at: int, length: int) -> int:
    """Return what the checksum adds to `value_of` of `length` octets."""
    return found << 8 * (length + length % 2 - at - 2)


def _swapped(number: int) -> int:
    return (number & 0xFF) << 8 | number >> 8
