"""What speaks only by datagrams: NTP, SNMP, TFTP, SSDP, CoAP, STUN, QUIC, DTLS and others.

Sources: RFC 5905 and 9327, RFC 3411 to 3414, RFC 1350, UPnP Device Architecture, RFC 7252 and 6690,
RFC 8489, RFC 9000, RFC 6347, IPMI 2.0 and ASF 2.0, XDMCP 1.1, RFC 6886, Valve's server queries,
RakNet, WS-Discovery 1.1, memcached's protocol.txt.

Where any answer tells all there is to know the question is that of `sockets.udp_probes`, with its
usual token; those that stand here ask for more.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from sockwright.scan.services import ber
from sockwright.scan.services.finding import PROTOCOL_LIKELY, Finding
from sockwright.scan.services.hello import client_hello
from sockwright.scan.services.probe import DatagramProbe, Probe
from sockwright.scan.services.text import clean
from sockwright.sockets.udp_probes import TOKEN, is_answer, probe_for

__all__ = ["PROBES", "STREAM_PROBES"]

# RFC 9327: version 2, mode 6 (control), READVAR of association 0.
_NTP_READVAR: Final = bytes((0x16, 0x02, 0, 1)) + bytes(8)


def _read_ntp(octets: bytes) -> Finding | None:
    if not octets:
        return None
    mode, version = octets[0] & 7, octets[0] >> 3 & 7
    if mode == 4 and len(octets) >= 48 and is_answer(123, TOKEN, octets):
        finding = Finding("ntp", confidence=0.9, banner=b" ")
        finding.detail("ntp.version", str(version))
        stratum = octets[1]
        finding.detail("ntp.stratum", str(stratum))
        reference = octets[12:16]
        told = clean(reference) if stratum < 2 else ".".join(map(str, reference))
        finding.detail("ntp.reference", told)
        return finding
    # A response to READVAR (2) that returns the sequence number of the question.
    if mode == 6 and len(octets) >= 12 and octets[1] & 0xBF == 0x82 and octets[2:4] == b"\0\1":
        finding = Finding("ntp", confidence=0.9, banner=octets[12:])
        variables = octets[12:].decode("utf-8", "replace")
        for key in ("version", "system", "processor", "stratum", "refid"):
            match = re.search(rf'\b{key}="?([^",\r\n]{{1,100}})', variables)
            finding.detail(f"ntp.{key}", match[1] if match else "")
        finding.learn("ntp.version", finding.details.get("ntp.version", ""))
        system = finding.details.get("ntp.system", "")
        finding.os = system.replace("/", " ")
        return finding
    return None


# IANA's private enterprise numbers.
_ENTERPRISES: Final = {
    2: "IBM", 9: "Cisco", 11: "HP", 35: "Nortel", 42: "Sun", 43: "3Com", 63: "Apple",
    77: "Xylogics", 94: "Nokia", 99: "SNMP Research", 207: "Allied Telesis", 232: "Compaq",
    253: "Xerox", 297: "Fuji Xerox", 311: "Microsoft", 318: "APC", 343: "Intel", 367: "Ricoh",
    368: "Axis", 529: "Ascend", 641: "Lexmark", 674: "Dell", 890: "ZyXEL", 1248: "Epson",
    1347: "Kyocera", 1588: "Brocade", 1602: "Canon", 1991: "Foundry", 2001: "Oki", 2011: "Huawei",
    2021: "UCD-SNMP", 2435: "Brother", 2620: "Check Point", 2636: "Juniper", 3375: "F5",
    3717: "Lexmark", 4413: "Broadcom", 4526: "NETGEAR", 4881: "Ruijie", 5624: "Enterasys",
    6486: "Alcatel", 6527: "Nokia", 6574: "Synology", 6876: "VMware", 7779: "Infoblox",
    8072: "Net-SNMP", 8741: "SonicWALL", 10002: "Ubiquiti", 12356: "Fortinet", 14823: "Aruba",
    14988: "MikroTik", 18334: "Konica Minolta", 24681: "QNAP", 25461: "Palo Alto",
    25506: "H3C", 30065: "Arista", 41112: "Ubiquiti",
}  # fmt: skip


def _read_snmp(octets: bytes) -> Finding | None:
    message = next(ber.items(octets), None)
    if message is None or message[0] != 0x30:
        return None
    parts = list(ber.items(message[1]))
    if len(parts) < 3 or parts[0] != (2, b"\3") or parts[2][0] != 4:
        return None
    finding = Finding("snmp", confidence=0.9, extra="SNMP version 3", banner=b" ")
    security = [value for _, one in ber.items(parts[2][1]) for _, value in ber.items(one)]
    if len(security) < 3 or len(security[0]) < 5:
        return finding
    engine = security[0]
    # RFC 3411 section 5, SnmpEngineID: the enterprise, then what follows.
    number = int.from_bytes(engine[:4], "big") & 0x7FFFFFFF
    finding.detail("snmp.engine_id", engine.hex())
    finding.detail("snmp.enterprise", f"{number} {_ENTERPRISES.get(number, '')}")
    finding.detail("snmp.engine_boots", str(int.from_bytes(security[1], "big")))
    finding.detail("snmp.engine_seconds", str(int.from_bytes(security[2], "big")))
    if engine[4] == 3 and len(engine) == 11:
        finding.detail("snmp.mac", engine[5:].hex(":"))
    if number == 8072:
        finding.product_is("Net-SNMP", cpe="cpe:/a:net-snmp:net-snmp", confidence=0.9)
    elif number in _ENTERPRISES:
        finding.device = _ENTERPRISES[number]
    return finding


def _read_tftp(octets: bytes) -> Finding | None:
    if len(octets) >= 5 and octets[:2] == b"\0\5" and octets[2:3] == b"\0" and octets[3] < 9:
        finding = Finding("tftp", confidence=0.85)
        finding.detail("tftp.error", octets[4:104].partition(b"\0")[0])
        return finding.learn("tftp.error", clean(octets[4:104].partition(b"\0")[0]))
    if octets[:4] == b"\0\3\0\1" or octets[:2] == b"\0\6":
        return Finding("tftp", confidence=PROTOCOL_LIKELY)
    return None


_SSDP: Final = (
    b"M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\nMan: \"ssdp:discover\"\r\n"
    b"MX: 1\r\nST: ssdp:all\r\n\r\n"
)  # fmt: skip


def _read_ssdp(octets: bytes) -> Finding | None:
    if not octets.startswith(b"HTTP/1.1 200") or not re.search(
        rb"\n(?:ST|USN|LOCATION):", octets[:2048], re.IGNORECASE
    ):
        return None
    finding = Finding("ssdp", confidence=0.85)
    for name in (b"Server", b"Location", b"USN"):
        match = re.search(rb"\n" + name + rb": {0,4}([^\r\n]{1,200})", octets[:4096], re.IGNORECASE)
        finding.detail(f"ssdp.{name.decode().lower()}", match[1] if match else b"")
    server = finding.details.get("ssdp.server", "")
    finding.learn("ssdp.server", server)
    # UPnP Device Architecture 1.1 section 1.3.3: OS/version UPnP/1.1 product/version.
    parts = re.match(r"(.{1,60}?)[ ,]+UPnP/[\d.]{1,5}[ ,]+([^/]{1,60})/(\S{1,40})", server)
    if parts and not finding.product:
        finding.os = parts[1].replace("/", " ")
        finding.product_is(parts[2], parts[3], confidence=0.9)
    return finding


# RFC 7252: a confirmable GET of /.well-known/core.
_COAP: Final = b"\x40\x01SW" + b"\xbb.well-known" + b"\x04core"


def _read_coap(octets: bytes) -> Finding | None:
    if len(octets) < 4 or octets[0] & 0xF0 not in {0x60, 0x70, 0x40} or octets[2:4] != b"SW":
        return None
    class_, code = octets[1] >> 5, octets[1] & 31
    if class_ not in {0, 2, 4, 5}:
        return None
    finding = Finding("coap", confidence=0.8)
    finding.detail("coap.code", f"{class_}.{code:02d}")
    finding.detail("coap.resources", octets.partition(b"\xff")[2])
    return finding


def _read_stun(octets: bytes) -> Finding | None:
    if octets[:2] not in {b"\1\1", b"\1\x11"} or not is_answer(3478, TOKEN, octets):
        return None
    finding = Finding("stun", confidence=0.9, banner=b" ")
    at = 20
    while at + 4 <= len(octets):
        kind, length = struct.unpack_from("!HH", octets, at)
        value = octets[at + 4 : at + 4 + length]
        if kind == 0x8022:  # SOFTWARE
            finding.banner = value
            finding.detail("stun.software", value)
            finding.learn("stun.software", clean(value))
            if not finding.product:
                product, _, version = clean(value, 80).partition("-")
                finding.product_is(product, version.partition(" ")[0], confidence=0.9)
        at += 4 + length + (-length % 4)
    return finding


_QUIC_VERSIONS: Final = {1: "1", 0x6B3343CF: "2", 0xFF00001D: "draft 29", 0x709A50C4: "2 draft"}


def _read_quic(octets: bytes) -> Finding | None:
    if len(octets) < 7 or not octets[0] & 0x80 or octets[1:5] != bytes(4):
        return None
    at = 6 + octets[5]
    if not is_answer(443, TOKEN, octets) or at >= len(octets):
        return None
    at += 1 + octets[at]
    versions = [int.from_bytes(octets[k : k + 4], "big") for k in range(at, len(octets) - 3, 4)]
    # Those of the form 0x?a?a?a?a are there to be ignored (section 15).
    told = [_QUIC_VERSIONS.get(v, f"0x{v:08x}") for v in versions[:16] if v & 0x0F0F0F0F
            != 0x0A0A0A0A]  # fmt: skip
    finding = Finding("quic", confidence=0.9, banner=b" ")
    finding.detail("quic.versions", ", ".join(told))
    return finding


def _dtls_hello() -> bytes:
    """RFC 6347: the ClientHello of TLS 1.2, with cookie, sequence numbers and fragment."""
    body = client_hello(0x0303)[9:]
    # client_version becomes DTLS 1.2; an empty cookie follows the empty session id.
    body = b"\xfe\xfd" + body[2:35] + b"\0" + body[35:]
    length = len(body).to_bytes(3, "big")
    message = b"\1" + length + b"\0\0" + b"\0\0\0" + length + body
    return b"\x16\xfe\xff" + bytes(8) + len(message).to_bytes(2, "big") + message


def _read_dtls(octets: bytes) -> Finding | None:
    if len(octets) < 15 or octets[0] not in {21, 22} or octets[1] != 0xFE:
        return None
    if octets[2] not in {0xFF, 0xFD}:
        return None
    finding = Finding("dtls", confidence=0.85, tunnel=True, banner=b" ")
    kinds = {2: "ServerHello", 3: "HelloVerifyRequest"}
    finding.detail("dtls.answer", kinds.get(octets[13], "alert") if octets[0] == 22 else "alert")
    return finding


# IPMI 2.0 section 13 and 22.13: Get Channel Authentication Capabilities, outside any session.
_IPMI: Final = bytes.fromhex("0600ff07000000000000000000092018c88100388e04b5")


def _read_ipmi(octets: bytes) -> Finding | None:
    if octets[:1] != b"\6" or len(octets) < 4:
        return None
    if octets[3] == 6 and len(octets) >= 12 and octets[8] == 0x40:
        return Finding("asf-rmcp", confidence=0.85, extra="ASF presence pong", banner=b" ")
    if octets[3] & 0x1F != 7 or len(octets) < 24:
        return None
    finding = Finding("asf-rmcp", confidence=0.85, extra="IPMI", banner=b" ")
    if octets[19] == 0x38 and octets[20] == 0:
        finding.detail("ipmi.version", "2.0" if octets[22] & 0x80 else "1.5")
        offered = octets[22] & 0x3F
        kinds = ((0, "none"), (1, "MD2"), (2, "MD5"), (4, "password"), (5, "OEM"))
        finding.detail(
            "ipmi.authentication", ", ".join(name for bit, name in kinds if offered >> bit & 1)
        )
    return finding


def _read_xdmcp(octets: bytes) -> Finding | None:
    if len(octets) < 8 or octets[:2] != b"\0\1" or octets[2:4] not in {b"\0\5", b"\0\6"}:
        return None
    if int.from_bytes(octets[4:6], "big") != len(octets) - 6:
        return None
    finding = Finding("xdmcp", confidence=0.85, banner=b" ")
    finding.extra = "willing" if octets[3] == 5 else "unwilling"
    at = 6
    for index in range(3 if octets[3] == 5 else 2):
        length = int.from_bytes(octets[at : at + 2], "big")
        text = octets[at + 2 : at + 2 + length]
        if index == 1 - (octets[3] != 5):
            finding.hostname = clean(text)
        elif index:
            finding.detail("xdmcp.status", text)
        at += 2 + length
    return finding


def _read_nat_pmp(octets: bytes) -> Finding | None:
    if len(octets) == 12 and octets[:2] == b"\0\x80":
        finding = Finding("nat-pmp", confidence=0.85, banner=b" ")
        finding.detail("nat_pmp.external", ".".join(map(str, octets[8:12])))
        return finding
    return None


def _read_memcached(octets: bytes) -> Finding | None:
    # The header of 8 octets: our number, datagram 0 of 1.
    match = re.match(rb"VERSION ([\w.-]{1,40})\r\n", octets[8:])
    if match is None or not is_answer(11211, TOKEN, octets):
        return None
    return Finding("memcached", banner=match[0]).product_is(
        "Memcached", match[1].decode(), cpe="cpe:/a:memcached:memcached:{version}"
    )


_SOURCE: Final = b"\xff\xff\xff\xffTSource Engine Query\0"


def _read_source(octets: bytes) -> Finding | None:
    if octets[:4] != b"\xff\xff\xff\xff" or octets[4:5] not in {b"I", b"A", b"m"}:
        return None
    finding = Finding("source", confidence=0.85, extra="a game server (A2S)", banner=b" ")
    if octets[4:5] == b"I":
        for key, text in zip(("name", "map", "folder", "game"), octets[6:].split(b"\0"),
                             strict=False):  # fmt: skip
            finding.detail(f"game.{key}", text)
    return finding


_RAKNET_MAGIC: Final = bytes.fromhex("00ffff00fefefefefdfdfdfd12345678")
_RAKNET: Final = b"\1" + bytes(8) + _RAKNET_MAGIC + bytes(8)


def _read_raknet(octets: bytes) -> Finding | None:
    if octets[:1] != b"\x1c" or octets[17:33] != _RAKNET_MAGIC:
        return None
    finding = Finding("raknet", confidence=0.85, banner=octets[35:])
    words = octets[35:400].split(b";")
    if words[0] in {b"MCPE", b"MCEE"} and len(words) > 3:
        finding.name = "minecraft"
        finding.product_is("Minecraft Bedrock", clean(words[3], 40))
        finding.detail("game.name", words[1])
    return finding


_WSD: Final = (
    b'<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    b'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    b'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header>'
    b"<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>"
    b"<a:MessageID>urn:uuid:5357534b-0000-4000-8000-000000000001</a:MessageID>"
    b"<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>"
    b"<s:Body><d:Probe/></s:Body></s:Envelope>"
)


def _read_wsd(octets: bytes) -> Finding | None:
    if b"ProbeMatch" not in octets or b"Envelope" not in octets[:1024]:
        return None
    finding = Finding("ws-discovery", confidence=0.85)
    for name in (b"Types", b"XAddrs", b"Scopes"):
        match = re.search(rb"[:<]" + name + rb">([^<]{1,400})<", octets)
        finding.detail(f"wsd.{name.decode().lower()}", match[1] if match else b"")
    return finding


PROBES: Final = (
    DatagramProbe("ntp", _NTP_READVAR, _read_ntp, (123,)),
    DatagramProbe("ntp", probe_for(123), _read_ntp, (123,), everywhere=2),
    DatagramProbe("snmp", probe_for(161), _read_snmp, (161,), everywhere=3),
    DatagramProbe("tftp", probe_for(69), _read_tftp, (69,), any_port=True),
    DatagramProbe("ssdp", _SSDP, _read_ssdp, (1900,)),
    DatagramProbe("coap", _COAP, _read_coap, (5683,), everywhere=9),
    DatagramProbe("stun", probe_for(3478), _read_stun, (3478, 3479, 19302), everywhere=8),
    DatagramProbe(
        "quic", probe_for(443), _read_quic, (443, 80, 784, 853, 4433, 8443), everywhere=7
    ),
    DatagramProbe("dtls", lambda _: _dtls_hello(), _read_dtls, (443, 4433, 4740, 5349, 5684)),
    DatagramProbe("asf-rmcp", _IPMI, _read_ipmi, (623, 664)),
    DatagramProbe("xdmcp", probe_for(177), _read_xdmcp, (177,)),
    DatagramProbe("nat-pmp", probe_for(5351), _read_nat_pmp, (5351,)),
    DatagramProbe("memcached", probe_for(11211), _read_memcached, (11211,)),
    DatagramProbe("source", _SOURCE, _read_source, tuple(range(27015, 27021))),
    DatagramProbe("raknet", _RAKNET, _read_raknet, (19132, 19133)),
    DatagramProbe("ws-discovery", _WSD, _read_wsd, (3702,)),
)
# RFC 8489 section 6.2.2: the same message over TCP.
STREAM_PROBES: Final = (Probe("stun", probe_for(3478), _read_stun, (3478, 3479), (5349,)),)
