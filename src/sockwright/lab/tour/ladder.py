"""Frames of a capture as the rungs of a ladder: who sent what to whom, in the words of its protocol.

Sequence and acknowledgement numbers are told twice: as they are on the wire, and counted from the
first number of each direction, which is what people can follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockwright.wire import Packet
from sockwright.wire.core.names import IP_PROTOCOLS
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.icmp import ICMP, TYPES
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
    udp, icmp, ipv4 = packet.get(UDP), packet.get(ICMP), packet.get(IPv4)
    if udp is not None:
        return "UDP", f"UDP {udp.src_port} to {udp.dst_port}{_data(packet.payload)}"
    if icmp is not None:
        kind = TYPES.get(icmp.type, f"type {icmp.type}")
        code = f": {icmp.code_name}" if icmp.code_name else ""
        return "ICMP", f"ICMP {kind}{code}"
    last = packet.layers[-1] if packet.layers else None
    if ipv4 is not None and last is ipv4:
        name = IP_PROTOCOLS.get(ipv4.protocol, "")
        return "IPv4", f"IPv4 protocol {ipv4.protocol} {name}".rstrip() + _data(packet.payload)
    name = type(last).__name__ if last is not None else "octets"
    return name, name + _data(packet.payload)


def _data(payload: bytes) -> str:
    """Return the data as text where they are text and short, else how many there are."""
    if not payload:
        return ""
    text = payload.decode("ascii", errors="replace").split("\r\n")[0].strip()
    if text.isprintable() and text.isascii() and len(text) <= 24:
        return f', {len(payload)} octets "{text}"'
    return f", {len(payload)} octets"
