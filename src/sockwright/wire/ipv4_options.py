"""IPv4 options, RFC 791 section 3.1 and the RFCs named at each; status: RFC 6814.

The highest bit of a kind says that the option is copied into every fragment.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, ClassVar, Self

from sockwright.wire.core.option import Option, check_uint

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "KINDS",
    "LooseSourceRoute",
    "RecordRoute",
    "RouterAlert",
    "Security",
    "StreamID",
    "StrictSourceRoute",
    "TimedAddress",
    "Timestamps",
    "Traceroute",
    "final_destination",
]

LSRR, SSRR = 131, 137
COPIED = 0x80
_FIRST = 4  # pointers count the octets of the option from 1 on; data start at the fourth


@dataclass(frozen=True, slots=True)
class RecordRoute(Option):
    """Kind 7, record route: routers write their addresses from octet `pointer` on.

    `addresses` are all the places, written (up to the pointer) or not.
    """

    kind: ClassVar[int] = 7
    addresses: tuple[IPv4Address, ...] = ()
    pointer: int = _FIRST

    def __post_init__(self) -> None:
        check_uint("pointer", self.pointer, 8)
        object.__setattr__(self, "addresses", tuple(map(IPv4Address, self.addresses)))

    def body(self) -> bytes:
        """Return pointer and addresses."""
        return bytes((self.pointer,)) + b"".join([item.packed for item in self.addresses])

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read pointer and addresses. Raises: ValueError when they do not fill the option."""
        if len(body) % 4 != 1:
            raise ValueError(f"{cls.__name__} has a pointer and whole addresses")
        return cls(
            tuple([IPv4Address(body[at : at + 4]) for at in range(1, len(body), 4)]), body[0]
        )


@dataclass(frozen=True, slots=True)
class LooseSourceRoute(RecordRoute):
    """Kind 131, loose source and record route: the nodes from `pointer` on are still to visit.

    The last of `addresses` is where the packet ends; `IPv4.dst` is the node it goes to next.
    """

    kind: ClassVar[int] = LSRR


@dataclass(frozen=True, slots=True)
class StrictSourceRoute(RecordRoute):
    """Kind 137, strict source and record route: as `LooseSourceRoute`, and no nodes between."""

    kind: ClassVar[int] = SSRR


@dataclass(frozen=True, slots=True)
class TimedAddress:
    """An address and the time its node got the packet, in milliseconds since midnight UT."""

    address: IPv4Address
    time: int


@dataclass(frozen=True, slots=True)
class Timestamps(Option):
    """Kind 68, internet timestamps: routers write the time from octet `pointer` on.

    With `flag` 0 `entries` are times in milliseconds since midnight UT, with 1 (record) and 3
    (prespecified) they are `TimedAddress`. `overflow` counts routers that found no place.
    """

    kind: ClassVar[int] = 68
    entries: tuple[int | TimedAddress, ...] = ()
    flag: int = 0
    overflow: int = 0
    pointer: int = 5

    def __post_init__(self) -> None:
        check_uint("pointer", self.pointer, 8)
        check_uint("flag", self.flag, 4)
        check_uint("overflow", self.overflow, 4)
        for entry in self.entries:
            if isinstance(entry, TimedAddress) != bool(self.flag):
                raise ValueError(f"with flag {self.flag} entries are of the other kind")
            check_uint("time", entry if isinstance(entry, int) else entry.time, 32)

    def body(self) -> bytes:
        """Return pointer, overflow, flag and entries."""
        octets = bytes((self.pointer, self.overflow << 4 | self.flag))
        for entry in self.entries:
            if isinstance(entry, TimedAddress):
                octets += entry.address.packed + entry.time.to_bytes(4, "big")
            else:
                octets += entry.to_bytes(4, "big")
        return octets

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read them. Raises: ValueError when the entries do not fill the option."""
        if len(body) < 2:
            raise ValueError("timestamps have a pointer and a flag")
        flag = body[1] & 15
        size = 8 if flag else 4
        if (len(body) - 2) % size:
            raise ValueError(f"timestamps with flag {flag} have entries of {size} octets")
        entries: list[int | TimedAddress] = []
        for at in range(2, len(body), size):
            number = int.from_bytes(body[at + size - 4 : at + size], "big")
            address = IPv4Address(body[at : at + 4])
            entries.append(TimedAddress(address, number) if flag else number)
        return cls(tuple(entries), flag, body[1] >> 4, body[0])


@dataclass(frozen=True, slots=True)
class RouterAlert(Option):
    """Kind 148, RFC 2113: routers look at the packet; as IGMP and RSVP want it."""

    kind: ClassVar[int] = 148
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
            raise ValueError(f"{cls.__name__} has two octets")
        return cls(int.from_bytes(body, "big"))


@dataclass(frozen=True, slots=True)
class StreamID(RouterAlert):
    """Kind 136, stream identifier of SATNET; obsolete."""

    kind: ClassVar[int] = 136


@dataclass(frozen=True, slots=True)
class Security(Option):
    """Kind 130, basic security, RFC 1108; kept as octets."""

    kind: ClassVar[int] = 130
    data: bytes = b""

    def body(self) -> bytes:
        """Return the octets."""
        return self.data

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Keep the octets."""
        return cls(body)


@dataclass(frozen=True, slots=True)
class Traceroute(Option):
    """Kind 82, RFC 1393: routers report to `originator`; obsolete."""

    kind: ClassVar[int] = 82
    identification: int
    outbound_hops: int
    return_hops: int
    originator: IPv4Address

    def __post_init__(self) -> None:
        for name in ("identification", "outbound_hops", "return_hops"):
            check_uint(name, getattr(self, name), 16)

    def body(self) -> bytes:
        """Return the ten octets."""
        numbers = (self.identification, self.outbound_hops, self.return_hops)
        return b"".join([item.to_bytes(2, "big") for item in numbers]) + self.originator.packed

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read ten octets. Raises: ValueError for any other number of them."""
        if len(body) != 10:
            raise ValueError("traceroute has ten octets")
        first, second, third = (int.from_bytes(body[at : at + 2], "big") for at in (0, 2, 4))
        return cls(first, second, third, IPv4Address(body[6:]))


KINDS: Mapping[int, type[Option]] = {
    option.kind: option
    for option in (
        RecordRoute,
        LooseSourceRoute,
        StrictSourceRoute,
        Timestamps,
        RouterAlert,
        StreamID,
        Security,
        Traceroute,
    )
}


def final_destination(options: tuple[Option, ...]) -> IPv4Address | None:
    """Return the last address of a source route that is not at its end, None without one."""
    for option in options:
        if isinstance(option, (LooseSourceRoute, StrictSourceRoute)) and option.addresses:
            visited = option.pointer > 3 + 4 * len(option.addresses) - 1
            return None if visited else option.addresses[-1]
    return None
