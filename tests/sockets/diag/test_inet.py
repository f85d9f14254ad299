"""Rows of inet_diag tell what ss(8) tells, and what the programs set."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.sockets.diag.ss_listing import SsRow, read_listing

from sockwright.sockets.diag.cgroup import cgroup_paths
from sockwright.sockets.diag.explain import explain
from sockwright.sockets.diag.explain.machine import Machine
from sockwright.sockets.diag.inet import InetSocket, MPTCPSocket, TCPSocket, endpoint_text
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sockets.diag.population import Population

TABLES = ("tcp", "udp", "mptcp")
ARROWS = {"<->": "", "-->": "receive", "<--": "send", "---": "both"}
SECONDS = 10
MPTCP = 262
TCP_MD5SIG_PREFIX = 1

pytestmark = pytest.mark.needs("ss", "root", "namespaces")


def listed(machine: Population, *tables: str, **asked: Any) -> list[InetSocket]:
    with machine.inside():
        return [row for row in dump(*(tables or TABLES), **asked) if isinstance(row, InetSocket)]


def as_ss_has_it(machine: Population, flags: str) -> dict[tuple[str, int], SsRow]:
    rows = read_listing(machine.run("ss", "-Hna", "-tuM", *flags.split()).stdout)
    return {(row.netid, row.cookie or 0): row for row in rows}


def pairs(machine: Population, flags: str, **asked: Any) -> Iterator[tuple[InetSocket, SsRow]]:
    """Yield each row of ours with that of ss."""
    theirs = as_ss_has_it(machine, flags)
    ours = listed(machine, **asked)
    found = [(row, theirs[row.netid, row.cookie]) for row in ours
             if (row.netid, row.cookie) in theirs]  # fmt: skip
    assert len(found) > 80
    yield from found


def only(machine: Population, name: str, **asked: Any) -> InetSocket:
    inode = machine.inode(name)
    (row,) = (one for one in listed(machine, "tcp", "udp", **asked) if one.inode == inode)
    return row


# --- addresses ----------------------------------------------------------------------------------


def test_addresses_with_interface_are_written_as_ss_writes_them(machine: Population) -> None:
    names = {0: "", 1: "lo"}
    for row, theirs in pairs(machine, "-eO"):
        assert (row.local_on(names[row.interface]), row.peer) == (theirs.local, theirs.peer)


@pytest.mark.parametrize(
    ("address", "port", "device", "v6only", "text"),
    [
        ("0.0.0.0", 53, "", False, "0.0.0.0:53"),
        ("127.0.0.1", 0, "", False, "127.0.0.1:*"),
        ("0.0.0.0", 53, "eth0", False, "0.0.0.0%eth0:53"),
        ("::", 22, "", False, "*:22"),
        ("::", 22, "", True, "[::]:22"),
        ("::", 22, "eth0", False, "*%eth0:22"),
        ("::ffff:192.0.2.1", 22, "", False, "[::ffff:192.0.2.1]:22"),
        ("fe80::1", 22, "eth0", False, "[fe80::1]%eth0:22"),
    ],
)
def test_an_endpoint_is_text_as_ss_prints_it(
    address: str, port: int, device: str, v6only: bool, text: str
) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    assert endpoint_text(family, packed, port, device, v6only=v6only) == text
    if family == socket.AF_INET:  # the field of the message is longer than the address
        assert endpoint_text(family, packed + bytes(12), port, device) == text


def test_essentials_are_the_properties_in_one_step(machine: Population) -> None:
    for row in listed(machine):
        (family, state, timer, retransmits, source, target, local, peer, interface, expires,
         receive, send, uid, inode) = row.essentials()  # fmt: skip
        assert row.family == ("inet" if family == socket.AF_INET else "inet6")
        assert (state, receive, send, uid, inode) == (
            row.state_number, row.receive_queue, row.send_queue, row.uid, row.inode,
        )  # fmt: skip
        assert interface == row.interface
        assert struct.unpack(">HH", source + target) == (row.local_port, row.peer_port)
        assert endpoint_text(family, peer, row.peer_port, v6only=bool(row.v6only)) == row.peer
        assert endpoint_text(family, local, row.local_port, v6only=bool(row.v6only)) == row.local
        told = row.timer
        if told is not None:
            assert (told.expires_ms, told.retransmits) == (expires, retransmits)
        assert bool(timer) == (told is not None)


def test_an_ipv6_socket_that_speaks_ipv4_says_so(machine: Population) -> None:
    assert only(machine, "tcp6 mapped").is_mapped
    assert not only(machine, "tcp4 to dual").is_mapped
    assert not only(machine, "tcp6 established").is_mapped
    assert not only(machine, "tcp6 listen, dual").is_mapped


def test_v6only_is_told_of_sockets_without_a_peer(machine: Population) -> None:
    assert only(machine, "tcp6 listen, v6only").v6only is True
    assert only(machine, "tcp6 listen, dual").v6only is False
    assert only(machine, "tcp4 listen, any").v6only is None
    assert only(machine, "tcp6 established").v6only is None


# --- timers -------------------------------------------------------------------------------------


def test_timers_are_those_of_ss(machine: Population) -> None:
    compared = set()
    before = as_ss_has_it(machine, "-eOo")
    rows = list(pairs(machine, "-eOo"))
    after = as_ss_has_it(machine, "-eOo")
    for row, theirs in rows:
        key = (row.netid, row.cookie)
        timer = row.timer
        told = [one.timer for one in (before.get(key), theirs, after.get(key)) if one is not None]
        if timer is None or len(told) < 3 or None in told:
            continue  # went off or was set in between
        assert timer.name in {one[0] for one in told if one is not None}
        counts = {one[1] for one in told if one is not None and one[0] == timer.name}
        # The peer answers each question for its window, which sets the count to 0 again.
        counts |= {0, 1} if timer.name == "persist" else set()
        assert min(counts) <= timer.retransmits <= max(counts), (row, told)
        compared.add(timer.name)
    assert compared == {"on", "keepalive", "timewait", "persist"}


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (7_140_000, "119min"),
        (119_000, "1min59sec"),
        (27_000, "27sec"),
        (4_200, "4.200ms"),
        (80, "080ms"),
        (60_000, "1min"),
        (0, ""),
    ],
)
def test_a_time_is_written_as_ss_writes_it(milliseconds: int, text: str) -> None:
    assert str(Timer("on", milliseconds, 2)) == f"on,{text},2"


def test_the_text_of_a_timer_is_that_of_ss(machine: Population) -> None:
    """The timer of keep-alive runs for two hours, which ss writes in minutes."""
    row = only(machine, "tcp4 established, keepalive")
    theirs = as_ss_has_it(machine, "-eOo")[row.netid, row.cookie]
    told = re.search(r"timer:\((.*?)\)", theirs.more)
    assert told is not None
    assert row.timer is not None
    assert str(row.timer) in {told[1], "keepalive,119min,0", "keepalive,120min,0"}


# --- memory and options -------------------------------------------------------------------------


def test_memory_is_that_of_ss(machine: Population) -> None:
    names = ("rmem_alloc", "rcvbuf", "wmem_alloc", "sndbuf", "fwd_alloc", "wmem_queued", "optmem",
             "backlog", "drops")  # fmt: skip
    filled = set()
    before = as_ss_has_it(machine, "-eOm")
    listed = list(pairs(machine, "-eOm", memory=True))
    after = as_ss_has_it(machine, "-eOm")
    for row, theirs in listed:
        key = (row.netid, row.cookie)
        seen = [theirs, *(one[key] for one in (before, after) if key in one)]
        found = [re.search(r"skmem:\((.*?)\)", one.more) for one in seen]
        numbers = found[0]
        if numbers is None or len({one[0] for one in found if one is not None}) > 1:
            continue
        memory = row.memory
        assert memory is not None
        told = dict(zip(names, map(int, re.findall(r"\d+", numbers[1])), strict=True))
        for name in names:
            assert getattr(memory, name) == told[name], (row, name)
            filled.update([name] if told[name] else [])
    assert {"rmem_alloc", "rcvbuf", "sndbuf", "wmem_queued"} <= filled
    assert row.as_dict()["memory"] is not None


def test_what_was_not_asked_for_is_none(machine: Population) -> None:
    row = only(machine, "tcp4 established")
    assert isinstance(row, TCPSocket)
    assert (row.memory, row.info, row.congestion, row.tos) == (None, None, None, None)


def test_mark_class_and_traffic_class_are_what_the_program_set(machine: Population) -> None:
    row = only(machine, "tcp4 established, options", options=True)
    assert (row.mark, row.tos, row.tclass) == (0x1234, 0x10, None)
    row = only(machine, "tcp6 established, options", options=True)
    assert (row.mark, row.tclass) == (0x1234, 0x20)
    assert row.class_id == 3  # SO_PRIORITY


def test_options_of_every_socket_are_those_of_ss(machine: Population) -> None:
    numbers = {"mark": r"\bfwmark:(0x[0-9a-f]+)", "tos": r"\btos:(0x[0-9a-f]+)",
               "tclass": r"\btclass:(0x[0-9a-f]+)", "class_id": r"\bclass_id:(0x[0-9a-f]+)",
               "v6only": r"\bv6only:(\d)"}  # fmt: skip
    compared = set()
    for row, theirs in pairs(machine, "-eO --tos", options=True):
        for name, pattern in numbers.items():
            told = theirs.number(pattern)
            assert (getattr(row, name) or 0) == (told or 0), (row, name)
            compared.update([name] if told else [])
        arrows = re.search(r"<->|-->|<--|---", theirs.more)
        assert row.shutdown == (ARROWS[arrows[0]] if arrows else ""), row
    assert compared == {"mark", "tos", "tclass", "class_id", "v6only"}


def test_shut_down_directions_are_told(machine: Population) -> None:
    assert only(machine, "tcp4 fin-wait-2").shutdown == "send"
    assert only(machine, "tcp4 close-wait").shutdown == "receive"
    assert only(machine, "tcp4 last-ack").shutdown == "both"
    assert only(machine, "tcp4 established").shutdown == ""


def test_the_path_of_a_control_group_is_that_of_ss(machine: Population) -> None:
    paths = cgroup_paths()  # none where nobody has mounted the hierarchy
    for row, theirs in pairs(machine, "-eO"):
        told = re.search(r"\bcgroup:(\S+)", theirs.more)
        if told is not None and row.cgroup_id is not None:
            assert paths.get(row.cgroup_id, f"unreachable:{row.cgroup_id:x}") == told[1]


def test_flags_of_options_are_what_the_program_set(machine: Population) -> None:
    with machine.inside(), socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
        sock.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        (row,) = (one for one in dump("tcp") if isinstance(one, TCPSocket)
                  and one.local_port == port)  # fmt: skip
    options = row.socket_options
    assert options is not None
    assert (options.freebind, options.recverr, options.is_icsk) == (True, True, True)
    assert (options.transparent, options.hdrincl, options.defer_connect) == (False, False, False)
    assert options.as_dict()["freebind"] is True


def test_networks_with_signed_segments_are_told_without_their_keys(machine: Population) -> None:
    with machine.inside(), socket.socket() as sock:
        address = struct.pack("=H2x4s120x", socket.AF_INET, socket.inet_aton("192.0.2.0"))
        key = struct.pack("=BBHi80s", TCP_MD5SIG_PREFIX, 24, 6, 0, b"secret")
        try:
            sock.setsockopt(socket.IPPROTO_TCP, 32, address + key)  # TCP_MD5SIG_EXT
        except OSError as error:
            pytest.skip(f"this kernel signs no segments: {error}")
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        (row,) = (one for one in dump("tcp", info=True) if isinstance(one, TCPSocket)
                  and one.local_port == port)  # fmt: skip
    assert row.md5_peers == ("192.0.2.0/24",)
    assert "secret" not in str(row.as_dict())


# --- layers above -------------------------------------------------------------------------------


def test_subflows_of_multipath_tcp_are_those_of_ss(machine: Population) -> None:
    theirs = as_ss_has_it(machine, "-eOi")
    seen = 0
    for row in listed(machine, "tcp", info=True):
        assert isinstance(row, TCPSocket)
        told = theirs.get(("tcp", row.cookie))
        if told is None or "tcp-ulp-mptcp" not in told.more:
            assert row.ulp is None
            continue
        assert row.ulp is not None
        assert row.ulp.name == "mptcp"
        token = re.search(r"token:([0-9a-f]+)\(id:(\d+)\)/([0-9a-f]+)\(id:(\d+)\)", told.more)
        subflow = row.ulp.mptcp
        if token is None or subflow is None:
            assert token is None
            assert subflow is None
            continue
        assert [f"{subflow.token_remote:04x}", f"{subflow.id_remote}"] == [token[1], token[2]]
        assert [f"{subflow.token_local:x}", f"{subflow.id_local}"] == [token[3], token[4]]
        assert f"seq:{subflow.map_sequence:x} " in told.more
        assert f"ssnoff:{subflow.ssn_offset:x} " in told.more
        assert f"maplen:{subflow.map_data_length:x}" in told.more
        letters = re.search(r" flags:(\w+)", told.more)
        assert letters is not None
        assert len(letters[1]) == len(subflow.flags)
        seen += 1
    assert seen >= 2


def test_figures_of_multipath_tcp_are_those_of_ss(machine: Population) -> None:
    theirs = as_ss_has_it(machine, "-eOi")
    names = {"token": "token", "write_seq": "write_seq", "snd_una": "snd_una",
             "rcv_nxt": "rcv_nxt"}  # fmt: skip
    seen = 0
    for row in listed(machine, "mptcp", info=True):
        assert isinstance(row, MPTCPSocket)
        told = theirs["mptcp", row.cookie].more
        info = row.info
        if info is None or "token:" not in told:
            continue
        for name, word in names.items():
            number = re.search(rf"\b{word}:([0-9a-f]+)", told)
            assert number is not None
            assert getattr(info, name) == int(number[1], 16)
        assert info.remote_key_received == ("remote_key" in told)
        assert info.fallback == ("fallback" in told)
        assert info.as_dict()["token"] == info.token
        seen += 1
    assert seen >= 2


def test_the_subflow_and_its_connection_have_the_same_token(machine: Population) -> None:
    tokens = {row.info.token for row in listed(machine, "mptcp", info=True)
              if isinstance(row, MPTCPSocket) and row.info}  # fmt: skip
    subflows = {row.ulp.mptcp.token_local for row in listed(machine, "tcp", info=True)
                if isinstance(row, TCPSocket) and row.ulp and row.ulp.mptcp}  # fmt: skip
    assert subflows <= tokens


@pytest.mark.needs("ip")
def test_a_second_path_of_multipath_tcp_is_told(machine: Population) -> None:
    if "mptcp4" in machine.refused:
        pytest.skip("this kernel has no Multipath TCP")
    machine.run("ip", "mptcp", "endpoint", "add", "127.0.0.2", "subflow")
    try:
        connection, subflows, sentence = connect_by_two_paths(machine)
    finally:
        machine.run("ip", "mptcp", "endpoint", "flush")
    assert connection.info is not None
    assert connection.info.subflows == 1
    assert {subflow.local_address for subflow in subflows} == {"127.0.0.1", "127.0.0.2"}
    flags = {subflow.local_address: subflow.ulp.mptcp.flags for subflow in subflows
             if subflow.ulp and subflow.ulp.mptcp}  # fmt: skip
    assert {"capable_local", "connected"} <= set(flags["127.0.0.1"])
    assert {"join_local", "join_remote"} <= set(flags["127.0.0.2"])
    assert sentence.endswith("Multipath TCP spreads it over 2 paths (subflows).")


def connect_by_two_paths(machine: Population) -> tuple[MPTCPSocket, list[TCPSocket], str]:
    """Return a connection, the paths of the side that connected, and what is said of it."""
    deadline = time.monotonic() + SECONDS
    with contextlib.ExitStack() as end:
        end.enter_context(machine.inside())
        about = Machine.gather()
        door = end.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP))
        door.bind(("127.0.0.1", 0))
        door.listen()
        client = end.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP))
        client.connect(door.getsockname())
        server = end.enter_context(door.accept()[0])
        for sender, receiver in ((client, server), (server, client)):
            sender.send(b"x")  # the second path comes when the first is known to work
            receiver.recv(1)
        port = door.getsockname()[1]
        while True:
            rows = [row for row in dump("tcp", "mptcp", info=True)
                    if isinstance(row, InetSocket) and row.peer_port == port]  # fmt: skip
            paths = [row for row in rows if isinstance(row, TCPSocket) and row.state == "ESTAB"]
            if len(paths) == 2:
                (whole,) = (row for row in rows if isinstance(row, MPTCPSocket))
                return whole, paths, explain(whole, about)
            assert time.monotonic() < deadline, rows


# --- rows from any octets -----------------------------------------------------------------------


def test_a_message_that_ends_in_an_attribute_raises_nothing_foreign(machine: Population) -> None:
    rows = listed(machine, info=True, memory=True, options=True)
    for row in rows[:10]:
        message = row.message
        for cut in range(72, len(message)):
            header = struct.pack("=IHHII", 16 + cut, 20, 2, 1, 0)
            part = type(row)(header + message[:cut])
            assert part.as_dict()["inode"] == row.inode
