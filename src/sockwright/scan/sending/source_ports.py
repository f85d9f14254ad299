"""The ports that probes are sent from: one for each try, held so that this kernel stays silent.

A second SYN from the same port, with a new sequence number, draws a bare ACK instead of an answer
when the first arrived (RFC 9293 section 3.10.7.4, a challenge): so every try has a port of its own.
And what answers the probes belongs to no connection that this kernel knows, so it would send RST,
which cancels the peer's repetitions. `sockwright.sockets.quiet` says how a port is kept from that.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Self

from sockwright.sockets.filter import NOTHING, attach_filter

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["SourcePorts"]

# Below the ports that Linux gives to connections (ip_local_port_range): those stay taken for a
# minute after each connection, and on a busy machine no neighbouring ones are free.
_LOWEST, _HIGHEST = 10_000, 32_000
_TRIES = 200


class SourcePorts:
    """So many neighbouring TCP ports from `first` on, for both versions of IP, until `close`.

    Raises:
        OSError: EADDRINUSE, there are no such ports; EMFILE, too many descriptors are open.
    """

    __slots__ = ("_held", "count", "first")

    def __init__(self, count: int) -> None:
        self.count = count
        self._held: list[socket.socket] = []
        for _ in range(_TRIES):
            chance = int.from_bytes(os.urandom(4), "big")
            self.first = _LOWEST + chance % (_HIGHEST - _LOWEST - count)
            if self._hold():
                return
        raise OSError(errno.EADDRINUSE, f"no {count} neighbouring TCP ports are free")

    def _hold(self) -> bool:
        try:
            for port in range(self.first, self.first + self.count):
                self._held.append(_quiet(port))
        except OSError as error:
            self.close()
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True

    def close(self) -> None:
        """Let go of the ports; a second time does nothing."""
        held, self._held = self._held, []
        for sock in held:
            sock.close()

    def __enter__(self) -> Self:
        """Hold the ports until the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the ports."""
        self.close()


def _quiet(port: int) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        address: tuple[str, int] = ("::", port)
    except OSError:  # a kernel without IPv6
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        address = ("0.0.0.0", port)  # nothing is ever accepted there
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # The filter first: between listen() and the filter a SYN could be answered.
        try:
            attach_filter(sock, NOTHING)
        except PermissionError:  # some kernels want CAP_NET_ADMIN for it
            sock.bind(address)  # then this kernel sends RST, as it does for any raw sender
        else:
            sock.bind(address)
            sock.listen(0)
    except BaseException:
        sock.close()
        raise
    return sock
