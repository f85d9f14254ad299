"""Raw probes and their answers: which states they prove, and what is not believed."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.open_files import open_descriptors
from tests.scan.connecting.driving import Found, scan
from tests.scan.recorded import Recorder
from tests.scan.target import KINDS, REASON, REJECTED, REJECTED6, populate
from tests.scan.topology import SCANNER, SCANNER6, TARGET, TARGET6, Network, listen

from sockwright.scan.engine.pace import Pace
from sockwright.scan.sending.evidence import with_ip_header
from sockwright.scan.sending.raw_scan import RawScan
from sockwright.scan.settings import Settings
from sockwright.scan.targets import Target, parse_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sockwright.scan.results import PortResult, PortState
    from sockwright.scan.settings import Method

pytestmark = pytest.mark.needs("namespaces", "nft")

BOTH = pytest.mark.parametrize("address", [TARGET, TARGET6])
_HASTE = Settings(first_timeout=0.3, max_timeout=0.5)
_SYN, _RST, _SYN_ACK, _RST_ACK = 0x02, 0x04, 0x12, 0x14


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A target with ports of every kind."""
    with Network() as network:
        populate(network)
        yield network


def _scan(  # noqa: PLR0917  # as it is read: method, ports, where
    network: Network,
    method: Method,
    ports: Sequence[int],
    address: str = TARGET,
    settings: Settings = _HASTE,
    rate: float | None = None,
    **more: Any,
) -> Found:
    kind: Any = partial(RawScan, method, **more)
    return network.scanner.call(scan, kind, address, tuple(ports), settings, rate=rate)


def _kinds(*names: str) -> list[int]:
    return [port for name in names for port in KINDS[name]]


# -- what answers prove ---------------------------------------------------------------------------


@BOTH
def test_a_syn_scan_tells_open_closed_and_filtered_apart(network: Network, address: str) -> None:
    found = _scan(
        network, "syn", _kinds("open", "closed", "dropped", "reset by the firewall"), address
    )
    assert found.ports("open") == list(KINDS["open"])
    assert found.ports("closed") == sorted(_kinds("closed", "reset by the firewall"))
    assert found.ports("filtered") == list(KINDS["dropped"])
    assert found.reasons(KINDS["open"]) == {"syn-ack"}
    assert found.reasons(KINDS["closed"]) == {"reset"}
    assert found.reasons(KINDS["dropped"]) == {"no-response"}
    assert found.complete
    assert not found.remarks
    assert not found.leaked
    for port in _kinds("open", "closed"):
        row = found.rows[port]
        assert row.ttl == 63
        assert row.rtt_ns is not None
        assert 0 < row.rtt_ns < 10**9
        assert (row.tries, row.attempt) == (1, 1)
    for port in KINDS["dropped"]:
        row = found.rows[port]
        assert row.tries >= 2
        assert (row.attempt, row.rtt_ns, row.ttl) == (0, None, None)


@BOTH
def test_an_ack_scan_tells_only_what_is_filtered(network: Network, address: str) -> None:
    found = _scan(network, "ack", _kinds("open", "closed", "dropped"), address)
    assert found.ports("unfiltered") == sorted(_kinds("open", "closed"))
    assert found.ports("filtered") == list(KINDS["dropped"])
    assert found.reasons(KINDS["open"]) == {"reset"}


def _own_ports(method: Method) -> tuple[list[PortResult], int]:
    """Return the rows that are known of this machine's ports before anything is sent."""
    ports = range(1, 65536)
    pace = Pace(None, now=0.0, adapts=False)
    with contextlib.closing(RawScan(method, ports, Settings(), shared=pace, seed=1)) as part:
        host = part.add(parse_targets(["127.0.0.1"])[0], None, [])
        known = [host.table.row(at) for at in range(len(ports)) if host.table.known(at)]
        return known, host.rounds.pending


