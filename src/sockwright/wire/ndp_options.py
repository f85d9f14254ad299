"""Options of neighbour discovery, RFC 4861 section 4.6 and the RFCs named at each.

An option is a type, a length in units of 8 octets that counts both of these octets too, and data.
An option whose data do not fit its type, and a type not listed here, is kept as `UnknownNDOption`;
octets that are no option as `MalformedNDOption`. Reading and writing again gives the same octets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, ClassVar, Self

from sockwright.wire.core.address import MACAddress
from sockwright.wire.core.option import check_uint

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DNSSL",
    "KINDS",
    "MTU",
    "PREF64",
    "RDNSS",
    "AdvertisementInterval",
    "CaptivePortal",
    "HomeAgentInformation",
    "MalformedNDOption",
    "NDOption",
    "NDOptionCodec",
    "Nonce",
    "PrefixInformation",
    "RedirectedHeader",
    "RouteInformation",
    "SourceLinkLayerAddress",
    "TargetLinkLayerAddress",
    "UnknownNDOption",
]

_LARGEST = 255 * 8


@dataclass(frozen=True, slots=True)
class NDOption:
    """The base of these options."""

    kind: ClassVar[int] = -1

    def encode(self) -> bytes:
        """Return type, length and body, padded with zeros to 8 octets.

        Raises: ValueError when that takes more than 2040 octets.
        """
        body = self.body()
        body += bytes(-(2 + len(body)) % 8)
        if len(body) > _LARGEST - 2:
            raise ValueError(f"{type(self).__name__} has {len(body)} octets; 2038 fit an option")
        return bytes((self.kind, (2 + len(body)) // 8)) + body

    def body(self) -> bytes:
        """Return what stands behind type and length."""
        return b""

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read what stands behind type and length. Raises: ValueError where it does not fit."""
        raise ValueError(f"{cls.__name__} cannot read {len(body)} octets")


