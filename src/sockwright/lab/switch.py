"""The switch of a segment whose links lose or delay frames.

A segment is a bridge of the kernel as long as its links are perfect. With the first fault the
ports leave the bridge and this process carries the frames between them: it reads each port with a
packet(7) socket, and sends a frame on to the port whose address it bears, or to all others, after
the loss and the delay of that pair of ports. netem does the same in the kernel, and many kernels
are built without it; this needs no module, no program and no more than the lab's own privileges.

Within one direction of one pair frames keep their order while the delay stays the same. What is
lost is drawn from a generator of that direction's own, so that a seed gives the same losses again.
The moment of sending is late by a third to half a millisecond, when the machine is not busy.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from sockwright.lab import channel

__all__ = ["serve"]

_SOL_PACKET = 263
_PACKET_AUXDATA = 8
_PACKET_IGNORE_OUTGOING = 23
_PACKET_OUTGOING = 4
_AUXDATA = struct.Struct("=IIIHHHH")  # status, length, snaplen, mac, net, VLAN tag, VLAN TPID
_TP_STATUS_VLAN_VALID = 0x10
_SO_RCVBUFFORCE = 33
_BUFFER = 1 << 23  # octets; what comes faster than this process reads waits here
_MAX_FRAME = 65536 + 18
_AT_ONCE = 64  # frames read from one port before the other ports have their turn
_MAX_WAITING = 100_000  # frames held back; those that come beyond are lost, as in a full queue


@dataclass(slots=True)
class _Path:
    """One direction between two ports."""

    loss: float
    delay_ns: int
    generator: random.Random


def serve(control: socket.socket, ports: list[socket.socket], macs: list[str]) -> None:
    """Carry frames between `ports` until `control` closes.

    `macs` are the addresses of the hosts at the ports. A message on `control` replaces the faults:
    ``{"paths": [[from, to, loss, delay_ns, seed], ...]}``; each is answered with ``{}``.
    """
    _Switch(control, ports, macs).run()


class _Switch:
    def __init__(self, control: socket.socket, ports: list[socket.socket], macs: list[str]) -> None:
        self.control = control
        self.ports = ports
        self.port_of = {bytes.fromhex(mac.replace(":", "")): at for at, mac in enumerate(macs)}
        self.paths: dict[tuple[int, int], _Path] = {}
        self.waiting: list[tuple[int, int, int, bytes]] = []  # a heap by (due, arrival)
        self.arrivals = 0
        for port in ports:
            port.setblocking(False)
            port.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
            try:
                port.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            except PermissionError:  # an ordinary user gets at most net.core.rmem_max
                port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            with contextlib.suppress(OSError):  # Linux 4.20; the look at the type below remains
                port.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)

    def run(self) -> None:
        readable: list[Any] = [self.control, *self.ports]
        at = {port: number for number, port in enumerate(self.ports)}
        while True:
            # select(2) rather than poll(2): its limit is in microseconds, not in milliseconds.
            ready, _, _ = select.select(readable, [], [], self.limit())
            for one in ready:
                if one is self.control:
                    message, _ = channel.receive(self.control)
                    if message is channel.ENDED:
                        return
                    self.paths = {
                        (source, target): _Path(loss, delay_ns, random.Random(seed))  # noqa: S311
                        for source, target, loss, delay_ns, seed in message["paths"]
                    }
                    channel.send(self.control, {})
                else:
                    self.take(at[one])
            self.send_due()

    def limit(self) -> float | None:
        """Seconds until the next frame is due."""
        if not self.waiting:
            return None
        return max(0, self.waiting[0][0] - time.monotonic_ns()) / 1e9

    def take(self, source: int) -> None:
        port = self.ports[source]
        for _ in range(_AT_ONCE):
            try:
                frame, ancillary, _, sender = port.recvmsg(
                    _MAX_FRAME, socket.CMSG_SPACE(_AUXDATA.size)
                )
            except BlockingIOError:
                return
            except OSError:  # ENETDOWN: the link was taken down
                return
            if sender[2] == _PACKET_OUTGOING:
                continue
            frame = _with_tag(frame, ancillary)
            target = self.port_of.get(frame[:6])
            targets = range(len(self.ports)) if target is None else (target,)
            for one in targets:
                if one != source:
                    self.pass_on(source, one, frame)

    def pass_on(self, source: int, target: int, frame: bytes) -> None:
        path = self.paths.get((source, target))
        if path is None:
            self.transmit(target, frame)
        elif path.loss and path.generator.random() < path.loss:
            return
        elif not path.delay_ns:
            self.transmit(target, frame)
        elif len(self.waiting) < _MAX_WAITING:
            self.arrivals += 1
            due = time.monotonic_ns() + path.delay_ns
            heapq.heappush(self.waiting, (due, self.arrivals, target, frame))

    def send_due(self) -> None:
        while self.waiting and self.waiting[0][0] <= time.monotonic_ns():
            _, _, target, frame = heapq.heappop(self.waiting)
            self.transmit(target, frame)

    def transmit(self, target: int, frame: bytes) -> None:
        # A link that is down, or a queue that is full, loses the frame.
        with contextlib.suppress(OSError):
            self.ports[target].send(frame)


def _with_tag(frame: bytes, ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """Put the VLAN tag back that the kernel has taken out of a received frame."""
    for level, kind, data in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA) and len(data) >= _AUXDATA.size:
            status, _, _, _, _, tag, tpid = _AUXDATA.unpack_from(data)
            if status & _TP_STATUS_VLAN_VALID:
                return frame[:12] + struct.pack("!HH", tpid or 0x8100, tag) + frame[12:]
    return frame
