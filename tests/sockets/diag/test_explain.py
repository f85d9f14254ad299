"""`explain` says in plain words what real sockets are doing, in each kind and state."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.sockets.diag.own_network import own_network

from sockwright.lab import Lab
from sockwright.sockets.diag.explain import explain
from sockwright.sockets.diag.explain.machine import Machine
from sockwright.sockets.diag.inet import TCPSocket
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.namespace import open_socket
from sockwright.sockets.diag.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sockets.diag.population import Population

    from sockwright.sockets.diag.row import SocketRow

pytestmark = pytest.mark.needs("namespaces")
alone = pytest.mark.needs("root")

LOOPBACK = "reachable from this machine only (loopback)"
SECONDS = 10
BROADCAST = (
    "receives datagrams to port 5000 that are broadcast to a network of this machine as "
    "255.255.255.255, which no router passes on"
)
NEAR = (
    "receives datagrams to port 5000, at 10.9.0.1 (d0) only; other machines reach it unless a "
    "firewall forbids it"
)
TO_NOBODY = (
    "waits for connections to port 5000, at 10.9.0.255, an address of many, which takes no "
    "connections: nobody reaches it"
)


def rows_of(*tables: str) -> Iterator[SocketRow]:
    return dump(*tables, states="all", info=True, memory=True, processes=True)


class Told:
    """What `explain` says of the sockets of a machine."""

    def __init__(self, machine: Population) -> None:
        names = {made.inode: name for name, made in machine.sockets.items()}
        with machine.inside():
            about = Machine.gather()
            rows = list(rows_of())
        self.all = [(row, explain(row, about)) for row in rows]
        self.by_name = {f"{row.protocol}: {names[row.inode]}": text for row, text in self.all
                        if row.inode in names}  # fmt: skip

    def __getitem__(self, name: str) -> str:
        return self.by_name[name]

    def of(self, protocol: str, state: str) -> list[str]:
        return [text for row, text in self.all if (row.protocol, row.state) == (protocol, state)]


@pytest.fixture(scope="module")
def told(machine: Population) -> Told:
    return Told(machine)


def until(machine: Population, name: str, pattern: str) -> str:
    """Return what is said of a TCP socket when that has come to match; the kernel's timers run."""
    inode = machine.inode(name)
    deadline = time.monotonic() + SECONDS
    with machine.inside():
        about = Machine.gather()
        while True:
            (row,) = (one for one in dump("tcp", info=True) if one.inode == inode)
            text = explain(row, about)
            if re.search(pattern, text):
                return text
            assert time.monotonic() < deadline, text


# --- every sentence -----------------------------------------------------------------------------


@alone
def test_every_socket_has_sentences_with_capital_letter_and_full_stop(told: Told) -> None:
    assert {row.protocol for row, _ in told.all} >= {"tcp", "udp", "unix", "packet", "netlink"}
    assert {row.protocol for row, _ in told.all} <= TABLES.keys()
    for _, text in told.all:
        assert text.endswith(".")
        assert ".." not in text
        assert "  " not in re.sub(r"a name  with spaces", "", text)
        assert not re.search(r"\b1 (octets|places|processes|groups)\b", text), text
        assert "None" not in text


# --- TCP ----------------------------------------------------------------------------------------


@alone
def test_a_listener_says_who_waits_from_where_and_how_full_its_queue_is(
    told: Told, machine: Population
) -> None:
    who = rf"\S+ \(pid {machine.pid}\)"
    text = told["tcp: tcp4 listen, 3 of 5 places taken"]
    assert re.match(rf"{who} waits for connections to port \d+, {re.escape(LOOPBACK)}\. ", text)
    assert text.endswith("3 of 5 places in its accept queue are taken.")
    assert "Its accept queue is empty, with 16 places." in told["tcp: tcp6 listen"]
    assert LOOPBACK in told["tcp: tcp6 listen"]


@alone
def test_a_listener_on_a_low_port_says_that_it_takes_a_privilege(told: Told) -> None:
    low = told["tcp: tcp4 listen, reuseport 0"]
    assert "A port below 1024 takes a privilege (CAP_NET_BIND_SERVICE)." in low
    assert "privilege" not in told["tcp: tcp4 listen"]


