"""What a discovery sends and is answered, for the evidence of a scan.

What neighbours are asked and say (ARP, ND) is about link addresses, and is written down as frames
of their link; the rest begins with its IP header. The headers that the kernel puts in front of a
probe, and the Ethernet header that it takes off an answer, are made again.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from sockwright.scan.discovery import packets
from sockwright.scan.discovery.kinds import Kind
from sockwright.scan.sending.evidence import ethernet_frame, with_ip_header

if TYPE_CHECKING:
    from sockwright.scan.discovery.kinds import Answer
    from sockwright.scan.discovery.ways import Hop
    from sockwright.scan.sending.evidence import Record

__all__ = ["Recorder"]

_LONG_WAY = 255  # RFC 4861 section 7.1.1: the hop limit of a solicitation
_TCP, _ICMP, _ICMPV6 = 6, 1, 58


class Recorder:
    """Tells `record` of probes and their answers. Times are nanoseconds since 1970."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._neighbours: set[bytes] = set()  # whose answers are wanted
        # By the number of an interface: our link address there, and its name.
        self._links: dict[int, tuple[bytes, str]] = {}
        self._sources: dict[int, bytes] = {}  # the address that solicitations come from

    def sent(
        self, kind: Kind, octets: bytes, packed: bytes, hop: Hop, attempt: int, *, time_ns: int
    ) -> None:
        """Note a probe, `octets` as they were given to the kernel."""
        comment = f"{kind.name.lower()}, try {attempt}"
        if kind != Kind.NEIGHBOUR:
            packet = with_ip_header(hop.source, packed, octets, _protocol(kind, packed))
            self._record(packet, time_ns, comment, outgoing=True)
            return
        self.expect(packed, hop)
        if len(packed) == 16:
            group = packets.solicited_node(packed)
            source = self._sources.get(hop.interface)
            if source is None:
                source = self._sources[hop.interface] = _source(group, hop)
            octets = with_ip_header(source, group, octets, _ICMPV6, _LONG_WAY)
        _, name = self._links[hop.interface]
        self._record(ethernet_frame(octets, hop.mac), time_ns, comment, outgoing=True, link=name)

    def expect(self, packed: bytes, hop: Hop) -> None:
        """Write down what the neighbour of an address says, from now on.

        That it is asked for its link address is enough, and so is an answer to what the kernel has
        asked for itself, which proves as much.
        """
        self._neighbours.add(packed)
        if hop.interface not in self._links:
            self._links[hop.interface] = hop.mac, _name(hop.interface)

    def reset(self, octets: bytes, answer: Answer, hop: Hop, *, time_ns: int) -> None:
        """Note the RST for a connection that was half open."""
        packet = with_ip_header(hop.source, answer.about, octets, _TCP)
        self._record(packet, time_ns, "ends the connection", outgoing=True)

    def answered(self, answer: Answer, octets: bytes, source: bytes, *, time_ns: int) -> None:
        """Note an answer, `octets` from its network header on, that `source` sent on the link."""
        comment = f"answer to try {answer.attempt}" if answer.attempt else answer.reason
        if answer.kind != Kind.NEIGHBOUR:
            self._record(octets, time_ns, comment, outgoing=False)
        elif answer.about in self._neighbours and answer.interface in self._links:
            own, name = self._links[answer.interface]
            frame = ethernet_frame(octets, source, own)
            self._record(frame, time_ns, comment, outgoing=False, link=name)


def _protocol(kind: Kind, packed: bytes) -> int:
    if kind in {Kind.SYN, Kind.ACK}:
        return _TCP
    return _ICMP if len(packed) == 4 else _ICMPV6


def _source(group: bytes, hop: Hop) -> bytes:
    """Return the address that the kernel sends from to a group of a link."""
    where = (socket.inet_ntop(socket.AF_INET6, group), 9, 0, hop.interface)
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect(where)  # which sends nothing
            return socket.inet_pton(socket.AF_INET6, sock.getsockname()[0].partition("%")[0])
    except OSError:  # the link has gone
        return hop.source


def _name(interface: int) -> str:
    try:
        return socket.if_indextoname(interface)
    except OSError:  # it has gone
        return f"interface {interface}"
