"""What all sockets of this package share: they wrap, and do not hide, a `socket.socket`.

The blocking classes and those of asyncio both derive from `BaseSocket`, so addresses, options,
close and errors are written once.

Rules:
- every class is made from an existing `socket.socket`, which it then owns: whoever opened the
  socket (another process, another network namespace) does not matter;
- addresses come from the kernel each time, nothing is remembered but the path to delete;
- close() may be called twice, and deletes the path of a UNIX socket that this package bound,
  unless something else stands there by now.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from sockwright.sockets.addresses import endpoint_of
from sockwright.sockets.explain import explained, explaining
from sockwright.sockets.options import Flag, Linger, Number, Text
from sockwright.sockets.privileges import Capability

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from sockwright.sockets.endpoint import Endpoint

__all__ = ["BaseSocket", "BlockingSocket", "check_timeout", "not_waiting"]

_V6 = socket.IPPROTO_IPV6
_LONGEST_S = 24 * 86_400.0


def check_timeout(seconds: float | None) -> None:
    """Refuse what is no time limit, before anything is opened.

    Raises:
        TypeError: it is not a number.
        ValueError: it is less than 0, or not a number in the other sense.
    """
    if seconds is None:
        return
    if not isinstance(seconds, int | float):
        raise TypeError(f"timeout is a number of seconds or None, not {seconds!r}")
    if not seconds >= 0:
        raise ValueError(f"timeout: {seconds} s is not 0 or more")


@contextlib.contextmanager
def not_waiting(sock: socket.socket) -> Iterator[None]:
    """Let calls on `sock` fail with `BlockingIOError` within the block instead of waiting."""
    # MSG_DONTWAIT is not enough: with a time limit Python itself waits before it calls the kernel.
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        yield
    finally:
        sock.settimeout(timeout)


class BaseSocket:
    """A socket with addresses and options; `socket` is the `socket.socket` inside."""

    # -- the table of options: level, name, meaning -------------------------------------------
    reuse_address = Flag(socket.SOL_SOCKET, socket.SO_REUSEADDR, "SO_REUSEADDR, socket(7).")
    reuse_port = Flag(socket.SOL_SOCKET, socket.SO_REUSEPORT, "SO_REUSEPORT, socket(7).")
    keepalive = Flag(socket.SOL_SOCKET, socket.SO_KEEPALIVE, "SO_KEEPALIVE, socket(7).")
    broadcast = Flag(
        socket.SOL_SOCKET, socket.SO_BROADCAST, "SO_BROADCAST: allow sending to 255.255.255.255."
    )
    linger = Linger(socket.SOL_SOCKET, socket.SO_LINGER, Linger.__doc__ or "")
    receive_buffer = Number(
        socket.SOL_SOCKET,
        socket.SO_RCVBUF,
        "SO_RCVBUF in octets. The kernel doubles what is set, caps it without a word at twice "
        "net.core.rmem_max, and reads back the doubled value.",
    )
    send_buffer = Number(
        socket.SOL_SOCKET, socket.SO_SNDBUF, "SO_SNDBUF in octets; doubled as `receive_buffer` is."
    )
    force_receive_buffer = Number(
        socket.SOL_SOCKET,
        33,  # SO_RCVBUFFORCE
        "SO_RCVBUFFORCE: set `receive_buffer` past net.core.rmem_max (write only).",
        needs=Capability.CAP_NET_ADMIN,
    )
    mark = Number(
        socket.SOL_SOCKET,
        socket.SO_MARK,
        "SO_MARK: the number that routing rules and nftables see.",
        needs=Capability.CAP_NET_ADMIN,
    )
    priority = Number(
        socket.SOL_SOCKET,
        socket.SO_PRIORITY,
        "SO_PRIORITY: the queueing class; 7 and above need CAP_NET_ADMIN.",
        needs=Capability.CAP_NET_ADMIN,
    )
    device = Text(
        socket.SOL_SOCKET,
        socket.SO_BINDTODEVICE,
        "SO_BINDTODEVICE: the only interface it uses; empty for all. Re-binding needs CAP_NET_RAW.",
        needs=Capability.CAP_NET_RAW,
    )
    ttl = Number(
        socket.IPPROTO_IP,
        socket.IP_TTL,
        "IP_TTL, ip(7), or the unicast hop limit of IPv6.",
        ipv6=(_V6, socket.IPV6_UNICAST_HOPS),
    )
    multicast_ttl = Number(
        socket.IPPROTO_IP,
        socket.IP_MULTICAST_TTL,
        "IP_MULTICAST_TTL, ip(7), or the multicast hop limit of IPv6.",
        ipv6=(_V6, socket.IPV6_MULTICAST_HOPS),
    )
    tos = Number(
        socket.IPPROTO_IP,
        socket.IP_TOS,
        "IP_TOS, ip(7), or the traffic class of IPv6: DSCP in the upper six bits, ECN in two.",
        ipv6=(_V6, socket.IPV6_TCLASS),
    )
    free_bind = Flag(
        socket.IPPROTO_IP,
        15,  # IP_FREEBIND
        "IP_FREEBIND: bind to an address that this machine does not have (yet).",
        ipv6=(_V6, 78),
    )
    transparent = Flag(
        socket.IPPROTO_IP,
        19,  # IP_TRANSPARENT
        "IP_TRANSPARENT: use foreign addresses, for a transparent proxy.",
        ipv6=(_V6, 75),
        needs=Capability.CAP_NET_ADMIN,
    )

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._owned_path: tuple[str, int, int] | None = None

    @property
    def socket(self) -> socket.socket:
        """The socket inside, to do what this package has no words for."""
        return self._socket

    @property
    def local_address(self) -> Endpoint:
        """The endpoint that this socket is bound to, as the kernel tells it."""
        with explaining("read the local address"):
            return endpoint_of(self._socket, self._socket.getsockname())

    @property
    def remote_address(self) -> Endpoint:
        """The endpoint of the peer.

        Raises:
            OSError: ENOTCONN, the socket is not connected (any more).
        """
        with explaining("read the remote address"):
            return endpoint_of(self._socket, self._socket.getpeername())

    @property
    def connected(self) -> bool:
        """Whether the socket has a peer now."""
        try:
            self._socket.getpeername()
        except OSError:
            return False
        return True

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._socket.fileno() < 0

    def fileno(self) -> int:
        """Give the descriptor (-1 when closed), so that `select` takes this object."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the descriptor and delete the path that binding created; does not fail."""
        if self._owned_path is not None:
            from pathlib import Path

            path, device, inode = self._owned_path
            self._owned_path = None
            with contextlib.suppress(OSError):
                stat = Path(path).lstat()
                if (stat.st_dev, stat.st_ino) == (device, inode):
                    Path(path).unlink()
        self._socket.close()

    def own_path(self, path: str) -> None:
        """Remember `path`, which binding has just created, to delete it at close."""
        stat = os.lstat(path)
        self._owned_path = (path, stat.st_dev, stat.st_ino)

    def _error(self, doing: str, error: OSError) -> OSError:
        """Say what `error` means; `doing` is a verb such as "receive"."""
        where = ""
        with contextlib.suppress(OSError):
            where = f" on {self.local_address}"
        with contextlib.suppress(OSError):
            where += f" with {self.remote_address}"
        return explained(error, doing + where)

    def __repr__(self) -> str:
        if self.closed:
            return f"<{type(self).__name__} closed>"
        parts = [f"fd={self.fileno()}"]
        with contextlib.suppress(OSError):
            parts.append(f"local={self.local_address}")
        with contextlib.suppress(OSError):
            parts.append(f"remote={self.remote_address}")
        return f"<{type(self).__name__} {' '.join(parts)}>"


class BlockingSocket(BaseSocket):
    """A socket whose calls wait: at most `timeout` seconds each, for ever when that is None."""

    @property
    def timeout(self) -> float | None:
        """The time limit of each call in seconds, on the monotonic clock.

        It covers the whole call: `recv_exactly` and `send_all` do not start anew with each octet.
        When it has passed, the call raises `TimeoutError`. More than 24 days are for ever: the
        kernel counts milliseconds in 31 bits, poll(2).
        """
        return self._socket.gettimeout()

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        check_timeout(seconds)
        self._socket.settimeout(None if seconds is None or seconds > _LONGEST_S else seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
