"""The link types that filters know, and where their headers have what.

Numbers are the LINKTYPE_ values of files (tcpdump.org/linktypes.html), names those of ``tcpdump
-y``.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LINK_TYPES", "LinkType", "find", "named"]


@dataclass(frozen=True, slots=True)
class LinkType:
    """A link type: what is found at which octet of its header.

    `type_offset` is where the protocol that follows is told, None where nothing tells it; `size`
    the octets of the header, None where it is not known. `llc` is how many octets of LLC stand
    before a network header that has no SNAP header (Ethernet alone).
    """

    number: int
    name: str
    description: str
    type_offset: int | None
    size: int | None
    llc: int = 0


ETHERNET = LinkType(1, "EN10MB", "Ethernet", 12, 14, llc=3)
NULL = LinkType(0, "NULL", "BSD loopback", 0, 4)
LOOP = LinkType(108, "LOOP", "OpenBSD loopback", 0, 4)
PPP = LinkType(9, "PPP", "PPP", 2, 4)
PPP_SERIAL = LinkType(50, "PPP_SERIAL", "PPP over serial", 2, 4)
RAW = LinkType(101, "RAW", "raw IP", None, 0)
LINUX_SLL = LinkType(113, "LINUX_SLL", "Linux cooked v1", 14, 16)
LINUX_SLL2 = LinkType(276, "LINUX_SLL2", "Linux cooked v2", 0, 20)
IPV4 = LinkType(228, "IPV4", "raw IPv4", None, 0)
IPV6 = LinkType(229, "IPV6", "raw IPv6", None, 0)

LINK_TYPES = (ETHERNET, NULL, LOOP, PPP, PPP_SERIAL, RAW, LINUX_SLL, LINUX_SLL2, IPV4, IPV6)
"""Those that filters know all about. Of others there are only the octets and the length."""

# What some systems wrote for raw IP: the number that it has in memory there.
_ALSO_RAW = (12, 14)


def find(number: int) -> LinkType:
    """Return the link type of the LINKTYPE_ value `number`, with nothing known of a strange one."""
    number = RAW.number if number in _ALSO_RAW else number
    for link_type in LINK_TYPES:
        if link_type.number == number:
            return link_type
    return LinkType(number, str(number), f"link type {number}", None, None)


def named(name: str) -> LinkType | None:
    """Return the link type that is called `name`, in any case, or of that number; else None."""
    if name.isascii() and name.isdecimal() and len(name) < 6:
        return find(int(name))
    wanted = name.upper().removeprefix("LINKTYPE_").removeprefix("DLT_")
    wanted = {"ETHERNET": "EN10MB"}.get(wanted, wanted)
    return next((link_type for link_type in LINK_TYPES if link_type.name == wanted), None)
