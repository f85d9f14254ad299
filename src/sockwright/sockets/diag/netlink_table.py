"""Netlink sockets: the request and the message of netlink_diag (linux/netlink_diag.h)."""

from __future__ import annotations

import socket
import struct
import sys

from sockwright.sockets.diag.row import SocketRow, plain
from sockwright.sockets.diag.structures.memory import SocketMemory
from sockwright.sockets.diag.structures.structure import Number, Structure

__all__ = ["NETLINK_PROTOCOLS", "NetlinkRing", "NetlinkSocket", "netlink_request"]

NETLINK_PROTOCOLS = {
    0: "rtnl",
    2: "usersock",
    3: "fw",
    4: "tcpdiag",
    5: "nflog",
    6: "xfrm",
    7: "selinux",
    8: "iscsi",
    9: "audit",
    10: "fiblookup",
    11: "connector",
    12: "nft",
    13: "ip6fw",
    14: "dec-rt",
    15: "uevent",
    16: "genl",
    18: "scsi-trans",
    19: "ecryptfs",
    20: "rdma",
    21: "crypto",
    22: "smc",
}
"""The names that ss(8) and /etc/iproute2/nl_protos give to the protocols of linux/netlink.h."""

# netlink_diag_req: family, protocol, pad, inode, what to show, cookie.
_REQUEST = struct.Struct("=BBHII8s")
_EVERY_PROTOCOL = 255  # NDIAG_PROTO_ALL
_SHOW_ALL = 0xF  # NDIAG_SHOW_MEMINFO, _GROUPS, _RING_CFG, _FLAGS

_MEMINFO, _GROUPS, _RX_RING, _TX_RING, _FLAGS = range(5)  # NETLINK_DIAG_...

# netlink_diag_msg, behind its nlmsghdr of 16 octets: family, type, protocol, state; port, port and
# group of the peer, inode, cookie.
_MESSAGE = struct.Struct("=BBBIIIIQ").unpack_from
_AT_TYPE = 17
_SIZE = 44
_NUMBER = struct.Struct("=I")

_CLOSE = 7
_CONNECTED = 1  # NETLINK_CONNECTED
_TYPES = {2: "dgram", 3: "raw"}
# NDIAG_FLAG_...
_FLAG_NAMES = ("cb_running", "pktinfo", "broadcast_error", "no_enobufs", "listen_all_nsid",
               "cap_ack", "ext_ack", "strict_check")  # fmt: skip


def netlink_request() -> bytes:
    """Return the request for all netlink sockets, with everything that can be told of them."""
    # The kernel takes no states and no filter here, and there are few of these sockets.
    return _REQUEST.pack(socket.AF_NETLINK, _EVERY_PROTOCOL, 0, 0, _SHOW_ALL, b"\xff" * 8)


class NetlinkRing(Structure):
    """A ring of shared memory, before Linux 4.6: netlink_diag_ring (linux/netlink_diag.h)."""

    __slots__ = ()
    block_size = Number("u32", "Octets of a block")
    block_nr = Number("u32", "How many blocks it has")
    frame_size = Number("u32", "Octets of a frame")
    frame_nr = Number("u32", "How many frames it has")