@alone
def test_a_listener_on_any_address_says_which_that_is(told: Told) -> None:
    nobody_else = "now that is loopback alone, so only this machine reaches it"
    assert f"at every IPv4 address of this machine: {nobody_else}" in told["tcp: tcp4 listen, any"]
    both = f"at every address of this machine, IPv6 and IPv4: {nobody_else}"
    assert both in told["tcp: tcp6 listen, dual"]
    only = f"at every IPv6 address of this machine: {nobody_else}"
    assert only in told["tcp: tcp6 listen, v6only"]
    assert "with 0 places it still holds one connection" in told["tcp: tcp6 listen, v6only"]


@alone
def test_a_socket_of_several_processes_says_how_many(told: Told) -> None:
    assert told["tcp: tcp4 listen, shared"].endswith("3 more processes have this socket too.")


@alone
def test_a_socket_of_no_process_speaks_of_the_program(told: Told) -> None:
    assert told["tcp: tcp4 listen, of no process"].startswith("The program waits for connections")


@alone
def test_a_connection_says_whose_it_is_and_what_waits_in_which_direction(
    told: Told, machine: Population
) -> None:
    idle = told["tcp: tcp4 established"]
    peer = r"127\.0\.0\.1:\d+, and nothing waits in either direction\."
    assert re.fullmatch(rf"\S+ \(pid {machine.pid}\) is connected with {peer}", idle)
    with machine.inside():
        (row,) = (row for row in dump("tcp") if row.inode == machine.inode("tcp4 established"))
        assert re.fullmatch(f"Connected with {peer}", explain(row, Machine.gather()))
    unread = told["tcp: tcp4 established, unread, peer"]
    assert re.search(r"\. 1000 octets arrived and \S+ \(pid \d+\) has not read them\.$", unread)
    held = told["tcp: tcp4 established, unacknowledged"]
    assert "500 octets were written that the peer has not acknowledged yet." in held


@alone
def test_a_connection_that_nobody_accepted_says_so(told: Told) -> None:
    texts = [text for text in told.of("tcp", "ESTAB") if "no program has accepted" in text]
    assert len(texts) == 6


@alone
def test_a_peer_without_room_is_named_as_the_reason(told: Told) -> None:
    text = told["tcp: tcp4 established, zero window"]
    assert re.search(
        r"\d+ octets cannot be sent: the peer has no room for more \(zero window\), "
        r"as its program does not read; in [\d.]+ s the kernel asks again",
        text,
    )
    assert re.search(r"The peer's window held it back for \d+ % of the time that it had data", text)


@alone
def test_keep_alive_says_when_the_peer_is_asked(told: Told) -> None:
    text = told["tcp: tcp4 established, keepalive"]
    assert "In 120 min the kernel asks whether the peer is still there (keep-alive)." in text
    assert "nothing waits in either direction" in text


@alone
def test_retransmissions_are_counted_and_the_next_is_told(machine: Population) -> None:
    pattern = r"What is missing was sent again (once|twice|\d+ times), next in [\d.]+ s"
    text = until(machine, "tcp4 established, unacknowledged", pattern)
    assert "Packets are being lost" in text


@alone
def test_syn_sent_says_that_nobody_answers(machine: Population) -> None:
    text = until(machine, "tcp4 syn-sent", r"The request \(SYN\) was sent again")
    assert re.search(
        r"asked 127\.0\.0\.1:\d+ for a connection, and nobody has answered yet\. "
        r"The request \(SYN\) was sent again (once|twice|\d+ times), next in [\d.]+ "
        r"s\. The accept queue of the listener is full, or a firewall drops the requests; "
        r"unless TCP_SYNCNT is set, the kernel gives up after \d+ repetitions\.$",
        text,
    )


def give_up(address: str, retries: str, linear: str) -> tuple[str, int]:
    """Return what is said when the request was repeated, and how often it was in the end."""
    for name, value in (("tcp_syn_retries", retries), ("tcp_syn_linear_timeouts", linear)):
        Path(f"/proc/sys/net/ipv4/{name}").write_text(value)
    about = Machine.gather()
    text, most = "", 0
    with socket.socket() as sock:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect((address, 80))
        deadline = time.monotonic() + SECONDS
        while rows := [row for row in dump("tcp", states="syn-sent") if row.inode]:
            (row,) = rows
            assert isinstance(row, TCPSocket)
            if row.timer is not None and row.timer.retransmits:
                text, most = explain(row, about), max(most, row.timer.retransmits)
            assert time.monotonic() < deadline, text
            select.select([], [sock], [], 0.05)  # it is writable when the kernel has given up
    return text, most


