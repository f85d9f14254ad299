"""Frames of a capture as the rungs of a ladder: who sent what to whom, in its protocol's words.

Sequence and acknowledgement numbers are told twice: as they are on the wire, and counted from the
first number of each direction, which is what people can follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockwright.wire import Packet
from sockwright.wire.arp import ARP
from sockwright.wire.core.names import IP_PROTOCOLS
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.icmp import ICMP
from sockwright.wire.icmp import TYPES as ICMP_TYPES
from sockwright.wire.icmpv6 import TYPES as ICMPV6_TYPES
from sockwright.wire.icmpv6 import ICMPv6
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.tcp import TCP
from sockwright.wire.udp import UDP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sockwright.sockets.packet_socket import Frame
    from sockwright.wire.core.finding import Finding

__all__ = ["Rung", "ladder"]

_Flow = tuple[str, str, int, int]
_SEQUENCE_END = 1 << 32


@dataclass(frozen=True, slots=True)
class Rung:
    """One packet on the wire, and what `verify()` says of it.

    `sender` and `receiver` are names of hosts, `summary` one line for people. `flags`, `seq`, `ack`
    are those of TCP, and `relative_seq` and `relative_ack` count from the first number of each
    direction; `length` is the octets of data behind the last header. None where there is no such
    thing.
    """

    time_ns: int
    sender: str
    receiver: str
    protocol: str
    summary: str
    flags: str | None
    seq: int | None
    ack: int | None
    relative_seq: int | None
    relative_ack: int | None
    length: int
    octets: bytes
    findings: tuple[Finding, ...]

    @property
    def packet(self) -> Packet:
        """The packet, decoded."""
        return Packet.decode(self.octets)


def ladder(frames: Iterable[Frame], names: Mapping[str, str]) -> list[Rung]:
    """Return the rungs for `frames`; `names` are the hosts by their Ethernet address."""
    first: dict[_Flow, int] = {}
    return [_rung(frame, names, first) for frame in frames]


def _rung(frame: Frame, names: Mapping[str, str], first: dict[_Flow, int]) -> Rung:
    packet = Packet.decode(frame.octets, link_type=frame.link_type or 1)
    ethernet, tcp = packet.get(Ethernet), packet.get(TCP)
    sender = receiver = "?"
    if ethernet is not None:
        sender = names.get(str(ethernet.src), str(ethernet.src))
        receiver = names.get(str(ethernet.dst), "all")
    flags = seq = ack = relative_seq = relative_ack = None
    if tcp is not None:
        flow, back = _flow(packet, tcp)
        seq = tcp.seq
        flags = " ".join(word for at, word in enumerate(tcp.flags.words) if tcp.flags >> at & 1)
        relative_seq = (seq - first.setdefault(flow, seq)) % _SEQUENCE_END
        if "A" in tcp.flags:
            ack = tcp.ack
            relative_ack = (ack - first.get(back, 0)) % _SEQUENCE_END
        text = f"{flags or 'no flag'} seq {relative_seq}"
        text += "" if relative_ack is None else f" ack {relative_ack}"
        text += _data(packet.payload)
        protocol = "TCP"
    else:
        protocol, text = _words(packet)
    return Rung(
        time_ns=frame.time_ns,
        sender=sender,
        receiver=receiver,
        protocol=protocol,
        summary=text,
        flags=flags,
        seq=seq,
        ack=ack,
        relative_seq=relative_seq,
        relative_ack=relative_ack,
        length=len(packet.payload),
        octets=frame.octets,
        findings=packet.verify(),
    )


def _flow(packet: Packet, tcp: TCP) -> tuple[_Flow, _Flow]:
    network = packet.get(IPv4) or packet.get(IPv6)
    src, dst = (str(network.src), str(network.dst)) if network is not None else ("", "")
    return (src, dst, tcp.src_port, tcp.dst_port), (dst, src, tcp.dst_port, tcp.src_port)


def _words(packet: Packet) -> tuple[str, str]:
    """Return the name of the protocol, and a line about the packet."""
    for layer in reversed(packet.layers):
        match layer:
            case UDP():
                line = f"UDP {layer.src_port} to {layer.dst_port}"
            case ICMP():
                line = _icmp("ICMP", ICMP_TYPES.get(layer.type), layer.code_name)
            case ICMPv6():
                return "ICMPv6", _icmp("ICMPv6", ICMPV6_TYPES.get(layer.type), layer.code_name)
            case ARP():
                line = f"ARP who has {layer.target_ip}?" if layer.operation == 1 else "ARP reply"
            case IPv4():
                name = IP_PROTOCOLS.get(layer.protocol, "")
                line = f"IPv4 protocol {layer.protocol} {name}".rstrip()
            case _:
                continue
        name = type(layer).__name__
        return name, line if isinstance(layer, ICMP | ARP) else line + _data(packet.payload)
    return "octets", "octets" + _data(packet.payload)


def _icmp(protocol: str, kind: str | None, code: str) -> str:
    return f"{protocol} {kind or 'of an unknown type'}" + (f": {code}" if code else "")


def _data(payload: bytes) -> str:
    """Return the data as text where they are text and short, else how many there are."""
    if not payload:
        return ""
    text = payload.decode("ascii", errors="replace").split("\r\n")[0].strip()
    if text.isprintable() and text.isascii() and len(text) <= 24:
        return f', {len(payload)} octets "{text}"'
    return f", {len(payload)} octets"
