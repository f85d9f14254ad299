"""Neighbour discovery for IPv6, RFC 4861 section 4: five messages that follow `ICMPv6`.

All octets behind the fixed part of a message are its options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.field import Field, IPv6Value, UInt, flags, ipv6, uint, variable
from sockwright.wire.core.flags import FlagSet
from sockwright.wire.core.header import Header
from sockwright.wire.core.walk import Walk
from sockwright.wire.ndp_options import (
    KINDS,
    MTU,
    MalformedNDOption,
    NDOption,
    NDOptionCodec,
    PrefixInformation,
    SourceLinkLayerAddress,
    UnknownNDOption,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv6Address

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = [
    "AdvertisementFlags",
    "NeighborAdvertisement",
    "NeighborFlags",
    "NeighborSolicitation",
    "Redirect",
    "RouterAdvertisement",
    "RouterSolicitation",
]

_SMALLEST_MTU = 1280


def _take_options(  # noqa: PLR0917  # the signature of Header.advance
    self: Header,
    octets: bytes,
    offset: int,
    end: int,
    tables: Tables,  # noqa: ARG001
    packet: Packet,
) -> tuple[int, int, Form | None]:
    """Take all that follows as options; the `advance` of every message here."""
    return self.take_tail(octets, offset, end - offset, end, packet), end, None


def _judge(
    header: Header, place: Place, options: tuple[NDOption, ...], section: str
) -> Iterator[Finding]:
    """Yield findings on the hop limit and on the options; RFC 4861 `section` says the rules."""
    network = place.network
    hop_limit = getattr(network, "hop_limit", 255)
    if hop_limit != 255:
        yield header.finding(
            "hop-limit",
            "error",
            "",
            hop_limit,
            255,
            f"RFC 4861 section {section}",
            f"the hop limit is {hop_limit}: with any other than 255 the message may come from "
            "beyond the link, and is dropped",
        )
    for option in options:
        if isinstance(option, MalformedNDOption) and not place.truncated:
            yield header.finding(
                "option-length",
                "error",
                "options",
                option.octets[:16].hex(" "),
                "a length above 0, inside the message",
                "RFC 4861 section 4.6",
                "an option has the length 0, or ends behind the message; the whole message is "
                "dropped",
            )
        elif isinstance(option, UnknownNDOption) and option.number in KINDS:
            yield header.finding(
                "option-malformed",
                "error",
                "options",
                repr(option),
                KINDS[option.number].__name__,
                "RFC 4861 section 4.6",
                f"the data do not fit an option of type {option.number}",
            )


def _judge_unspecified(
    header: Header, place: Place, options: tuple[NDOption, ...], section: str
) -> Iterator[Finding]:
    """Yield a finding when a host without address tells its link-layer address."""
    src = _addresses(place)[0]
    if src is not None and src.is_unspecified:
        for option in options:
            if isinstance(option, SourceLinkLayerAddress):
                yield header.finding(
                    "source-link-layer",
                    "error",
                    "options",
                    repr(option),
                    "no such option",
                    f"RFC 4861 section {section}",
                    "from the unspecified address no source link-layer address is told",
                )


def _judge_link_local(header: Header, place: Place, section: str) -> Iterator[Finding]:
    """Yield a finding when a router speaks from an address that is not link-local."""
    src = _addresses(place)[0]
    if src is not None and not src.is_link_local:
        yield header.finding(
            "source",
            "error",
            "",
            src,
            "an address in fe80::/10",
            f"RFC 4861 section {section}",
            "routers speak from their link-local address; hosts drop this",
        )


def _judge_target(header: Header, target: IPv6Address, section: str) -> Iterator[Finding]:
    """Yield a finding when the target is no address of one host."""
    if target.is_multicast:
        yield header.finding(
            "target",
            "error",
            "target",
            target,
            "a unicast address",
            f"RFC 4861 section {section}",
            "the target is a multicast group; neighbours have unicast addresses",
        )


def _addresses(place: Place) -> tuple[IPv6Address | None, IPv6Address | None]:
    network = place.network
    if network is None or network.layer != "ipv6":
        return None, None
    return getattr(network, "src", None), getattr(network, "dst", None)


class RouterSolicitation(Header, layer="router_solicitation", carried_by={"icmpv6_type": 133}):
    """Type 133, a host asks for routers, RFC 4861 section 4.1."""

    __slots__ = ()

    reserved: UInt = uint(32, "0")
    options: Field[tuple[NDOption, ...], Iterable[NDOption]] = variable(
        NDOptionCodec(), "options, RFC 4861 section 4.6"
    )
    walk = Walk(takes_rest=True)
    advance = _take_options

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on hop limit and options."""
        yield from _judge(self, place, self.options, "6.1.1")
        yield from _judge_unspecified(self, place, self.options, "6.1.1")


class AdvertisementFlags(FlagSet, names=("H", "O", "M")):
    """Home agent (RFC 6275), other configuration and managed addresses by DHCPv6 (RFC 4861)."""

    __slots__ = ()