@dataclass(frozen=True, slots=True)
class UnknownNDOption(NDOption):
    """An option whose type is not known here, or whose data do not fit its type."""

    number: int
    data: bytes = b""

    def __post_init__(self) -> None:
        check_uint("UnknownNDOption.number", self.number, 8)

    def encode(self) -> bytes:
        """Return type, length and data, padded with zeros to 8 octets."""
        data = self.data + bytes(-(2 + len(self.data)) % 8)
        return bytes((self.number, (2 + len(data)) // 8)) + data


@dataclass(frozen=True, slots=True)
class MalformedNDOption(NDOption):
    """Octets from here to the end that are no option: a length of 0, or one that lies."""

    octets: bytes = b""

    def encode(self) -> bytes:
        """Return the octets as they came."""
        return self.octets


@dataclass(frozen=True, slots=True)
class _LinkLayerAddress(NDOption):
    address: MACAddress

    def body(self) -> bytes:
        """Return the six octets of the address."""
        return bytes(self.address)

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read six octets. Raises: ValueError for any other number (links unlike Ethernet)."""
        return cls(MACAddress(body))


@dataclass(frozen=True, slots=True)
class SourceLinkLayerAddress(_LinkLayerAddress):
    """Type 1, the sender's address on the link, RFC 4861 section 4.6.1."""

    kind: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class TargetLinkLayerAddress(_LinkLayerAddress):
    """Type 2, the target's address on the link, RFC 4861 section 4.6.1."""

    kind: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class PrefixInformation(NDOption):
    """Type 3, a prefix of the link, RFC 4861 section 4.6.2; lifetimes in seconds.

    `on_link` says that its addresses are reached directly, `autonomous` that hosts may make their
    addresses from it. `flags` are the other six bits (R of RFC 6275 is 0x20, P of RFC 9762 0x10).
    """

    kind: ClassVar[int] = 3
    prefix: IPv6Address
    prefix_length: int = 64
    valid_lifetime: int = 2592000
    preferred_lifetime: int = 604800
    on_link: bool = True
    autonomous: bool = True
    flags: int = 0
    reserved: int = 0

    def __post_init__(self) -> None:
        check_uint("PrefixInformation.prefix_length", self.prefix_length, 8)
        check_uint("PrefixInformation.valid_lifetime", self.valid_lifetime, 32)
        check_uint("PrefixInformation.preferred_lifetime", self.preferred_lifetime, 32)
        check_uint("PrefixInformation.flags", self.flags, 6)
        check_uint("PrefixInformation.reserved", self.reserved, 32)

    def body(self) -> bytes:
        """Return 30 octets."""
        bits = self.on_link << 7 | self.autonomous << 6 | self.flags
        return struct.pack(
            "!BBIII16s",
            self.prefix_length,
            bits,
            self.valid_lifetime,
            self.preferred_lifetime,
            self.reserved,
            self.prefix.packed,
        )

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read 30 octets. Raises: ValueError for any other number of them."""
        _check_length("PrefixInformation", body, 30)
        length, bits, valid, preferred, reserved, prefix = struct.unpack("!BBIII16s", body)
        on_link, autonomous = bool(bits & 0x80), bool(bits & 0x40)
        return cls(
            IPv6Address(prefix),
            length,
            valid,
            preferred,
            on_link,
            autonomous,
            bits & 0x3F,
            reserved,
        )


@dataclass(frozen=True, slots=True)
class RedirectedHeader(NDOption):
    """Type 4, the packet that a redirect is about, RFC 4861 section 4.6.3; padded to 8 octets."""

    kind: ClassVar[int] = 4
    octets: bytes
    reserved: bytes = bytes(6)

    def __post_init__(self) -> None:
        _check_length("RedirectedHeader.reserved", self.reserved, 6)

    def body(self) -> bytes:
        """Return six reserved octets and the packet."""
        return self.reserved + self.octets

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read six octets and the packet."""
        return cls(body[6:], body[:6])


@dataclass(frozen=True, slots=True)
class MTU(NDOption):
    """Type 5, the MTU of the link in octets, RFC 4861 section 4.6.4."""

    kind: ClassVar[int] = 5
    mtu: int
    reserved: int = 0

    def __post_init__(self) -> None:
        check_uint("MTU.mtu", self.mtu, 32)
        check_uint("MTU.reserved", self.reserved, 16)

    def body(self) -> bytes:
        """Return six octets."""
        return struct.pack("!HI", self.reserved, self.mtu)

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read six octets. Raises: ValueError for any other number of them."""
        _check_length("MTU", body, 6)
        reserved, mtu = struct.unpack("!HI", body)
        return cls(mtu, reserved)


@dataclass(frozen=True, slots=True)
class AdvertisementInterval(NDOption):
    """Type 7, milliseconds between advertisements, RFC 6275 section 7.3."""

    kind: ClassVar[int] = 7
    interval: int

    def __post_init__(self) -> None:
        check_uint("AdvertisementInterval.interval", self.interval, 32)

    def body(self) -> bytes:
        """Return six octets."""
        return struct.pack("!2xI", self.interval)

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read six octets. Raises: ValueError for any other number of them."""
        _check_length("AdvertisementInterval", body, 6)
        return cls(int.from_bytes(body[2:], "big"))


@dataclass(frozen=True, slots=True)
class HomeAgentInformation(NDOption):
    """Type 8, preference and lifetime (seconds) of a home agent, RFC 6275 section 7.4."""

    kind: ClassVar[int] = 8
    preference: int
    lifetime: int

    def __post_init__(self) -> None:
        check_uint("HomeAgentInformation.preference", self.preference, 16)
        check_uint("HomeAgentInformation.lifetime", self.lifetime, 16)

    def body(self) -> bytes:
        """Return six octets."""
        return struct.pack("!2xHH", self.preference, self.lifetime)

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read six octets. Raises: ValueError for any other number of them."""
        _check_length("HomeAgentInformation", body, 6)
        return cls(*struct.unpack("!2xHH", body))


@dataclass(frozen=True, slots=True)
class Nonce(NDOption):
    """Type 14, a number used once, RFC 3971 section 5.3.2; 6 octets or 8 more each time."""

    kind: ClassVar[int] = 14
    nonce: bytes

    def body(self) -> bytes:
        """Return the octets of the nonce."""
        return self.nonce

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the nonce."""
        return cls(body)


@dataclass(frozen=True, slots=True)
class RouteInformation(NDOption):
    """Type 24, a prefix that the router leads to, RFC 4191 section 2.3; lifetime in seconds.

    `preference` is 0 for medium, 1 for high, 3 for low. `prefix` has 0, 8 or 16 octets on the wire:
    `prefix_octets` of them.
    """

    kind: ClassVar[int] = 24
    prefix: IPv6Address
    prefix_length: int = 64
    lifetime: int = 1800
    preference: int = 0
    prefix_octets: int = 16

    def __post_init__(self) -> None:
        check_uint("RouteInformation.prefix_length", self.prefix_length, 8)
        check_uint("RouteInformation.lifetime", self.lifetime, 32)
        check_uint("RouteInformation.preference", self.preference, 2)
        if self.prefix_octets not in (0, 8, 16):
            raise ValueError(
                f"RouteInformation.prefix_octets: {self.prefix_octets} is not 0, 8, 16"
            )

    def body(self) -> bytes:
        """Return six octets and those of the prefix."""
        head = struct.pack("!BBI", self.prefix_length, self.preference << 3, self.lifetime)
        return head + self.prefix.packed[: self.prefix_octets]

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read six octets and the prefix. Raises: ValueError where no prefix fits."""
        if len(body) < 6:
            raise ValueError("RouteInformation has at least 6 octets")
        length, bits, lifetime = struct.unpack_from("!BBI", body)
        prefix = IPv6Address(body[6:22].ljust(16, b"\0"))
        return cls(prefix, length, lifetime, bits >> 3 & 3, len(body) - 6)


@dataclass(frozen=True, slots=True)
class RDNSS(NDOption):
    """Type 25, recursive DNS servers, RFC 8106 section 5.1; lifetime in seconds."""

    kind: ClassVar[int] = 25
    addresses: tuple[IPv6Address, ...]
    lifetime: int = 1800
    reserved: int = 0

    def __post_init__(self) -> None:
        check_uint("RDNSS.lifetime", self.lifetime, 32)
        check_uint("RDNSS.reserved", self.reserved, 16)

    def body(self) -> bytes:
        """Return six octets and 16 an address."""
        addresses = b"".join([address.packed for address in self.addresses])
        return struct.pack("!HI", self.reserved, self.lifetime) + addresses

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read six octets and 16 an address. Raises: ValueError for a part of an address."""
        if len(body) < 6 or len(body) % 16 != 6:
            raise ValueError(f"RDNSS has 6 octets and 16 an address, not {len(body)}")
        reserved, lifetime = struct.unpack_from("!HI", body)
        addresses = [IPv6Address(body[at : at + 16]) for at in range(6, len(body), 16)]
        return cls(tuple(addresses), lifetime, reserved)


@dataclass(frozen=True, slots=True)
class DNSSL(NDOption):
    """Type 31, DNS search list, RFC 8106 section 5.2: domain names; lifetime in seconds."""

    kind: ClassVar[int] = 31
    names: tuple[str, ...]
    lifetime: int = 1800
    reserved: int = 0

    def __post_init__(self) -> None:
        check_uint("DNSSL.lifetime", self.lifetime, 32)
        check_uint("DNSSL.reserved", self.reserved, 16)
        for name in self.names:
            _name_octets(name)

    def body(self) -> bytes:
        """Return six octets and the names as labels, RFC 1035 section 3.1, not compressed."""
        names = b"".join([_name_octets(name) for name in self.names])
        return struct.pack("!HI", self.reserved, self.lifetime) + names

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read six octets and names. Raises: ValueError where they are no names."""
        if len(body) < 6:
            raise ValueError("DNSSL has at least 6 octets")
        reserved, lifetime = struct.unpack_from("!HI", body)
        names: list[str] = []
        labels: list[str] = []
        offset = 6
        while offset < len(body):
            size = body[offset]
            label = body[offset + 1 : offset + 1 + size]
            offset += 1 + size
            if size:
                labels.append(label.decode("ascii"))
            elif labels:
                names.append(".".join(labels))
                labels = []
        if labels:
            raise ValueError("DNSSL ends inside a name")
        return cls(tuple(names), lifetime, reserved)


@dataclass(frozen=True, slots=True)
class CaptivePortal(NDOption):
    """Type 37, where the captive portal is asked, RFC 8910 section 2.3: a URI."""

    kind: ClassVar[int] = 37
    uri: str

    def body(self) -> bytes:
        """Return the URI in UTF-8."""
        return self.uri.encode()

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read a URI. Raises: ValueError where it is no UTF-8."""
        return cls(body.rstrip(b"\0").decode())


@dataclass(frozen=True, slots=True)
class PREF64(NDOption):
    """Type 38, the prefix of NAT64, RFC 8781 section 4.

    `scaled_lifetime` counts 8 seconds; `length_code` 0 to 5 stands for a prefix of 96, 64, 56, 48,
    40 or 32 bits.
    """

    kind: ClassVar[int] = 38
    prefix: IPv6Address
    scaled_lifetime: int = 225
    length_code: int = 0

    def __post_init__(self) -> None:
        check_uint("PREF64.scaled_lifetime", self.scaled_lifetime, 13)
        check_uint("PREF64.length_code", self.length_code, 3)

    def body(self) -> bytes:
        """Return two octets and the 12 highest of the prefix."""
        word = self.scaled_lifetime << 3 | self.length_code
        return word.to_bytes(2, "big") + self.prefix.packed[:12]

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read 14 octets. Raises: ValueError for any other number of them."""
        _check_length("PREF64", body, 14)
        word = int.from_bytes(body[:2], "big")
        return cls(IPv6Address(body[2:] + bytes(4)), word >> 3, word & 7)


def _check_length(name: str, octets: bytes, length: int) -> None:
    if len(octets) != length:
        raise ValueError(f"{name} has {length} octets, not {len(octets)}")


def _name_octets(name: str) -> bytes:
    """Return a domain name as labels. Raises: ValueError for a label of 0 or over 63 octets."""
    octets = b""
    for label in name.removesuffix(".").split("."):
        raw = label.encode("ascii")
        if not 0 < len(raw) < 64:
            raise ValueError(f"DNSSL.names: a label of {name!r} is outside 1 to 63 octets")
        octets += bytes((len(raw),)) + raw
    return octets + b"\0"


KINDS: Mapping[int, type[NDOption]] = {
    option.kind: option
    for option in (
        SourceLinkLayerAddress,
        TargetLinkLayerAddress,
        PrefixInformation,
        RedirectedHeader,
        MTU,
        AdvertisementInterval,
        HomeAgentInformation,
        Nonce,
        RouteInformation,
        RDNSS,
        DNSSL,
        CaptivePortal,
        PREF64,
    )
}


class NDOptionCodec:
    """Reads and writes the options behind the fixed part of a message."""

    __slots__ = ()

    def decode(self, octets: bytes) -> tuple[NDOption, ...]:
        """Return the options in `octets`; never raises."""
        found: list[NDOption] = []
        offset = 0
        while offset < len(octets):
            length = 8 * octets[offset + 1] if offset + 1 < len(octets) else 0
            if length == 0 or offset + length > len(octets):
                found.append(MalformedNDOption(octets[offset:]))
                break
            found.append(_read(octets[offset : offset + length]))
            offset += length
        return tuple(found)

    def encode(self, items: tuple[NDOption, ...]) -> bytes:
        """Return the octets of `items`. Raises: ValueError when one is too long."""
        for item in items:
            if not isinstance(item, NDOption):
                raise TypeError(f"{item!r} is not an option of neighbour discovery")
        return b"".join([item.encode() for item in items])


def _read(octets: bytes) -> NDOption:
    cls = KINDS.get(octets[0])
    if cls is not None:
        try:
            option = cls.from_body(octets[2:])
            if option.encode() == octets:
                return option
        except ValueError:
            pass
    return UnknownNDOption(octets[0], octets[2:])
