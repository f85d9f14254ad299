"""The lab: which hosts there are, what their addresses are, how they reach each other.

The plan of addresses, so that whoever reads a capture knows who speaks:

======================  ==============================  =========================
what                    host n of segment k             of segment 0, host 2
======================  ==============================  =========================
IPv4                    10.0.k.n/24                     10.0.0.2
IPv6                    fd00:0:0:k::n/64 (same digits)  fd00::2
Ethernet                02:00:00:00:k:n (hexadecimal)   02:00:00:00:00:02
======================  ==============================  =========================

Hosts are numbered from 1 in the order of their making, routers from 254 down.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from sockwright.lab.host import Host, Interface
from sockwright.lab.keeping import Keeping
from sockwright.lab.link import Cable, Link
from sockwright.lab.rtnetlink import Rtnetlink
from sockwright.lab.segment import Segment

if TYPE_CHECKING:
    from types import TracebackType

    from sockwright.lab.call import Call

__all__ = ["Lab"]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")  # RFC 952, RFC 1123 2.1
_FIRST_ROUTER = 254
_MOST_SEGMENTS = 100

#: Settings of every host. The kernel says nothing unasked, so that a capture holds the
#: conversation and no more; it answers every ICMP error at once; it takes packets from anywhere.
_SETTINGS = {
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.icmp_ratelimit": "0",
    "net.ipv4.icmp_msgs_per_sec": "1000000",
    "net.ipv4.icmp_msgs_burst": "1000000",
    "net.ipv6.icmp.ratelimit": "0",
    "net.ipv6.conf.default.accept_dad": "0",
    "net.ipv6.conf.default.dad_transmits": "0",
    "net.ipv6.conf.default.accept_ra": "0",
    "net.ipv6.conf.default.router_solicitations": "0",
    # MLDv1 reports a group once when it is joined, which is before anybody listens, and again
    # within this many milliseconds: never. Nothing stops the repeats of MLDv2.
    "net.ipv6.conf.default.force_mld_version": "1",
    "net.ipv6.conf.default.mldv1_unsolicited_report_interval": "1000000000",
}
_FORWARDING = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv6.conf.default.forwarding": "1",
}


class Lab:
    """Hosts in network namespaces, from ``with Lab() as lab:`` until the end of that block.

    For root and, through user namespaces, for an ordinary user. See `sockwright.lab`.

    Raises: `NotPossibleError` from the ``with`` if this machine refuses it to this user.
    """

    __slots__ = ("_calls", "_hosts", "_keeping", "_room", "_segments", "_sockets")

    def __init__(self) -> None:
        self._keeping: Keeping | None = None
        self._room: Rtnetlink | None = None
        self._hosts: dict[str, tuple[Host, tuple[int, ...]]] = {}
        self._segments: dict[int, Segment] = {}
        self._sockets = contextlib.ExitStack()
        self._calls: list[Call[Any]] = []

    def __enter__(self) -> Self:
        if self._keeping is not None:
            raise RuntimeError("this lab is open already")
        self._keeping = Keeping()
        try:
            self._room = self._rtnetlink("")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __getitem__(self, name: str) -> Host:
        """Return the host of this name. Raises: `KeyError`."""
        return self._hosts[name][0]

    @property
    def all_hosts(self) -> list[Host]:
        """Every host and router, in the order of their making."""
        return [host for host, _ in self._hosts.values()]

    @property
    def keeper_pid(self) -> int:
        """The number of the process on which everything in this lab depends."""
        return self._open().pid

    def hosts(self, *names: str, segment: int = 0) -> list[Host]:
        """Make hosts on one segment; ready when this returns.

        Raises: `ValueError` for a name that is no host name, or is taken; `OSError`.
        """
        made = []
        for name in names:
            number = 1 + sum(
                interface.segment == segment and not is_router
                for interface, is_router in self._plugged()
            )
            made.append(self._host(name, [(segment, number)], {}))
        self._ready(made)
        return made

    def router(self, name: str, *segments: int) -> Host:
        """Make a host that forwards between segments, by default 0 and 1, and route by it.

        Any number of routers: every host gets a route to every segment, by the shortest way.

        Raises: as `hosts`.
        """
        places = []
        for segment in segments or (0, 1):
            taken = sum(
                interface.segment == segment and is_router
                for interface, is_router in self._plugged()
            )
            places.append((segment, _FIRST_ROUTER - taken))
        if len(places) < 2 or len(dict(places)) < len(places):
            raise ValueError(f"a router joins two or more segments, not {segments}")
        router = self._host(name, places, _FORWARDING)
        self._ready([router])
        return router

    def link(self, first: Host, second: Host) -> Link:
        """Return the way between two hosts of one segment, to lose, delay or cut frames on.

        Raises: `ValueError` if they share no segment: then the way has several links.
        """
        for segment in self._segments.values():
            if first is not second and {first, second} <= set(segment.hosts):
                return Link(segment, first, second)
        raise ValueError(f"{first.name} and {second.name} are not on one segment")

    def cable(self, host: Host, segment: int | None = None) -> Cable:
        """Return the cable of a host, by default of its first interface."""
        number = host.interfaces[0].segment if segment is None else segment
        return Cable(self._segments[number], host)

    def close(self) -> None:
        """End all that runs in the lab, and the lab; a second time does nothing."""
        keeping, self._keeping = self._keeping, None
        if keeping is None:
            return
        with contextlib.ExitStack() as stack:
            stack.callback(self._forget)
            stack.callback(keeping.close)
            stack.callback(self._sockets.close)
            for segment in self._segments.values():
                stack.callback(segment.close)

    def _forget(self) -> None:
        for call in self._calls:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                call.kill()
        self._calls.clear()
        self._segments.clear()
        self._hosts.clear()

    def _open(self) -> Keeping:
        if self._keeping is None:
            raise RuntimeError("the lab is not open: with Lab() as lab: ...")
        return self._keeping

    def _rtnetlink(self, host: str) -> Rtnetlink:
        sock = self._open().socket(host, socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        links = Rtnetlink(sock)
        self._sockets.callback(links.close)
        return links

    def _plugged(self) -> list[tuple[Interface, bool]]:
        return [
            (interface, len(host.interfaces) > 1)
            for host in self.all_hosts
            for interface in host.interfaces
        ]

    def _host(self, name: str, places: list[tuple[int, int]], settings: dict[str, str]) -> Host:
        keeping = self._open()
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no host name: letters, digits and hyphens")
        if name in self._hosts:
            raise ValueError(f"there is a host {name!r} already")
        interfaces = [
            _interface(f"eth{at}", segment, number) for at, (segment, number) in enumerate(places)
        ]
        namespaces = keeping.host(name, _SETTINGS | settings)
        for descriptor in namespaces:
            self._sockets.callback(os.close, descriptor)
        links = self._rtnetlink(name)
        links.set_link(links.index("lo"), up=True)
        host = Host(name, keeping, namespaces, links, self._calls.append)
        for interface in interfaces:
            segment = self._segment(interface.segment)
            segment.plug_in(host, interface, namespaces[0], links)
        host.interfaces = tuple(interfaces)
        self._hosts[name] = host, namespaces
        return host

    def _segment(self, number: int) -> Segment:
        if number not in self._segments:
            assert self._room is not None
            self._segments[number] = Segment(number, self._open(), self._room)
        return self._segments[number]

    def _ready(self, made: list[Host]) -> None:
        """Set the routes, write the names, wait for the carriers."""
        for host in self.all_hosts:
            for network, gateway in _routes(host, self.all_hosts):
                host.links.add_route(network, gateway)
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        for host in self.all_hosts:
            lines += [f"{host.ipv4} {host.name}", f"{host.ipv6} {host.name}"]
        self._open().names("\n".join(lines) + "\n")
        for host in made:
            for interface in host.interfaces:
                self._segments[interface.segment].wait(host)


def _interface(name: str, segment: int, number: int) -> Interface:
    if not 0 <= segment < _MOST_SEGMENTS:
        raise ValueError(f"segments are numbered 0 to {_MOST_SEGMENTS - 1}, not {segment}")
    if not 0 < number <= _FIRST_ROUTER:
        raise ValueError(f"segment {segment} is full: {_FIRST_ROUTER} hosts and routers")
    return Interface(
        name=name,
        mac=f"02:00:00:00:{segment:02x}:{number:02x}",
        ipv4=f"10.0.{segment}.{number}",
        ipv4_prefix=24,
        ipv6=str(ipaddress.IPv6Address(f"fd00:0:0:{segment}::{number}")),
        ipv6_prefix=64,
        segment=segment,
    )


def _routes(host: Host, hosts: list[Host]) -> list[tuple[str, str]]:
    """Return the routes of a host: network and gateway, breadth first over the segments."""
    own = [interface.segment for interface in host.interfaces]
    first_hop: dict[int, Interface | None] = dict.fromkeys(own)
    waiting = deque(own)
    while waiting:
        segment = waiting.popleft()
        for router in hosts:
            if router is host or len(router.interfaces) < 2:
                continue
            near = [one for one in router.interfaces if one.segment == segment]
            if not near:
                continue
            for far in router.interfaces:
                if far.segment not in first_hop:
                    first_hop[far.segment] = first_hop[segment] or near[0]
                    waiting.append(far.segment)
    routes = []
    for segment, hop in first_hop.items():
        if hop is not None:
            routes.append((f"10.0.{segment}.0/24", hop.ipv4))
            routes.append((f"fd00:0:0:{segment}::/64", hop.ipv6))
    return routes
