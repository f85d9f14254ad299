"""Packet sockets: the request and the message of packet_diag (linux/packet_diag.h)."""

from __future__ import annotations

import socket
import struct

from sockwright.sockets.diag.row import SocketRow, plain
from sockwright.sockets.diag.structures.memory import SocketMemory
from sockwright.sockets.diag.structures.structure import MaybeNumber, Number, Structure
from sockwright.sockets.diag.value import Value

__all__ = [
    "PacketFanout",
    "PacketInfo",
    "PacketMembership",
    "PacketRing",
    "PacketSocketRow",
    "packet_request",
]

# packet_diag_req: family, protocol, pad, inode, what to show, cookie.
_REQUEST = struct.Struct("=BBHII8s")
_SHOW_ALL = 0x3F  # PACKET_SHOW_INFO, _MCLIST, _RING_CFG, _FANOUT, _MEMINFO, _FILTER

_INFO, _MCLIST, _RX_RING, _TX_RING, _FANOUT, _UID, _MEMINFO, _FILTER = range(8)  # PACKET_DIAG_...

# packet_diag_msg, behind its nlmsghdr of 16 octets: family, type, EtherType; inode, cookie. Unlike
# in sockaddr_ll the EtherType is in the host's order.
_MESSAGE = struct.Struct("=BHIQ").unpack_from
_AT_TYPE = 17
_SIZE = 32
_NUMBER = struct.Struct("=I")

_CLOSE = 7
_EVERY_PROTOCOL = 3  # ETH_P_ALL
_TYPES = {3: "raw", 2: "dgram", 10: "packet"}
_NETIDS = {3: "p_raw", 2: "p_dgr", 10: "p_raw"}
_FLAGS = ("running", "auxdata", "origdev", "vnethdr", "loss")  # PDI_...
_MEMBERSHIPS = ("multicast", "promiscuous", "allmulti", "unicast")  # PACKET_MR_...
_FANOUTS = ("hash", "lb", "cpu", "rollover", "rnd", "qm", "cbpf", "ebpf")  # PACKET_FANOUT_...
_INSTRUCTION_SIZE = 8  # sock_filter

# EtherTypes by the names that ss gives them, as far as programs listen to them.
_PROTOCOLS = {
    0x0001: "802.3",
    0x0004: "802.2",
    0x000C: "can",
    0x0800: "ip",
    0x0806: "arp",
    0x6558: "teb",
    0x8035: "rarp",
    0x8100: "802.1Q",
    0x86DD: "ipv6",
    0x8809: "slow",
    0x8847: "mpls_uc",
    0x8848: "mpls_mc",
    0x8863: "ppp_disc",
    0x8864: "ppp_ses",
    0x888E: "802.1X",
    0x8892: "profinet",
    0x88A2: "aoe",
    0x88A4: "ethercat",
    0x88A8: "802.1ad",
    0x88CA: "tipc",
    0x88CC: "LLDP",
    0x88E5: "macsec",
    0x88F7: "ptp",
    0x8906: "fcoe",
    0x9000: "loopback",
}


def packet_request() -> bytes:
    """Return the request for all packet sockets, with everything that can be told of them."""
    # The kernel takes no states and no filter here, and there are few of these sockets.
    return _REQUEST.pack(socket.AF_PACKET, 0, 0, 0, _SHOW_ALL, b"\xff" * 8)


class PacketInfo(Structure):
    """Settings of a packet socket: packet_diag_info (linux/packet_diag.h)."""

    __slots__ = ()
    index = Number("u32", "The index of the interface that it is bound to, 0 for all")
    version = MaybeNumber("u32", "The version of its rings less one: 2 for TPACKET_V3")
    reserve = MaybeNumber("u32", "Octets kept free before each frame in a ring")
    copy_thresh = MaybeNumber("u32", "A longer frame is queued as well, where its slot is shorter")
    tstamp = MaybeNumber("u32", "Where times of frames come from, bits SOF_TIMESTAMPING_*")
    flags = MaybeNumber("u32", "Bits PDI_*, whose names `PacketSocketRow.flags` has")


