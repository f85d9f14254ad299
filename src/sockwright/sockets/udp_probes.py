"""What to say to a UDP port so that the service that usually is there answers.

A UDP service is silent unless it is asked in its own words, and a silent port cannot be told from
a filtered one. Each of these asks for nothing secret and changes nothing. Ports that are not
listed get an empty datagram: enough for the ICMP error of a closed one. What tells more of a
service than that it is there, and so is longer, is asked by `sockwright.scan.services`.

Where a protocol has a number that the answer repeats, it is taken from the asker's `token`, so
that who has not seen the question cannot forge the answer; `is_answer` looks.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TOKEN", "TOKEN_SIZE", "is_answer", "probe_for", "sip_options"]

TOKEN_SIZE = 8
"""Octets of a token."""

TOKEN = b"Swsockwr"
"""The token where nobody needs to be kept from forging."""

_MAGIC_COOKIE = 0x2112A442  # RFC 8489 section 5


def probe_for(port: int, token: bytes = TOKEN) -> bytes:
    """Return what to send to `port`; the same every time, but for the `token` (8 octets)."""
    probe = _PROBES.get(port)
    return b"" if probe is None else probe(token)


def is_answer(port: int, token: bytes, octets: bytes) -> bool:
    """Whether `octets` may answer `probe_for(port, token)`: it repeats the number in there.

    Always, where the protocol has none.
    """
    place = _REPEATED.get(port)
    if place is None:
        return True
    at, first, last = place
    return octets[at : at + last - first] == token[first:last]


# -- the questions ------------------------------------------------------------------------------


def _dns(token: bytes, name: bytes, kind: int, flags: int = 0x0100) -> bytes:
    """Return a question of class IN, RFC 1035 section 4.1."""
    return token[:2] + struct.pack(">5H", flags, 1, 0, 0, 0) + name + struct.pack(">HH", kind, 1)


def _rpc(token: bytes, program: int, version: int) -> bytes:
    """Return a call of procedure 0, which does nothing, RFC 5531 section 9."""
    return token[:4] + struct.pack(">9I", 0, 2, program, version, 0, 0, 0, 0, 0)


def _der(kind: int, *values: bytes) -> bytes:
    """Return a value of ASN.1 with its type and length (X.690; at most 127 octets)."""
    value = b"".join(values)
    return bytes([kind, len(value)]) + value


def _snmp(token: bytes) -> bytes:
    """Return the question for the engine of an agent, which takes no password, RFC 3414 section 4.

    SNMPv3: the largest answer (65507), "reportable", the user's model.
    """
    zero, nothing = _der(2, b"\0"), _der(4)
    number = _der(2, bytes([token[0] & 0x7F]), token[1:4])
    return _der(
        0x30,
        _der(2, b"\3"),
        _der(0x30, number, _der(2, b"\0\xff\xe3"), _der(4, b"\4"), _der(2, b"\3")),
        _der(4, _der(0x30, nothing, zero, zero, nothing, nothing, nothing)),
        _der(0x30, nothing, nothing, _der(0xA0, number, zero, zero, _der(0x30))),
    )


def _cldap(token: bytes) -> bytes:
    """Return a search for the root entry, which servers show to all: RFC 4511 section 4.5.1."""
    return _der(
        0x30,
        _der(2, bytes([token[0] & 0x7F]), token[1:4]),
        _der(
            0x63,
            _der(4),  # of the entry without a name, itself, aliases never followed
            _der(10, b"\0"),
            _der(10, b"\0"),
            _der(2, b"\1"),  # one entry, in one second, with values
            _der(2, b"\1"),
            _der(1, b"\0"),
            b"\x87\x0bobjectClass",  # which has the attribute objectClass
            _der(0x30, _der(4, b"supportedLDAPVersion")),
        ),
    )


def _quic(token: bytes) -> bytes:
    """Return an Initial packet of a version that no server speaks: it lists those it does.

    RFC 9000 section 6.1; section 15 keeps such versions free, section 14.1 wants 1200 octets. The
    answer has our connection ID as its destination, section 17.2.1.
    """
    head = struct.pack(">BIB8sB8sB", 0xC3, 0x1A2A3A4A, 8, b"sockwrig", 8, token, 0)
    room = 1200 - len(head) - 2
    return head + struct.pack(">H", 0x4000 | room) + bytes(room)


def _ike(token: bytes) -> bytes:
    """Return IKE_SA_INIT without a proposal: RFC 7296 section 3.1; it is refused in an answer."""
    return token + bytes(8) + struct.pack(">BBBBII", 0, 0x20, 34, 0x08, 0, 28)


def _stun(token: bytes) -> bytes:
    """Return a Binding request without attributes, RFC 8489 section 5."""
    return struct.pack(">HHI8s4s", 1, 0, _MAGIC_COOKIE, token, b"sw..")


def sip_options(token: bytes = TOKEN, called: str = "localhost") -> bytes:
    """Return OPTIONS, RFC 3261 section 11; the branch begins as section 8.1.1.7 says."""
    number = token.hex()
    return (
        f"OPTIONS sip:{called} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP localhost;branch=z9hG4bK{number};rport\r\n"
        f"From: <sip:sockwright@localhost>;tag={number}\r\n"
        f"To: <sip:{called}>\r\n"
        f"Call-ID: {number}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 1\r\n"
        "Accept: application/sdp\r\nContent-Length: 0\r\n\r\n"
    ).encode("ascii", "replace")


def _ssdp(_: bytes) -> bytes:
    """Return a search by unicast, UPnP Device Architecture 2.0 section 1.3.2."""
    return (
        b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
        b'MAN: "ssdp:discover"\r\nST: upnp:rootdevice\r\n\r\n'
    )


_PROBES: dict[int, Callable[[bytes], bytes]] = {
    53: lambda token: _dns(token, b"\0", 2),  # the name servers of the root
    # RFC 1350 section 5: a read request of a file that is not there; the error comes from another
    # port (section 4).
    69: lambda token: b"\0\1sockwright-" + token.hex().encode() + b"\0octet\0",
    111: lambda token: _rpc(token, 100000, 2),
    # RFC 5905 section 7.3: version 4, client; what is sent as the transmit timestamp comes back as
    # the origin timestamp.
    123: lambda token: bytes([4 << 3 | 3]) + bytes(39) + token,
    # RFC 1002 section 4.2.17, NODE STATUS: the name "*", each half octet as a letter.
    137: lambda token: _dns(token, b"\x20CK" + b"A" * 30 + b"\0", 0x21, flags=0),
    161: _snmp,
    177: lambda _: b"\0\1\0\2\0\1\0",  # XDMCP section 12, Query: no names of authentication
    389: _cldap,
    443: _quic,
    500: _ike,
    520: lambda _: struct.pack(">BBHHHIIII", 1, 2, 0, 0, 0, 0, 0, 0, 16),  # RFC 2453 section 3.9.1
    623: lambda _: struct.pack(">BBBBIBBBB", 6, 0, 0xFF, 6, 4542, 0x80, 0, 0, 0),  # ASF 2.0: ping
    1434: lambda _: b"\3",  # MC-SQLR section 2.2.2: CLNT_UCAST_EX
    1900: _ssdp,
    2049: lambda token: _rpc(token, 100003, 3),
    3478: _stun,
    4500: lambda token: bytes(4) + _ike(token),  # RFC 3948 section 2.2: the non-ESP marker
    5060: sip_options,
    5351: lambda _: b"\0\0",  # RFC 6886 section 3.2: which is the public address?
    # RFC 6763 section 9; it is answered by unicast, RFC 6762 section 6.7.
    5353: lambda token: _dns(token, b"\x09_services\x07_dns-sd\x04_udp\x05local\0", 12, flags=0),
    5683: lambda token: b"\x40\0" + token[:2],  # RFC 7252 section 4.3: an empty CON, "ping"
    # memcached's protocol.txt: request number, datagram 0 of 1, reserved.
    11211: lambda token: token[:2] + b"\0\0\0\1\0\0version\r\n",
}

# Port -> where in the answer which part of the token stands: offset, first octet, behind the last.
_REPEATED = {
    53: (0, 0, 2),
    111: (0, 0, 4),
    123: (24, 0, 8),
    137: (0, 0, 2),
    443: (6, 0, 8),
    500: (0, 0, 8),
    2049: (0, 0, 4),
    3478: (8, 0, 8),
    4500: (4, 0, 8),
    5353: (0, 0, 2),
    5683: (2, 0, 2),
    11211: (0, 0, 2),
}
