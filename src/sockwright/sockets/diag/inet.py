"""Sockets of IPv4 and IPv6: the request and the message of inet_diag (linux/inet_diag.h)."""

from __future__ import annotations

import socket
import struct
import sys

from sockwright.sockets.diag.netlink import attribute
from sockwright.sockets.diag.row import SocketRow

__all__ = [
    "FAMILIES",
    "INFO",
    "MEMORY",
    "OPTIONS",
    "InetSocket",
    "MPTCPSocket",
    "RawSocketRow",
    "SCTPSocket",
    "TCPSocket",
    "UDPLiteSocket",
    "UDPSocket",
    "inet_request",
]

FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_FAMILY_NAMES = {number: name for name, number in FAMILIES.items()}

# Bits of the extensions of a request, 1 << (attribute - 1) of INET_DIAG_*. Without any the kernel
# still tells SHUTDOWN, SOCKOPT, CGROUP_ID, MARK (to CAP_NET_ADMIN) and SKV6ONLY (of IPv6 sockets
# without a peer).
INFO = 1 << 1 | 1 << 2 | 1 << 3
"""Extensions that ask for TCP_INFO with its ULP, for the congestion control and its figures."""
MEMORY = 1 << 0 | 1 << 6
"""Extensions that ask for the memory of a socket: MEMINFO and SKMEMINFO."""
OPTIONS = 1 << 4 | 1 << 5
"""Extensions that ask for TOS, and for TCLASS with CLASS_ID."""

_REQUEST = struct.Struct("=BBBBI")  # inet_diag_req_v2: family, protocol, ext, pad, states
_NO_COOKIE = b"\xff" * 8
_ANY_SOCKET = bytes(40) + _NO_COOKIE  # inet_diag_sockid: ports, addresses, interface, cookie
_BYTECODE, _PROTOCOL = 1, 3  # INET_DIAG_REQ_BYTECODE, INET_DIAG_REQ_PROTOCOL

# inet_diag_msg, behind its nlmsghdr of 16 octets: family, state, timer, retransmits; ports and
# addresses in network order; interface; cookie; expires, queues, uid, inode in the host's.
_PORTS = struct.Struct(">HH").unpack_from
_NUMBERS = struct.Struct("=IQIIIII").unpack_from
_AT_FAMILY, _AT_STATE, _AT_TIMER, _AT_RETRANSMITS = 16, 17, 18, 19
_AT_PORTS, _AT_SOURCE, _AT_DESTINATION, _AT_NUMBERS = 20, 24, 40, 56
_SIZE = 88
_MOST_PROTOCOL = 255


def inet_request(
    family: int, protocol: int, states: int, extensions: int = 0, program: bytes = b""
) -> bytes:
    """Return the request for all sockets of a protocol.

    `states` is a mask; bit ``1 << (attribute - 1)`` of `extensions` asks for an attribute;
    `program` is a filter in the bytecode of inet_diag.
    """
    number = min(protocol, _MOST_PROTOCOL)
    request = _REQUEST.pack(family, number, extensions, 0, states) + _ANY_SOCKET
    if program:
        request += attribute(_BYTECODE, program)
    if protocol > _MOST_PROTOCOL:
        request += attribute(_PROTOCOL, protocol.to_bytes(4, sys.byteorder))
    return request


class InetSocket(SocketRow):
    """A socket of IPv4 or IPv6; `protocol` and the class say of which protocol."""

    __slots__ = ()
    _fixed = _SIZE

    @property
    def family(self) -> str:
        """ "inet" or "inet6"."""
        return _FAMILY_NAMES[self._octets[self._at + _AT_FAMILY]]

    @property
    def state_number(self) -> int:
        """The state as the kernel numbers it."""
        return self._octets[self._at + _AT_STATE]

    @property
    def local_address(self) -> str:
        """The own address without its port: "127.0.0.1", "::1"; "0.0.0.0" or "::" for any."""
        return self._address(self._at + _AT_SOURCE)

    @property
    def local_port(self) -> int:
        """The own port; of a raw socket the protocol number."""
        return _PORTS(self._octets, self._at + _AT_PORTS)[0]  # type: ignore[no-any-return]

    @property
    def peer_address(self) -> str:
        """The peer's address without its port."""
        return self._address(self._at + _AT_DESTINATION)

    @property
    def peer_port(self) -> int:
        """The peer's port."""
        return _PORTS(self._octets, self._at + _AT_PORTS)[1]  # type: ignore[no-any-return]

    @property
    def local(self) -> str:
        """The own address with its port, as ``ss -n`` writes it."""
        return self._endpoint(self.local_address, self.local_port)

    @property
    def peer(self) -> str:
        """The peer's address with its port, as ``ss -n`` writes it."""
        return self._endpoint(self.peer_address, self.peer_port)

    @property
    def interface(self) -> int:
        """The index of the interface that it is bound to; 0 for none."""
        return self._numbers()[0]

    @property
    def cookie(self) -> int:
        """The number that the kernel gives to this socket and no other."""
        return self._numbers()[1]

    @property
    def expires(self) -> int:
        """Milliseconds until the timer of the socket goes off."""
        return self._numbers()[2]

    @property
    def receive_queue(self) -> int:
        """Octets received and not yet read; of a listener, connections not yet accepted."""
        return self._numbers()[3]

    @property
    def send_queue(self) -> int:
        """Octets sent and not yet acknowledged; of a listener, how many may wait in its queue."""
        return self._numbers()[4]

    @property
    def uid(self) -> int:
        """The user who made the socket."""
        return self._numbers()[5]

    @property
    def inode(self) -> int:
        """The number of the socket in sockfs; 0 where no descriptor refers to it any more."""
        return self._numbers()[6]

    def _numbers(self) -> tuple[int, ...]:
        return _NUMBERS(self._octets, self._at + _AT_NUMBERS)

    def _address(self, at: int) -> str:
        if self._octets[self._at + _AT_FAMILY] == socket.AF_INET:
            return socket.inet_ntop(socket.AF_INET, self._octets[at : at + 4])
        return socket.inet_ntop(socket.AF_INET6, self._octets[at : at + 16])

    def _endpoint(self, address: str, port: int) -> str:
        text = f"[{address}]" if ":" in address else address
        return f"{text}:{port or '*'}"


class TCPSocket(InetSocket):
    """A TCP socket."""

    __slots__ = ()
    protocol = "tcp"


class UDPSocket(InetSocket):
    """A UDP socket."""

    __slots__ = ()
    protocol = "udp"


class UDPLiteSocket(InetSocket):
    """A UDP-Lite socket (RFC 3828)."""

    __slots__ = ()
    protocol = "udplite"


class RawSocketRow(InetSocket):
    """A raw IP socket: `local_port` is its protocol number."""

    __slots__ = ()
    protocol = "raw"


class SCTPSocket(InetSocket):
    """An SCTP endpoint or association."""

    __slots__ = ()
    protocol = "sctp"


class MPTCPSocket(InetSocket):
    """A Multipath TCP connection (RFC 8684); its subflows are TCP sockets."""

    __slots__ = ()
    protocol = "mptcp"
