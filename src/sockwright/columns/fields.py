"""The names of fields, as in ``tcp.dst_port``, and what they hold in a packet.

Names are layer and field, as the headers in `wire` have them; beside them stand names of the record
(``frame.time_ns``), of the packet (``payload.length``, ``flow.id``) and of verdicts
(``tcp.checksum_ok``). A plain name means the outermost header of its layer where one value is
wanted, and ``inner.ipv4.src`` the second one.

This is the scalar way: from a decoded packet. Columns give the same, and a test says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Literal

from sockwright.columns.layout import layout
from sockwright.wire.core.checksum import value_of
from sockwright.wire.core.flags import FlagSet
from sockwright.wire.views.values import item_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sockwright.records import CapturedPacket
    from sockwright.wire import Header, Packet
    from sockwright.wire.core.field import Field

__all__ = ["FieldInfo", "Flows", "Occurrence", "field", "fields", "row", "text", "values"]

Occurrence = Literal["first", "last", "all"]
INNER = "inner."
ALIASES = {"vlan.id": "vlan.vid"}
VERDICTS = ("ipv4", "tcp", "udp", "icmp", "icmpv6")
_TRANSPORTS = {"tcp": 6, "udp": 17, "icmpv6": 58}
_WITH_PORTS = ("tcp", "udp", "udp_lite", "sctp")
_EXTENSIONS = (
    "authentication",
    "destination_options",
    "hop_by_hop",
    "ipv6_fragment",
    "routing",
)


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A name, what type its values have, and what they mean.

    `type` is ``uint8`` to ``uint64``, ``flags`` (a number whose bits have names), ``bool``,
    ``time`` (nanoseconds since 1970), ``ipv4``, ``ipv6``, ``mac``, ``octets``, ``options`` (items
    of a variable part) or ``text``. `nth` is 0 for the outermost header of `layer`, 1 for the
    second one.
    """

    name: str
    type: str
    meaning: str
    layer: str
    field: str
    nth: int = 0


@cache
def fields() -> tuple[FieldInfo, ...]:
    """Return all names there are but those with ``inner.``, which stand for the second headers."""
    found = [
        FieldInfo(f"frame.{name}", kind, meaning, "frame", name)
        for name, kind, meaning in (
            ("number", "uint64", "place in the capture, from 1"),
            ("time_ns", "time", "when it was captured: nanoseconds since 1970, UTC"),
            ("length", "uint32", "octets on the wire"),
            ("captured_length", "uint32", "octets captured"),
            ("interface", "text", "name of the interface, where the capture tells it"),
            ("link_type", "uint16", "LINKTYPE_ value of the capture"),
            ("protocols", "text", "layers from outside in, with colons between"),
        )
    ]
    for layer in layout().layers:
        known: dict[str, FieldInfo] = {}
        for cls in layout().classes_of(layer):
            for item in cls.fields:
                name = f"{layer}.{item.name}"
                known.setdefault(
                    item.name, FieldInfo(name, _type(item), item.meaning, layer, item.name)
                )
        for alias, name in ALIASES.items():
            if name.startswith(f"{layer}."):
                known[alias] = replace(known[name.partition(".")[2]], name=alias)
        if layer in VERDICTS:
            meaning = "whether the checksum is right; absent where that cannot be told"
            name = f"{layer}.checksum_ok"
            known["checksum_ok"] = FieldInfo(name, "bool", meaning, layer, "checksum_ok")
        found += known.values()
    found += [
        FieldInfo("ip.version", "uint8", "version in an IPv4 or IPv6 header", "ip", "version"),
        FieldInfo(
            "payload.offset", "uint32", "octets in front of the payload", "payload", "offset"
        ),
        FieldInfo("payload.length", "uint32", "octets of the payload", "payload", "length"),
        FieldInfo(
            "flow.id", "uint32", "number of the flow, from 0, by first appearance", "flow", "id"
        ),
        FieldInfo(
            "flow.back", "bool", "whether it goes against the flow's first packet", "flow", "back"
        ),
    ]
    return tuple(found)


@cache
def _by_name() -> dict[str, FieldInfo]:
    return {info.name: info for info in fields()}


def field(name: str) -> FieldInfo:
    """Return what `name` stands for. Raises: ValueError, with the names that are near."""
    plain = name.removeprefix(INNER)
    info = _by_name().get(plain)
    if info is None or (plain != name and info.layer in ("frame", "payload", "flow")):
        # Who leaves the layer out, or another, may mean the same word of any layer.
        same = [known for known in _by_name() if known.endswith(f".{plain.rpartition('.')[2]}")]
        near = get_close_matches(plain, _by_name(), 3) or same[:3]
        words = f"; near are {', '.join(near)}" if near and info is None else ""
        raise ValueError(
            f"there is no field {name!r}{words}; sw read --list-fields, or fields() of "
            "sockwright.columns.fields, lists all"
        )
    return info if plain == name else replace(info, name=name, nth=1)


def _type(item: Field[Any, Any]) -> str:
    if item.kind == "uint":
        return f"uint{next(bits for bits in (8, 16, 32, 64) if item.width <= bits)}"
    if item.kind == "variable":
        return "octets" if item.default == b"" else "options"
    return item.kind


# Values


