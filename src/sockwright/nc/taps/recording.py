"""Record conversations as pcapng, with packets made up around the octets, for Wireshark and others.

Rules
    1. A packet stands for what this process read or wrote, when it did; sizes of segments on the
       wire, retransmissions and windows are not in it. Longer pieces are cut into segments of
       32 KiB. The headers are those of `made_up`, which says what has which address.
    2. TCP begins with SYN, SYN-ACK, ACK and ends with a FIN each way, each acknowledged, or with
       RST. Every segment acknowledges all before it; where one side is silent, it sends an ACK for
       each 256 KiB. So nothing is missing, and nobody's analysis finds anything to complain of.
    3. Streams of every kind (TLS, UNIX, processes) are written as TCP, datagrams as UDP. TLS is
       recorded in clear text, as this process had it.
    4. The first packet of a conversation names both ends in a comment, where the addresses do not.
       Kinds of conversations are kept apart as interfaces, whose comments say what is made up.
    5. Memory does not grow with what is recorded. Conversations may be in threads of their own.
"""

from __future__ import annotations

from threading import Lock

from sockwright.nc.taps.made_up import ACK, FIN, PSH, RST, SYN, Way, place_of
from sockwright.nc.taps.tap import Tap
from sockwright.records.contents import Interface
from sockwright.records.pcapng_writer import PcapngWriter
from sockwright.records.record import MAX_CAPTURED, Record
from sockwright.records.record_file import RecordFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.taps.tap import Direction, Octets
    from sockwright.records.record_file import RawFile

__all__ = ["Recorder", "Tap"]

_ETHERNET = 1  # LINKTYPE_ETHERNET
_INBOUND, _OUTBOUND = 1, 2  # epb_flags, pcapng section 4.3.1
_SEGMENT = 32 << 10
_MAX_DATAGRAM = 65507  # what UDP over IPv4 carries
_ACK_AFTER = 256 << 10
_SEQ_MASK = 0xFFFF_FFFF
_HALF = 1 << 31

_SECTION = "packets made up around what was read and written; sequence numbers are not the wire's"
_PLAIN, _TLS, _LOCAL = 0, 1, 2
_INTERFACES = (
    ("sockwright", "octets as they were on the wire"),
    ("sockwright-tls", "TLS recorded in clear text: what is here was encrypted on the wire"),
    (
        "sockwright-made-up",
        "no IP: 127.1.0.1 is unix, 127.2.0.1 vsock, 127.3.0.1 here, 127.4.0.1 a name; see comments",
    ),
)


class Recorder:
    """Writes any number of conversations into one file; `conversation` makes the tap of each.

    `file` is unbuffered (`output.open_output`) and belongs to the recorder from now on. What has
    been recorded is in the file before the next octets are, in whole blocks. When the file takes no
    more, `report` is called once with one line, and the recorder does nothing from then on.
    """

    def __init__(self, file: RawFile, report: Callable[[str], object], *, name: str = "") -> None:
        self._report = report
        self._lock = Lock()
        self._conversations = 0
        self._described: set[int] = set()
        self._file: RecordFile | None = RecordFile(file, name)
        try:
            self._writer = PcapngWriter(self._file, comment=_SECTION)
        except OSError as error:
            self._give_up(error)

    @property
    def active(self) -> bool:
        """Whether what is told is still recorded."""
        return self._file is not None

    def conversation(self) -> Tap:
        """Return a tap for one connection."""
        with self._lock:
            number, self._conversations = self._conversations, self._conversations + 1
        return _RecordedConversation(self, number)

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                self._report(f"the recording may not be whole: {error}")

    def write(
        self, octets: bytes, time_ns: int, kind: int, flags: int, comment: str | None
    ) -> None:
        """Write one packet and let it reach the kernel; raises nothing."""
        with self._lock:
            file = self._file
            if file is None:
                return
            try:
                name, about = _INTERFACES[kind]
                if kind not in self._described:
                    self._described.add(kind)
                    self._writer.add_interface(
                        Interface(kind, _ETHERNET, MAX_CAPTURED, name, comment=about)
                    )
                size = len(octets)
                self._writer.write(
                    Record(time_ns, octets, size, _ETHERNET, name, comment, kind, flags)
                )
                file.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        self._report(f"the recording ends here, the conversation goes on: {reason}")


