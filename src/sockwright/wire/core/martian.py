"""Addresses that no packet may carry on a wire: RFC 1122 section 3.2.1.3, RFC 6890, RFC 4291."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Address, IPv6Address

    from sockwright.wire.core.finding import Finding, Place, Severity
    from sockwright.wire.core.header import Header

__all__ = ["ipv4_martians", "ipv6_martians"]

_HOSTS = "RFC 1122 section 3.2.1.3"
_IPV6 = "RFC 4291 section 2"


def ipv4_martians(
    header: Header, place: Place, src: IPv4Address, dst: IPv4Address
) -> Iterator[Finding]:
    """Judge both addresses of an IPv4 header."""
    for field, address, is_source in (("src", src, True), ("dst", dst, False)):
        first = address.packed[0]
        message = ""
        severity: Severity = "error"
        if first == 127:
            if not _on_loopback(place):
                message = "is of this host alone (127.0.0.0/8) and may not be seen on a wire"
        elif first == 0:
            # A host that does not know its address yet: DHCP, IGMP.
            asking = is_source and not int(address) and (dst.is_multicast or dst.packed == _ONES)
            if not asking:
                severity = "warning"
                message = "is no address of a host (0.0.0.0/8); sent, it reaches nobody"
                if is_source:
                    message = (
                        "is no address of a host (0.0.0.0/8); only who asks for an address may "
                        "send from 0.0.0.0"
                    )
        elif address.packed == _ONES:
            message = "is the broadcast address, which nobody sends from" if is_source else ""
        elif first >= 240:
            message = "is reserved (240.0.0.0/4)"
        elif is_source and first >= 224:
            message = "is a multicast group, which nobody sends from"
        if message:
            yield _martian(header, severity, field, address, _HOSTS, message)


def ipv6_martians(
    header: Header, place: Place, src: IPv6Address, dst: IPv6Address
) -> Iterator[Finding]:
    """Judge both addresses of an IPv6 header."""
    for field, address, is_source in (("src", src, True), ("dst", dst, False)):
        message, section = "", ".5"
        severity: Severity = "error"
        if address.is_loopback:
            if not _on_loopback(place):
                message, section = "is of this host alone and may not be seen on a wire", ".5.3"
        elif address.is_unspecified:
            # A host that does not know its address yet: neighbour discovery, MLD.
            if not (is_source and dst.is_multicast):
                section = ".5.2"
                message = "is unspecified; only a host that looks for its address sends from it"
                if not is_source:
                    message = "is unspecified and reaches nobody"
        elif address.is_multicast:
            section = ".7"
            if is_source:
                message = "is a multicast group, which nobody sends from"
            elif address.packed[1] & 15 == 0:
                message = "is a multicast group of scope 0, which is reserved"
            elif address.packed[1] & 15 == 1 and not _on_loopback(place):
                message = "is a multicast group of this interface alone"
        elif address.ipv4_mapped is not None:
            severity, section = "warning", ".5.5.2"
            message = "is an IPv4 address for use inside a host, and may not be seen on a wire"
        if message:
            yield _martian(header, severity, field, address, _IPV6 + section, message)


_ONES = b"\xff\xff\xff\xff"


def _martian(  # noqa: PLR0917  # the parts of a finding, in their order
    header: Header,
    severity: Severity,
    field: str,
    address: object,
    reference: str,
    message: str,
) -> Finding:
    return header.finding(
        "martian",
        severity,
        field,
        address,
        "an address of a host" if field == "src" else "an address of a host or a group",
        reference,
        f"{address} {message}",
    )


def _on_loopback(place: Place) -> bool:
    """Whether the packet may have been on a loopback interface: those of Linux show zero MACs."""
    link = place.packet.layers[0]
    if link.layer != "ethernet":
        return True
    return not any(bytes(link)[:12])