class PacketRing(Structure):
    """A ring of shared memory: packet_diag_ring (linux/packet_diag.h), see packet(7)."""

    __slots__ = ()
    block_size = Number("u32", "Octets of a block")
    block_nr = Number("u32", "How many blocks it has")
    frame_size = Number("u32", "Octets of a frame")
    frame_nr = Number("u32", "How many frames it has")
    retire_tmo = Number("u32", "After how long a block is handed over that is not full", "ms")
    sizeof_priv = Number("u32", "Octets of a block that are the program's own")
    features = Number("u32", "Bits TP_FT_REQ_*")


class PacketMembership(Value):
    """What a socket asked an interface to receive beyond its own frames (PACKET_ADD_MEMBERSHIP).

    `interface` is an index; `kind` "multicast", "promiscuous", "allmulti" or "unicast"; `count` how
    often it was asked for; `address` the link-layer address, "" where the kind has none.
    """

    __slots__ = ("address", "count", "interface", "kind")

    # packet_diag_mclist: index, count, type, length of the address, address.
    _entry = struct.Struct("=IIHH32s")

    def __init__(self, octets: bytes, at: int = 0) -> None:
        self.interface, self.count, kind, length, address = self._entry.unpack_from(octets, at)
        self.kind: str = _MEMBERSHIPS[kind] if kind < len(_MEMBERSHIPS) else str(kind)
        self.address: str = address[:length].hex(":")

    @classmethod
    def each(cls, octets: bytes) -> tuple[PacketMembership, ...]:
        """Return the entries of PACKET_DIAG_MCLIST."""
        size = cls._entry.size
        return tuple(cls(octets, at) for at in range(0, len(octets) - size + 1, size))

    def as_dict(self) -> dict[str, object]:
        """Return its fields by their names."""
        found = {"interface": self.interface, "kind": self.kind, "count": self.count}
        return found | {"address": self.address} if self.address else found


class PacketFanout(Value):
    """The group of sockets that share the frames (PACKET_FANOUT): `id` and `kind`, "hash" ..."""

    __slots__ = ("id", "kind")

    def __init__(self, octets: bytes) -> None:
        value = int(_NUMBER.unpack_from(octets)[0])
        self.id = value & 0xFFFF
        kind = value >> 16
        self.kind = _FANOUTS[kind] if kind < len(_FANOUTS) else str(kind)

    def as_dict(self) -> dict[str, object]:
        """Return its fields by their names."""
        return {"id": self.id, "kind": self.kind}


