"""What a DHCP client tells of itself: RFC 2131 section 2 (the message), RFC 2132 (options).

Clients ask for parameters in an order of their own (option 55), name their maker (option 60) and
put the options in an order of their own. Only messages of clients are read, and strictly: a length
that lies, a missing cookie or a message without a type is no evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from sockwright.identify.passive.http import printable

if TYPE_CHECKING:
    from sockwright.identify.signature import Traits

__all__ = ["PORTS", "Request", "read_request"]

PORTS: Final = (67, 68)
_COOKIE: Final = b"\x63\x82\x53\x63"
_OPTIONS_AT: Final = 240
_MOST_OPTIONS: Final = 64
_MOST_OCTETS: Final = 1500
_PAD, _HOSTNAME, _REQUESTED_ADDRESS, _TYPE = 0, 12, 50, 53
_PARAMETERS, _MAX_SIZE, _VENDOR, _END = 55, 57, 60, 255
_TYPES: Final = {
    1: "DISCOVER",
    3: "REQUEST",
    4: "DECLINE",
    7: "RELEASE",
    8: "INFORM",
}
"""What clients send; the rest comes from servers."""


@dataclass(frozen=True, slots=True)
class Request:
    """One message of a client; text is cleaned and bounded.

    `type` is DISCOVER, REQUEST, DECLINE, RELEASE or INFORM. `address` is the client's own where it
    has one, else the one that it asks for, else nothing. `mac` is that of the header, nothing for
    other hardware than Ethernet. `parameters` is option 55, `options` all options in order.
    """

    type: str
    address: str
    mac: str
    hostname: str
    vendor: str
    parameters: tuple[int, ...]
    options: tuple[int, ...]
    max_size: int | None
    kind: str = "dhcp"

    def traits(self) -> Traits:
        """Return what signatures are compared with."""
        found: Traits = {"dhcp.options": _numbers(self.options)}
        if self.parameters:
            found["dhcp.requested"] = _numbers(self.parameters)
        if self.vendor:
            found["dhcp.vendor"] = self.vendor
        if self.max_size is not None:
            found["dhcp.max_size"] = self.max_size
        return found

    def __str__(self) -> str:
        vendor = f" {self.vendor}" if self.vendor else ""
        return f"{self.type}{vendor} asks for {_numbers(self.parameters) or 'nothing'}"


def _numbers(numbers: tuple[int, ...]) -> str:
    return ",".join([str(number) for number in numbers])


def read_request(octets: bytes) -> Request | None:
    """Read a message of a client; None where it is none, or not well formed. Never raises."""
    if not _OPTIONS_AT < len(octets) <= _MOST_OCTETS or octets[0] != 1:
        return None
    if octets[236:_OPTIONS_AT] != _COOKIE:
        return None
    found = _options(octets)
    if found is None:
        return None
    order, values = found
    kind = values.get(_TYPE, b"")
    if len(kind) != 1 or kind[0] not in _TYPES:
        return None
    ethernet = octets[1] == 1 and octets[2] == 6
    size = values.get(_MAX_SIZE, b"")
    return Request(
        type=_TYPES[kind[0]],
        address=_address(octets[12:16]) or _address(values.get(_REQUESTED_ADDRESS, b"")),
        mac=octets[28:34].hex(":") if ethernet else "",
        hostname=printable(values.get(_HOSTNAME, b"")),
        vendor=printable(values.get(_VENDOR, b"")),
        parameters=tuple(values.get(_PARAMETERS, b"")),
        options=tuple(order),
        max_size=int.from_bytes(size, "big") if len(size) == 2 else None,
    )


def _options(octets: bytes) -> tuple[list[int], dict[int, bytes]] | None:
    """Return the codes in order, and the data of each; None where a length lies."""
    order: list[int] = []
    values: dict[int, bytes] = {}
    at = _OPTIONS_AT
    while at < len(octets) and len(order) < _MOST_OPTIONS:
        code = octets[at]
        at += 1
        if code == _PAD:
            continue
        if code == _END:
            return order, values
        if at >= len(octets) or at + 1 + octets[at] > len(octets):
            return None
        order.append(code)
        # A long option comes in pieces, which belong together (RFC 3396).
        values[code] = values.get(code, b"") + octets[at + 1 : at + 1 + octets[at]]
        at += 1 + octets[at]
    return order, values


def _address(octets: bytes) -> str:
    return str(IPv4Address(octets)) if len(octets) == 4 and any(octets) else ""