def test_a_request_without_an_answer_counts_the_repetitions_as_the_kernel_does() -> None:
    if not Path("/proc/sys/net/ipv4/tcp_syn_linear_timeouts").exists():
        pytest.skip("this kernel has no tcp_syn_linear_timeouts")
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        lab.link(a, b).loss(1.0)
        text, most = a.call(give_up, b.ipv4, "1", "1")
    assert most == 2
    assert text.endswith(
        "That machine is down, the accept queue of its listener is full, or a firewall drops the "
        "requests; unless TCP_SYNCNT is set, the kernel gives up after 2 repetitions."
    )


@alone
def test_syn_recv_says_what_is_missing(told: Told) -> None:
    texts = told.of("tcp", "SYN-RECV")
    assert texts
    for text in texts:
        assert "asked for a connection; the answer is sent, and the last step of the" in text
        assert "the answer (SYN and ACK)" in text.replace("The", "the")


@alone
def test_close_wait_says_that_the_program_has_not_closed(told: Told, machine: Population) -> None:
    assert re.fullmatch(
        rf"127\.0\.0\.1:\d+ has closed its side, and \S+ \(pid {machine.pid}\) has not closed this "
        r"one\. It stays like this until the program calls close\(2\) or ends\.",
        told["tcp: tcp4 close-wait"],
    )


@alone
def test_close_wait_tells_data_from_the_end_of_the_stream(machine: Population) -> None:
    with machine.inside():
        about = Machine.gather()
        with socket.create_server(("127.0.0.1", 0)) as door, socket.socket() as client:
            client.connect(door.getsockname())
            server, _ = door.accept()
            with server:
                client.sendall(b"12345")
                client.shutdown(socket.SHUT_WR)
                server.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)
                with_data = explain(wait_for(server, "CLOSE-WAIT"), about)
            with socket.create_connection(door.getsockname()) as silent:
                server, _ = door.accept()
                with server:
                    silent.shutdown(socket.SHUT_WR)
                    at_the_end = explain(wait_for(server, "CLOSE-WAIT"), about)
    assert with_data.endswith("5 octets arrived and the program has not read them.")
    assert at_the_end.endswith("The program has not even read that the stream ends.")


def wait_for(sock: socket.socket, state: str) -> SocketRow:
    """Return the row of a socket of this process when it has come to this state."""
    inode = os.fstat(sock.fileno()).st_ino
    deadline = time.monotonic() + SECONDS
    while True:
        (row,) = (one for one in dump("tcp", info=True) if one.inode == inode)
        if row.state == state:
            return row
        assert time.monotonic() < deadline, row


@alone
def test_ends_of_connections_say_who_closed_and_what_is_missing(told: Told) -> None:
    first = told["tcp: tcp4 fin-wait-1"]
    assert re.search(
        r"has closed this side, and 127\.0\.0\.1:\d+ has not acknowledged that yet\. "
        r".*[Tt]he end \(FIN\)",
        first,
    )
    second = told["tcp: tcp6 fin-wait-2"]
    assert re.search(
        r"has closed this side, \[::1\]:\d+ knows it and has not closed its own yet, "
        r"so it may still send\.$",
        second,
    )
    assert "both sides have closed" in told["tcp: tcp4 last-ack"].lower()
    assert "has not acknowledged the end yet" in told["tcp: tcp4 last-ack"]
    assert "Both sides closed at the same time" in told["tcp: tcp4 closing"]
    orphans = [text for text in told.of("tcp", "FIN-WAIT-1") if "let go of the socket" in text]
    assert len(orphans) == 2


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("state", ["FIN-WAIT-1", "LAST-ACK"])
@alone
def test_an_end_that_finds_no_room_says_so(
    machine: Population, state: str, family: socket.AddressFamily
) -> None:
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    with machine.inside():
        about = Machine.gather()
        with socket.create_server((address, 0), family=family) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client = socket.create_connection(door.getsockname()[:2])
            server, _ = door.accept()
            with client, server:
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        client.send(bytes(4096))
                if state == "LAST-ACK":
                    server.shutdown(socket.SHUT_WR)
                    client.setblocking(True)
                    client.recv(1)
                client.shutdown(socket.SHUT_WR)
                wait_for(client, state)
                deadline = time.monotonic() + SECONDS
                text = ""
                while "zero window" not in text and time.monotonic() < deadline:
                    text = explain(wait_for(client, state), about)
    assert re.search(
        r"\d+ octets written before, and with them the end \(FIN\), cannot be sent: the peer has "
        r"no room for more \(zero window\), as its program does not read; in [\d.]+ s the kernel "
        r"asks again",
        text,
    ), text


