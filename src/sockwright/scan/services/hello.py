"""The first two messages of TLS, made and read by hand.

OpenSSL does not offer what it thinks unsafe, and a scan wants to know whether a server takes it. So
a ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2) of one version is sent; a
ServerHello of that version is a yes. Nothing of it is secret: the numbers are of `os.urandom`, and
the key share is a point of X25519 whose private key nobody has.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

__all__ = ["ALERTS", "VERSIONS", "ServerAnswer", "client_hello", "read_server_hello"]

VERSIONS: Final = {
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    0x0303: "TLS 1.2",
    0x0304: "TLS 1.3",
}
# IANA's TLS cipher suites: those of TLS 1.3, and what servers of the last 25 years take.
_SUITES_13: Final = (0x1301, 0x1302, 0x1303)
_SUITES: Final = (
    0xC02F, 0xC030, 0xC02B, 0xC02C, 0xCCA8, 0xCCA9, 0xC013, 0xC014, 0xC009, 0xC00A, 0xC027, 0xC028,
    0x009C, 0x009D, 0x009E, 0x009F, 0x002F, 0x0035, 0x0033, 0x0039, 0x003C, 0x003D, 0x000A, 0x0016,
    0xC012, 0x0005, 0x0004, 0xC011,
)  # fmt: skip
_GROUPS: Final = (0x001D, 0x0017, 0x0018, 0x0019)  # X25519, P-256, P-384, P-521
_SIGNATURES: Final = (
    0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0807, 0x0201, 0x0203,
)  # fmt: skip
ALERTS: Final = {
    0: "close notify", 10: "unexpected message", 40: "handshake failure", 42: "bad certificate",
    46: "certificate unknown", 47: "illegal parameter", 50: "decode error",
    70: "protocol version", 71: "insufficient security", 80: "internal error",
    86: "inappropriate fallback", 109: "missing extension", 112: "unrecognized name",
    116: "certificate required", 120: "no application protocol",
}  # fmt: skip


class ServerAnswer(NamedTuple):
    """What came back: the version and cipher suite chosen (0: none), or the alert (-1: none)."""

    version: int
    suite: int
    alert: int = -1


def client_hello(version: int, name: str = "") -> bytes:
    """Make the record of a ClientHello that offers this version and no other."""
    suites = _SUITES_13 if version == 0x0304 else _SUITES
    legacy = min(version, 0x0303)
    extensions = b""
    if version > 0x0300:
        if host := _ascii(name):
            entry = b"\0" + len(host).to_bytes(2, "big") + host
            extensions += _extension(0, _counted(entry))  # server_name, RFC 6066
        extensions += _extension(10, _counted(_words(_GROUPS)))
        extensions += _extension(11, b"\1\0")  # ec_point_formats: uncompressed
        extensions += _extension(0xFF01, b"\0")  # renegotiation_info, RFC 5746
    if version >= 0x0303:
        extensions += _extension(13, _counted(_words(_SIGNATURES)))
    if version == 0x0304:
        extensions += _extension(43, b"\2" + version.to_bytes(2, "big"))
        share = (0x001D).to_bytes(2, "big") + _counted(os.urandom(32))
        extensions += _extension(51, _counted(share))
    body = (
        legacy.to_bytes(2, "big")
        + os.urandom(32)
        + (b"\x20" + os.urandom(32) if version == 0x0304 else b"\0")
        + _counted(_words(suites))
        + b"\1\0"  # no compression
        + (_counted(extensions) if extensions else b"")
    )
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16" + min(version, 0x0301).to_bytes(2, "big") + _counted(message)


def read_server_hello(octets: bytes) -> ServerAnswer | None:
    """Read the first record; None where it is not TLS."""
    if len(octets) < 7 or octets[0] not in {21, 22} or octets[1] != 3 or octets[2] > 4:
        return None
    if octets[0] == 21:
        return ServerAnswer(0, 0, octets[6]) if octets[3:5] == b"\0\2" else None
    body = octets[9:]
    if octets[5] != 2 or len(body) < 38:
        return None
    version = int.from_bytes(body[:2], "big")
    at = 35 + body[34]
    suite = int.from_bytes(body[at : at + 2], "big")
    at += 3
    extensions = body[at + 2 : at + 2 + int.from_bytes(body[at : at + 2], "big")]
    while len(extensions) >= 4:
        length = int.from_bytes(extensions[2:4], "big")
        if extensions[:2] == b"\0\x2b":  # supported_versions
            version = int.from_bytes(extensions[4:6], "big")
        extensions = extensions[4 + length :]
    return ServerAnswer(version, suite)


def _ascii(name: str) -> bytes:
    try:
        return name.encode("ascii" if name.isascii() else "idna")[:255]
    except UnicodeError:
        return b""  # no name that TLS could carry


def _words(numbers: tuple[int, ...]) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def _counted(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets


def _extension(number: int, octets: bytes) -> bytes:
    return number.to_bytes(2, "big") + _counted(octets)
