"""Copies the packets between this machine and its targets into the evidence of a scan.

The kernel makes the packets of a connect scan and of a UDP scan, so they are captured, as is all
that is asked of a host beside its ports; raw probes are written down by who sends them.
"""

from __future__ import annotations

import socket
import sys
import time
from time import monotonic
from typing import TYPE_CHECKING, Final

from sockwright.sockets.filter import NOTHING, Instruction, attach_filter, keeping
from sockwright.sockets.ring import FRAME, PacketRing, link_type, open_link

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sockwright.scan.reports.evidence import EvidenceWriter
    from sockwright.scan.targets import Target

__all__ = ["Witness", "about", "proves"]

_KEPT: Final = 65535
_FEW_HOSTS: Final = 64  # which the kernel can pick out; of more, everything is taken
_LAST_PURPOSES: Final = 8
_BUFFER: Final = 1 << 24
_BLOCKS_A_STEP: Final = 64
_OUTGOING: Final = 4  # PACKET_OUTGOING
# In the address (sockaddr_ll) behind the header of a frame:
_HARDWARE_AT: Final = 48 + 8  # sll_hatype
_TYPE_AT: Final = 48 + 10  # sll_pkttype
_LOOPBACK: Final = (772).to_bytes(2, sys.byteorder)  # ARPHRD_LOOPBACK
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_HANDSHAKE: Final = _SYN | _RST | _ACK
_ERRORS: Final = (b"\x03", b"\x0b", b"\x0c")  # unreachable, time exceeded, parameter problem
_NO_ERROR_6 = 128  # RFC 4443 section 2.1: error messages have smaller types
_OF_NEIGHBOURS = range(133, 138)  # RFC 4861 section 4: the kernel's own questions
_PATIENCE: Final = 0.5  # seconds that the last block may take to be handed over


