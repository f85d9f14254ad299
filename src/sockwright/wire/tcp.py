"""Transmission Control Protocol, RFC 9293 section 3.1."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, ClassVar

from sockwright.wire.core.field import Derived, Field, UInt, derived, flags, uint, variable
from sockwright.wire.core.flags import FlagSet
from sockwright.wire.core.header import Header
from sockwright.wire.core.option import (
    EndOfOptions,
    MalformedOption,
    NoOperation,
    Option,
    OptionCodec,
    UnknownOption,
)
from sockwright.wire.core.transport_checksum import transport_checksum_findings
from sockwright.wire.core.walk import Walk
from sockwright.wire.tcp_options import (
    KINDS,
    MSS,
    SYN_ONLY,
    FastOpen,
    Timestamps,
    WindowScale,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place, Severity
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["TCP", "TCPFlags"]

_PROTOCOL = 6


class TCPFlags(
    FlagSet,
    names=("F", "S", "R", "P", "A", "U", "E", "C", "N"),
    words=("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"),
):
    """The control bits: FIN SYN RST PSH ACK URG ECE CWR, and AE (the old NS, RFC 9768)."""

    __slots__ = ()

    FIN: ClassVar[TCPFlags]
    SYN: ClassVar[TCPFlags]
    RST: ClassVar[TCPFlags]
    PSH: ClassVar[TCPFlags]
    ACK: ClassVar[TCPFlags]
    URG: ClassVar[TCPFlags]
    ECE: ClassVar[TCPFlags]
    CWR: ClassVar[TCPFlags]
    AE: ClassVar[TCPFlags]


class TCP(Header, layer="tcp", carried_by={"ip_protocol": _PROTOCOL}):
    """A TCP header, 20 octets and its options.

    `data_offset` counts 32-bit words. `flags` takes a number or letters: ``SA`` is SYN and ACK.
    """

    __slots__ = ()
    walk = Walk(size=("data_offset",), unit=4)

    src_port: UInt = uint(16, "port of the sender")
    dst_port: UInt = uint(16, "port of the receiver")
    seq: UInt = uint(32, "number of the first octet of data, or of the SYN")
    ack: UInt = uint(32, "number of the octet expected next")
    data_offset: Derived = derived(4, "header length in 32-bit words", default=5)
    reserved: UInt = uint(3, "0")
    flags: Field[TCPFlags, int | str] = flags(TCPFlags, "control bits")
    window: UInt = uint(16, "octets the sender will take, before scaling", default=65535)
    checksum: Derived = derived(16, "over pseudo-header, header and data")
    urgent_pointer: UInt = uint(16, "end of the urgent data, from seq on")
    options: Field[tuple[Option, ...], Iterable[Option]] = variable(
        OptionCodec(KINDS), "options, RFC 9293 section 3.2"
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write data offset and checksum. Without an IP header around, the checksum stays 0."""
        src_port, dst_port, seq, ack, control, window, checksum, urgent = self._values
        auto = self._auto
        size = 20
        if self._tail:
            size += len(self._tail)
            body = self._tail + body
        if auto & _DATA_OFFSET:
            control = control & 0x0FFF | size << 10
        if auto & _CHECKSUM:
            checksum = 0
            addresses = headers[index - 1].pseudo_sum(headers, index - 1) if index else None
            if addresses is not None:
                total = _from_bytes(body, "big")
                length = len(body)
                if length & 1:  # `checksum.value_of`, without the call
                    total <<= 8
                words = src_port + dst_port + seq + ack + control + window + urgent
                checksum = -(total + addresses + words + length + _FIXED) % 65535
        return _pack(src_port, dst_port, seq, ack, control, window, checksum, urgent) + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the options; what follows is the payload."""
        size = self._values[4] >> 10 & 0x3C
        if size > 20:
            start = self.take_tail(octets, offset, size, end, packet)
            if start < offset + size:
                self._auto &= ~_DATA_OFFSET  # as IPv4 does with its header length
            return start, end, None
        return offset + 20, end, None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on ports, data offset, flags, reserved bits, options and checksum."""
        yield from _judge_ports(self)
        dst = getattr(place.network, "dst", None)
        if dst is not None and (dst.is_multicast or dst == _BROADCAST):
            yield self.finding(
                "to-many",
                "warning",
                "",
                str(dst),
                "a unicast address",
                "RFC 9293 section 3.9.2.3",
                "TCP talks to one peer; a receiver drops a segment to many",
            )
        # The 5 of the data offset, not shifted into the upper four bits, reads as these flags.
        first = place.octets[place.start + 12]
        if first >> 4 == 0 and first >= 5:
            yield self.finding(
                "data-offset-not-shifted",
                "error",
                "data_offset",
                "0",
                f"{first & 15}",
                "RFC 9293 section 3.1",
                f"octet 12 is {first:#04x}: the data offset {first & 15} belongs into its upper "
                f"four bits, as {(first & 15) << 4:#04x}",
            )
        else:
            yield from _judge_data_offset(self, place)
            if self.reserved:
                yield self.finding(
                    "reserved",
                    "warning",
                    "reserved",
                    f"{self.reserved:#05b}",
                    "0",
                    "RFC 9293 section 3.1",
                    "bits that are reserved are set; receivers ignore them",
                )
        yield from _judge_flags(self, place)
        yield from _judge_options(self)
        yield from transport_checksum_findings(place, _PROTOCOL, 16, "RFC 9293 section 3.1")


