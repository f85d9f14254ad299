"""Options of Multipath TCP, RFC 8684 section 3: TCP option kind 30, told apart by a subtype.

Each is a class of its own; a subtype not known here, and one whose octets do not fit it exactly
(reserved bits included), is kept as `UnknownOption`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, Self

from sockwright.wire.core.option import Option, check_uint

__all__ = [
    "DSS",
    "AddAddress",
    "FastClose",
    "MPCapable",
    "MPFail",
    "MPJoinACK",
    "MPJoinSYN",
    "MPJoinSYNACK",
    "MPPriority",
    "MPReset",
    "MPTCPOption",
    "RemoveAddress",
]


@dataclass(frozen=True, slots=True)
class MPTCPOption(Option):
    """The base of the options of Multipath TCP; `subtype` is the upper half of the first octet."""

    kind: ClassVar[int] = 30
    subtype: ClassVar[int] = -1

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Return the option of the subtype in `body`. Raises: ValueError where it does not fit."""
        if not body:
            raise ValueError("an MPTCP option has at least its subtype")
        for option in SUBTYPES:
            if option.subtype == body[0] >> 4 and issubclass(option, cls):
                try:
                    found = option.read(body)
                except (ValueError, IndexError, struct.error):
                    continue
                if found.body() == body:
                    return found
        raise ValueError(f"no MPTCP option of subtype {body[0] >> 4} has these octets")

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read one subtype, as `from_body` asks; it may ignore what is too much.

        Raises: ValueError, IndexError or struct.error where the octets do not fit.
        """
        raise ValueError(f"{cls.__name__} cannot read {len(body)} octets")


@dataclass(frozen=True, slots=True)
class MPCapable(MPTCPOption):
    """Subtype 0, this connection can have many paths, RFC 8684 section 3.1.

    `flags` are A to H, A highest. The SYN has no key, the SYN-ACK that of its sender, the third
    segment both; with data also its length, and a checksum where flag A asks for it.
    """

    subtype: ClassVar[int] = 0
    version: int = 1
    flags: int = 0x01
    sender_key: int | None = None
    receiver_key: int | None = None
    data_length: int | None = None
    checksum: int | None = None

    def __post_init__(self) -> None:
        check_uint("MPCapable.version", self.version, 4)
        check_uint("MPCapable.flags", self.flags, 8)
        check_uint("MPCapable.sender_key", self.sender_key or 0, 64)
        check_uint("MPCapable.receiver_key", self.receiver_key or 0, 64)
        check_uint("MPCapable.data_length", self.data_length or 0, 16)
        check_uint("MPCapable.checksum", self.checksum or 0, 16)
        optional = (self.sender_key, self.receiver_key, self.data_length, self.checksum)
        given = [value is not None for value in optional]
        if sorted(given, reverse=True) != given:
            raise ValueError("MPCapable needs each part before the last one that is given")

    def body(self) -> bytes:
        """Return version, flags and the parts that are given."""
        parts = (
            (self.sender_key, 8),
            (self.receiver_key, 8),
            (self.data_length, 2),
            (self.checksum, 2),
        )
        return bytes((self.version, self.flags)) + b"".join(
            [value.to_bytes(size, "big") for value, size in parts if value is not None]
        )

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read 2, 10, 18, 20 or 22 octets."""
        form = {2: "", 10: "Q", 18: "QQ", 20: "QQH", 22: "QQHH"}.get(len(body), "QQHH")
        return cls(body[0] & 15, body[1], *struct.unpack("!" + form, body[2:]))


@dataclass(frozen=True, slots=True)
class MPJoinSYN(MPTCPOption):
    """Subtype 1 in a SYN, one more path for a connection, RFC 8684 section 3.2."""

    subtype: ClassVar[int] = 1
    address_id: int
    receiver_token: int
    sender_random: int
    backup: bool = False

    def __post_init__(self) -> None:
        check_uint("MPJoinSYN.address_id", self.address_id, 8)
        check_uint("MPJoinSYN.receiver_token", self.receiver_token, 32)
        check_uint("MPJoinSYN.sender_random", self.sender_random, 32)

    def body(self) -> bytes:
        """Return 10 octets."""
        first = 0x10 | self.backup
        return struct.pack("!BBII", first, self.address_id, self.receiver_token, self.sender_random)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read 10 octets."""
        first, address_id, token, random = struct.unpack("!BBII", body)
        return cls(address_id, token, random, bool(first & 1))


@dataclass(frozen=True, slots=True)
class MPJoinSYNACK(MPTCPOption):
    """Subtype 1 in a SYN-ACK, RFC 8684 section 3.2; `hmac` is truncated to 8 octets."""

    subtype: ClassVar[int] = 1
    address_id: int
    hmac: bytes
    sender_random: int
    backup: bool = False

    def __post_init__(self) -> None:
        check_uint("MPJoinSYNACK.address_id", self.address_id, 8)
        check_uint("MPJoinSYNACK.sender_random", self.sender_random, 32)
        _check_length("MPJoinSYNACK.hmac", self.hmac, 8)

    def body(self) -> bytes:
        """Return 14 octets."""
        first = 0x10 | self.backup
        return struct.pack("!BB8sI", first, self.address_id, self.hmac, self.sender_random)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read 14 octets."""
        first, address_id, hmac, random = struct.unpack("!BB8sI", body)
        return cls(address_id, hmac, random, bool(first & 1))


