"""What a SYN or a SYN-ACK tells of the stack that made it; RFC 9293 section 3.1, RFC 7323.

A stack chooses much of an opening segment by itself: how many hops a packet may take, the order
and padding of TCP options, the window and what it is a multiple of, which bits are set without
need. All of it is measured here; what the values mean stands in the signatures.

The options are written in order by the words that p0f's documentation made common: ``mss``,
``nop``, ``ws`` (window scale), ``sok`` (SACK permitted), ``sack``, ``ts``, ``eol+2`` (the end, and
two octets of padding), ``?28`` (kind 28), ``bad`` (a length that lies).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sockwright.wire import TCP, DestinationOptions, HopByHop, IPv4, IPv6, Routing
from sockwright.wire.core.option import EndOfOptions, MalformedOption, UnknownOption
from sockwright.wire.tcp_options import MSS, Timestamps, WindowScale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.identify.signature import Traits
    from sockwright.wire.core.header import Header
    from sockwright.wire.core.option import Option

__all__ = ["Opening", "guess_initial_ttl", "measure_opening"]

# Kinds of TCP options that have a word.
_WORDS: Final = {
    1: "nop",
    2: "mss",
    3: "ws",
    4: "sok",
    5: "sack",
    8: "ts",
    19: "md5",
    30: "mptcp",
    34: "fo",
}
_OF_PAYLOAD: Final = 12  # octets of timestamps in every segment, RFC 7323 appendix A
_LARGEST_WINDOW: Final = 65535

_FIN, _SYN, _RST, _PSH, _ACK, _URG, _ECE, _CWR = 1, 2, 4, 8, 16, 32, 64, 128
_DF: Final = 2
_NONE: Final = "none"
_LEAST: Final = ("mss", "")
_EXTENSIONS: Final = (HopByHop, DestinationOptions, Routing)
_INITIAL: Final = (32, 64, 128, 255)
_LEAST_TTL: Final = 8
_HEADERS: Final = {4: 40, 6: 60}
"""Octets of IP and TCP headers without options: what an MTU has beside the segment."""
# MTUs that say something of the way, from the standards of those links.
_LINKS: Final = {
    576: "the least that IPv4 hosts accept (RFC 1122), or X.25",
    1280: "the least that IPv6 allows (RFC 8200)",
    1400: "a tunnel, or a mobile network",
    1420: "WireGuard",
    1450: "VXLAN, or another tunnel over Ethernet",
    1460: "a tunnel",
    1472: "IP in IP over PPPoE",
    1476: "GRE over Ethernet (RFC 2784)",
    1480: "IP in IP (RFC 2003), or 6in4",
    1492: "PPPoE (RFC 2516)",
    1500: "Ethernet",
    4352: "FDDI",
    9000: "Ethernet with jumbo frames",
    65535: "loopback",
    65536: "loopback of Linux",
}


@dataclass(frozen=True, slots=True)
class Opening:
    """One SYN or SYN-ACK, without what differs from connection to connection.

    `kind` is ``syn`` or ``syn_ack``. `initial_ttl` is a guess, the next usual value above `ttl`, or
    None where that tells nothing; `ip_options` are octets; `dont_fragment` is None for IPv6.

    `window_of` is what the window is a multiple of, or nothing: ``mss*10``; ``payload*10``, of an
    MSS less the 12 octets of timestamps; ``mtu*4``; ``mss*max``, the largest multiple that fits.

    `quirks` are words, in this order: ``id+`` (an identification in spite of DF) or ``id-`` (none
    though the packet may be fragmented), ``flow`` (an IPv6 flow label), ``ecn`` (asked for),
    ``reserved`` (a bit that must be 0), ``seq0``, ``no-ack`` (an acknowledgement of 0),
    ``ack-unused``, ``urgent``, ``urgent-unused`` (a pointer without the flag), ``push``,
    ``ts0`` (own timestamp 0), ``ts-peer`` (a peer's in a SYN), ``padding`` (not zero),
    ``scale>14``, ``bad`` (an option that is malformed).
    """

    kind: str
    version: int
    ttl: int
    initial_ttl: int | None
    ip_options: int
    dont_fragment: bool | None
    tos: int
    mss: int | None
    window: int
    window_of: str
    scale: int | None
    layout: str
    quirks: tuple[str, ...]
    payload: bool

    @property
    def distance(self) -> int | None:
        """How many hops the packet seems to have gone."""
        return None if self.initial_ttl is None else self.initial_ttl - self.ttl

    @property
    def mtu(self) -> int | None:
        """The MTU that the MSS was made from, in octets."""
        return None if self.mss is None else self.mss + _HEADERS[self.version]

    @property
    def link(self) -> str:
        """What link the MSS is usual for, in words; nothing where it says nothing."""
        return "" if self.mtu is None else _LINKS.get(self.mtu, "")

    def traits(self, offered: Opening | None = None) -> Traits:
        """Return what signatures are compared with: each test by its full name.

        A SYN-ACK has the options that the SYN `offered` too. An answer of MSS alone says nothing of
        options if no more was offered, or nobody knows what was.
        """
        found: Traits = {
            "options": self.layout or _NONE,
            "window": self.window,
            "mss": _NONE if self.mss is None else self.mss,
            "scale": _NONE if self.scale is None else self.scale,
            "quirks": ",".join(self.quirks) or _NONE,
            "ip_options": self.ip_options,
            "payload": self.payload,
            "tos": self.tos,
        }
        if self.initial_ttl is not None:
            found["ttl"] = self.initial_ttl
        if self.dont_fragment is not None:
            found["df"] = self.dont_fragment
        if self.kind == "syn_ack":
            if offered is not None and offered.mss is not None:
                found["peer_mss"] = offered.mss
            if self.layout in _LEAST and (offered is None or offered.layout in _LEAST):
                del found["options"], found["scale"]
        return {f"{self.kind}.{name}": value for name, value in found.items()}

    def __str__(self) -> str:
        """Write the segment in one line, its fields as p0f orders them."""
        away = "?" if self.distance is None else self.distance
        scale = "-" if self.scale is None else self.scale
        fields = (
            self.version,
            f"{self.ttl}+{away}",
            self.ip_options,
            "-" if self.mss is None else self.mss,
            f"{self.window_of or self.window},{scale}",
            self.layout or "-",
            ",".join([*(["df"] if self.dont_fragment else []), *self.quirks]) or "-",
            "+" if self.payload else "0",
        )
        return ":".join([str(field) for field in fields])


def guess_initial_ttl(ttl: int) -> int | None:
    """Return the usual initial value (32, 64, 128, 255) that lies next above `ttl`.

    None for what would be further than 24 hops from 32: such TTLs are set by programs, such as BGP
    among neighbours (1) and traceroute.
    """
    if ttl < _LEAST_TTL:
        return None
    return next(initial for initial in _INITIAL if ttl <= initial)


def measure_opening(layers: Sequence[Header], payload: bytes) -> Opening | None:
    """Measure the SYN or SYN-ACK in the headers of a packet; None for any other packet.

    Of a tunnel the innermost segment is measured. FIN or RST beside SYN makes a segment somebody's
    probe and tells nothing of a stack.
    """
    network: Header | None = None
    tcp: TCP | None = None
    for header in layers:
        if isinstance(header, IPv4 | IPv6):
            network = header
        elif isinstance(header, TCP):
            tcp = header
    if tcp is None:
        return None
    flags = int(tcp.flags)
    if flags & (_FIN | _SYN | _RST) != _SYN:
        return None
    quirks: list[str] = []
    dont_fragment: bool | None = None
    if isinstance(network, IPv4):
        version, ttl, tos = 4, network.ttl, 4 * network.dscp + network.ecn
        ip_options = max(4 * network.ihl - 20, 0)
        dont_fragment = bool(int(network.flags) & _DF)
        if dont_fragment == bool(network.identification):
            quirks.append("id+" if dont_fragment else "id-")
    elif isinstance(network, IPv6):
        version, ttl, tos = 6, network.hop_limit, network.traffic_class
        ip_options = sum(header.size for header in layers if isinstance(header, _EXTENSIONS))
        if network.flow_label:
            quirks.append("flow")
    else:
        return None
    options = tcp.options
    mss, scale = _sizes(options)
    return Opening(
        kind="syn_ack" if flags & _ACK else "syn",
        version=version,
        ttl=ttl,
        initial_ttl=guess_initial_ttl(ttl),
        ip_options=ip_options,
        dont_fragment=dont_fragment,
        tos=tos,
        mss=mss,
        window=tcp.window,
        window_of=_window_of(tcp.window, mss, version, options),
        scale=scale,
        layout=_layout(options),
        quirks=(*quirks, *_flag_quirks(tcp, flags), *_option_quirks(options, flags)),
        payload=bool(payload),
    )


def _flag_quirks(tcp: TCP, flags: int) -> list[str]:
    found = []
    if flags & (_ECE | _CWR):
        found.append("ecn")
    if tcp.reserved:
        found.append("reserved")
    if not tcp.seq:
        found.append("seq0")
    if flags & _ACK:
        if not tcp.ack:
            found.append("no-ack")
    elif tcp.ack:
        found.append("ack-unused")
    if flags & _URG:
        found.append("urgent")
    elif tcp.urgent_pointer:
        found.append("urgent-unused")
    if flags & _PSH:
        found.append("push")
    return found


def _sizes(options: Sequence[Option]) -> tuple[int | None, int | None]:
    """Return MSS and window scale, of each the first."""
    mss = scale = None
    for option in options:
        if isinstance(option, MSS) and mss is None:
            mss = option.size
        elif isinstance(option, WindowScale) and scale is None:
            scale = option.shift
    return mss, scale


def _option_quirks(options: Sequence[Option], flags: int) -> list[str]:
    found: list[str] = []
    for option in options:
        word = ""
        if isinstance(option, Timestamps):
            if not option.value:
                found.append("ts0")
            if option.echo_reply and not flags & _ACK:
                word = "ts-peer"
        elif isinstance(option, EndOfOptions) and any(option.padding):
            word = "padding"
        elif isinstance(option, WindowScale) and option.shift > 14:
            word = "scale>14"
        elif isinstance(option, MalformedOption) or (
            isinstance(option, UnknownOption) and option.number in _WORDS
        ):
            word = "bad"
        if word:
            found.append(word)
    return list(dict.fromkeys(found))


def _layout(options: Sequence[Option]) -> str:
    words = []
    for option in options:
        if isinstance(option, EndOfOptions):
            words.append(f"eol+{len(option.padding)}")
        elif isinstance(option, MalformedOption):
            words.append("bad")
        else:
            kind = option.number if isinstance(option, UnknownOption) else option.kind
            words.append(_WORDS.get(kind, f"?{kind}"))
    return ",".join(words)


def _window_of(window: int, mss: int | None, version: int, options: Sequence[Option]) -> str:
    """Say what `window` is a multiple of: MSS, MSS without timestamps, MTU."""
    if not window or not mss or mss <= _OF_PAYLOAD:
        return ""
    units = [("mss", mss)]
    if any(isinstance(option, Timestamps) for option in options):
        units.append(("payload", mss - _OF_PAYLOAD))
    units.append(("mtu", mss + _HEADERS[version]))
    for name, size in units:
        if window % size == 0:
            times = window // size
            return f"{name}*max" if times == _LARGEST_WINDOW // size else f"{name}*{times}"
    return ""
