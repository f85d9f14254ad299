"""What the tests of faults share: a target of 60 open ports, and a scan as a process beside it."""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.scan.nmap import SW, Said, read_ours
from tests.scan.topology import TARGET, Network, listen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.lab import Process

__all__ = ["ASKED", "OPEN", "Outcome", "flood", "passed", "populated", "scan", "scanning"]

ASKED = 2000
OPEN = frozenset(random.Random(5).sample(range(1, ASKED + 1), 60))
PATIENCE_S = 30


class Outcome:
    """A scan that has ended: its status, what it said in rows and on standard error."""

    def __init__(self, process: Process, patience: float = PATIENCE_S) -> None:
        out, err = process.communicate(timeout=patience)
        self.status = process.wait()
        self.complaints = err.decode()
        self.said: Said = read_ours(out)

    def ports(self, state: str) -> set[int]:
        """Return the ports in a state."""
        return {port for port, one in self.said.ports.items() if one.state == state}

    @property
    def remarks(self) -> str:
        """What was remarked on, of hosts and of the whole."""
        rows = [*self.said.host_rows, self.said.summary]
        return "\n".join(text for row in rows for text in row.get("remarks", ()))


@contextmanager
def populated(*, delay: float = 0.0) -> Iterator[Network]:
    """Make the network with its open ports."""
    with Network(delay) as network:
        network.start(network.target, listen, sorted(OPEN))
        yield network


def scanning(
    network: Network, *words: str, before: Sequence[str] = (), cwd: str | None = None
) -> Process:
    """Start a scan of the target's ports, or whatever `words` resume; `before` limits it."""
    which = [] if "--resume" in words else ["-Pn", "-p", f"1-{ASKED}", TARGET]
    return network.scanner.popen(
        [*before, SW, "scan", "--json", "--all", *words, *which],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
    )


def scan(network: Network, *words: str, cwd: str | None = None) -> Outcome:
    """Scan the target's ports to the end."""
    with scanning(network, *words, cwd=cwd) as process:
        return Outcome(process)


def passed(network: Network, count: int) -> None:
    """Wait until the target has got so many frames since now."""
    seen = 0

    def enough(_: object) -> bool:
        nonlocal seen
        seen += 1
        return seen >= count

    with network.target.capture(interface="net") as capture:
        capture.until(enough, timeout=PATIENCE_S)


def flood(ready: int) -> None:
    """Send SYN-ACK, RST and ICMP errors that answer no probe to the scanner's own ports, for ever.

    To the port that the last probe came from, as fast as a process can, from ports at random.
    """
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    sniffer.bind(("net", 0x0800))
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    generator = random.Random(3)
    source = socket.inet_aton(TARGET)
    os.write(ready, b"r")
    probe = sniffer.recv(64)
    sniffer.setblocking(False)
    while True:
        try:
            while True:
                received = sniffer.recv(64)
                if received[12:16] != source:
                    probe = received
        except BlockingIOError:
            pass
        peer, local = probe[12:16], struct.unpack_from("!H", probe, 20)[0]
        where = (socket.inet_ntoa(peer), 0)
        for flags in (0x12, 0x04, 0x14, 0x12):
            segment = struct.pack(
                "!HHIIHHHH",
                generator.randrange(1, ASKED + 1),
                local,
                generator.getrandbits(32),
                generator.getrandbits(32),
                5 << 12 | flags,
                1024,
                0,
                0,
            )
            segment = segment[:16] + _checksum(source + peer + b"\0\6\0\x14" + segment) + b"\0\0"
            sender.sendto(_header(6, len(segment), source, peer) + segment, where)
        quoted = probe[:24] + generator.randbytes(4)
        error = b"\3\1\0\0\0\0\0\0" + quoted
        error = error[:2] + _checksum(error) + error[4:]
        sender.sendto(_header(1, len(error), source, peer) + error, where)


def _header(protocol: int, length: int, source: bytes, target: bytes) -> bytes:
    # The kernel fills in the identification and the checksum (raw(7)).
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0, 64, protocol, 0, source, target)


def _checksum(octets: bytes) -> bytes:
    """Return the checksum of RFC 1071."""
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