@dataclass(frozen=True, slots=True)
class MPJoinACK(MPTCPOption):
    """Subtype 1 in the third segment, RFC 8684 section 3.2; `hmac` has 20 octets."""

    subtype: ClassVar[int] = 1
    hmac: bytes

    def __post_init__(self) -> None:
        _check_length("MPJoinACK.hmac", self.hmac, 20)

    def body(self) -> bytes:
        """Return 22 octets."""
        return b"\x10\0" + self.hmac

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read 22 octets."""
        return cls(*struct.unpack("!2x20s", body))


@dataclass(frozen=True, slots=True)
class DSS(MPTCPOption):
    """Subtype 2, data sequence signal, RFC 8684 section 3.3.

    `data_ack` acknowledges the data of all paths. A mapping says where the `data_length` octets
    that start at `subflow_seq` on this path belong: at `data_seq`. The numbers of data have 64 bits
    where `wide_ack` or `wide_seq` says so, else 32. `data_fin` ends the connection.
    """

    subtype: ClassVar[int] = 2
    data_ack: int | None = None
    data_seq: int | None = None
    subflow_seq: int = 0
    data_length: int = 0
    checksum: int | None = None
    data_fin: bool = False
    wide_ack: bool = True
    wide_seq: bool = True

    def __post_init__(self) -> None:
        check_uint("DSS.data_ack", self.data_ack or 0, 64 if self.wide_ack else 32)
        check_uint("DSS.data_seq", self.data_seq or 0, 64 if self.wide_seq else 32)
        check_uint("DSS.subflow_seq", self.subflow_seq, 32)
        check_uint("DSS.data_length", self.data_length, 16)
        check_uint("DSS.checksum", self.checksum or 0, 16)

    def body(self) -> bytes:
        """Return the flags and the parts that are given."""
        flags = self.data_fin << 4
        rest = b""
        if self.data_ack is not None:
            flags |= 1 | self.wide_ack << 1
            rest = self.data_ack.to_bytes(8 if self.wide_ack else 4, "big")
        if self.data_seq is not None:
            flags |= 4 | self.wide_seq << 3
            rest += self.data_seq.to_bytes(8 if self.wide_seq else 4, "big")
            rest += struct.pack("!IH", self.subflow_seq, self.data_length)
            if self.checksum is not None:
                rest += self.checksum.to_bytes(2, "big")
        return bytes((0x20, flags)) + rest

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read the flags and what they announce; a checksum is there when two octets are left."""
        flags = body[1]
        data_ack = data_seq = checksum = None
        subflow_seq = data_length = 0
        offset = 2
        if flags & 1:
            size = 8 if flags & 2 else 4
            data_ack = int.from_bytes(body[offset : offset + size], "big")
            offset += size
        if flags & 4:
            form = struct.Struct("!QIH" if flags & 8 else "!IIH")
            data_seq, subflow_seq, data_length = form.unpack_from(body, offset)
            offset += form.size
            if len(body) > offset:
                checksum = int.from_bytes(body[offset : offset + 2], "big")
        wide_ack, wide_seq = bool(flags & 2) or not flags & 1, bool(flags & 8) or not flags & 4
        fin = bool(flags & 16)
        return cls(data_ack, data_seq, subflow_seq, data_length, checksum, fin, wide_ack, wide_seq)


