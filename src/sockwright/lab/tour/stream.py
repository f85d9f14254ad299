"""Steps with stream sockets: TCP over IPv4 and IPv6, UNIX. One program serves all three."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.lab.tour.stage import Message
from sockwright.lab.tour.step import Step
from sockwright.sockets import connect, listen
from sockwright.wire import Packet
from sockwright.wire.tcp import TCP

if TYPE_CHECKING:
    from sockwright.lab.host import Host
    from sockwright.lab.tour.stage import Ready, Stage
    from sockwright.sockets.packet_socket import Frame

__all__ = ["STEPS", "Teardown"]

PORT = 7000


def stream_server(endpoint: str, ready: Ready) -> bytes:
    """Take one connection: read it to its end, then answer."""
    with listen(endpoint, timeout=3) as listener:
        ready()  # the client may start
        with listener.accept() as stream:
            question = stream.receive_all(limit=1000)
            # The client's half is closed, ours is still open.
            stream.send_all(b"hello, client")
            return question


def stream_client(endpoint: str) -> bytes:
    """Send, say that this was all, and read the answer to its end."""
    with connect(endpoint, timeout=3) as stream:
        stream.send_all(b"hello, server")
        stream.send_eof()
        return stream.receive_all(limit=1000)


class Teardown:
    """Waits for the end of a TCP connection: a FIN from each side, and the answer to each."""

    def __init__(self) -> None:
        self._fins: dict[int, int] = {}  # source port -> number behind its FIN
        self._answered: set[int] = set()

    def __call__(self, frame: Frame) -> bool:
        """Look at the next frame; return whether it is the last one."""
        tcp = Packet.decode(frame.octets).get(TCP)
        if tcp is None:
            return False
        if "F" in tcp.flags:
            size = len(tcp.packet.payload) if tcp.packet is not None else 0
            self._fins[tcp.src_port] = tcp.seq + size + 1 & 0xFFFFFFFF
        if "A" in tcp.flags and self._fins.get(tcp.dst_port) == tcp.ack:
            self._answered.add(tcp.dst_port)
        return len(self._answered) == 2


def _exchange(stage: Stage, server_host: Host, endpoint: str) -> None:
    server = stage.start(server_host, stream_server, endpoint)
    answer = stage.call(stage.a, stream_client, endpoint)
    stage.expect(answer == b"hello, client", f"the client received {answer!r}")
    question = server.result()
    stage.expect(question == b"hello, server", f"the server received {question!r}")


def _tcp(stage: Stage, endpoint: str) -> None:
    _exchange(stage, stage.b, endpoint)
    stage.wait_for(Teardown(), "end of the connection")
    segments = [packet[TCP] for packet in stage.packets_with(TCP)]
    opening = [(segment.src_port == PORT, str(segment.flags)) for segment in segments[:3]]
    handshake = [(False, "S"), (True, "SA"), (False, "A")]
    stage.expect(opening == handshake, f"no three-way handshake, but {opening}")
    fins = [segment.src_port == PORT for segment in segments if "F" in segment.flags]
    stage.expect(fins == [False, True], "not a FIN from each side, the client's first")


def tcp4(stage: Stage) -> None:
    """Connect over IPv4."""
    _tcp(stage, f"tcp://{stage.b.ipv4}:{PORT}")


def tcp6(stage: Stage) -> None:
    """Connect over IPv6."""
    _tcp(stage, f"tcp://[{stage.b.ipv6}]:{PORT}")


def unix_stream(stage: Stage) -> None:
    """Connect within host a."""
    _exchange(stage, stage.a, "unix:/dev/shm/hello.sock")
    stage.messages += [
        Message("client", "server", b"hello, server"),
        Message("server", "client", b"hello, client"),
    ]


STEPS = (
    Step(
        "tcp4",
        "TCP over IPv4",
        "Three segments open the connection (SYN, SYN ACK, ACK). Data then flow both ways. Each "
        "side ends its own half with a FIN: after the client's FIN the server can still answer.",
        tcp4,
    ),
    Step(
        "tcp6",
        "TCP over IPv6",
        "The same program with another endpoint. Only the addresses grow, and the IP header has no "
        "checksum of its own any more.",
        tcp6,
    ),
    Step(
        "unix-stream",
        "UNIX stream",
        "The same program once more, between two processes of one machine. The endpoint is a path, "
        "and no packet is sent: the kernel hands the octets over.",
        unix_stream,
    ),
)
