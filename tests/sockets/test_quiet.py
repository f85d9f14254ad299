"""`quiet_port` keeps this kernel's RST from leaving, however the program ends."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.sockets.frames_of import only

from sockwright.errors import EndpointError
from sockwright.sockets import (
    Listener,
    PacketSocket,
    Stream,
    connect,
    listen,
    packet,
    quiet_port,
    raw,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("root")

SYN, RST, SYN_ACK = 0x02, 0x04, 0x12


class Wire:
    """A raw TCP sender on the loopback, a listener that it talks to, and what went by."""

    def __init__(self, host: str, stack: ExitStack) -> None:
        self.host = host.strip("[]")
        self.listener: Listener[Stream] = stack.enter_context(listen(f"tcp://{host}:0"))
        wanted = f"tcp port {self.listener.local_address.port} or tcp dst port 9"
        self.capture: PacketSocket = stack.enter_context(
            packet("lo", program=only(wanted), outgoing=False, timeout=5)
        )
        self.sender = stack.enter_context(raw(f"raw://{host}?protocol=tcp"))
        self.address = socket.inet_pton(self.sender.socket.family, self.host)

    def syn(self, port: int) -> list[int]:
        """Send a SYN from `port`; give the flags of all that follows, up to a mark."""
        self.sender.send(self._segment(port, SYN))
        # The loopback keeps the order: when the mark (all flags, to port 9) is seen, what the
        # kernel answers to the SYN-ACK has been seen as well, since it answers at once.
        self.sender.send(self._segment(port, 0x3F, to=9))
        flags = []
        offset = 14 + (20 if len(self.address) == 4 else 40)
        for frame in self.capture:
            segment = frame.octets[offset:]
            if len(segment) < 20:
                continue
            src, dst = struct.unpack("!HH", segment[:4])
            if port not in {src, dst}:
                continue
            if dst == 9:
                break
            if self.listener.local_address.port in {src, dst}:
                flags.append(segment[13])
        return flags

    def _segment(self, port: int, flags: int, to: int = 0) -> bytes:
        header = struct.pack(
            "!HHIIBBHHH",
            port,
            to or self.listener.local_address.port,
            1,
            0,
            5 << 4,
            flags,
            999,
            0,
            0,
        )
        pseudo = self.address + self.address + struct.pack("!II", len(header), 6) + header
        total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return header[:16] + struct.pack("!H", ~total & 0xFFFF) + header[18:]


@pytest.fixture(params=["127.0.0.1", "[::1]"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    with ExitStack() as stack:
        yield Wire(request.param, stack)


def test_the_kernel_resets_what_a_raw_sender_began_unless_the_port_is_quiet(wire: Wire) -> None:
    host = f"[{wire.host}]" if ":" in wire.host else wire.host
    with quiet_port(f"tcp://{host}:0") as quiet:
        port = quiet.port
        assert wire.syn(port) == [SYN, SYN_ACK]
    assert wire.syn(port)[:3] == [SYN, SYN_ACK, RST]


def test_the_kernel_answers_again_after_sigkill(wire: Wire) -> None:
    host = f"[{wire.host}]" if ":" in wire.host else wire.host
    code = (
        "import sys; from sockwright.sockets import quiet_port\n"
        f"with quiet_port('tcp://{host}:0') as q: print(q.port, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        port = int(holder.stdout.readline())
        assert wire.syn(port) == [SYN, SYN_ACK]
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    assert wire.syn(port)[:3] == [SYN, SYN_ACK, RST]


def test_a_quiet_port_is_held_and_silent() -> None:
    with quiet_port("tcp://:0") as quiet:
        with pytest.raises(OSError, match="EADDRINUSE"):
            listen(quiet.local_address)
        with pytest.raises(TimeoutError):
            connect(quiet.local_address, timeout=0.05)
    with pytest.raises(ConnectionRefusedError):
        connect(f"tcp://:{quiet_port_number(quiet_was=True)}")


def quiet_port_number(*, quiet_was: bool) -> int:
    with quiet_port("tcp://:0") as quiet:
        assert quiet_was
        return quiet.port


def test_a_quiet_port_is_a_tcp_port() -> None:
    with pytest.raises(EndpointError, match="tcp would"):
        quiet_port("udp://:0")
