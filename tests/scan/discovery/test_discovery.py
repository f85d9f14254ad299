"""Discovery in a real network: neighbours, hosts behind a router, firewalls, loss, faults."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import resource
import select
import socket
import struct
from heapq import heappop, heappush
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.open_files import open_descriptors
from tests.scan.recorded import Recorder
from tests.scan.topology import SCANNER, TARGET, TARGET6, Network

from sockwright.scan.descriptors import Descriptors
from sockwright.scan.discovery import Discovery
from sockwright.scan.discovery.connect_way import ConnectWay
from sockwright.scan.discovery.kinds import Kind
from sockwright.scan.discovery.ways import Hop
from sockwright.scan.engine.pace import Pace
from sockwright.scan.sending.evidence import with_ip_header
from sockwright.scan.settings import PRESETS, Settings
from sockwright.scan.targets import parse_targets
from sockwright.wire import Packet
from sockwright.wire.arp import ARP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.needs("namespaces", "nft")

_ROUTER, _ROUTER6, _FAR = "10.61.0.1", "fd61::1", "10.62.0.1"
_PATIENCE_S = 30.0


class Outcome(NamedTuple):
    """What a discovery said. `reasons` is by host, `macs` too, where there is one.

    `neighbours` are the frames of ARP and neighbour discovery in the evidence, each as the name of
    its link, the protocol and the direction.
    """

    reasons: dict[str, str]
    macs: dict[str, str]
    remarks: list[str]
    complete: bool
    why: str
    probes: int
    packets: int
    left_open: int
    neighbours: list[tuple[str, str, bool | None]]


def discover(
    texts: list[str],
    rate: float | None = None,
    privileged: bool | None = None,
    act: Callable[[], object] | None = None,
    after: int = 0,
    **settings: Any,
) -> Outcome:
    """Discover where this runs; `act` is called when so many probes are out."""
    before = open_descriptors()
    asked = Settings(rate=rate, **{"first_timeout": 0.2, "max_timeout": 0.3, **settings})
    record = Recorder()
    discovery = Discovery(
        list(parse_targets(texts)),
        asked,
        shared=Pace(rate, now=monotonic(), adapts=False),
        seed=1,
        privileged=privileged,
        record=record,
    )
    poll = select.poll()
    for descriptor in discovery.descriptors:
        poll.register(descriptor, select.POLLIN)
    until = monotonic() + _PATIENCE_S
    while not discovery.done:
        discovery.step(now := monotonic())
        assert now < until, "the discovery does not end"
        if act is not None and discovery.probes >= after:
            act()
            act = None
        due = discovery.next_time(monotonic())
        if due is not None:
            poll.poll(max(0.0, (due - monotonic()) * 1000 + 0.5))
    found = discovery.found()
    discovery.close()
    discovery.close()
    assert all(one.rtt_ns is None or 0 < one.rtt_ns < 10**10 for one in found.values())
    frames: list[tuple[str, str, bool | None]] = []
    for told in record.told:
        assert told.time_ns
        assert told.comment
        packet = Packet.decode(told.octets, link_type=1 if told.link else 101)
        assert not packet.errors
        if told.link:
            assert not packet.verify()
            kind = "arp" if packet.get(ARP) is not None else "nd"
            frames.append((told.link, kind, told.outgoing))
    return Outcome(
        {target.host: one.reason for target, one in found.items()},
        {target.host: one.mac for target, one in found.items() if one.mac},
        discovery.remarks,
        discovery.complete,
        discovery.why,
        discovery.probes,
        len(record.told),
        len(open_descriptors() - before),
        frames,
    )


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as one:
        yield one


def test_neighbours_and_hosts_behind_the_router_are_found_each_by_its_evidence(
    network: Network,
) -> None:
    outcome = network.scanner.call(discover, ["10.61.0.0/29", "10.62.0.0/29"])
    assert outcome.reasons == {
        SCANNER: "localhost-response",
        _ROUTER: "arp-response",
        _FAR: "echo-reply",
        TARGET: "echo-reply",
    }
    assert re.fullmatch(r"02(:[0-9a-f]{2}){5}", outcome.macs[_ROUTER])
    assert outcome.complete
    assert outcome.left_open == 0
    assert outcome.packets > 20
    assert outcome.neighbours.count(("net", "arp", True)) >= 6
    assert ("net", "arp", False) in outcome.neighbours
    assert "raw sockets" in outcome.why


def test_ipv6_neighbours_answer_solicitations(network: Network) -> None:
    outcome = network.scanner.call(discover, ["fd61::1-fd61::4", "fd62::1-fd62::4"])
    assert outcome.reasons == {
        "fd61::2": "localhost-response",
        _ROUTER6: "nd-response",
        "fd62::1": "echo-reply",
        TARGET6: "echo-reply",
    }
    assert set(outcome.macs) == {_ROUTER6}
    # Three addresses were asked for, and one answered: that is in the evidence.
    assert outcome.neighbours.count(("net", "nd", True)) >= 3
    assert ("net", "nd", False) in outcome.neighbours


def _link_local(name: str) -> str:
    for line in Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines():
        address, _, _, scope, _, interface = line.split()
        if scope == "20" and interface == name:
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))
    raise LookupError(name)


def test_a_link_local_address_is_asked_on_its_interface(network: Network) -> None:
    address = network.router.call(_link_local, "near")
    outcome = network.scanner.call(discover, [f"{address}%net"])
    assert outcome.reasons == {f"{address}%net": "nd-response"}
    outcome = network.scanner.call(discover, [f"{address}%net"], privileged=False)
    assert outcome.reasons == {f"{address}%net": "conn-refused"}


def starved() -> tuple[str, tuple[int, int], str]:
    """Ask by connections without a descriptor, then with some: what is said of it."""
    limit = len(list(Path("/proc/self/fd").iterdir())) + 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    Descriptors.patience = 0.1  # in a process of its own
    way, held = ConnectWay(), []
    asked = [(socket.inet_aton(SCANNER), Hop("routed"))]
    with contextlib.suppress(OSError):
        while True:
            held.append(os.dup(0))
    until = monotonic() + _PATIENCE_S
    while not (failure := way.failure):
        assert way.send(Kind.SYN, asked, 1) == (0, errno.EAGAIN)
        assert monotonic() < until
    for one in held:
        os.close(one)
    again = way.send(Kind.SYN, asked, 1)
    told = failure, again, way.failure
    way.close()
    return told


def test_connections_without_a_single_descriptor_are_no_use_until_there_is_one(
    network: Network,
) -> None:
    failure, again, then = network.scanner.call(starved)
    assert "RLIMIT_NOFILE" in failure
    assert again == (1, 0)
    assert not then


def test_without_privilege_connections_say_who_is_there(network: Network) -> None:
    outcome = network.scanner.call_unprivileged(discover, ["10.61.0.0/29", "10.62.0.0/29"])
    assert outcome.reasons == {
        SCANNER: "localhost-response",
        _ROUTER: "conn-refused",
        _FAR: "conn-refused",
        TARGET: "conn-refused",
    }
    assert outcome.left_open == 0
    assert "may not open raw sockets" in outcome.why


@pytest.mark.parametrize("address", [_ROUTER, _ROUTER6])
def test_without_privilege_the_kernel_knows_a_neighbour_behind_a_firewall(
    network: Network, address: str
) -> None:
    rules = "chain in { type filter hook input priority 0; policy drop;\n"
    rules += "icmpv6 type nd-neighbor-solicit accept\nicmpv6 type nd-neighbor-advert accept\n}"
    network.rules(network.router, "dropall", rules)
    try:
        outcome = network.scanner.call_unprivileged(discover, [address])
    finally:
        network.rules(network.router, "dropall", "")
    word = "nd-response" if ":" in address else "arp-response"
    assert outcome.reasons == {address: word}
    assert re.fullmatch(r"02(:[0-9a-f]{2}){5}", outcome.macs[address])


@pytest.mark.needs("root")  # the namespace of a user has one group; the range is put back by two
def test_without_privilege_echo_is_used_where_the_group_may(network: Network) -> None:
    network.scanner.set("net.ipv4.ping_group_range", "0 2147483647")
    try:
        outcome = network.scanner.call_unprivileged(discover, [TARGET, TARGET6])
    finally:
        network.scanner.set("net.ipv4.ping_group_range", "1 0")
    assert outcome.reasons == {TARGET: "echo-reply", TARGET6: "echo-reply"}
    assert outcome.why.startswith("ICMP echo and connections")


def test_raw_sockets_that_were_asked_for_are_an_error_where_they_are_not_allowed(
    network: Network,
) -> None:
    with pytest.raises(PermissionError):
        network.scanner.call_unprivileged(discover, [TARGET], privileged=True)


_KINDS = {
    "echo-reply": "icmp type echo-request accept",
    "timestamp-reply": "icmp type timestamp-request accept",
    "reset": "tcp dport 80 tcp flags & (syn|ack) == ack accept",
    "syn-ack": "tcp dport 443 accept",
    "port-unreach": "icmp type echo-request reject with icmp type port-unreachable",
}


def _listen_on(port: int) -> socket.socket:
    return socket.create_server(("", port))


@pytest.mark.parametrize("word", _KINDS)
def test_a_host_that_answers_one_kind_of_probe_only_is_found(network: Network, word: str) -> None:
    rules = f"chain in {{ type filter hook input priority 0; policy drop;\n{_KINDS[word]}\n}}"
    listener = network.target.open(_listen_on, 443) if word == "syn-ack" else None
    network.rules(network.target, "onekind", rules)
    try:
        outcome = network.scanner.call(discover, [TARGET])
    finally:
        network.rules(network.target, "onekind", "")
        if listener is not None:
            listener.close()
    assert outcome.reasons == {TARGET: word}


def test_a_host_that_drops_everything_is_down_but_its_neighbour_hears_arp(
    network: Network,
) -> None:
    rules = "chain in { type filter hook input priority 0; policy drop; }"
    network.rules(network.target, "dropall", rules)
    network.rules(network.router, "dropall", rules)
    try:
        outcome = network.scanner.call(discover, [TARGET, _ROUTER])
    finally:
        network.rules(network.target, "dropall", "")
        network.rules(network.router, "dropall", "")
    assert outcome.reasons == {_ROUTER: "arp-response"}


@pytest.mark.needs("nmap")
@pytest.mark.parametrize("texts", [["10.61.0.0/28", "10.62.0.0/28"], ["fd61::1", TARGET6]])
def test_nmap_finds_the_same_hosts_for_the_same_reasons(network: Network, texts: list[str]) -> None:
    words = ["-6"] if ":" in texts[0] else []
    done = network.scanner.run(
        ["nmap", "-sn", "-n", "--reason", *words, *texts], check=True, timeout=60
    )
    theirs = dict(re.findall(r"report for (\S+)\nHost is up, received ([\w-]+)", done.stdout))
    outcome = network.scanner.call(discover, texts)
    assert outcome.reasons == theirs


def test_hosts_of_a_block_are_all_found_though_a_tenth_is_lost_each_way(
    network: Network,
) -> None:
    choose = random.Random(3)
    hosts = {f"10.66.{choose.randrange(4)}.{choose.randrange(1, 255)}" for _ in range(150)}
    network.router.run(["ip", "route", "replace", "10.66.0.0/22", "via", TARGET], check=True)
    batch = "".join(f"route add local {host} dev lo\n" for host in sorted(hosts))
    network.target.run(["ip", "-batch", "-"], input=batch, check=True)
    network.lose(0.1)
    try:
        outcome = network.scanner.call(discover, ["10.66.0.0/22"], 20_000.0)
    finally:
        network.lose(0)
    assert set(outcome.reasons) == hosts
    assert outcome.complete


_LATE = {"10.66.5.": 0.3, "10.66.6.": 0.8}
"""Networks that answer so many seconds later, beside one that answers at once."""


def _answer_late(ready: int) -> None:
    """Answer echo requests to networks that are not ours, late, for ever."""
    waiting: list[tuple[float, bytes]] = []
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as hearing,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sending,
    ):
        os.write(ready, b"r")
        while True:
            wait = max(waiting[0][0] - monotonic(), 0.0) if waiting else None
            if select.select([hearing], [], [], wait)[0]:
                packet = hearing.recv(2048)
                where = socket.inet_ntoa(packet[16:20])
                late = _LATE.get(where[: where.rindex(".") + 1])
                if late is not None and packet[9] == 1 and packet[20] == 8:
                    # The type becomes 0 from 8, the checksum so much more (RFC 1624).
                    total = int.from_bytes(packet[22:24], "big") + 0x0800
                    checksum = (total & 0xFFFF) + (total >> 16)
                    echo = bytes(2) + checksum.to_bytes(2, "big") + packet[24:]
                    answer = with_ip_header(packet[16:20], packet[12:16], echo, 1)
                    heappush(waiting, (monotonic() + late, answer))
            while waiting and waiting[0][0] <= monotonic():
                answer = heappop(waiting)[1]
                sending.sendto(answer, (socket.inet_ntoa(answer[16:20]), 0))


@pytest.fixture(scope="module")
def block(network: Network) -> Network:
    """The network with hosts in 10.66.4.0/22: a block that answers at once, and those of _LATE."""
    network.router.run(["ip", "route", "replace", "10.66.4.0/22", "via", TARGET], check=True)
    network.target.run(["ip", "route", "replace", "local", "10.66.4.0/24", "dev", "lo"], check=True)
    network.start(network.target, _answer_late)
    return network


@pytest.mark.parametrize("late", _LATE)
@pytest.mark.parametrize("preset", [3, 4])
def test_hosts_that_answer_late_are_found_among_others_that_answer_at_once(
    block: Network, late: str, preset: int
) -> None:
    outcome = block.scanner.call(
        discover,
        ["10.66.4.0/25", f"{late}0/28"],
        10_000.0,
        first_timeout=PRESETS[preset].first_timeout,
        max_timeout=PRESETS[preset].max_timeout,
    )
    assert sum(host.startswith(late) for host in outcome.reasons) == 16
    assert len(outcome.reasons) == 128 + 16
    assert outcome.complete


def test_a_router_that_has_to_ask_again_for_link_addresses_hides_nobody(network: Network) -> None:
    """Every fifth ARP request of the router is lost; it asks again after a second."""
    addresses = [f"10.62.0.{low}/24 dev net\n" for low in range(20, 220)]
    batch = "".join(f"addr add {words}" for words in addresses)
    network.target.run(["ip", "-batch", "-"], input=batch, check=True)
    rules = "table arp lossy { chain in { type filter hook input priority 0;\n"
    rules += "arp operation request numgen inc mod 5 0 drop\n}\n}\n"
    network.target.run(["nft", "-f", "-"], input=rules, check=True)
    try:
        outcome = network.scanner.call(discover, ["10.62.0.20-219"], 10_000.0, max_timeout=3.0)
    finally:
        network.target.run(["nft", "delete", "table", "arp", "lossy"], check=True)
        batch = "".join(f"addr del {words}" for words in addresses)
        network.target.run(["ip", "-batch", "-"], input=batch, check=True)
    assert len(outcome.reasons) == 200
    assert outcome.complete


def test_hosts_that_answer_the_first_probe_are_asked_once(block: Network) -> None:
    outcome = block.scanner.call(discover, ["10.66.4.0/24"], 10_000.0)
    assert len(outcome.reasons) == 256
    assert outcome.probes < 256 + 16


def _counted(network: Network) -> dict[str, int]:
    """Return how many packets left for the targets, by the interface that they left by."""
    told = network.scanner.run(
        ["nft", "list", "table", "inet", "counted"], capture=True, text=True, check=True
    ).stdout
    return {name: int(count) for name, count in re.findall(r'"(\w+)".* packets (\d+)', told)}


@pytest.mark.parametrize("privileged", [True, False])
def test_all_probes_leave_by_the_interface_that_was_named(
    network: Network, privileged: bool
) -> None:
    # A link with nobody behind it.
    batch = "link add side type veth peer name nobody\naddr add 10.64.0.1/24 dev side\n"
    batch += "link set nobody up\nlink set side up\n"
    batch += "route add default via 10.64.0.2 dev side metric 9\n"
    try:
        network.scanner.run(["ip", "-batch", "-"], input=batch, check=True)
        rules = "chain out { type filter hook output priority 0;\n"
        for interface in ("net", "side"):
            rules += f'oifname "{interface}" ip daddr {{ {TARGET}, {_FAR} }} counter\n'
        network.rules(network.scanner, "counted", rules + "}")
        outcome = network.scanner.call(
            discover, [TARGET, _FAR], privileged=privileged, interface="side"
        )
        counted = _counted(network)
    finally:
        network.rules(network.scanner, "counted", "")
        network.scanner.run(["ip", "link", "del", "side"], check=True)
    assert outcome.reasons == {}
    assert counted["net"] == 0
    assert counted["side"] > 0
    outcome = network.scanner.call(discover, [TARGET], privileged=privileged, interface="net")
    assert set(outcome.reasons) == {TARGET}


def test_an_interface_that_is_not_there_is_an_error(network: Network) -> None:
    with pytest.raises(OSError, match="no interface"):
        network.scanner.call(discover, [TARGET], interface="nowhere")


def _fake_answers() -> None:
    """Answer what nobody asked: echo replies and resets of hosts that do not exist."""
    ours = socket.inet_aton(SCANNER)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        for low in range(100, 140):
            source = bytes([10, 62, 0, low])
            for attempt in range(1, 4):
                echo = struct.pack("!BBHHH8s", 0, 0, 0, 7, attempt, b"sockwrig")
                sock.sendto(with_ip_header(source, ours, echo, 1), (SCANNER, 0))
                for port in (443, 80):
                    reset = struct.pack("!HHIIHHHH", port, 33000 + low, 0, 1, 0x5014, 0, 0, 0)
                    sock.sendto(with_ip_header(source, ours, reset, 6), (SCANNER, 0))


def test_answers_without_the_cookie_are_not_believed(network: Network) -> None:
    outcome = network.scanner.call(
        discover,
        ["10.62.0.100-139"],
        act=_fake_answers,
        after=8,
    )
    assert outcome.reasons == {}


def test_a_firewall_of_the_own_machine_is_said_and_costs_only_what_it_refuses(
    network: Network,
) -> None:
    rules = f"chain out {{ type filter hook output priority 0;\nip daddr {_FAR} drop\n}}"
    network.rules(network.scanner, "own", rules)
    try:
        outcome = network.scanner.call(discover, [_FAR, TARGET])
    finally:
        network.rules(network.scanner, "own", "")
    assert outcome.reasons == {TARGET: "echo-reply"}
    assert any("refused by this machine" in remark for remark in outcome.remarks)


def test_what_has_no_route_is_said_once(network: Network) -> None:
    network.scanner.run(["ip", "route", "add", "unreachable", "10.99.0.0/24"], check=True)
    try:
        outcome = network.scanner.call(discover, ["10.99.0.0/30", TARGET])
    finally:
        network.scanner.run(["ip", "route", "del", "unreachable", "10.99.0.0/24"], check=True)
    assert set(outcome.reasons) == {TARGET}
    assert outcome.remarks == ["4 addresses cannot be reached from here: No route to host"]


def _few_descriptors(texts: list[str]) -> Outcome:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        return discover(texts, privileged=False)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_few_descriptors_make_it_slower_and_no_less_right(network: Network) -> None:
    outcome = network.scanner.call(_few_descriptors, ["10.62.0.0/28"])
    assert outcome.reasons == {_FAR: "conn-refused", TARGET: "conn-refused"}
    assert outcome.left_open == 0


def _down_and_discover() -> Outcome:
    import subprocess

    def down() -> None:
        subprocess.run(["ip", "link", "set", "net", "down"], check=True, timeout=10)

    return discover(["10.61.0.0/24"], rate=200.0, act=down, after=20)


def test_an_interface_that_goes_down_ends_the_discovery_with_a_remark() -> None:
    with Network() as network:
        outcome = network.scanner.call(_down_and_discover)
    assert not outcome.complete
    assert any("could not be sent any more" in remark for remark in outcome.remarks)
