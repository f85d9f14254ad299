"""Streams and their listeners over the real loopback."""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sockwright.errors import EndOfStreamError, EndpointError, LimitError
from sockwright.sockets import Endpoint, Listener, Seqpacket, Stream, connect, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def pair() -> Iterator[tuple[Stream, Stream]]:
    with (
        listen("tcp://:0") as listener,
        connect(listener.local_address) as client,
        listener.accept() as server,
    ):
        yield client, server


@pytest.mark.parametrize(
    "endpoint", ["tcp://:0", "tcp://[::1]:0", "tcp://*:0", "tcp://localhost:0"]
)
def test_a_stream_carries_octets_both_ways(endpoint: str) -> None:
    with listen(endpoint, timeout=5) as listener:
        port = listener.local_address.port
        host = {"::1": "::1", "::": "127.0.0.1"}.get(listener.local_address.host, "127.0.0.1")
        endpoint = str(Endpoint("tcp", host, port))
        with connect(endpoint, timeout=5) as client, listener.accept() as server:
            client.send_all(b"question\n")
            assert server.recv_until(b"\n") == b"question\n"
            server.send_all(b"answer")
            assert client.recv_exactly(6) == b"answer"
            assert client.remote_address.port == server.local_address.port == port
            assert client.timeout == 5


@pytest.mark.parametrize("form", ["unix:{}/s", "unix-abstract:sockwright-{}"])
@pytest.mark.parametrize("kind", [Stream, Seqpacket])
def test_unix_sockets_carry_streams_and_messages(
    form: str, kind: type[Stream | Seqpacket], tmp_path: Path
) -> None:
    endpoint = form.format(tmp_path)
    if kind is Stream:
        with listen(endpoint) as listener, connect(endpoint) as client, listener.accept() as server:
            client.send_all(b"ab")
            client.send_all(b"cd")
            assert server.recv_exactly(4) == b"abcd"
            assert client.local_address == Endpoint("unix")
    else:
        with (
            listen(endpoint, Seqpacket) as messages,
            connect(endpoint, Seqpacket) as sender,
            messages.accept() as receiver,
        ):
            sender.send(b"ab")
            sender.send(b"cd")
            assert receiver.receive() == b"ab"
            assert receiver.receive(1) == b"c"
            receiver.send(b"e")
            receiver.send_eof()
            assert list(sender) == [b"e"]
            with pytest.raises(ValueError, match="empty message"):
                sender.send(b"")


def test_the_path_of_a_listener_goes_with_it_but_not_another_file_there(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listen(f"unix:{path}"):
        assert path.is_socket()
    assert not path.exists()
    with listen(f"unix:{path}"):
        path.unlink()
        path.write_text("another")
    assert path.read_text() == "another"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
def test_a_path_in_use_is_told_from_one_that_was_left_behind(
    tmp_path: Path, kind: socket.SocketKind
) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, kind) as there:
        there.bind(path)
        if kind != socket.SOCK_DGRAM:
            there.listen()
        with pytest.raises(OSError, match="a process has a socket there") as caught:
            listen(f"unix:{path}")
        assert caught.value.errno == errno.EADDRINUSE
        # Who has it never hears that it was looked at.
        there.setblocking(False)
        with pytest.raises(BlockingIOError):
            there.recv(1) if kind == socket.SOCK_DGRAM else there.accept()
    with pytest.raises(OSError, match="was left behind and may be deleted") as caught:
        listen(f"unix:{path}")
    assert caught.value.errno == errno.EADDRINUSE


def test_an_address_in_use_is_told_as_the_one_that_it_stands_for() -> None:
    with listen("tcp://:0") as listener:
        port = listener.local_address.port
        with pytest.raises(OSError, match=rf"bind to tcp://127\.0\.0\.1:{port}: Address already"):
            listen(f"tcp://:{port}")


