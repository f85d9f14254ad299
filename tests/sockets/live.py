"""What the tests of the ring and of live capture share: two hosts, and frames to send."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from sockwright.lab import Host, Lab
from sockwright.sockets import LiveCapture, capture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["MARK", "Net", "hosts", "marked", "only_marked", "tagged"]

MARK = 0x88B5  # the EtherType for experiments: nobody else here speaks it


class Net(NamedTuple):
    """Two hosts on one segment."""

    a: Host
    b: Host

    def open(self, interface: str = "eth0", *args: Any, **options: Any) -> LiveCapture:
        """Capture on host b."""
        kind = socket.SOCK_DGRAM if interface == "any" else socket.SOCK_RAW
        sock = self.b.socket(socket.AF_PACKET, kind, 0)
        return capture(interface, *args, sock=sock, **options)

    def send(self, *frames: bytes, source: str = "a") -> None:
        """Send whole frames out of the interface of a host."""
        host = self.a if source == "a" else self.b
        with host.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind(("eth0", 0))
            for frame in frames:
                sock.send(frame)


@contextlib.contextmanager
def hosts() -> Iterator[Net]:
    """Make two hosts on one segment."""
    with Lab() as lab:
        yield Net(*lab.hosts("a", "b"))


def marked(content: bytes = b"", size: int = 60) -> bytes:
    """Make a broadcast frame of the experimental EtherType."""
    head = b"\xff" * 6 + bytes.fromhex("020000000001") + MARK.to_bytes(2, "big")
    return (head + content).ljust(size, b"\0")


def tagged(content: bytes, tag_protocol: int = 0x8100, tag: int = 0x2005) -> bytes:
    """Make a frame as `marked` does, with a VLAN tag."""
    frame = marked(content)
    return frame[:12] + struct.pack("!HH", tag_protocol, tag) + frame[12:]


def only_marked() -> list[tuple[int, int, int, int]]:
    """Give the program that accepts the frames of `marked`."""
    return [(0x28, 0, 0, 12), (0x15, 0, 1, MARK), (6, 0, 0, 0xFFFF), (6, 0, 0, 0)]
