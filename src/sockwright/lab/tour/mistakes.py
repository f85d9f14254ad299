"""Steps with the three classic mistakes of a raw TCP sender, one in each."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from sockwright.lab.tour.datagram import is_icmp
from sockwright.lab.tour.raw import PORT, checksum, never_accepting, tcp_syn
from sockwright.lab.tour.step import Step
from sockwright.sockets import quiet_port, raw
from sockwright.sockets.privileges import Capability
from sockwright.wire.tcp import TCP

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.lab.tour.stage import Stage

__all__ = ["STEPS"]

_UNREACHABLE, _PROTOCOL_UNREACHABLE = 3, 2


def send_with_protocol_16(source: str, target: str) -> str:
    """Send a SYN that is right, in a packet that says otherwise."""
    with (
        quiet_port(f"tcp://{source}:0") as quiet,
        # The mistake: 16 is still there from the last program; TCP is 6.
        raw(f"raw://{target}?protocol=16", timeout=3) as sock,
    ):
        sock.send(tcp_syn(source, target, quiet.port, b"hello"))
        try:
            sock.receive()
        except OSError as error:
            return str(error)
    return "an answer came"


def syn_without_pseudo_header(port: int, data: bytes) -> bytes:
    """Pack a TCP SYN whose checksum leaves out the pseudo-header."""
    fields = (port, 7000, 1000, 0, 5 << 4, 0x02, 65535)
    start = struct.pack("!HHIIBBH", *fields)
    # The mistake: the sum has to begin with the pseudo-header.
    value = checksum(start + bytes(4) + data)
    return start + struct.pack("!HH", value, 0) + data


def send_without_pseudo_header(source: str, target: str) -> str:
    """Send it, and wait for an answer that does not come."""
    with (
        quiet_port(f"tcp://{source}:0") as quiet,
        raw(f"raw://{target}?protocol=tcp", timeout=0.1) as sock,
    ):
        sock.send(syn_without_pseudo_header(quiet.port, b"hello"))
        try:
            sock.receive()
        except TimeoutError:
            return "silence"
    return "an answer came"


def syn_with_low_offset(
    source: str,
    target: str,
    port: int,
    data: bytes,
) -> bytes:
    """Pack a TCP SYN with its data offset in the wrong half of an octet."""
    # The mistake: 5 instead of 5 << 4.
    fields = (port, 7000, 1000, 0, 5, 0x02, 65535)
    start = struct.pack("!HHIIBBH", *fields)
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    pseudo_header = addresses + struct.pack("!BBH", 0, 6, 20 + len(data))
    value = checksum(pseudo_header + start + bytes(4) + data)
    return start + struct.pack("!HH", value, 0) + data


def send_with_low_offset(source: str, target: str) -> str:
    """Send it, and wait for an answer that does not come."""
    with (
        quiet_port(f"tcp://{source}:0") as quiet,
        raw(f"raw://{target}?protocol=tcp", timeout=0.1) as sock,
    ):
        sock.send(syn_with_low_offset(source, target, quiet.port, b"hello"))
        try:
            sock.receive()
        except TimeoutError:
            return "silence"
    return "an answer came"


def _send(stage: Stage, function: Callable[[str, str], str], counter: str) -> str:
    """Send to a listener, so that only the mistake can be why nothing is answered."""
    server = stage.start(stage.b, never_accepting, f"tcp://{stage.b.ipv4}:{PORT}")
    told = stage.call(stage.a, function, stage.a.ipv4, stage.b.ipv4)
    stage.wait_for_counter(counter)
    server.stop()
    segments = [packet[TCP] for packet in stage.packets_with(TCP)]
    answers = [str(segment.flags) for segment in segments if segment.src_port == PORT]
    stage.expect(not answers, f"the peer answered with {answers}")
    return told


def mistake_protocol(stage: Stage) -> None:
    """Leave the protocol at 16."""
    stage.show(checksum, tcp_syn)
    told = _send(stage, send_with_protocol_16, "Ip.InUnknownProtos")
    stage.wait_for(is_icmp(_UNREACHABLE, _PROTOCOL_UNREACHABLE), "ICMP protocol unreachable")
    stage.expect("protocol unreachable" in told, f"the sender was told: {told}")
    stage.notes.append(
        "The peer never looked at the TCP header: the protocol field alone decides who gets a "
        "packet, and no one has 16. Its answer is an ICMP error, not a TCP segment."
    )


def mistake_checksum(stage: Stage) -> None:
    """Sum without the pseudo-header."""
    stage.show(checksum, syn_without_pseudo_header)
    told = _send(stage, send_without_pseudo_header, "Tcp.InCsumErrors")
    stage.expect(told == "silence", told)
    stage.notes.append(
        "The peer dropped the segment without a word: with a wrong sum not even the port that an "
        "answer would go to can be trusted. Only its counters tell."
    )


def mistake_offset(stage: Stage) -> None:
    """Leave the data offset in the lower four bits."""
    stage.show(checksum, syn_with_low_offset)
    told = _send(stage, send_with_low_offset, "Tcp.InErrs")
    stage.expect(told == "silence", told)
    stage.expect(not stage.counted().get("Tcp.InCsumErrors"), "the checksum was wrong too")
    stage.notes.append(
        "The peer read a header of 0 words and dropped the segment before it looked at the "
        "checksum, which is right. The lone 5 fell among the reserved bits and flags: one of its "
        "bits reads as AE."
    )


STEPS = (
    Step(
        "mistake-protocol",
        "Mistake 1: protocol left at 16",
        "The segment of raw-tcp, right to the last bit, in an IP packet that still says "
        "protocol 16.",
        mistake_protocol,
        Capability.CAP_NET_RAW,
        expected="ipv4-protocol",
    ),
    Step(
        "mistake-checksum",
        "Mistake 2: sum without pseudo-header",
        "TCP, summed like ICMP: header and data alone, without addresses, protocol and length.",
        mistake_checksum,
        Capability.CAP_NET_RAW,
        expected="tcp-checksum",
    ),
    Step(
        "mistake-offset",
        "Mistake 3: data offset not shifted",
        "The header length stands in the upper four bits of its octet. Written as 5 it says: a "
        "header of 0 words. The checksum covers the octets as they are, so it is right.",
        mistake_offset,
        Capability.CAP_NET_RAW,
        expected="tcp-data-offset-not-shifted",
    ),
)
