"""What the lines of `kernels/line.py` are made of: words, and which fields of which header.

The headers are known by their layer. One that is not named here is shown by the name of its class,
before the addresses that follow. So a new header needs nothing here to be seen.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sockwright.columns.kernels import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sockwright.columns.layout import Layout
    from sockwright.wire import Header

__all__ = ["LinePlan", "WordList", "line_plan", "make_line_plan"]

_LONGEST_WORD = 60


@dataclass(frozen=True, slots=True)
class LinePlan:
    """`tables` are those of `columns.layout`, `plan` and `words` as in `kernels/line.py`."""

    tables: array[int]
    plan: array[int]
    words: bytes


class WordList:
    """Collects words: each is kept once, escaped to printable ASCII and cut to 60 characters."""

    def __init__(self, octets: bytes = b"\0") -> None:
        self.octets = bytearray(octets)
        self._places: dict[str, int] = {}

    def add(self, text: str) -> int:
        """Return the place of `text`, 0 for none."""
        if not text:
            return 0
        place = self._places.get(text)
        if place is None:
            place = self._places[text] = len(self.octets)
            safe = "".join(
                character if " " <= character <= "~" else repr(character)[1:-1]
                for character in text.encode("ascii", "backslashreplace").decode("ascii")
            )
            octets = safe[:_LONGEST_WORD].encode()
            self.octets += bytes((len(octets),)) + octets
        return place


class _Shown(NamedTuple):
    """How a layer is shown: its kind, its name ("" for that of the class), and its fields."""

    kind: int
    name: str = ""
    fields: tuple[tuple[str, str], ...] = ()  # the text before, the field


_ECHO = (("id ", "identifier"), ("seq ", "sequence"))
_GROUP = (("group ", "group"),)
_SHOWN: Mapping[str, _Shown] = {
    "arp": _Shown(line.ARP, "ARP"),
    "authentication": _Shown(line.PREFIX, "AH", (("spi ", "spi"), ("seq ", "seq"))),
    "bsd_loopback": _Shown(line.QUIET, "", (("family ", "family"),)),
    "cisco_hdlc": _Shown(line.QUIET, "Cisco HDLC", (("protocol ", "protocol_type"),)),
    "dccp": _Shown(line.PORTS, "DCCP", (("", "type"),)),
    "destination_options": _Shown(line.EXTENSION),
    "esp": _Shown(line.PREFIX, "ESP", (("spi ", "spi"), ("seq ", "seq"))),
    "ethernet": _Shown(line.LINK),
    "hop_by_hop": _Shown(line.EXTENSION),
    "icmp": _Shown(line.ICMP),
    "icmpv6": _Shown(line.ICMPV6),
    "icmpv6_destination_unreachable": _Shown(line.MESSAGE),
    "icmpv6_echo_reply": _Shown(line.ECHO, "", _ECHO),
    "icmpv6_echo_request": _Shown(line.ECHO, "", _ECHO),
    "icmpv6_packet_too_big": _Shown(line.MESSAGE, "", (("mtu ", "mtu"),)),
    "icmpv6_parameter_problem": _Shown(line.MESSAGE, "", (("at ", "pointer"),)),
    "icmpv6_time_exceeded": _Shown(line.MESSAGE),
    "igmp": _Shown(line.PREFIX, "IGMP", (("", "type"), ("group ", "group"))),
    "ipv4": _Shown(line.IPV4),
    "ipv6": _Shown(line.IPV6),
    "ipv6_fragment": _Shown(line.FRAGMENT),
    "linux_cooked": _Shown(line.COOKED),
    "linux_cooked2": _Shown(line.COOKED2),
    "llc": _Shown(line.LLC),
    "mld_done": _Shown(line.MESSAGE, "", _GROUP),
    "mld_query": _Shown(line.MESSAGE, "", (("max delay ", "max_response_delay"), *_GROUP)),
    "mld_report": _Shown(line.MESSAGE, "", _GROUP),
    "mldv2_query": _Shown(line.MESSAGE, "", (*_GROUP, ("sources ", "number_of_sources"))),
    "mldv2_report": _Shown(line.MESSAGE, "", (("records ", "number_of_records"),)),
    "mpls": _Shown(line.PREFIX, "MPLS", (("", "label"), ("ttl ", "ttl"))),
    "neighbor_advertisement": _Shown(line.MESSAGE, "", (("of ", "target"),)),
    "neighbor_solicitation": _Shown(line.MESSAGE, "", (("for ", "target"),)),
    "ppp": _Shown(line.QUIET, "PPP", (("protocol ", "protocol"),)),
    "ppp_framing": _Shown(line.QUIET, "PPP"),
    "pppoe": _Shown(line.PREFIX, "PPPoE", (("session ", "session_id"),)),
    "pppoe_discovery": _Shown(
        line.PREFIX, "PPPoE discovery", (("", "code"), ("session ", "session_id"))
    ),
    "raw_ip": _Shown(line.QUIET),
    "redirect": _Shown(line.MESSAGE, "", (("to ", "target"), ("for ", "destination"))),
    "router_advertisement": _Shown(
        line.MESSAGE, "", (("hop limit ", "cur_hop_limit"), ("lifetime ", "router_lifetime"))
    ),
    "router_solicitation": _Shown(line.MESSAGE),
    "routing": _Shown(line.EXTENSION),
    "snap": _Shown(line.QUIET, "SNAP"),
    "tcp": _Shown(line.TCP),
    "udp": _Shown(line.UDP),
    "udp_lite": _Shown(line.PORTS, "UDP-Lite", (("coverage ", "coverage"),)),
    "vlan": _Shown(line.PREFIX, "vlan", (("", "vid"),)),
    "vxlan": _Shown(line.PREFIX, "VXLAN", (("vni ", "vni"),)),
    "geneve": _Shown(line.PREFIX, "Geneve", (("vni ", "vni"),)),
}
# GRE and a generic ARP message have forms of their own.
_CLASSES: Mapping[str, _Shown] = {
    "GenericARP": _Shown(line.PREFIX, "ARP", (("operation ", "operation"),)),
    "IGMPv3Query": _Shown(
        line.PREFIX, "IGMPv3", (("", "type"), *_GROUP, ("sources ", "number_of_sources"))
    ),
    "IGMPv3Report": _Shown(line.PREFIX, "IGMP", (("", "type"), ("records ", "number_of_records"))),
}
_FORMS = {"mac": line.MAC, "ipv4": line.IPV4_ADDRESS, "ipv6": line.IPV6_ADDRESS}
_HEXADECIMAL = ("chdlc_protocol", "ppp_protocol")  # as the registries write them
_NEXT = {"ether_type": line.NEXT_ETHER_TYPE, "ip_protocol": line.NEXT_PROTOCOL}

# Names of options and numbers that are not those of a header of ours.
_TCP_OPTIONS = {
    14: "alternate checksum",
    19: "md5",
    28: "user timeout",
    29: "ao",
    30: "mptcp",
    34: "fast open",
    253: "experiment 1",
    254: "experiment 2",
}
_SAPS = {
    0x00: "LLC null",
    0x06: "LLC IPv4",
    0x42: "STP",
    0xAA: "LLC SNAP",
    0xE0: "IPX",
    0xF0: "NetBEUI",
    0xFE: "OSI",
    0xFF: "LLC global",
}
_BPDU_TYPES = {0: "config", 2: "rapid", 0x80: "topology change"}


def make_line_plan() -> LinePlan:
    """Make the plan out of the descriptions of the headers."""
    from sockwright.columns.layout import layout
    from sockwright.wire import arp, icmp, icmpv6
    from sockwright.wire.core.names import ETHER_TYPES, IP_PROTOCOLS

    found = layout()
    words = WordList()
    plan = array("q", bytes(8 * line.PLAN))
    for number, text in enumerate(line.TEXTS):
        plan[number] = words.add(text)

    def table(place: int, size: int, names: Mapping[int, str]) -> None:
        plan[place] = len(plan)
        plan.extend(words.add(_name(names.get(number, ""))) for number in range(size))

    def codes(place: int, names: Mapping[int, Mapping[int, str]]) -> None:
        table(
            place,
            32 * 64,
            {32 * kind + code: name for kind in names for code, name in names[kind].items()},
        )

    table(line.PROTOCOLS, 256, IP_PROTOCOLS)
    table(line.ICMP_TYPES, 256, icmp.TYPES)
    table(line.ICMPV6_TYPES, 256, icmpv6.TYPES)
    codes(line.ICMP_CODES, icmp.CODES)
    codes(line.ICMPV6_CODES, icmpv6.CODES)
    table(line.TCP_OPTIONS, 256, _TCP_OPTIONS)
    table(line.SAPS, 256, _SAPS)
    table(line.OPERATIONS, 16, arp.OPERATIONS)
    table(line.BPDU_TYPES, 256, _BPDU_TYPES)
    plan[line.ETHER_TYPES] = len(plan)
    for number, name in ETHER_TYPES.items():
        plan.extend((number, words.add(_name(name))))
    plan.append(-1)

    _add_classes(plan, words, found)
    return LinePlan(found.tables, plan, bytes(words.octets))


def _add_classes(plan: array[int], words: WordList, found: Layout) -> None:
    """Add the rows of all classes, and their items."""
    # First the names of values, since they are tables of their own.
    every = []
    for cls in found.classes:
        shown = _shown(cls)
        every.append((cls, shown, _items(plan, words, cls, shown)))
    first_item = len(plan) + line.CLASS * len(found.classes)
    plan[line.CLASSES] = len(plan)
    for cls, shown, items in every:
        namespaces = [field.namespace for field in cls.fields if field.namespace]
        if cls.walk is not None and cls.walk.following[1]:
            namespaces.append(cls.walk.following[1])
        announced = _NEXT.get(namespaces[-1] if namespaces else "", 0)
        title = words.add(_name(shown.name or cls.__name__))
        plan.extend((shown.kind, title, first_item, len(items), announced))
        first_item += line.ITEM * len(items)
    for _, _, items in every:
        for item in items:
            plan.extend(item)


def _items(
    plan: array[int], words: WordList, cls: type[Header], shown: _Shown
) -> list[tuple[int, ...]]:
    """Return the items of a class; names of values are added to the plan."""
    from sockwright.columns.layout import reader
    from sockwright.wire.views.values import is_hexadecimal

    known = {field.name: field for field in cls.fields}
    items: list[tuple[int, ...]] = []
    for text, name in shown.fields:
        field = known.get(name)
        if field is None:  # of another form of the header
            continue
        names = 0
        if field.values and field.width <= 8:
            names = len(plan)
            plan.extend(words.add(field.values.get(one, "")) for one in range(256))
        # The identifier of an echo is written as in ICMP for IPv4: in decimal.
        hexadecimal = field.namespace in _HEXADECIMAL or (
            is_hexadecimal(field) and shown.kind != line.ECHO
        )
        number = line.HEXADECIMAL if hexadecimal else line.DECIMAL
        form = _FORMS.get(field.kind, number)
        # Of an address only the place is asked for; its mask would take over 64 bits.
        place = reader(field, None if form == number else 0)
        items.append((words.add(text), form, *place, names))
    return items


def _shown(cls: type[Header]) -> _Shown:
    shown = _CLASSES.get(cls.__name__) or _SHOWN.get(cls.layer)
    if shown is not None:
        return shown
    names = [field.name for field in cls.fields[:2]]
    ports = names == ["src_port", "dst_port"] and [f.width for f in cls.fields[:2]] == [16, 16]
    return _Shown(line.PORTS if ports else line.PREFIX)


def _name(text: str) -> str:
    return f"{text} " if text else ""


def line_plan() -> LinePlan:
    """Return the plan, out of the user's cache folder where it is kept there for these sources.

    Making it takes the import of every header, a tenth of a second: more than all the rest of
    showing a small capture.
    """
    from sockwright.columns.compiling import cache_folder

    folder = cache_folder()
    if folder is None:
        return make_line_plan()
    path = folder / f"line-plan-{_sources():08x}{_SUFFIX}"
    plan = _read(path)
    if plan is None:
        plan = make_line_plan()
        _keep(path, plan)
    return plan


_SUFFIX = ".plan"
_PARTS = struct.Struct("<IIII")  # checksum of the rest, octets of tables, plan and words


def _sources() -> int:
    """Return a number that changes with every edit of what a plan is made of."""
    package = Path(__file__).parent.parent
    seen = sys.version.encode()
    for folder in ("wire", "wire/core", "columns", "columns/kernels"):
        with os.scandir(package / folder) as entries:
            files = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(".py")]
        seen += repr([(name, s.st_size, s.st_mtime_ns) for name, s in sorted(files)]).encode()
    return zlib.crc32(seen)


def _read(path: Path) -> LinePlan | None:
    try:
        octets = path.read_bytes()
        checksum, *sizes = _PARTS.unpack_from(octets)
    except (OSError, struct.error):
        return None
    body = octets[_PARTS.size :]
    if zlib.crc32(body) != checksum or len(body) != sum(sizes):
        return None
    first, second = sizes[0], sizes[0] + sizes[1]
    tables, plan = array("q", body[:first]), array("q", body[first:second])
    return LinePlan(tables, plan, body[second:])


def _keep(path: Path, plan: LinePlan) -> None:
    """Keep `plan` for the next time, in place of older ones; where that fails, do without."""
    parts = plan.tables.tobytes(), plan.plan.tobytes(), plan.words
    body = b"".join(parts)
    head = _PARTS.pack(zlib.crc32(body), *map(len, parts))
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        old = set(path.parent.glob(f"*{_SUFFIX}")) - {path}
        beside.write_bytes(head + body)
        beside.replace(path)
        for one in old:
            one.unlink(missing_ok=True)
    except OSError:
        return
