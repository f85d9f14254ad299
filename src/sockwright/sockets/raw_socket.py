"""Raw IP sockets, raw(7): what goes over the wire is what you wrote, but for a few fields.

    with raw("raw://10.0.0.2?protocol=tcp", header_included=True) as sock:
        sock.send_to(bytes(packet), "raw://10.0.0.2")

What Linux does, in short (`KERNEL_BEHAVIOUR` is the same as data, and is tested against the kernel
that runs):

- IPPROTO_RAW (255) means that you write the IP header (IP_HDRINCL is on), and that the socket can
  only send: nothing is ever delivered to it. To receive, open a second socket with the protocol
  that the answers have, or capture with `packet()`.
- With IP_HDRINCL on an IPv4 socket the kernel always writes the total length and the header
  checksum, writes the source address when it is 0, and the identification when it is 0 unless DF
  is set; all else is sent as it is, nonsense included (version 5, TTL 0, a foreign source).
- The packet is routed by the address given to sendto(2), not by the one in the header.
- With IPV6_HDRINCL the kernel writes nothing at all, not even the payload length.
- A packet with its own header is never fragmented: larger than the MTU is EMSGSIZE. Header lengths
  below 20 octets or beyond the packet are EINVAL.
- Every field is in network byte order. (On some BSD systems total length and fragment offset were
  in host order; Linux never was like that.)
- A received IPv4 packet comes with its IP header, a received IPv6 packet without.
- The kernel's own protocols see everything too. A SYN that was sent raw is answered by SYN-ACK;
  this kernel knows no such connection and sends RST before your next segment. `quiet_port` stops
  that. In the same way it answers UDP to a closed port, and an unknown protocol, by ICMP errors.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from sockwright.errors import EndpointError
from sockwright.sockets.addresses import candidates, to_endpoint
from sockwright.sockets.base import check_timeout
from sockwright.sockets.datagram_socket import DatagramCore, Messages
from sockwright.sockets.explain import explaining
from sockwright.sockets.opening import bound, open_candidate
from sockwright.sockets.options import Flag, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sockwright.sockets.addresses import Candidate
    from sockwright.sockets.endpoint import Endpoint

__all__ = ["KERNEL_BEHAVIOUR", "FieldRule", "RawCore", "RawSocket", "raw"]

_IPV6_HDRINCL = 36


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What the kernel does to one header field of a packet sent with `header_included`.

    `field` is its name in `sockwright.wire.IPv4` or `IPv6`. `kernel` is ``overwrites`` (whatever
    you wrote), ``fills`` (when what you wrote is 0, and `when` holds) or ``leaves``.
    """

    version: Literal[4, 6]
    field: str
    kernel: Literal["overwrites", "fills", "leaves"]
    when: str = ""


KERNEL_BEHAVIOUR: tuple[FieldRule, ...] = (
    FieldRule(4, "version", "leaves"),
    FieldRule(4, "ihl", "leaves", "shorter than 20 or longer than the packet: EINVAL"),
    FieldRule(4, "dscp", "leaves"),
    FieldRule(4, "ecn", "leaves"),
    FieldRule(4, "total_length", "overwrites"),
    FieldRule(4, "identification", "fills", "it is 0 and DF is not set"),
    FieldRule(4, "flags", "leaves"),
    FieldRule(4, "fragment_offset", "leaves"),
    FieldRule(4, "ttl", "leaves"),
    FieldRule(4, "protocol", "leaves", "the protocol of the socket does not matter"),
    FieldRule(4, "checksum", "overwrites"),
    FieldRule(4, "src", "fills", "it is 0.0.0.0: the source address of the route"),
    FieldRule(4, "dst", "leaves", "the route follows the address given to sendto(2)"),
    FieldRule(4, "options", "leaves"),
    FieldRule(6, "version", "leaves"),
    FieldRule(6, "traffic_class", "leaves"),
    FieldRule(6, "flow_label", "leaves"),
    FieldRule(6, "payload_length", "leaves"),
    FieldRule(6, "next_header", "leaves"),
    FieldRule(6, "hop_limit", "leaves"),
    FieldRule(6, "src", "leaves"),
    FieldRule(6, "dst", "leaves", "the route follows the address given to sendto(2)"),
)
"""One rule for each field of an IPv4 and of an IPv6 header."""


