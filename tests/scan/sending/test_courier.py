"""Probes as they go out: right to a decoder, told from each other, and blamed on nobody else."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.open_files import open_descriptors
from tests.scan.topology import SCANNER, SCANNER6, TARGET, TARGET6, Network

from sockwright.scan.asked_host import Assignment
from sockwright.scan.sending.cookies import SHIFT, Cookies, Groups
from sockwright.scan.sending.courier import GROUP, MOST, Courier, CourierThread, Failure, Load
from sockwright.scan.sending.evidence import with_ip_header
from sockwright.scan.sending.probe_kind import KINDS, RST
from sockwright.scan.sending.raw_host import RawHost
from sockwright.scan.settings import Settings
from sockwright.scan.targets import Target
from sockwright.wire import IPv4, IPv6, Packet
from sockwright.wire.tcp import TCP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.lab.capture import Capture
    from sockwright.scan.settings import Method
    from sockwright.sockets.packet_socket import Frame

    Given = tuple[list[int], int, list[int], int]  # items, their try; items again, their try

pytestmark = pytest.mark.needs("namespaces", "nft")

_FIRST = 44_000  # nobody needs it: nothing listens on raw sockets
_PORTS = range(1, 65536)
_METHODS: tuple[Method, ...] = ("syn", "ack", "fin", "null", "xmas")
_RAW_IP = 101
#: What a decoder finds in probes that are no step of any connection: that, and nothing else.
_MEANT = {
    "ack": {"tcp-option-outside-syn"},
    "fin": {"tcp-option-outside-syn", "tcp-flags-fin-no-ack"},
    "null": {"tcp-option-outside-syn", "tcp-flags-none"},
    "xmas": {"tcp-option-outside-syn", "tcp-flags-xmas", "tcp-urgent-pointer"},
}


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@dataclass
class Carried:
    """What a courier did in another process: only plain things come back from there."""

    gone: list[bytes] = field(default_factory=list)
    failures: list[tuple[list[int], list[int], int]] = field(default_factory=list)
    groups: dict[int, tuple[float, int]] = field(default_factory=dict)
    cookies: Cookies = field(default_factory=Cookies)
    key: int = 0
    leaked: int = 0
    began: float = 0.0
    ended: float = 0.0


def carry(
    address: str,
    method: Method,
    loads: Sequence[Given],
    *,
    threaded: bool = False,
    reset: tuple[int, int, int] | None = None,
) -> Carried:
    """Carry loads, one after the other; then perhaps send a RST."""
    out = Carried()
    kind, cookies, groups = KINDS[method], Cookies(), Groups()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    before = open_descriptors()

    def record(host: RawHost, octets: bytes, _time_ns: int) -> None:
        out.gone.append(with_ip_header(host.source, host.packed, octets))

    courier = Courier(kind, cookies, groups, _FIRST, whole=threaded, record=record)
    key = cookies.of_host(address.encode())
    given = Assignment(Target(address, family), _PORTS, Settings(), seed=1, now=0.0)
    host = RawHost(given, kind, key)
    out.cookies, out.key = cookies, key
    out.began = time.monotonic()
    made = [Load(host, items, attempt, 7, more, other) for items, attempt, more, other in loads]
    failures: list[Failure | None]
    if threaded:
        wake = os.eventfd(0)
        thread = CourierThread(courier, wake)
        for load in made:
            thread.carry(load)
        assert thread.queued == len(made)
        thread.close()
        told = list(thread.taken())
        assert [load for load, _, _ in told] == made
        assert thread.queued == 0
        assert os.eventfd_read(wake) == len(made)
        os.close(wake)
        failures = [failure for _, _, failure in told]
    else:
        failures = [courier.carry(load) for load in made]
    out.ended = time.monotonic()
    if reset is not None:
        courier.reset(host, *reset)
    courier.close()
    courier.close()
    out.failures = [(one.items, one.refused, one.errno) for one in failures if one is not None]
    out.groups = {
        number: (groups.times[number], groups.epochs[number])
        for number in range(100)
        if groups.times[number]
    }
    out.leaked = len(open_descriptors() - before)
    return out


def packets_of(frames: Sequence[Frame]) -> list[Packet]:
    """Return the TCP packets among frames that came from the scanner, without their link header."""
    found = []
    for frame in frames:
        packet = Packet.decode(frame.octets[14:], link_type=_RAW_IP)
        if packet.get(TCP) is not None and _FIRST <= packet[TCP].src_port < _FIRST + 40:
            found.append(packet)
    return found


def arrived(
    network: Network, count: int, address: str, method: Method, *loads: Given
) -> tuple[Carried, list[Packet]]:
    """Carry loads; return what the courier said, and the packets that came to the target."""
    with network.target.capture(interface="net") as capture:
        out = network.scanner.call(carry, address, method, loads)
        return out, until(capture, count)


def until(capture: Capture, count: int) -> list[Packet]:
    """Return the packets of the scanner as soon as there are so many."""
    seen = 0

    def enough(frame: Frame) -> bool:
        nonlocal seen
        seen += len(packets_of([frame]))
        return seen >= count

    capture.until(enough)
    return packets_of(capture.frames)


@pytest.mark.parametrize("address", [TARGET, TARGET6])
@pytest.mark.parametrize("method", _METHODS)
def test_probes_of_every_method_are_right_to_a_decoder(
    network: Network, method: Method, address: str
) -> None:
    items = [0, 79, 8079, 65534, *range(1000, 1196)]
    out, packets = arrived(network, 200, address, method, (items, 3, [], 25))
    assert [packet[TCP].dst_port for packet in packets] == [item + 1 for item in items]
    kind = KINDS[method]
    for packet in packets:
        assert {one.code for one in packet.verify()} <= _MEANT.get(method, set())
        assert not packet.errors
        segment = packet[TCP]
        assert int(segment.flags) == kind.flags
        assert segment.src_port == _FIRST + 2
        assert out.cookies.proves(segment.seq, segment.dst_port, out.key)
        assert segment.ack == (segment.seq if method == "ack" else 0)
    assert not out.failures
    assert not out.leaked


@pytest.mark.parametrize(("address", "source"), [(TARGET, SCANNER), (TARGET6, SCANNER6)])
def test_what_is_recorded_is_what_arrived(network: Network, address: str, source: str) -> None:
    load: Given = (list(range(100, 150)), 1, [], 25)
    out, packets = arrived(network, 50, address, "syn", load)
    assert len(out.gone) == 50
    for recorded, packet in zip(out.gone, packets, strict=True):
        again = Packet.decode(recorded, link_type=_RAW_IP)
        assert again.verify() == ()
        assert bytes(again[TCP]) == bytes(packet[TCP])
        header = again[IPv6] if ":" in address else again[IPv4]
        assert str(header.src) == source
        assert str(header.dst) == address


def test_groups_of_64_tell_when_their_probes_went_out(network: Network) -> None:
    out, packets = arrived(network, 300, TARGET, "syn", (list(range(300)), 1, [], 25))
    groups = Counter(packet[TCP].seq >> SHIFT for packet in packets)
    assert groups == {0: GROUP, 1: GROUP, 2: GROUP, 3: GROUP, 4: 300 - 4 * GROUP}
    times = [out.groups[number][0] for number in range(5)]
    assert times == sorted(times)
    assert out.began <= times[0]
    assert times[-1] <= out.ended
    assert {epoch for _, epoch in out.groups.values()} == {7}


def test_what_is_asked_again_has_a_port_of_its_own_and_stands_at_places_of_chance(
    network: Network,
) -> None:
    items, again = list(range(1000, 1048)), list(range(16))
    loads: list[Given] = [(items, 2, again, 25)] * 12
    out, packets = arrived(network, 12 * 64, TARGET, "syn", *loads)
    assert not out.failures
    places: Counter[int] = Counter()
    for at in range(12):
        part = packets[at * 64 : at * 64 + 64]
        assert all(packet.verify() == () for packet in part)
        ports = {packet[TCP].dst_port: packet[TCP].src_port for packet in part}
        expected = {item + 1: _FIRST + 1 for item in items}
        expected |= {item + 1: _FIRST + 24 for item in again}
        assert ports == expected
        places.update(
            place for place, packet in enumerate(part) if packet[TCP].src_port == _FIRST + 24
        )
    # Of 192 places the halves of a load have their share, by far.
    first_half = sum(count for place, count in places.items() if place < 32)
    assert 60 < first_half < 132


def test_as_many_as_go_into_one_call_may_have_others_beside_them(network: Network) -> None:
    load = (list(range(MOST)), 1, list(range(1000, 1024)), 25)
    out, packets = arrived(network, MOST + 24, TARGET, "syn", load)
    assert not out.failures
    assert len({packet[TCP].dst_port for packet in packets}) == MOST + 24


@pytest.mark.parametrize("address", [TARGET, TARGET6])
def test_a_half_open_connection_is_ended_by_a_rst_that_fits(network: Network, address: str) -> None:
    with network.target.capture(interface="net") as capture:
        network.scanner.call(carry, address, "syn", (), reset=(80, 2, 0x12345678))
        (packet,) = until(capture, 1)
    assert packet.verify() == ()
    segment = packet[TCP]
    assert (segment.src_port, segment.dst_port, segment.seq) == (_FIRST + 1, 80, 0x12345678)
    assert int(segment.flags) == RST


def test_a_thread_carries_loads_in_turn_and_says_when_each_was_gone(network: Network) -> None:
    loads: list[Given] = [
        (list(range(begin, begin + 100)), 1, [], 25) for begin in range(0, 1000, 100)
    ]
    with network.target.capture(interface="net") as capture:
        out = network.scanner.call(carry, TARGET, "syn", loads, threaded=True)
        ports = [packet[TCP].dst_port for packet in until(capture, 1000)]
    assert ports == list(range(1, 1001))
    assert not out.leaked


@pytest.fixture
def refusing(network: Network) -> Iterator[Network]:
    """A scanner whose own firewall refuses what goes to ports 21 to 30."""
    rules = "chain out { type filter hook output priority 0;\ntcp dport 21-30 drop\n}"
    network.rules(network.scanner, "refusing", rules)
    yield network
    network.rules(network.scanner, "refusing", "")


def _monotonic(time_ns: int) -> float:
    """Turn nanoseconds since 1970 into seconds of the monotonic clock."""
    looks = []
    for _ in range(9):
        before, now, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        looks.append((after - before, after - now))
    return (time_ns + min(looks)[1]) / 1e9


@pytest.mark.parametrize("threaded", [False, True])
def test_no_group_is_said_to_have_gone_out_after_its_probes_arrived(
    refusing: Network, *, threaded: bool
) -> None:
    """Where probes at the beginning cost less than those behind them, as refused ones do."""
    items = [20] * (MOST // 2) + list(range(1000, 1000 + MOST // 2))
    with refusing.target.capture(interface="net") as capture:
        out = refusing.scanner.call(carry, TARGET, "syn", [(items, 1, [], 25)], threaded=threaded)
        until(capture, MOST // 2)
    frames = [one for one in capture.frames if packets_of([one])]
    assert len(frames) == MOST // 2
    for frame in frames:
        group = packets_of([frame])[0][TCP].seq >> SHIFT
        assert out.groups[group][0] <= _monotonic(frame.time_ns) + 1e-5


@pytest.mark.parametrize("threaded", [False, True])
def test_probes_that_the_own_firewall_refuses_are_named_and_the_others_go(
    refusing: Network, *, threaded: bool
) -> None:
    loads: list[Given] = [(list(range(10, 40)), 1, [], 25)]
    out = refusing.scanner.call(carry, TARGET, "syn", loads, threaded=threaded)
    assert out.failures == [([], list(range(20, 30)), errno.EPERM)]
    assert len(out.gone) == 20


def test_a_probe_that_is_asked_again_and_refused_is_blamed_on_no_other_port(
    refusing: Network,
) -> None:
    loads: list[Given] = [(list(range(100, 140)), 2, [22], 25)] * 30
    out = refusing.scanner.call(carry, TARGET, "syn", loads)
    assert len(out.failures) == 30
    asked = [Packet.decode(one, link_type=_RAW_IP)[TCP].dst_port - 1 for one in out.gone]
    assert out.failures == [([], [], errno.EPERM)] * 30
    # In another order: what asks again takes the place of one, which goes last.
    assert sorted(asked) == sorted(loads[0][0] * 30)


def test_without_a_route_nothing_goes_and_all_is_named(network: Network) -> None:
    index = network.scanner.links.index("net")
    loads: list[Given] = [(list(range(10)), 1, [], 25)]

    def cut_off() -> Carried:
        return carry(TARGET, "syn", loads)

    out = network.scanner.call(cut_off)
    assert not out.failures
    links = network.scanner.links
    links.set_link(index, up=False)
    try:
        with pytest.raises(OSError, match=r"\[Errno 101\]"):
            network.scanner.call(cut_off)
    finally:
        links.set_link(index, up=True)
        links.add_route("0.0.0.0/0", "10.61.0.1")
