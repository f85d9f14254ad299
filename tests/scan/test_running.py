"""What a scan goes through: discovery, methods, rates, what is known already, evidence."""

from __future__ import annotations

import gc
import json
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.scan.topology import SCANNER, TARGET, TARGET6, Network, listen

from sockwright.records import read_records
from sockwright.scan import HostResult, PortResult, Progress, Scan, Summary
from sockwright.scan.asked_host import AskedHost
from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import number_of
from sockwright.wire import TCP, IPv4, IPv6

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sockwright.scan.scan import Event

pytestmark = pytest.mark.needs("namespaces", "nft")

_OPEN = list(range(50, 1001, 50))
_ASKED = "1-1000"
_FREE: dict[str, Any] = {"rate": None, "host_rate": None}
_FAST: dict[str, Any] = {**_FREE, "discovery": "none"}
BOTH = pytest.mark.parametrize("target", [TARGET, TARGET6])


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A target with 20 open ports of 1 000, and a name service that nobody answers for."""
    with Network() as network:
        network.start(network.target, listen, _OPEN)
        for last in range(20, 24):
            network.target.links.add_address(
                network.target.links.index("net"), f"10.62.0.{last}/24"
            )
        # While a link address is asked for packets wait in the kernel, and then go in one burst.
        for last in (2, *range(20, 24)):
            network.scanner.call(_connect, f"10.62.0.{last}")
        yield network


def _connect(address: str) -> None:
    with socket.socket() as sock:
        sock.settimeout(10)
        sock.connect((address, _OPEN[0]))


def scanned(target: str, ports: str | None = _ASKED, **how: Any) -> list[Event]:
    """Scan to the end."""
    with Scan(target, ports=ports, **how) as scan:
        return list(scan)


def hosts_of(events: Sequence[Event]) -> dict[str, HostResult]:
    return {event.host: event for event in events if isinstance(event, HostResult)}


def summary_of(events: Sequence[Event]) -> Summary:
    summary = events[-1]
    assert isinstance(summary, Summary)
    return summary


@contextmanager
def syns(network: Network) -> Iterator[list[tuple[str, int, int]]]:
    """Gather the SYN as they leave the scanner: to whom, port, nanoseconds.

    On their way packets may be held by a busy machine, and then go on together.
    """
    found: list[tuple[str, int, int]] = []
    with network.scanner.capture(interface="net") as capture:
        yield found
        for frame in capture.frames:
            octets = frame.octets
            if octets[12:14] == b"\x08\x00" and octets[23] == 6 and octets[47] == 0x02:
                (port,) = struct.unpack_from("!H", octets, 36)
                found.append((socket.inet_ntoa(octets[30:34]), port, frame.time_ns))


# -- methods --------------------------------------------------------------------------------------


def methods(target: str, **how: Any) -> tuple[tuple[str, ...], str, list[int]]:
    with Scan(target, ports="49-51,100", **_FAST, **how) as scan:
        (host,) = hosts_of(list(scan)).values()
        return scan.methods, scan.why_methods, host.ports[0].open_ports()


@BOTH
def test_with_privilege_it_is_a_syn_scan_and_says_so(network: Network, target: str) -> None:
    chosen, why, opened = network.scanner.call(methods, target)
    assert chosen == ("syn",)
    assert why == "a SYN scan, since this process may open raw sockets"
    assert opened == [50, 100]


@BOTH
def test_without_privilege_it_is_a_connect_scan_and_says_so(network: Network, target: str) -> None:
    chosen, why, opened = network.scanner.call_unprivileged(methods, target)
    assert chosen == ("connect",)
    assert why == "a connect scan, since this process may not open raw sockets"
    assert opened == [50, 100]


def test_a_connect_scan_that_was_asked_for_says_so(network: Network) -> None:
    chosen, why, _ = network.scanner.call(methods, TARGET, methods=("connect",))
    assert chosen == ("connect",)
    assert why == "a connect scan, as asked for; it takes no privilege"


@pytest.mark.parametrize("method", ["syn", "ack", "fin", "null", "xmas"])
def test_a_raw_method_without_privilege_is_an_error_that_names_it(
    network: Network, method: str
) -> None:
    with pytest.raises(PermissionError, match="CAP_NET_RAW"):
        network.scanner.call_unprivileged(methods, TARGET, methods=(method,))


@pytest.mark.needs("setpriv")
@pytest.mark.parametrize(("capability", "method"), [("+net_raw", "syn"), ("-net_raw", "connect")])
def test_the_one_privilege_that_a_syn_scan_takes_is_cap_net_raw(
    network: Network, capability: str, method: str
) -> None:
    program = (
        "from sockwright.scan import Scan, Settings\n"
        f"with Scan('{TARGET}', ports='49-51', discovery='none') as scan:\n"
        "    (host,) = [event for event in scan if type(event).__name__ == 'HostResult']\n"
        "    print(scan.methods, host.ports[0].open_ports())\n"
    )
    sets = [f"--{name}=-all,{capability}" for name in ("inh-caps", "ambient-caps", "bounding-set")]
    out = network.scanner.run(
        ["setpriv", *sets, sys.executable, "-c", program], capture=True, check=True
    )
    assert out.stdout == f"('{method}',) [50]\n"


def test_tcp_and_udp_of_a_host_go_side_by_side_and_come_out_together(network: Network) -> None:
    events = network.scanner.call(
        scanned, TARGET, "T:49-51,U:40000-40009", methods=("syn", "udp"), **_FAST
    )
    (host,) = hosts_of(events).values()
    tcp, udp = host.ports
    assert (tcp.protocol, tcp.open_ports()) == ("tcp", [50])
    assert (udp.protocol, len(udp.rows("closed"))) == ("udp", 10)
    assert summary_of(events).methods == ("syn", "udp")
    assert summary_of(events).why_methods == "a SYN scan, as asked for, by raw sockets"
    assert summary_of(events).probes == host.probes >= 13


# -- discovery ------------------------------------------------------------------------------------


def test_without_discovery_every_address_is_scanned(network: Network) -> None:
    events = network.scanner.call(
        scanned, "10.62.0.20-24", "50", **_FAST, first_timeout=0.2, max_timeout=0.2
    )
    hosts = hosts_of(events)
    assert list(hosts) == sorted(hosts) or set(hosts) == {f"10.62.0.{n}" for n in range(20, 25)}
    assert {host.reason for host in hosts.values()} == {"user-set"}
    assert {host.state for host in hosts.values()} == {"up"}
    assert [host.ports[0].open_ports() for host in hosts.values()].count([50]) == 4
    assert summary_of(events).hosts == 5


def asked_hosts_at_the_end() -> tuple[int, int]:
    """Scan 64 addresses, four at once: how many came out, and how many hosts are still kept."""
    with Scan("127.0.1.0/26", ports="1", discovery="none", hosts_at_once=4, rate=None) as scan:
        hosts = 0
        for event in scan:
            hosts += isinstance(event, HostResult)
            if hosts == 64:
                break
        kept = sum(issubclass(type(one), AskedHost) for one in gc.get_objects())
    return hosts, kept


def test_a_host_is_let_go_of_when_it_is_told(network: Network) -> None:
    hosts, kept = network.scanner.call(asked_hosts_at_the_end)
    assert hosts == 64
    assert kept <= 8


def test_discovery_finds_who_is_up_and_only_those_are_scanned(network: Network) -> None:
    with syns(network) as asked:
        events = network.scanner.call(
            scanned, "10.62.0.20-25", "50,777", **_FREE, first_timeout=0.2, max_timeout=0.2
        )
    hosts = hosts_of(events)
    up = {f"10.62.0.{last}" for last in range(20, 24)}
    assert {name for name, host in hosts.items() if host.state == "up"} == up
    down = [host for name, host in hosts.items() if name not in up]
    assert {(host.state, host.reason, host.ports) for host in down} == {("down", "no-response", ())}
    assert {where for where, port, _ in asked if port == 777} == up
    summary = summary_of(events)
    assert (summary.hosts, summary.up, summary.open_ports) == (6, 4, 4)
    assert summary.probes > sum(host.probes for host in hosts.values())


def test_discovery_alone_asks_no_port_of_anybody(network: Network) -> None:
    events = network.scanner.call(
        scanned,
        "10.62.0.20-25",
        None,
        **_FREE,
        discovery="only",
        first_timeout=0.2,
        max_timeout=0.2,
    )
    hosts = hosts_of(events)
    assert sum(host.state == "up" for host in hosts.values()) == 4
    assert not any(host.ports for host in hosts.values())
    assert not any(isinstance(event, PortResult) for event in events)
    assert summary_of(events).methods == ()
    assert summary_of(events).why_methods


def test_a_list_sends_nothing(network: Network) -> None:
    with network.target.capture(interface="net") as capture:
        events = network.scanner.call(scanned, "10.62.0.0/24", None, discovery="list")
        assert not [one for one in capture.frames if one.octets[12:14] == b"\x08\x00"]
    hosts = hosts_of(events)
    assert len(hosts) == summary_of(events).hosts >= 254
    assert {(one.state, one.reason) for one in hosts.values()} == {("unknown", "not-scanned")}
    assert (summary_of(events).up, summary_of(events).probes) == (0, 0)


def stopped_in(phase: str, *, sent: int = 0, **how: Any) -> list[Event]:
    """Stop in a phase, when so many packets have been sent."""
    with Scan("10.62.0.20-23 10.62.0.30-60", ports=_ASKED, **how) as scan:
        events = []
        for event in scan:
            events.append(event)
            if isinstance(event, Progress) and event.phase == phase and event.sent >= sent:
                scan.stop()
        return events


def test_who_was_asked_and_had_no_time_to_answer_is_told_from_who_was_not_asked(
    network: Network,
) -> None:
    events = network.scanner.call(stopped_in, "discovery", sent=35, rate=2000.0)
    silent = [one for one in hosts_of(events).values() if one.state != "up"]
    assert {(one.state, one.reason, one.complete) for one in silent} == {
        ("unknown", "no-response", False)
    }
    assert f"{len(silent)} addresses were not asked often enough" in summary_of(events).remarks


def test_a_scan_that_is_stopped_in_discovery_asks_no_port(network: Network) -> None:
    with syns(network) as asked:
        events = network.scanner.call(stopped_in, "discovery", rate=200.0)
    # Discovery itself asks port 443.
    assert not {port for _, port, _ in asked} - {80, 443}
    summary = summary_of(events)
    assert summary.interrupted
    assert summary.open_ports == 0
    for host in hosts_of(events).values():
        assert host.state in {"up", "unknown"}
        assert not host.complete


def stopped_at_a_port(**how: Any) -> list[Event]:
    with Scan("10.62.0.20-23", ports=_ASKED, hosts_at_once=1, **how) as scan:
        events = []
        for event in scan:
            events.append(event)
            if isinstance(event, PortResult):
                scan.stop()
        return events


def test_hosts_that_were_found_are_told_though_their_ports_never_had_a_turn(
    network: Network,
) -> None:
    events = network.scanner.call(stopped_at_a_port, rate=1000.0)
    hosts = hosts_of(events)
    assert set(hosts) == {f"10.62.0.{last}" for last in range(20, 24)}
    assert {host.state for host in hosts.values()} == {"up"}
    assert not any(host.complete for host in hosts.values())
    assert sum(bool(host.ports) for host in hosts.values()) == 1
    assert summary_of(events).up == 4


# -- rates, order, progress -----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["syn", "connect"])
@pytest.mark.parametrize("bound", ["rate", "host_rate"])
def test_no_rate_is_exceeded(network: Network, method: str, bound: str) -> None:
    how = {**_FAST, bound: 500.0, "methods": (method,)}
    with syns(network) as asked:
        events = network.scanner.call(scanned, TARGET, "1-400", **how)
    assert summary_of(events).complete
    times = sorted(when for _, _, when in asked)
    assert len(times) >= 400
    # A bucket of 20 ms may be full: no piece of time has more than that beside its share. And what
    # it gave may be held in the middle of being sent, while the bucket fills again.
    for width in (50, 100, 300):
        for at in range(len(times) - width):
            seconds = (times[at + width] - times[at]) / 1e9
            assert width - 1 <= 500 * (seconds + 2 * 0.020) + 1, (width, at)
    assert (times[-1] - times[0]) / 1e9 < 6  # of 0.8


def test_the_rate_of_all_is_shared_by_many_hosts(network: Network) -> None:
    with syns(network) as asked:
        network.scanner.call(
            scanned, "10.62.0.20-23", "1-100", rate=500.0, host_rate=None, discovery="none"
        )
    times = sorted(when for _, _, when in asked)
    assert len(times) >= 400
    assert (times[399] - times[0]) / 1e9 > (399 - 3 * 10) / 500  # and not a quarter of it


def orders(**how: Any) -> list[Event]:
    # Faster ones go out by two threads, which may overtake each other.
    settings = _FAST | {"rate": 20_000.0, "methods": ("syn",)} | how
    return scanned(TARGET, _ASKED, **settings)


def test_a_seed_repeats_the_order_and_stands_in_the_summary(network: Network) -> None:
    seen = []
    for seed in (7, 7, 8):
        with syns(network) as asked:
            events = network.scanner.call(orders, seed=seed)
        assert summary_of(events).seed == seed
        # What is asked again stands among the others at places of chance.
        seen.append(list(dict.fromkeys(port for _, port, _ in asked))[:500])
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]
    assert seen[0] != sorted(seen[0])


def test_without_a_seed_every_scan_has_one_of_its_own(network: Network) -> None:
    seeds = {summary_of(network.scanner.call(orders)).seed for _ in range(3)}
    assert len(seeds) == 3


def test_progress_comes_several_times_a_second_and_tells_how_far_it_is(
    network: Network,
) -> None:
    events = network.scanner.call(scanned, TARGET, _ASKED, rate=1000.0, discovery="none")
    told = [event for event in events if isinstance(event, Progress)]
    summary = summary_of(events)
    seconds = (summary.ended_ns - summary.started_ns) / 1e9
    assert 3 <= len(told) <= seconds / 0.2 + 2
    assert {event.phase for event in told} == {"ports"}
    assert {event.total for event in told} == {1000}
    assert [event.done for event in told] == sorted(event.done for event in told)
    assert [event.sent for event in told] == sorted(event.sent for event in told)
    middle = told[len(told) // 2]  # the first may be told before anything is sent
    assert 0 < middle.done < told[-1].done <= 1000
    assert 0 < middle.rate < 1300  # a busy machine is slower
    assert middle.remaining_s is not None
    assert 0 < middle.remaining_s < 20
    assert told[-1].open_ports > 0


def test_progress_goes_on_where_services_are_asked_and_tells_each_at_once(
    network: Network,
) -> None:
    events = network.scanner.call(
        scanned, TARGET, "1-100", rate=400.0, discovery="none", services=True, service_intensity=0
    )
    told = [event for event in events if isinstance(event, Progress)]
    assert [event.sent for event in told] == sorted(event.sent for event in told)
    assert all(event.rate >= 0 for event in told)
    asked = [event for event in told if event.phase == "services"]
    count = len([port for port in _OPEN if port <= 100])
    assert [event.done for event in asked] == list(range(1, count + 1))
    assert {event.open_ports for event in asked} == {count}
    assert min(event.sent for event in asked) >= 100


# -- what is known already ------------------------------------------------------------------------


class Earlier:
    """An earlier scan that finished one host and began another."""

    def __init__(self, finished: str, begun: str) -> None:
        self._finished, self._begun = finished, begun

    def _table(self, host: str) -> PortTable:
        table = PortTable(host, "tcp", tuple(range(1, 1001)), number_of("no-response", "filtered"))
        for at in range(500):
            reason = number_of("reset", "closed")
            if at + 1 in _OPEN or at + 1 == 7:  # 7 has been closed since
                reason = number_of("syn-ack", "open")
            table.set(at, reason, 1, 100, 60)
        return table

    def finished(self, host: str) -> HostResult | None:
        if host != self._finished:
            return None
        return HostResult(host, "up", "echo-reply", ports=(self._table(host),), probes=11)

    def begun(self, host: str) -> HostResult | None:
        if host != self._begun:
            return None
        return HostResult(host, "up", "echo-reply", ports=(self._table(host),))

    def fill(self, table: PortTable) -> int:
        if table.host != self._begun:
            return 0
        known = self._table(table.host)
        for at in range(500):
            table.set(at, known.reason(at), 1, 100, 60)
        return 500


@pytest.mark.parametrize("method", ["syn", "connect"])
def test_what_is_known_is_told_and_not_asked_again(network: Network, method: str) -> None:
    earlier = Earlier(finished="10.62.0.20", begun="10.62.0.21")
    with syns(network) as asked:
        events = network.scanner.call(
            scanned, "10.62.0.20-22", _ASKED, known=earlier, methods=(method,), **_FAST
        )
    hosts = hosts_of(events)
    assert set(hosts) == {f"10.62.0.{last}" for last in (20, 21, 22)}
    assert {where for where, _, _ in asked} == {"10.62.0.21", "10.62.0.22"}
    again = {port for where, port, _ in asked if where == "10.62.0.21"}
    assert again == set(range(501, 1001))
    assert hosts["10.62.0.20"].reason == "echo-reply"
    assert hosts["10.62.0.21"].ports[0].open_ports() == sorted([7, *_OPEN])
    assert len(hosts["10.62.0.21"].ports[0].rows("closed")) == 1000 - len(_OPEN) - 1
    assert hosts["10.62.0.22"].ports[0].open_ports() == _OPEN
    summary = summary_of(events)
    assert (summary.hosts, summary.up) == (3, 3)
    first = [port for port in _OPEN if port <= 500]
    assert summary.open_ports == 2 * len(_OPEN) + 1 + len(first) + 1


def stopped_at_once(target: str, known: Earlier) -> list[Event]:
    with Scan(target, ports=_ASKED, known=known) as scan:
        scan.stop()
        return list(scan)


def test_what_is_known_is_told_though_the_host_did_not_answer_again(network: Network) -> None:
    earlier = Earlier(finished="10.62.0.20", begun="10.62.0.21")
    events = network.scanner.call(stopped_at_once, "10.62.0.21", earlier)
    (host,) = hosts_of(events).values()
    assert (host.state, host.complete, host.ended_early) == ("up", False, False)
    assert host.ports[0].open_ports() == sorted({7, *(port for port in _OPEN if port <= 500)})
    assert host.ports[0][501].reason == "not-asked"


def test_an_address_without_a_way_there_was_not_asked(network: Network) -> None:
    events = network.router.call(scanned, "10.99.0.1")
    (host,) = hosts_of(events).values()
    assert (host.state, host.reason, host.complete) == ("unknown", "not-asked", False)
    assert summary_of(events).complete is False


def test_of_a_host_that_answers_nothing_it_is_not_known_whether_all_was_found(
    network: Network,
) -> None:
    how = {"first_timeout": 0.05, "min_timeout": 0.01, "max_timeout": 0.05, "services": True}
    # For a host that is not there the router answers, after three seconds.
    rules = "chain in { type filter hook input priority 0;\nip daddr 10.62.0.99 drop\n}"
    index = network.target.links.index("net")
    network.target.links.add_address(index, "10.62.0.99/24")
    network.rules(network.target, "silent", rules)
    try:
        events = network.scanner.call(scanned, "10.62.0.99", "1-3", **_FAST, **how)
    finally:
        network.rules(network.target, "silent", "")
    (host,) = hosts_of(events).values()
    assert not host.answers
    assert host.complete is None
    assert host.as_dict()["complete"] is None
    assert summary_of(events).complete is None


# -- systems --------------------------------------------------------------------------------------


def test_systems_of_hosts_are_asked_for_together_each_by_its_own_ports(network: Network) -> None:
    # Without an open port it takes no second, and leaves less to tell systems by.
    events = network.scanner.call(scanned, f"{TARGET},20", "51", **_FAST, identify_os=True)
    hosts = hosts_of(events)
    assert set(hosts) == {TARGET, "10.62.0.20"}
    for host in hosts.values():
        assert (host.os.host, host.os.family) == (host.host, "Linux")
        assert host.os.measured["t5.flags"] == "RA"
    assert summary_of(events).complete


# -- evidence -------------------------------------------------------------------------------------


def with_evidence(target: str, path: str, ports: str, **how: Any) -> list[Event]:
    from pathlib import Path

    return scanned(target, ports, evidence=Path(path), **_FAST, **how)


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("method", ["syn", "connect"])
@BOTH
def test_evidence_has_the_packets_of_both_ways_and_tshark_reads_it(
    network: Network, tmp_path: Path, method: str, target: str
) -> None:
    path = str(tmp_path / "evidence.pcapng")
    events = network.scanner.call(with_evidence, target, path, "45-54", methods=(method,))
    (host,) = hosts_of(events).values()
    assert host.ports[0].open_ports() == [50]
    packets = _read(path)
    assert not any(packet["errors"] for packet in packets)
    asked = {packet["to"] for packet in packets if packet["flags"] == 0x02}
    assert asked == set(range(45, 55))
    resets = [packet for packet in packets if packet["flags"] == 0x14]
    assert {packet["from"] for packet in resets} == set(range(45, 55)) - {50}
    assert {packet["from"] for packet in packets if packet["flags"] == 0x12} == {50}
    times = [packet["time"] for packet in packets]
    assert max(times) - min(times) < 20
    began = {packet["to"]: packet["time"] for packet in packets if packet["flags"] == 0x02}
    assert all(packet["time"] > began[packet["from"]] for packet in resets)


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("method", ["syn", "connect"])
@BOTH
def test_the_packet_that_decides_a_state_says_so(
    network: Network, tmp_path: Path, method: str, target: str
) -> None:
    path = str(tmp_path / "evidence.pcapng")
    network.scanner.call(with_evidence, target, path, "49-51", methods=(method,))
    told = subprocess.run(
        [*f"tshark -r {path} -Y tcp -T fields -e tcp.flags.str -e frame.comment".split()],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout
    proofs = [line for line in told.splitlines() if "proves" in line]
    assert len(proofs) == 3
    for port, state in ((49, "closed"), (50, "open"), (51, "closed")):
        assert sum(f"proves {port}/tcp {state}" in line for line in proofs) == 1


@pytest.mark.parametrize(("method", "target"), [("syn", TARGET), ("connect", TARGET6)])
def test_evidence_has_what_is_asked_of_a_host_beside_its_ports(
    network: Network, tmp_path: Path, method: str, target: str
) -> None:
    path = str(tmp_path / "evidence.pcapng")
    more = {"services": True, "identify_os": True, "traceroute": True}
    network.scanner.call(with_evidence, target, path, "50,51", methods=(method,), **more)
    with open(path, "rb") as file:  # noqa: PTH123  # a path as text, as the other process takes it
        records = list(read_records(file))
    asked = {one.comment for one in records if one.direction == "out"}
    assert {"asks what the service is", "asks what the system is", "asks for the way"} <= asked
    assert len({(one.time_ns, one.octets) for one in records}) == len(records)
    comments = [one.comment or "" for one in records]
    to_services = [
        one.decode()[TCP]
        for one, comment in zip(records, comments, strict=True)
        if comment == "asks what the service is"
    ]
    assert any(header.flags & 0x01 for header in to_services)  # FIN: to the end
    hops = [one for one in records[comments.index("asks for the way") :] if one.direction == "in"]
    packets = [one.decode() for one in hops]
    headers = [packet.get(IPv4) or packet[IPv6] for packet in packets]
    router = "10.61.0.1" if target == TARGET else "fd61::1"
    assert {str(header.src) for header in headers} == {router, target}


@pytest.mark.needs("tshark")
def test_evidence_of_the_own_machine_has_every_packet_once(
    network: Network, tmp_path: Path
) -> None:
    for method in ("syn", "connect"):
        path = str(tmp_path / f"{method}.pcapng")
        network.scanner.call(with_evidence, SCANNER, path, "45-54", methods=(method,))
        asked = [packet["to"] for packet in _read(path) if packet["flags"] == 0x02]
        assert sorted(asked) == list(range(45, 55)), method


def _read(path: str) -> list[dict[str, Any]]:
    """Read the TCP packets of a capture file by tshark."""
    fields = ["tcp.srcport", "tcp.dstport", "tcp.flags", "frame.time_epoch", "_ws.malformed"]
    out = subprocess.run(
        [*f"tshark -r {path} -T json -Y tcp".split(), *(f"-e{one}" for one in fields)],
        check=True,
        capture_output=True,
        timeout=30,
    ).stdout
    packets = []
    for one in json.loads(out):
        layers = one["_source"]["layers"]
        packets.append(
            {
                "from": int(layers["tcp.srcport"][0]),
                "to": int(layers["tcp.dstport"][0]),
                "flags": int(layers["tcp.flags"][0], 16),
                "time": float(layers["frame.time_epoch"][0]),
                "errors": "_ws.malformed" in layers,
            }
        )
    return packets
