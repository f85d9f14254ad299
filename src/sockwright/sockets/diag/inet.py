"""Sockets of IPv4 and IPv6: the request and the message of inet_diag (linux/inet_diag.h).

A row reads what it is asked for out of its message, so the modules that decode attributes are
loaded by whoever asks for one.
"""

from __future__ import annotations

import _socket as socket  # `socket` makes enumerations of all constants: 5 ms of a start
import struct
import sys
from operator import attrgetter

from sockwright.sockets.diag.netlink import attribute
from sockwright.sockets.diag.row import SHUTDOWNS, SocketRow, plain
from sockwright.sockets.diag.states import state_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import ClassVar, TypeAlias

    from sockwright.sockets.diag.structures.congestion import BBRInfo, DCTCPInfo, VegasInfo
    from sockwright.sockets.diag.structures.memory import SocketMemory
    from sockwright.sockets.diag.structures.mptcp_info import MPTCPInfo
    from sockwright.sockets.diag.structures.sctp_info import SCTPInfo
    from sockwright.sockets.diag.structures.socket_options import ULP, SocketOptions
    from sockwright.sockets.diag.structures.tcp_info import TCPInfo
    from sockwright.sockets.diag.timer import Timer

    Columns: TypeAlias = tuple[int, int, int, int, bytes, bytes, int, bytes]
    Essentials: TypeAlias = tuple[
        int, int, int, int, bytes, bytes, bytes, bytes, int, int, int, int, int, int
    ]

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
    "endpoint_text",
    "extensions_for",
    "inet_request",
    "udp_socket_id",
]

FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_FAMILY_NAMES: dict[int, str] = {number: name for name, number in FAMILIES.items()}

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

# Attributes of the answer, INET_DIAG_*.
_MEMINFO, _INFO, _VEGASINFO, _CONG, _TOS, _TCLASS, _SKMEMINFO, _SHUTDOWN = range(1, 9)
_DCTCPINFO, _, _SKV6ONLY, _LOCALS, _PEERS, _, _MARK, _BBRINFO, _CLASS_ID = range(9, 18)
_MD5SIG, _ULP_INFO, _, _CGROUP_ID, _SOCKOPT = range(18, 23)

# inet_diag_msg, behind its nlmsghdr of 16 octets: family, state, timer, retransmits; ports and
# addresses in network order; interface; cookie; expires, queues, uid, inode in the host's.
_ESSENTIALS_OF_MESSAGE = struct.Struct("=16xBBBB2s2s16s16sI8xIIIII").unpack_from
# All in network order, but for the queues, which are left as they are.
_COLUMNS = struct.Struct(">16xBB2xHH16s16sI12x8s").unpack_from
_PORTS = struct.Struct(">HH").unpack_from
_NUMBERS = struct.Struct("=IQIIIII").unpack_from
_AT_FAMILY, _AT_STATE, _AT_TIMER, _AT_RETRANSMITS = 16, 17, 18, 19
_AT_PORTS, _AT_SOURCE, _AT_DESTINATION, _AT_NUMBERS, _AT_SOCKID_END = 20, 24, 40, 56, 68
_SIZE = 88
_MOST_PROTOCOL = 255

_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, RFC 4291 section 2.5.5.2
_NOWHERE = bytes(16)
_LEAST_INFO = 104  # octets of tcp_info before Linux 3.15, up to total_retrans
_MD5_KEY = 100  # octets of a tcp_diag_md5sig
# What a row may tell beside its addresses, in the order of `as_dict`.
_TOLD = ("timer", "v6only", "mark", "tos", "tclass", "class_id", "cgroup_id", "socket_options",
         "memory")  # fmt: skip


def endpoint_text(
    family: int, address: bytes, port: int, device: str = "", *, v6only: bool = False
) -> str:
    """Return an address with its port as ``ss -n`` writes it: "[::1]:22", "0.0.0.0%eth0:*".

    `address` is in network order, 4 octets of it for AF_INET, 16 for AF_INET6; more are ignored.
    Any address of IPv6 is "*" unless `v6only`: such a socket may take IPv4 as well.
    """
    if family == socket.AF_INET:
        host = socket.inet_ntop(socket.AF_INET, address[:4])
    elif address == _NOWHERE and not v6only:
        host = "*"
    else:
        host = f"[{socket.inet_ntop(socket.AF_INET6, address)}]"
    return f"{host}%{device}:{port or '*'}" if device else f"{host}:{port or '*'}"


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


