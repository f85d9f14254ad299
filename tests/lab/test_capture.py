"""A capture holds the conversation, all of it, as it was on the wire, and nothing else."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.conftest import Pair

pytestmark = pytest.mark.needs("namespaces")

_ARP = 0x0806
_IPV4 = 0x0800
# Classic BPF: accept the frame if its EtherType is ARP.
_ONLY_ARP = [(0x28, 0, 0, 12), (0x15, 0, 1, _ARP), (6, 0, 0, 0xFFFF), (6, 0, 0, 0)]


def ethertype(octets: bytes) -> int:
    return int.from_bytes(octets[12:14], "big")


def ones_complement(octets: bytes) -> int:
    return int.from_bytes(octets + bytes(len(octets) % 2), "big") % 65535


def tcp_checksum_is_good(frame: bytes) -> bool:
    packet = frame[14 : 14 + int.from_bytes(frame[16:18], "big")]
    segment = packet[(packet[0] & 15) * 4 :]
    pseudo = packet[12:20] + struct.pack("!HH", 6, len(segment))
    return ones_complement(pseudo + segment) == 0


def exchange(pair: Pair, octets: bytes) -> None:
    with pair.b.socket() as listener, pair.a.socket() as client:
        listener.bind((pair.b.ipv4, 7))
        listener.listen()
        client.connect((pair.b.ipv4, 7))
        connection, _ = listener.accept()
        with connection:
            call = pair.b.start(lambda: connection.recv(len(octets), socket.MSG_WAITALL))
            client.sendall(octets)
            assert call.result(10) == octets


@pytest.mark.parametrize("attempt", range(3))
def test_a_capture_holds_the_conversation_and_nothing_else(attempt: int, pair: Pair) -> None:
    with pair.a.capture() as capture, pair.b.socket(type=socket.SOCK_DGRAM) as server:
        server.bind((pair.b.ipv4, 7))
        server.settimeout(5)
        with pair.a.socket(type=socket.SOCK_DGRAM) as client:
            client.connect((pair.b.ipv4, 7))
            client.settimeout(5)
            for _ in range(3):
                client.send(b"ping")
                _, sender = server.recvfrom(10)
                server.sendto(b"pong", sender)
                client.recv(10)
    kinds = [(ethertype(frame.octets), frame.direction) for frame in capture.frames]
    talk = [(_IPV4, "outgoing"), (_IPV4, "host")] * 3
    assert kinds == [(_ARP, "outgoing"), (_ARP, "host"), *talk]


def test_a_frame_tells_its_time_and_length(pair: Pair) -> None:
    before = time.time_ns()
    with pair.a.capture() as capture:
        exchange(pair, b"hi")
    times = [frame.time_ns for frame in capture.frames]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.time_ns()
    for frame in capture.frames:
        assert frame.original_length == len(frame.octets)
        assert frame.interface == "eth0"
    assert capture.dropped == 0


def test_checksums_are_there_and_segments_have_their_real_size(pair: Pair) -> None:
    with pair.a.capture() as out, pair.b.capture() as inside:
        exchange(pair, bytes(300_000))
    for capture in (out, inside):
        segments = [frame for frame in capture.frames if ethertype(frame.octets) == _IPV4]
        assert max(frame.original_length for frame in segments) == 1514
        assert all(tcp_checksum_is_good(frame.octets) for frame in segments)
        assert not any(frame.checksum_pending for frame in segments)


def test_thousands_of_frames_are_kept(pair: Pair) -> None:
    with pair.a.capture() as capture, pair.a.socket(type=socket.SOCK_DGRAM) as client:
        for number in range(20_000):
            client.sendto(b"%d" % number, (pair.b.ipv4, 7))
            if number % 1000 == 0:
                assert capture.frames
    sent = [
        int(frame.octets[42:])
        for frame in capture.frames
        if frame.direction == "outgoing" and frame.octets[23] == socket.IPPROTO_UDP
    ]
    assert capture.dropped == 0
    assert sent == list(range(20_000))


def test_what_does_not_fit_is_counted(pair: Pair) -> None:
    with pair.a.capture() as capture, pair.a.socket(type=socket.SOCK_DGRAM) as client:
        for _ in range(30_000):  # 45 MB: more than the ring
            client.sendto(bytes(1400), (pair.b.ipv4, 7))
        assert capture.dropped > 0
        kept = len(capture.frames)
        assert kept > 4_000
        assert kept + capture.dropped >= 30_000


def test_frames_with_time_between_them_are_kept(pair: Pair) -> None:
    with pair.b.capture() as capture, pair.a.socket(type=socket.SOCK_DGRAM) as client:
        for number in range(100):
            client.sendto(b"%d" % number, (pair.b.ipv4, 7))
            begin = time.monotonic()
            while time.monotonic() < begin + 0.006:  # a block is handed over meanwhile
                pass
        sent = [frame for frame in capture.frames if frame.octets[23] == socket.IPPROTO_UDP]
    assert len(sent) == 100
    assert capture.dropped == 0


def test_a_filter_keeps_everything_else_out(pair: Pair) -> None:
    with pair.a.capture(_ONLY_ARP) as capture:
        exchange(pair, b"hi")
    assert {ethertype(frame.octets) for frame in capture.frames} == {_ARP}


def test_until_waits_for_a_frame(pair: Pair) -> None:
    with pair.b.capture() as capture, pair.a.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"the one", (pair.b.ipv4, 7))
        found = capture.until(lambda frame: frame.octets.endswith(b"the one"))
        assert found.direction == "host"
        with pytest.raises(TimeoutError, match="no such frame"):
            capture.until(lambda frame: frame.octets.endswith(b"another"), timeout=0.01)


def test_iteration_yields_frames_as_they_come(pair: Pair) -> None:
    with pair.b.capture() as capture, pair.a.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"first", (pair.b.ipv4, 7))
        seen = 0
        for frame in capture:
            seen += 1
            if frame.octets.endswith(b"first"):
                break
        client.sendto(b"second", (pair.b.ipv4, 7))
        assert any(frame.octets.endswith(b"second") for frame in iter(capture))
        assert seen <= 3
    assert len(list(capture)) == len(capture.frames)


def test_a_vlan_tag_is_shown_where_it_was(pair: Pair) -> None:
    target = bytes.fromhex(pair.b.mac.replace(":", ""))
    source = bytes.fromhex(pair.a.mac.replace(":", ""))
    tagged = target + source + struct.pack("!HHH", 0x8100, 0x2005, 0x88B5) + b"inside" + bytes(40)
    with pair.b.capture() as capture, pair.a.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("eth0", 0))
        sender.send(tagged)
        frame = capture.until(lambda frame: b"inside" in frame.octets)
    assert frame.octets == tagged
    assert frame.original_length == len(tagged)
    assert frame.vlan


def test_the_loopback_interface_can_be_captured(pair: Pair) -> None:
    with pair.a.capture(interface="lo") as capture, pair.a.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(bytes(60_000), ("127.0.0.1", 7))
        frame = capture.until(lambda frame: frame.octets[23] == socket.IPPROTO_UDP)
    assert frame.original_length == len(frame.octets) == 60_042


def test_an_interface_that_is_not_there_is_an_error(pair: Pair) -> None:
    with pytest.raises(OSError, match="No such device"):
        pair.a.capture(interface="eth9")
