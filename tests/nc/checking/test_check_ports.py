"""Whether ports are open, beside nc and ncat, over loopback and between hosts of a lab."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sockwright.errors import EndpointError
from sockwright.lab import Host, Lab
from sockwright.nc.checking.check_ports import PortCheck, check_path, check_ports
from sockwright.records import PcapWriter, Record
from sockwright.sockets.udp_probes import probe_for
from sockwright.wire import UDP, IPv4

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_S = 30
_FAMILIES = [
    pytest.param(socket.AF_INET, "127.0.0.1", id="IPv4"),
    pytest.param(socket.AF_INET6, "::1", id="IPv6"),
]


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open() -> Iterator[None]:
    """Every check closes what it opened, epoll too."""
    before = _descriptors()
    yield
    assert _descriptors() <= before


def _descriptors() -> set[tuple[str, str]]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself is gone by now
            found.add((entry.name, str(entry.readlink())))
    return {(number, name) for number, name in found if name.startswith(("socket:", "anon_inode:"))}


@contextlib.contextmanager
def _udp(family: int, address: str, answer: bytes | None) -> Iterator[int]:
    """Have a port of UDP that answers each datagram, or is silent; give its number."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        sock.settimeout(_PATIENCE_S)

        def serve() -> None:
            while True:
                octets, peer = sock.recvfrom(65536)
                if octets == b"end":
                    return
                if answer is not None:
                    sock.sendto(answer, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            with socket.socket(family, socket.SOCK_DGRAM) as ender:
                ender.sendto(b"end", sock.getsockname())
            thread.join()


def _closed_port(family: int, address: str) -> int:
    """Return a port of TCP and UDP that nobody has, nor will get by chance: below the ephemeral."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in range(low - 1, 1024, -1):
        with contextlib.suppress(OSError), socket.socket(family) as sock:
            sock.bind((address, port))
            return port
    raise AssertionError("every port is taken")


@pytest.mark.parametrize(("family", "address"), _FAMILIES)
def test_an_open_and_a_closed_port_are_told_apart(family: int, address: str) -> None:
    closed = _closed_port(family, address)
    with socket.create_server((address, 0), family=family) as listener:
        port = listener.getsockname()[1]
        rows = {row.port: row for row in check_ports(address, [port, closed], timeout=_PATIENCE_S)}
    assert len(rows) == 2
    row = rows[port]
    assert (row.host, row.address, row.protocol, row.state) == (address, address, "tcp", "open")
    assert row.rtt_ns is not None
    assert 0 < row.rtt_ns < _PATIENCE_S * 10**9
    assert rows[closed].state == "closed"
    assert rows[closed].reason == "Connection refused (ECONNREFUSED): nobody listens there"
    assert rows[closed].rtt_ns is not None


@pytest.mark.parametrize(("family", "address"), _FAMILIES)
def test_udp_ports_answer_or_are_refused_or_keep_silent(family: int, address: str) -> None:
    closed = _closed_port(family, address)
    with _udp(family, address, b"yes") as answering, _udp(family, address, None) as silent:
        ports = [answering, silent, closed]
        # The time that the silent one takes is what the thread of the answering one has.
        rows = {row.port: row for row in check_ports(address, ports, udp=True, timeout=1.5)}
    assert {port: row.state for port, row in rows.items()} == {
        answering: "open",
        silent: "open|filtered",
        closed: "closed",
    }
    assert rows[silent].rtt_ns is None
    assert "no answer" in rows[silent].reason
    assert rows[answering].protocol == "udp"


def test_a_listener_that_accepts_nobody_gives_no_answer() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        waiting = stack.enter_context(socket.create_connection(listener.getsockname()))
        (row,) = check_ports("127.0.0.1", [waiting.getpeername()[1]], timeout=0.05)
    assert row.state == "filtered"
    assert row.reason.endswith("or too many wait for accept()")


def test_an_empty_answer_of_udp_is_an_answer() -> None:
    with _udp(socket.AF_INET, "127.0.0.1", b"") as port:
        (row,) = check_ports("127.0.0.1", [port], udp=True, timeout=_PATIENCE_S)
    assert row.state == "open"


def test_udp_is_asked_again_when_a_datagram_is_lost() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        (row,) = check_ports("127.0.0.1", [sock.getsockname()[1]], udp=True, timeout=0.03)
        assert row.state == "open|filtered"
        sock.setblocking(False)
        for _ in range(3):
            assert sock.recv(100) == b""
        with pytest.raises(BlockingIOError):
            sock.recv(100)


def test_services_are_named() -> None:
    rows = list(check_ports("127.77.0.1", [9, 80]))
    assert [(row.port, row.service) for row in rows] == [(9, "discard"), (80, "http")]
    (row,) = check_ports("127.77.0.1", [123], udp=True)
    assert row.service == "ntp"


def test_each_port_comes_once() -> None:
    assert [row.port for row in check_ports("127.77.0.1", [9, 7, 9, 7])] == [9, 7]


def test_no_ports_are_no_rows() -> None:
    assert list(check_ports("127.0.0.1", [])) == []


@pytest.mark.needs("nc.openbsd", "ncat")
@pytest.mark.parametrize(("family", "address"), _FAMILIES)
def test_nc_and_ncat_see_the_same_ports_open(family: int, address: str) -> None:
    with contextlib.ExitStack() as stack:
        ports = [_closed_port(family, address)]
        for _ in range(3):
            listener = stack.enter_context(socket.create_server((address, 0), family=family))
            ports.append(listener.getsockname()[1])
        ours = {row.port: row.state == "open" for row in check_ports(address, ports)}
        for program in (["nc.openbsd", "-z"], ["ncat", "-z"]):
            for port in ports:
                command = [*program, address, str(port)]
                done = subprocess.run(command, check=False, capture_output=True, timeout=30)
                assert ours[port] == (done.returncode == 0), command


def test_a_host_is_open_where_one_of_its_addresses_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (row,) = check_ports("", [port])
        assert (row.state, row.address) == ("open", "127.0.0.1")
        (row,) = check_ports("", [port], family=socket.AF_INET6)
        assert (row.state, row.address) == ("closed", "::1")


def test_a_host_is_closed_by_the_word_of_its_first_address() -> None:
    port = _closed_port(socket.AF_INET, "127.0.0.1")
    (row,) = check_ports("", [port])
    first = "127.0.0.1"
    assert (row.state, row.address) == ("closed", first)


def test_a_check_may_come_from_a_chosen_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (row,) = check_ports("127.0.0.1", [port], local="127.7.7.7")
        assert row.state == "open"
        sock, peer = listener.accept()
        sock.close()
        assert peer[0] == "127.7.7.7"


def test_leaving_early_closes_everything() -> None:
    with _udp(socket.AF_INET, "127.0.0.1", None) as silent:
        rows = check_ports("127.0.0.1", [silent, 9], udp=True, timeout=_PATIENCE_S)
        assert next(rows).port == 9
        rows.close()


@pytest.mark.parametrize(
    ("host", "ports", "options", "error", "said"),
    [
        ("127.0.0.1", [0], {}, ValueError, "port 0 is not in 1"),
        ("127.0.0.1", ["1-3"], {}, TypeError, "a port is a number, not '1-3'; what fits"),
        ("127.0.0.1", [65536], {}, ValueError, "port 65536 is not in 1"),
        ("127.0.0.1", [1], {"timeout": 0}, ValueError, "above 0 seconds"),
        ("127.0.0.1", [1], {"timeout": float("nan")}, ValueError, "above 0 seconds"),
        ("127.0.0.1", [1], {"at_once": 0}, ValueError, "at least 1"),
        ("127.0.0.1", [1], {"rate": 0}, ValueError, "above 0"),
        ("127.0.0.1", [1], {"family": socket.AF_INET6}, EndpointError, "no address of the family"),
        ("127.0.0.1", [1], {"local": "::1"}, EndpointError, "no address of the family"),
        ("*", [1], {}, EndpointError, "nobody can be reached there"),
        ("a b", [1], {}, EndpointError, "not a host name"),
        ("fe80::1%nonesuch", [1], {}, OSError, "no interface 'nonesuch'"),
        ("nonesuch.invalid", [1], {}, OSError, "look up nonesuch.invalid"),
    ],
)
def test_what_cannot_be_checked_is_said_at_once(
    host: str, ports: list[Any], options: dict[str, float | str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        check_ports(host, ports, **options)  # type: ignore[arg-type]


def test_an_address_that_this_machine_has_not_is_no_verdict_on_the_port() -> None:
    rows = check_ports("127.0.0.1", [9], local="192.0.2.1")
    with pytest.raises(OSError, match=r"bind to 192\.0\.2\.1: .*EADDRNOTAVAIL"):
        next(rows)


def test_checks_wait_for_each_other_when_descriptors_run_out() -> None:
    code = """
import resource, sys
from sockwright.nc.checking.check_ports import check_ports
ports = [int(word) for word in sys.argv[1:]]
kept = [open("/dev/null") for _ in range(40)]
resource.setrlimit(resource.RLIMIT_NOFILE, (56, 56))  # half of which would be more than there are
rows = list(check_ports("127.0.0.1", ports, udp=True, timeout=0.1))
assert sorted(row.port for row in rows) == sorted(ports)
assert {row.state for row in rows} == {"open|filtered"}
try:
    while True:
        kept.append(open("/dev/null"))
except OSError:
    kept.pop().close()
try:
    list(check_ports("127.0.0.1", ports[:1]))
except OSError as error:
    print(error)
for file in kept:
    file.close()
"""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(30):
            silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            silent.bind(("127.0.0.1", 0))
            ports.append(silent.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, *map(str, ports)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
    assert done.stderr == ""
    assert done.stdout == (
        f"[Errno 24] check tcp://127.0.0.1:{ports[0]}: Too many open files (EMFILE): this process "
        "has too many open descriptors ('ulimit -n')\n"
    )


# UNIX sockets.


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
def test_a_unix_socket_of_any_type_is_open(tmp_path: Path, kind: socket.SocketKind) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(str(path))
        if kind != socket.SOCK_DGRAM:
            sock.listen()
        row = check_path(f"unix:{path}")
        assert (row.state, row.protocol, row.port) == ("open", "unix", None)
        assert row.address == str(path)
    row = check_path(f"unix:{path}")
    assert row.state == "closed"
    assert row.reason.startswith("Connection refused (ECONNREFUSED): nobody listens there")


def test_an_abstract_unix_socket_is_open() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"\0sockwright-{os.getpid()}")
        sock.listen()
        row = check_path(f"unix-abstract:sockwright-{os.getpid()}")
    assert (row.state, row.address) == ("open", f"@sockwright-{os.getpid()}")


def test_a_unix_socket_of_another_type_is_not_open(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        row = check_path(f"unix:{path}?type=stream")
    assert row.state == "closed"
    assert "another type" in row.reason


def test_a_unix_socket_with_a_full_backlog_is_open_and_says_so(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(path)
        row = check_path(f"unix:{path}")
    assert row.state == "open"
    assert "backlog is full" in row.reason


def test_a_path_where_nothing_is_is_closed(tmp_path: Path) -> None:
    assert "no such path" in check_path(f"unix:{tmp_path}/none").reason
    with pytest.raises(EndpointError):
        check_path("tcp://127.0.0.1:1")
    with pytest.raises(EndpointError):
        check_path("unix:")


# Between hosts.


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Host, Host]]:
    """Two hosts on a segment, the second of which sends as many ICMP errors as it has cause for."""
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        for name in ("net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"):
            b.set(name, 0)
        b.set("net.ipv4.icmp_msgs_per_sec", 1_000_000)
        b.set("net.ipv4.icmp_msgs_burst", 1_000_000)
        yield a, b


def _states(rows: list[PortCheck]) -> dict[int | None, str]:
    return {row.port: row.state for row in rows}


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_ports_of_another_host(pair: tuple[Host, Host], family: socket.AddressFamily) -> None:
    a, b = pair
    address = b.ipv4 if family == socket.AF_INET else b.ipv6
    with b.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        rows = a.call(lambda: list(check_ports(address, [9, port, 10], timeout=_PATIENCE_S)))
    assert _states(rows) == {9: "closed", port: "open", 10: "closed"}
    rows = a.call(lambda: list(check_ports(address, [9, 53], udp=True, timeout=_PATIENCE_S)))
    assert _states(rows) == {9: "closed", 53: "closed"}
    assert {row.reason for row in rows} == {
        "Connection refused (ECONNREFUSED): nobody listens there"
    }


@pytest.mark.needs("namespaces")
def test_checks_of_another_host_are_spread_over_time(pair: tuple[Host, Host]) -> None:
    a, b = pair

    def seconds(count: int) -> float:
        begin = time.monotonic()
        ports = range(1, count + 1)
        rows = list(check_ports(b.ipv4, ports, timeout=_PATIENCE_S))
        assert _states(rows) == dict.fromkeys(ports, "closed")
        return time.monotonic() - begin

    assert a.call(seconds, 500) > 0.35
    assert min(a.call(seconds, 2) for _ in range(3)) < 0.35  # a few go at once


def test_a_rate_that_is_asked_for_counts_everywhere_and_the_first_goes_at_once() -> None:
    begin = time.monotonic()
    assert list(check_ports("127.77.0.1", [7], rate=0.05))
    assert time.monotonic() - begin < 10  # half of what is between two
    begin = time.monotonic()
    taken = [time.monotonic() for _ in check_ports("127.77.0.1", [7, 9, 11], rate=5)]
    assert taken[1] - begin >= 0.2
    assert taken[2] - begin >= 0.4


@pytest.mark.needs("namespaces", "nft")
def test_ports_behind_a_firewall_are_filtered_many_at_once(pair: tuple[Host, Host]) -> None:
    a, b = pair
    rules = """
        table inet wall {
            chain input {
                type filter hook input priority 0
                tcp dport 1000-1299 drop
                udp dport 1000-1299 drop
                udp dport 2000 reject with icmpx admin-prohibited
            }
        }
    """
    b.run(["nft", "-f", "-"], input=rules, check=True, timeout=_PATIENCE_S)
    ports = [*range(1000, 1300), 2000, 9]

    def check(*, udp: bool) -> tuple[list[PortCheck], float]:
        begin = time.monotonic()
        rows = list(check_ports(b.ipv4, ports, udp=udp, timeout=0.3, rate=None))
        return rows, time.monotonic() - begin

    try:
        rows, seconds = a.call(lambda: check(udp=False))
        assert 0.3 <= seconds < 20  # one after the other it would be 90
        filtered: dict[int | None, str] = dict.fromkeys(range(1000, 1300), "filtered")
        assert _states(rows) == filtered | {2000: "closed", 9: "closed"}
        assert rows[-1].reason.startswith("no answer in time")
        assert rows[-1].rtt_ns is None
        rows, seconds = a.call(lambda: check(udp=True))
        assert 0.3 <= seconds < 20  # one after the other it would be 90
        silent: dict[int | None, str] = dict.fromkeys(range(1000, 1300), "open|filtered")
        assert _states(rows) == silent | {2000: "filtered", 9: "closed"}
        (row,) = (row for row in rows if row.port == 2000)
        assert "EHOSTUNREACH" in row.reason
    finally:
        b.run(["nft", "delete", "table", "inet", "wall"], check=True, timeout=_PATIENCE_S)


@pytest.mark.needs("namespaces", "nft")
def test_a_firewall_that_says_no_is_told_from_a_silent_one() -> None:
    rules = """
        table inet wall {
            chain input {
                type filter hook input priority 0
                tcp dport 2000 reject with icmpx admin-prohibited
            }
        }
    """
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        # An answer faster than connect(2) itself is kept back until the SYN is repeated.
        lab.link(a, b).delay(0.01)
        b.run(["nft", "-f", "-"], input=rules, check=True, timeout=_PATIENCE_S)
        (row,) = a.call(lambda: list(check_ports(b.ipv4, [2000], timeout=_PATIENCE_S)))
    assert row.state == "filtered"
    assert row.reason.startswith("No route to host (EHOSTUNREACH): ")
    assert row.rtt_ns is not None
    assert row.rtt_ns > 20_000_000


@pytest.mark.needs("namespaces")
def test_a_host_that_is_not_there_is_said() -> None:
    with Lab() as lab:
        a, _ = lab.hosts("a", "b")
        a.set("net.ipv4.neigh.eth0.retrans_time_ms", 10)

        def check(*, udp: bool) -> list[PortCheck]:
            return list(check_ports("10.0.0.77", [9, 10], udp=udp, timeout=_PATIENCE_S))

        for udp in (False, True):
            rows = a.call(check, udp=udp)
            assert _states(rows) == {9: "filtered", 10: "filtered"}
            assert {"EHOSTUNREACH" in row.reason for row in rows} == {True}


@pytest.mark.needs("namespaces")
def test_an_answer_that_is_there_counts_however_late_the_rows_are_taken(
    pair: tuple[Host, Host],
) -> None:
    a, b = pair
    with b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((b.ipv4, 0))
        listener.listen()
        port = listener.getsockname()[1]

        def check() -> list[PortCheck]:
            rows = []
            for row in check_ports(b.ipv4, [9, port, 10], timeout=0.05):
                rows.append(row)
                late = time.monotonic() + 0.1
                while time.monotonic() < late:
                    pass
            return rows

        rows = a.call(check)
    assert _states(rows) == {9: "closed", port: "open", 10: "closed"}


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("udp", [False, True])
def test_a_socket_that_meets_itself_is_no_service(pair: tuple[Host, Host], udp: bool) -> None:
    a, _ = pair
    a.set("net.ipv4.ip_local_port_range", "40000 40001")
    # One of two ports to come from: most checks of it would find themselves.
    rows = a.call(
        lambda: [
            row
            for _ in range(20)
            for row in check_ports("127.0.0.1", [40000, 40001], udp=udp, timeout=_PATIENCE_S)
        ]
    )
    assert len(rows) == 40
    assert {row.state for row in rows} == {"closed"}


@pytest.mark.needs("namespaces")
def test_every_port_of_a_host_is_checked(pair: tuple[Host, Host]) -> None:
    _, b = pair
    with contextlib.ExitStack() as stack:
        ours = set()
        for _ in range(5):
            listener = stack.enter_context(b.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            ours.add(listener.getsockname()[1])

        def check(*, udp: bool) -> tuple[int, set[int | None]]:
            rows = list(check_ports("127.0.0.1", range(1, 65536), udp=udp, timeout=_PATIENCE_S))
            return len(rows), {row.port for row in rows if row.state != "closed"}

        assert b.call(check, udp=False) == (65535, ours)
        assert b.call(check, udp=True) == (65535, set())


# What UDP is asked.


@pytest.mark.needs("tshark")
def test_each_probe_is_what_the_usual_service_of_its_port_expects(tmp_path: Path) -> None:
    expected = {
        53: "dns", 69: "tftp", 111: "rpc", 123: "ntp", 137: "nbns", 161: "snmp", 177: "xdmcp",
        389: "cldap", 443: "quic", 500: "isakmp", 520: "rip", 623: "rmcp", 1434: "data",
        1900: "ssdp", 2049: "rpc", 3478: "stun", 4500: "isakmp", 5060: "sip",
        5351: "portcontrol", 5353: "mdns", 5683: "coap", 11211: "memcache",
    }  # fmt: skip
    assert {port for port in range(1, 65536) if probe_for(port)} == set(expected)
    path = tmp_path / "probes.pcap"
    with path.open("wb") as file:
        writer = PcapWriter(file, link_type=101)
        for number, port in enumerate(expected):
            packet = IPv4(src="192.0.2.1", dst="192.0.2.2") / UDP(
                src_port=50000 + number, dst_port=port
            )
            octets = bytes(packet / probe_for(port))
            writer.write(Record(number, octets, len(octets), link_type=101))
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-e", "frame.protocols"]
    done = subprocess.run(
        [*command, "-e", "_ws.malformed", "-e", "_ws.expert.message"],
        capture_output=True,
        text=True,
        check=True,
        timeout=_PATIENCE_S,
    )
    for line, (port, name) in zip(done.stdout.splitlines(), expected.items(), strict=True):
        protocols, malformed, *_ = line.split("\t")
        assert name in protocols.split(":"), (port, line)
        assert not malformed, (port, line)


@pytest.mark.needs("namespaces", "nc.openbsd")
def test_it_is_measured_beside_nc(project: Path) -> None:
    script = project / "benchmarks" / "bench_checking.py"
    command = [sys.executable, str(script), "--json", "--rounds", "1", "--ports", "2000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in {0, 1}, done.stderr
    names = [json.loads(line)["name"] for line in done.stdout.splitlines()]
    assert names[:4] == ["check_ports", "check_ports, UDP", "sw nc -z", "nc"]
