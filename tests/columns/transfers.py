"""Captures of real TCP: transfers between two hosts of a lab, with loss, delay and slow readers."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from sockwright.lab import Lab
from sockwright.records import PcapWriter, Record
from sockwright.wire import TCP, Ethernet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sockwright.lab import Host
    from sockwright.sockets.packet_socket import Frame

CONTENT = bytes(index * 7 & 255 for index in range(100_000)) * 3
ANSWER = b"done"


def lossy(sender: Path, receiver: Path, *, loss: float, delay: float, seed: int) -> None:
    """Send `CONTENT` over a link that loses and delays; write what either host saw."""
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        for host in (a, b):
            # Segments as they are on a wire, not of 64 KiB.
            host.run(["ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "off"])
        lab.link(a, b).delay(delay).loss(loss, seed=seed)
        with a.capture() as near, b.capture() as far, ThreadPoolExecutor(2) as beside:
            served = beside.submit(_serve, _listener(b))
            answer = beside.submit(_send, a.socket(), b.ipv4)
            while not (served.done() and answer.done()):
                # The ring holds some tenths of a second; looking at the frames takes them out.
                assert len(near.frames) + len(far.frames) >= 0
            assert (served.result(), answer.result()) == (CONTENT, ANSWER)
            _write(sender, near.frames)
            _write(receiver, far.frames)
            assert near.dropped == far.dropped == 0


def stalled(path: Path) -> None:
    """Keep an idle connection alive, then fill the window of the peer, who reads late."""
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        with a.capture() as capture, _listener(b) as listener, a.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
            client.settimeout(10)
            client.connect((b.ipv4, 80))
            with listener.accept()[0] as served:
                served.settimeout(10)
                # The handshake has two segments with ACK alone or not; the next is a keep-alive.
                bare = _Nth(3, lambda tcp: tcp.flags == "A")
                capture.until(bare, 10)
                client.setblocking(False)
                sent = 0
                with suppress(BlockingIOError):
                    while True:
                        sent += client.send(bytes(4096))
                # The window is full, and full still when the first probe is answered.
                capture.until(_Nth(2, lambda tcp: tcp.src_port == 80 and tcp.window == 0), 10)
                while sent:
                    sent -= len(served.recv(65536))
        _write(path, capture.frames)


class _Nth:
    """Whether a frame is the n-th TCP segment of a kind."""

    def __init__(self, count: int, kind: Callable[[TCP], bool]) -> None:
        self._left = count
        self._kind = kind

    def __call__(self, frame: Frame) -> bool:
        packet = Ethernet.decode(frame.octets)
        self._left -= TCP in packet and self._kind(packet[TCP])
        return self._left == 0


def _listener(host: Host) -> socket.socket:
    listener = host.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    listener.bind((host.ipv4, 80))
    listener.listen()
    listener.settimeout(30)
    return listener


def _send(client: socket.socket, address: str) -> bytes:
    with client:
        client.settimeout(30)
        client.connect((address, 80))
        client.sendall(CONTENT)
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(100)
        # The peer's FIN may have been lost; it is to be in both captures.
        assert client.recv(1) == b""
        return answer


def _serve(listener: socket.socket) -> bytes:
    with listener, listener.accept()[0] as stream:
        stream.settimeout(30)
        received = bytearray()
        while octets := stream.recv(65536):
            received += octets
        stream.sendall(ANSWER)
    return bytes(received)


def _write(path: Path, frames: Sequence[Frame]) -> None:
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for frame in frames:
            writer.write(Record(frame.time_ns, frame.octets, frame.original_length))