class PacketSocketRow(SocketRow):
    """A packet socket (packet(7)), as packet_diag tells of it (linux/packet_diag.h)."""

    __slots__ = ()
    protocol = "packet"
    _fixed = _SIZE
    _inode_at, _cookie_at = 20, 24

    @property
    def netid(self) -> str:
        """The type as ss(8) writes it: "p_raw" or "p_dgr"."""
        return _NETIDS.get(self._octets[self._at + _AT_TYPE], "packet")

    @property
    def family(self) -> str:
        """Always "link"."""
        return "link"

    @property
    def type(self) -> str:
        """Either "raw", with link-layer headers, or "dgram"; "packet" is an obsolete third."""
        number = self._octets[self._at + _AT_TYPE]
        return _TYPES.get(number) or str(number)

    @property
    def state_number(self) -> int:
        """Always that of UNCONN: a packet socket has no peer."""
        return _CLOSE

    @property
    def ethernet_protocol(self) -> int:
        """The EtherType it receives, 3 (ETH_P_ALL) for every frame, 0 for none yet."""
        return self._message()[1]

    @property
    def ethernet_protocol_name(self) -> str:
        """The EtherType by name: "ip", "LLDP", "*" for every frame; "[4660]" without a name."""
        number = self.ethernet_protocol
        return "*" if number == _EVERY_PROTOCOL else _PROTOCOLS.get(number) or f"[{number}]"

    @property
    def inode(self) -> int:
        """The number of the socket in sockfs."""
        return self._message()[2]

    @property
    def cookie(self) -> int:
        """The number that the kernel gives to this socket and no other."""
        return self._message()[3]

    @property
    def info(self) -> PacketInfo | None:
        """Its settings."""
        value = self.attributes.get(_INFO)
        return None if value is None else PacketInfo(value)

    @property
    def interface(self) -> int:
        """The index of the interface that it is bound to; 0 for all."""
        info = self.info
        return info.index if info is not None else 0

    @property
    def flags(self) -> tuple[str, ...] | None:
        """What is on: "running" (it receives), "auxdata", "origdev", "vnethdr", "loss".

        None where the row comes from /proc.
        """
        info = self.info
        bits = info.flags if info is not None else None
        if bits is None:
            return None
        return tuple(name for number, name in enumerate(_FLAGS) if bits >> number & 1)

    @property
    def memberships(self) -> tuple[PacketMembership, ...]:
        """What it asked interfaces to receive beyond their own frames."""
        return PacketMembership.each(self.attributes.get(_MCLIST, b""))

    @property
    def is_promiscuous(self) -> bool:
        """Whether it asked an interface to receive every frame."""
        return any(membership.kind == "promiscuous" for membership in self.memberships)

    @property
    def rx_ring(self) -> PacketRing | None:
        """The ring it receives by; None for none."""
        return self._ring(_RX_RING)

    @property
    def tx_ring(self) -> PacketRing | None:
        """The ring it sends by; None for none."""
        return self._ring(_TX_RING)

    @property
    def fanout(self) -> PacketFanout | None:
        """The group of sockets it shares the frames with; None for none."""
        value = self.attributes.get(_FANOUT)
        return None if value is None else PacketFanout(value)

    @property
    def filter_program(self) -> bytes:
        """Its filter as classic BPF, 8 octets an instruction (sock_filter of linux/filter.h).

        Empty where it has none, has one that is not classic, or the caller lacks CAP_NET_ADMIN.
        """
        return self.attributes.get(_FILTER, b"")

    @property
    def filter_instructions(self) -> int:
        """How many instructions `filter_program` has."""
        return len(self.filter_program) // _INSTRUCTION_SIZE

    @property
    def memory(self) -> SocketMemory | None:
        """What it takes in the kernel; of /proc only what is received and not yet read."""
        value = self.attributes.get(_MEMINFO)
        return None if value is None else SocketMemory(value)

    @property
    def receive_queue(self) -> int:
        """Octets of kernel memory that frames not yet read take, their overhead included."""
        memory = self.memory
        return memory.rmem_alloc if memory is not None else 0

    @property
    def send_queue(self) -> int:
        """Octets of kernel memory that frames not yet sent take, their overhead included."""
        memory = self.memory
        return memory.wmem_alloc if memory is not None else 0

    @property
    def uid(self) -> int | None:
        """The user who made the socket; None where the kernel does not say."""
        value = self.attributes.get(_UID)
        return None if value is None else int(_NUMBER.unpack_from(value)[0])

    @property
    def local(self) -> str:
        """EtherType and interface, "*" for all: "*:if2", "[2048]:*"; `local_on` takes its name."""
        return self.local_on("")

    def local_on(self, device: str, *, numeric: bool = True) -> str:
        """Return `local` with the name of the interface that the socket is bound to: "*:eth0".

        With this it is what ``ss -n`` writes, and unless `numeric` what ss writes: "ip:eth0". A row
        has the number of the interface, not its name, which is the namespace's to know.
        """
        index = self.interface
        place = (device or f"if{index}") if index else "*"
        number = self.ethernet_protocol
        if not numeric:
            return f"{self.ethernet_protocol_name}:{place}"
        return f"{'*' if number == _EVERY_PROTOCOL else f'[{number}]'}:{place}"

    @property
    def peer(self) -> str:
        """Always "*": a packet socket has no peer."""
        return "*"

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value, by its name."""
        found = super().as_dict()
        for name in ("type", "ethernet_protocol", "ethernet_protocol_name", "interface"):
            found[name] = getattr(self, name)
        flags, info = self.flags, self.info
        if flags is not None:
            found["flags"] = list(flags)
        if info is not None:
            for name in ("version", "reserve", "copy_thresh", "tstamp"):
                value = getattr(info, name)
                if value is not None:
                    found[name] = value
        for name in ("memberships", "rx_ring", "tx_ring", "fanout", "filter_instructions",
                     "memory"):  # fmt: skip
            value = getattr(self, name)
            if value:
                found[name] = plain(value)
        return found

    def _message(self) -> tuple[int, ...]:
        return _MESSAGE(self._octets, self._at + _AT_TYPE)

    def _ring(self, attribute: int) -> PacketRing | None:
        value = self.attributes.get(attribute)
        return None if value is None else PacketRing(value)
