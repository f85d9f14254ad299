"""Find one TCP or UDP conversation in a capture, and give back what its two sides sent.

Rules
    1. Conversations are numbered from 0 in the order in which they begin; a new SYN between the
       same ends begins another. Who sent the first SYN is the client; without one, who sent first.
    2. Unless a number is given, the first that carries octets is taken.
    3. TCP is put together by `machines.tcp_stream`, fragments of IP by `wire.fragments`. What is
       missing is said; it is never passed over in silence.
    4. The file is read once to choose, once to look for what is missing, and once to deliver, so
       memory is bounded whatever its size. It has to be a file, not a pipe.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sockwright.errors import DecodeError, SockwrightError
from sockwright.machines.tcp_stream import ACK, SYN, Data, Gap, Segment, TcpStream
from sockwright.records.reading import read_records
from sockwright.wire.fragments import reassemble
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.tcp import TCP
from sockwright.wire.udp import UDP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from typing import Literal

    from sockwright.machines.tcp_stream import Event
    from sockwright.records.captured_packet import CapturedPacket
    from sockwright.wire.core.packet import Packet

    Protocol = Literal["tcp", "udp"]
    Role = Literal["client", "server"]

__all__ = ["CapturedConversation", "CapturedPiece", "find_conversation"]

_MOST = 1 << 16  # pairs of ends that are told apart while one is looked for
_HEADERS = 512  # octets of a packet in which addresses are looked for
_ROLES: tuple[Role, Role] = ("client", "server")
_CLIENT_HELLO = 1  # RFC 8446 section 4


@dataclass(frozen=True, slots=True)
class CapturedPiece:
    """What one side sent at `time_ns`: a piece of its stream, or one datagram.

    `missing` octets at this place were not captured; with `ended` no more comes from this side.
    """

    sender: Role
    time_ns: int | None
    octets: bytes = b""
    missing: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class CapturedConversation:
    """One conversation of the capture at `path`, which stays there while this is used.

    `octets` and `missing` count what each side sent, and what of that was not captured.
    `whole_start` is whether the capture has the beginning, `tls` whether a side begins TLS in it.
    `damaged` says what ended the capture early, or is "".
    """

    path: str
    number: int
    protocol: Protocol
    client: str
    server: str
    octets: dict[Role, int]
    missing: dict[Role, int]
    whole_start: bool
    tls: bool
    damaged: str
    _chosen: _Chosen

    def pieces(self) -> Iterator[CapturedPiece]:
        """Yield what both sides sent, in order, as far as the capture is whole.

        Raises: OSError as reading a file does.
        """
        with _opened(self.path) as file, suppress(DecodeError):
            yield from _pieces(_Packets(file, self._chosen.client), self._chosen)


def find_conversation(
    path: str, *, number: int | None = None, protocol: Protocol | None = None
) -> CapturedConversation:
    """Return conversation `number` of a capture, or the first that carries octets.

    With `protocol` only such conversations count as the first.

    Raises: SockwrightError where there is none; DecodeError for a file that is no capture; OSError.
    """
    with _opened(path) as file:
        try:
            chosen = _choose(_Packets(file), path, number, protocol)
        except DecodeError as error:
            error.args = (f"{path}: {error}",)  # readers of captures know no names of files
            raise
    octets: dict[Role, int] = {"client": 0, "server": 0}
    missing: dict[Role, int] = {"client": 0, "server": 0}
    tls = False
    damaged = ""
    with _opened(path) as file:
        packets = _Packets(file, chosen.client)
        try:
            for piece in _pieces(packets, chosen):
                octets[piece.sender] += len(piece.octets)
                missing[piece.sender] += piece.missing
                tls = tls or _begins_tls(piece.octets)
        except DecodeError as error:
            damaged = str(error)
    if packets.incomplete and not damaged:
        damaged = f"of {packets.incomplete} datagrams between the two, fragments are missing"
    ends = chosen.client
    return CapturedConversation(
        path,
        chosen.number,
        ends.protocol,
        _text(ends.protocol, ends.src, ends.src_port),
        _text(ends.protocol, ends.dst, ends.dst_port),
        octets,
        missing,
        chosen.whole_start,
        tls,
        damaged,
        chosen,
    )


class _Ends(NamedTuple):
    """Who sends to whom: addresses as they are in the packet, ports in host order."""

    protocol: Protocol
    src: bytes
    src_port: int
    dst: bytes
    dst_port: int

    def turned(self) -> _Ends:
        return _Ends(self.protocol, self.dst, self.dst_port, self.src, self.src_port)


class _Chosen(NamedTuple):
    """A conversation: its place in the capture, its ends, and the how many-th these ends had."""

    number: int
    client: _Ends
    turn: int
    whole_start: bool


class _Turns:
    """Tells the conversations apart that one pair of ends has, one after the other."""

    __slots__ = ("_syns", "client", "count")

    def __init__(self, ends: _Ends) -> None:
        self.client = ends
        self.count = 0
        self._syns: dict[_Ends, int] = {}

    @property
    def whole_start(self) -> bool:
        """Whether the beginning of the latest one was captured."""
        return bool(self._syns) or self.client.protocol == "udp"

    def take(self, ends: _Ends, segment: Segment) -> bool:
        """Take note of a packet; tell whether it begins another conversation."""
        syn, first = segment.flags & SYN, not segment.flags & ACK
        known = self._syns.get(ends)
        begins = not self.count
        if syn and first and known != segment.seq:
            # Both sides may send one: RFC 9293 section 3.5, simultaneous open.
            begins = begins or known is not None or not self._syns
        if begins:
            self.count += 1
            self._syns = {}
            self.client = ends.turned() if syn and not first else ends
        if syn:
            self._syns[ends] = segment.seq
        return begins


class _Packets:
    """Iterates what a capture has of TCP and UDP, of one pair of hosts if `only` tells it.

    `incomplete` counts the datagrams of which not all fragments are there.
    """

    def __init__(self, file: BufferedReader, only: _Ends | None = None) -> None:
        self.incomplete = 0
        self._records = read_records(file)
        # In IPv4 and IPv6 the two addresses stand side by side.
        self._marks = () if only is None else (only.src + only.dst, only.dst + only.src)
        self._time_ns: int | None = None

    def __iter__(self) -> Iterator[tuple[_Ends, Segment]]:
        for datagram in reassemble(self._packets()):
            if datagram.packet is None:
                self.incomplete += 1
                continue
            seen = _transport(datagram.packet, self._time_ns)
            if seen is not None:
                yield seen

    def _packets(self) -> Iterator[CapturedPacket]:
        marks = self._marks
        for packet in self._records.packets():
            if marks:
                octets = bytes(packet)
                if all(octets.find(mark, 0, _HEADERS) < 0 for mark in marks):
                    continue
            self._time_ns = packet.time_ns
            yield packet


def _transport(packet: Packet, time_ns: int | None) -> tuple[_Ends, Segment] | None:
    """Return the ends and the data of the outermost TCP or UDP header; UDP has no flags."""
    network: IPv4 | IPv6 | None = None
    network_at = at = 0
    for header in packet.layers:
        if isinstance(header, (IPv4, IPv6)):
            network, network_at = header, at
        elif isinstance(header, (TCP, UDP)):
            break
        at += header.size
    else:
        return None
    if network is None:
        return None
    octets = bytes(packet)
    stop = max(getattr(packet, "original_length", 0), len(octets))
    if isinstance(network, IPv4):
        told = network.total_length
    else:
        told = network.payload_length and 40 + network.payload_length
    if told:  # interface cards that cut segments themselves leave 0
        stop = min(stop, network_at + told)
    start = at + header.size
    src, dst = network.src.packed, network.dst.packed
    if isinstance(header, UDP):
        if header.length >= header.size:
            stop = min(stop, at + header.length)
        segment = Segment(0, 0, octets[start:stop], time_ns, length=stop - start)
        return _Ends("udp", src, header.src_port, dst, header.dst_port), segment
    segment = Segment(
        header.seq, int(header.flags), octets[start:stop], time_ns, header.ack, stop - start
    )
    return _Ends("tcp", src, header.src_port, dst, header.dst_port), segment


def _choose(packets: _Packets, path: str, number: int | None, protocol: Protocol | None) -> _Chosen:
    """Return the conversation that is meant. Raises: SockwrightError where there is none."""
    pairs: dict[_Ends, tuple[_Turns, int]] = {}
    count = 0
    for ends, segment in packets:
        key = ends if ends in pairs else ends.turned()
        turns, own = pairs.get(key) or (_Turns(ends), 0)
        if turns.take(ends, segment):
            own, count = count, count + 1
            pairs[key if key in pairs else ends] = turns, own
            if len(pairs) > _MOST:
                del pairs[next(iter(pairs))]
        if number is None:
            found = bool(segment.length) and protocol in {None, ends.protocol}
        else:
            found = own == number
        if found:
            return _Chosen(own, turns.client, turns.count - 1, turns.whole_start)
    if number is None or not count:
        what = protocol.upper() if protocol else "TCP or UDP"
        raise SockwrightError(f"{path}: no {what} conversation in it carries octets")
    raise SockwrightError(f"{path}: conversation {number} is not there, 0 to {count - 1} are")


def _pieces(packets: _Packets, chosen: _Chosen) -> Iterator[CapturedPiece]:
    """Yield what both sides sent. Raises: DecodeError, behind all that is whole."""
    turns = _Turns(chosen.client)
    stream = TcpStream()
    time_ns = None
    error = None
    try:
        for ends, segment in packets:
            way = 0 if ends == chosen.client else 1
            if way and ends.turned() != chosen.client:
                continue
            turns.take(ends, segment)
            if turns.count - 1 < chosen.turn:
                continue
            if turns.count - 1 > chosen.turn:
                break
            time_ns = segment.time_ns
            if chosen.client.protocol == "udp":
                missing = segment.length - len(segment.octets)
                yield CapturedPiece(_ROLES[way], time_ns, segment.octets, missing)
            else:
                for event in stream.receive(way, segment):
                    yield _piece(event)
    except DecodeError as found:
        error = found
    for event in stream.flush(time_ns):
        yield _piece(event)
    if error is not None:
        raise error


def _piece(event: Event) -> CapturedPiece:
    sender = _ROLES[event.direction]
    if isinstance(event, Data):
        return CapturedPiece(sender, event.time_ns, event.octets)
    if isinstance(event, Gap):
        return CapturedPiece(sender, event.time_ns, missing=event.length)
    return CapturedPiece(sender, event.time_ns, ended=True)


def _begins_tls(octets: bytes) -> bool:
    """Tell whether a ClientHello stands here, of TLS (RFC 8446) or DTLS (RFC 9147)."""
    if octets[:2] == b"\x16\x03":
        return octets[5:6] == bytes((_CLIENT_HELLO,))
    return octets[:2] == b"\x16\xfe" and octets[13:14] == bytes((_CLIENT_HELLO,))


def _text(protocol: Protocol, address: bytes, port: int) -> str:
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    host = socket.inet_ntop(family, address)
    return f"{protocol}://{host}:{port}" if len(address) == 4 else f"{protocol}://[{host}]:{port}"


def _opened(path: str) -> BufferedReader:
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise SockwrightError(f"{path}: a replay is read more than once, so it has to be a file")
    return open(path, "rb")  # a with statement of the caller closes it
