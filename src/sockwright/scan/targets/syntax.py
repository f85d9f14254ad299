"""What stands for addresses: text to ranges of numbers; nothing is looked up here.

    target  = address ["/" prefix] / pattern / address "-" address / name ["/" prefix]
    pattern = octets "." octets "." octets "." octets
    octets  = item *("," item)
    item    = "*" / number / [number] "-" [number]   ; the ends left out are 0 and 255
    address = IPv4 / IPv6 ["%" zone]                 ; in brackets, too

The patterns are nmap's. An IPv4 address that is written as IPv6 (``::ffff:192.0.2.1``) is the same
host and is taken as IPv4, so that an exclusion in either form holds.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from sockwright.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Named", "Ranges", "block", "joined", "parse", "quoted", "shortened", "split"]

_IPV4_BITS: Final = 32
_IPV6_BITS: Final = 128
_MAPPED: Final = 0xFFFF << 32  # RFC 4291 section 2.5.5.2
# What a set of patterns may fall into: 10.*.*.1 is 65 536 ranges.
_MOST_RANGES: Final = 1 << 20
# Larger is no scan: a /96 at a million packets a second takes more than an hour.
_MOST_ADDRESSES: Final = 1 << 32
# The longest: each of the four parts with all of its numbers, which is 3 659 characters.
_LONGEST: Final = 4096
_QUOTED: Final = 80  # characters of a word that a message repeats
_EXAMPLES: Final = "192.0.2.1, 10.0.0.0/24, 10.0.0.1-20, 2001:db8::1, fe80::1%eth0, host.example"


class Ranges(NamedTuple):
    """Addresses of one family, from the first to the last of each pair, as numbers."""

    family: int
    zone: str
    pairs: Sequence[tuple[int, int]]


class Named(NamedTuple):
    """A name to look up; `prefix` is that of its network, None for the one address."""

    name: str
    prefix: int | None


def quoted(text: str) -> str:
    """Return what was written as a message quotes it: of much no more than the beginning."""
    return repr(shortened(text))


def shortened(text: str) -> str:
    """Return as much of what was written as a message repeats."""
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"


def split(text: str) -> list[str]:
    """Divide a list at white space, and at commas where those divide whole addresses or names.

    In ``10.0.0.1,2`` the comma belongs to the octet.
    """
    found = []
    for word in text.split():
        parts = [part for part in word.split(",") if part]
        whole = all(part.count(".") >= 3 or not _PATTERN.fullmatch(part) for part in parts)
        found.extend(parts if whole else [word])
    return found


_PATTERN: Final = re.compile(r"[0-9.,*-]+")


def parse(text: str) -> Ranges | Named:
    """Read one target as the grammar above says.

    Raises:
        TargetError: it is not well formed, or so large that no scan of it would end.
    """
    if len(text) > _LONGEST:
        raise TargetError(f"{quoted(text)} is no target: it has {len(text)} characters")
    place, slash, digits = text.partition("/")
    prefix = _prefix(text, digits) if slash else None
    if place.startswith("[") and place.endswith("]"):
        place = place[1:-1]
    if ":" in place:
        return _ipv6(text, place, prefix)
    if _PATTERN.fullmatch(place):
        return _ipv4(text, place, prefix)
    if not _NAME.fullmatch(place):
        raise TargetError(f"{quoted(text)} is no target; what fits: {_EXAMPLES}")
    if _is_old(place):
        means = socket.inet_ntoa(socket.inet_aton(place))
        raise TargetError(f"{quoted(text)} is {means} to inet_aton(3) and no name: write that")
    return Named(place, prefix)


def _is_old(place: str) -> bool:
    """Whether the resolver would take it for an address of IPv4: ``0x7f.1``, as inet_aton(3)."""
    try:
        socket.inet_aton(place)
    except (OSError, UnicodeError):
        return False
    return True


# RFC 1123 section 2.1, and the underscores that people use; letters of other scripts are left to
# the resolver (RFC 5891).
_NAME: Final = re.compile(r"(?!-)[\w.-]{1,253}", re.UNICODE)


def _prefix(text: str, digits: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and int(digits) <= _IPV6_BITS):
        raise TargetError(
            f"{quoted(text)}: after / stands the length of a prefix, 0 to 32 or to 128"
        )
    return int(digits)


_LEADING_ZERO: Final = re.compile(r"(?<![0-9])0[0-9]+")


def _ipv4(text: str, place: str, prefix: int | None) -> Ranges:
    if zero := _LEADING_ZERO.search(place):
        raise TargetError(
            f"{quoted(text)}: {quoted(zero[0])} is octal to inet_aton(3) and decimal to others; "
            "write it without the zero in front"
        )
    first, dash, last = place.partition("-")
    if dash and first.count(".") == last.count(".") == 3:
        return Ranges(socket.AF_INET, "", [_span(text, socket.AF_INET, first, last, prefix)])
    octets = place.split(".")
    if len(octets) != 4:
        raise TargetError(f"{quoted(text)} has {len(octets)} of the 4 parts of an IPv4 address")
    if prefix is None:
        return Ranges(socket.AF_INET, "", _combined(text, [_octet(text, part) for part in octets]))
    return block(text, socket.AF_INET, "", _number(text, socket.AF_INET, place), prefix)


def _octet(text: str, part: str) -> list[tuple[int, int]]:
    """Return the ranges that one part of a pattern stands for, in order and apart."""
    ranges = []
    for item in part.split(","):
        low, dash, high = item.partition("-")
        if item == "*":
            low, dash = "", "-"
        elif not item:
            raise TargetError(f"{quoted(text)}: a number is missing between its dots and commas")
        first = int(low) if low.isdecimal() else 0 if dash and not low else -1
        last = int(high) if high.isdecimal() else 255 if dash and not high else -1
        if not dash:
            last = first
        if not 0 <= first <= 255 or not 0 <= last <= 255 or first > last:
            raise TargetError(
                f"{quoted(text)}: {quoted(item)} is not a number or a range from 0 to 255"
            )
        ranges.append((first, last))
    return joined(ranges)


def joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sort ranges, and make one of those that touch."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return result


def _combined(text: str, octets: list[list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Return the ranges of addresses that the four octets make, from the right to the left."""
    pairs, size = [(0, 0)], 1
    for ranges in reversed(octets):
        if pairs == [(0, size - 1)]:  # everything to the right of here: a range stays a range
            pairs = [(low * size, high * size + size - 1) for low, high in ranges]
        else:
            values = [value for low, high in ranges for value in range(low, high + 1)]
            if len(values) * len(pairs) > _MOST_RANGES:
                raise TargetError(f"{quoted(text)} falls into more than {_MOST_RANGES} ranges")
            pairs = [
                (value * size + low, value * size + high) for value in values for low, high in pairs
            ]
        size <<= 8
    return pairs