class RouterAdvertisement(Header, layer="router_advertisement", carried_by={"icmpv6_type": 134}):
    """Type 134, a router tells what hosts need, RFC 4861 section 4.2.

    `router_lifetime` is in seconds (0: no default router), `reachable_time` and `retrans_timer` in
    milliseconds; 0 in those two and in `cur_hop_limit` says nothing. `preference` is that of
    RFC 4191 section 2.2.
    """

    __slots__ = ()

    cur_hop_limit: UInt = uint(8, "hop limit for hosts to use", default=64)
    flags: Field[AdvertisementFlags, int | str] = flags(AdvertisementFlags, "what DHCPv6 is for")
    preference: UInt = uint(
        2,
        "of this router as a default",
        values={0: "medium", 1: "high", 2: "reserved", 3: "low"},
    )
    proxy: UInt = uint(1, "neighbour discovery proxy, RFC 4389 section 4.1.3.3")
    reserved: UInt = uint(2, "0")
    router_lifetime: UInt = uint(16, "seconds as a default router", default=1800)
    reachable_time: UInt = uint(32, "milliseconds a neighbour counts as reachable")
    retrans_timer: UInt = uint(32, "milliseconds between solicitations")
    options: Field[tuple[NDOption, ...], Iterable[NDOption]] = variable(
        NDOptionCodec(), "options, RFC 4861 section 4.6"
    )
    walk = Walk(takes_rest=True)
    advance = _take_options

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on hop limit, source and options."""
        yield from _judge(self, place, self.options, "6.1.2")
        yield from _judge_link_local(self, place, "6.1.2")
        for option in self.options:
            match option:
                case MTU(mtu=mtu) if mtu < _SMALLEST_MTU:
                    yield self.finding(
                        "mtu",
                        "warning",
                        "options",
                        mtu,
                        f"{_SMALLEST_MTU} or more",
                        "RFC 4861 section 6.3.4",
                        f"every IPv6 link takes {_SMALLEST_MTU} octets; hosts ignore this MTU",
                    )
                case PrefixInformation(prefix_length=length) if length > 128:
                    yield self.finding(
                        "prefix-length",
                        "error",
                        "options",
                        length,
                        "0 to 128",
                        "RFC 4861 section 4.6.2",
                        "an address has 128 bits",
                    )
                case PrefixInformation(valid_lifetime=valid, preferred_lifetime=preferred) if (
                    preferred > valid
                ):
                    yield self.finding(
                        "prefix-lifetime",
                        "warning",
                        "options",
                        f"preferred {preferred}, valid {valid}",
                        "preferred up to valid",
                        "RFC 4862 section 5.5.3",
                        "an address cannot be preferred longer than it is valid; hosts ignore this",
                    )


class NeighborSolicitation(Header, layer="neighbor_solicitation", carried_by={"icmpv6_type": 135}):
    """Type 135, who has the address `target`?, RFC 4861 section 4.3."""

    __slots__ = ()

    reserved: UInt = uint(32, "0")
    target: IPv6Value = ipv6("address that is asked for")
    options: Field[tuple[NDOption, ...], Iterable[NDOption]] = variable(
        NDOptionCodec(), "options, RFC 4861 section 4.6"
    )
    walk = Walk(takes_rest=True)
    advance = _take_options

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on hop limit, target, addresses and options."""
        yield from _judge(self, place, self.options, "7.1.1")
        yield from _judge_target(self, self.target, "7.1.1")
        yield from _judge_unspecified(self, place, self.options, "7.1.1")
        src, dst = _addresses(place)
        if src is None or dst is None or not src.is_unspecified:
            return
        if dst.packed[:13] != _SOLICITED_NODE:
            yield self.finding(
                "destination",
                "error",
                "",
                dst,
                "a solicited-node group (ff02::1:ff00:0/104)",
                "RFC 4861 section 7.1.1",
                "who has no address yet asks the solicited-node group only",
            )


class NeighborFlags(FlagSet, names=("O", "S", "R")):
    """Override what is known, solicited, router: RFC 4861 section 4.4."""

    __slots__ = ()


class NeighborAdvertisement(
    Header, layer="neighbor_advertisement", carried_by={"icmpv6_type": 136}
):
    """Type 136, the address `target` is here, RFC 4861 section 4.4."""

    __slots__ = ()

    flags: Field[NeighborFlags, int | str] = flags(NeighborFlags, "override, solicited, router")
    reserved: UInt = uint(29, "0")
    target: IPv6Value = ipv6("address that was asked for")
    options: Field[tuple[NDOption, ...], Iterable[NDOption]] = variable(
        NDOptionCodec(), "options, RFC 4861 section 4.6"
    )
    walk = Walk(takes_rest=True)
    advance = _take_options

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on hop limit, flags, target and options."""
        yield from _judge(self, place, self.options, "7.1.2")
        yield from _judge_target(self, self.target, "7.1.2")
        dst = _addresses(place)[1]
        if dst is not None and dst.is_multicast and "S" in self.flags:
            yield self.finding(
                "flags",
                "error",
                "flags",
                self.flags,
                "without S",
                "RFC 4861 section 7.1.2",
                "an advertisement to a group answers nobody, so S must not be set",
            )


class Redirect(Header, layer="redirect", carried_by={"icmpv6_type": 137}):
    """Type 137, a better first hop for `destination` is `target`, RFC 4861 section 4.5."""

    __slots__ = ()

    reserved: UInt = uint(32, "0")
    target: IPv6Value = ipv6("the better first hop")
    destination: IPv6Value = ipv6("address that is reached through it")
    options: Field[tuple[NDOption, ...], Iterable[NDOption]] = variable(
        NDOptionCodec(), "options, RFC 4861 section 4.6"
    )
    walk = Walk(takes_rest=True)
    advance = _take_options

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on hop limit, source, target, destination and options."""
        yield from _judge(self, place, self.options, "8.1")
        yield from _judge_link_local(self, place, "8.1")
        if self.destination.is_multicast:
            yield self.finding(
                "destination",
                "error",
                "destination",
                self.destination,
                "a unicast address",
                "RFC 4861 section 8.1",
                "no redirect is sent for a multicast group",
            )
        if not self.target.is_link_local and self.target != self.destination:
            yield self.finding(
                "target",
                "error",
                "target",
                self.target,
                "a link-local address, or the destination",
                "RFC 4861 section 8.1",
                "the target is a router, by its link-local address, or the destination itself",
            )


_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")
