"""`SocketMemory`: what the buffers of a socket hold and may hold (linux/sock_diag.h)."""

from __future__ import annotations

import struct

from sockwright.sockets.diag.structures.structure import MaybeNumber, Number, Structure

__all__ = ["SocketMemory"]

_UNTOLD = 0xFFFF_FFFF
_BRIEF = struct.Struct("=4I")  # inet_diag_meminfo: rmem, wmem, fmem, tmem
_WHOLE = struct.Struct("=9I")


class SocketMemory(Structure):
    """The memory of a socket in octets, with what the kernel needs to manage them (SKMEMINFO).

    A packet counts for the whole memory that it takes, not for its data alone.
    """

    __slots__ = ()

    rmem_alloc = Number("u32", "Taken by what was received and not yet read")
    rcvbuf = MaybeNumber("u32", "The most that may be taken for receiving (SO_RCVBUF)", "", _UNTOLD)
    wmem_alloc = Number("u32", "Taken by what is on its way to the network")
    sndbuf = MaybeNumber("u32", "The most that may be taken for sending (SO_SNDBUF)", "", _UNTOLD)
    fwd_alloc = Number("u32", "Set aside for this socket and not in use")
    wmem_queued = Number("u32", "Taken by what is to be sent or to be acknowledged")
    optmem = MaybeNumber("u32", "Taken by options, such as filters", "", _UNTOLD)
    backlog = MaybeNumber("u32", "Received while the program held the socket", "", _UNTOLD)
    drops = MaybeNumber("u32", "Packets that were dropped here, a number", "", _UNTOLD)

    @classmethod
    def from_meminfo(cls, octets: bytes) -> SocketMemory:
        """Return what INET_DIAG_MEMINFO tells; what it does not is None."""
        received, queued, forward, sending = _BRIEF.unpack_from(octets.ljust(_BRIEF.size, b"\0"))
        limits = (_UNTOLD,) * 3
        whole = (received, _UNTOLD, sending, _UNTOLD, forward, queued, *limits)
        return cls(_WHOLE.pack(*whole))
