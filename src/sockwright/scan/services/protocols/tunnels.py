"""What carries whole networks in datagrams: IKE, OpenVPN, L2TP.

Sources: RFC 7296 and 2408, OpenVPN's protocol, RFC 2661.
"""

from __future__ import annotations

import struct
from typing import Final

from sockwright.scan.services.finding import Finding
from sockwright.scan.services.probe import DatagramProbe
from sockwright.sockets.udp_probes import TOKEN, is_answer, probe_for

__all__ = ["PROBES"]


def _read_ike(octets: bytes) -> Finding | None:
    octets = octets[4:] if octets[:4] == bytes(4) else octets  # the non-ESP marker, RFC 3948
    if len(octets) < 28 or not is_answer(500, TOKEN, octets) or octets[17] >> 4 not in {1, 2}:
        return None
    finding = Finding("isakmp", confidence=0.85, banner=b" ")
    finding.detail("ike.version", f"{octets[17] >> 4}.{octets[17] & 15}")
    return finding


# P_CONTROL_HARD_RESET_CLIENT_V2 (7) of a new session, its first packet, nothing acknowledged.
_OPENVPN: Final = bytes((7 << 3,)) + TOKEN + bytes(5)


def _read_openvpn(octets: bytes) -> Finding | None:
    # P_CONTROL_HARD_RESET_SERVER_V2 (8), which acknowledges the session of the client.
    if len(octets) >= 14 and octets[0] >> 3 == 8 and TOKEN in octets[9:40]:
        return Finding("openvpn", confidence=0.9, banner=b" ").product_is(
            "OpenVPN", confidence=0.9, cpe="cpe:/a:openvpn:openvpn"
        )
    return None


def _avp(kind: int, value: bytes) -> bytes:
    return struct.pack("!HHH", 0x8000 | 6 + len(value), 0, kind) + value


_L2TP_AVPS: Final = (
    _avp(0, b"\0\1") + _avp(2, b"\1\0") + _avp(3, bytes(4)) + _avp(7, b"sockwright")
    + _avp(9, b"\x53\x57")
)  # fmt: skip
_L2TP: Final = struct.pack("!6H", 0xC802, 12 + len(_L2TP_AVPS), 0, 0, 0, 0) + _L2TP_AVPS


def _read_l2tp(octets: bytes) -> Finding | None:
    if len(octets) < 12 or octets[0] & 0xC8 != 0xC8 or octets[1] != 2 or octets[4:6] != b"SW":
        return None
    finding = Finding("l2tp", confidence=0.85, banner=b" ")
    at = 12
    while at + 6 <= len(octets):
        length = int.from_bytes(octets[at : at + 2], "big") & 0x3FF
        kind = int.from_bytes(octets[at + 4 : at + 6], "big")
        if length < 6:
            break
        if kind in {7, 8}:
            key = "l2tp.host" if kind == 7 else "l2tp.vendor"
            finding.detail(key, octets[at + 6 : at + length])
        at += length
    return finding


PROBES: Final = (
    DatagramProbe("isakmp", probe_for(500), _read_ike, (500,)),
    DatagramProbe("isakmp", probe_for(4500), _read_ike, (4500,)),
    DatagramProbe("openvpn", _OPENVPN, _read_openvpn, (1194,), everywhere=10),
    DatagramProbe("l2tp", _L2TP, _read_l2tp, (1701,)),
)