class RawCore(DatagramCore):
    """What raw sockets of both APIs share."""

    header_included = Flag(
        socket.IPPROTO_IP,
        socket.IP_HDRINCL,
        "IP_HDRINCL, raw(7): what is sent starts with an IP header; see `KERNEL_BEHAVIOUR`.",
        ipv6=(socket.IPPROTO_IPV6, _IPV6_HDRINCL),
    )
    checksum_offset = Number(
        socket.IPPROTO_RAW,
        7,  # IPV6_CHECKSUM
        "IPV6_CHECKSUM, RFC 3542 section 3.1, IPv6 only: where in the payload the kernel writes "
        "and checks a checksum with pseudo-header (16 for TCP, 6 for UDP); -1 is off.",
    )

    schemes = ("raw",)

    @property
    def version(self) -> Literal[4, 6]:
        """The version of IP."""
        return 6 if self.socket.family == socket.AF_INET6 else 4

    @property
    def protocol(self) -> int:
        """The protocol number that the socket receives, and sends in headers by the kernel."""
        return self.socket.proto

    @property
    def can_receive(self) -> bool:
        """Whether anything is ever delivered: not with IPPROTO_RAW."""
        return self.protocol != socket.IPPROTO_RAW


class RawSocket(RawCore, Messages):
    """A raw IP socket; made by `raw` or from a socket.

    A message is an IP packet. What is sent has its IP header with `header_included` and has not
    without; what is received has it over IPv4 and has not over IPv6.
    """


R = TypeVar("R", bound=RawCore)


def open_raw(
    wrap: Callable[[socket.socket], R],
    endpoint: Endpoint,
    ways: Sequence[Candidate],
    *,
    bind: bool,
    header_included: bool | None,
    version: Literal[4, 6] | None,
) -> R:
    """Open a raw socket, bound to the host of `endpoint` or connected to it."""
    if endpoint.protocol is None:
        raise EndpointError(f"{endpoint} names no protocol: raw://{endpoint.host}?protocol=16")
    family = {None: None, 4: socket.AF_INET, 6: socket.AF_INET6}[version]
    ways = [way for way in ways if family in {None, way.family}]
    if not ways:
        raise EndpointError(f"{endpoint} has no address of IP version {version}")
    way = ways[0]
    opened = bound(wrap, endpoint, ways[:1]) if bind else wrap(open_candidate(way, endpoint))
    try:
        opened.watch_errors()
        if header_included is not None:
            opened.header_included = header_included
        if not bind and endpoint.host:
            with explaining(f"connect to {endpoint}"):
                opened.socket.connect(way.address)
    except BaseException:
        opened.close()
        raise
    return opened


def raw(
    endpoint: Endpoint | str,
    *,
    bind: bool = False,
    header_included: bool | None = None,
    version: Literal[4, 6] | None = None,
    timeout: float | None = None,
) -> RawSocket:
    """Open a raw socket: ``raw://host?protocol=16``.

    The host is the peer: `send` goes there, and only what comes from there is received; with
    `bind` it is the local address instead. Without a host (``raw://?protocol=icmp``) all packets of
    the protocol are received and `send_to` names the receiver; `version` then chooses IPv4 (the
    default) or IPv6. `header_included` is IP_HDRINCL: you write the IP header (on by itself with
    protocol 255). The module's docstring says what the kernel then still writes.

    Raises:
        EndpointError: there is no protocol, or no address of `version`.
        PermissionError: CAP_NET_RAW is missing.
        OSError: what else the kernel said.
    """
    check_timeout(timeout)
    checked = to_endpoint(endpoint, "raw")
    ways = candidates(checked, passive=bind)
    opened = open_raw(
        RawSocket, checked, ways, bind=bind, header_included=header_included, version=version
    )
    opened.timeout = timeout
    return opened
