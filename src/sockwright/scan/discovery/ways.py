"""How each address is reached: the own host, a neighbour on a link, or somewhere behind a router.

The kernel is asked once for each part of its routing tables, not once for each address.
"""

from __future__ import annotations

import socket
import struct
from bisect import bisect_right
from fcntl import ioctl
from typing import TYPE_CHECKING, Final, NamedTuple

from sockwright.scan.discovery.packets import address_sum
from sockwright.scan.targets.routes import Routes, edges

if TYPE_CHECKING:
    from sockwright.scan.targets.routes import Route

__all__ = ["Hop", "Ways"]

_SIOCGIFFLAGS, _SIOCGIFHWADDR = 0x8913, 0x8927
_FLAGS = struct.Struct("=16sH22x")
_HARDWARE = struct.Struct("=16sH14s8x")
_NOARP = 0x80
_ETHERNET: Final = 1


class Hop(NamedTuple):
    """The first step towards addresses.

    `kind` is ``local``, ``neighbour`` (on a link where link addresses are asked for), ``routed``,
    or ``none`` with the reason in `why`. `mac` and `source` are ours there, `sum` is that of
    `source` for checksums.
    """

    kind: str
    interface: int = 0
    mac: bytes = b""
    source: bytes = b""
    sum: int = 0
    why: str = ""


class Ways:
    """Finds the `Hop` towards addresses; out of `interface`, where one is named.

    Raises:
        OSError: there is no such interface.
    """

    def __init__(self, interface: str = "") -> None:
        self._interface = socket.if_nametoindex(interface) if interface else 0
        self._routes = Routes()
        self._edges: dict[int, list[int]] = {}
        self._known: dict[tuple[int, str, int], Hop] = {}
        self._macs: dict[int, bytes] = {}

    def close(self) -> None:
        """Close the socket that the kernel is asked by."""
        self._routes.close()

    def to(self, packed: bytes, zone: str) -> Hop:
        """Return the first step towards an address."""
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        if family not in self._edges:
            self._edges[family] = edges(family)
        part = bisect_right(self._edges[family], int.from_bytes(packed, "big"))
        hop = self._known.get((family, zone, part))
        if hop is None:
            interface = socket.if_nametoindex(zone) if zone else self._interface
            hop = self._hop(self._routes.to(packed, interface))
            self._known[family, zone, part] = hop
        return hop

    def _hop(self, route: Route) -> Hop:
        if route.kind == "none":
            return Hop("none", why=route.why)
        if route.kind == "local":
            return Hop("local", route.interface, source=route.source)
        mac = self._mac(route.interface) if route.kind == "link" else b""
        kind = "neighbour" if mac else "routed"
        return Hop(kind, route.interface, mac, route.source, address_sum(route.source))

    def _mac(self, interface: int) -> bytes:
        """Return our link address on an interface where such are asked for, else nothing."""
        if interface not in self._macs:
            self._macs[interface] = _link_address(interface)
        return self._macs[interface]


def _link_address(interface: int) -> bytes:
    try:
        name = socket.if_indextoname(interface).encode()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            flags = _FLAGS.unpack(ioctl(sock.fileno(), _SIOCGIFFLAGS, _FLAGS.pack(name, 0)))[1]
            answer = ioctl(sock.fileno(), _SIOCGIFHWADDR, _HARDWARE.pack(name, 0, b""))
    except OSError:  # it has gone
        return b""
    _, hardware, address = _HARDWARE.unpack(answer)
    return bytes(address[:6]) if hardware == _ETHERNET and not flags & _NOARP else b""
