"""Peers that mean harm, or are merely odd, cost so much and no more."""

from __future__ import annotations

import contextlib
import itertools
import resource
import socket
import struct
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from tests.scan.services.peers import HERE, descriptors, identify, says, script

from sockwright.scan.services import identify_services
from sockwright.scan.services.identify import MUTE_PORTS, MUTE_UDP_PORTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.scan.results import Service

    Talk = Callable[[socket.socket], None]


def _texts(service: Service) -> list[str]:
    words = [service.name, service.product, service.version, service.extra, service.hostname]
    return [*words, service.os, service.device, service.banner, *service.details.values()]


def _always(piece: bytes) -> Talk:
    """Return a talk that sends a piece again and again, as fast as it is taken."""

    def talk(sock: socket.socket) -> None:
        while True:
            sock.sendall(piece)

    return talk


def _after_request(head: bytes, piece: bytes = b"", times: int = 0) -> Talk:
    def talk(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(head)
        for _ in range(times):
            sock.sendall(piece)

    return talk


def _drip(sock: socket.socket, piece: bytes = b"x") -> None:
    """Send an octet now and then, without end: the receiver's silence ends it."""
    while True:
        sock.sendall(piece)
        with contextlib.suppress(TimeoutError):
            sock.settimeout(0.05)
            if not sock.recv(4096):
                return


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


_HTTP = b"HTTP/1.1 200 OK\r\n"
_FLOODS = {
    "octets": _always(bytes(range(256)) * 64),
    "lines": _always(b"220 " + b"A" * 65536),
    "ssh": _always(b"SSH-2.0-" + b"x" * 4096),
    "alerts": _always(b"\x15\x03\x01\0\x02\x01\0" * 1000),
    "telnet": _always(b"\xff\xfd\x18" * 4000),
    "headers": _after_request(_HTTP, b"X-Header: " + b"y" * 1000 + b"\r\n", 4000),
    "title": _after_request(_HTTP + b"\r\n<title>", b"t" * 65536, 16),
    "json": _after_request(_HTTP + b"\r\n", b'{"a":' * 10000, 20),
    "kexinit": _always(b"SSH-2.0-x\r\n\x00\x00\x80\x00\x04\x14" + b"\xff" * 4096),
}


@pytest.mark.parametrize("name", _FLOODS)
def test_a_flood_is_bounded_in_octets_seconds_and_memory(name: str) -> None:
    identify(1, seconds=0.2)  # what is imported is not the flood's
    with script(_FLOODS[name]) as port:
        tracemalloc.start()
        begin = time.monotonic()
        try:
            service = identify(port, seconds=3.0)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert time.monotonic() - begin < 10
    assert peak < 8 << 20
    assert all(text.isprintable() and len(text) <= 400 for text in _texts(service))


def test_a_tarpit_that_drips_is_left_when_its_time_is_up() -> None:
    with script(_drip) as port:
        begin = time.monotonic()
        service = identify(port, seconds=1.0)
    assert time.monotonic() - begin < 10  # twenty without the limit
    assert service.confidence <= 0.5


def test_a_lone_dot_is_no_evidence_of_any_protocol() -> None:
    with script(_after_request(b".\r\n")) as port:
        service = identify(port)
    assert service.confidence == 0.4
    assert service.name != "gopher"


def test_a_port_that_resets_at_once_is_said_to_close_without_a_word() -> None:
    with script(_reset) as port:
        service = identify(port)
    assert service.name == "tcpwrapped"
    assert "closes" in service.extra


def _closes_but(silent: Callable[[int], bool]) -> Talk:
    """Return a talk that closes at once, but for the connections of these numbers."""
    numbers = itertools.count()

    def talk(sock: socket.socket) -> None:
        if silent(next(numbers)):
            while sock.recv(4096):
                pass

    return talk


@pytest.mark.parametrize("late", range(2))
def test_a_port_that_closes_is_named_so_though_it_was_late_once(late: int) -> None:
    with script(_closes_but(lambda number: number == late)) as port:
        assert identify(port).name == "tcpwrapped"


def test_a_port_that_is_mostly_silent_is_not_said_to_close() -> None:
    with script(_closes_but(lambda number: number % 4 != 3)) as port:
        assert identify(port, seconds=3.0).method == "table"


def test_a_closed_port_keeps_the_name_of_the_table_and_says_why() -> None:
    with socket.socket() as sock:
        sock.bind((HERE, 0))
        service = identify(sock.getsockname()[1])
    assert (service.method, service.confidence) == ("table", 0.0)
    assert service.details["probe"] == "not reached: Connection refused"


def test_what_would_act_on_a_terminal_comes_as_escapes() -> None:
    evil = "SSH-2.0-\x1b]0;owned\x07\u202eevil \x1b[2Jcomment\r\n".encode()
    with script(says(evil)) as port:
        service = identify(port)
    assert service.name == "ssh"
    assert all(text.isprintable() for text in _texts(service))
    assert r"\x1b]0;owned\x07" in service.details["ssh.software"]
    assert r"\u202e" in service.details["ssh.software"]


def test_a_certificate_may_say_anything(tmp_path: object) -> None:
    from sockwright.nc.tls.certificate import make_certificate
    from sockwright.scan.services.finding import Finding
    from sockwright.scan.services.protocols.tls import _describe_certificate

    for der in (b"", b"\x30\x82\xff\xff", make_certificate(["a" * 60 + ".example"])[1][:-7]):
        finding = Finding("tls")
        _describe_certificate(der, finding)
        assert finding.details["tls.fingerprint"].startswith("sha256:")


@contextlib.contextmanager
def _mute_ports(count: int) -> Iterator[list[int]]:
    """Listen on many ports; the kernel accepts, and nobody speaks."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.bind((HERE, 0))
            sock.listen(64)
            ports.append(sock.getsockname()[1])
        yield ports


def test_a_host_on_which_every_port_is_open_and_mute_is_soon_left_alone() -> None:
    with _mute_ports(MUTE_PORTS + 200) as ports:
        asked = [(HERE, port, "tcp") for port in ports] * 3
        begin = time.monotonic()
        found = list(identify_services(asked, seconds=0.5))  # type: ignore[arg-type]
    assert time.monotonic() - begin < 30
    assert len(found) == len(asked)
    skipped = [service for _, service in found if "not asked" in service.details["probe"]]
    assert len(skipped) > 400
    assert all(service.method == "table" for _, service in found)


def test_a_host_that_answers_nothing_by_udp_is_soon_left_alone() -> None:
    at_once = 50
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(MUTE_UDP_PORTS + 100):
            sock = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            sock.bind((HERE, 0))
            ports.append(sock.getsockname()[1])
        asked = [(HERE, port, "udp") for port in ports]
        found = list(identify_services(asked, seconds=0.5, at_once=at_once))  # type: ignore[arg-type]
    skipped = [service for _, service in found if "not asked" in service.details["probe"]]
    assert len(found) == MUTE_UDP_PORTS + 100
    # As many as are asked at once may be under way when the last one that it takes has ended.
    assert 100 - at_once < len(skipped) <= 100


def test_leaving_the_iteration_closes_every_socket() -> None:
    before = descriptors()
    with _mute_ports(40) as ports, script(says(b"SSH-2.0-x\r\n")) as port:
        listeners = descriptors() - before
        found = identify_services([(HERE, each, "tcp") for each in [*ports, port]])
        assert next(found)[1].name == "ssh"
        assert descriptors() - before > listeners + 30
        found.close()
        # The peer's side of a connection may be a moment behind.
        assert descriptors() - before <= listeners + 2


def test_few_descriptors_mean_few_connections_and_no_error() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with _mute_ports(30) as ports:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 12, hard))
        try:
            asked = [(HERE, port, "tcp") for port in ports]
            found = list(identify_services(asked, seconds=0.3))  # type: ignore[arg-type]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(found) == 30


def test_printers_are_sent_nothing() -> None:
    from sockwright.scan.services.examining import NEVER_ASKED

    for port in NEVER_ASKED:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((HERE, port))
            except OSError:
                continue  # somebody else has it: no other ports will do, and there are eight
            sock.listen()
            service = identify(port, seconds=0.5)
            accepted, _ = sock.accept()
            with accepted:
                accepted.settimeout(5)
                assert accepted.recv(100) == b""
            assert (service.name, service.method) == ("pdl-datastream", "table")
            return
    pytest.fail("all eight ports of printers are in use here")


def test_no_connection_is_made_beyond_the_limit_for_a_host() -> None:
    with _mute_ports(9) as ports:
        asked = [(HERE, port, "tcp") for port in ports]
        found = identify_services(asked, seconds=0.3, at_once_per_host=3)  # type: ignore[arg-type]
        before = descriptors()
        for _ in found:
            assert descriptors() - before <= 3 + 1  # and the epoll