def extensions_for(*, info: bool, memory: bool, options: bool) -> int:
    """Return the extensions of a request that asks for these parts of a row."""
    return (INFO if info else 0) | (MEMORY if memory else 0) | (OPTIONS if options else 0)


def udp_socket_id(sockid: bytes) -> bytes:
    """Return struct inet_diag_sockid of a message as udp_diag looks up one socket by it.

    There, and nowhere else, source and destination stand the other way round.
    """
    return sockid[2:4] + sockid[:2] + sockid[20:36] + sockid[4:20] + sockid[36:]


class InetSocket(SocketRow):
    """A socket of IPv4 or IPv6; `protocol` and the class say of which protocol.

    What is None was not asked for, or this kernel does not tell it of such a socket.
    """

    __slots__ = ()
    _fixed = _SIZE
    _inode_at, _cookie_at = 84, 60
    _more: ClassVar[tuple[str, ...]] = ()
    """What its protocol tells beyond `_TOLD`."""

    def essentials(self) -> Essentials:
        """Return what a plain table needs, in one step of 0.15 us.

        In this order: family (AF_INET, AF_INET6), state number, timer number, retransmits; own port
        and peer's port (2 octets each, in network order), own and peer's address (16 octets each,
        of which IPv4 uses 4); interface index, milliseconds of the timer, receive queue, send
        queue, uid, inode. Ports and addresses are octets because they are good keys: a table of
        thousands of rows meets the same few again and again, and can keep the texts that it made
        (`endpoint_text`).
        """
        return _ESSENTIALS_OF_MESSAGE(self._octets, self._at)

    @staticmethod
    def columns_of(rows: Sequence[InetSocket]) -> Iterator[Columns]:
        """Return what a plain table needs of each row, in a third of the time of `essentials`.

        In this order: family, state number; own port and peer's port; own and peer's address (16
        octets each, of which IPv4 uses 4); a number that is 0 where no interface is bound; both
        queues (8 octets, as ``"=II"``).
        """
        octets, places = map(attrgetter("_octets"), rows), map(attrgetter("_at"), rows)
        return map(_COLUMNS, octets, places)

    @property
    def family(self) -> str:
        """Either "inet" or "inet6"."""
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
        """The own address with its port, as ``ss -n`` writes it, without the interface."""
        return self.local_on("")

    @property
    def peer(self) -> str:
        """The peer's address with its port, as ``ss -n`` writes it."""
        return self._endpoint(self._at + _AT_DESTINATION, self.peer_port, "")

    def local_on(self, device: str) -> str:
        """Return `local` with the name of the interface that the socket is bound to, "" for none.

        A row has the number of the interface, not its name, which is the namespace's to know.
        """
        return self._endpoint(self._at + _AT_SOURCE, self.local_port, device)

    @property
    def is_mapped(self) -> bool:
        """Whether it is an IPv6 socket that speaks IPv4, with addresses "::ffff:192.0.2.1"."""
        at = self._at
        return self._octets[at + _AT_FAMILY] == socket.AF_INET6 and _MAPPED in (
            self._octets[at + _AT_SOURCE : at + _AT_SOURCE + 12],
            self._octets[at + _AT_DESTINATION : at + _AT_DESTINATION + 12],
        )

    @property
    def interface(self) -> int:
        """The index of the interface that it is bound to; 0 for none."""
        return self._numbers()[0]

    @property
    def cookie(self) -> int:
        """The number that the kernel gives to this socket and no other."""
        return self._numbers()[1]

    @property
    def timer(self) -> Timer | None:
        """The timer that runs; None for none."""
        at = self._at
        number = self._octets[at + _AT_TIMER]
        if not number:
            return None
        from sockwright.sockets.diag.timer import Timer

        return Timer.of(number, self._numbers()[2], self._octets[at + _AT_RETRANSMITS])

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

    @property
    def memory(self) -> SocketMemory | None:
        """What its buffers hold and may hold."""
        whole = self._attribute(_SKMEMINFO)
        brief = None if whole is not None else self._attribute(_MEMINFO)
        if whole is None and brief is None:
            return None
        from sockwright.sockets.diag.structures.memory import SocketMemory

        return SocketMemory(whole) if whole is not None else SocketMemory.from_meminfo(brief or b"")

    @property
    def shutdown(self) -> str:
        """Which directions the program or the peer shut down: "receive", "send", "both" or ""."""
        return SHUTDOWNS[(self._number(_SHUTDOWN) or 0) & 3]

    @property
    def mark(self) -> int | None:
        """SO_MARK, which rules of routing and nftables can ask for; told to CAP_NET_ADMIN only."""
        return self._number(_MARK)

    @property
    def v6only(self) -> bool | None:
        """Whether an IPv6 socket without a peer refuses IPv4 (IPV6_V6ONLY)."""
        number = self._number(_SKV6ONLY)
        return None if number is None else bool(number)

    @property
    def tos(self) -> int | None:
        """IP_TOS: DSCP and ECN of the packets of IPv4."""
        return self._number(_TOS)

    @property
    def tclass(self) -> int | None:
        """IPV6_TCLASS: the traffic class of the packets of IPv6."""
        return self._number(_TCLASS)

    @property
    def class_id(self) -> int | None:
        """The class of tc(8): SO_PRIORITY, or what the control group net_cls gave; 0 for none."""
        return self._number(_CLASS_ID)

    @property
    def cgroup_id(self) -> int | None:
        """The control group of version 2, see `sockwright.sockets.diag.cgroup`."""
        return self._number(_CGROUP_ID)

    @property
    def socket_options(self) -> SocketOptions | None:
        """Options that are on or off."""
        told = self._attribute(_SOCKOPT)
        if told is None:
            return None
        from sockwright.sockets.diag.structures.socket_options import SocketOptions

        return SocketOptions(told)

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value, by its name."""
        found = super().as_dict()
        for name in ("local_address", "local_port", "peer_address", "peer_port"):
            found[name] = getattr(self, name)
        for name in ("interface", "shutdown", "is_mapped"):
            value = getattr(self, name)
            if value:
                found[name] = value
        for name in (*_TOLD, *self._more):
            value = getattr(self, name)
            if value is not None:
                found[name] = plain(value)
        return found

    def _numbers(self) -> tuple[int, ...]:
        return _NUMBERS(self._octets, self._at + _AT_NUMBERS)

    def _address(self, at: int) -> str:
        if self._octets[self._at + _AT_FAMILY] == socket.AF_INET:
            return socket.inet_ntop(socket.AF_INET, self._octets[at : at + 4])
        return socket.inet_ntop(socket.AF_INET6, self._octets[at : at + 16])

    def _endpoint(self, at: int, port: int, device: str) -> str:
        family = self._octets[self._at + _AT_FAMILY]
        address = self._octets[at : at + 16]
        v6only = address == _NOWHERE and family == socket.AF_INET6 and bool(self.v6only)
        return endpoint_text(family, address, port, device, v6only=v6only)

    def _attribute(self, wanted: int) -> bytes | None:
        """Return one attribute; None where the message has none such."""
        return self.attributes.get(wanted)

    def _number(self, wanted: int) -> int | None:
        told = self._attribute(wanted)
        return None if told is None else int.from_bytes(told, sys.byteorder)


class TCPSocket(InetSocket):
    """A TCP socket."""

    __slots__ = ()
    protocol = "tcp"

    @property
    def info(self) -> TCPInfo | None:
        """What the kernel knows about the connection."""
        told = self._attribute(_INFO)
        if told is None or len(told) < _LEAST_INFO:
            return None
        from sockwright.sockets.diag.structures.tcp_info import TCPInfo

        return TCPInfo(told)

    @property
    def congestion(self) -> str | None:
        """The congestion control: "cubic", "bbr" ..."""
        told = self._attribute(_CONG)
        return None if told is None else told.rstrip(b"\0").decode("ascii", "backslashreplace")

    @property
    def congestion_info(self) -> BBRInfo | DCTCPInfo | VegasInfo | None:
        """What the congestion control tells about itself; most tell nothing."""
        told = self.attributes
        if not told.keys() & {_BBRINFO, _DCTCPINFO, _VEGASINFO}:
            return None
        from sockwright.sockets.diag.structures import congestion

        if _BBRINFO in told:
            return congestion.BBRInfo(told[_BBRINFO])
        if _DCTCPINFO in told:
            return congestion.DCTCPInfo(told[_DCTCPINFO])
        return congestion.VegasInfo(told[_VEGASINFO])

    @property
    def ulp(self) -> ULP | None:
        """The layer above TCP in the kernel, such as MPTCP or TLS; None for none."""
        told = self._attribute(_ULP_INFO)
        if told is None:
            return None
        from sockwright.sockets.diag.structures.socket_options import ULP

        return ULP(told)

    @property
    def md5_peers(self) -> tuple[str, ...]:
        """The networks whose segments must be signed (TCP_MD5SIG, RFC 2385), "192.0.2.0/24".

        Told to CAP_NET_ADMIN only. The keys are in `attributes`, and are not shown.
        """
        told = self._attribute(_MD5SIG) or b""
        return tuple(
            _md5_peer(told[at : at + _MD5_KEY])
            for at in range(0, len(told) - _MD5_KEY + 1, _MD5_KEY)
        )

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value, by its name."""
        found = super().as_dict()
        if self.md5_peers:
            found["md5_peers"] = list(self.md5_peers)
        return found

    _more = ("congestion", "congestion_info", "ulp", "info")


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
    """An SCTP endpoint or association; both have the inode and cookie of the endpoint's socket."""

    __slots__ = ()
    protocol = "sctp"

    @property
    def is_association(self) -> bool:
        """Whether it is an association with a peer, not the endpoint that such belong to."""
        return self._attribute(_PEERS) is not None

    @property
    def state(self) -> str:
        """The state; of an association by its own names (RFC 9260 section 4)."""
        number = self.state_number
        if not self.is_association:
            return state_name(number)
        from sockwright.sockets.diag.structures.sctp_info import STATES

        return STATES[number] if number < len(STATES) else str(number)

    @property
    def local_addresses(self) -> tuple[str, ...]:
        """All own addresses, without the port."""
        return self._addresses(_LOCALS)

    @property
    def peer_addresses(self) -> tuple[str, ...]:
        """All addresses of the peer, without the port."""
        return self._addresses(_PEERS)

    @property
    def info(self) -> SCTPInfo | None:
        """What the kernel knows about the association."""
        told = self._attribute(_INFO)
        if told is None:
            return None
        from sockwright.sockets.diag.structures.sctp_info import SCTPInfo

        return SCTPInfo(told)

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value, by its name."""
        found = super().as_dict()
        found["local_addresses"] = list(self.local_addresses)
        if self.is_association:
            found["peer_addresses"] = list(self.peer_addresses)
        return found

    _more = ("info",)

    def _identity(self) -> tuple[object, ...]:
        sockid = self._octets[self._at + _AT_PORTS : self._at + _AT_SOCKID_END]
        return self.protocol, self.is_association, sockid

    def _addresses(self, wanted: int) -> tuple[str, ...]:
        from sockwright.sockets.diag.structures.sctp_info import addresses

        return addresses(self._attribute(wanted) or b"")


class MPTCPSocket(InetSocket):
    """A Multipath TCP connection (RFC 8684); its subflows are TCP sockets."""

    __slots__ = ()
    protocol = "mptcp"

    @property
    def info(self) -> MPTCPInfo | None:
        """What the kernel knows about the connection."""
        told = self._attribute(_INFO)
        if told is None:
            return None
        from sockwright.sockets.diag.structures.mptcp_info import MPTCPInfo

        return MPTCPInfo(told)

    _more = ("info",)


def _md5_peer(entry: bytes) -> str:
    """Return the network of a tcp_diag_md5sig: family, prefix length, key length, address, key."""
    family, prefix = entry[0], entry[1]
    size = 4 if family == socket.AF_INET else 16
    return f"{socket.inet_ntop(family, entry[4 : 4 + size])}/{prefix}"
