"""Judging the number by which one header announces the next: EtherType, protocol, next header.

In a packet that was built, the header that really follows decides. In one that was decoded, the
next header was found by that very number, so the octets themselves must speak: where they are a
whole header of another kind with a right checksum, the number is the mistake. To write to a raw
socket and leave ``protocol`` at what it was is the classic one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import value_of
from sockwright.wire.core.names import ETHER_TYPES, IP_PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Header

__all__ = ["ether_type_findings", "protocol_findings"]

_ICMP, _TCP, _UDP, _NO_NEXT_HEADER, _ICMPV6 = 1, 6, 17, 59, 58
_ICMP_TYPES = frozenset((0, 3, 5, 8, 9, 10, 11, 12, 13, 14))
_IPV4, _IPV6 = 0x0800, 0x86DD
_SWAPPED = {0x0008: _IPV4, 0xDD86: _IPV6}
_LONGEST_LENGTH = 1500


def protocol_findings(header: Header, place: Place, field: str, number: int) -> Iterator[Finding]:
    """Judge the protocol `number` in `field` of `header` against what follows."""
    upper = place.upper
    if upper is not None:
        numbers = upper.carried_by.get("ip_protocol")
        if numbers is None or number not in numbers:
            yield _mismatch(header, field, upper, numbers, _named(number, IP_PROTOCOLS))
            return
        if number not in (_TCP, _UDP, _ICMP, _ICMPV6):
            return
    if number == _NO_NEXT_HEADER:
        if place.body:
            yield header.finding(
                "no-next-header",
                "note",
                field,
                f"{len(place.body)} octets",
                "none",
                "RFC 8200 section 4.7",
                "nothing should follow, yet octets do; a receiver ignores them",
            )
        return
    if place.fragment or place.truncated or header.carries_fragment:
        return
    proven = _proven_protocols(header, place, number)
    if proven and number not in proven:
        really = proven[0]
        yield header.finding(
            field.replace("_", "-"),
            "error",
            field,
            _named(number, IP_PROTOCOLS),
            _named(really, IP_PROTOCOLS),
            "RFC 791 section 3.1" if header.layer == "ipv4" else "RFC 8200 section 3",
            f"{field} says {_named(number, IP_PROTOCOLS)}, but what follows is a whole "
            f"{IP_PROTOCOLS[really]} header with a right checksum: {field} should be {really}",
        )


def ether_type_findings(header: Header, place: Place, field: str, number: int) -> Iterator[Finding]:
    """Judge the EtherType `number` in `field` of `header` against what follows (RFC 5342)."""
    upper = place.upper
    # What a length cut off belongs to it, should the length be no length.
    body = place.octets[place.body_start :]
    really = _proven_ether_type(body, number)
    if really:
        hint = "its octets are swapped: it goes out in network order" if number in _SWAPPED else ""
        yield header.finding(
            field.replace("_", "-"),
            "error",
            field,
            _named_type(number),
            _named_type(really),
            "RFC 9542 section 3",
            f"{field} says {_named_type(number)}, but what follows is an {ETHER_TYPES[really]} "
            f"packet{'; ' if hint else ''}{hint}",
        )
    elif upper is not None and "ieee802" not in upper.carried_by:
        numbers = upper.carried_by.get("ether_type")
        if numbers is None or number not in numbers:
            yield _mismatch(header, field, upper, numbers, _named_type(number))
    elif upper is not None and number > _LONGEST_LENGTH:
        yield header.finding(
            field.replace("_", "-"),
            "error",
            field,
            _named_type(number),
            f"a length up to {_LONGEST_LENGTH}",
            "IEEE 802.3 section 3.2.6",
            f"{field} says {_named_type(number)}, but an LLC header follows, which a length "
            "announces",
        )


def _mismatch(
    header: Header, field: str, upper: Header, numbers: tuple[int, ...] | None, found: str
) -> Finding:
    name = type(upper).__name__
    if numbers is None:
        message = f"no {field} announces {name}: a header is missing between the two"
    else:
        message = f"{field} says {found}, but {name} follows, which is {numbers[0]:{_form(field)}}"
    return header.finding(
        field.replace("_", "-"),
        "error",
        field,
        found,
        "another header" if numbers is None else f"{numbers[0]:{_form(field)}}",
        "RFC 1122 section 3.2.1" if field == "protocol" else "IANA registries",
        message,
    )


def _form(field: str) -> str:
    return "d" if field in ("protocol", "next_header") else "#06x"


def _named(number: int, names: object) -> str:
    name = names.get(number) if hasattr(names, "get") else None
    return f"{number} ({name})" if name else str(number)


def _named_type(number: int) -> str:
    if number <= _LONGEST_LENGTH:
        return f"a length of {number}"
    name = ETHER_TYPES.get(number)
    return f"{number:#06x} ({name})" if name else f"{number:#06x}"


def _proven_ether_type(body: bytes, number: int) -> int:
    """Return the EtherType that `body` proves to be instead of `number`, or 0."""
    if number != _IPV4 and len(body) >= 20 and body[0] >> 4 == 4 and body[0] & 15 >= 5:
        size = 4 * (body[0] & 15)
        length = int.from_bytes(body[2:4], "big")
        if size <= length <= len(body) and value_of(body[:size]) % 65535 == 0:
            return _IPV4
    if number != _IPV6 and len(body) >= 40 and body[0] >> 4 == 6:
        length = 40 + int.from_bytes(body[4:6], "big")
        # IPv6 has no checksum of its own: only a type that is IPv6's, swapped, makes padding fit.
        fits = length <= len(body) if number in _SWAPPED else length == len(body)
        if fits and number != _IPV4 and length > 40:
            return _IPV6
    return 0


def _proven_protocols(header: Header, place: Place, number: int) -> list[int]:
    """Return the protocols whose header the body is, by its structure and its checksum.

    The checksum may cover a pseudo-header with the wrong number as well: who forgot the number in
    one place has often forgotten it in the other.
    """
    body = place.body
    headers = place.packet.layers
    addresses = header.pseudo_sum(headers, place.index)
    if len(body) < 8 or addresses is None:
        return []
    proven = []
    own = value_of(body)
    for protocol in (_TCP, _UDP):
        if not _shaped(body, protocol):
            continue
        sums = {(own + addresses + len(body) + tried) % 65535 for tried in (protocol, number)}
        if 0 in sums:
            proven.append(protocol)
    icmp_addresses = (_ICMP, 0) if header.layer == "ipv4" else (_ICMPV6, addresses + len(body))
    protocol, extra = icmp_addresses
    if protocol == _ICMPV6:
        extra += _ICMPV6
    known = body[0] in _ICMP_TYPES if protocol == _ICMP else 1 <= body[0] <= 4 or body[0] >= 128
    if known and any(body[2:4]) and (own + extra) % 65535 == 0:
        proven.append(protocol)
    return proven


def _shaped(body: bytes, protocol: int) -> bool:
    """Whether `body` could be a TCP or UDP header and its data, checksum apart."""
    if protocol == _UDP:
        return int.from_bytes(body[4:6], "big") == len(body) and any(body[6:8])
    offset = body[12] >> 4 if len(body) >= 20 else 0
    return 20 <= 4 * offset <= len(body) and not body[12] & 0x0E and any(body[16:18])