def test_a_path_that_is_no_socket_is_not_called_left_behind(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to("nosuch")
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(OSError, match="is no socket"):
            listen(f"unix:{path}")


def test_half_close_ends_one_direction_only(pair: tuple[Stream, Stream]) -> None:
    client, server = pair
    client.send_all(b"all I have to say")
    client.send_eof()
    assert server.receive_all(limit=100) == b"all I have to say"
    server.send_all(b"the answer comes later")
    assert client.recv_exactly(10) == b"the answer"
    with pytest.raises(BrokenPipeError, match=r"send_eof\(\) was called"):
        client.send(b"x")


def test_recv_exactly_keeps_what_is_over_for_the_next_call(pair: tuple[Stream, Stream]) -> None:
    client, server = pair
    client.send_all(b"abcdef\nrest")
    assert server.recv_exactly(2) == b"ab"
    assert server.recv_until(b"\n") == b"cdef\n"
    assert server.recv_exactly(1) == b"r"
    assert server.pending == 3
    assert server.receive(2) == b"es"
    assert server.receive() == b"t"


def test_a_count_below_0_takes_nothing(pair: tuple[Stream, Stream]) -> None:
    left, right = pair
    left.send_all(b"ab")
    assert right.recv_exactly(1) == b"a"
    with pytest.raises(ValueError, match="count: -1 is less than 0"):
        right.recv_exactly(-1)
    assert right.recv_exactly(1) == b"b"


def test_a_stream_that_ends_early_says_how_far_it_came(pair: tuple[Stream, Stream]) -> None:
    client, server = pair
    client.send_all(b"abc")
    client.send_eof()
    with pytest.raises(EndOfStreamError, match="3 of 5 octets") as caught:
        server.recv_exactly(5)
    assert caught.value.partial == b"abc"
    with pytest.raises(EndOfStreamError, match="before b'x'"):
        server.recv_until(b"x")
    assert server.receive() == b"abc"  # nothing was taken
    assert server.receive() == b""


def test_another_delimiter_is_looked_for_from_the_front(pair: tuple[Stream, Stream]) -> None:
    client, server = pair
    client.send_all(b"one\ntwo")
    server.timeout = 0.01
    with pytest.raises(TimeoutError):
        server.recv_until(b"END")
    assert server.recv_until(b"\n") == b"one\n"


def test_recv_until_stops_at_its_limit(pair: tuple[Stream, Stream]) -> None:
    client, server = pair
    client.send_all(b"0123456789\n")
    with pytest.raises(LimitError, match="within 10 octets"):
        server.recv_until(b"\n", limit=10)
    assert server.recv_until(b"\n", limit=11) == b"0123456789\n"
    client.send_all(b"more")
    with pytest.raises(LimitError, match="more than 3"):
        server.receive_all(limit=3)


def test_a_delimiter_in_two_pieces_is_found(pair: tuple[Stream, Stream]) -> None:
    client, server = pair
    client.nodelay = True
    client.send_all(b"abc\r")
    assert server.recv_exactly(1) == b"a"
    client.send_all(b"\nd")
    assert server.recv_until(b"\r\n") == b"bc\r\n"


def test_a_silent_peer_meets_the_time_limit(pair: tuple[Stream, Stream]) -> None:
    _, server = pair
    server.timeout = 0.05
    calls: list[Callable[[], object]] = [
        server.receive,
        lambda: server.recv_exactly(1),
        lambda: server.recv_until(b"x"),
        lambda: server.receive_all(limit=9),
    ]
    for call in calls:
        with pytest.raises(TimeoutError, match="the time limit has passed"):
            call()
    assert server.timeout == 0.05


def test_a_slow_peer_does_not_extend_the_time_limit(pair: tuple[Stream, Stream]) -> None:
    client, server = pair
    server.timeout = 0.2
    client.send(b"..")  # for sure within the time limit
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.02):  # the peer is slow, the test does not wait
            client.send(b".")

    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        with pytest.raises(TimeoutError):
            server.recv_exactly(1000)
    finally:
        stop.set()
        sender.join()
    assert server.pending > 1


