"""One host of a raw scan: what is asked, what came back, how fast."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from sockwright.scan.tcp_host import TcpHost

if TYPE_CHECKING:
    from sockwright.scan.asked_host import Assignment
    from sockwright.scan.sending.probe_kind import ProbeKind
    from sockwright.scan.targets import Target

__all__ = ["RawHost", "route_source"]

_SOCKADDR_IN = struct.Struct("=HHI8x")
_SOCKADDR_IN6 = struct.Struct("=HHI16sI")
_IPPROTO_TCP = 6


class RawHost(TcpHost):
    """A host asked by raw probes; `key` is its part of the cookies.

    `source` and `packed` are the addresses of both sides as octets, `sockaddr` where packets go,
    `constant` what the pseudo-header adds to each checksum. `unsent` counts answers to tries that
    have not been made, which are not believed: a cookie proves no try, and a forged one would be
    taken for loss.

    Raises:
        OSError: there is no route to it, or no such zone.
    """

    __slots__ = ("constant", "key", "packed", "sampled", "sockaddr", "source", "unsent")

    def __init__(self, given: Assignment, kind: ProbeKind, key: int) -> None:
        super().__init__(given, silent=kind.silence)
        target = given.target
        self.key = key
        self.packed = socket.inet_pton(target.family, target.address)
        self.source = route_source(target, given.settings.interface, self.scope)
        if target.family == socket.AF_INET:
            self.sockaddr = _SOCKADDR_IN.pack(
                socket.AF_INET, 0, int.from_bytes(self.packed, "little")
            )
        else:
            self.sockaddr = _SOCKADDR_IN6.pack(socket.AF_INET6, 0, 0, self.packed, self.scope)
        self.constant = sum(struct.unpack(f"!{len(self.packed)}H", self.source + self.packed))
        self.constant += _IPPROTO_TCP
        self.sampled = -1
        self.unsent = 0

    def finish(self) -> None:
        """Close the books."""
        super().finish()
        if self.unsent:
            self.remarks.append(
                f"it sent {self.unsent} answer{'s' if self.unsent > 1 else ''} to tries that had "
                "not been made; they were not believed"
            )


def route_source(target: Target, interface: str = "", scope: int = 0) -> bytes:
    """Return the packed address that this machine would send from; nothing is sent.

    Raises:
        OSError: ENETUNREACH and others, there is no route; ENODEV, there is no such interface.
    """
    with socket.socket(target.family, socket.SOCK_DGRAM) as sock:
        if interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        four = target.family == socket.AF_INET
        sock.connect((target.address, 9) if four else (target.address, 9, 0, scope))
        return socket.inet_pton(target.family, str(sock.getsockname()[0]).partition("%")[0])