@pytest.mark.parametrize(("method", "state"), [("syn", "closed"), ("ack", "unfiltered")])
def test_the_ports_that_the_scan_itself_holds_are_told_as_such_without_a_probe(
    network: Network, method: Method, state: str
) -> None:
    known, pending = network.scanner.call(_own_ports, method)
    assert len(known) + pending == 65535
    assert known
    assert {(row.state, row.reason) for row in known} == {(state, "localhost-response")}
    assert {(row.tries, row.attempt) for row in known} == {(0, 0)}


@BOTH
@pytest.mark.parametrize("method", ["fin", "null", "xmas"])
def test_probes_without_ack_find_closed_ports_and_cannot_tell_open_from_filtered(
    network: Network, method: Method, address: str
) -> None:
    found = _scan(network, method, _kinds("open", "closed", "dropped"), address)
    assert found.ports("closed") == list(KINDS["closed"])
    assert found.ports("open|filtered") == sorted(_kinds("open", "dropped"))
    assert found.reasons(KINDS["closed"]) == {"reset"}


@pytest.mark.parametrize("method", ["syn", "ack", "fin"])
@pytest.mark.parametrize(("address", "words"), [(TARGET, REJECTED), (TARGET6, REJECTED6)])
def test_every_icmp_error_is_filtered_with_its_own_reason(
    network: Network, address: str, words: dict[str, tuple[int, int]], method: Method
) -> None:
    found = _scan(network, method, [port for ports in words.values() for port in ports], address)
    for word, ports in words.items():
        assert found.reasons(ports) == {REASON[word]}, word
    assert {row.state for row in found.rows.values()} == {"filtered"}
    assert {row.sender for row in found.rows.values()} == {""}
    assert {row.ttl for row in found.rows.values()} == {63}


@pytest.mark.parametrize(
    ("address", "sender"), [("10.62.0.99", "10.62.0.1"), ("fd62::99", "fd62::1")]
)
def test_an_error_of_a_router_names_the_router(network: Network, address: str, sender: str) -> None:
    rules = (
        "chain forward { type filter hook forward priority 0;\n"
        "ip daddr 10.62.0.99 reject with icmp type host-prohibited\n"
        "ip6 daddr fd62::99 reject with icmpv6 type admin-prohibited\n}"
    )
    network.rules(network.router, "prohibiting", rules)
    try:
        found = _scan(network, "syn", range(1, 20), address)
    finally:
        network.rules(network.router, "prohibiting", "")
    near = {"10.62.0.1": SCANNER.rpartition(".")[0] + ".1", "fd62::1": "fd61::1"}[sender]
    assert {row.sender for row in found.rows.values()} <= {sender, near}
    assert len(found.ports("filtered")) == 19
    assert found.reasons(list(range(1, 20))) == {
        "host-prohibited" if ":" not in address else "admin-prohibited"
    }


def test_what_was_half_opened_is_ended_by_a_rst(network: Network) -> None:
    port = KINDS["open"][0]
    with network.target.capture(interface="net") as capture:
        found = _scan(network, "syn", [port])
        # Of scans before something may still be under way.
        capture.until(
            lambda frame: (
                _flags(frame.octets) == _RST
                and _is_to_us(frame.octets)
                and struct.unpack_from("!H", frame.octets, 36) == (port,)
            )
        )
    assert found.ports("open") == [port]
    # The kernel of the scanner says nothing itself: each RST is ours, without ACK.
    assert _RST_ACK not in {_flags(one.octets) for one in capture.frames if _is_to_us(one.octets)}


def _flags(frame: bytes) -> int:
    is_tcp = frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_TCP
    return int(frame[47]) if is_tcp else 0


