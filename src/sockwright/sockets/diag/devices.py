"""Names of network interfaces by their indexes, and the way back, asked by rtnetlink(7).

The messages of sock_diag(7) name interfaces by index only. `socket.if_nameindex` knows the names in
the namespace of the calling thread; here the namespace is chosen, see `namespace`.
"""

from __future__ import annotations

import os
import socket
import struct

from sockwright.sockets.diag.namespace import open_socket
from sockwright.sockets.diag.netlink import HEADER, attribute, attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["device_indexes", "device_names"]

_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, ARPHRD_*, index, flags, change mask
_REQUEST_DUMP = 0x301
_ERROR, _DONE, _GETLINK = 2, 3, 18
_IFLA_IFNAME, _IFLA_EXT_MASK, _IFLA_PROP_LIST, _IFLA_ALT_IFNAME = 3, 29, 52, 53
_SKIP_STATISTICS = attribute(_IFLA_EXT_MASK, struct.pack("=I", 1 << 3))  # RTEXT_FILTER_SKIP_STATS
_MOST = 1 << 16  # octets of an answer; the kernel fills 32 KiB at most


def device_names(namespace: int | str | None = None) -> dict[int, str]:
    """Return the names of the interfaces of a network namespace by their indexes.

    `namespace` as `sockwright.sockets.diag.namespace` takes it. One request, 0.1 ms for a few
    interfaces: to be called when there is an index to name, and once.

    Raises:
        UsageError, NotPossibleError: that namespace is not there, or closed to this user.
        OSError: as the kernel says.
    """
    return {index: names[0] for index, names in _interfaces(namespace)}


def device_indexes(namespace: int | str | None = None) -> dict[str, int]:
    """Return the indexes of the interfaces by all their names, ``altname`` of ip-link(8) as well.

    Raises: as `device_names`.
    """
    return {name: index for index, names in _interfaces(namespace) for name in names}


def _interfaces(namespace: int | str | None) -> Iterator[tuple[int, list[str]]]:
    """Yield index and names of each interface, the ordinary name first."""
    body = bytes(_LINK.size) + _SKIP_STATISTICS
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with open_socket(namespace, socket.AF_NETLINK, kind, socket.NETLINK_ROUTE) as sock:
        sock.send(HEADER.pack(HEADER.size + len(body), _GETLINK, _REQUEST_DUMP, 1, 0) + body)
        while True:
            answer = sock.recv(_MOST)
            at = 0
            while at + HEADER.size <= len(answer):
                length, what, _, _, _ = HEADER.unpack_from(answer, at)
                if what == _DONE:
                    return
                if what == _ERROR:
                    number = -struct.unpack_from("=i", answer, at + HEADER.size)[0]
                    raise OSError(number, os.strerror(number))
                yield _interface(answer, at + HEADER.size, at + length)
                at += max((length + 3) & ~3, HEADER.size)


def _interface(octets: bytes, at: int, end: int) -> tuple[int, list[str]]:
    _, _, index, _, _ = _LINK.unpack_from(octets, at)
    told = attributes(octets, at + _LINK.size, end)
    names = [told.get(_IFLA_IFNAME, b"")]
    properties = told.get(_IFLA_PROP_LIST, b"")
    # A list of names: attributes of one and the same type.
    while len(properties) > 4:
        length, kind = struct.unpack_from("=HH", properties)
        if kind == _IFLA_ALT_IFNAME:
            names.append(properties[4:length])
        properties = properties[max((length + 3) & ~3, 4) :]
    return index, [os.fsdecode(name.rstrip(b"\0")) for name in names]