_BROADCAST = IPv4Address("255.255.255.255")
_pack = TCP._layout.pack
_FIXED = _PROTOCOL + 20  # of the pseudo-header: the protocol, and the fixed part of the length
_from_bytes = int.from_bytes
_DATA_OFFSET, _CHECKSUM = TCP.data_offset.mask, TCP.checksum.mask

_FIN, _SYN, _RST, _PSH, _ACK, _URG = 1, 2, 4, 8, 16, 32
_CONTROL = 63
_SMALLEST_MSS = 88  # less is a way to make a host send many small segments; Linux clamps there


# Flags that are looked at, those of them that are set, code, expected, message.
_FLAG_RULES = (
    (_CONTROL, 0, "flags-none", "A", "no control bit is set (a null scan does this)"),
    (
        _CONTROL,
        _FIN | _PSH | _URG,
        "flags-xmas",
        "A",
        "FIN, PSH and URG without ACK is no step of any connection (a Xmas scan does this)",
    ),
    (
        _SYN | _FIN,
        _SYN | _FIN,
        "flags-syn-fin",
        "S or F",
        "SYN opens and FIN ends a connection; one segment cannot do both",
    ),
    (
        _SYN | _RST,
        _SYN | _RST,
        "flags-syn-rst",
        "S or R",
        "SYN opens and RST aborts a connection; one segment cannot do both",
    ),
    (
        _RST | _FIN,
        _RST | _FIN,
        "flags-rst-fin",
        "R or F",
        "FIN ends a connection in order and RST aborts it; one segment cannot do both",
    ),
    (
        _CONTROL & ~(_PSH | _URG),
        _FIN,
        "flags-fin-no-ack",
        "FA",
        "FIN without ACK: once a connection is established every segment has ACK",
    ),
    (
        _CONTROL & ~(_PSH | _URG),
        0,
        "flags-no-ack",
        "A",
        "only SYN and RST go without ACK; a receiver drops this segment",
    ),
)


def _judge_ports(tcp: TCP) -> Iterator[Finding]:
    for name, port in (("src_port", tcp.src_port), ("dst_port", tcp.dst_port)):
        if port == 0:
            yield tcp.finding(
                name.replace("_", "-"),
                "error",
                name,
                "0",
                "1 to 65535",
                "RFC 6335 section 6",
                "port 0 is reserved: no connection has it",
            )


def _judge_data_offset(tcp: TCP, place: Place) -> Iterator[Finding]:
    words = tcp.data_offset
    held = place.end - place.start
    if words < 5:
        expected, message = "5 or more", f"{words} words are less than the 20 octets of a header"
    elif 4 * words > held and not _cut_outside(place):
        expected = f"at most {held // 4}"
        message = f"a header of {4 * words} octets does not fit a segment of {held}"
    elif 4 * words != tcp.size and not place.truncated:
        expected = f"{tcp.size // 4}"
        message = f"the header has {tcp.size} octets, but the data offset says {4 * words}"
    else:
        return
    yield tcp.finding(
        "data-offset", "error", "data_offset", f"{words}", expected, "RFC 9293 section 3.1", message
    )


def _cut_outside(place: Place) -> bool:
    """Whether the octets ended in a layer around: then the segment itself may be whole."""
    return any(error.layer != "tcp" for error in place.packet.errors)


