"""Packet sockets on the real loopback: frames, filters, tags, counters."""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest
from tests.sockets.frames_of import NOT_OF_SERVICES, only
from tests.sockets.live import hosts

from sockwright.errors import EndpointError
from sockwright.sockets import Frame, PacketSocket, datagram, packet
from sockwright.sockets.packet_socket import bind_interface

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sockwright.sockets.filter import Instruction

pytestmark = pytest.mark.needs("root")


def _udp_to(port: int) -> Sequence[Instruction]:
    """Accept IPv4 UDP without options to `port`, as tcpdump -d would print it."""
    return [
        (0x28, 0, 0, 12),
        (0x15, 0, 5, 0x0800),
        (0x30, 0, 0, 23),
        (0x15, 0, 3, 17),
        (0x28, 0, 0, 36),
        (0x15, 0, 1, port),
        (0x06, 0, 0, 262144),
        (0x06, 0, 0, 0),
    ]


def _send(octets: bytes) -> tuple[int, Callable[[], None]]:
    server = datagram("udp://:0")
    port = server.local_address.port

    def send() -> None:
        with server, datagram(remote=server.local_address) as client:
            client.send(octets)
            assert server.receive() == octets

    return port, send


def test_a_frame_tells_when_where_and_for_whom() -> None:
    port, send = _send(b"hello")
    before = time.time_ns()
    with packet("lo", program=_udp_to(port), timeout=5) as sock:
        send()
        out, received = sock.receive(), sock.receive()
        assert sock.receive_waiting() == []
        assert sock.interface == "lo"
    assert (out.direction, received.direction) == ("outgoing", "host")
    for frame in (out, received):
        assert frame.octets.endswith(b"hello")
        assert before <= frame.time_ns <= time.time_ns()
        assert frame.original_length == len(frame.octets) == 47
        assert (frame.interface, frame.protocol, frame.link_type) == ("lo", 0x0800, 1)
        assert not frame.vlan
        assert frame.checksum_pending  # the loopback never computes them


def test_no_frame_slips_past_the_filter() -> None:
    port, send = _send(b"wanted")
    _, noise = _send(b"noise")
    with packet("lo", program=_udp_to(port), outgoing=False, timeout=5) as sock:
        assert sock.ignore_outgoing
        noise()
        send()
        assert sock.receive().octets.endswith(b"wanted")
        assert sock.receive_waiting() == []
        assert sock.statistics().accepted == 1
        assert sock.statistics().accepted == 1  # counted since the socket was opened


def test_a_snapped_frame_knows_its_length() -> None:
    port, send = _send(bytes(100))
    with packet("lo", program=_udp_to(port), timeout=5) as sock:
        send()
        frame = sock.receive(20)
    assert (len(frame.octets), frame.original_length) == (20, 142)


def test_a_protocol_sees_only_its_own() -> None:
    port, send = _send(b"four")
    with packet("packet://lo?protocol=ipv4", program=_udp_to(port), timeout=5) as sock:
        send()
        assert sock.receive().direction == "host"
        assert sock.receive_waiting() == []


def test_a_vlan_tag_is_put_back_where_it_was() -> None:
    frame = bytes(12) + struct.pack("!HHH", 0x88A8, 0x6123, 0x88B5) + b"tagged" * 10
    with packet("lo", program=only(NOT_OF_SERVICES), outgoing=False, timeout=5) as sock:
        sock.send(frame)
        seen = next(f for f in sock if f.octets.endswith(b"tagged"))
    assert seen.vlan
    assert seen.octets == frame
    assert seen.original_length == len(frame)


def test_promiscuous_mode_ends_with_the_socket() -> None:
    with hosts() as net:

        def promiscuous() -> bool:
            shown = net.b.run(["ip", "-d", "link", "show", "eth0"], check=True).stdout
            return "promiscuity 1" in shown

        sock = net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        with PacketSocket(sock) as found:
            bind_interface(sock, "eth0", 0)
            assert not promiscuous()
            found.set_promiscuous(True)
            assert promiscuous()
            found.set_promiscuous(False)
            assert not promiscuous()
            found.set_promiscuous(True)
        assert not promiscuous()


def test_drops_are_counted() -> None:
    port, send = _send(b"x" * 1000)
    with packet("lo", program=_udp_to(port)) as sock:
        sock.receive_buffer = 2304  # the smallest there is
        send()
        _send_more(port)
        counted = sock.statistics()
        assert counted.dropped > 0
        assert counted.accepted == len(sock.receive_waiting()) + counted.dropped


def _send_more(port: int) -> None:
    with (
        datagram(f"udp://127.0.0.1:{port}") as server,
        datagram(remote=server.local_address) as one,
    ):
        for _ in range(20):
            one.send(bytes(1000))


def test_all_interfaces_at_once() -> None:
    port, send = _send(b"any")
    with packet(program=_udp_to(port), timeout=5) as sock:
        send()
        assert sock.receive().interface == "lo"
        assert sock.interface == ""
        with pytest.raises(OSError, match="make no interface promiscuous"):
            sock.set_promiscuous(True)


def test_existing_sockets_are_wrapped_and_get_their_time_stamps() -> None:
    port, send = _send(b"handed over")
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.bind(("lo", 3))
    with PacketSocket(raw) as sock:
        sock.timeout = 5
        sock.attach_filter(_udp_to(port))
        sock.receive_waiting()  # makes room: until now it took what other tests send
        send()
        frame: Frame = next(f for f in sock if f.octets.endswith(b"handed over"))
    assert frame.time_ns > 0


def test_errors_name_the_interface_and_the_program() -> None:
    with pytest.raises(OSError, match="no such interface") as caught:
        packet("nosuch0")
    assert caught.value.errno == errno.ENODEV
    with pytest.raises(OSError, match="checker refuses"):
        packet("lo", program=[(0x28, 0, 0, 12)])
    with pytest.raises(ValueError, match=r"not in 1\.\.4096"):
        packet("lo", program=[])
    with pytest.raises(EndpointError, match="does not fit here: packet"):
        packet("tcp://:1")


def test_missing_privilege_names_what_is_needed(unprivileged: Callable[[str], str]) -> None:
    said = unprivileged(
        "from sockwright.sockets import packet\n"
        "try: packet('lo')\n"
        "except PermissionError as e: print(e.errno, e)"
    )
    assert said.startswith(f"{errno.EPERM} ")
    for part in ("packet://lo", "CAP_NET_RAW", "sw lab shell", "setpriv"):
        assert part in said
