"""Datagrams over the real loopback, and the ICMP errors that come back for them."""

from __future__ import annotations

import errno
import select
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from sockwright.errors import EndpointError
from sockwright.sockets import Datagram, Endpoint, datagram

if TYPE_CHECKING:
    from pathlib import Path


def _closed_port(host: str) -> Endpoint:
    with datagram(f"udp://{host}:0") as sock:
        return sock.local_address


@pytest.mark.parametrize("host", ["", "[::1]", "localhost"])
def test_datagrams_keep_their_boundaries_and_tell_their_sender(host: str) -> None:
    with (
        datagram(f"udp://{host}:0", timeout=5) as server,
        datagram(remote=server.local_address, timeout=5) as client,
    ):
        for octets in (b"one", b"", b"three"):
            client.send(octets)
        assert server.receive() == b"one"
        octets, sender = server.receive_from()
        assert (octets, sender) == (b"", client.local_address)
        assert server.receive(2) == b"th"
        server.send_to(b"answer", sender)
        assert client.receive() == b"answer"
        assert client.remote_address == server.local_address
        assert client.connected
        assert not server.connected


def test_every_address_means_both_versions_of_ip() -> None:
    with datagram("udp://*:0", timeout=5) as server:
        port = server.local_address.port
        for host in ("127.0.0.1", "[::1]"):
            with datagram(remote=f"udp://{host}:{port}", timeout=5) as client:
                client.send(b"x")
                octets, sender = server.receive_from()
                server.send_to(octets, sender)
                assert client.receive() == b"x"
        with datagram("udp://127.0.0.1:0", timeout=5) as plain:
            server.send_to(b"mapped", plain.local_address)
            assert plain.receive() == b"mapped"


@pytest.mark.parametrize("form", ["unix:{}/{}", "unix-abstract:sockwright{}{}"])
def test_unix_datagrams_find_their_way_back(form: str, tmp_path: Path) -> None:
    server_at, client_at = form.format(tmp_path, "s"), form.format(tmp_path, "c")
    with datagram(server_at) as server, datagram(client_at, remote=server_at) as client:
        client.send(b"question")
        octets, sender = server.receive_from()
        assert str(sender) == f"{client_at}?type=datagram"
        server.send_to(octets.upper(), sender)
        assert client.receive() == b"QUESTION"
        with datagram(remote=server_at) as nameless:
            nameless.send(b"no name")
            _, sender = server.receive_from()
            assert sender.path == ""
            with pytest.raises(EndpointError, match="unnamed"):
                server.send_to(b"", Endpoint("unix"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (
            "127.0.0.1",
            "127.0.0.1 sent ICMP destination unreachable: port unreachable (type 3, code 3",
        ),
        ("[::1]", "::1 sent ICMPv6 destination unreachable: port unreachable (type 1, code 4"),
    ],
)
def test_port_unreachable_reaches_a_connected_socket(host: str, said: str) -> None:
    target = _closed_port(host)
    with datagram(remote=target, timeout=5) as client:
        client.send(b"is anybody there?")
        with pytest.raises(ConnectionRefusedError) as caught:
            client.receive()
        assert said in str(caught.value)
        assert str(target) in str(caught.value)
        (report,) = client.take_errors()
        assert report.errno == errno.ECONNREFUSED
        assert report.octets == b"is anybody there?"
        assert report.target == target
        assert client.take_errors() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_port_unreachable_reaches_a_socket_that_is_not_connected(host: str) -> None:
    first, second = _closed_port(host), _closed_port(host)
    with datagram(f"udp://{host}:0", timeout=5) as sock:
        sock.send_to(b"a", first)
        with pytest.raises(ConnectionRefusedError, match="port unreachable"):
            sock.receive()
        sock.send_to(b"b", second)
        poll = select.poll()
        poll.register(sock, 0)  # for errors
        assert poll.poll(5000)
        with pytest.raises(ConnectionRefusedError):
            sock.send_to(b"c", second)
        assert [(r.octets, r.target) for r in sock.take_errors()] == [(b"a", first), (b"b", second)]


def test_an_ipv6_socket_hears_of_ipv4_errors() -> None:
    with datagram("udp://*:0", timeout=5) as sock:
        sock.send_to(b"a", _closed_port("127.0.0.1"))
        with pytest.raises(ConnectionRefusedError, match=r"127\.0\.0\.1 sent ICMP "):
            sock.receive()


def test_a_datagram_that_is_too_large_says_what_fits() -> None:
    with datagram(remote="udp://127.0.0.1:9") as sock:
        with pytest.raises(OSError, match="65507") as caught:
            sock.send(bytes(65508))
        assert caught.value.errno == errno.EMSGSIZE
        (report,) = sock.take_errors()
        assert str(report) == "this host refused it (MTU 65535)"


def test_broadcast_has_to_be_allowed() -> None:
    with datagram("udp://:0") as sock:
        with pytest.raises(PermissionError, match=r"set \.broadcast = True"):
            sock.send_to(b"x", "udp://255.255.255.255:9")
        sock.broadcast = True
        assert sock.broadcast


def test_a_receiver_is_needed() -> None:
    with datagram("udp://:0") as sock, pytest.raises(OSError, match="name the receiver"):
        sock.send(b"x")
    with pytest.raises(EndpointError, match="needs a local or a remote endpoint"):
        datagram()
    with pytest.raises(EndpointError, match="does not fit here: udp, unix"):
        datagram("tcp://:0")
    with datagram("udp://:0") as sock, pytest.raises(EndpointError, match="cannot be reached from"):
        sock.send_to(b"x", "udp://[::1]:9")


def test_a_silent_peer_meets_the_time_limit() -> None:
    with datagram("udp://:0", timeout=0.05) as sock:
        with pytest.raises(TimeoutError, match="time limit"):
            sock.receive()
        with pytest.raises(TimeoutError):
            sock.receive_from()


def test_existing_sockets_are_wrapped_as_they_are() -> None:
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with Datagram(one) as left, Datagram(two) as right:
        left.send(b"x")
        assert right.receive_from() == (b"x", Endpoint("unix", delivery="datagram"))
        assert left.take_errors() == []


def test_socat_answers_a_datagram() -> None:
    with datagram("udp://:0", timeout=10) as sock:
        port = sock.local_address.port
        command = ["socat", "-T20", "STDIO", f"UDP:127.0.0.1:{port}"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peer:
            assert peer.stdin
            assert peer.stdout
            peer.stdin.write(b"from socat\n")
            peer.stdin.flush()
            octets, sender = sock.receive_from()
            sock.send_to(octets.upper(), sender)
            assert peer.stdout.readline() == b"FROM SOCAT\n"
            peer.stdin.close()
            assert peer.wait(10) == 0