class Flows:
    """Numbers flows by the scalar decode, as `kernels/flow.py` does; the rules stand there."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[int, bool]] = {}

    def of(self, packet: Packet) -> tuple[int, bool] | None:
        """Return the number of the flow and whether the packet goes back; None without IP."""
        headers = packet.layers
        index = next((at for at, header in enumerate(headers) if header.is_network), None)
        if index is None:
            return None
        network: Any = headers[index]
        number = network.protocol if network.layer == "ipv4" else network.next_header
        ports = (0, 0)
        for header in headers[index + 1 :]:
            above: Any = header
            if header.layer in _WITH_PORTS:
                ports = above.src_port, above.dst_port
                break
            if header.layer not in _EXTENSIONS:
                break
            number = above.next_header
        # Halves of addresses in the order of signed numbers, as the kernel compares them.
        ends = (_order(network.src), ports[0]), (_order(network.dst), ports[1])
        back = ends[0] > ends[1]
        key = (network.layer, number, *sorted(ends))
        flow, first = self._known.setdefault(key, (len(self._known), back))
        return flow, back != first


def _order(address: IPv4Address | IPv6Address) -> tuple[int, ...]:
    if isinstance(address, IPv4Address):
        return (int(address),)
    octets = address.packed
    return int.from_bytes(octets[:8], "big", signed=True), int.from_bytes(
        octets[8:], "big", signed=True
    )


def values(packet: Packet, info: FieldInfo, flows: Flows | None = None) -> tuple[Any, ...]:
    """Return what the field holds in each header of its layer, outermost first.

    A header that lacks the field gives None; a name with ``inner.`` looks at the second header
    alone. Numbers are `int`, flag sets and addresses of the types that `wire` gives them, options a
    tuple, verdicts `bool`. ``flow.id`` takes a `Flows` that saw the packets before.
    """
    if info.layer == "frame":
        return _of_frame(packet, info.field)
    if info.layer == "payload":
        if info.field == "length":
            return (len(packet.payload),)
        return (sum([header.size for header in packet]),)
    if info.layer == "flow":
        flow = (flows or Flows()).of(packet)
        return () if flow is None else (flow[0] if info.field == "id" else flow[1],)
    found = [
        _of_header(packet, header, index, info.field)
        for index, header in enumerate(packet.layers)
        if header.layer == info.layer or (info.layer == "ip" and header.is_network)
    ]
    return tuple(found[1:2] if info.nth else found)


def _of_header(packet: Packet, header: Header, index: int, name: str) -> Any:
    if name == "checksum_ok":
        return checksum_ok(packet, header, index)
    item = header._by_name.get(name)  # noqa: SLF001  # this runs for every packet
    if item is None or not item.applies(header):
        return None
    return getattr(header, name)


def _of_frame(packet: Packet, name: str) -> tuple[Any, ...]:
    captured: CapturedPacket = packet  # type: ignore[assignment]  # it need not be one
    if name == "protocols":
        return (":".join([header.layer for header in packet]),)
    if name == "captured_length":
        return (len(bytes(packet)),)
    attribute = {"length": "original_length"}.get(name, name)
    value = getattr(captured, attribute, None)
    return () if value is None else (value,)


def checksum_ok(packet: Packet, header: Header, index: int) -> bool | None:
    """Tell whether the checksum of ``packet.layers[index]`` is right; None where nobody can tell.

    That is so where octets are missing, in fragments, and for UDP without a checksum.
    """
    octets = bytes(packet)
    start = packet.offset_of(header)
    if header.layer == "ipv4":
        ihl: int = header.ihl  # type: ignore[attr-defined]
        if header.size < 4 * ihl:
            return None
        return value_of(octets[start : start + header.size]) % 65535 == 0
    headers = packet.layers
    if packet.errors or any(below.carries_fragment for below in headers[:index]):
        return None
    whole = octets[start : packet._extents(len(octets))[index]]  # noqa: SLF001  # extents of layers
    total = value_of(whole)
    if header.layer == "icmp":
        return total % 65535 == 0 and total > 0
    if header.layer == "udp" and not header.checksum:  # type: ignore[attr-defined]
        return None
    addresses = header.pseudo_sum(headers, index)
    if addresses is None:
        return None
    return (total + addresses + len(whole) + _TRANSPORTS[header.layer]) % 65535 == 0


# Text


def text(value: Any) -> str:  # of any field
    """Return a value as `sw read --fields` prints it.

    Numbers are decimal, flag sets like ``0x12``, addresses as usual, octets hexadecimal, verdicts 1
    and 0, options one by one with ``; `` between. What a stranger wrote is not cleaned of escapes.
    """
    if isinstance(value, FlagSet):
        return hex(value)
    if value is True or value is False:
        return str(int(value))
    if isinstance(value, bytes) and type(value) is bytes:
        return value.hex()
    if isinstance(value, tuple):
        return "; ".join(
            [item.hex() if isinstance(item, bytes) else item_text(item) for item in value]
        )
    return str(value)


def row(
    packet: Packet,
    infos: Iterable[FieldInfo],
    *,
    occurrence: Occurrence = "all",
    flows: Flows | None = None,
) -> list[str]:
    """Return the fields of one packet as text, several values with commas between.

    `occurrence` chooses among headers of the same layer.
    """
    cut = _CUTS[occurrence]
    there = {header.layer for header in packet}
    there.update(_ALWAYS)
    return [
        ",".join([text(value) for value in cut(values(packet, info, flows)) if value is not None])
        if info.layer in there
        else ""
        for info in infos
    ]


_ALWAYS = ("frame", "ip", "payload", "flow")
_CUTS: dict[Occurrence, Callable[[Sequence[Any]], Sequence[Any]]] = {
    "first": lambda found: found[:1],
    "last": lambda found: found[-1:],
    "all": lambda found: found,
}
