"""Many packets to the kernel in one call: sendmmsg(2).

A call for each packet costs as much as the packet. Here the packets lie side by side in one buffer,
in slots of one size, each with an address beside it, and the structures that tell the kernel so
are written once. A caller fills slots and says how many.
"""

from __future__ import annotations

import ctypes
import os
import struct

__all__ = ["PacketBatch"]

# struct mmsghdr of <linux/socket.h>: a struct msghdr, then how many octets were sent.
_MESSAGE = struct.Struct("@PI4xPNPNi4xI4x")
_VECTOR = struct.Struct("@PN")  # struct iovec
_MSG_DONTWAIT = 0x40


class PacketBatch:
    """`slots` packets of `size` octets, to addresses of `address_size` octets.

    `octets` is the buffer, slot n at n * `size`; `addresses` has the sockaddr structures in the
    same way.
    """

    __slots__ = (
        "_keep",
        "_place",
        "_send",
        "address_size",
        "addresses",
        "octets",
        "size",
        "slots",
    )

    def __init__(self, slots: int, size: int, address_size: int) -> None:
        self.slots = slots
        self.size = size
        self.address_size = address_size
        self.octets = bytearray(slots * size)
        self.addresses = bytearray(slots * address_size)
        vectors = bytearray(slots * _VECTOR.size)
        messages = bytearray(slots * _MESSAGE.size)
        # Views, which keep the buffers where they are as long as the kernel may be told of them.
        self._keep = [
            (ctypes.c_char * len(part)).from_buffer(part)
            for part in (self.octets, self.addresses, vectors, messages)
        ]
        packet, address, vector, self._place = map(ctypes.addressof, self._keep)
        for at in range(slots):
            _VECTOR.pack_into(vectors, at * _VECTOR.size, packet + at * size, size)
            _MESSAGE.pack_into(
                messages,
                at * _MESSAGE.size,
                address + at * address_size,
                address_size,
                vector + at * _VECTOR.size,
                1,
                0,
                0,
                0,
                0,
            )
        self._send = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._send.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]

    def address_all(self, address: bytes) -> None:
        """Address every slot to one sockaddr."""
        self.addresses[:] = address * self.slots

    def send(self, descriptor: int, first: int, count: int) -> tuple[int, int]:
        """Send `count` packets from slot `first`; return how many went, and an errno or 0.

        The errno belongs to the packet behind those that went. It is not raised, since most mean
        one packet only, or that the socket is full for a moment (EAGAIN, ENOBUFS).
        """
        sent = self._send(descriptor, self._place + first * _MESSAGE.size, count, _MSG_DONTWAIT)
        if sent >= 0:
            return sent, 0
        return 0, ctypes.get_errno() or os.EX_IOERR
