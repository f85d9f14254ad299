"""What a connection has carried is told in octets of data, and in as little room as there is."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.sockets.diag.own_network import cookie, own_network
from tests.sockets.diag.watched import Net, until

from sockwright.cli.pages._ss_traffic import traffic_text, traffic_texts
from sockwright.sockets.diag.inet import TCPSocket
from sockwright.sockets.diag.watching import watch

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("namespaces", "unshare")


@pytest.fixture
def net() -> Iterator[Net]:
    with own_network() as pid:
        made = Net(pid)
        yield made
        made.close()


def _closed(net: Net, *, sent: int, answered: int) -> tuple[TCPSocket, TCPSocket]:
    """Return both ends of a connection that has carried so many octets, the client's first."""
    with watch("tcp", states="connected", namespace=net.pid, interval=3600) as sockets:
        client, accepted = net.connect(net.listener())
        numbers = [cookie(client), cookie(accepted)]
        client.sendall(b"x" * sent)
        assert len(accepted.recv(sent, socket.MSG_WAITALL)) == sent
        accepted.sendall(b"x" * answered)
        assert len(client.recv(answered, socket.MSG_WAITALL)) == answered
        client.close()
        assert accepted.recv(1) == b""
        accepted.close()
        events = until(sockets, lambda events: len(events) == 2)
    rows = {event.row.cookie: event.row for event in events}
    one, other = (rows[number] for number in numbers)
    assert isinstance(one, TCPSocket)
    assert isinstance(other, TCPSocket)
    return one, other


def test_neither_the_syn_nor_the_fin_is_counted_as_sent(net: Net) -> None:
    client, accepted = _closed(net, sent=1, answered=2000)
    assert traffic_text(client).startswith("sent 1 B, received 2 kB")
    assert traffic_text(accepted).startswith("sent 2 kB, ")


def test_a_fin_is_not_counted_as_received_where_the_state_tells_of_it(net: Net) -> None:
    _, accepted = _closed(net, sent=5, answered=7)
    assert traffic_text(accepted, "CLOSE-WAIT") == "sent 7 B, received 5 B"


def test_there_is_a_shorter_text(net: Net) -> None:
    client, _ = _closed(net, sent=5, answered=7)
    text, brief = traffic_texts(client)
    assert text.startswith("sent 5 B, received ")
    assert brief.startswith("5 B out, ")