@alone
def test_time_wait_says_for_how_long(told: Told) -> None:
    texts = told.of("tcp", "TIME-WAIT")
    assert texts
    for text in texts:
        assert re.match(
            r"Both sides have closed; for \d+(\.\d)? s more the kernel keeps the pair "
            r"of ports",
            text,
        )


@alone
def test_fin_wait_2_without_a_program_says_when_it_is_forgotten(machine: Population) -> None:
    with machine.inside():
        about = Machine.gather()
        with socket.create_server(("127.0.0.1", 0)) as door:
            client = socket.create_connection(door.getsockname())
            server, _ = door.accept()
            port = client.getsockname()[1]
            client.close()
            deadline = time.monotonic() + SECONDS
            text = ""
            while "forgets" not in text and time.monotonic() < deadline:
                text = " ".join(
                    explain(row, about) for row in dump("tcp") if row.local.endswith(f":{port}")
                )
            server.close()
    assert re.search(r"No program waits for that: the kernel forgets it in \d+(\.\d)? s\.", text)


@alone
def test_a_bound_socket_says_that_it_does_not_listen(told: Told) -> None:
    if "tcp: tcp4 bound" not in told.by_name:
        pytest.skip("this kernel does not list TCP sockets that are bound and nothing else")
    assert re.search(r"has taken port \d+, but neither listens nor", told["tcp: tcp4 bound"])


def full_queue() -> str:
    with socket.create_server(("127.0.0.1", 0), backlog=2) as door:
        clients = [socket.create_connection(door.getsockname()) for _ in range(3)]
        (row,) = (row for row in dump("tcp") if row.state == "LISTEN")
        text = explain(row, Machine.gather())
        for client in clients:
            client.close()
    return text


def reset_when_full() -> str:
    Path("/proc/sys/net/ipv4/tcp_abort_on_overflow").write_text("1")
    return full_queue()


def test_a_full_queue_says_that_connections_are_dropped() -> None:
    with Lab() as lab:
        (host,) = lab.hosts("a")
        text = host.call(full_queue)
        other = host.call(reset_when_full)
    assert (
        "Its accept queue is full (3 of 2 places taken, and the kernel allows one more than that): "
        "new connections are dropped, so the peers try again later, until the program accepts some."
    ) in text
    assert re.search(r"chose that limit with listen\(2\); net.core.somaxconn would allow \d+", text)
    assert "new connections are reset until the program accepts some" in other


def sink(door: socket.socket, wanted: int) -> None:
    with door, door.accept()[0] as sock:
        while wanted > 0:
            wanted -= len(sock.recv(1 << 16))
        sock.send(b"!")
        sock.recv(1)


def send_and_tell(address: str, many: int, buffer: int) -> str:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        sock.connect((address, 80))
        sock.sendall(bytes(many))
        sock.recv(1)
        (row,) = (row for row in dump("tcp", info=True) if row.state == "ESTAB")
        return explain(row, Machine.gather())


@pytest.mark.parametrize(
    ("many", "buffer", "sentence"),
    [
        (100, 1 << 20, r"The program sends less than the path would carry\.$"),
        (
            1_000_000,
            30_000,
            r"The send buffer \(SO_SNDBUF\) held it back for \d+ % of the time that",
        ),
    ],
)
def test_a_connection_says_what_held_it_back(many: int, buffer: int, sentence: str) -> None:
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        lab.link(a, b).delay(0.01)
        door = b.open(socket.create_server, (b.ipv4, 80))
        with door:
            serving = b.start(sink, door, many)
            text = a.call(send_and_tell, b.ipv4, many, buffer)
            serving.result(timeout=SECONDS)
    assert re.search(sentence, text), text


