"""The probes, as packets; they are the ones that nmap's book publishes in its chapter on methods.

https://nmap.org/book/osdetect-methods.html describes for IPv4: six SYNs of different options
(SEQ), two echo requests (IE), a datagram to a closed port (U1), a SYN that asks for ECN, and six
odd segments to an open (T2 to T4) and to a closed port (T5 to T7). Over IPv6 the same segments and
the datagram go out; what stands beside them are questions that only ICMPv6 knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sockwright.wire import (
    ICMP,
    MSS,
    TCP,
    UDP,
    DestinationOptions,
    EchoRequest,
    EndOfOptions,
    ICMPv6,
    IPv4,
    IPv6,
    NeighborSolicitation,
    NoOperation,
    SACKPermitted,
    Timestamps,
    WindowScale,
)
from sockwright.wire.ipv6_options import UnknownIPv6Option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sockwright.wire import Header, Option, Packet

__all__ = [
    "DATAGRAM",
    "DATAGRAM_ID",
    "ECHOES",
    "FLOW_LABEL",
    "SEQUENCE",
    "TCP_PROBES",
    "Addresses",
    "Echo",
    "TCPProbe",
    "datagram",
    "echo",
    "icmpv6",
    "segment",
]

DATAGRAM: Final = b"C" * 300
DATAGRAM_ID: Final = 0x1042  # the identification of U1, to be found again in the quotation
FLOW_LABEL: Final = 0x12345
TRAFFIC_CLASS: Final = 0x28  # of the echo over IPv6: told from 0 and from what routers write
_TTL: Final = 60
_UNKNOWN_HEADER: Final = 253  # RFC 3692, for experiments: nobody has a protocol there
_MUST_COMPLAIN: Final = 0x9E  # an unknown option whose upper bits 10 ask for an ICMPv6 error
_LARGEST: Final = 0xFFFFFFFF
_TIMESTAMPS: Final = Timestamps(_LARGEST, 0)


@dataclass(frozen=True, slots=True)
class Addresses:
    """From whom to whom."""

    version: int
    src: str
    dst: str


@dataclass(frozen=True, slots=True)
class TCPProbe:
    """A segment: to the open port or to the closed one, and what is odd about it."""

    to_open: bool
    flags: str
    window: int
    options: tuple[Option, ...]
    dont_fragment: bool = False
    urgent_pointer: int = 0


@dataclass(frozen=True, slots=True)
class Echo:
    """An echo request over IPv4; `tos` is the whole octet."""

    code: int
    tos: int
    dont_fragment: bool
    octets: int


_SEQ_OPTIONS: Final[tuple[tuple[int, tuple[Option, ...]], ...]] = (
    (1, (WindowScale(10), NoOperation(), MSS(1460), _TIMESTAMPS, SACKPermitted())),
    (63, (MSS(1400), WindowScale(0), SACKPermitted(), _TIMESTAMPS, EndOfOptions())),
    (4, (_TIMESTAMPS, NoOperation(), NoOperation(), WindowScale(5), NoOperation(), MSS(640))),
    (4, (SACKPermitted(), _TIMESTAMPS, WindowScale(10), EndOfOptions())),
    (16, (MSS(536), SACKPermitted(), _TIMESTAMPS, WindowScale(10), EndOfOptions())),
    (512, (MSS(265), SACKPermitted(), _TIMESTAMPS)),
)
SEQUENCE: Final[tuple[str, ...]] = tuple(f"seq{n}" for n in range(1, 7))
"""The names of the six SYNs, a tenth of a second apart."""

_ODD: Final[tuple[Option, ...]] = (
    WindowScale(10), NoOperation(), MSS(265), _TIMESTAMPS, SACKPermitted(),
)  # fmt: skip

TCP_PROBES: Final[Mapping[str, TCPProbe]] = {
    **{
        name: TCPProbe(True, "S", window, options)
        for name, (window, options) in zip(SEQUENCE, _SEQ_OPTIONS, strict=True)
    },
    "ecn": TCPProbe(
        True,
        "SECN",  # with the bit before CWR, which was reserved when the probe was published
        3,
        (WindowScale(10), NoOperation(), MSS(1460), SACKPermitted(), NoOperation(), NoOperation()),
        urgent_pointer=63477,
    ),
    "t2": TCPProbe(True, "", 128, _ODD, dont_fragment=True),
    "t3": TCPProbe(True, "SFUP", 256, _ODD),
    "t4": TCPProbe(True, "A", 1024, _ODD, dont_fragment=True),
    "t5": TCPProbe(False, "S", 31337, _ODD),
    "t6": TCPProbe(False, "A", 32768, _ODD, dont_fragment=True),
    "t7": TCPProbe(False, "FPU", 65535, (WindowScale(15), *_ODD[1:])),
}
"""Every segment by its name."""

ECHOES: Final[Mapping[str, Echo]] = {
    "ie1": Echo(code=9, tos=0, dont_fragment=True, octets=120),
    "ie2": Echo(code=0, tos=4, dont_fragment=False, octets=150),
}
"""The echo requests over IPv4 by their names."""


def _network(way: Addresses, *, dont_fragment: bool = False, identification: int = 0) -> Header:
    if way.version == 6:
        return IPv6(src=way.src, dst=way.dst, flow_label=FLOW_LABEL, hop_limit=_TTL)
    flags = "DF" if dont_fragment else ""
    return IPv4(src=way.src, dst=way.dst, ttl=_TTL, identification=identification, flags=flags)


def segment(
    way: Addresses, probe: TCPProbe, src_port: int, dst_port: int, *, seq: int, ack: int
) -> bytes:
    """Make the IP packet of a segment."""
    tcp = TCP(
        src_port=src_port,
        dst_port=dst_port,
        seq=seq,
        ack=ack,
        flags=probe.flags,
        window=probe.window,
        urgent_pointer=probe.urgent_pointer,
        options=probe.options,
    )
    # The identification is the sender's affair: not 0, which the kernel would fill in anyway.
    return bytes(
        _network(way, dont_fragment=probe.dont_fragment, identification=seq & 0xFFFF or 1) / tcp
    )


def datagram(way: Addresses, src_port: int, dst_port: int) -> bytes:
    """Make the IP packet of U1."""
    udp = UDP(src_port=src_port, dst_port=dst_port)
    return bytes(_network(way, identification=DATAGRAM_ID) / udp / DATAGRAM)


def echo(way: Addresses, probe: Echo, identifier: int, sequence: int) -> bytes:
    """Make the IPv4 packet of an echo request."""
    ip = IPv4(
        src=way.src,
        dst=way.dst,
        ttl=_TTL,
        dscp=probe.tos >> 2,
        ecn=probe.tos & 3,
        flags="DF" if probe.dont_fragment else "",
        identification=(identifier ^ sequence) & 0xFFFF or 1,
    )
    icmp = ICMP(type=8, code=probe.code, identifier=identifier, sequence=sequence)
    return bytes(ip / icmp / bytes(probe.octets))


def icmpv6(way: Addresses, name: str, identifier: int, sequence: int) -> bytes:
    """Make the IPv6 packet of one of the probes that IPv4 has not.

    ``echo`` has a code that is not 0, a traffic class and a flow label; ``bad_option`` an option
    that a receiver must complain about (RFC 8200 section 4.2), ``bad_header`` a next header that
    nobody knows (section 4); ``node_info`` asks for the name (RFC 4620); ``neighbour`` for the link
    address (RFC 4861).
    """
    message: Packet | Header = ICMPv6() / EchoRequest(identifier=identifier, sequence=sequence)
    hop_limit, traffic_class = _TTL, 0
    octets = bytes(32)
    if name == "echo":
        message = ICMPv6(code=9) / EchoRequest(identifier=identifier, sequence=sequence)
        traffic_class = TRAFFIC_CLASS
    elif name == "bad_option":
        options = DestinationOptions(options=[UnknownIPv6Option(_MUST_COMPLAIN, bytes(2))])
        message = options / message
    elif name == "bad_header":
        message = DestinationOptions(next_header=_UNKNOWN_HEADER)
        octets = identifier.to_bytes(2, "big") + sequence.to_bytes(2, "big") + octets
    elif name == "node_info":
        # Type 139, code 0: the subject is an IPv6 address; query type 2: node name; a nonce.
        message = ICMPv6(type=139, code=0)
        nonce = identifier.to_bytes(2, "big") + sequence.to_bytes(2, "big") + bytes(4)
        octets = b"\0\2\0\0" + nonce + _packed(way.dst)
    elif name == "neighbour":
        message, hop_limit, octets = ICMPv6() / NeighborSolicitation(target=way.dst), 255, b""
    ip = IPv6(
        src=way.src,
        dst=way.dst,
        flow_label=FLOW_LABEL,
        hop_limit=hop_limit,
        traffic_class=traffic_class,
    )
    return bytes(ip / message / octets) if octets else bytes(ip / message)


def _packed(text: str) -> bytes:
    """Return the 16 octets of an IPv6 address without a zone."""
    from ipaddress import IPv6Address

    return IPv6Address(text).packed
