"""What the kernel knows of the way to an address, asked by rtnetlink(7); needs no privilege.

And which neighbours have told it their link address.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

__all__ = ["Neighbour", "Route", "Routes", "broadcasts", "edges", "neighbours"]

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ROUTE: Final = struct.Struct("=BBBBBBBBI")  # rtmsg: family, lengths of dst, src, tos, table, ...
_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_NUMBER: Final = struct.Struct("=I")
_NEIGHBOUR: Final = struct.Struct("=B3xiHBB")  # ndmsg: family, interface, state, flags, type
_ERROR, _DONE, _NEWROUTE, _GETROUTE, _GETNEIGH = 2, 3, 24, 26, 30
_REQUEST, _DUMP = 0x1, 0x300
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_TABLE, _RTA_VIA = 1, 4, 5, 7, 15, 18
_NDA_DST, _NDA_LLADDR, _NUD_REACHABLE = 1, 2, 0x02
_RTN_UNICAST, _RTN_LOCAL, _RTN_BROADCAST = 1, 2, 3
_TABLE_LOCAL: Final = 255
_SOL_NETLINK, _GET_STRICT_CHK = 270, 12
_MOST: Final = 1 << 16  # octets of an answer; the kernel fills 32 KiB at most


class Route(NamedTuple):
    """How this machine reaches an address.

    `kind` is ``local`` (it is our own), ``link`` (a neighbour: no gateway), ``gateway``, or
    ``none`` with the kernel's words in `why`. `interface` is the number of the one that packets
    leave by, `source` the address they are sent from, as octets.
    """

    kind: str
    interface: int = 0
    source: bytes = b""
    gateway: bytes = b""
    why: str = ""


class Neighbour(NamedTuple):
    """A host on a link of ours that has told its link address: its own address, as octets."""

    packed: bytes
    interface: int
    mac: bytes


class Routes:
    """A socket to ask by: about one address at a time. A context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; a second time does nothing."""
        self._socket.close()

    def to(self, packed: bytes, interface: int = 0) -> Route:
        """Return the route to an address of 4 or 16 octets, out of an interface where one is given.

        Raises:
            OSError: the kernel does not answer at all.
        """
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        attributes = _attribute(_RTA_DST, packed)
        if interface:
            attributes += _attribute(_RTA_OIF, _NUMBER.pack(interface))
        body = _ROUTE.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0) + attributes
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), _GETROUTE, _REQUEST, 1, 0) + body)
        for kind, answer in _messages(self._socket.recv(_MOST)):
            if kind == _ERROR:
                (number,) = struct.unpack_from("=i", answer)
                return Route("none", why=os.strerror(-number))
            told = _attributes(answer)
            what = _ROUTE.unpack_from(answer)[7]
            oif = _number(told.get(_RTA_OIF))
            source = told.get(_RTA_PREFSRC, b"")
            if what == _RTN_LOCAL:
                return Route("local", oif, source)
            if what != _RTN_UNICAST:
                return Route("none", oif, source, why="no route to a single host")
            gateway = told.get(_RTA_GATEWAY) or told.get(_RTA_VIA, b"")[2:]
            return Route("gateway" if gateway else "link", oif, source, gateway)
        return Route("none", why="the kernel does not say")


def broadcasts() -> list[tuple[int, str]]:
    """Return the addresses of IPv4 that this network namespace sends as broadcasts, and where."""
    found: dict[int, str] = {}
    # Strict, so that the kernel walks the local table only, which is short on any machine.
    for answer in _dump_routes(socket.AF_INET, _TABLE_LOCAL):
        told = _attributes(answer)
        if _ROUTE.unpack_from(answer)[7] == _RTN_BROADCAST and _RTA_DST in told:
            number = int.from_bytes(told[_RTA_DST], "big")
            found[number] = _name(_number(told.get(_RTA_OIF)))
    return sorted(found.items())


def edges(family: int) -> list[int]:
    """Return where networks of the routing tables begin and end, as sorted numbers.

    Between two neighbouring edges every address goes the same way.
    """
    bits = 32 if family == socket.AF_INET else 128
    found = {0}
    for answer in _dump_routes(family, 0):
        destination = _attributes(answer).get(_RTA_DST)
        if destination:
            first = int.from_bytes(destination, "big")
            found.update((first, first + (1 << (bits - answer[1]))))
    return sorted(found)


def neighbours(family: int) -> Iterator[Neighbour]:
    """Yield who told the kernel a link address within the last half minute or so (NUD_REACHABLE).

    It asks by ARP or ND (RFC 4861 section 7.3.2) for whoever something is sent to, whatever that
    is, and no firewall of a host keeps the answer back.
    """
    for answer in _dump(_GETNEIGH, _NEIGHBOUR.pack(family, 0, 0, 0, 0)):
        _, interface, state, _, _ = _NEIGHBOUR.unpack_from(answer)
        told = _attributes(answer)
        if state & _NUD_REACHABLE and _NDA_DST in told:
            yield Neighbour(told[_NDA_DST], interface, told.get(_NDA_LLADDR, b""))


def _dump_routes(family: int, table: int) -> Iterator[bytes]:
    """Yield the routes of a table, 0 for those of all."""
    body = _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    if table:
        body += _attribute(_RTA_TABLE, _NUMBER.pack(table))
    return _dump(_GETROUTE, body)


def _dump(what: int, body: bytes) -> Iterator[bytes]:
    """Yield what the kernel has of something."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as sock:
        sock.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        sock.send(_HEADER.pack(_HEADER.size + len(body), what, _REQUEST | _DUMP, 1, 0) + body)
        while True:
            for kind, answer in _messages(sock.recv(_MOST)):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    (number,) = struct.unpack_from("=i", answer)
                    raise OSError(-number, os.strerror(-number))
                yield answer


def _name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _number(value: bytes | None) -> int:
    return int(_NUMBER.unpack(value)[0]) if value else 0


def _messages(octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(octets):
        length, kind, *_ = _HEADER.unpack_from(octets, at)
        yield kind, octets[at + _HEADER.size : at + length]
        at += max((length + 3) & ~3, _HEADER.size)


def _attributes(body: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = _ROUTE.size
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        found[kind] = body[at + _ATTRIBUTE.size : at + length]
        at += max((length + 3) & ~3, _ATTRIBUTE.size)
    return found
