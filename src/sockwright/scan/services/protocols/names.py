"""DNS (RFC 1035), asked for the version of its program (CHAOS TXT ``version.bind``), and mDNS.

RFC 4892 has the name and says why: servers told so for thirty years.
"""

from __future__ import annotations

import struct
from typing import Final

from sockwright.scan.services.finding import Finding
from sockwright.scan.services.probe import DatagramProbe, Probe
from sockwright.scan.services.text import clean
from sockwright.sockets.udp_probes import probe_for

__all__ = ["DATAGRAM_PROBES", "PROBES"]

_ID: Final = 0x5357
_RCODES: Final = {
    0: "no error", 1: "format error", 2: "server failure", 3: "no such name",
    4: "not implemented", 5: "refused", 9: "not authoritative",
}  # fmt: skip


def _query(name: str, kind: int, class_: int) -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return struct.pack("!6H", _ID, 0, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, class_)


_VERSION_BIND: Final = _query("version.bind", 16, 3)


def _read_dns(octets: bytes) -> Finding | None:
    if len(octets) < 12 or octets[:2] != _ID.to_bytes(2, "big") or not octets[2] & 0x80:
        return None
    questions, answers = struct.unpack_from("!HH", octets, 4)
    if octets[2] & 0x78 or questions > 1 or answers > 16:
        return None
    finding = Finding("domain", confidence=0.85, banner=b" ")
    rcode = octets[3] & 15
    finding.detail("dns.rcode", _RCODES.get(rcode, str(rcode)))
    finding.detail("dns.recursion", "available" if octets[3] & 0x80 else "not available")
    text = _first_txt(octets, questions) if answers else b""
    if text:
        finding.banner = text
        finding.detail("dns.version_bind", text)
        finding.learn("dns.version", clean(text))
    return finding


def _first_txt(octets: bytes, questions: int) -> bytes:
    at = 12
    for _ in range(questions):
        at = _past_name(octets, at) + 4
    at = _past_name(octets, at)
    if at + 10 > len(octets):
        return b""
    kind, _, _, length = struct.unpack_from("!HHIH", octets, at)
    data = octets[at + 10 : at + 10 + length]
    return data[1 : 1 + data[0]] if kind == 16 and data else b""


def _past_name(octets: bytes, at: int) -> int:
    for _ in range(128):
        if at >= len(octets) or octets[at] == 0:
            return at + 1
        if octets[at] & 0xC0:
            return at + 2
        at += 1 + octets[at]
    return len(octets)


def _read_dns_tcp(octets: bytes) -> Finding | None:
    length = int.from_bytes(octets[:2], "big")
    return _read_dns(octets[2:]) if length <= len(octets) - 2 else None


def _read_mdns(octets: bytes) -> Finding | None:
    """Read what a responder says that this host offers (RFC 6762 section 5.5, RFC 6763)."""
    if len(octets) < 12 or not octets[2] & 0x80 or b"_dns-sd" not in octets[:64]:
        return None
    finding = Finding("mdns", confidence=0.85, banner=b" ")
    found: list[str] = []
    at = 12
    while (at := octets.find(b"_", at)) > 0 and len(found) < 16:
        length = octets[at - 1]
        label = octets[at : at + length]
        if 2 <= length <= 16 and label.isascii() and label not in {b"_udp", b"_tcp", b"_dns-sd"}:
            found.append(label.decode())
        at += 1
    names = dict.fromkeys(name[1:] for name in found if name != "_services")
    finding.detail("mdns.services", ", ".join(names))
    return finding


PROBES: Final = (
    Probe("domain", len(_VERSION_BIND).to_bytes(2, "big") + _VERSION_BIND, _read_dns_tcp,
          (53,), (853,), everywhere=4),
)  # fmt: skip
DATAGRAM_PROBES: Final = (
    DatagramProbe("domain", _VERSION_BIND, _read_dns, (53, 5353), everywhere=1),
    DatagramProbe("mdns", probe_for(5353), _read_mdns, (5353,)),
)