def _ipv6(text: str, place: str, prefix: int | None) -> Ranges:
    place, percent, zone = place.partition("%")
    if percent and not zone:
        raise TargetError(f"{quoted(text)}: the name of an interface is missing after %")
    first, dash, last = place.partition("-")
    if dash:
        pair = _span(text, socket.AF_INET6, first, last, prefix)
        return _as_ipv4(zone, *pair)
    number = _number(text, socket.AF_INET6, place)
    return block(text, socket.AF_INET6, zone, number, _IPV6_BITS if prefix is None else prefix)


def block(text: str, family: int, zone: str, number: int, prefix: int) -> Ranges:
    """Return the network that an address with a prefix of this length lies in.

    Raises:
        TargetError: the prefix is too long for the family, or too short for a scan.
    """
    bits = _IPV4_BITS if family == socket.AF_INET else _IPV6_BITS
    if prefix > bits:
        raise TargetError(f"{quoted(text)}: a prefix of IPv4 has at most 32 bits")
    size = 1 << (bits - prefix)
    _check_size(text, size)
    first = number & -size
    if family == socket.AF_INET6:
        return _as_ipv4(zone, first, first + size - 1)
    return Ranges(family, zone, [(first, first + size - 1)])


def _span(text: str, family: int, first: str, last: str, prefix: int | None) -> tuple[int, int]:
    if prefix is not None:
        raise TargetError(f"{quoted(text)}: a range has no prefix")
    low, high = _number(text, family, first), _number(text, family, last)
    if low > high:
        raise TargetError(f"{quoted(text)}: the range ends before it begins")
    _check_size(text, high - low + 1)
    return low, high


def _check_size(text: str, size: int) -> None:
    if size > _MOST_ADDRESSES:
        hours = size / 1e6 / 3600
        years = hours / 8766
        takes = f"{hours:,.0f} hours" if years < 2 else f"{years:,.0f} years"
        raise TargetError(
            f"{quoted(text)} has {size:,} addresses, which takes {takes} at a million packets a "
            "second; at most a /96 of IPv6 is scanned"
        )


def _as_ipv4(zone: str, first: int, last: int) -> Ranges:
    if first >> 32 == last >> 32 == _MAPPED >> 32:
        return Ranges(socket.AF_INET, "", [(first - _MAPPED, last - _MAPPED)])
    return Ranges(socket.AF_INET6, zone, [(first, last)])


def _number(text: str, family: int, address: str) -> int:
    try:
        return int.from_bytes(socket.inet_pton(family, address), "big")
    except (OSError, ValueError):
        version = 4 if family == socket.AF_INET else 6
        raise TargetError(
            f"{quoted(text)}: {quoted(address)} is no address of IPv{version}"
        ) from None