class _RecordedConversation(Tap):
    """The tap of one connection."""

    __slots__ = ("_comment", "_datagrams", "_kind", "_number", "_over", "_recorder", "_ways")

    def __init__(self, recorder: Recorder, number: int) -> None:
        self._recorder = recorder
        self._number = number
        self._kind = _PLAIN
        self._comment: str | None = None
        self._datagrams = False
        self._over = False
        self._ways: dict[Direction, Way] = {}

    def opened(self, local: str, remote: str, time_ns: int, *, accepted: bool = False) -> None:
        """Write the handshake of TCP, or nothing for datagrams."""
        client, server = (remote, local) if accepted else (local, remote)
        source = place_of(client, self._number, "client")
        target = place_of(server, self._number, "server")
        self._datagrams = any(
            end.startswith("udp:") or end.endswith("?type=datagram") for end in (local, remote)
        )
        tls = remote.startswith("tls:") or local.startswith("tls:")
        if not (source.real and target.real):
            self._kind = _LOCAL
        elif tls:
            self._kind = _TLS
        if self._kind != _PLAIN:
            clear = ", recorded in clear text" if tls else ""
            self._comment = f"{client} to {server}{clear}"
        # Numbers that differ each time, as RFC 9293 section 3.4.1 wants: a clock of 4 microseconds.
        first = time_ns // 4000 & _SEQ_MASK
        flags = (_INBOUND, _OUTBOUND) if accepted else (_OUTBOUND, _INBOUND)
        there = Way(source, target, first, flags[0])
        back = Way(target, source, first ^ _HALF, flags[1])
        self._ways = (
            {"received": there, "sent": back} if accepted else {"sent": there, "received": back}
        )
        if not self._datagrams:
            self._segment(there, back, SYN, time_ns)
            self._segment(back, there, SYN | ACK, time_ns)
            self._segment(there, back, ACK, time_ns)

    def octets(self, direction: Direction, data: Octets, time_ns: int) -> None:
        """Write a datagram, or as many segments as the piece takes."""
        if not self._recorder.active:
            return
        way = self._ways[direction]
        view = memoryview(data)
        size = len(view)
        if self._datagrams:
            self._datagram(way, view, time_ns)
            return
        other = self._other(direction)
        for at in range(0, size, _SEGMENT):
            flags = ACK if at + _SEGMENT < size else PSH | ACK
            self._segment(way, other, flags, time_ns, view[at : at + _SEGMENT])
            if way.unacknowledged >= _ACK_AFTER:
                self._segment(other, way, ACK, time_ns)

    def ended(self, direction: Direction, time_ns: int) -> None:
        """Write FIN and what acknowledges it."""
        way = self._ways[direction]
        if way.ended or self._over or self._datagrams:
            return
        way.ended = True
        other = self._other(direction)
        self._segment(way, other, FIN | ACK, time_ns)
        self._segment(other, way, ACK, time_ns)

    def closed(self, time_ns: int, *, reset: Direction | None = None) -> None:
        """Write RST; or FIN, where this side has not sent one. The peer's is not made up."""
        if not self._ways or self._over:
            return
        if reset is None:
            self.ended("sent", time_ns)
        elif not self._datagrams:
            self._segment(self._ways[reset], self._other(reset), RST | ACK, time_ns)
        self._over = True

    def _other(self, direction: Direction) -> Way:
        return self._ways["received" if direction == "sent" else "sent"]

    def _segment(
        self, way: Way, other: Way, flags: int, time_ns: int, data: bytes | memoryview = b""
    ) -> None:
        other.unacknowledged = 0
        self._write(way, way.segment(flags, other.seq, data), time_ns)

    def _datagram(self, way: Way, data: memoryview, time_ns: int) -> None:
        size = len(data)
        for at in range(0, size or 1, _MAX_DATAGRAM):
            if size > _MAX_DATAGRAM:
                end = min(size, at + _MAX_DATAGRAM)
                told = f"octets {at} to {end} of a datagram of {size}"
                self._comment = f"{self._comment}\n{told}" if self._comment else told
            self._write(way, way.datagram(data[at : at + _MAX_DATAGRAM]), time_ns)

    def _write(self, way: Way, packet: bytes, time_ns: int) -> None:
        comment, self._comment = self._comment, None
        self._recorder.write(packet, time_ns, self._kind, way.flags, comment)
