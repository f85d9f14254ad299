"""Numbers with units, short enough for a table or a chart: "1.5 MB", "94.1 Mbit/s", "12.3 ms"."""

from __future__ import annotations

__all__ = ["bit_rate", "counted", "duration", "octets"]

_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
_THOUSAND = 1000
_NEXT = 999.5  # what rounds to 1000 gets the next prefix


def octets(number: float) -> str:
    """Return a number of octets; a kB is 1000 octets."""
    return _scaled(number, "B")


def bit_rate(octets_a_second: float) -> str:
    """Return a rate, given in octets a second, in bits a second."""
    return _scaled(octets_a_second * 8, "bit/s")


def duration(microseconds: float) -> str:
    """Return a short time."""
    if microseconds < _NEXT:
        return f"{_digits(microseconds)} us"
    if microseconds < _NEXT * _THOUSAND:
        return f"{_digits(microseconds / _THOUSAND)} ms"
    return f"{_digits(microseconds / _THOUSAND / _THOUSAND)} s"


def counted(number: int, word: str) -> str:
    """Return a number of things: "1 socket", "2 sockets"."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def _scaled(number: float, unit: str) -> str:
    prefix = ""
    for prefix in _PREFIXES:
        if number < _NEXT or prefix == _PREFIXES[-1]:
            break
        number /= _THOUSAND
    return f"{_digits(number)} {prefix}{unit}"


def _digits(number: float) -> str:
    """Return three digits, without zeros at the end of a fraction: 1.23, 12.5, 123, 2."""
    if number >= 99.95:
        return f"{number:.0f}"
    text = f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"
    return text.rstrip("0").removesuffix(".")