def test_a_full_peer_makes_sends_partial_and_then_late(pair: tuple[Stream, Stream]) -> None:
    client, _ = pair
    client.timeout = 0.05
    client.send_buffer = 4096
    big = bytes(10_000_000)
    assert 0 < client.send(big) < len(big)
    with pytest.raises(TimeoutError):
        client.send_all(big)


def test_a_large_transfer_arrives_whole(pair: tuple[Stream, Stream]) -> None:
    client, server = pair
    octets = os.urandom(3_000_000)
    sender = threading.Thread(target=client.send_all, args=(octets,))
    sender.start()
    assert server.recv_exactly(len(octets)) == octets
    sender.join()


def test_signals_do_not_break_a_call(pair: tuple[Stream, Stream]) -> None:
    client, server = pair
    server.timeout = 5
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 20:
            client.send_all(b"done")

    before = signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        assert server.recv_exactly(4) == b"done"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen >= 20


def test_a_reset_is_a_reset(pair: tuple[Stream, Stream]) -> None:
    client, server = pair
    client.linger = 0
    assert client.linger == 0
    client.close()
    with pytest.raises(ConnectionResetError, match="RST"):
        server.receive()
    assert not server.connected


def test_nobody_listening_is_refused_with_the_endpoint_in_the_text() -> None:
    with listen("tcp://:0") as listener:
        endpoint = listener.local_address
    with pytest.raises(ConnectionRefusedError, match="nobody listens there") as caught:
        connect(endpoint)
    assert str(endpoint) in str(caught.value)
    assert caught.value.errno == errno.ECONNREFUSED


def test_connect_to_a_full_backlog_meets_its_time_limit() -> None:
    # The queue takes one more than its limit; after that SYNs are dropped.
    with (
        listen("tcp://:0", backlog=0) as listener,
        connect(listener.local_address),
        pytest.raises(TimeoutError, match=r"no answer within 0\.05 seconds"),
    ):
        connect(listener.local_address, timeout=0.05)


def test_accept_meets_its_time_limit() -> None:
    with listen("tcp://:0", timeout=0.05) as listener, pytest.raises(TimeoutError, match="accept"):
        listener.accept()


def test_connect_from_a_chosen_address() -> None:
    with listen("tcp://:0") as listener, listen("tcp://127.0.0.9:0") as chosen:
        local = chosen.local_address
        chosen.close()
        with connect(listener.local_address, local=local) as client:
            assert client.local_address == local
        with pytest.raises(EndpointError, match="not of the family"):
            connect(listener.local_address, local="tcp://[::1]:0")


def test_a_socket_is_prepared_before_it_is_connected() -> None:
    prepared: list[socket.socket] = []

    def prepare(sock: socket.socket) -> None:
        with pytest.raises(OSError, match="not connected"):
            sock.getpeername()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        prepared.append(sock)

    with listen("tcp://:0", timeout=10) as listener:
        with connect(listener.local_address, prepare=prepare) as client:
            assert prepared == [client.socket]
            server = listener.accept()
        with server, pytest.raises(ConnectionResetError):
            server.receive(1)


def test_an_address_of_another_machine_is_explained() -> None:
    with pytest.raises(OSError, match="no interface of this machine") as caught:
        listen("tcp://192.0.2.1:0")
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_a_port_in_use_is_explained() -> None:
    with listen("tcp://:0") as listener, pytest.raises(OSError, match="ss -lnp") as caught:
        listen(listener.local_address)
    assert caught.value.errno == errno.EADDRINUSE


def test_a_name_that_does_not_resolve_stays_a_gaierror() -> None:
    with pytest.raises(socket.gaierror, match=r"look up name\.invalid"):
        connect("tcp://name.invalid:80")


@pytest.mark.parametrize("endpoint", ["udp://:1", "raw://", "packet://lo"])
def test_connect_refuses_what_is_not_a_connection(endpoint: str) -> None:
    with pytest.raises(EndpointError, match=r"does not fit here: tcp, unix"):
        connect(endpoint)


