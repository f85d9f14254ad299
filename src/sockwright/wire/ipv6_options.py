"""Options of the IPv6 hop-by-hop and destination options headers, RFC 8200 section 4.2.

An option is a type, a length of its data alone, and data. The upper two bits of the type say what a
node does that does not know it, the third whether the data may change on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, ClassVar, Self

from sockwright.wire.core.option import MalformedOption, Option, UnknownOption, check_uint

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "HomeAddress",
    "IPv6Option",
    "IPv6OptionCodec",
    "JumboPayload",
    "Pad1",
    "PadN",
    "RouterAlertV6",
    "TunnelEncapsulationLimit",
    "UnknownIPv6Option",
    "jumbo_length",
]

PAD1, PADN, JUMBO = 0, 1, 0xC2
# x and y of the alignment xn+y that the RFCs ask for, counted from the start of the header.
ALIGNMENTS: Mapping[int, tuple[int, int]] = {0x05: (2, 0), 0xC2: (4, 2), 0xC9: (8, 6)}


@dataclass(frozen=True, slots=True)
class IPv6Option(Option):
    """The base of these options: the length counts the data alone."""

    def encode(self) -> bytes:
        """Return type, length and data. Raises: ValueError when the data are over 255 octets."""
        body = self.body()
        if len(body) > 255:
            raise ValueError(f"{type(self).__name__} has {len(body)} octets; 255 fit an option")
        return bytes((self.kind, len(body))) + body


@dataclass(frozen=True, slots=True)
class Pad1(IPv6Option):
    """Type 0: one octet of padding, without a length."""

    kind: ClassVar[int] = PAD1

    def encode(self) -> bytes:
        """Return the octet 0."""
        return b"\0"


@dataclass(frozen=True, slots=True)
class PadN(IPv6Option):
    """Type 1: padding of two octets or more; `data` should be zeros."""

    kind: ClassVar[int] = PADN
    data: bytes = b""

    def body(self) -> bytes:
        """Return the padding."""
        return self.data

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read any number of octets."""
        return cls(body)


@dataclass(frozen=True, slots=True)
class TunnelEncapsulationLimit(IPv6Option):
    """Type 4, RFC 2473 section 4.1.1: into how many more tunnels the packet may go."""

    kind: ClassVar[int] = 0x04
    limit: int

    def __post_init__(self) -> None:
        check_uint("limit", self.limit, 8)

    def body(self) -> bytes:
        """Return the limit in one octet."""
        return bytes((self.limit,))

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read one octet. Raises: ValueError for any other number of them."""
        if len(body) != 1:
            raise ValueError("the tunnel encapsulation limit has one octet")
        return cls(body[0])


@dataclass(frozen=True, slots=True)
class RouterAlertV6(IPv6Option):
    """Type 5, RFC 2711: routers look at the packet; value 0 is MLD, 1 RSVP, 2 active networks."""

    kind: ClassVar[int] = 0x05
    value: int = 0

    def __post_init__(self) -> None:
        check_uint("value", self.value, 16)

    def body(self) -> bytes:
        """Return the value in two octets."""
        return self.value.to_bytes(2, "big")

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read two octets. Raises: ValueError for any other number of them."""
        if len(body) != 2:
            raise ValueError("router alert has two octets")
        return cls(int.from_bytes(body, "big"))


@dataclass(frozen=True, slots=True)
class JumboPayload(IPv6Option):
    """Type 0xC2, RFC 2675: the payload length in octets when it is over 65535."""

    kind: ClassVar[int] = JUMBO
    length: int

    def __post_init__(self) -> None:
        check_uint("length", self.length, 32)

    def body(self) -> bytes:
        """Return the length in four octets."""
        return self.length.to_bytes(4, "big")

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read four octets. Raises: ValueError for any other number of them."""
        if len(body) != 4:
            raise ValueError("jumbo payload has four octets")
        return cls(int.from_bytes(body, "big"))


@dataclass(frozen=True, slots=True)
class HomeAddress(IPv6Option):
    """Type 0xC9, RFC 6275 section 6.3: the home address of a mobile node."""

    kind: ClassVar[int] = 0xC9
    address: IPv6Address

    def body(self) -> bytes:
        """Return the address in 16 octets."""
        return self.address.packed

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read 16 octets. Raises: ValueError for any other number of them."""
        if len(body) != 16:
            raise ValueError("a home address has 16 octets")
        return cls(IPv6Address(body))


@dataclass(frozen=True, slots=True)
class UnknownIPv6Option(UnknownOption):
    """An option whose type is not known here, or whose data do not fit its type."""

    def encode(self) -> bytes:
        """Return type, length and data. Raises: ValueError when the data are over 255 octets."""
        if len(self.data) > 255:
            raise ValueError(f"option {self.number} has {len(self.data)} octets; 255 fit")
        return bytes((self.number, len(self.data))) + self.data


KINDS: Mapping[int, type[Option]] = {
    option.kind: option
    for option in (PadN, TunnelEncapsulationLimit, RouterAlertV6, JumboPayload, HomeAddress)
}


class IPv6OptionCodec:
    """Reads and writes the options behind the two octets that start the header.

    Encoding pads to a multiple of 8 octets with `Pad1` or `PadN`. The alignment of single options
    is the caller's: what is written is what is sent, and `verify()` says where it does not fit.
    """

    def decode(self, octets: bytes) -> tuple[Option, ...]:
        """Return the options in `octets`; never raises."""
        found: list[Option] = []
        offset = 0
        while offset < len(octets):
            kind = octets[offset]
            if kind == PAD1:
                found.append(Pad1())
                offset += 1
                continue
            stop = offset + 2 + octets[offset + 1] if offset + 1 < len(octets) else 0
            if not offset < stop <= len(octets):
                found.append(MalformedOption(octets[offset:]))
                break
            found.append(self._read(kind, octets[offset + 2 : stop]))
            offset = stop
        return tuple(found)

    def _read(self, kind: int, body: bytes) -> Option:
        cls = KINDS.get(kind)
        if cls is not None:
            try:
                return cls.from_body(body)
            except ValueError:
                pass
        return UnknownIPv6Option(kind, body)

    def encode(self, items: tuple[Option, ...]) -> bytes:
        """Return the octets of `items`, padded. Raises: ValueError when they do not fit."""
        for item in items:
            if not isinstance(item, (IPv6Option, UnknownIPv6Option, MalformedOption)):
                raise TypeError(f"{item!r} is not an IPv6 option")
        octets = b"".join([item.encode() for item in items])
        missing = -(2 + len(octets)) % 8
        if missing:
            octets += b"\0" if missing == 1 else PadN(bytes(missing - 2)).encode()
        if len(octets) > 2046:
            raise ValueError(f"the options take {len(octets)} octets; 2046 fit the header")
        return octets


def jumbo_length(octets: bytes, start: int, end: int) -> int | None:
    """Return the jumbo payload length in the hop-by-hop header at `start`, None without one."""
    if end - start < 8:
        return None
    stop = min(end, start + 8 * (1 + octets[start + 1]))
    for option in IPv6OptionCodec().decode(octets[start + 2 : stop]):
        if isinstance(option, JumboPayload):
            return option.length
    return None
