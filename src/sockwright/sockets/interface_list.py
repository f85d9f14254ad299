"""The interfaces of this network namespace, asked by rtnetlink(7); needs no privilege."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockwright.sockets.packet_socket import LINK_TYPES
from sockwright.sockets.ring import SLL2

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Interface", "interfaces"]

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, ARPHRD_*, index, flags, change mask
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_REQUEST_DUMP = 0x301
_ERROR, _DONE, _GETLINK, _GETADDR = 2, 3, 18, 22
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU = 1, 3, 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFF_UP, _IFF_RUNNING, _IFF_PROMISC = 0x1, 0x40, 0x100
_MOST = 1 << 16  # octets of an answer; the kernel fills 32 KiB at most


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface.

    `state` is "up", "no carrier" (it is up, and nothing is at the other end) or "down"; `link_type`
    the LINKTYPE_* number of a capture on it; `mac` its link address as text, empty where it has
    none; `addresses` its addresses of IP with prefix length; `mtu` in octets.
    """

    index: int
    name: str
    state: str
    link_type: int
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    promiscuous: bool


def interfaces() -> list[Interface]:
    """List the interfaces of this network namespace, by their numbers.

    Raises:
        OSError: as the kernel says.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as sock:
        addresses: dict[int, list[str]] = {}
        for body in _dump(sock, _GETADDR):
            _, prefix, _, _, index = _ADDRESS.unpack_from(body)
            told = _attributes(body, _ADDRESS.size)
            # Of a tunnel the one is its peer's, the other its own.
            packed = told.get(_IFA_LOCAL) or told.get(_IFA_ADDRESS)
            if packed:
                text = f"{ipaddress.ip_address(packed)}/{prefix}"
                addresses.setdefault(index, []).append(text)
        found = [_interface(body, addresses) for body in _dump(sock, _GETLINK)]
    return sorted(found, key=lambda interface: interface.index)


def _interface(body: bytes, addresses: dict[int, list[str]]) -> Interface:
    _, hardware_type, index, flags, _ = _LINK.unpack_from(body)
    told = _attributes(body, _LINK.size)
    state = "down"
    if flags & _IFF_UP:
        state = "up" if flags & _IFF_RUNNING else "no carrier"
    return Interface(
        index=index,
        name=os.fsdecode(told.get(_IFLA_IFNAME, b"").rstrip(b"\0")),
        state=state,
        link_type=LINK_TYPES.get(hardware_type, SLL2),
        mac=told.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=int.from_bytes(told.get(_IFLA_MTU, b""), sys.byteorder),
        addresses=tuple(addresses.get(index, ())),
        promiscuous=bool(flags & _IFF_PROMISC),
    )


def _dump(sock: socket.socket, kind: int) -> Iterator[bytes]:
    """Yield the bodies of the messages that answer a request for all of a kind."""
    request = _HEADER.pack(_HEADER.size + _LINK.size, kind, _REQUEST_DUMP, kind, 0)
    sock.send(request + bytes(_LINK.size))
    while True:
        answer = sock.recv(_MOST)
        at = 0
        while at + _HEADER.size <= len(answer):
            length, what, *_ = _HEADER.unpack_from(answer, at)
            if what == _DONE:
                return
            body = answer[at + _HEADER.size : at + length]
            if what == _ERROR:
                (number,) = struct.unpack_from("=i", body)
                raise OSError(-number, os.strerror(-number))
            yield body
            at += max((length + 3) & ~3, _HEADER.size)


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        found[kind] = body[at + _ATTRIBUTE.size : at + length]
        at += max((length + 3) & ~3, _ATTRIBUTE.size)
    return found
