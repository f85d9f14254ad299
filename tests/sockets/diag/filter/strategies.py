"""Conditions for Hypothesis."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from sockwright.sockets.diag.filter.conditions import (
    All,
    Autobound,
    Condition,
    Device,
    Either,
    Mark,
    Port,
)
from sockwright.sockets.diag.filter.hosts import AnyHost, InetHost
from sockwright.sockets.diag.filter.other_hosts import (
    LinkHost,
    NetlinkHost,
    UnixHost,
    VSockHost,
)

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["conditions", "inet_conditions"]

_SIDES = st.sampled_from(("src", "dst"))
_OPERATORS = st.sampled_from(("=", "!=", "<", "<=", ">", ">="))
_PORTS = st.integers(0, 0xFFFF)
_NUMBERS = st.integers(0, 0xFFFF_FFFF)
_INET = st.sampled_from((None, "inet", "inet6"))


@st.composite
def _inet_hosts(draw: st.DrawFn) -> InetHost:
    address = draw(st.ip_addresses())
    own = "inet" if isinstance(address, ipaddress.IPv4Address) else "inet6"
    return InetHost(
        draw(_SIDES),
        str(address),
        draw(st.integers(0, address.max_prefixlen)),
        draw(st.none() | _PORTS),
        draw(st.sampled_from((None, own))),
    )


@st.composite
def _marks(draw: st.DrawFn) -> Mark:
    mask = draw(_NUMBERS)
    return Mark(draw(_NUMBERS) & mask, mask)


def _link(side: str, protocol: int | None, device: int | str | None) -> Condition:
    either = protocol is not None or device is not None
    return LinkHost(side, protocol, device) if either else AnyHost(side, "link")


def _netlink(side: str, protocol: int | None, port: int | None) -> Condition:
    either = protocol is not None or port is not None
    return NetlinkHost(side, protocol, port) if either else AnyHost(side, "netlink")


def _vsock(side: str, cid: int | None, port: int | None) -> Condition:
    either = cid is not None or port is not None
    return VSockHost(side, cid, port) if either else AnyHost(side, "vsock")


_PATTERNS = st.text(st.characters(codec="utf-8"), max_size=20)
_INET_LEAVES: SearchStrategy[Condition] = st.one_of(
    st.builds(Port, _SIDES, _OPERATORS, _PORTS, _INET),
    st.builds(AnyHost, _SIDES, _INET),
    _inet_hosts(),
    _marks(),
    st.builds(Device, st.integers(0, 99) | st.just("lo")),
    st.just(Autobound()),
)
_LEAVES: SearchStrategy[Condition] = st.one_of(
    _INET_LEAVES,
    st.builds(Port, _SIDES, _OPERATORS, _NUMBERS, st.sampled_from(("link", "netlink", "vsock"))),
    st.builds(UnixHost, _SIDES, _PATTERNS),
    st.builds(_link, _SIDES, st.none() | _PORTS, st.none() | _NUMBERS | st.just("lo")),
    st.builds(_netlink, _SIDES, st.none() | st.integers(0, 0xFF), st.none() | _NUMBERS),
    st.builds(_vsock, _SIDES, st.none() | _NUMBERS, st.none() | _NUMBERS),
)


def _combined(inner: SearchStrategy[Condition]) -> SearchStrategy[Condition]:
    several = st.lists(inner, min_size=2, max_size=4)
    return st.builds(All, several) | st.builds(Either, several) | inner.map(_negated)


def _negated(condition: Condition) -> Condition:
    return ~condition


inet_conditions: SearchStrategy[Condition] = st.recursive(_INET_LEAVES, _combined, max_leaves=12)
"""Conditions that the kernel can tell of TCP and UDP sockets."""
conditions: SearchStrategy[Condition] = st.recursive(_LEAVES, _combined, max_leaves=12)
"""Conditions of every kind."""
