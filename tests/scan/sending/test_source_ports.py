"""The ports that probes come from: held while a scan goes on, silent, and free again after it."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import struct
from contextlib import contextmanager
from itertools import count, islice
from typing import TYPE_CHECKING

import pytest
from tests.open_files import open_descriptors
from tests.scan.topology import SCANNER, SCANNER6, TARGET, TARGET6, Network

from sockwright.scan.sending.evidence import with_ip_header
from sockwright.scan.sending.source_ports import SourcePorts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.lab import Host

_SYN_ACK, _RST = 0x12, 0x04
_COUNT = 32


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


def _is_free(port: int) -> bool:
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            try:
                sock.bind((address, port))
            except OSError:
                return False
    return True


def test_neighbouring_ports_are_held_for_both_versions_and_let_go_at_the_end(
    network: Network,
) -> None:
    def hold() -> None:  # where nobody else takes them when they are free
        before = open_descriptors()
        with SourcePorts(_COUNT) as held:
            ports = range(held.first, held.first + _COUNT)
            assert held.count == _COUNT
            assert not any(map(_is_free, ports))
        assert all(map(_is_free, ports))
        held.close()
        assert not open_descriptors() - before

    network.scanner.call(hold)


def test_two_scans_hold_ports_of_their_own() -> None:
    with SourcePorts(_COUNT) as one, SourcePorts(_COUNT) as other:
        assert abs(one.first - other.first) >= _COUNT


def test_a_process_that_is_killed_leaves_no_port_behind(network: Network) -> None:
    reading, writing = os.pipe()

    def hold() -> None:
        held = SourcePorts(_COUNT)
        os.write(writing, struct.pack("!H", held.first))
        signal.pause()

    call = network.scanner.start(hold)
    try:
        (first,) = struct.unpack("!H", os.read(reading, 2))
        assert not network.scanner.call(_is_free, first)
    finally:
        call.kill()
        os.close(reading)
        os.close(writing)
    ports = range(first, first + _COUNT)
    assert network.scanner.call(lambda: all(map(_is_free, ports)))


def test_where_descriptors_run_out_nothing_is_kept(network: Network) -> None:
    def too_few() -> tuple[int, int]:
        before = open_descriptors()
        taken = {int(number) for number, _ in before}
        limit = next(islice((one for one in count() if one not in taken), 10, None))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        with pytest.raises(OSError) as raised:  # noqa: PT011
            SourcePorts(_COUNT)
        return raised.value.errno or 0, len(open_descriptors() - before)

    assert network.scanner.call(too_few) == (errno.EMFILE, 0)


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("version", [4, 6])
def test_the_kernel_sends_no_rst_from_a_held_port_and_does_from_others(
    network: Network, version: int
) -> None:
    # The held port is asked first: the RST of the other one says that none will come from it.
    with (
        network.target.capture(interface="net") as capture,
        holding(network.scanner) as first,
    ):
        _send(network.target, first, version)
        _send(network.target, first - 1, version)
        capture.until(lambda frame: _is_rst(frame.octets, first - 1, version))
        assert not any(_is_rst(frame.octets, first, version) for frame in capture.frames)


@pytest.mark.needs("namespaces")
def test_a_port_that_was_let_go_answers_as_any_other(network: Network) -> None:
    with holding(network.scanner) as first:
        pass
    with network.target.capture(interface="net") as capture:
        _send(network.target, first, 4)
        capture.until(lambda frame: _is_rst(frame.octets, first, 4))


@contextmanager
def holding(host: Host) -> Iterator[int]:
    """Hold a port in a host; give its number."""
    told, telling = os.pipe()
    waiting, ending = os.pipe()

    def hold() -> None:
        os.close(ending)
        with SourcePorts(1) as held:
            os.write(telling, struct.pack("!H", held.first))
            os.read(waiting, 1)

    call = host.start(hold)
    try:
        yield struct.unpack("!H", os.read(told, 2))[0]
    finally:
        os.close(ending)
        call.result(5)
        for descriptor in (told, telling, waiting):
            os.close(descriptor)


def _send(target: Host, port: int, version: int) -> None:
    """Send a SYN-ACK to a port of the scanner that nobody has asked for."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    here, there = (TARGET, SCANNER) if version == 4 else (TARGET6, SCANNER6)
    source, destination = (socket.inet_pton(family, one) for one in (here, there))
    segment = struct.pack("!HHIIHHHH", 80, port, 1, 2, 5 << 12 | _SYN_ACK, 1024, 0, 0)
    pseudo = source + destination + struct.pack("!II", len(segment), socket.IPPROTO_TCP)
    segment = segment[:16] + _checksum(pseudo + segment) + b"\0\0"
    with target.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        sock.sendto(with_ip_header(source, destination, segment), (there, 0))


def _checksum(octets: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)


def _is_rst(frame: bytes, port: int, version: int) -> bool:
    at = 14 + (20 if version == 4 else 40)
    if len(frame) < at + 14 or frame[12:14] != (b"\x08\x00" if version == 4 else b"\x86\xdd"):
        return False
    (source,) = struct.unpack_from("!H", frame, at)
    return source == port and bool(frame[at + 13] & _RST)