# --- reach --------------------------------------------------------------------------------------


def reach(address: str) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as sock:
        if family == socket.AF_INET6 and address == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
        sock.bind((address, 8080))
        sock.listen()
        (row,) = (row for row in dump("tcp") if row.state == "LISTEN")
        return explain(row, Machine.gather())


def test_a_listener_names_the_addresses_and_interfaces_where_it_is_reached() -> None:
    with Lab() as lab:
        (host,) = lab.hosts("a")
        device = host.interface
        told = {address: host.call(reach, address) for address in (
            "0.0.0.0", "::", host.ipv4, host.ipv6, "::ffff:10.0.0.1", "127.3.4.5", "192.0.2.1",
        )}  # fmt: skip
    permitted = "other machines reach it unless a firewall forbids it"
    assert (
        f"at every IPv4 address of this machine: 10.0.0.1 ({device}); {permitted}."
        in (told["0.0.0.0"])
    )
    assert "at every address of this machine, IPv6 and IPv4: " in told["::"]
    assert f"10.0.0.1 ({device})" in told["::"]
    assert f"fd00::1 ({device})" in told["::"]
    assert f"port 8080, at 10.0.0.1 ({device}) only; {permitted}." in told["10.0.0.1"]
    assert f"port 8080, at fd00::1 ({device}) only; {permitted}." in told["fd00::1"]
    assert f"port 8080, at 10.0.0.1 ({device}) only; {permitted}." in told["::ffff:10.0.0.1"]
    assert LOOPBACK in told["127.3.4.5"]
    gone = "at 192.0.2.1, which no interface of this machine has now: nobody reaches it."
    assert gone in told["192.0.2.1"]


# --- UDP, raw, Multipath TCP, SCTP --------------------------------------------------------------


@alone
def test_udp_says_whom_it_hears_and_what_it_has_not_read(told: Told) -> None:
    assert re.search(
        r"receives datagrams to port \d+, reachable from this machine only "
        r"\(loopback\)\. \d+ of \d+ octets of its receive buffer hold what \S+ \(pid \d+\) has "
        r"not read\.$",
        told["udp: udp4 bound"],
    )
    assert re.search(
        r"exchanges datagrams with 127\.0\.0\.1:\d+ and takes none from "
        r"anybody else\.$",
        told["udp: udp4 connected"],
    )
    group = "receives datagrams to port 5353 that are sent to the group 224.0.0.251."
    assert told["udp: udp4 multicast"].endswith(group)
    assert "group ff02::fb on lo" in told["udp: udp6 multicast"]


@alone
def test_udp_says_that_datagrams_were_dropped(machine: Population) -> None:
    with machine.inside():
        about = Machine.gather()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.bind(("127.0.0.1", 0))
            for _ in range(50):
                sock.sendto(bytes(1000), sock.getsockname())
            local = f"127.0.0.1:{sock.getsockname()[1]}"
            (row,) = (row for row in dump("udp", memory=True) if row.local == local)
            text = explain(row, about)
    assert re.search(
        r"\d+ packets were dropped on arrival, most often because that "
        r"buffer was full",
        text,
    )


@alone
def test_raw_sockets_say_which_packets_they_get(told: Told) -> None:
    assert (
        "gets a copy of every packet of ICMP over IPv4 that arrives here"
        in (told["raw: raw4 icmp"])
    )
    assert "with a header of its own; it receives none" in told["raw: raw4 255"]
    assert "every packet of ICMPv6 over IPv6" in told["raw: raw6 icmp"]
    assert "every packet of OSPF over IPv6" in told["raw: raw6 ospf"]
    assert re.search(
        r"protocol 253 over IPv4 that arrives here for 127\.0\.0\.1 from 127\.0\.0\.2",
        told["raw: raw4 connected"],
    )


@alone
def test_multipath_tcp_says_how_many_paths_there_are(told: Told, machine: Population) -> None:
    if "mptcp4" in machine.refused:
        pytest.skip("this kernel has no Multipath TCP")
    assert "It could use more paths (Multipath TCP)" in told["mptcp: mptcp4 established"]
    assert "It takes Multipath TCP as well as plain TCP." in told["mptcp: mptcp4 listen"]
    assert "of a Multipath TCP connection" in told["tcp: mptcp4 established"]


