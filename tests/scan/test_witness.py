"""Packets that the kernel makes for a scan are captured: all of them, once, and nobody else's."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.open_files import open_descriptors
from tests.scan.topology import SCANNER, TARGET, TARGET6, Network, listen

from sockwright.records.reading import read_records
from sockwright.scan.reports.evidence import EvidenceWriter
from sockwright.scan.targets import Target
from sockwright.scan.witness import Witness
from sockwright.wire import Packet
from sockwright.wire.icmp import ICMP
from sockwright.wire.tcp import TCP
from sockwright.wire.udp import UDP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.needs("namespaces", "nft")

_RAW_IP = 101
_SYN, _SYN_ACK, _RST_ACK = 0x02, 0x12, 0x14


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A target that listens on one port."""
    with Network() as network:
        network.start(network.target, listen, [50])
        yield network


def refuse(line: str) -> None:
    raise AssertionError(line)


def _talk(hosts: Sequence[str], ports: Sequence[int]) -> None:
    """Connect to ports, and send them a datagram, whatever comes of it."""
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for port in ports:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.settimeout(5)
                sock.connect_ex((host, port))
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.settimeout(5)
                sock.connect((host, port))
                sock.send(b"?")
                with pytest.raises(ConnectionRefusedError):
                    sock.recv(1)


def witnessed(
    path: str, added: Sequence[str], spoken: Sequence[str], protocols: tuple[int, ...]
) -> int:
    """Watch hosts while others are spoken to; return how many descriptors were left open."""
    before = open_descriptors()
    with EvidenceWriter(path, complain=refuse) as evidence:
        witness = Witness(evidence, protocols)
        families = {one: socket.AF_INET6 if ":" in one else socket.AF_INET for one in added}
        witness.add(Target(one, families[one]) for one in added)
        assert witness.done
        assert len(witness.descriptors) == 1
        _talk(spoken, (50, 51))
        witness.close()
        witness.close()
    return len(open_descriptors() - before)


def packets_of(path: str) -> list[tuple[Packet, str]]:
    """Return the packets of a file, with the direction that stands beside each."""
    with open(path, "rb") as file:  # noqa: PTH123  # a path as text, as the other process takes it
        return [
            (Packet.decode(record.octets, link_type=_RAW_IP), record.direction)
            for record in read_records(file)
        ]


@pytest.mark.parametrize("address", [TARGET, TARGET6])
def test_every_packet_of_both_ways_is_there(network: Network, tmp_path: Path, address: str) -> None:
    path = str(tmp_path / "seen.pcapng")
    assert not network.scanner.call(witnessed, path, [address], [address], (6, 17))
    found = packets_of(path)
    tcp = [
        (
            packet[TCP].dst_port if way == "out" else packet[TCP].src_port,
            int(packet[TCP].flags),
            way,
        )
        for packet, way in found
        if packet.get(TCP) is not None and packet.get(UDP) is None
    ]
    assert {(50, _SYN, "out"), (50, _SYN_ACK, "in"), (51, _SYN, "out"), (51, _RST_ACK, "in")} <= {
        *tcp
    }
    datagrams = [packet for packet, way in found if packet.get(UDP) is not None and way == "out"]
    assert [packet[UDP].dst_port for packet in datagrams] == [50, 51]
    if address == TARGET:
        errors = [packet for packet, way in found if packet.get(ICMP) is not None]
        assert len(errors) == 2
    assert {way for _, way in found} == {"in", "out"}


def test_what_goes_to_others_is_not_written_down(network: Network, tmp_path: Path) -> None:
    path = str(tmp_path / "seen.pcapng")
    network.scanner.call(witnessed, path, ["10.62.0.99"], [TARGET, TARGET6], (6, 17))
    assert packets_of(path) == []


def taken(path: str, added: Sequence[str], spoken: Sequence[str]) -> int:
    """Watch hosts while others are spoken to; return how many packets the kernel handed over."""
    with EvidenceWriter(path, complain=refuse) as evidence:
        witness = Witness(evidence, (6, 17))
        witness.add(Target(one, socket.AF_INET) for one in added)
        _connect(spoken)
        witness.forget()
        _connect(added[:1])
        witness.close()
        return witness.taken


def _connect(hosts: Sequence[str]) -> None:
    for host in hosts:
        with socket.socket() as sock:
            sock.settimeout(5)
            sock.connect_ex((host, 50))


def test_packets_of_strangers_take_no_room(network: Network, tmp_path: Path) -> None:
    assert network.scanner.call(taken, str(tmp_path / "a"), ["127.0.0.9"], [TARGET]) == 0
    assert network.scanner.call(taken, str(tmp_path / "b"), [TARGET], [TARGET]) >= 3
    many = [TARGET, *(f"10.62.0.{last}" for last in range(10, 100))]
    assert network.scanner.call(taken, str(tmp_path / "c"), many, [TARGET]) >= 3


@pytest.mark.parametrize(("protocol", "header"), [(6, TCP), (17, UDP)])
def test_only_the_protocols_of_the_scan_are_written_down_and_errors_about_them(
    network: Network, tmp_path: Path, protocol: int, header: type[TCP | UDP]
) -> None:
    path = str(tmp_path / "seen.pcapng")
    network.scanner.call(witnessed, path, [TARGET], [TARGET], (protocol,))
    found = [packet for packet, way in packets_of(path) if way == "out"]
    assert found
    assert all(packet.get(header) is not None for packet in found)
    # That a UDP port is closed is said by ICMP.
    assert any(packet.get(ICMP) is not None for packet, _ in packets_of(path)) is (header is UDP)


@pytest.mark.parametrize("address", [SCANNER, "127.0.0.1", "::1"])
def test_packets_that_stay_inside_the_machine_are_there_once(
    network: Network, tmp_path: Path, address: str
) -> None:
    path = str(tmp_path / "seen.pcapng")
    network.scanner.call(witnessed, path, [address], [address], (6, 17))
    asked = [
        packet[TCP].dst_port
        for packet, _ in packets_of(path)
        if packet.get(TCP) is not None and int(packet[TCP].flags) == _SYN
    ]
    assert asked == [50, 51]


def _unprivileged(path: str) -> str:
    with EvidenceWriter(path, complain=refuse) as evidence:
        try:
            Witness(evidence, (6,))
        except PermissionError as error:
            return str(error)
    return ""


def test_without_privilege_it_says_which_one_is_missing(network: Network, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    said = network.scanner.call_unprivileged(_unprivileged, str(tmp_path / "none.pcapng"))
    assert "CAP_NET_RAW" in said
