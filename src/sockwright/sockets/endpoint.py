"""Endpoints: one text for every place that a socket can be bound or connected to.

The grammar follows RFC 3986 where it fits. In ABNF, with `zone` after RFC 9844 (a plain ``%``):

    endpoint = ("tcp" / "udp") "://" [host] ":" port
             / "unix:" path ["?type=" ("stream" / "datagram" / "seqpacket")]
             / "unix-abstract:" name ["?type=" ...]
             / "vsock://" [cid] ":" port ["?type=" ...]
             / "raw://" [host] ["?protocol=" (number / name)]
             / "packet://" [interface] ["?protocol=" (number / name)]
    host     = name / IPv4 / "[" IPv6 ["%" zone] "]" / "*"
    cid      = number / "*"

In a path or a name an octet may be written as ``%41``; a question mark and a percent sign must be.
An empty host is loopback; ``*`` is every address of this machine; ``unix:`` alone is the unnamed
address that a socket has which was never bound (clients of unix(7) listeners, mostly). In vsock(7)
a machine has a number, its CID (1 this one, 2 the host of a virtual one), and a port 32 bits.
`str(endpoint)` writes the same endpoint back: ``parse_endpoint(str(endpoint)) == endpoint``.

Known traps: a zone may start with ``25``, which RFC 6874 would read as an escaped percent sign, so
such a zone is written as ``%25`` and the zone. A name in the filesystem is octets, not text:
what is not UTF-8 is kept by surrogate escapes, as `os.fsdecode` does.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from sockwright.errors import EndpointError

__all__ = [
    "ETHER_PROTOCOLS",
    "EXAMPLES",
    "IP_PROTOCOLS",
    "Delivery",
    "Endpoint",
    "Scheme",
    "parse_endpoint",
]

Scheme = Literal["tcp", "udp", "unix", "unix-abstract", "vsock", "raw", "packet"]
Delivery = Literal["stream", "datagram", "seqpacket"]

# What fits, one example for each scheme: error messages quote it.
EXAMPLES: dict[str, str] = {
    "tcp": "tcp://127.0.0.1:8080",
    "udp": "udp://[::1]:5353",
    "unix": "unix:/run/app.sock?type=datagram",
    "unix-abstract": "unix-abstract:name",
    "vsock": "vsock://2:1234",
    "raw": "raw://127.0.0.1?protocol=16",
    "packet": "packet://eth0?protocol=0x0800",
}
# The names that IANA gives them, for ?protocol=NAME.
IP_PROTOCOLS: dict[str, int] = {
    "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "ipv6": 41, "gre": 47, "esp": 50,
    "ah": 51, "icmpv6": 58, "ospf": 89, "pim": 103, "sctp": 132, "udplite": 136, "raw": 255,
}  # fmt: skip
ETHER_PROTOCOLS: dict[str, int] = {
    "all": 0x0003, "ipv4": 0x0800, "arp": 0x0806, "vlan": 0x8100, "ipv6": 0x86DD, "lldp": 0x88CC,
}  # fmt: skip
# sun_path holds 108 octets: a path also needs its NUL, an abstract name its leading NUL.
_MAX_UNIX_OCTETS = 107
_MAX_INTERFACE_OCTETS = 15  # IFNAMSIZ less the NUL
_PLAIN_PATH = frozenset(b"!\"$&'()*+,-./:;<=>@[\\]^_`{|}~") | frozenset(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to bind or to connect to; only the fields of its scheme are used.

    `host` is a name or an address without brackets (``""`` loopback, ``"*"`` every address; for
    vsock a CID in decimal),
    `zone` the interface of a link-local IPv6 address, `port` in host order, `path` a filesystem
    path or an abstract name without its leading NUL, `interface` a name (``""`` all of them),
    `protocol` the IP protocol (raw, 0 to 255) or EtherType (packet, 0 to 65535) or None.

    Raises:
        EndpointError: (a `ValueError`) a field is out of range or does not belong to the scheme.
    """

    scheme: Scheme
    host: str = ""
    port: int = 0
    zone: str = ""
    path: str = ""
    interface: str = ""
    delivery: Delivery | None = None
    protocol: int | None = None

    def __post_init__(self) -> None:
        if self.scheme not in EXAMPLES:
            raise EndpointError(
                f"unknown scheme {self.scheme!r}; known are "
                + ", ".join(f"{name} ({example})" for name, example in EXAMPLES.items())
            )
        self._check_foreign_fields()
        if self.scheme in {"tcp", "udp", "raw"}:
            self._check_host()
        elif self.scheme == "vsock":
            self._check_cid()
        top_port = 0xFFFFFFFE if self.scheme == "vsock" else 65535
        if not 0 <= self.port <= top_port:
            raise EndpointError(f"port {self.port} is not in 0..{top_port}")
        if self.scheme in {"unix", "unix-abstract"}:
            self._check_path()
        elif self.scheme == "packet":
            self._check_interface()
        if self.delivery is not None and self.delivery not in get_args(Delivery):
            raise EndpointError(
                f"type {self.delivery!r} is none of {', '.join(get_args(Delivery))}"
            )
        if self.protocol is not None:
            top = 255 if self.scheme == "raw" else 0xFFFF
            if not 0 <= self.protocol <= top:
                raise EndpointError(f"protocol {self.protocol} of {self.scheme} is not in 0..{top}")

    def _check_foreign_fields(self) -> None:
        fitting = {
            "tcp": {"host", "port", "zone"},
            "udp": {"host", "port", "zone"},
            "vsock": {"host", "port", "delivery"},
            "raw": {"host", "zone", "protocol"},
            "packet": {"interface", "protocol"},
        }.get(self.scheme, {"path", "delivery"})
        empty: dict[str, object] = {
            "host": "", "port": 0, "zone": "", "path": "", "interface": "",
            "delivery": None, "protocol": None,
        }  # fmt: skip
        used = {name for name, nothing in empty.items() if getattr(self, name) != nothing}
        if foreign := sorted(used - fitting):
            raise EndpointError(
                f"{self.scheme} has no {' and no '.join(foreign)}; "
                f"what fits: {EXAMPLES[self.scheme]}"
            )

    def _check_host(self) -> None:
        if self.zone and ":" not in self.host:
            raise EndpointError(f"zone {self.zone!r} needs an IPv6 address, not {self.host!r}")
        if not _is_name(self.zone, "]?"):
            raise EndpointError(f"zone {self.zone!r} is not the name or number of an interface")
        if ":" in self.host:
            try:
                socket.inet_pton(socket.AF_INET6, self.host)
            except (OSError, ValueError):
                raise EndpointError(f"{self.host!r} is not an IPv6 address") from None
        elif self.host != "*" and not _is_name(self.host, "*[]%?@/\\#"):
            raise EndpointError(f"{self.host!r} is not a host name or an address")

    def _check_path(self) -> None:
        what = "path" if self.scheme == "unix" else "name"
        octets = os.fsencode(self.path)
        if len(octets) > _MAX_UNIX_OCTETS:
            raise EndpointError(
                f"the {what} has {len(octets)} octets, unix(7) allows {_MAX_UNIX_OCTETS}"
            )
        if self.scheme == "unix" and 0 in octets:
            raise EndpointError("a path holds no NUL; for an abstract name use unix-abstract:name")

    def _check_cid(self) -> None:
        # VMADDR_CID_ANY, all ones, is written as a star.
        number = self.host.isascii() and self.host.isdecimal() and int(self.host[:11]) < 0xFFFFFFFF
        if self.host not in {"", "*"} and not number:
            raise EndpointError(
                f"{self.host!r} is not the number (CID) of a machine; 1 is this one, 2 the host"
            )

    def _check_interface(self) -> None:
        if not _is_name(self.interface, "/?:"):
            raise EndpointError(f"{self.interface!r} is not the name of an interface")
        if len(os.fsencode(self.interface)) > _MAX_INTERFACE_OCTETS:
            raise EndpointError(
                f"interface {self.interface!r} is longer than {_MAX_INTERFACE_OCTETS} octets"
            )

    def with_port(self, port: int) -> Endpoint:
        """Give the same endpoint with another port."""
        return replace(self, port=port)

    def __str__(self) -> str:
        if self.scheme in {"unix", "unix-abstract"}:
            query = f"?type={self.delivery}" if self.delivery else ""
            return f"{self.scheme}:{_escape(self.path)}{query}"
        if self.scheme == "packet":
            query = "" if self.protocol is None else f"?protocol={self.protocol:#06x}"
            return f"packet://{self.interface}{query}"
        host = self.host
        if ":" in host:
            separator = "%25" if self.zone.startswith("25") else "%"
            host = f"[{host}{separator}{self.zone}]" if self.zone else f"[{host}]"
        if self.scheme == "raw":
            return f"raw://{host}" + ("" if self.protocol is None else f"?protocol={self.protocol}")
        query = f"?type={self.delivery}" if self.delivery else ""
        return f"{self.scheme}://{host}:{self.port}{query}"