@dataclass(frozen=True, slots=True)
class AddAddress(MPTCPOption):
    """Subtype 3, one more address of the sender, RFC 8684 section 3.4.1.

    `hmac` has 8 octets; without it the option is the echo that confirms one.
    """

    subtype: ClassVar[int] = 3
    address_id: int
    address: IPv4Address | IPv6Address
    port: int | None = None
    hmac: bytes | None = None

    def __post_init__(self) -> None:
        check_uint("AddAddress.address_id", self.address_id, 8)
        check_uint("AddAddress.port", self.port or 0, 16)
        if self.hmac is not None:
            _check_length("AddAddress.hmac", self.hmac, 8)

    def body(self) -> bytes:
        """Return the identifier, the address and the parts that are given."""
        head = bytes((0x30 | (self.hmac is None), self.address_id))
        port = b"" if self.port is None else self.port.to_bytes(2, "big")
        return head + self.address.packed + port + (self.hmac or b"")

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read an address of 4 or 16 octets, a port or none, a code or none, by the length."""
        rest = len(body) - 2
        has_hmac = not body[0] & 1
        size = rest - 8 * has_hmac
        address_size = 16 if size >= 16 else 4
        end = 2 + address_size
        packed = body[2:end]
        address = IPv6Address(packed) if address_size == 16 else IPv4Address(packed)
        port = int.from_bytes(body[end : end + 2], "big") if size > address_size else None
        return cls(body[1], address, port, body[-8:] if has_hmac else None)


@dataclass(frozen=True, slots=True)
class RemoveAddress(MPTCPOption):
    """Subtype 4, addresses that are gone, RFC 8684 section 3.4.2."""

    subtype: ClassVar[int] = 4
    address_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        for address_id in self.address_ids:
            check_uint("RemoveAddress.address_ids", address_id, 8)

    def body(self) -> bytes:
        """Return an octet for each identifier."""
        return b"\x40" + bytes(self.address_ids)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read an octet for each identifier."""
        return cls(tuple(body[1:]))


@dataclass(frozen=True, slots=True)
class MPPriority(MPTCPOption):
    """Subtype 5, whether this path is a backup, RFC 8684 section 3.3.8."""

    subtype: ClassVar[int] = 5
    backup: bool

    def body(self) -> bytes:
        """Return one octet."""
        return bytes((0x50 | self.backup,))

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read one octet."""
        return cls(bool(body[0] & 1))


@dataclass(frozen=True, slots=True)
class MPFail(MPTCPOption):
    """Subtype 6, a checksum of data was wrong, RFC 8684 section 3.7: from `data_seq` on."""

    subtype: ClassVar[int] = 6
    data_seq: int

    def __post_init__(self) -> None:
        check_uint("MPFail.data_seq", self.data_seq, 64)

    def body(self) -> bytes:
        """Return 10 octets."""
        return struct.pack("!BxQ", 0x60, self.data_seq)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read 10 octets."""
        return cls(*struct.unpack("!2xQ", body))


@dataclass(frozen=True, slots=True)
class FastClose(MPTCPOption):
    """Subtype 7, end the whole connection at once, RFC 8684 section 3.5."""

    subtype: ClassVar[int] = 7
    receiver_key: int

    def __post_init__(self) -> None:
        check_uint("FastClose.receiver_key", self.receiver_key, 64)

    def body(self) -> bytes:
        """Return 10 octets."""
        return struct.pack("!BxQ", 0x70, self.receiver_key)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read 10 octets."""
        return cls(*struct.unpack("!2xQ", body))


@dataclass(frozen=True, slots=True)
class MPReset(MPTCPOption):
    """Subtype 8 (MP_TCPRST), why this path is reset, RFC 8684 section 3.6.

    `transient` says that trying again later may help; `flags` are the other three, U, V and W.
    """

    subtype: ClassVar[int] = 8
    reason: int
    transient: bool = False
    flags: int = 0

    def __post_init__(self) -> None:
        check_uint("MPReset.reason", self.reason, 8)
        check_uint("MPReset.flags", self.flags, 3)

    def body(self) -> bytes:
        """Return two octets."""
        return bytes((0x80 | self.flags << 1 | self.transient, self.reason))

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read two octets."""
        return cls(body[1], bool(body[0] & 1), body[0] >> 1 & 7)


def _check_length(name: str, octets: bytes, length: int) -> None:
    if len(octets) != length:
        raise ValueError(f"{name} has {length} octets, not {len(octets)}")


SUBTYPES: tuple[type[MPTCPOption], ...] = (
    MPCapable,
    MPJoinSYN,
    MPJoinSYNACK,
    MPJoinACK,
    DSS,
    AddAddress,
    RemoveAddress,
    MPPriority,
    MPFail,
    FastClose,
    MPReset,
)
