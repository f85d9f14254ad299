"""TCP options, RFC 9293 section 3.2 and the RFCs named at each; those of MPTCP are in `mptcp.py`.

Numbers by the IANA registry "TCP Option Kind Numbers". An option whose data do not fit its kind,
and a kind not listed here, is kept as `UnknownOption`; `NoOperation` and `EndOfOptions` come from
`core.option`. Reading and writing again gives the same octets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from sockwright.wire.core.option import (
    EndOfOptions,
    MalformedOption,
    NoOperation,
    Option,
    UnknownOption,
    check_uint,
)
from sockwright.wire.mptcp import MPTCPOption

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AO",
    "KINDS",
    "MD5",
    "MSS",
    "SACK",
    "SYN_ONLY",
    "AccECN0",
    "AccECN1",
    "EndOfOptions",
    "Experiment1",
    "Experiment2",
    "FastOpen",
    "MalformedOption",
    "NoOperation",
    "SACKPermitted",
    "Timestamps",
    "UnknownOption",
    "UserTimeout",
    "WindowScale",
]


@dataclass(frozen=True, slots=True)
class MSS(Option):
    """Kind 2, maximum segment size in octets, RFC 9293 section 3.7.1."""

    kind: ClassVar[int] = 2
    size: int

    def __post_init__(self) -> None:
        check_uint("MSS.size", self.size, 16)

    def body(self) -> bytes:
        """Return the size in two octets."""
        return self.size.to_bytes(2, "big")

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read two octets. Raises: ValueError for any other number of them."""
        _check_length("MSS", body, 2)
        return cls(int.from_bytes(body, "big"))


@dataclass(frozen=True, slots=True)
class WindowScale(Option):
    """Kind 3, window scale, RFC 7323 section 2.2: the window is shifted left by `shift` bits."""

    kind: ClassVar[int] = 3
    shift: int

    def __post_init__(self) -> None:
        check_uint("WindowScale.shift", self.shift, 8)

    def body(self) -> bytes:
        """Return the shift in one octet."""
        return bytes((self.shift,))

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read one octet. Raises: ValueError for any other number of them."""
        _check_length("WindowScale", body, 1)
        return cls(body[0])


@dataclass(frozen=True, slots=True)
class SACKPermitted(Option):
    """Kind 4, selective acknowledgements are welcome, RFC 2018 section 2."""

    kind: ClassVar[int] = 4


@dataclass(frozen=True, slots=True)
class SACK(Option):
    """Kind 5, selective acknowledgement, RFC 2018 section 3.

    Each of `blocks` is a pair of sequence numbers: the first octet received, the octet behind the
    last one. Four blocks fit a header, three beside timestamps.
    """

    kind: ClassVar[int] = 5
    blocks: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        for block in self.blocks:
            for edge in block:
                check_uint("SACK.blocks", edge, 32)

    def body(self) -> bytes:
        """Return eight octets a block."""
        return b"".join([struct.pack("!II", *block) for block in self.blocks])

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read eight octets a block. Raises: ValueError for a part of a block."""
        if len(body) % 8:
            raise ValueError(f"SACK has 8 octets a block, not {len(body)} in all")
        return cls(tuple(struct.iter_unpack("!II", body)))


@dataclass(frozen=True, slots=True)
class Timestamps(Option):
    """Kind 8, timestamps, RFC 7323 section 3.2: TSval, and the TSecr that echoes the peer's."""

    kind: ClassVar[int] = 8
    value: int
    echo_reply: int = 0

    def __post_init__(self) -> None:
        check_uint("Timestamps.value", self.value, 32)
        check_uint("Timestamps.echo_reply", self.echo_reply, 32)

    def body(self) -> bytes:
        """Return both timestamps, four octets each."""
        return struct.pack("!II", self.value, self.echo_reply)

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read eight octets. Raises: ValueError for any other number of them."""
        _check_length("Timestamps", body, 8)
        return cls(*struct.unpack("!II", body))


@dataclass(frozen=True, slots=True)
class MD5(Option):
    """Kind 19, MD5 signature of the segment, RFC 2385 section 3.0: 16 octets."""

    kind: ClassVar[int] = 19
    digest: bytes

    def __post_init__(self) -> None:
        _check_length("MD5.digest", self.digest, 16)

    def body(self) -> bytes:
        """Return the digest."""
        return self.digest

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read 16 octets. Raises: ValueError for any other number of them."""
        return cls(body)


