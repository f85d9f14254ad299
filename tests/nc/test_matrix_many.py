"""Many clients of one listener, checks of ports, and relays, with every other netcat at an end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import PROGRAMS, SW, Place, clients, closed_port, servers

if TYPE_CHECKING:
    from tests.nc.peers import Peers, Running

_ALL_VALUES = bytes(range(256)) * 3
_TCP_CLIENTS = ("openbsd", "traditional", "ncat", "socat", "bash")
_needs_all = pytest.mark.needs("nc.openbsd", "nc.traditional", "ncat", "socat")


def _every_client(peers: Peers, place: Place) -> dict[str, Running]:
    return {name: peers.client(name, place) for name in _TCP_CLIENTS}


@_needs_all
def test_every_client_is_served_at_once_and_the_next_one_after_them(peers: Peers) -> None:
    mine = peers.server("sw", "tcp4", "-k")
    (alone,) = mine.sockets()
    all_of_them = _every_client(peers, mine.place)
    for name, client in all_of_them.items():
        client.feed(name.encode() + b"\n")
    lines = mine.read(sum(len(name) + 1 for name in all_of_them)).split()
    assert sorted(lines) == sorted(name.encode() for name in all_of_them)
    mine.feed(b"to all of you\n")
    for client in all_of_them.values():
        assert client.read(14) == b"to all of you\n"
        client.stop()
    mine.until(lambda: mine.sockets() == {alone}, "all their sockets are closed")
    last = peers.client("openbsd", mine.place)
    last.feed(b"last\n")
    mine.until(lambda: mine.received.endswith(b"last\n"), "the last line")
    assert mine.complaints == []


@_needs_all
def test_a_broker_passes_on_what_each_client_says_to_all_others(peers: Peers) -> None:
    mine = peers.server("sw", "tcp4", "-k", "--broker")
    names = _every_client(peers, mine.place)
    # Each has said something to the others once it has been let in itself.
    wanted: dict[str, bytes] = dict.fromkeys(names, b"")
    mine.until(lambda: len(mine.sockets()) == 1 + len(names), "all are let in")
    for name, client in names.items():
        client.feed(name.encode())
        for other in names:
            if other != name:
                wanted[other] += name.encode()
                assert names[other].read(len(wanted[other])) == wanted[other]
    for name, client in names.items():
        assert client.received == wanted[name]
    assert mine.received == b""


@pytest.mark.parametrize("program", [*_TCP_CLIENTS, "sw"])
@pytest.mark.needs("cat")
def test_a_program_answers_each_client(peers: Peers, program: str) -> None:
    mine = peers.server("sw", "tcp4", "-k", "-e", "cat")
    for _ in range(2):
        client = peers.client(program, mine.place)
        client.feed(_ALL_VALUES)
        assert client.read(len(_ALL_VALUES)) == _ALL_VALUES
        client.stop()
    assert mine.complaints == []


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(name, marks=pytest.mark.needs(PROGRAMS[name].needs))
        for name in servers("tcp4", but=())
    ],
)
def test_a_check_finds_who_listens_and_who_does_not(peers: Peers, program: str) -> None:
    other = peers.server(program, "tcp4")
    with closed_port("tcp4") as closed:
        ports = [other.place.port, closed]
        words = [SW, "nc", "--json", "-z", "127.0.0.1", ",".join(map(str, ports))]
        mine = peers.run(words)
        assert mine.wait() == 1  # not all of them are open
        rows = {row["port"]: row["state"] for row in map(json.loads, mine.received.splitlines())}
        assert rows == dict(zip(ports, ("open", "closed"), strict=True))


@pytest.mark.parametrize(
    "program",
    [
        # The two nc's end at the first empty datagram, which leaves nothing to be found.
        pytest.param(name, marks=pytest.mark.needs(PROGRAMS[name].needs))
        for name in servers("udp4", but=("openbsd", "traditional"))
    ],
)
def test_a_check_of_udp_tells_a_closed_port_from_others(peers: Peers, program: str) -> None:
    other = peers.server(program, "udp4")
    with closed_port("udp4") as closed:
        mine = peers.run(
            [SW, "nc", "--json", "-zu", "-w", "500ms", "127.0.0.1", f"{other.place.port},{closed}"]
        )
        mine.wait()
    rows = {row["port"]: row["state"] for row in map(json.loads, mine.received.splitlines())}
    assert rows[other.place.port] == "open|filtered"
    assert rows[closed] == "closed"


def _relay(peers: Peers, kind: str, far: Place, *options: str) -> Running:
    """Start a relay that listens for `kind`, and passes on to `far`."""
    near = peers.place(kind)
    if kind == "tls":
        options += (
            "--tls-cert",
            f"{peers.folder}/cert.pem",
            "--tls-key",
            f"{peers.folder}/key.pem",
        )
    if far.kind == "tls":
        options += ("--tls-ca", f"{peers.folder}/cert.pem", "--tls-name", "localhost")
    mine = peers.run([SW, "relay", "-l", *options, near.url, far.url], near)
    mine.until_listening()
    return mine


def _talk(client: Running, server: Running, octets: bytes) -> None:
    client.feed(octets)
    assert server.read(len(octets)) == octets
    server.feed(octets[::-1])
    assert client.read(len(octets)) == octets[::-1]


_PAIRS = [
    pytest.param(
        near,
        far,
        id=f"{near}-{far}",
        marks=pytest.mark.needs(PROGRAMS[near].needs, PROGRAMS[far].needs),
    )
    for near in clients("tcp4")
    for far in servers("tcp4")
]


@pytest.mark.parametrize(("near", "far"), _PAIRS)
def test_a_relay_joins_every_client_and_every_server(peers: Peers, near: str, far: str) -> None:
    server = peers.server(far, "tcp4")
    mine = _relay(peers, "tcp4", server.place)
    client = peers.client(near, mine.place)
    _talk(client, server, _ALL_VALUES)
    client.end_input()
    server.end_input()
    client.stop()
    server.stop()
    assert mine.wait() in {0, 1}  # the two were ended, and some had not ended by themselves


_KINDS = [("tcp4", "tls"), ("tls", "tcp4"), ("unix", "tcp6"), ("tcp6", "unix"), ("tls", "tls")]


@pytest.mark.parametrize(("near", "far"), _KINDS)
@pytest.mark.needs("socat")
def test_a_relay_joins_every_kind_of_stream_and_keeps_both_halves(
    peers: Peers, near: str, far: str
) -> None:
    server = peers.server("socat", far)
    mine = _relay(peers, near, server.place)
    client = peers.client("socat", mine.place)
    large = bytes(range(256)) * (16 << 10)
    client.feed(large)
    client.end_input()
    assert server.read(len(large)) == large
    server.feed(large[::-1])
    server.end_input()
    assert client.read(len(large)) == large[::-1]
    assert (client.wait(), server.wait()) == (0, 0)
    assert (client.count, server.count) == (len(large), len(large))
    assert (mine.wait(), mine.complaints) == (0, [])


@pytest.mark.needs("socat")
def test_a_relay_joins_datagrams(peers: Peers) -> None:
    server = peers.server("socat", "udp4")
    mine = _relay(peers, "udp4", server.place)
    client = peers.client("socat", mine.place)
    _talk(client, server, _ALL_VALUES)


@_needs_all
def test_a_relay_serves_every_client_at_once(peers: Peers) -> None:
    near = peers.place("tcp4")
    mine = peers.run([SW, "relay", "-k", near.url, "echo:"], near)
    place = mine.until_listening()
    mine.read_errors("listening on ")  # until then it opens and closes what it needs itself
    alone = len(mine.descriptors())
    names = _every_client(peers, place)
    for count, turn in enumerate((b"one", b"two"), 1):
        for client in names.values():
            client.feed(turn)
        for client in names.values():
            assert client.read(3 * count).endswith(turn)
    for client in names.values():
        client.stop()
    mine.until(lambda: len(mine.descriptors()) == alone, "all their descriptors are closed")
    assert mine.complaints == []
