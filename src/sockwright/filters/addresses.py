"""Terms on addresses: host and net, of IPv4, IPv6, Ethernet and DECnet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.filters import names, tree
from sockwright.filters.carriers import ETHER_TYPES, IP, IP6, carries
from sockwright.filters.condition import Condition, Either, Not, Test, every, some
from sockwright.filters.failure import Refusal
from sockwright.filters.instruction import BYTE, HALF, JEQ, LD_MEM, LDX_MEM, WORD, X
from sockwright.filters.layers import Layers, at_least, bit_set, equal, octets_equal, plain
from sockwright.filters.link_types import ETHERNET

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["address_term", "broadcast_or_multicast"]

_ALL_ONES = 0xFFFF_FFFF
_ARP, _RARP, _DECNET = ETHER_TYPES["arp"], ETHER_TYPES["rarp"], ETHER_TYPES["decnet"]
# Where source and destination stand: Ethernet type, octets from the start of the network header.
_IPV4_HOLDERS = {"ip": (IP, 12, 16), "arp": (_ARP, 14, 24), "rarp": (_RARP, 14, 24)}
_WITHOUT_LINK_ADDRESS = "only Ethernet has link addresses that can be filtered"


def address_term(match: tree.Match, layers: Layers) -> Condition:
    """Compile ``[proto] [dir] [host|net] id``.

    Raises: Refusal where the identifier does not fit the head or the link type.
    """
    head, value = match.head, match.value
    match value:
        case tree.LinkText():
            return _link_address(head, names.ether_octets(value.text) or b"", layers)
        case tree.Name():
            return _named(head, value.text, layers)
        case tree.IPv6Text():
            return _ipv6_text(head, value, layers)
        case _:
            return _ipv4_text(head, value, layers)


def _link_address(head: tree.Head, octets: bytes, layers: Layers) -> Condition:
    if head.protocol != "link" or head.kind == "net":
        raise Refusal("an Ethernet address follows only ether [src|dst] [host]", "write ether host")
    return link_host(octets, head.direction, layers)


def link_host(octets: bytes, direction: str | None, layers: Layers) -> Condition:
    """Return the condition that an Ethernet address is the source or destination."""
    if layers.link is not ETHERNET:
        raise Refusal(f"{layers.link.description} has no Ethernet addresses", _WITHOUT_LINK_ADDRESS)

    def side(source: bool) -> Condition:
        return octets_equal(layers, 6 if source else 0, octets)

    return _with_link_header(layers, _sides(direction, side))


def _with_link_header(layers: Layers, condition: Condition) -> Condition:
    """Add the test that there is a link header at all, which Geneve leaves to each packet."""
    header, payload = layers.header, layers.payload
    if not layers.in_geneve or payload is None or header.register is None:
        return condition
    compare = (plain(LD_MEM, header.register), plain(LDX_MEM, payload.register or 0))
    return every(Not(Test(compare, JEQ | X)), condition)


def _named(head: tree.Head, name: str, layers: Layers) -> Condition:
    if head.kind == "net":
        return _ipv4(names.network_number(name), _ALL_ONES, head, layers)
    if head.protocol == "link":
        if layers.link is not ETHERNET:
            raise Refusal(
                f"{layers.link.description} has no Ethernet addresses", _WITHOUT_LINK_ADDRESS
            )
        return link_host(names.ether_host(name), head.direction, layers)
    if head.protocol == "decnet":
        raise Refusal(f"DECnet names such as {name!r} are not known here", "area.node fits")
    found = names.host_addresses(name)
    # Without a header that tells protocols there is no ARP to look for.
    told = head.protocol or ("either" if layers.type is None else None)
    conditions: list[Condition] = []
    for version, number in found:
        if version == 4 and told != "ip6":
            conditions.append(
                _ipv4(number, _ALL_ONES, head, layers, "ip" if told == "either" else told)
            )
        elif version == 6 and told != "ip":
            conditions.append(_ipv6(number, (1 << 128) - 1, head, layers))
    if not conditions:
        raise Refusal(f"the host {name!r} has no address that fits {head.protocol!r}")
    return some(*conditions)


def _ipv6_text(head: tree.Head, value: tree.IPv6Text, layers: Layers) -> Condition:
    number = names.ipv6_number(value.text)
    prefix = 128 if value.prefix is None else value.prefix
    if prefix > 128:
        raise Refusal("an IPv6 prefix has at most 128 bits")
    mask = ((1 << prefix) - 1) << (128 - prefix)
    _no_bits_behind(number, mask, value.text, prefix)
    if head.kind != "net" and prefix != 128:
        raise Refusal("a prefix length makes it a network", f"write net {value.text}/{prefix}")
    return _ipv6(number, mask, head, layers)


def _ipv4_text(head: tree.Head, value: tree.Value, layers: Layers) -> Condition:
    if isinstance(value, tree.Number):
        number, mask = value.value, _ALL_ONES
        if head.protocol == "decnet":
            return _decnet(number, head.direction, layers)
        if head.kind == "net":
            while number and number & 0xFF00_0000 == 0:
                number, mask = number << 8, mask << 8 & _ALL_ONES
        return _ipv4(number, mask, head, layers)
    if not isinstance(value, tree.IPv4Text):
        raise Refusal("no address")
    text = value.text
    if value.prefix is None and value.mask is None:
        if head.protocol == "decnet":
            return _decnet(names.decnet_address(text), head.direction, layers)
        number, bits = names.ipv4_number(text)
        short = 32 - bits
        return _ipv4(number << short, _ALL_ONES << short & _ALL_ONES, head, layers)
    if head.kind != "net":
        raise Refusal("a mask or a prefix length makes it a network", f"write net {text}…")
    number, bits = names.ipv4_number(text)
    number <<= 32 - bits
    if value.mask is not None:
        mask, mask_bits = names.ipv4_number(value.mask)
        mask <<= 32 - mask_bits
        written = f"mask {value.mask}"
        _no_bits_behind(number, mask, text, written)
    else:
        prefix = value.prefix or 0
        if prefix > 32:
            raise Refusal("an IPv4 prefix has at most 32 bits")
        mask = _ALL_ONES << (32 - prefix) & _ALL_ONES
        _no_bits_behind(number, mask, text, prefix)
    return _ipv4(number, mask, head, layers)


def _no_bits_behind(number: int, mask: int, text: str, written: int | str) -> None:
    if number & ~mask:
        from ipaddress import IPv4Address, IPv6Address

        whole = (
            IPv6Address(number & mask) if mask >> 32 or ":" in text else IPv4Address(number & mask)
        )
        raise Refusal(
            f"{text} has bits set behind {written if isinstance(written, str) else f'/{written}'}",
            f"the network is {whole}",
        )


def _ipv4(
    number: int, mask: int, head: tree.Head, layers: Layers, protocol: str | None = None
) -> Condition:
    what = "net" if head.kind == "net" else "host"
    protocol = protocol or head.protocol
    if protocol is None:
        # MPLS carries no ARP.
        holders = ("ip",) if layers.labels else ("ip", "arp", "rarp")
        return some(*(_holder(number, mask, head.direction, name, layers) for name in holders))
    if protocol == "decnet":
        raise Refusal(f"an IPv4 address does not fit decnet {what}")
    if protocol not in _IPV4_HOLDERS:
        _refuse_holder(protocol, what, "IPv4")
    return _holder(number, mask, head.direction, protocol, layers)


def _holder(number: int, mask: int, direction: str | None, name: str, layers: Layers) -> Condition:
    ether_type, source_at, destination_at = _IPV4_HOLDERS[name]

    def side(source: bool) -> Condition:
        at = source_at if source else destination_at
        return every(
            carries(layers, ether_type), equal(layers.from_network(at, WORD), number & mask, mask)
        )

    return _sides(direction, side)


def _ipv6(number: int, mask: int, head: tree.Head, layers: Layers) -> Condition:
    what = "net" if head.kind == "net" else "host"
    if head.protocol not in {None, "ip6"}:
        _refuse_holder(head.protocol or "", what, "IPv6")

    def side(source: bool) -> Condition:
        at = 8 if source else 24
        words = [
            equal(
                layers.from_network(at + octet, WORD),
                number >> (96 - 8 * octet) & _ALL_ONES,
                mask >> (96 - 8 * octet) & _ALL_ONES,
            )
            for octet in (0, 4, 8, 12)
        ]
        return every(carries(layers, IP6), *words)

    return _sides(head.direction, side)


def _refuse_holder(protocol: str, what: str, family: str) -> None:
    if protocol == "link":
        raise Refusal(f"an {family} address does not fit ether {what}", f"write {what} alone")
    if protocol in {"ip", "ip6", "arp", "rarp"}:
        raise Refusal(f"{protocol} has no {family} addresses", "leave it out, or change it")
    raise Refusal(
        f"{protocol} does not go with {what}", f"write {protocol} and {what} … with its address"
    )


def _decnet(number: int, direction: str | None, layers: Layers) -> Condition:
    # DECnet has its numbers in little-endian order. A data packet has a long or a short header,
    # with a pad octet before it or none; other packets are not looked at.
    swapped = (number & 0xFF) << 8 | number >> 8 & 0xFF

    def side(source: bool) -> Condition:
        long_at, short_at = (15, 3) if source else (7, 1)
        forms = (
            (_flag(layers, 0x02), 2 + short_at),
            (_padded_flag(layers, 0x02), 3 + short_at),
            (_flag(layers, 0x06), 2 + long_at),
            (_padded_flag(layers, 0x06), 3 + long_at),
        )
        found = some(
            *(every(flag, equal(layers.from_network(at, HALF), swapped)) for flag, at in forms)
        )
        return every(carries(layers, _DECNET), found)

    return _sides(direction, side)


def _flag(layers: Layers, flag: int) -> Condition:
    return equal(layers.from_network(2, BYTE), flag, 0x07)


def _padded_flag(layers: Layers, flag: int) -> Condition:
    return equal(layers.from_network(2, HALF), 0x8100 | flag, 0xFF07)


def _sides(direction: str | None, side: Callable[[bool], Condition]) -> Condition:
    """Combine the tests of source and destination as `direction` says."""
    if direction == "src":
        return side(True)
    if direction == "dst":
        return side(False)
    if direction == "both":
        return every(side(True), side(False))
    return Either(side(True), side(False))


def broadcast_or_multicast(term: tree.Everywhere, layers: Layers) -> Condition:
    """Compile ``[proto] broadcast`` and ``[proto] multicast``.

    ``ip broadcast`` is the two addresses that are broadcast in every network, 0.0.0.0 and
    255.255.255.255: the mask of the interface is not known to a program. Raises: Refusal.
    """
    broadcast = term.what == "broadcast"
    if term.protocol in {None, "link"}:
        if layers.link is not ETHERNET:
            raise Refusal(
                f"{layers.link.description} tells no link-layer {term.what}s",
                f"ip {term.what} works for every link type",
            )
        if broadcast:
            there = octets_equal(layers, 0, b"\xff" * 6)
        else:
            there = bit_set(layers.from_header(0, BYTE), 1)
        return _with_link_header(layers, there)
    if term.protocol == "ip" and broadcast:
        zeros, ones = (equal(layers.from_network(16, WORD), n) for n in (0, _ALL_ONES))
        return every(carries(layers, IP), Either(zeros, ones))
    if term.protocol == "ip":
        return every(carries(layers, IP), at_least(layers.from_network(16, BYTE), 224))
    if term.protocol == "ip6" and not broadcast:
        return every(carries(layers, IP6), equal(layers.from_network(24, BYTE), 255))
    fits = "ether or ip" if broadcast else "ether, ip or ip6"
    raise Refusal(f"{term.protocol} has no {term.what}", f"{fits} fits before it")
