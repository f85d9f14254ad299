"""Unsigned integers out of octets, in either byte order.

The caller has made sure that the octets are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.columns.batch import Octets

__all__ = ["u16", "u16_be", "u32", "u32_be"]


def u16_be(octets: Octets, at: int) -> int:
    """Return the 16 bits at `at`, the most significant octet first."""
    return ((octets[at] + 0) << 8) | (octets[at + 1] + 0)


def u32_be(octets: Octets, at: int) -> int:
    """Return the 32 bits at `at`, the most significant octet first."""
    return (
        ((octets[at] + 0) << 24)
        | ((octets[at + 1] + 0) << 16)
        | ((octets[at + 2] + 0) << 8)
        | (octets[at + 3] + 0)
    )


def u16(octets: Octets, at: int, big: int) -> int:
    """Return the 16 bits at `at`, the most significant octet first if `big`."""
    if big:
        return ((octets[at] + 0) << 8) | (octets[at + 1] + 0)
    return (octets[at] + 0) | ((octets[at + 1] + 0) << 8)


def u32(octets: Octets, at: int, big: int) -> int:
    """Return the 32 bits at `at`, the most significant octet first if `big`."""
    if big:
        return (
            ((octets[at] + 0) << 24)
            | ((octets[at + 1] + 0) << 16)
            | ((octets[at + 2] + 0) << 8)
            | (octets[at + 3] + 0)
        )
    return (
        (octets[at] + 0)
        | ((octets[at + 1] + 0) << 8)
        | ((octets[at + 2] + 0) << 16)
        | ((octets[at + 3] + 0) << 24)
    )
