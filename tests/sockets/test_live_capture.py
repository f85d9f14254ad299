"""Live capture: packets as they come, what ends it, what it tells, beside what tcpdump captures."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from tests.open_files import open_files
from tests.sockets.live import MARK, Net, hosts, marked, only_marked, tagged

from sockwright.filters import FilterError, compile_filter
from sockwright.records import read_records
from sockwright.sockets import capture
from sockwright.sockets.ring import MINIMUM_BUFFER
from sockwright.wire import ARP, UDP, VLAN, Ethernet, IPv4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.records import CapturedPacket
    from sockwright.sockets import LiveCapture

pytestmark = pytest.mark.needs("namespaces")

_PROMPT_S = 5.0  # far more than "at once" takes on a busy machine, far less than for ever
_SECONDS = 20.0


@pytest.fixture
def net() -> Iterator[Net]:
    with hosts() as found:
        yield found


def from_thread(act: Callable[[], None]) -> threading.Timer:
    """Do something a moment after the main thread has begun to wait."""
    timer = threading.Timer(0.1, act)
    timer.start()
    return timer


def read_until(pipe: IO[bytes] | None, wanted: bytes, times: int = 1) -> bytes:
    """Read until something has come so many times."""
    assert pipe is not None
    octets = b""
    while octets.count(wanted) < times:
        piece = pipe.read(1 << 16)
        assert piece, octets
        octets += piece
    return octets


def until(come: Callable[[], bool]) -> None:
    """Wait for what is sure to come."""
    end = time.monotonic() + _SECONDS
    while not come():
        assert time.monotonic() < end
        time.sleep(0.001)


def contents(live: LiveCapture) -> list[bytes]:
    return [bytes(packet).rstrip(b"\0")[14:] for packet in live]


def test_packets_are_typed_and_know_when_and_where(net: Net) -> None:
    before = time.time_ns()
    with net.open("eth0", count=3, direction="in") as live:
        with net.a.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"hi", (net.b.ipv4, 7))
            client.sendto(b"hello", (net.b.ipv4, 7))
        found = list(live)
    assert [type(packet[-1]) for packet in found] == [ARP, UDP, UDP]
    assert [packet.number for packet in found] == [1, 2, 3]
    assert {packet.interface for packet in found} == {"eth0"}
    assert before <= (found[0].time_ns or 0) <= (found[2].time_ns or 0) <= time.time_ns()
    assert found[2].payload == b"hello"
    assert found[2].original_length == len(bytes(found[2])) == 47


def test_it_ends_after_a_count_and_keeps_no_packet_beyond(net: Net) -> None:
    with net.open("eth0", only_marked(), count=2) as live:
        net.send(marked(b"1"), marked(b"2"), marked(b"3"))
        assert contents(live) == [b"1", b"2"]
        assert list(live) == []


def test_it_ends_after_a_duration_with_what_has_come(net: Net) -> None:
    with net.open("eth0", only_marked(), duration=0.2) as live:
        net.send(marked(b"1"))
        begun = time.monotonic()
        assert contents(live) == [b"1"]
        assert time.monotonic() - begun < 0.2 + _PROMPT_S


def test_stop_from_a_thread_ends_it_at_once_while_idle(net: Net) -> None:
    with net.open("eth0", only_marked()) as live:
        timer = from_thread(live.stop)
        begun = time.monotonic()
        assert list(live) == []
        timer.join()
        assert time.monotonic() - begun < 0.1 + _PROMPT_S


def test_stop_from_a_signal_handler_ends_it_at_once_while_idle(net: Net) -> None:
    with net.open("eth0", only_marked()) as live:
        before = signal.signal(signal.SIGUSR1, lambda *_: live.stop())
        try:
            timer = from_thread(lambda: os.kill(os.getpid(), signal.SIGUSR1))
            assert list(live) == []
            timer.join()
        finally:
            signal.signal(signal.SIGUSR1, before)


def test_stop_delivers_what_had_arrived(net: Net) -> None:
    with net.open("eth0", only_marked()) as live:
        net.send(*(marked(b"%d" % number) for number in range(500)))
        live.stop()
        net.send(marked(b"late"))
        found = contents(live)
    assert found[:500] == [b"%d" % number for number in range(500)]
    assert len(found) in (500, 501)  # the filter that ends it is attached when it is looked at
    assert live.statistics.accepted == len(found)
    live.stop()  # does nothing any more


def test_stop_and_duration_end_it_while_more_comes_than_is_taken(net: Net) -> None:
    ended = threading.Event()

    def flood() -> None:
        while not ended.is_set():
            net.send(*[marked()] * 500)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        with net.open("eth0", only_marked()) as live:
            next(live)
            live.stop()
            seen = 1 + sum(1 for _ in live)
            assert seen == live.statistics.accepted - live.statistics.dropped
        with net.open("eth0", only_marked(), duration=0.1) as live:
            net.send(marked())  # the thread may come too late
            assert sum(1 for _ in live) > 0
    finally:
        ended.set()
        thread.join()


def test_waiting_too_long_is_an_error_and_iteration_may_go_on(net: Net) -> None:
    with net.open("eth0", only_marked(), timeout=0.05) as live:
        with pytest.raises(TimeoutError, match=r"capture on eth0: no packet within 0.05 seconds"):
            next(live)
        net.send(marked(b"now"))
        until(lambda: live.waiting)  # the kernel hands a block over after a while
        assert bytes(next(live)) == marked(b"now")


def test_it_can_be_awaited(net: Net) -> None:
    async def main() -> list[bytes]:
        found = []
        async with net.open("eth0", only_marked()) as live:
            asyncio.get_running_loop().call_later(0.05, net.send, marked(b"1"))
            async for packet in live:
                found.append(bytes(packet))
                live.stop()
        return found

    assert asyncio.run(main()) == [marked(b"1")]


def test_a_task_that_waits_can_be_cancelled_or_stopped_and_others_go_on(net: Net) -> None:
    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        async with net.open("eth0", only_marked(), timeout=0.05) as live:
            with pytest.raises(TimeoutError):
                await anext(live)
        other = asyncio.create_task(tick())
        async with net.open("eth0", only_marked()) as live:
            waiter = asyncio.ensure_future(anext(live))
            while ticks < 10:  # noqa: ASYNC110 - the other task is not to tell, only to run
                await asyncio.sleep(0.001)
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
            net.send(marked(b"kept"))
            assert bytes(await anext(live)) == marked(b"kept")
            loop = asyncio.get_running_loop()
            loop.call_later(0.01, live.stop)
            assert [packet async for packet in live] == []
        other.cancel()

    asyncio.run(main())


def test_what_the_interface_does_is_told_and_its_end_ends_the_capture(net: Net) -> None:
    with net.open("eth0", only_marked()) as live:
        net.send(marked(b"before"))
        net.b.run(["ip", "link", "set", "eth0", "down"], check=True)

        def on() -> None:
            net.b.run(["ip", "link", "set", "eth0", "up"], check=True)
            net.a.links.set_link(net.a.links.index("eth0"), up=True)
            while not (net.b.links.is_operational("eth0") and net.a.links.is_operational("eth0")):
                os.sched_yield()
            # For a moment what is sent is dropped yet: the queues are put back after the state.
            while live.statistics.accepted < 2:
                net.send(marked(b"after"))
            while not live.events or live.events[-1].state != "up":
                os.sched_yield()
            net.b.run(["ip", "link", "delete", "eth0"], check=True)

        timer = from_thread(on)
        assert list(dict.fromkeys(contents(live))) == [b"before", b"after"]
        timer.join()
        states = [event.state for event in live.events]
    # The kernel takes an interface down before it deletes it; that may or may not be seen.
    assert states in (["down", "up", "down", "gone"], ["down", "up", "gone"])
    assert {event.interface for event in live.events} == {"eth0"}


def test_an_interface_that_is_down_is_waited_for(net: Net) -> None:
    net.b.run(["ip", "link", "set", "eth0", "down"], check=True)
    with net.open("eth0", only_marked(), timeout=0.2) as live:
        with pytest.raises(TimeoutError):
            next(live)
        assert [event.state for event in live.events] == ["down"]


@pytest.mark.parametrize("direction", ["in", "out", "both"])
@pytest.mark.parametrize("interface", ["eth0", "any"])
def test_a_direction_is_left_out(net: Net, direction: str, interface: str) -> None:
    with net.open(interface, direction=direction) as live:
        net.send(marked(b"coming"))
        net.send(marked(b"going"), source="b")
        live.stop()
        seen = [bytes(packet) for packet in live]
    found = [word for word in (b"coming", b"going") if any(word in packet for packet in seen)]
    wanted = {"in": [b"coming"], "out": [b"going"], "both": [b"coming", b"going"]}
    assert found == wanted[direction]


def test_a_snapshot_knows_the_whole_length(net: Net) -> None:
    with net.open("eth0", only_marked(), snaplen=20, count=2) as live:
        net.send(marked(b"0123456789"), tagged(b"0123456789"))
        plain, with_tag = list(live)
    assert bytes(plain) == marked(b"012345", 0)
    assert plain.original_length == 60
    assert bytes(with_tag) == tagged(b"0123456789")[:20]
    assert with_tag.original_length == 64


@pytest.mark.parametrize("interface", ["eth0", "any"])
@pytest.mark.parametrize("tag_protocol", [0x8100, 0x88A8])
@pytest.mark.parametrize("source", ["a", "b"])
def test_tags_are_back_in_place(net: Net, interface: str, tag_protocol: int, source: str) -> None:
    sent = tagged(b"inside", tag_protocol)
    with net.open(interface) as live:
        net.send(sent, source=source)
        live.stop()
        (found,) = [packet for packet in live if b"inside" in bytes(packet)]
    octets = bytes(found)
    if interface == "any":
        assert octets[:2] == sent[12:14]
        assert octets[20:] == sent[14:]
    else:
        assert octets == sent
    assert found.original_length == len(octets)
    assert found[VLAN].vid == 5


def test_the_loopback_interface_is_not_seen_twice(net: Net) -> None:
    for interface in ("lo", "any"):
        with net.open(interface) as live:
            with net.b.socket(type=socket.SOCK_DGRAM) as client:
                client.sendto(b"to myself", ("127.0.0.1", 9))
            live.stop()
            assert sum(packet.payload == b"to myself" for packet in live) == 1


def through_tun() -> dict[str, tuple[int, list[bytes]]]:
    """Send a packet into a TUN device and take one from it, on a host; give what captures saw."""
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))  # TUNSETIFF
    for words in ("addr add 10.9.0.1/24 dev tun0", "link set tun0 up"):
        subprocess.run(["ip", *words.split()], check=True)
    found = {}
    with capture("tun0", "udp port 7") as one, capture("any", "udp port 7") as every:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"out", ("10.9.0.2", 7))
        os.write(device, bytes(IPv4(src="10.9.0.2", dst="10.9.0.1") / UDP(src_port=7) / b"in"))
        for live in (one, every):
            live.stop()
            found[live.interface] = (live.link_type, [packet.payload for packet in live])
    return found


def test_an_interface_without_a_link_header_is_captured(net: Net) -> None:
    if not Path("/dev/net/tun").exists():
        pytest.skip("this kernel has no TUN devices")
    found = net.b.call(through_tun)
    assert found == {"tun0": (101, [b"out", b"in"]), "any": (276, [b"out", b"in"])}


def test_drops_are_counted(net: Net) -> None:
    with net.open("eth0", only_marked(), buffer=MINIMUM_BUFFER) as live:
        net.send(*[marked(size=1500)] * 1000)
        live.stop()
        found = len(list(live))
        assert live.statistics.accepted == 1000
        assert live.statistics.dropped == 1000 - found > 0


@pytest.mark.needs(
    "tcpdump", "root"
)  # tcpdump changes its groups, which a user's namespace forbids
@pytest.mark.parametrize("interface", ["eth0", "any", "lo"])
def test_packets_are_those_that_tcpdump_captures(net: Net, interface: str) -> None:
    command = ["tcpdump", "-i", interface, "-U", "-w", "-", "-Z", "root", "--nano"]
    theirs = net.b.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    read_until(theirs.stderr, b"listening on")
    with net.open(interface) as live:
        with net.a.socket(type=socket.SOCK_DGRAM) as client:
            for number in range(200):
                client.sendto(bytes(number), (net.b.ipv4, 7))
        net.send(marked(b"going"), source="b")
        with net.b.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"the last", ("127.0.0.1" if interface != "eth0" else net.a.ipv4, 7))
        live.stop()
        ours = list(live)
    times = sum(b"the last" in bytes(packet) for packet in ours)
    written = read_until(theirs.stdout, b"the last", times)
    theirs.send_signal(signal.SIGINT)
    written += theirs.communicate(timeout=30)[0]
    records = list(read_records(io.BytesIO(written)))
    assert [bytes(packet) for packet in ours] == [record.octets for record in records]
    assert {packet.link_type for packet in ours} == {record.link_type for record in records}


_FILTERS = (
    "udp",
    "not udp",
    "arp or icmp",
    "host 10.0.0.1 and udp port 7",
    "src host 10.0.0.2",
    "ip6",
    "vlan",
    "vlan 5 and udp",
    "not vlan",
    "udp[8:4] = 0x6c6f6e67",
    "greater 300",
)
# Not among them are "inbound" and "outbound": what comes in the first moments libpcap filters
# itself, without knowing the direction.
_NOT_ON_ANY = {"vlan", "vlan 5 and udp", "not vlan"}  # tcpdump refuses them there


@pytest.mark.needs("tcpdump", "root")
@pytest.mark.parametrize("interface", ["eth0", "any"])
def test_filters_let_through_what_tcpdump_lets_through(net: Net, interface: str) -> None:
    # What ends the traffic passes every filter; behind "vlan" its offsets would be others.
    filters = [
        f"ether proto {MARK:#x} or ({text})"
        for text in _FILTERS
        if interface != "any" or text not in _NOT_ON_ANY
    ]
    with contextlib.ExitStack() as running:
        theirs = []
        for text in filters:
            command = ["tcpdump", "-i", interface, "-U", "-w", "-", "-Z", "root", "--nano", text]
            process = running.enter_context(
                net.b.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            )
            theirs.append(process)
        for process in theirs:
            read_until(process.stderr, b"listening on")
        ours = [running.enter_context(net.open(interface, text)) for text in filters]
        send_all_kinds(net)
        for text, live, process in zip(filters, ours, theirs, strict=True):
            live.stop()
            written = read_until(process.stdout, b"the end")
            records = list(read_records(io.BytesIO(written)))
            seen = [as_tcpdump_has_it(packet) for packet in live]
            # What the kernels say to each other later is in one of them, or in the other.
            assert through_the_end(seen) == through_the_end([one.octets for one in records]), text
            assert len(seen) > 1 or text.endswith("(vlan 5 and udp)"), text


def through_the_end(frames: list[bytes]) -> list[bytes]:
    (last,) = (at for at, frame in enumerate(frames) if b"the end" in frame)
    return frames[: last + 1]


def as_tcpdump_has_it(packet: CapturedPacket) -> bytes:
    """Take the VLAN tag out behind a cooked header, where tcpdump does not put it back."""
    octets = bytes(packet)
    if packet.link_type == 276 and VLAN in packet:
        return octets[22:24] + octets[2:20] + octets[24:]
    return octets


def send_all_kinds(net: Net) -> None:
    """Send to and from host b what the filters tell apart."""
    with net.a.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"short", (net.b.ipv4, 7))
        client.sendto(b"long" * 100, (net.b.ipv4, 7))
    with net.a.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.sendto(b"six", (net.b.ipv6, 7))
    with net.b.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"back", (net.a.ipv4, 7))
    inside = bytes(Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / UDP(dst_port=7) / b"inside")
    net.send(
        tagged(b"other"),
        inside[:12] + bytes.fromhex("81000005") + inside[12:],
        inside[:12] + bytes.fromhex("81000006") + inside[12:],
        marked(b"the end"),
    )


@pytest.mark.parametrize("interface", ["eth0", "any"])
def test_a_filter_knows_the_direction(net: Net, interface: str) -> None:
    with net.open(interface, "inbound") as coming, net.open(interface, "outbound") as going:
        net.send(marked(b"from a"))
        net.send(marked(b"from b"), source="b")
        for live, word in ((coming, b"from a"), (going, b"from b")):
            live.stop()
            (packet,) = live
            assert word in bytes(packet)


def test_a_filter_compiled_for_files_is_compiled_anew_for_the_link(net: Net) -> None:
    for interface in ("eth0", "any"):
        with net.open(interface, compile_filter("udp port 7"), count=1) as live:
            with net.a.socket(type=socket.SOCK_DGRAM) as client:
                client.sendto(b"hello", (net.b.ipv4, 7))
            assert next(live).payload == b"hello"


def test_a_filter_that_cannot_be_applied_is_an_error(net: Net) -> None:
    before = open_files()
    for text in ("tcp prot 80", "ether host 02:00:00:00:00:01 and wlan type mgt"):
        with pytest.raises(FilterError):
            net.open("eth0", text)
    with pytest.raises(OSError, match="checker refuses"):
        net.open("eth0", [(0x28, 0, 0, 12)])
    if int(Path("/proc/sys/net/core/optmem_max").read_text()) <= 1 << 17:
        with pytest.raises(OSError, match=r"4096 instructions .* net\.core\.optmem_max"):
            net.open("eth0", [(0x28, 0, 0, 12)] * 4095 + [(0x06, 0, 0, 1)])
    assert open_files() <= before


def test_wrong_arguments_are_refused_before_anything_is_opened() -> None:
    for options in (
        {"snaplen": 0},
        {"count": 0},
        {"direction": "up"},
        {"duration": -1},
        {"timeout": "soon"},
        {"buffer": 1},
    ):
        with pytest.raises((ValueError, TypeError)):
            capture("lo", **options)


def test_a_closed_capture_is_at_its_end(net: Net) -> None:
    live = net.open("eth0", only_marked())
    live.close()
    live.close()
    assert list(live) == []
    live.stop()
