"""Steps with datagram sockets: UDP with its answer, UDP that nobody takes, UNIX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.lab.tour.stage import Message
from sockwright.lab.tour.step import Step
from sockwright.sockets import datagram
from sockwright.wire import Packet
from sockwright.wire.icmp import ICMP
from sockwright.wire.udp import UDP

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.lab.host import Host
    from sockwright.lab.tour.stage import Ready, Stage
    from sockwright.sockets.packet_socket import Frame

__all__ = ["STEPS", "is_icmp"]

PORT = 7000
_UNREACHABLE, _PORT_UNREACHABLE = 3, 3


def datagram_server(endpoint: str, ready: Ready) -> bytes:
    """Take one datagram and answer whoever sent it."""
    with datagram(endpoint, timeout=3) as sock:
        ready()  # the client may start
        question, sender = sock.receive_from()
        sock.send_to(b"hello, client", sender)
        return question


def datagram_client(local: str, remote: str) -> bytes:
    """Send one datagram and wait for the answer."""
    with datagram(local, remote=remote, timeout=3) as sock:
        sock.send(b"hello, server")
        return sock.receive()


def ask_closed_port(remote: str) -> str:
    """Send a datagram to a port where nobody listens."""
    with datagram(remote=remote, timeout=3) as sock:
        sock.send(b"is anybody there?")
        try:
            sock.receive()
        except ConnectionRefusedError as error:
            return str(error)
    return "no error came back"


def is_icmp(kind: int, code: int) -> Callable[[Frame], bool]:
    """Return a test for ICMP messages of this type and code."""

    def test(frame: Frame) -> bool:
        icmp = Packet.decode(frame.octets).get(ICMP)
        return icmp is not None and (icmp.type, icmp.code) == (kind, code)

    return test


def _exchange(stage: Stage, server_host: Host, local: str, remote: str) -> None:
    server = stage.start(server_host, datagram_server, remote)
    answer = stage.call(stage.a, datagram_client, local, remote)
    stage.expect(answer == b"hello, client", f"the client received {answer!r}")
    question = server.result()
    stage.expect(question == b"hello, server", f"the server received {question!r}")


def udp(stage: Stage) -> None:
    """Ask and answer by UDP."""
    _exchange(stage, stage.b, f"udp://{stage.a.ipv4}:0", f"udp://{stage.b.ipv4}:{PORT}")
    stage.expect(len(stage.packets_with(UDP)) == 2, "not one datagram each way")


def udp_closed(stage: Stage) -> None:
    """Ask a port where nobody listens."""
    told = stage.call(stage.a, ask_closed_port, f"udp://{stage.b.ipv4}:{PORT + 1}")
    stage.wait_for(is_icmp(_UNREACHABLE, _PORT_UNREACHABLE), "ICMP port unreachable")
    stage.expect("port unreachable" in told, f"the sender was told: {told}")
    stage.wait_for_counter("Udp.NoPorts")


def unix_datagram(stage: Stage) -> None:
    """Ask and answer within host a."""
    _exchange(stage, stage.a, "unix:/dev/shm/c.sock", "unix:/dev/shm/s.sock")
    stage.messages += [
        Message("client", "server", b"hello, server"),
        Message("server", "client", b"hello, client"),
    ]


STEPS = (
    Step(
        "udp",
        "UDP with its answer",
        "No connection, no numbers, no promise: a datagram is sent and arrives whole, or not at "
        "all. To whom the answer goes, the server reads off the datagram.",
        udp,
    ),
    Step(
        "udp-closed",
        "UDP to a port where nobody listens",
        "The send itself succeeds: the datagram is on its way. The peer's kernel answers with an "
        "ICMP error, and the next call on the socket fails with what it said.",
        udp_closed,
    ),
    Step(
        "unix-datagram",
        "UNIX datagram",
        "Whole messages between two processes of one machine. The client needs an address of its "
        "own, or the server could not answer.",
        unix_datagram,
    ),
)
