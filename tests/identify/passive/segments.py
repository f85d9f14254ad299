"""Segments as systems send them, for the tests of passive identification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.records.captured_packet import captured
from sockwright.wire import TCP, Ethernet, IPv4, IPv6
from sockwright.wire.tcp_options import MSS, NoOperation, SACKPermitted, Timestamps, WindowScale

if TYPE_CHECKING:
    from sockwright.identify.passive.opening import Opening
    from sockwright.records import CapturedPacket
    from sockwright.wire.core.option import Option

NOP = NoOperation()


def linux(timestamp: int = 12345, mss: int = 1460, scale: int = 7) -> tuple[Option, ...]:
    """The options of a SYN of Linux."""
    return (MSS(mss), SACKPermitted(), Timestamps(timestamp), NOP, WindowScale(scale))


def windows(mss: int = 1460) -> tuple[Option, ...]:
    """The options of a SYN of Windows."""
    return (MSS(mss), NOP, WindowScale(8), NOP, NOP, SACKPermitted())


def segment(
    options: tuple[Option, ...] = (),
    *,
    src: str = "192.0.2.1",
    dst: str = "192.0.2.2",
    ttl: int = 64,
    flags: str = "S",
    window: int = 64240,
    identification: int = 4711,
    ip_flags: str = "DF",
    payload: bytes = b"",
    time_ns: int = 0,
    src_port: int = 40000,
    dst_port: int = 80,
    seq: int = 1000,
    ack: int = 0,
    urgent_pointer: int = 0,
) -> CapturedPacket:
    """A frame of Ethernet as if captured; over IPv6 where the addresses are."""
    network: IPv4 | IPv6
    if ":" in src:
        network = IPv6(src=src, dst=dst, hop_limit=ttl, flow_label=identification)
    else:
        network = IPv4(src=src, dst=dst, ttl=ttl, identification=identification, flags=ip_flags)
    tcp = TCP(
        src_port=src_port,
        dst_port=dst_port,
        seq=seq,
        ack=ack if "A" not in flags else ack or 77,
        flags=flags,
        window=window,
        options=options,
        urgent_pointer=urgent_pointer,
    )
    octets = bytes(Ethernet() / network / tcp / payload)
    return captured(octets, 1, 1, time_ns, len(octets))


def opening(packet: CapturedPacket) -> Opening:
    """What is measured of a SYN or SYN-ACK."""
    from sockwright.identify.passive.opening import measure_opening

    found = measure_opening(packet.layers, packet.payload)
    assert found is not None
    return found