def _judge_flags(tcp: TCP, place: Place) -> Iterator[Finding]:
    flags = tcp.flags
    for looked_at, wanted, code, expected, message in _FLAG_RULES:
        if flags & looked_at == wanted:
            found = str(flags) or "none"
            yield tcp.finding(
                code, "error", "flags", found, expected, "RFC 9293 section 3.10.7", message
            )
            break
    if tcp.ack and not flags & _ACK:
        yield tcp.finding(
            "ack-unused",
            "note",
            "ack",
            f"{tcp.ack}",
            "0",
            "RFC 9293 section 3.1",
            "an acknowledgement number is there, but without ACK nobody reads it",
        )
    pointer = tcp.urgent_pointer
    severity: Severity = "warning"
    if pointer and not flags & _URG:
        expected = "0"
        message = "an urgent pointer is there, but without URG nobody reads it"
    elif not pointer and flags & _URG:
        expected = "1 or more"
        message = "URG is set, but the urgent pointer says that no octet is urgent"
    elif flags & _URG and pointer > len(place.body) and not place.truncated:
        severity, expected = "note", f"at most {len(place.body)}"
        message = "the urgent data end in a later segment"
    else:
        return
    yield tcp.finding(
        "urgent-pointer",
        severity,
        "urgent_pointer",
        f"{pointer}",
        expected,
        "RFC 9293 section 3.8.5",
        message,
    )


def _judge_options(tcp: TCP) -> Iterator[Finding]:
    options = tcp.options
    seen: set[int] = set()
    for option in options:
        kind = option.number if isinstance(option, UnknownOption) else option.kind
        if isinstance(option, MalformedOption):
            yield _option_finding(
                tcp,
                "malformed",
                "error",
                option,
                "kind, length, data",
                "RFC 9293 section 3.2",
                "the length of an option leads out of the header, or is less than 2",
            )
        elif isinstance(option, EndOfOptions):
            if any(option.padding):
                yield _option_finding(
                    tcp,
                    "padding",
                    "warning",
                    option,
                    "zeros",
                    "RFC 9293 section 3.1",
                    "the padding is not zeros",
                )
        elif isinstance(option, UnknownOption) and kind in KINDS:
            yield _option_finding(
                tcp,
                "malformed",
                "error",
                option,
                KINDS[kind].__name__,
                "RFC 9293 section 3.2",
                f"the data do not fit an option of kind {kind}",
            )
        elif kind in seen and kind not in _REPEATED:
            yield _option_finding(
                tcp,
                "duplicate",
                "warning",
                option,
                "one",
                "RFC 9293 section 3.2",
                f"kind {kind} is there twice",
            )
        elif isinstance(option, SYN_ONLY) and not tcp.flags & _SYN:
            yield _option_finding(
                tcp,
                "outside-syn",
                "warning",
                option,
                "only with SYN",
                _SYN_ONLY_RULES[option.kind],
                "this option is agreed on with SYN and ignored later",
            )
        else:
            yield from _judge_value(tcp, option)
        seen.add(kind)


# MPTCP has several options in one segment, and an experiment may have too.
_REPEATED = (NoOperation.kind, 30, 253, 254)
_SYN_ONLY_RULES = {
    2: "RFC 9293 section 3.7.1",
    3: "RFC 7323 section 2.2",
    4: "RFC 2018 section 2",
    34: "RFC 7413 section 4.1.1",
}


def _judge_value(tcp: TCP, option: Option) -> Iterator[Finding]:
    match option:
        case MSS(size) if size < _SMALLEST_MSS:
            yield _option_finding(
                tcp,
                "mss",
                "warning",
                option,
                f"{_SMALLEST_MSS} or more",
                "RFC 9293 section 3.7.1",
                f"segments of {size} octets are nearly all header; 536 is what a host assumes",
            )
        case WindowScale(shift) if shift > 14:
            yield _option_finding(
                tcp,
                "window-scale",
                "warning",
                option,
                "at most 14",
                "RFC 7323 section 2.3",
                f"a shift of {shift} would exceed the space of sequence numbers; 14 is used",
            )
        case Timestamps(_, echo) if echo and not tcp.flags & _ACK:
            yield _option_finding(
                tcp,
                "timestamp-echo",
                "note",
                option,
                "0",
                "RFC 7323 section 3.2",
                "a timestamp is echoed, but without ACK nobody reads it",
            )
        case FastOpen(cookie) if cookie and (not 4 <= len(cookie) <= 16 or len(cookie) % 2):
            yield _option_finding(
                tcp,
                "fast-open-cookie",
                "warning",
                option,
                "4 to 16 octets, an even number",
                "RFC 7413 section 4.1.1",
                f"a cookie of {len(cookie)} octets is ignored",
            )


def _option_finding(  # noqa: PLR0917  # the parts of a finding, in their order
    tcp: TCP,
    code: str,
    severity: Severity,
    option: Option,
    expected: str,
    reference: str,
    message: str,
) -> Finding:
    code = f"option-{code}"
    return tcp.finding(code, severity, "options", repr(option), expected, reference, message)
