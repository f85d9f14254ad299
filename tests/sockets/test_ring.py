"""The packet ring: what goes in, what the kernel tells of it, and that nothing stays behind."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.open_files import open_files
from tests.sockets.live import MARK, Net, hosts, marked, only_marked, tagged

from sockwright.sockets.ring import (
    BLOCK_SIZE,
    MINIMUM_BUFFER,
    SLL2,
    PacketRing,
    cooked,
    frames,
    link_type,
    open_link,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.sockets.packet_socket import Frame

pytestmark = pytest.mark.needs("namespaces")


@pytest.fixture
def net() -> Iterator[Net]:
    with hosts() as found:
        yield found


@pytest.fixture
def ring(net: Net) -> Iterator[PacketRing]:
    """A ring on host b that takes the frames of `marked` only."""
    sock = net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with PacketRing(sock, "eth0", only_marked()) as found:
        yield found


def take(ring: PacketRing, count: int) -> list[Frame]:
    found: list[Frame] = []
    while len(found) < count:
        block = ring.take()
        if block is None:
            ring.wait(5)
            continue
        found += frames(block, ring.interface)
        ring.release()
    return found


def test_frames_come_in_order_with_their_times(net: Net, ring: PacketRing) -> None:
    before = time.time_ns()
    net.send(*(marked(b"%d." % number) for number in range(5000)))
    found = take(ring, 5000)
    assert [int(frame.octets[14:].partition(b".")[0]) for frame in found] == list(range(5000))
    times = [frame.time_ns for frame in found]
    assert times == sorted(times)
    assert before <= times[0]
    assert times[-1] <= time.time_ns()
    assert {(frame.direction, frame.protocol) for frame in found} == {("broadcast", MARK)}
    assert ring.statistics().accepted == 5000
    assert ring.statistics().dropped == 0
    assert ring.emptied


def test_tags_are_put_back(net: Net, ring: PacketRing) -> None:
    sent = [tagged(b"one"), tagged(b"two", 0x88A8, 0xE123), marked(b"none")]
    net.send(*sent)
    found = take(ring, 3)
    assert [frame.octets for frame in found] == sent
    assert [frame.original_length for frame in found] == [64, 64, 60]
    assert [frame.vlan for frame in found] == [True, True, False]


def test_what_finds_no_room_is_counted(net: Net) -> None:
    sock = net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with PacketRing(sock, "eth0", only_marked(), buffer=MINIMUM_BUFFER) as ring:
        net.send(*[marked(size=1500)] * 1000)
        counted = ring.statistics()
        assert counted.accepted == 1000
        assert 0 < counted.dropped < 1000
        assert counted.freezes >= 1
        assert len(take(ring, 1000 - counted.dropped)) == 1000 - counted.dropped
        net.send(marked(b"again"))  # the kernel goes on once there is room
        assert take(ring, 1)[0].octets == marked(b"again")


def test_no_stray_frame_is_ever_in_the_ring(net: Net) -> None:
    ended = threading.Event()

    def flood() -> None:
        while not ended.is_set():
            net.send(*[b"\xff" * 12 + b"\x88\xb6" + bytes(46)] * 200)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for number in range(20):
            sock = net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            with PacketRing(sock, "eth0", only_marked(), buffer=MINIMUM_BUFFER) as ring:
                net.send(marked(b"%d" % number))
                assert {frame.protocol for frame in take(ring, 1)} == {MARK}
                assert ring.statistics().accepted == 1
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("seconds", [3e6, float("inf")])
def test_a_wait_may_be_of_months(ring: PacketRing, seconds: float) -> None:
    ring.wake()
    ring.wait(seconds)


def test_wake_ends_a_wait_from_another_thread(ring: PacketRing) -> None:
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        ring.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait()
    ring.wake()
    thread.join(5)
    assert not thread.is_alive()
    ring.wait(0)  # and it was this wait only that ended


def test_a_full_ring_does_not_make_the_waiter_spin(net: Net) -> None:
    sock = net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with PacketRing(sock, "eth0", only_marked(), buffer=MINIMUM_BUFFER) as ring:
        net.send(*[marked(size=1500)] * 1000)
        while ring.take() is not None:
            ring.release()
        begun = time.process_time()
        ring.wait(0.3)
        assert time.process_time() - begun < 0.15


def test_the_state_of_the_interface_is_told(net: Net, ring: PacketRing) -> None:
    assert ring.link_state() == "up"
    net.b.run(["ip", "link", "set", "eth0", "down"], check=True)
    ring.wait(5)
    told = [ring.alarmed, ring.link_state(), ring.alarmed]
    assert told == [True, "down", False]
    net.b.run(["ip", "link", "set", "eth0", "up"], check=True)
    assert ring.link_state() == "up"
    net.b.run(["ip", "link", "delete", "eth0"], check=True)
    assert ring.link_state() == "gone"


def test_all_interfaces_are_captured_without_link_headers(net: Net) -> None:
    sock = net.b.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    assert cooked(sock)
    assert link_type(sock, "") == SLL2
    program = [(0x20, 0, 0, 0xFFFFF000), (0x15, 0, 1, MARK), (6, 0, 0, 0xFFFF), (6, 0, 0, 0)]
    with PacketRing(sock, "", program) as ring:
        net.send(marked(b"all"))
        (frame,) = take(ring, 1)
        assert frame.octets == marked(b"all")[14:]
        assert frame.sender == marked()[6:12]
        assert ring.link_state() == "up"


def test_another_process_may_not_read_the_ring(net: Net, ring: PacketRing) -> None:
    def take_there() -> str:
        try:
            ring.take()
        except RuntimeError as error:
            ring.close()
            return str(error)
        return "taken"

    said = net.b.call(take_there)  # in a copy of this process
    assert said == f"this ring is read by process {os.getpid()}, which made it"
    net.send(marked(b"here"))
    assert take(ring, 1)[0].octets == marked(b"here")


def mapped_sockets() -> set[str]:
    return {line for line in Path("/proc/self/maps").read_text().split("\n") if "socket:" in line}


def test_nothing_stays_open(net: Net) -> None:
    before, mapped = open_files(), mapped_sockets()
    for _ in range(10):
        sock = net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        with PacketRing(sock, "eth0", only_marked(), promiscuous=True):
            pass
    with pytest.raises(OSError, match="checker refuses"):
        PacketRing(net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0), "eth0", [(0x28, 0, 0, 12)])
    with pytest.raises(OSError, match="No such device"):
        PacketRing(net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0), "eth9")
    assert open_files() <= before
    assert mapped_sockets() <= mapped


def test_a_ring_that_nobody_closed_is_closed_when_it_goes_with_a_warning(net: Net) -> None:
    before = open_files()
    ring = PacketRing(net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0), "eth0", only_marked())
    assert ring.ready is False
    with pytest.warns(ResourceWarning, match="unclosed"):
        del ring
    assert open_files() <= before


def test_a_ring_that_was_closed_while_somebody_looked_lets_nothing_in(net: Net) -> None:
    ring = PacketRing(net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0), "eth0", only_marked())
    net.send(marked(b"looked at"))
    while (block := ring.take()) is None:
        ring.wait(5)
    ring.close()
    ring.close()
    assert b"looked at" in bytes(block.octets)
    assert ring.take() is None
    assert ring.fileno() == -1
    assert ring.statistics().accepted == 1
    ring.wake()


def test_promiscuous_mode_ends_with_the_ring(net: Net) -> None:
    def promiscuous() -> bool:
        shown = net.b.run(["ip", "-d", "link", "show", "eth0"], check=True).stdout
        return "promiscuity 1" in shown

    sock = net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with PacketRing(sock, "eth0", only_marked(), promiscuous=True):
        assert promiscuous()
    assert not promiscuous()


def test_a_buffer_has_bounds(net: Net) -> None:
    sock = net.b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with sock, pytest.raises(ValueError, match="is not in"):
        PacketRing(sock, "eth0", buffer=BLOCK_SIZE)


@pytest.mark.needs("root")
def test_links_are_opened_as_fits_them() -> None:
    with open_link("lo") as raw, open_link("") as every:
        assert not cooked(raw)
        assert link_type(raw, "lo") == 1
        assert cooked(every)
    with pytest.raises(OSError, match="no interface 'nosuch0' in this network namespace"):
        open_link("nosuch0")


def test_missing_privilege_names_what_is_needed(unprivileged: Callable[[str], str]) -> None:
    said = unprivileged(
        "from sockwright.sockets import capture\n"
        "try: capture('lo')\n"
        "except PermissionError as e: print(e)"
    )
    for part in ("capture on lo", "CAP_NET_RAW", "sw lab shell", "setpriv"):
        assert part in said
