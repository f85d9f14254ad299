"""Write numbers, addresses, times and words as text into octets.

Each function writes into `out` from `at` on and returns where the text ends. The caller has made
sure of the room. What is written is printable ASCII, whatever is in the octets that are read.

A *word* is a place in `words`: one octet with the length, then as many octets of text. The place 0
stands for no word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.columns.batch import Numbers, Octets

__all__ = [
    "clock",
    "date",
    "decimal",
    "hexadecimal",
    "ipv4",
    "ipv6",
    "mac",
    "padded",
    "seconds",
    "word",
]

SPACE, DASH, DOT, ZERO, COLON = 32, 45, 46, 48, 58
_DAY_S = 86400
_DIGITS_OF_NS = 9


def word(out: Numbers, at: int, words: Octets, place: int) -> int:
    """Write the word at `place`."""
    length = words[place] + 0
    for index in range(length):
        out[at + index] = words[place + 1 + index]
    return at + length


def decimal(out: Numbers, at: int, number: int) -> int:
    """Write `number`, 0 or more, in decimal digits."""
    digits = 1
    rest = number // 10
    while rest:
        digits += 1
        rest //= 10
    return padded(out, at, number, digits, ZERO)


def padded(out: Numbers, at: int, number: int, width: int, filler: int) -> int:
    """Write the last `width` digits of `number`, with `filler` in place of zeros before it."""
    place = at + width
    while place > at:
        place -= 1
        digit = number % 10
        out[place] = ZERO + digit if number or place == at + width - 1 else filler
        number //= 10
    return at + width


def hexadecimal(out: Numbers, at: int, number: int, digits: int) -> int:
    """Write ``0x`` and the last `digits` hexadecimal digits of `number`."""
    out[at] = ZERO
    out[at + 1] = 120  # x
    at += 2
    for index in range(digits):
        digit = (number >> 4 * (digits - 1 - index)) & 15
        out[at + index] = ZERO + digit if digit < 10 else 87 + digit
    return at + digits


def mac(out: Numbers, at: int, octets: Octets, place: int) -> int:
    """Write the six octets at `place` as a MAC address."""
    for index in range(6):
        octet = octets[place + index] + 0
        high = octet >> 4
        low = octet & 15
        out[at] = ZERO + high if high < 10 else 87 + high
        out[at + 1] = ZERO + low if low < 10 else 87 + low
        out[at + 2] = COLON
        at += 3
    return at - 1


def ipv4(out: Numbers, at: int, octets: Octets, place: int) -> int:
    """Write the four octets at `place` as an IPv4 address."""
    for index in range(4):
        octet = octets[place + index] + 0
        if octet >= 100:
            out[at] = ZERO + octet // 100
            at += 1
        if octet >= 10:
            out[at] = ZERO + octet // 10 % 10
            at += 1
        out[at] = ZERO + octet % 10
        out[at + 1] = DOT
        at += 2
    return at - 1


def ipv6(out: Numbers, at: int, octets: Octets, place: int) -> int:
    """Write the 16 octets at `place` as an IPv6 address, RFC 5952.

    The first of the longest runs of two or more zero groups is ``::``. An IPv4-mapped address ends
    in the form of IPv4 (section 5).
    """
    best = -1
    longest = 1
    begin = -1
    for group in range(9):
        if group < 8 and octets[place + 2 * group] == 0 and octets[place + 2 * group + 1] == 0:
            if begin < 0:
                begin = group
        else:
            if begin >= 0 and group - begin > longest:
                best = begin
                longest = group - begin
            begin = -1
    mapped = (
        best == 0 and longest == 5 and octets[place + 10] == 0xFF and octets[place + 11] == 0xFF
    )
    group = 0
    while group < 8:
        if group == best:
            out[at] = COLON
            at += 1
            if group == 0:
                out[at] = COLON
                at += 1
            group += longest
            continue
        if mapped and group == 6:
            return ipv4(out, at, octets, place + 12)
        number = ((octets[place + 2 * group] + 0) << 8) | (octets[place + 2 * group + 1] + 0)
        shift = 12
        while shift and not number >> shift:
            shift -= 4
        while shift >= 0:
            digit = (number >> shift) & 15
            out[at] = ZERO + digit if digit < 10 else 87 + digit
            at += 1
            shift -= 4
        group += 1
        if group < 8:
            out[at] = COLON
            at += 1
    # The colon behind the last group before "::" is the first of its two.
    return at


def seconds(out: Numbers, at: int, time_ns: int, digits: int) -> int:
    """Write a time as seconds with `digits` (1 to 9) behind the point."""
    if time_ns < 0:
        out[at] = DASH
        at += 1
        time_ns = -time_ns
    at = decimal(out, at, time_ns // 1_000_000_000)
    return _fraction(out, at, time_ns % 1_000_000_000, digits)


def clock(out: Numbers, at: int, time_ns: int, digits: int) -> int:
    """Write a time as hours (as many as there are), minutes, seconds and a fraction."""
    if time_ns < 0:
        out[at] = DASH
        at += 1
        time_ns = -time_ns
    whole = time_ns // 1_000_000_000
    hours = whole // 3600
    at = padded(out, at, hours, 2, ZERO) if hours < 100 else decimal(out, at, hours)
    out[at] = COLON
    at = padded(out, at + 1, whole // 60 % 60, 2, ZERO)
    out[at] = COLON
    at = padded(out, at + 1, whole % 60, 2, ZERO)
    return _fraction(out, at, time_ns % 1_000_000_000, digits)


def _fraction(out: Numbers, at: int, fraction_ns: int, digits: int) -> int:
    out[at] = DOT
    for _ in range(_DIGITS_OF_NS - digits):
        fraction_ns //= 10
    return padded(out, at + 1, fraction_ns, digits, ZERO)


def date(out: Numbers, at: int, day: int) -> int:
    """Write the day that is `day` days behind 1970-01-01, of the Gregorian calendar."""
    # Years are counted from March, so that the day that comes and goes is the last of the year.
    shifted = day + 719_468  # days from 0000-03-01 on
    era = shifted // 146_097  # 400 years
    of_era = shifted % 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153
    year = year_of_era + era * 400
    if month >= 10:
        year += 1
        month -= 9
    else:
        month += 3
    shifted_month = (month + 9) % 12
    at = padded(out, at, year, 4, ZERO)
    out[at] = DASH
    at = padded(out, at + 1, month, 2, ZERO)
    out[at] = DASH
    return padded(out, at + 1, of_year - (153 * shifted_month + 2) // 5 + 1, 2, ZERO)