def test_a_seqpacket_endpoint_needs_its_class() -> None:
    with pytest.raises(EndpointError, match=r"open it with connect\(..., Seqpacket\)"):
        connect("unix:/x?type=seqpacket")
    with pytest.raises(EndpointError, match=r"open it with datagram"):
        connect("unix:/x?type=datagram", Seqpacket)
    with pytest.raises(EndpointError, match=r"only unix:, unix-abstract: and vsock:"):
        connect("tcp://:1", Seqpacket)


def test_options_are_typed_properties(pair: tuple[Stream, Stream]) -> None:
    client, _ = pair
    client.nodelay = True
    client.keepalive = True
    client.ttl = 9
    client.tos = 0x10
    client.receive_buffer = 8192
    assert (client.nodelay, client.keepalive, client.reuse_address) == (True, True, False)
    assert (client.ttl, client.tos, client.linger) == (9, 0x10, None)
    assert client.receive_buffer == 16384  # the kernel doubles it
    client.linger = 3
    assert client.linger == 3
    assert client.socket.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 9
    assert Stream.ttl.__doc__
    assert client.device == ""


def test_ttl_of_ipv6_is_the_hop_limit() -> None:
    with listen("tcp://[::1]:0") as listener:
        listener.ttl = 7
        assert listener.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) == 7
        assert listener.ttl == 7


def test_an_option_that_does_not_exist_there_says_which() -> None:
    one, two = socket.socketpair()
    with Stream(one) as left, Stream(two), pytest.raises(OSError, match="set the option nodelay"):
        left.nodelay = True


def test_existing_sockets_are_wrapped_as_they_are() -> None:
    one, two = socket.socketpair()
    one.settimeout(3)
    with Stream(one) as left, Stream(two) as right:
        assert left.timeout == 3
        left.send_all(b"x")
        assert right.receive() == b"x"
        assert left.fileno() == one.fileno()
        assert "unix:" in repr(left)
    assert left.closed
    assert repr(left) == "<Stream closed>"
    left.close()
    raw = socket.create_server(("127.0.0.1", 0))
    with Listener(raw, Stream) as listener, connect(listener.local_address):
        listener.accept().close()


def test_closed_sockets_fail_as_the_kernel_says() -> None:
    one, two = socket.socketpair()
    two.close()
    stream = Stream(one)
    stream.close()
    with pytest.raises(OSError, match="EBADF"):
        stream.receive()


def test_iteration_gives_octets_until_the_end(pair: tuple[Stream, Stream]) -> None:
    client, server = pair
    client.send_all(b"abc")
    client.close()
    assert b"".join(server) == b"abc"


def test_socat_echoes_through_a_stream() -> None:
    with listen("tcp://:0", timeout=10) as listener:
        # By itself it gives cat half a second after the end of what is sent.
        command = ["socat", "-t20", f"TCP:127.0.0.1:{listener.local_address.port}", "EXEC:cat"]
        with subprocess.Popen(command) as peer, listener.accept() as server:
            server.timeout = 10
            server.send_all(b"through cat\n")
            server.send_eof()
            assert server.receive_all(limit=100) == b"through cat\n"
            assert peer.wait(10) == 0


def test_nc_is_heard(tmp_path: Path) -> None:
    with listen(f"unix:{tmp_path}/s", timeout=10) as listener:
        command = ["nc", "-N", "-U", f"{tmp_path}/s"]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as peer, listener.accept() as server:
            assert peer.stdin
            peer.stdin.write(b"hello\n")
            peer.stdin.close()
            assert server.receive_all(limit=100) == b"hello\n"


def test_a_low_port_without_the_privilege_says_what_to_do(
    unprivileged: Callable[[str], str],
) -> None:
    limit = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if limit <= 1:
        pytest.skip("every port is open to every user here (ip_unprivileged_port_start)")
    said = unprivileged(
        "from sockwright.sockets import listen\n"
        "try: listen('tcp://:1')\n"
        "except PermissionError as e: print(e.errno, e)"
    )
    assert said.startswith("13 ")
    for part in ("CAP_NET_BIND_SERVICE", "with no capability", "sw lab shell", "setpriv", "EACCES"):
        assert part in said
    assert "setcap" not in said
