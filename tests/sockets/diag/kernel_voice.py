"""What the kernel said once, said again by a thread: for answers that no kernel gives on demand."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

from sockwright.sockets.diag.netlink import HEADER, SockDiag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["answering", "datagrams_of", "done", "with_flag"]

DUMP_INTR = 0x10
_DONE, _SIZE_OF_DONE = 3, 20
_SECONDS = 10


def datagrams_of(request: bytes, kind: int) -> list[bytes]:
    """Return what this kernel answers to a dump request, to the octet, without the end."""
    with SockDiag() as diag:
        return [octets for octets, _ in diag.dump(request, kind)]


def done(number: int = 0, flags: int = 2) -> bytes:
    """Return the message that ends a dump; `number` is an errno."""
    return HEADER.pack(_SIZE_OF_DONE, _DONE, flags, 0, 0) + (-number).to_bytes(
        4, "little", signed=True
    )


def with_flag(datagram: bytes, at: int) -> bytes:
    """Return a datagram whose message at `at` says that the dump was interrupted."""
    octets = bytearray(datagram)
    octets[at + 6] |= DUMP_INTR
    return bytes(octets)


@contextlib.contextmanager
def answering(*answers: Sequence[bytes]) -> Iterator[SockDiag]:
    """Give a `SockDiag` whose requests are answered with these datagrams, one answer a request."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    there.settimeout(_SECONDS)
    diag = SockDiag()
    diag.close()
    diag.socket = here
    limit = struct.pack("@ll", _SECONDS, 0)  # as a `SockDiag` has it
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)

    def answer() -> None:
        for datagrams in answers:
            request = there.recv(1 << 16)
            if not request:
                return  # nobody asks any more
            for datagram in datagrams:
                there.send(_with_sequence(datagram, request[8:12]))

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield diag
    finally:
        diag.close()
        thread.join()
        there.close()


def _with_sequence(datagram: bytes, sequence: bytes) -> bytes:
    octets = bytearray(datagram)
    at = 0
    while at < len(octets):
        octets[at + 8 : at + 12] = sequence
        at += int.from_bytes(octets[at : at + 4], "little") or len(octets)
    return bytes(octets)