@dataclass(frozen=True, slots=True)
class UserTimeout(Option):
    """Kind 28, user timeout, RFC 5482 section 3.1, in seconds; in minutes where that is set."""

    kind: ClassVar[int] = 28
    timeout: int
    minutes: bool = False

    def __post_init__(self) -> None:
        check_uint("UserTimeout.timeout", self.timeout, 15)

    @property
    def seconds(self) -> int:
        """The timeout in seconds, whatever its granularity."""
        return self.timeout * 60 if self.minutes else self.timeout

    def body(self) -> bytes:
        """Return the granularity bit and 15 bits of time."""
        return (self.minutes << 15 | self.timeout).to_bytes(2, "big")

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read two octets. Raises: ValueError for any other number of them."""
        _check_length("UserTimeout", body, 2)
        number = int.from_bytes(body, "big")
        return cls(number & 0x7FFF, bool(number >> 15))


@dataclass(frozen=True, slots=True)
class AO(Option):
    """Kind 29, TCP authentication option, RFC 5925 section 2.2.

    `key_id` names the key that made `mac`, `r_next_key_id` the key the sender would like to see
    used. The length of `mac` is agreed with the key: 12 octets with the algorithms of RFC 5926.
    """

    kind: ClassVar[int] = 29
    key_id: int
    r_next_key_id: int
    mac: bytes

    def __post_init__(self) -> None:
        check_uint("AO.key_id", self.key_id, 8)
        check_uint("AO.r_next_key_id", self.r_next_key_id, 8)

    def body(self) -> bytes:
        """Return both key identifiers and the message authentication code."""
        return bytes((self.key_id, self.r_next_key_id)) + self.mac

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read two octets and the code. Raises: ValueError for fewer than two."""
        if len(body) < 2:
            raise ValueError("AO has at least 2 octets")
        return cls(body[0], body[1], body[2:])


@dataclass(frozen=True, slots=True)
class FastOpen(Option):
    """Kind 34, TCP fast open, RFC 7413 section 4.1.1: a cookie, or none in a request for one."""

    kind: ClassVar[int] = 34
    cookie: bytes = b""

    def body(self) -> bytes:
        """Return the cookie."""
        return self.cookie

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the cookie, of any length; `TCP.verify` judges it."""
        return cls(body)


@dataclass(frozen=True, slots=True)
class _AccECN(Option):
    """Counters of octets by ECN mark, RFC 9768 section 3.2.3; up to three of 24 bits."""

    counters: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.counters) > 3:
            raise ValueError(f"AccECN.counters: 3 fit the option, {len(self.counters)} were given")
        for counter in self.counters:
            check_uint("AccECN.counters", counter, 24)

    def body(self) -> bytes:
        """Return three octets a counter."""
        return b"".join([counter.to_bytes(3, "big") for counter in self.counters])

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read three octets a counter. Raises: ValueError for parts, or more than three."""
        if len(body) % 3:
            raise ValueError(f"AccECN has 3 octets a counter, not {len(body)} in all")
        return cls(tuple(int.from_bytes(body[at : at + 3], "big") for at in range(0, len(body), 3)))


@dataclass(frozen=True, slots=True)
class AccECN0(_AccECN):
    """Kind 172, accurate ECN order 0: counters of ECT(0), CE and ECT(1), RFC 9768 section 3.2.3."""

    kind: ClassVar[int] = 172


@dataclass(frozen=True, slots=True)
class AccECN1(_AccECN):
    """Kind 174, accurate ECN order 1: counters of ECT(1), CE and ECT(0), RFC 9768 section 3.2.3."""

    kind: ClassVar[int] = 174


@dataclass(frozen=True, slots=True)
class _Experiment(Option):
    """An experiment named by the 16 bits of its ExID, RFC 6994 section 3.

    Where IANA gave an ExID of 32 bits, the lower 16 are the first two octets of `data`.
    """

    exid: int
    data: bytes = b""

    def __post_init__(self) -> None:
        check_uint("Experiment.exid", self.exid, 16)

    def body(self) -> bytes:
        """Return the identifier and the data."""
        return self.exid.to_bytes(2, "big") + self.data

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read two octets and the data. Raises: ValueError for fewer than two."""
        if len(body) < 2:
            raise ValueError("an experimental option has at least 2 octets")
        return cls(int.from_bytes(body[:2], "big"), body[2:])


@dataclass(frozen=True, slots=True)
class Experiment1(_Experiment):
    """Kind 253, RFC 4727 section 7.2: see `Experiment2`."""

    kind: ClassVar[int] = 253


@dataclass(frozen=True, slots=True)
class Experiment2(_Experiment):
    """Kind 254, RFC 4727 section 7.2. `exid` 0xF989 is the old place of fast open."""

    kind: ClassVar[int] = 254


def _check_length(name: str, octets: bytes, length: int) -> None:
    if len(octets) != length:
        raise ValueError(f"{name} has {length} octets, not {len(octets)}")


KINDS: Mapping[int, type[Option]] = {
    option.kind: option
    for option in (
        MSS,
        WindowScale,
        SACKPermitted,
        SACK,
        Timestamps,
        MD5,
        UserTimeout,
        AO,
        MPTCPOption,
        FastOpen,
        AccECN0,
        AccECN1,
        Experiment1,
        Experiment2,
    )
}

SYN_ONLY: tuple[type[Option], ...] = (MSS, WindowScale, SACKPermitted, FastOpen)
"""Options that have a meaning in a segment with SYN only."""