# --- what is not IP -----------------------------------------------------------------------------


@alone
def test_unix_sockets_say_who_can_reach_them(told: Told) -> None:
    text = told["unix: unix stream listen"]
    assert re.search(
        r"waits for connections at the path /\S+/stream: whoever may write to "
        r"that file can connect\. 2 of 5 places in its accept queue are taken\.$",
        text,
    )
    text = told["unix: unix abstract"]
    assert (
        "at the abstract name @sockwright/every: every process in this network namespace can "
        "connect, for no file guards it."
    ) in text
    text = told["unix: unix datagram named"]
    assert "receives datagrams at the path datagram, relative to the folder" in text


@alone
def test_unix_sockets_say_to_whom_they_are_connected(told: Told, machine: Population) -> None:
    peer = machine.inode("unix stream pair, peer")
    assert re.fullmatch(
        rf"\S+ \(pid {machine.pid}\) is connected to socket {peer} of this machine\. It has no "
        r"name: it is one of a pair, or the side that connected\. \d+ octets of memory hold what "
        r"was sent and the other end has not read\.",
        told["unix: unix stream pair"],
    )
    accepted = told["unix: unix stream accepted"]
    assert re.search(r", accepted at /\S+/stream\. 6 octets arrived and", accepted)
    assert told["unix: unix stream not accepted 0"] == "Connected, but not accepted yet."
    assert told["unix: unix peer is gone"].startswith("The other end has been closed.")
    assert "neither listens nor is connected" in told["unix: unix closed"]
    assert (
        "has taken the name bound, but does not listen" in told["unix: unix bound, not listening"]
    )
    to = machine.inode("unix datagram named")
    assert (
        f"sends datagrams to socket {to} of this machine."
        in (told["unix: unix datagram connected 0"])
    )


def told_of(sock: socket.socket) -> str:
    inode = os.fstat(sock.fileno()).st_ino
    (row,) = (row for row in dump("unix", memory=True, processes=True) if row.inode == inode)
    return explain(row, Machine({}, {}, {}))


def test_a_unix_socket_that_can_send_no_more_says_so() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                one.send(bytes(65536))
        limit = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert re.search(
            rf"Its send buffer is full \(\d+ octets of memory, SO_SNDBUF is {limit}\): \S+ \(pid "
            rf"{os.getpid()}\) can send no more until the other end reads\.$",
            told_of(one),
        )
        assert "send buffer" not in told_of(other)


@pytest.mark.parametrize(
    ("kind", "what"), [(socket.SOCK_STREAM, "connect"), (socket.SOCK_DGRAM, "send some")]
)
def test_a_unix_socket_says_when_its_file_is_gone_or_another(
    tmp_path: Path, kind: socket.SocketKind, what: str
) -> None:
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX, kind) as door:
        door.bind(str(path))
        if kind == socket.SOCK_STREAM:
            door.listen()
        assert f"at the path {path}: whoever may write to that file can {what}." in told_of(door)
        kept = path.rename(tmp_path / "kept")  # so that no other file gets its inode
        gone = f"at the path {path}, but no such file is there: nobody can {what} any more"
        assert gone in told_of(door)
        path.touch()
        another = f"at the path {path}, but another file has that name now: nobody can {what} any"
        assert another in told_of(door)
        kept.replace(path)
        assert f"at the path {path}: whoever may write" in told_of(door)


@alone
def test_packet_sockets_say_which_frames_they_get(told: Told) -> None:
    every = "gets a copy of every frame that comes in or goes out on lo, as far as its filter"
    assert every in told["packet: packet raw all"]
    assert (
        "every IPv4 frame that comes in on any interface" in told["packet: packet raw everywhere"]
    )
    assert (
        "every ARP frame that comes in on lo, without the link-layer header"
        in (told["packet: packet datagram arp"])
    )
    assert "no protocol was chosen" in told["packet: packet unbound"]
    assert "The sockets of group 42 share the frames among them." in told["packet: packet fanout 0"]
    assert "octets of its receive buffer hold what" in told["packet: packet unread"]


