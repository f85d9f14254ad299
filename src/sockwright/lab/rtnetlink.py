"""Links, addresses and routes: the few messages of rtnetlink(7) that a lab needs.

Written out here rather than taken from pyroute2 because of the time: importing that takes 116 ms on
the machine where a lab of two hosts, these messages included, is ready in 60 ms.

A request is asked on a socket of the namespace that it is about. The kernel does it before the
send returns and judges the rights of the process that sends, so the lab can send on sockets that
its keeper opened: whoever made a user namespace has every capability over it.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import struct
from typing import Final

__all__ = ["Rtnetlink", "turn_off_offloads"]

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change mask
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, lengths of dst and src, tos, table, ...
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _GETADDR, _NEWROUTE = 20, 22, 24
_REQUEST, _ACK, _REPLACE, _EXCL, _DUMP, _CREATE = 0x1, 0x4, 0x100, 0x200, 0x300, 0x400

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_OPERSTATE = 1, 3, 4, 10, 16
_IFLA_LINKINFO, _IFLA_NET_NS_FD = 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_VETH_INFO_PEER = 1
_IFLA_BR_MCAST_SNOOPING = 23
_IFF_UP = 1
_OPERSTATE_UP = 6

_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFA_F_TENTATIVE = 0x40
_RT_SCOPE_LINK = 253
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RTN_UNICAST = 254, 4, 0, 1

_SIOCETHTOOL = 0x8946
# Receive checksum, transmit checksum, TSO, GSO, GRO, UFO: ETHTOOL_S* of linux/ethtool.h.
_OFFLOADS: Final = (0x15, 0x17, 0x1F, 0x24, 0x2C, 0x22)


def _attribute(kind: int, value: bytes) -> bytes:
    padding = bytes(-len(value) % 4)
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + padding


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("=I", value))


def _name(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _info(kind: str, data: bytes) -> bytes:
    return _attribute(
        _IFLA_LINKINFO, _name(_IFLA_INFO_KIND, kind) + _attribute(_IFLA_INFO_DATA, data)
    )


class Rtnetlink:
    """One rtnetlink socket, and with it one network namespace.

    Every method raises `OSError` with the kernel's errno.
    """

    __slots__ = ("_sequence", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def add_veth(self, name: str, *, peer: str, peer_mac: str, peer_namespace: int) -> None:
        """Make a veth(4) pair, `name` here and `peer` in the namespace of that descriptor."""
        mac = bytes.fromhex(peer_mac.replace(":", ""))
        other = (
            _LINK.pack(0, 0, 0, 0, 0)
            + _name(_IFLA_IFNAME, peer)
            + _attribute(_IFLA_ADDRESS, mac)
            + _number(_IFLA_NET_NS_FD, peer_namespace)
        )
        body = _LINK.pack(0, 0, 0, 0, 0) + _name(_IFLA_IFNAME, name)
        body += _info("veth", _attribute(_VETH_INFO_PEER, other))
        self._ask(_NEWLINK, _CREATE | _EXCL, body)

    def add_bridge(self, name: str) -> None:
        """Make a bridge that floods multicast and asks nobody about it."""
        data = _attribute(_IFLA_BR_MCAST_SNOOPING, b"\0")
        body = _LINK.pack(0, 0, 0, 0, 0) + _name(_IFLA_IFNAME, name) + _info("bridge", data)
        self._ask(_NEWLINK, _CREATE | _EXCL, body)

    def set_link(
        self, index: int, *, up: bool | None = None, master: int | None = None, mtu: int = 0
    ) -> None:
        """Take a link up or down, put it into a bridge (0: out of it), set its MTU in octets."""
        flags, mask = (_IFF_UP if up else 0, _IFF_UP) if up is not None else (0, 0)
        body = _LINK.pack(0, 0, index, flags, mask)
        if master is not None:
            body += _number(_IFLA_MASTER, master)
        if mtu:
            body += _number(_IFLA_MTU, mtu)
        self._ask(_SETLINK if master is not None else _NEWLINK, 0, body)

    def delete_link(self, index: int) -> None:
        """Remove a link; the other end of a veth pair goes with it."""
        self._ask(_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0))

    def index(self, name: str) -> int:
        """Return the index of the link of this name."""
        index: int = _LINK.unpack_from(self._get(name), _HEADER.size)[2]
        return index

    def is_operational(self, name: str) -> bool:
        """Whether the link is up and its carrier is there, RFC 2863."""
        answer = self._get(name)
        at = _HEADER.size + _LINK.size
        while at + _ATTRIBUTE.size <= len(answer):
            length, kind = _ATTRIBUTE.unpack_from(answer, at)
            if kind == _IFLA_OPERSTATE:
                return answer[at + _ATTRIBUTE.size] == _OPERSTATE_UP
            at += max((length + 3) & ~3, _ATTRIBUTE.size)
        return False

    def add_address(self, index: int, interface: str) -> None:
        """Give a link an address with its prefix length, such as ``10.0.0.1/24``."""
        parsed = ipaddress.ip_interface(interface)
        family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
        body = _ADDRESS.pack(family, parsed.network.prefixlen, 0, 0, index)
        body += _attribute(_IFA_LOCAL, parsed.packed) + _attribute(_IFA_ADDRESS, parsed.packed)
        self._ask(_NEWADDR, _CREATE | _REPLACE, body)

    def is_settled(self, index: int) -> bool:
        """Whether every IPv6 address of a link is in use, its link-local one among them.

        Even without duplicate address detection the kernel takes an address into use a moment
        later: only then it has the route to itself and has announced its multicast group.
        """
        self._send(_GETADDR, _DUMP, _ADDRESS.pack(socket.AF_INET6, 0, 0, 0, 0))
        has_link_local, tentative = False, False
        while True:
            answer = self._answer()
            at = 0
            while at + _HEADER.size <= len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, at)
                if kind == _NLMSG_DONE:
                    return has_link_local and not tentative
                _, _, flags, scope, link = _ADDRESS.unpack_from(answer, at + _HEADER.size)
                if link == index:
                    has_link_local |= scope == _RT_SCOPE_LINK
                    tentative |= bool(flags & _IFA_F_TENTATIVE)
                at += max((length + 3) & ~3, _HEADER.size)

    def add_route(self, network: str, gateway: str) -> None:
        """Send what goes to `network` by way of `gateway`."""
        target = ipaddress.ip_network(network)
        family = socket.AF_INET if target.version == 4 else socket.AF_INET6
        body = _ROUTE.pack(
            family, target.prefixlen, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC,
            _RT_SCOPE_UNIVERSE, _RTN_UNICAST, 0,
        )  # fmt: skip
        body += _attribute(_RTA_DST, target.network_address.packed)
        body += _attribute(_RTA_GATEWAY, ipaddress.ip_address(gateway).packed)
        self._ask(_NEWROUTE, _CREATE | _REPLACE, body)

    def _get(self, name: str) -> bytes:
        self._send(_GETLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + _name(_IFLA_IFNAME, name))
        return self._answer()

    def _ask(self, kind: int, flags: int, body: bytes) -> None:
        self._send(kind, flags | _ACK, body)
        self._answer()

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, flags | _REQUEST, self._sequence, 0) + body)

    def _answer(self) -> bytes:
        while True:
            answer = self._socket.recv(65536)
            _, kind, _, sequence, _ = _HEADER.unpack_from(answer)
            if sequence != self._sequence:
                continue  # the late answer to a request that was given up
            if kind == _NLMSG_ERROR:
                (number,) = struct.unpack_from("=i", answer, _HEADER.size)
                if number:
                    raise OSError(-number, os.strerror(-number))
            return answer


def turn_off_offloads(sock: socket.socket, interface: str) -> None:
    """Make the kernel compute every checksum and cut every segment itself.

    A veth pair leaves both undone (nothing can go wrong on the way), and a capture would then show
    wrong checksums and segments of 64 KiB. What a kernel does not know it need not turn off.
    """
    for command in _OFFLOADS:
        value = bytearray(struct.pack("=II", command, 0))
        # The ioctl wants the address of the value in ifreq.ifr_data.
        address = _address_of(value)
        request = struct.pack("=16sQ16x", interface.encode(), address)
        try:
            fcntl.ioctl(sock, _SIOCETHTOOL, request)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise


def _address_of(value: bytearray) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(value))
