"""What to say to a UDP port so that the service that usually is there answers.

A UDP service is silent unless it is asked in its own words, and a silent port cannot be told from
a filtered one. Each of these asks for nothing secret, changes nothing, and is the same every time.
Ports that are not listed get an empty datagram: enough for the ICMP error of a closed one.
"""

from __future__ import annotations

import struct

__all__ = ["probe_for"]

_ID = 0x5377  # where a request has a number; the answer repeats it


def probe_for(port: int) -> bytes:
    """Return what to send to `port`."""
    # TFTP is not here: its answer comes from another port (RFC 1350 section 4).
    match port:
        case 53:
            return _dns(b"\0", 2)  # the name servers of the root
        case 111:
            return _rpc(100000, 2)
        case 123:
            return bytes([4 << 3 | 3]) + bytes(47)  # RFC 5905 section 7.3: version 4, client
        case 137:
            # RFC 1002 section 4.2.17, NODE STATUS: the name "*", each half octet as a letter.
            return _dns(b"\x20CK" + b"A" * 30 + b"\0", 0x21, flags=0)
        case 161:
            return _snmp()
        case 443:
            return _quic()
        case 2049:
            return _rpc(100003, 3)
        case 3478:
            # RFC 8489 section 5: Binding request, no attributes, magic cookie, transaction.
            return struct.pack(">HHI12s", 1, 0, 0x2112A442, b"sockwright..")
        case 5353:
            # RFC 6763 section 9; it is answered by unicast, RFC 6762 section 6.7.
            return _dns(b"\x09_services\x07_dns-sd\x04_udp\x05local\0", 12)
        case 5683:
            return struct.pack(">BBH", 0x40, 0, _ID)  # RFC 7252 section 4.3: an empty CON, "ping"
    return b""


def _dns(name: bytes, kind: int, flags: int = 0x0100) -> bytes:
    """Return a question of class IN, RFC 1035 section 4.1."""
    return struct.pack(">6H", _ID, flags, 1, 0, 0, 0) + name + struct.pack(">HH", kind, 1)


def _rpc(program: int, version: int) -> bytes:
    """Return a call of procedure 0, which does nothing, RFC 5531 section 9."""
    return struct.pack(">10I", _ID, 0, 2, program, version, 0, 0, 0, 0, 0)


def _snmp() -> bytes:
    """Return the question for the engine of an agent, which takes no password, RFC 3414 section 4.

    Each part is an ASN.1 type, a length and a value.
    """

    def part(kind: int, *values: bytes) -> bytes:
        value = b"".join(values)
        return bytes([kind, len(value)]) + value

    zero, nothing = part(2, b"\0"), part(4)
    number = part(2, struct.pack(">I", _ID))
    return part(
        0x30,
        part(2, b"\3"),  # SNMPv3: the largest answer (65507), "reportable", the user's model
        part(0x30, number, part(2, b"\0\xff\xe3"), part(4, b"\4"), part(2, b"\3")),
        part(4, part(0x30, nothing, zero, zero, nothing, nothing, nothing)),
        part(0x30, nothing, nothing, part(0xA0, number, zero, zero, part(0x30))),
    )


def _quic() -> bytes:
    """Return an Initial packet of a version that no server speaks: it lists those it does.

    RFC 9000 section 6.1; section 15 keeps such versions free, section 14.1 wants 1200 octets.
    """
    head = struct.pack(">BIB8sB8sB", 0xC3, 0x1A2A3A4A, 8, b"sockwrig", 8, b"ht probe", 0)
    room = 1200 - len(head) - 2
    return head + struct.pack(">H", 0x4000 | room) + bytes(room)