@alone
def test_promiscuous_packet_sockets_say_so(machine: Population) -> None:
    with machine.inside():
        about = Machine.gather()
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as sock:
            membership = b"\x01\0\0\0\x01\0" + bytes(10)  # interface 1, PACKET_MR_PROMISC
            sock.setsockopt(263, 1, membership)  # SOL_PACKET, PACKET_ADD_MEMBERSHIP
            texts = [explain(row, about) for row in dump("packet")]
    assert any("EtherType 0x88b5" in text and "(promiscuous)" in text for text in texts)


@alone
def test_netlink_sockets_say_what_they_talk_about(told: Told) -> None:
    route = told["netlink: netlink route, groups"]
    assert route.endswith(
        "can talk with the kernel about links, addresses and routes (rtnetlink) and hears the news "
        "of groups 1 and 5."
    )
    assert "hears the news of group 1." in told["netlink: netlink uevent"]
    assert "about sockets (sock_diag)" in told["netlink: netlink sock_diag"]
    kernel = "The kernel's own end, which programs ask about links, addresses and routes"
    assert any(text.startswith(kernel) for _, text in told.all)


@alone
def test_vsock_sockets_say_that_no_network_is_involved(told: Told, machine: Population) -> None:
    if "vsock: vsock listen" not in told.by_name:
        pytest.skip("this kernel does not list sockets of AF_VSOCK")
    assert "between virtual machines and their host" in told["vsock: vsock listen"]


# --- what is no row ---


@pytest.mark.parametrize("thing", [None, "tcp", 5])
def test_only_rows_are_explained(thing: object) -> None:
    with pytest.raises(TypeError, match=r"a row of dump\(\), not"):
        explain(thing, Machine({}, {}, {}))  # type: ignore[arg-type]


# --- the machine --------------------------------------------------------------------------------


@alone
def test_a_machine_is_gathered_in_another_namespace(machine: Population) -> None:
    there = Machine.gather(machine.pid)
    assert there.devices == {1: "lo"}
    assert there.addresses == {"127.0.0.1": ("lo",), "::1": ("lo",)}
    assert there.device(1) == "lo"
    assert there.device(99) == "if99"
    assert there.setting("net.ipv4.tcp_synack_retries") == 30  # set by the population


@pytest.mark.needs("root", "unshare", "ip", "nsenter")
def test_a_machine_knows_where_a_broadcast_goes() -> None:
    with own_network() as pid:
        for words in (
            "link add d0 type veth peer d1",
            "address add 10.9.0.1/24 dev d0",
            "address add 10.9.0.2/24 dev d0",
            "address add 10.8.0.1/31 dev d0",
            "address add 10.7.0.1/32 dev d0",
            "link set d0 up",
        ):
            run = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", *words.split()]
            subprocess.run(run, check=True)
        machine = Machine.gather(pid)
        assert machine.broadcasts == {"127.255.255.255": ("lo",), "10.9.0.255": ("d0",)}
        told = []
        for kind, address in (
            (socket.SOCK_DGRAM, "10.9.0.255"),
            (socket.SOCK_DGRAM, "255.255.255.255"),
            (socket.SOCK_DGRAM, "224.0.0.251"),
            (socket.SOCK_DGRAM, "10.9.0.1"),
            (socket.SOCK_STREAM, "10.9.0.255"),
        ):
            with open_socket(pid, socket.AF_INET, kind) as sock:
                sock.bind((address, 5000))
                if kind == socket.SOCK_STREAM:
                    sock.listen()
                (row,) = dump("udp", "tcp", namespace=pid)
                text = explain(row, machine).partition(". ")[0].rstrip(".")
                told.append(text.removeprefix("The program "))
    assert told == [
        "receives datagrams to port 5000 that are broadcast to the network of d0, as 10.9.0.255",
        BROADCAST,
        "receives datagrams to port 5000 that are sent to the group 224.0.0.251",
        NEAR,
        TO_NOBODY,
    ]


def test_a_machine_knows_its_own_addresses() -> None:
    machine = Machine({2: "eth0"}, {"192.0.2.1": ("eth0",), "2001:db8::1": ("eth0",)}, {})
    own = ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "127.8.9.10", "::1")
    assert all(machine.is_own(address) for address in own)
    assert not any(machine.is_own(address) for address in ("192.0.2.2", "2001:db8::2", "::"))