class Witness:
    """Captures the packets of some IP protocols from and to hosts, and ICMP errors about them.

    Of each host it is what comes and goes after it was added: what discovery asked before is
    written down by itself. `protocols` are all of which it captures. When it is closed `dropped`
    counts the packets that came faster than they were read.

    See `sockwright.scan.part.Part`.

    Raises:
        PermissionError: CAP_NET_RAW is missing.
    """

    done = True  # it never keeps a scan from ending
    remarks: tuple[str, ...] = ()

    def __init__(self, evidence: EvidenceWriter, protocols: Iterable[int]) -> None:
        self._evidence = evidence
        self.protocols = frozenset(protocols)
        self.dropped = 0
        self._purposes: list[tuple[int, str]] = []  # from when on, and the last ones
        self._since: dict[bytes, int] = {}  # by host: nanoseconds since 1970
        self._ring = PacketRing(open_link(""), "", NOTHING, buffer=_BUFFER)

    def add(self, targets: Iterable[Target]) -> None:
        """Look at these hosts too."""
        now = time.time_ns()
        for one in targets:
            self._since.setdefault(socket.inet_pton(one.family, one.address), now)
        attach_filter(self._ring.socket, self._program())

    def forget(self) -> None:
        """Look at no host any more, after what was captured so far."""
        self._drain()
        self._since.clear()
        attach_filter(self._ring.socket, NOTHING)

    def asks(self, purpose: str) -> None:
        """Let `purpose` be the comment of what goes out from now on."""
        self._purposes = [*self._purposes[-_LAST_PURPOSES:], (time.time_ns(), purpose)]

    def _program(self) -> Sequence[Instruction]:
        """Return the filter for the hosts: strangers' packets would take the room in the ring."""
        if len(self._since) > _FEW_HOSTS:
            return keeping((), _KEPT)
        from sockwright.filters import compile_filter

        hosts = (
            socket.inet_ntop(socket.AF_INET if len(one) == 4 else socket.AF_INET6, one)
            for one in self._since
        )
        # An error may come from any router.
        text = " or ".join(["icmp", "icmp6", *(f"host {host}" for host in hosts)])
        kind = link_type(self._ring.socket, "")
        return keeping(compile_filter(text, kind, live=True).instructions, _KEPT)

    @property
    def taken(self) -> int:
        """How many packets the kernel has handed over."""
        return self._ring.taken

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The ring."""
        return (self._ring.fileno(),)

    def next_time(self, now: float) -> float | None:  # noqa: ARG002  # every part is told the time
        """Return nothing: packets call by themselves."""
        return None

    def step(self, now: float) -> None:  # noqa: ARG002  # every part is told the time
        """Write down what came."""
        for _ in range(_BLOCKS_A_STEP):
            block = self._ring.take()
            if block is None:
                return
            memory, at = block.octets, block.first
            for _ in range(block.frames):
                following, seconds, nanoseconds, kept, _, _, _, network, *_ = FRAME.unpack_from(
                    memory, at
                )
                packet = memory[at + network : at + network + kept]
                outgoing: bool | None = memory[at + _TYPE_AT] == _OUTGOING
                inside = memory[at + _HARDWARE_AT : at + _HARDWARE_AT + 2] == _LOOPBACK
                at += following
                if inside:
                    if outgoing:
                        continue  # the same packet comes in again at once
                    outgoing = None
                time_ns = seconds * 10**9 + nanoseconds
                if self._wanted(packet, time_ns, outgoing=bool(outgoing)):
                    comment = self._purpose(time_ns) if outgoing else proves(packet, inside=inside)
                    self._evidence.frame(bytes(packet), time_ns, comment, outgoing=outgoing)
            self._ring.release()

    def _purpose(self, time_ns: int) -> str:
        return next((text for since, text in reversed(self._purposes) if since <= time_ns), "")

    def _wanted(self, packet: memoryview, time_ns: int, *, outgoing: bool) -> bool:
        protocol, other = about(packet, outgoing=outgoing)
        if protocol not in self.protocols:
            return False
        since = self._since.get(other)
        return since is not None and since <= time_ns

    def stop(self) -> None:
        """Do nothing: what was captured is written."""

    def close(self) -> None:
        """Write what is left, and close the ring; a second time does nothing."""
        if not self._ring.closed:
            self.dropped = self._drain()
            self._ring.close()

    def _drain(self) -> int:
        """Write what was captured so far; return how many packets there was no room for."""
        ring = self._ring
        counts = ring.statistics()
        end = monotonic() + _PATIENCE
        self.step(0.0)
        while ring.taken < counts.accepted - counts.dropped and monotonic() < end:
            ring.wait(_PATIENCE)
            self.step(0.0)
        return counts.dropped


def about(packet: memoryview, *, outgoing: bool) -> tuple[int, bytes]:
    """Return the IP protocol of a packet, and the other host; of an ICMP error what it quotes.

    An error may come from any router: it is about the host that the quoted packet went to.
    """
    if len(packet) < 20:
        return -1, b""
    if packet[0] >> 4 == 4:
        at, protocol = (packet[0] & 15) * 4, packet[9]
        if protocol == socket.IPPROTO_ICMP and not outgoing:
            quoted = packet[at + 8 :]
            is_error = bytes(packet[at : at + 1]) in _ERRORS and len(quoted) >= 20
            if is_error:
                return quoted[9], bytes(quoted[16:20])
        return protocol, bytes(packet[16:20] if outgoing else packet[12:16])
    if packet[0] >> 4 != 6 or len(packet) <= 40:
        return -1, b""
    protocol = packet[6]
    if protocol == socket.IPPROTO_ICMPV6 and packet[40] in _OF_NEIGHBOURS:
        return -1, b""
    if protocol == socket.IPPROTO_ICMPV6 and not outgoing:
        quoted = packet[48:]
        if packet[40] < _NO_ERROR_6 and len(quoted) >= 40:
            return quoted[6], bytes(quoted[24:40])
    return protocol, bytes(packet[24:40] if outgoing else packet[8:24])


def proves(packet: memoryview, *, inside: bool = False) -> str:
    """Say what an answer proves of a port, "" if nothing; `packet` begins with its IP header.

    Within one machine (`inside`) nobody can tell a datagram from its answer.
    """
    at, protocol = ((packet[0] & 15) * 4, packet[9]) if packet[0] >> 4 == 4 else (40, packet[6])
    if protocol == socket.IPPROTO_UDP and len(packet) >= at + 8 and not inside:
        return f"proves {int.from_bytes(packet[at : at + 2], 'big')}/udp open"
    if protocol == socket.IPPROTO_TCP and len(packet) >= at + 20:
        port = int.from_bytes(packet[at : at + 2], "big")
        flags = packet[at + 13] & _HANDSHAKE
        if flags == _SYN | _ACK:
            return f"proves {port}/tcp open"
        # The answer to a SYN has the sequence number 0 (RFC 9293 section 3.5.2); the end of a
        # connection that was there has not.
        if flags == _RST | _ACK and not any(packet[at + 4 : at + 8]):
            return f"proves {port}/tcp closed"
    if protocol in {socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6}:
        return _unreachable(packet, at)
    return ""


def _unreachable(packet: memoryview, at: int) -> str:
    """Say what an ICMP error at octet `at` proves of the port that its quoted packet went to."""
    version = packet[0] >> 4
    if len(packet) < at + 8 or packet[at] != (3 if version == 4 else 1):
        return ""
    quoted = packet[at + 8 :]
    if len(quoted) < (20 if version == 4 else 40) or quoted[0] >> 4 != version:
        return ""
    if version == 4:
        ports, protocol, asked = (quoted[0] & 15) * 4, quoted[9], quoted[16:20]
        sender = packet[12:16]
    else:
        ports, protocol, asked = 40, quoted[6], quoted[24:40]
        sender = packet[8:24]
    name = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp"}.get(protocol)
    if name is None or len(quoted) < ports + 4:
        return ""
    # Port unreachable (3, 4 for IPv6) is how a host says that a UDP port is closed, RFC 1122
    # section 4.1.3.1, RFC 4443 section 3.1; from anybody else it is a filter.
    closed = name == "udp" and packet[at + 1] == (3 if version == 4 else 4) and sender == asked
    port = int.from_bytes(quoted[ports + 2 : ports + 4], "big")
    return f"proves {port}/{name} {'closed' if closed else 'filtered'}"
