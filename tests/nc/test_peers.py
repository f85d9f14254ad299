"""The harness by itself: peers against peers, without anything of ours between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import PROGRAMS, clients, servers

if TYPE_CHECKING:
    from tests.nc.peers import Peers

_KINDS = ("tcp4", "tcp6", "udp4", "udp6", "unix", "unix-datagram", "tls")


def _pairs() -> list[object]:
    """Each client with one server, each server with one client: enough to know the harness."""
    pairs = set()
    for kind in _KINDS:
        usual = {"tls": "socat"}.get(kind, "openbsd")
        pairs |= {(kind, client, usual) for client in clients(kind)}
        pairs |= {(kind, usual, server) for server in servers(kind)}
    return [
        pytest.param(
            *pair,
            id="-".join(pair),
            marks=[pytest.mark.needs(*(PROGRAMS[name].needs for name in pair[1:]))],
        )
        for pair in sorted(pairs)
    ]


@pytest.mark.parametrize(("kind", "client", "server"), _pairs())
def test_peers_talk_to_each_other(peers: Peers, kind: str, client: str, server: str) -> None:
    far = peers.server(server, kind)
    near = peers.client(client, far.place)
    near.feed(b"question")
    assert far.read(8) == b"question"
    far.feed(b"answer")
    assert near.read(6) == b"answer"
