"""Steps with raw sockets: IPv4 with a header by hand, a TCP segment with its checksum by hand."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from sockwright.lab.tour.datagram import is_icmp
from sockwright.lab.tour.step import Step
from sockwright.sockets import listen, quiet_port, raw
from sockwright.sockets.privileges import Capability
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.tcp import TCP

if TYPE_CHECKING:
    from sockwright.lab.tour.stage import Ready, Stage

__all__ = ["PORT", "STEPS", "checksum", "never_accepting", "tcp_syn"]

PORT = 7000
_UNREACHABLE, _PROTOCOL_UNREACHABLE = 3, 2
_ETHERNET, _IPV4 = 14, 20  # octets of the headers in front


def ipv4_header(source: str, target: str, protocol: int) -> bytes:
    """Pack an IPv4 header, RFC 791 section 3.1, field by field."""
    return struct.pack(
        "!BBHHHBBH4s4s",
        4 << 4 | 5,  # version 4; a header of 5 words of 32 bits
        0,  # type of service
        0,  # total length: the kernel writes it
        0,  # identification: the kernel writes it where it is 0
        0,  # flags and fragment offset
        64,  # time to live
        protocol,
        0,  # header checksum: the kernel writes it
        socket.inet_aton(source),
        socket.inet_aton(target),
    )


def send_ipv4(source: str, target: str) -> str:
    """Send a packet of protocol 16, and wait for what comes of it."""
    # 8 octets of data at least, or our kernel keeps the ICMP error.
    packet = ipv4_header(source, target, 16) + b"hello, 16"
    peer = f"raw://{target}?protocol=16"
    with raw(peer, header_included=True, timeout=3) as sock:
        sock.send(packet)
        try:
            sock.receive()
        except OSError as error:
            return str(error)
    return "an answer came"


def ipv4_with_types(source: str, target: str) -> bytes:
    """Make the same packet of values; lengths and checksums follow."""
    header = IPv4(src=source, dst=target, protocol=16)
    return bytes(header / b"hello, 16")


def checksum(octets: bytes) -> int:
    """Return the inverted sum of 16-bit words, RFC 1071."""
    if len(octets) % 2:
        octets += b"\0"
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)  # carries come back in
    return ~total & 0xFFFF


def tcp_syn(source: str, target: str, port: int, data: bytes) -> bytes:
    """Pack a TCP SYN with data, RFC 9293 section 3.1, field by field."""
    start = struct.pack(
        "!HHIIBBH",
        port,
        7000,  # destination port
        1000,  # sequence number
        0,  # acknowledgement number: there is none in a SYN
        5 << 4,  # data offset: 5 words of 32 bits, in the upper four bits
        0x02,  # flags: SYN
        65535,  # window
    )
    pseudo_header = struct.pack(
        "!4s4sBBH",
        socket.inet_aton(source),
        socket.inet_aton(target),
        0,
        6,  # the protocol: TCP
        20 + len(data),  # octets of header and data
    )
    # Summed with the checksum and the urgent pointer still 0.
    value = checksum(pseudo_header + start + bytes(4) + data)
    return start + struct.pack("!HH", value, 0) + data


def send_syn(source: str, target: str) -> bytes:
    """Send the SYN and return the IPv4 packet that answers it."""
    with (
        quiet_port(f"tcp://{source}:0") as quiet,  # no RST from our kernel
        raw(f"raw://{target}?protocol=tcp", timeout=3) as sock,
    ):
        sock.send(tcp_syn(source, target, quiet.port, b"hello"))
        return sock.receive()


def syn_with_types(source: str, target: str, port: int) -> bytes:
    """Make the same segment of values; IPv4 lends it the addresses."""
    tcp = TCP(src_port=port, dst_port=7000, seq=1000, flags="S")
    packet = IPv4(src=source, dst=target) / tcp / b"hello"
    return bytes(packet)[20:]  # the kernel writes the IPv4 header


def never_accepting(endpoint: str, ready: Ready) -> None:
    """Listen; a connection that is never completed is never accepted."""
    with listen(endpoint) as listener:
        ready()
        listener.accept()


def raw_ipv4(stage: Stage) -> None:
    """Send protocol 16, which nobody takes."""
    source, target = stage.a.ipv4, stage.b.ipv4
    stage.show(ipv4_header)
    told = stage.call(stage.a, send_ipv4, source, target)
    stage.wait_for(is_icmp(_UNREACHABLE, _PROTOCOL_UNREACHABLE), "ICMP protocol unreachable")
    stage.expect("protocol unreachable" in told, f"the sender was told: {told}")
    stage.wait_for_counter("Ip.InUnknownProtos")
    packet = stage.packets_with(IPv4)[0]
    sent = packet[IPv4]
    stage.notes.append(
        f"The kernel wrote: total length {sent.total_length}, identification "
        f"{sent.identification:#06x}, header checksum {sent.checksum:#06x}."
    )
    typed = IPv4.decode(stage.call(stage.a, ipv4_with_types, source, target))
    typed[IPv4].identification = sent.identification
    on_wire = bytes(packet)[_ETHERNET:]
    stage.expect(bytes(typed) == on_wire, "the packet as values is another than the one by hand")


def raw_tcp(stage: Stage) -> None:
    """Open half a connection by hand."""
    source, target = stage.a.ipv4, stage.b.ipv4
    server = stage.start(stage.b, never_accepting, f"tcp://{target}:{PORT}")
    stage.show(checksum, tcp_syn)
    answer = IPv4.decode(stage.call(stage.a, send_syn, source, target))[TCP]
    server.stop()
    stage.expect(str(answer.flags) == "SA", f"the SYN was answered with {answer.flags}")
    stage.expect(answer.ack == 1001, f"the SYN ACK acknowledges {answer.ack}")
    segments = stage.packets_with(TCP)
    resets = [packet for packet in segments if "R" in packet[TCP].flags]
    stage.expect(not resets, "this kernel's RST was not held back")
    stage.notes.append(
        "The SYN ACK acknowledges the SYN alone (ack 1): Linux takes data with a SYN only for TCP "
        "Fast Open, and drops them otherwise."
    )
    stage.notes.append(
        "Our own kernel knows of no such connection and would answer the SYN ACK with RST; "
        "quiet_port keeps that back."
    )
    typed = stage.call(stage.a, syn_with_types, source, target, answer.dst_port)
    sent = bytes(segments[0])[_ETHERNET + _IPV4 :]
    stage.expect(typed == sent, "the segment as values is another than the one by hand")


STEPS = (
    Step(
        "raw-ipv4",
        "Raw IPv4, protocol 16",
        "A raw socket sends IP packets of any protocol; with IP_HDRINCL you write the header too. "
        "Nobody on the peer takes protocol 16, and its kernel says so by ICMP.",
        raw_ipv4,
        Capability.CAP_NET_RAW,
    ),
    Step(
        "raw-tcp",
        "Raw TCP: a SYN with data, by hand",
        "Here the kernel writes the IP header and you write TCP. The checksum covers a "
        "pseudo-header of addresses, protocol and length that is never sent. If it is right, the "
        "peer answers with SYN ACK.",
        raw_tcp,
        Capability.CAP_NET_RAW,
    ),
)