def _is_to_us(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00" and frame[30:34] == socket.inet_aton(TARGET)


@BOTH
@pytest.mark.parametrize("method", ["syn", "fin", "ack"])
def test_own_addresses_are_scanned_as_any_other(
    network: Network, method: Method, address: str
) -> None:
    own = {TARGET: SCANNER, TARGET6: SCANNER6}[address]
    # All that the scan may send from are among those asked.
    found = _scan(network, method, range(10_000, 32_032), own)
    closed = {"ack": "unfiltered"}.get(method, "closed")
    assert len(found.ports(closed)) == 22_032
    assert found.complete


# -- what is not believed -------------------------------------------------------------------------


def _checksum(octets: bytes) -> int:
    octets += bytes(len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def _segment(
    source: bytes, destination: bytes, ports: tuple[int, int], numbers: tuple[int, int], flags: int
) -> bytes:
    octets = struct.pack("!HHIIHHHH", *ports, *numbers, 5 << 12 | flags, 1024, 0, 0)
    pseudo = source + destination + struct.pack("!II", len(octets), socket.IPPROTO_TCP)
    return octets[:16] + struct.pack("!H", _checksum(pseudo + octets)) + b"\0\0"


class Probe:
    """A probe as it came to the target, and what may be made of it."""

    def __init__(self, frame: bytes) -> None:
        self.packet = frame[14:]
        self.version = self.packet[0] >> 4
        at = 12 if self.version == 4 else 8
        size = 4 if self.version == 4 else 16
        self.scanner = self.packet[at : at + size]
        self.target = self.packet[at + size : at + 2 * size]
        self.segment = self.packet[20 if self.version == 4 else 40 :]
        self.local, self.port, self.cookie = struct.unpack_from("!HHI", self.segment)

    @staticmethod
    def is_one(frame: bytes) -> bool:
        """Whether a frame carries a SYN."""
        if frame[12:14] == b"\x08\x00":
            return frame[23] == socket.IPPROTO_TCP and frame[47] == _SYN
        if frame[12:14] == b"\x86\xdd":
            return frame[20] == socket.IPPROTO_TCP and frame[67] == _SYN
        return False

    def answer(self, flags: int, *, more: int = 1, port: int = 0, source: bytes = b"") -> bytes:
        """Return an answer that acknowledges `more` than the cookie."""
        source = source or self.target
        ports = (port or self.port, self.local)
        numbers = (77, self.cookie + more & 0xFFFFFFFF)
        segment = _segment(source, self.scanner, ports, numbers, flags)
        return with_ip_header(source, self.scanner, segment)

    def error(self, *, cookie: int = 0, port: int = 0, host: bytes = b"", local: int = 0) -> bytes:
        """Return an ICMP error that quotes the probe, with what is to be other than it was."""
        quoted = bytearray(self.packet)
        inner = 20 if self.version == 4 else 40
        values = (local or self.local, port or self.port, self.cookie + cookie & 0xFFFFFFFF)
        struct.pack_into("!HHI", quoted, inner, *values)
        if host:
            quoted[inner - len(host) : inner] = host
        kind = 3 if self.version == 4 else 1
        octets = struct.pack("!BBHI", kind, 0, 0, 0) + bytes(quoted)
        protocol = socket.IPPROTO_ICMP if self.version == 4 else socket.IPPROTO_ICMPV6
        pseudo = b""
        if self.version == 6:
            pseudo = self.target + self.scanner + struct.pack("!II", len(octets), protocol)
        octets = octets[:2] + struct.pack("!H", _checksum(pseudo + octets)) + octets[4:]
        return with_ip_header(self.target, self.scanner, octets, protocol)


def _forging(
    network: Network,
    address: str,
    forge: Callable[[Probe], list[bytes]],
    *,
    timeout: float = 5.0,
) -> Found:
    """Scan ports that drop everything, while `forge` says what comes back for each probe.

    Until `timeout` (seconds) a forged answer is waited for, however busy the machine is.
    """
    ports = range(20_001, 20_011)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    rules = "chain input { type filter hook input priority -10;\ntcp dport 20001-20010 drop\n}"
    network.rules(network.target, "silent", rules)
    sending = network.target.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    capture = network.target.capture(interface="net")
    settings = Settings(first_timeout=timeout, min_timeout=timeout, max_timeout=timeout, retries=1)
    with sending, capture, contextlib.ExitStack() as stack:
        stack.callback(network.rules, network.target, "silent", "")
        kind: Any = partial(RawScan, "syn")
        call = network.scanner.start(scan, kind, address, tuple(ports), settings)
        asked = set()
        for frame in filter(lambda one: Probe.is_one(one.octets), capture):
            probe = Probe(frame.octets)
            if probe.port not in ports:
                continue  # what was forged is a SYN itself
            for packet in forge(probe):
                where = packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]
                sending.sendto(packet, (socket.inet_ntop(family, where), 0))
            asked.add(probe.port)
            if len(asked) == len(ports):
                break
        return call.result(10)


_FORGED: dict[str, Callable[[Probe], list[bytes]]] = {
    "an open port with another cookie": lambda one: [one.answer(_SYN_ACK, more=3)],
    "a closed port with another cookie": lambda one: [one.answer(_RST_ACK, more=0x10000)],
    "another port": lambda one: [one.answer(_SYN_ACK, port=20_001 + (one.port - 20_001 + 1) % 10)],
    "another host": lambda one: [
        one.answer(_SYN_ACK, source=one.target[:-1] + bytes([one.target[-1] + 7]))
    ],
    "no flags": lambda one: [one.answer(0), one.answer(0x10)],
    "an error that quotes another cookie": lambda one: [one.error(cookie=1)],
    "an error that quotes another port": lambda one: [
        one.error(port=20_001 + (one.port - 20_001 + 1) % 10)
    ],
    "an error that quotes another host": lambda one: [
        one.error(host=one.target[:-1] + bytes([one.target[-1] + 7]))
    ],
    "an error that quotes a try far away": lambda one: [one.error(local=one.local + 100)],
    "an error cut short": lambda one: [one.error()[: 20 + 8 + 20 + 6]],
}


@pytest.mark.parametrize(
    ("address", "what"),
    [
        (address, what)
        for address in (TARGET, TARGET6)
        for what in _FORGED
        # Routers check the length of an IPv6 packet.
        if what != "an error cut short" or address == TARGET
    ],
)
def test_what_does_not_answer_is_not_believed(network: Network, address: str, what: str) -> None:
    found = _forging(network, address, _FORGED[what], timeout=0.2)
    assert {row.state for row in found.rows.values()} == {"filtered"}
    assert {row.reason for row in found.rows.values()} == {"no-response"}


def test_answers_to_tries_that_were_not_made_are_not_believed_and_said(network: Network) -> None:
    def forge(probe: Probe) -> list[bytes]:
        probe.local += 1
        return [probe.answer(_RST_ACK), probe.answer(_SYN_ACK), probe.error(local=probe.local)]

    # The answers have to come before it ends, or there is nothing to be said of them.
    found = _forging(network, TARGET, forge, timeout=1.0)
    assert {row.reason for row in found.rows.values()} == {"no-response"}
    assert found.loss is None
    assert any("tries that had not been made" in remark for remark in found.remarks)


@BOTH
def test_what_answers_is_believed_in_the_same_way(network: Network, address: str) -> None:
    opened = _forging(network, address, lambda one: [one.answer(_SYN_ACK)])
    assert len(opened.ports("open")) == 10
    closed = _forging(network, address, lambda one: [one.answer(_RST_ACK)])
    assert len(closed.ports("closed")) == 10
    quoted = _forging(network, address, lambda one: [one.error()])
    assert {row.reason for row in quoted.rows.values()} == {
        "net-unreach" if ":" not in address else "no-route"
    }


def test_a_reset_that_acknowledges_the_cookie_itself_is_believed(network: Network) -> None:
    """As some stacks do, that do not count the SYN."""
    found = _forging(network, TARGET, lambda one: [one.answer(_RST_ACK, more=0)])
    assert len(found.ports("closed")) == 10


def test_a_simultaneous_open_is_open(network: Network) -> None:
    found = _forging(network, TARGET, lambda one: [one.answer(_SYN)])
    assert {(row.state, row.reason) for row in found.rows.values()} == {("open", "syn")}


def test_the_first_answer_counts_and_copies_change_nothing(network: Network) -> None:
    found = _forging(
        network, TARGET, lambda one: [one.answer(_RST_ACK)] * 3 + [one.answer(_SYN_ACK)] * 3
    )
    assert len(found.ports("closed")) == 10


def test_two_scans_at_once_do_not_take_the_answers_of_each_other(network: Network) -> None:
    ports = _kinds("open", "closed")
    calls = [
        network.scanner.start(scan, partial(RawScan, "syn"), TARGET, tuple(ports), _HASTE)  # type: ignore[arg-type]
        for _ in range(2)
    ]
    for call in calls:
        found = call.result(20)
        assert found.ports("open") == list(KINDS["open"])
        assert found.probes == len(ports)


# -- evidence -------------------------------------------------------------------------------------


def _recorded(address: str, ports: Sequence[int]) -> list[tuple[bytes, str, bool]]:
    """Scan; return what was recorded: the segments, their comments, whether they went out."""
    record = Recorder()
    kind: Any = partial(RawScan, "syn", record=record)
    scan(kind, address, ports, _HASTE)
    told: list[tuple[bytes, str, bool]] = []
    for octets, time_ns, comment, outgoing, link in record.told:
        assert time_ns > 0
        assert not link
        header = 40 if octets[0] >> 4 == 6 else (octets[0] & 15) * 4
        told.append((octets[header:], comment, bool(outgoing)))
    return told


@BOTH
def test_what_is_asked_again_is_evidence_with_its_answer_and_called_so(
    network: Network, address: str
) -> None:
    answering, silent = _kinds("open", "closed"), KINDS["dropped"]
    told = network.scanner.call(_recorded, address, [*answering, *silent])
    # A silent port is asked in a second round, and among those what has answered before.
    asked: dict[tuple[int, int], str] = {}
    ended: dict[tuple[int, int], str] = {}
    answered: dict[tuple[int, int], str] = {}
    for segment, comment, outgoing in told:
        source, port = struct.unpack_from("!HH", segment)
        if not outgoing:
            answered[port, source] = comment
        elif segment[13] == _SYN:
            asked[source, port] = comment
        else:
            assert segment[13] == _RST
            ended[source, port] = comment
    again = {key for key, comment in asked.items() if comment == "asked again"}
    assert {port for _, port in again} & set(KINDS["open"])
    assert {key for key in asked if key[1] in answering} == answered.keys()
    assert {key for key, comment in answered.items() if "asked again" in comment} == again
    assert {key for key in answered if key[1] in KINDS["open"]} == ended.keys()
    first = min(source for source, _ in asked)
    for key, comment in asked.items():
        what = "what was asked again" if key in again else f"try {key[0] - first + 1}"
        assert comment == what.removeprefix("what was ")
        assert ended.get(key) in {None, f"ends the connection of {what}"}
        assert key not in answered or answered[key].startswith(f"answers {what}")


# -- bad networks ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain() -> Iterator[Network]:
    """A target with 40 open ports of 2 000, and no rules."""
    with Network() as network:
        network.start(network.target, listen, list(range(50, 2050, 50)))
        yield network


_ASKED = tuple(range(1, 2001))
_OPEN = list(range(50, 2001, 50))


@BOTH
def test_no_open_port_is_missed_where_a_tenth_is_lost_each_way(
    plain: Network, address: str
) -> None:
    plain.lose(0.1)
    try:
        found = _scan(plain, "syn", _ASKED, address)
    finally:
        plain.lose(0)
    assert found.ports("open") == _OPEN
    assert len(found.ports("closed")) == 2000 - len(_OPEN)
    assert found.complete
    assert found.loss == pytest.approx(0.19, abs=0.06)
    assert not found.remarks


def test_a_policer_is_told_from_loss_and_said(plain: Network) -> None:
    plain.police(1000, 50)
    try:
        found = _scan(plain, "syn", _ASKED)
    finally:
        plain.police(0)
    assert found.ports("open") == _OPEN
    assert found.complete
    assert "packets a second" in " ".join(found.remarks)


def test_a_host_that_drops_everything_is_filtered_within_seconds(network: Network) -> None:
    rules = "chain input { type filter hook input priority -10;\ntcp dport 1-65535 drop\n}"
    network.rules(network.target, "silent", rules)
    try:
        found = _scan(network, "syn", range(1, 3001))
    finally:
        network.rules(network.target, "silent", "")
    assert len(found.ports("filtered")) == 3000
    assert found.complete
    assert found.loss is None or found.loss < 0.5
    assert found.seconds < 15
    assert {row.tries for row in found.rows.values()} == {found.rows[1].tries}


def test_the_time_limit_of_a_host_keeps_what_is_known(plain: Network) -> None:
    settings = Settings(host_timeout=1.0)
    found = _scan(plain, "syn", _ASKED, settings=settings, rate=1000.0)
    known = len(found.ports("open")) + len(found.ports("closed"))
    assert 100 < known < 1200
    assert set(found.ports("open")) <= set(_OPEN)
    assert not found.complete
    assert "time limit of 1 s" in " ".join(found.remarks)
    reasons = {row.reason for row in found.rows.values() if row.state == "filtered"}
    assert reasons <= {"not-asked", "no-response"}
    assert found.seconds < 10


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_retries_bound_the_tries(network: Network, retries: int) -> None:
    settings = Settings(retries=retries, first_timeout=0.1, max_timeout=0.1)
    found = _scan(network, "syn", _kinds("dropped"), settings=settings)
    assert {row.tries for row in found.rows.values()} <= set(range(1, retries + 2))
    assert found.probes <= (retries + 1) * len(KINDS["dropped"])


def test_a_limit_on_rst_is_told_as_such(plain: Network) -> None:
    rules = (
        "chain output { type filter hook output priority 0;\n"
        "tcp flags & rst == rst limit rate over 1000/second burst 50 packets drop\n}"
    )
    plain.rules(plain.target, "resets", rules)
    try:
        found = _scan(plain, "syn", _ASKED)
    finally:
        plain.rules(plain.target, "resets", "")
    assert found.ports("open") == _OPEN
    assert len(found.ports("closed")) == 2000 - len(_OPEN)
    limited = {row.limited for row in found.rows.values()} - {""}
    assert limited <= {"reset", "policer"}
    assert found.remarks


# -- the own machine ------------------------------------------------------------------------------


def test_ports_that_the_own_firewall_refuses_are_named_and_no_others(plain: Network) -> None:
    rules = "chain out { type filter hook output priority 0;\ntcp dport 101-130 drop\n}"
    silent = "chain input { type filter hook input priority -10;\ntcp dport 500-1990 drop\n}"
    plain.rules(plain.scanner, "refusing", rules)
    plain.rules(plain.target, "silent", silent)
    try:
        found = _scan(plain, "syn", _ASKED)
    finally:
        plain.rules(plain.scanner, "refusing", "")
        plain.rules(plain.target, "silent", "")
    refused = [port for port, row in found.rows.items() if row.sender == "localhost"]
    assert refused == list(range(101, 131))
    assert found.reasons(refused) == {"admin-prohibited"}
    assert found.ports("open") == [
        port for port in _OPEN if port not in refused and not 500 <= port <= 1990
    ]
    remarks = [one for one in found.remarks if "a firewall of this machine" in one]
    assert len(remarks) == 1
    assert "EPERM" in remarks[0]


def test_a_firewall_that_refuses_at_random_takes_no_answer_away(plain: Network) -> None:
    rules = (
        "chain out { type filter hook output priority 0;\n"
        "tcp dport 1-2000 numgen random mod 100 < 5 drop\n}"
    )
    plain.rules(plain.scanner, "refusing", rules)
    try:
        found = _scan(plain, "syn", _ASKED)
    finally:
        plain.rules(plain.scanner, "refusing", "")
    refused = {port for port, row in found.rows.items() if row.sender == "localhost"}
    assert refused
    assert set(found.ports("open")) == set(_OPEN) - refused


def test_an_interface_that_goes_down_for_good_ends_the_scan(plain: Network) -> None:
    links = plain.scanner.links
    index = links.index("net")
    call = plain.scanner.start(
        scan,
        partial(RawScan, "syn"),  # type: ignore[arg-type]
        TARGET,
        _ASKED,
        Settings(),
        rate=500.0,
    )
    try:
        with plain.target.capture(interface="net") as capture:
            for seen, _ in enumerate(capture):
                if seen == 200:
                    break
        links.set_link(index, up=False)
        found = call.result(10)
    finally:
        links.set_link(index, up=True)
        links.add_route("0.0.0.0/0", "10.61.0.1")
        _settle(plain)
    assert len(found.ports("closed")) > 50
    assert not found.complete
    assert "no way to" in " ".join(found.remarks)
    assert "not-asked" in {row.reason for row in found.rows.values()}


def _settle(network: Network) -> None:
    """Give the scanner the addresses of IPv6 back that went with the link."""
    links = network.scanner.links
    index = links.index("net")
    links.add_address(index, f"{SCANNER6}/64")
    deadline = time.monotonic() + 5
    while not (links.is_operational("net") and links.is_settled(index)):
        assert time.monotonic() < deadline
    links.add_route("::/0", "fd61::1")


# -- many hosts, and the end ----------------------------------------------------------------------


def _part(method: Method = "syn", ports: Sequence[int] = _ASKED, **settings: Any) -> RawScan:
    shared = Pace(None, now=time.monotonic(), adapts=False)
    return RawScan(method, ports, Settings(**settings), shared=shared, seed=1)


def _drive(part: RawScan, until: Callable[[], bool], patience: float = 20.0) -> None:
    """Step a part until something is so."""
    poll = select.poll()
    for descriptor in part.descriptors:
        poll.register(descriptor, select.POLLIN)
    end = time.monotonic() + patience
    while not until():
        now = time.monotonic()
        assert now < end
        part.step(now)
        due = part.next_time(now)
        if not until():
            poll.poll(None if due is None else max(due - time.monotonic(), 0.0) * 1000 + 0.5)


def _in_debt(address: str) -> tuple[float, float]:
    """Return when the next packet may go after 30 too many, before and after a step."""
    now = time.monotonic()
    shared = Pace(100.0, now=now, adapts=False)
    part = RawScan("syn", _ASKED, Settings(), shared=shared, seed=1)
    host = part.add(Target(address, socket.AF_INET), None)
    part._resets.append((host, 50, 1, 1))
    shared.sent(31, now)
    before = shared.next_time(now)
    part.step(now)
    part.close()
    return before - now, shared.next_time(now) - now


def test_resets_that_wait_for_the_rate_forgive_nothing_of_what_was_overdrawn(
    plain: Network,
) -> None:
    before, after = plain.scanner.call(_in_debt, TARGET)
    assert after == before > 0.3


def _many(addresses: Sequence[str], ports: Sequence[int]) -> dict[str, list[tuple[int, PortState]]]:
    part = _part(ports=ports, first_timeout=0.5)
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        part.add(Target(address, family), None)
    assert len(part.active) == len(addresses)
    _drive(part, lambda: part.done)
    found = {one.host: [(row.port, row.state) for row in one.table] for one in part.finished}
    part.close()
    return found


def test_many_hosts_at_once_get_their_own_answers(plain: Network) -> None:
    index = plain.target.links.index("net")
    addresses = [TARGET, TARGET6]
    for last in range(20, 60):
        plain.target.links.add_address(index, f"10.62.0.{last}/24")
        addresses.append(f"10.62.0.{last}")
    rules = (
        "chain input { type filter hook input priority -10;\n"
        "ip daddr 10.62.0.20-10.62.0.29 tcp dport 51-99 drop\n"
        "ip daddr 10.62.0.30-10.62.0.39 tcp dport 50 drop\n}"
    )
    plain.rules(plain.target, "silent", rules)
    try:
        found = plain.scanner.call(_many, addresses, tuple(range(41, 61)))
    finally:
        plain.rules(plain.target, "silent", "")
    assert found.keys() == set(addresses)
    for address, rows in found.items():
        last = int(address.rpartition(".")[2]) if "." in address else 0
        for port, state in rows:
            expected = "open" if port == 50 else "closed"
            if (20 <= last < 30 and port > 50) or (30 <= last < 40 and port == 50):
                expected = "filtered"
            assert (port, state) == (port, expected), address


def _left_in_the_middle(address: str, at: str) -> tuple[set[tuple[str, str]], int]:
    before = open_descriptors()
    part = _part(ports=tuple(range(1, 65536)))
    host = part.add(Target(address, socket.AF_INET), None)
    if at == "probes":
        _drive(part, lambda: host.answers > 20_000)
    part.close()
    part.close()
    return open_descriptors() - before, threading.active_count()


@pytest.mark.parametrize("at", ["nothing", "probes"])
def test_what_is_closed_in_the_middle_leaves_nothing_behind(plain: Network, at: str) -> None:
    assert plain.scanner.call(_left_in_the_middle, TARGET, at) == (set(), 1)


def _stopped(address: str) -> dict[str, int]:
    part = _part(ports=tuple(range(1, 65536)))
    host = part.add(Target(address, socket.AF_INET), 20_000.0)
    _drive(part, lambda: host.answers > 500)
    part.stop()
    assert part.done
    assert list(part.finished) == [host]
    assert not host.complete
    reasons: dict[str, int] = {}
    for row in host.table:
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
    part.close()
    return reasons


def test_what_is_stopped_says_what_is_known_and_what_was_not_asked(plain: Network) -> None:
    reasons = plain.scanner.call(_stopped, TARGET)
    assert sum(reasons.values()) == 65535
    assert reasons["reset"] > 400
    assert reasons["not-asked"] > 50_000


def _orders(address: str, seeds: Sequence[int]) -> list[list[int]]:
    orders = []
    for seed in seeds:
        shared = Pace(None, now=time.monotonic(), adapts=False)
        part = RawScan("syn", range(1, 1001), Settings(), shared=shared, seed=seed)
        host = part.add(Target(address, socket.AF_INET), None)
        orders.append(host.rounds.take(1000))
        part.close()
    return orders


def test_the_seed_repeats_the_order_of_ports(plain: Network) -> None:
    one, again, other = plain.scanner.call(_orders, TARGET, (5, 5, 6))
    assert one == again
    assert one != other


def test_hosts_with_the_same_seed_have_orders_of_their_own(plain: Network) -> None:
    (one,) = plain.scanner.call(_orders, TARGET, (5,))
    (other,) = plain.scanner.call(_orders, "10.62.0.3", (5,))
    assert one != other


def _refused(method: Method) -> tuple[str, int]:
    before = open_descriptors()
    try:
        _part(method)
    except PermissionError as error:
        return str(error), len(open_descriptors() - before)
    return "", 0


def test_without_privilege_it_says_what_is_missing_and_keeps_nothing_open(
    plain: Network,
) -> None:
    said, leaked = plain.scanner.call_unprivileged(_refused, "syn")
    assert "CAP_NET_RAW" in said
    assert not leaked


def _scoped(zones: Sequence[str], address: str) -> dict[str, PortState]:
    part = _part(ports=(50,), first_timeout=0.3, max_timeout=0.3)
    for zone in zones:
        part.add(Target(address, socket.AF_INET6, zone), None)
    _drive(part, lambda: part.done)
    found = {one.host: one.table.row(0).state for one in part.finished}
    part.close()
    return found


def test_one_link_local_address_in_two_zones_is_two_hosts(plain: Network) -> None:
    """The router's address on the scanner's link, and nobody with it on the other link."""
    found = plain.scanner.call(_scoped, ("net", "eth0"), "fe80::1234")
    assert found == {"fe80::1234%net": "filtered", "fe80::1234%eth0": "filtered"}
