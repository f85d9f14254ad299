"""What of the loopback a test wants to see: all else would take the room in its socket's buffer.

Other tests move files over the same interface meanwhile, and what finds no room is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.filters import compile_filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.sockets.filter import Instruction

__all__ = ["NOT_OF_SERVICES", "only"]

_ETHERNET = 1


def only(text: str) -> Sequence[Instruction]:
    """Return the program for a filter of pcap-filter(7), to be given to `packet` or attached."""
    return compile_filter(text, _ETHERNET, live=True).instructions


NOT_OF_SERVICES = "not tcp and not udp"
"""What raw sockets of tests send."""
