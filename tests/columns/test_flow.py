"""Flows have numbers in the order in which they appear, both directions the same."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest

from sockwright.columns import open_capture
from sockwright.columns.fields import Flows
from sockwright.columns.filling import Filler
from sockwright.columns.kernels.flow import mix, signed
from sockwright.wire import TCP, UDP, Ethernet, IPv4, IPv6, Packet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def _ids(path: Path, packets: Iterable[Packet], *, compiled: bool) -> list[tuple[str, str]]:
    """Return number and direction of the flow of each packet, by columns."""
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)]
    for packet in packets:
        octets = bytes(packet)
        parts += [struct.pack("<IIII", 0, 0, len(octets), len(octets)), octets]
    path.write_bytes(b"".join(parts))
    filler = Filler(["flow.id", "flow.back"])
    found: list[tuple[str, str]] = []
    with open_capture(path) as capture:
        for batch in capture.batches(compiled=compiled, most=1000):
            columns = filler.fill(batch)
            found += zip(columns.texts("flow.id"), columns.texts("flow.back"), strict=True)
    return found


_FORMS = pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])


@_FORMS
def test_an_answer_is_of_the_flow_of_its_question(tmp_path: Path, compiled: bool) -> None:
    there = Ethernet() / IPv4(src="192.0.2.9", dst="192.0.2.1") / UDP(src_port=5, dst_port=53)
    back = Ethernet() / IPv4(src="192.0.2.1", dst="192.0.2.9") / UDP(src_port=53, dst_port=5)
    other = Ethernet() / IPv4(src="192.0.2.1", dst="192.0.2.9") / TCP(src_port=53, dst_port=5)
    none = Packet((Ethernet(),))
    found = _ids(tmp_path / "a.pcap", [there, back, other, none, there, other], compiled=compiled)
    assert found == [("0", "0"), ("0", "1"), ("1", "0"), ("", ""), ("0", "0"), ("1", "0")]


@_FORMS
def test_many_flows_are_numbered_as_the_scalar_decode_does(tmp_path: Path, compiled: bool) -> None:
    drawn = random.Random(4)

    def drawn_packet() -> Packet:
        ends = [drawn.randrange(1, 60), drawn.randrange(1, 60)]
        source, target = drawn.randrange(3), drawn.randrange(3)
        if drawn.random() < 0.5:
            addresses = [f"203.0.113.{end}" if end < 30 else f"10.0.0.{end}" for end in ends]
            network: IPv4 | IPv6 = IPv4(src=addresses[0], dst=addresses[1])
        else:
            # The upper half, its first bit included, and the lower half of addresses differ.
            halves = [f"{'ff02' if end % 2 else '2001'}::{end:x}" for end in ends]
            network = IPv6(src=halves[0], dst=halves[1])
        if drawn.random() < 0.5:
            return Ethernet() / network / TCP(src_port=source, dst_port=target)
        return Ethernet() / network / UDP(src_port=source, dst_port=target)

    packets = [Packet.decode(bytes(drawn_packet())) for _ in range(9000)]
    flows = Flows()
    expected = []
    for packet in packets:
        flow = flows.of(packet)
        assert flow is not None
        expected.append((str(flow[0]), str(int(flow[1]))))
    assert _ids(tmp_path / "many.pcap", packets, compiled=compiled) == expected
    assert len({number for number, _ in expected}) > 2048


def test_a_hash_does_not_leave_its_bits() -> None:
    drawn = random.Random(5)
    state = 0
    for _ in range(1000):
        state = mix(state, signed(drawn.getrandbits(32), drawn.getrandbits(32)))
        assert 0 <= state < 1 << 62


def test_two_halves_make_a_number_of_64_bits_with_a_sign() -> None:
    assert signed(0, 5) == 5
    assert signed(0xFFFFFFFF, 0xFFFFFFFF) == -1
    assert signed(0x80000000, 0) == -(1 << 63)