class NetlinkSocket(SocketRow):
    """A netlink socket (netlink(7)), as netlink_diag tells of it (linux/netlink_diag.h).

    The kernel lists those that have a port or a group, its own among them.
    """

    __slots__ = ()
    protocol = "netlink"
    _fixed = _SIZE
    _inode_at, _cookie_at = 32, 36

    @property
    def netid(self) -> str:
        """Always "nl"."""
        return "nl"

    @property
    def family(self) -> str:
        """Always "netlink"."""
        return "netlink"

    @property
    def type(self) -> str:
        """Either "raw" or "dgram", which netlink treats alike."""
        number = self._message()[0]
        return _TYPES.get(number) or str(number)

    @property
    def netlink_protocol(self) -> int:
        """The number of the netlink protocol, NETLINK_ROUTE and so on of linux/netlink.h."""
        return self._message()[1]

    @property
    def netlink_protocol_name(self) -> str:
        """The netlink protocol by name, see `NETLINK_PROTOCOLS`, or its number as text."""
        number = self.netlink_protocol
        return NETLINK_PROTOCOLS.get(number) or str(number)

    @property
    def state_number(self) -> int:
        """Always that of UNCONN, as ss(8) has it; `is_connected` says the other."""
        return _CLOSE

    @property
    def is_connected(self) -> bool:
        """Whether connect(2) gave it a peer to which it sends."""
        return self._message()[2] == _CONNECTED

    @property
    def port_id(self) -> int:
        """Its address; 0 for the kernel. The first of a process has the pid, by custom only."""
        return self._message()[3]

    @property
    def is_kernel(self) -> bool:
        """Whether it is the kernel's own end."""
        return self.port_id == 0

    @property
    def peer_port_id(self) -> int:
        """The port it sends to, where it is connected; 0 for the kernel."""
        return self._message()[4]

    @property
    def peer_group(self) -> int:
        """The number of the group it sends to, where it is connected; 0 for none."""
        return self._message()[5]

    @property
    def inode(self) -> int:
        """The number of the socket in sockfs."""
        return self._message()[6]

    @property
    def cookie(self) -> int:
        """The number that the kernel gives to this socket and no other."""
        return self._message()[7]

    @property
    def groups(self) -> tuple[int, ...]:
        """The multicast groups that it listens to, by their numbers, from 1 on.

        /proc tells those up to 32 only.
        """
        bits = self.attributes.get(_GROUPS, b"")
        # An array of unsigned long: bit 0 of the first is group 1. /proc has one u32.
        word = struct.calcsize("L") if len(bits) > _NUMBER.size else _NUMBER.size
        found = 0
        for at in range(0, len(bits), word):
            found |= int.from_bytes(bits[at : at + word], sys.byteorder) << at * 8
        return tuple(bit + 1 for bit in range(found.bit_length()) if found >> bit & 1)

    @property
    def flags(self) -> tuple[str, ...] | None:
        """What is on: "cb_running" (a dump goes on), "pktinfo", "no_enobufs" ...

        None where the row comes from /proc, or the kernel is too old to tell.
        """
        value = self.attributes.get(_FLAGS)
        if value is None:
            return None
        bits = _NUMBER.unpack_from(value)[0]
        return tuple(name for number, name in enumerate(_FLAG_NAMES) if bits >> number & 1)

    @property
    def rx_ring(self) -> NetlinkRing | None:
        """The ring it receives by; None for none."""
        return self._ring(_RX_RING)

    @property
    def tx_ring(self) -> NetlinkRing | None:
        """The ring it sends by; None for none."""
        return self._ring(_TX_RING)

    @property
    def memory(self) -> SocketMemory | None:
        """What it takes in the kernel."""
        value = self.attributes.get(_MEMINFO)
        return None if value is None else SocketMemory(value)

    @property
    def receive_queue(self) -> int:
        """Octets of kernel memory that messages not yet read take, their overhead included."""
        memory = self.memory
        return memory.rmem_alloc if memory is not None else 0

    @property
    def send_queue(self) -> int:
        """Octets of kernel memory that messages not yet delivered take."""
        memory = self.memory
        return memory.wmem_alloc if memory is not None else 0

    @property
    def uid(self) -> None:
        """None: netlink_diag does not tell it."""
        return

    @property
    def local(self) -> str:
        """Protocol and port as ``ss -n`` writes them: "0:1234".

        A port that the kernel chose beyond pids is below zero there: ss takes it for signed.
        """
        return f"{self.netlink_protocol}:{_signed(self.port_id)}"

    @property
    def local_named(self) -> str:
        """The same by names, as ss writes it without ``-n``: "rtnl:kernel", "rtnl:systemd/1".

        The process is the one whose pid the port is, where there is such a process; that is a
        guess, since a program may choose its port. `processes` rests on the socket itself.
        """
        return f"{self.netlink_protocol_name}:{self._holder()}"

    @property
    def peer(self) -> str:
        """Group and port it is connected to, "4:77", or "*" for none, as ``ss -n`` writes it."""
        if not self.is_connected:
            return "*"
        return f"{self.peer_group}:{_signed(self.peer_port_id)}"

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value, by its name."""
        found = super().as_dict()
        found.pop("uid", None)
        for name in ("type", "netlink_protocol", "netlink_protocol_name", "port_id", "is_kernel",
                     "groups"):  # fmt: skip
            found[name] = plain(getattr(self, name))
        if self.is_connected:
            found["peer_port_id"] = self.peer_port_id
            found["peer_group"] = self.peer_group
        for name in ("flags", "rx_ring", "tx_ring", "memory"):
            value = getattr(self, name)
            if value is not None:
                found[name] = plain(value)
        return found

    def _message(self) -> tuple[int, ...]:
        return _MESSAGE(self._octets, self._at + _AT_TYPE)

    def _ring(self, attribute: int) -> NetlinkRing | None:
        value = self.attributes.get(attribute)
        return None if value is None else NetlinkRing(value)

    def _holder(self) -> str:
        if self.is_kernel:
            return "kernel"
        try:
            with open(f"/proc/{self.port_id}/comm", "rb") as file:
                name = file.read().removesuffix(b"\n")
        except OSError:
            return str(_signed(self.port_id))
        return f"{name.decode(errors='backslashreplace')}/{self.port_id}"


def _signed(port_id: int) -> int:
    return port_id - (1 << 32) if port_id >> 31 else port_id