def parse_endpoint(text: str) -> Endpoint:
    """Read an endpoint; see the grammar at the top of this module.

    Raises:
        EndpointError: (a `ValueError`) with what is wrong and an example of what fits.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in EXAMPLES:
        if scheme.replace(".", "").replace("-", "").isalnum() and rest.isdecimal():
            raise EndpointError(
                f"{text!r} names no scheme; what fits: tcp://{text} or udp://{text}"
            )
        known = ", ".join(EXAMPLES.values())
        raise EndpointError(f"{text!r} does not start with a scheme that is known; known: {known}")
    try:
        return _parse_rest(cast("Scheme", scheme), rest)
    except EndpointError as error:
        raise EndpointError(f"{text!r}: {error}") from None


def _parse_rest(scheme: Scheme, rest: str) -> Endpoint:
    example = EXAMPLES[scheme]
    rest, has_query, query_text = rest.partition("?")
    query = _parse_query(scheme, query_text) if has_query else {}
    if scheme in {"unix", "unix-abstract"}:
        delivery = cast("Delivery | None", query.get("type"))
        return Endpoint(scheme, path=_unescape(rest), delivery=delivery)
    if not rest.startswith("//"):
        raise EndpointError(f"after {scheme}: come two slashes: {example}")
    rest = rest[2:]
    if scheme == "packet":
        return Endpoint(scheme, interface=rest, protocol=_protocol(query, ETHER_PROTOCOLS))
    host, zone, rest = _split_host(rest)
    if scheme == "raw":
        if rest:
            raise EndpointError(f"{rest!r} follows the host, but raw has no ports: {example}")
        return Endpoint(scheme, host, zone=zone, protocol=_protocol(query, IP_PROTOCOLS))
    if not rest.startswith(":"):
        raise EndpointError(f"the port is missing: {scheme}://{rest or host or 'host'}:PORT")
    port = rest[1:]
    if not (port.isascii() and port.isdecimal()):
        top = "4294967294" if scheme == "vsock" else "65535"
        raise EndpointError(f"the port {port!r} is not a number in 0..{top}: {example}")
    delivery = cast("Delivery | None", query.get("type"))
    return Endpoint(scheme, host, int(port[:11]), zone=zone, delivery=delivery)


def _split_host(rest: str) -> tuple[str, str, str]:
    """Split ``[::1%zone]:80`` or ``host:80`` into host, zone and what follows."""
    if rest.startswith("["):
        inner, closed, tail = rest[1:].partition("]")
        if not closed:
            raise EndpointError("the bracket of the IPv6 address is not closed")
        host, percent, zone = inner.partition("%")
        if percent and len(zone) > 2 and zone.startswith("25"):
            zone = zone[2:]
        if ":" not in host or (percent and not zone):
            raise EndpointError(f"in brackets stands an IPv6 address, not {inner!r}")
        return host, zone, tail
    if rest.count(":") > 1:
        raise EndpointError(f"an IPv6 address needs brackets: [{rest.rpartition(':')[0]}]:PORT")
    host, colon, tail = rest.partition(":")
    return host, "", colon + tail


def _parse_query(scheme: Scheme, text: str) -> dict[str, str]:
    allowed = dict.fromkeys(("unix", "unix-abstract", "vsock"), "type")
    allowed |= dict.fromkeys(("raw", "packet"), "protocol")
    query: dict[str, str] = {}
    for item in text.split("&"):
        key, _, value = item.partition("=")
        if key != allowed.get(scheme):
            fits = f"?{allowed[scheme]}=..." if scheme in allowed else "none"
            raise EndpointError(f"{scheme} has no option {key!r}; options: {fits}")
        if key in query:
            raise EndpointError(f"option {key!r} stands twice")
        if not value:
            raise EndpointError(f"option {key!r} has no value: {EXAMPLES[scheme]}")
        query[key] = value
    return query


def _protocol(query: dict[str, str], names: dict[str, int]) -> int | None:
    text = query.get("protocol")
    if text is None:
        return None
    if text.lower() in names:
        return names[text.lower()]
    digits, base = (text[2:], 16) if text[:2] in {"0x", "0X"} else (text, 10)
    if not 0 < len(digits) <= 8 or not (_HEX if base == 16 else _DIGITS).issuperset(digits):
        raise EndpointError(f"protocol {text!r} is neither a number nor one of {', '.join(names)}")
    return int(digits, base)


def _is_name(text: str, forbidden: str) -> bool:
    return all(mark.isprintable() and not mark.isspace() and mark not in forbidden for mark in text)


def _escape(path: str) -> str:
    octets = os.fsencode(path)
    try:
        octets.decode()
    except UnicodeDecodeError:
        return "".join(chr(x) if x in _PLAIN_PATH else f"%{x:02X}" for x in octets)
    return "".join(
        mark
        if (ord(mark) in _PLAIN_PATH or (ord(mark) > 127 and mark.isprintable()))
        else "".join(f"%{x:02X}" for x in mark.encode())
        for mark in path
    )


def _unescape(text: str) -> str:
    head, *tail = text.split("%")
    octets = bytearray(os.fsencode(head))
    for part in tail:
        if len(part) < 2 or not _HEX.issuperset(part[:2]):
            raise EndpointError(f"'%{part[:2]}' is not an octet; a percent sign is written %25")
        octets.append(int(part[:2], 16))
        octets += os.fsencode(part[2:])
    return os.fsdecode(bytes(octets))
