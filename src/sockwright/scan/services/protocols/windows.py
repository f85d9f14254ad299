"""What Windows hosts speak, and others with them: SMB, NetBIOS, MSRPC, RDP, LDAP, Kerberos.

Sources: [MS-SMB2], [MS-RPCE], C706, RFC 1002, [MS-RDPBCGR], RFC 4511, [MS-ADTS], RFC 4120.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from sockwright.scan.services import ber
from sockwright.scan.services.finding import PROTOCOL_KNOWN, PROTOCOL_LIKELY, Finding
from sockwright.scan.services.probe import DatagramProbe, Probe
from sockwright.scan.services.text import clean
from sockwright.sockets.udp_probes import TOKEN, is_answer, probe_for

if TYPE_CHECKING:
    from sockwright.scan.services.probe import Visit
    from sockwright.scan.services.stream import Stream
    from sockwright.scan.services.waiting import Steps

__all__ = ["DATAGRAM_PROBES", "PROBES"]

_DIALECTS: Final = {
    0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1",
}  # fmt: skip


def _smb_negotiate() -> bytes:
    """[MS-SMB2] 2.2.3: NEGOTIATE, with the contexts that 3.1.1 wants."""
    header = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + bytes(16)
    dialects = struct.pack("<5H", *_DIALECTS)
    fixed = struct.pack("<HHHHI", 36, len(_DIALECTS), 1, 0, 0x7F) + b"sockwright\0\0\0\0\0\0"
    padding = bytes(-(64 + 36 + len(dialects)) % 8)
    offset = 64 + 36 + len(dialects) + len(padding)
    # SHA-512 for the integrity of this very exchange, AES-128-GCM and -CCM.
    integrity = struct.pack("<HHI", 1, 38, 0) + struct.pack("<HHH", 1, 32, 1) + bytes(32)
    encryption = struct.pack("<HHI", 2, 6, 0) + struct.pack("<3H", 2, 2, 1)
    contexts = integrity + bytes(-len(integrity) % 8) + encryption
    body = fixed + struct.pack("<IHH", offset, 2, 0) + dialects + padding + contexts
    packet = header + body
    return struct.pack("!I", len(packet)) + packet


def _read_smb(octets: bytes) -> Finding | None:
    if octets[4:8] == b"\xffSMB":
        return Finding("smb", extra="SMB 1 only", confidence=PROTOCOL_KNOWN)
    if octets[4:8] != b"\xfeSMB" or len(octets) < 4 + 64 + 64:
        return None
    finding = Finding("smb", confidence=PROTOCOL_KNOWN)
    status = int.from_bytes(octets[12:16], "little")
    if status:
        finding.detail("smb.status", f"0x{status:08x}")
        return finding
    body = octets[68:]
    _, security, dialect = struct.unpack_from("<HHH", body)
    finding.detail("smb.dialect", _DIALECTS.get(dialect, f"0x{dialect:04x}"))
    finding.detail("smb.signing", "required" if security & 2 else "not required")
    finding.detail("smb.server_guid", body[8:24].hex())
    times = struct.unpack_from("<QQ", body, 40)
    for key, ticks in zip(("smb.time", "smb.boot_time"), times, strict=True):
        if 0 < ticks < 1 << 60:
            from datetime import UTC, datetime, timedelta

            # FILETIME: 100 ns since 1601, [MS-DTYP] 2.3.3.
            when = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
            finding.detail(key, when.isoformat(timespec="seconds"))
    finding.follow = _ntlm
    return finding


def _ntlm(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    """Begin a session, which nobody finishes: the challenge names the host and its system."""
    flags = 0x62088207  # [MS-NLMP] 2.2.2.5: Unicode, OEM, target, NTLM, extended, version, 56, 128
    negotiate = b"NTLMSSP\0" + struct.pack("<II", 1, flags) + bytes(16)
    mech = ber.tlv(0x06, bytes.fromhex("2b06010401823702020a"))  # NTLMSSP, 1.3.6.1.4.1.311.2.2.10
    token = ber.sequence(
        ber.tlv(0xA0, ber.sequence(mech)), ber.tlv(0xA2, ber.octet_string(negotiate))
    )
    spnego = ber.tlv(0x60, ber.tlv(0x06, bytes.fromhex("2b0601050502")) + ber.tlv(0xA0, token))
    header = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0) + bytes(16)
    body = struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, 88, len(spnego), 0) + spnego
    packet = header + body
    answer = yield from stream.ask(struct.pack("!I", len(packet)) + packet, visit.patience)
    at = answer.find(b"NTLMSSP\0\x02\0\0\0")
    if at >= 0:
        _ntlm_challenge(finding, answer[at : at + 4096])


def _ntlm_challenge(finding: Finding, octets: bytes) -> None:
    """[MS-NLMP] 2.2.1.2: target information and version."""
    length, _, offset = struct.unpack_from("<HHI", octets, 40)
    info = octets[offset : offset + length]
    names = {1: "ntlm.netbios_name", 2: "ntlm.netbios_domain", 3: "ntlm.dns_name",
             4: "ntlm.dns_domain", 5: "ntlm.dns_forest"}  # fmt: skip
    while len(info) >= 4:
        kind, size = struct.unpack_from("<HH", info)
        value = info[4 : 4 + size].decode("utf-16-le", "replace")
        if kind == 0:
            break
        if kind in names:
            finding.detail(names[kind], value)
        if kind == 3 or (kind == 1 and not finding.hostname):
            finding.hostname = value
        info = info[4 + size :]
    if len(octets) >= 56:
        major, minor, build = struct.unpack_from("<BBH", octets, 48)
        finding.detail("ntlm.version", f"{major}.{minor}.{build}")
        if build == 0 and (major, minor) == (6, 1):
            finding.product_is("Samba smbd", confidence=0.85, cpe="cpe:/a:samba:samba")
        elif major in {5, 6, 10} and build >= 2000:
            finding.os = f"Windows {major}.{minor} build {build}"
            finding.add_cpe("cpe:/o:microsoft:windows")
            finding.product_is("Windows SMB", confidence=0.85)


# RFC 1002 section 4.3.2: SESSION REQUEST to *SMBSERVER, from SOCKWRIGHT, in the half-octet form.
def _netbios_name(name: str, kind: int) -> bytes:
    octets = name.encode().ljust(15)[:15] + bytes((kind,))
    return b"\x20" + bytes(65 + half for one in octets for half in (one >> 4, one & 15)) + b"\0"


_SESSION_BODY: Final = _netbios_name("*SMBSERVER", 0x20) + _netbios_name("SOCKWRIGHT", 0)
_SESSION: Final = b"\x81\0" + len(_SESSION_BODY).to_bytes(2, "big") + _SESSION_BODY


def _read_netbios_session(octets: bytes) -> Finding | None:
    if octets == b"\x82\0\0\0":
        return Finding("netbios-ssn", follow=_smb_in_session)
    if len(octets) == 5 and octets[:4] == b"\x83\0\0\x01" and octets[4] in {
        0x80, 0x81, 0x82, 0x83, 0x8F,
    }:  # fmt: skip
        return Finding("netbios-ssn", extra="refuses the session")
    return None


def _smb_in_session(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    answer = yield from stream.ask(_smb_negotiate(), visit.patience)
    inner = _read_smb(answer)
    if inner is not None:
        finding.details.update(inner.details)
        finding.follow = inner.follow


# C706 section 12.6.4.3: bind to the endpoint mapper, e1af8308-5d1f-11c9-91a4-08002b14a0fa 3.0, NDR.
_RPC_BIND: Final = bytes.fromhex(
    "05000b0310000000480000000100000010b810b800000000" "0100000000000100"
    "0883afe11f5dc91191a408002b14a0fa03000000" "045d888aeb1cc9119fe808002b10486002000000"
)  # fmt: skip


def _read_msrpc(octets: bytes) -> Finding | None:
    # bind_ack (12), bind_nak (13), fault (3) of version 5, little endian, as asked.
    if octets[:2] != b"\5\0" or len(octets) < 16 or octets[2] not in {3, 12, 13}:
        return None
    if octets[4:8] != b"\x10\0\0\0":
        return None
    return Finding("msrpc", extra="DCE/RPC endpoint mapper" if octets[2] == 12 else "DCE/RPC")


# X.224 Connection Request with RDP_NEG_REQ for TLS and CredSSP, [MS-RDPBCGR] 2.2.1.1.
_RDP_REQUEST: Final = bytes.fromhex("030000130ee000000000000100080003000000")
_RDP_PROTOCOLS: Final = {0: "standard RDP security", 1: "TLS", 2: "CredSSP", 8: "CredSSP early"}
_RDP_FAILURES: Final = {
    1: "TLS required", 2: "TLS not allowed", 3: "no certificate on the server",
    4: "inconsistent flags", 5: "CredSSP required", 6: "TLS with user authentication required",
}  # fmt: skip


def _read_rdp(octets: bytes) -> Finding | None:
    if len(octets) < 11 or octets[:2] != b"\3\0" or octets[5] != 0xD0:
        return None
    finding = Finding("ms-wbt-server", confidence=PROTOCOL_LIKELY)
    if len(octets) >= 19:
        value = int.from_bytes(octets[15:19], "little")
        if octets[11] == 2:
            finding.detail("rdp.security", _RDP_PROTOCOLS.get(value, str(value)))
            finding.confidence = 0.85
            finding.detail("rdp.flags", f"0x{octets[12]:02x}")
            if value:
                finding.follow = _rdp_tls
        elif octets[11] == 3:
            finding.detail("rdp.refusal", _RDP_FAILURES.get(value, str(value)))
            finding.confidence = 0.85
    return finding


def _rdp_tls(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    from sockwright.scan.services.protocols.tls import upgrade

    yield from upgrade(visit, stream, finding)
    # Windows that speaks TLS 1.3 offers more than EXTENDED_CLIENT_DATA_SUPPORTED, 2.2.1.2.1.
    if finding.details["rdp.flags"] == "0x01" and finding.details.get("tls.version") == "TLSv1.3":
        finding.product_is("xrdp", cpe="cpe:/a:neutrinolabs:xrdp", confidence=0.85)


def _ldap_search() -> bytes:
    """RFC 4511 section 4.5.1: the attributes of the root DSE, (objectClass=*), nobody bound."""
    attributes = (
        b"vendorName", b"vendorVersion", b"supportedLDAPVersion", b"namingContexts",
        b"dnsHostName", b"serverName", b"defaultNamingContext", b"domainControllerFunctionality",
        b"isGlobalCatalogReady", b"supportedExtension", b"objectClass", b"monitorContext",
        b"rootDomainNamingContext",
    )  # fmt: skip
    search = (
        ber.octet_string(b"")
        + ber.tlv(0x0A, b"\0")
        + ber.tlv(0x0A, b"\0")
        + ber.integer(1)
        + ber.integer(5)
        + ber.tlv(0x01, b"\0")
        + ber.tlv(0x87, b"objectClass")
        + ber.sequence(*map(ber.octet_string, attributes))
    )
    return ber.sequence(ber.integer(7), ber.tlv(0x63, search))


_DC_LEVELS: Final = {
    b"0": "2000", b"2": "2003", b"3": "2008", b"4": "2008 R2", b"5": "2012", b"6": "2012 R2",
    b"7": "2016 or later", b"10": "2025",
}  # fmt: skip
_START_TLS: Final = b"1.3.6.1.4.1.1466.20037"


def _read_ldap(octets: bytes) -> Finding | None:
    message = next(ber.items(octets), None)
    if message is None or message[0] != 0x30:
        return None
    parts = list(ber.items(message[1]))
    if len(parts) < 2 or parts[0] not in {(2, b"\7"), (2, b"\0")}:
        return None
    if parts[1][0] not in {0x64, 0x65, 0x78, 0x61}:
        return None
    finding = Finding("ldap", confidence=0.85)
    if parts[1][0] == 0x64:
        for key, values in _ldap_attributes(parts[1][1]):
            _ldap_fact(finding, key, values)
    else:
        result = list(ber.items(parts[1][1]))
        finding.detail("ldap.result", str(int.from_bytes(result[0][1], "big")) if result else "")
        finding.detail("ldap.message", result[2][1] if len(result) > 2 else b"")
    return finding


def _ldap_attributes(entry: bytes) -> list[tuple[str, list[bytes]]]:
    found = []
    parts = list(ber.items(entry))
    for _, attribute in ber.items(parts[1][1] if len(parts) > 1 else b""):
        inside = list(ber.items(attribute))
        if len(inside) == 2:
            values = [value for _, value in ber.items(inside[1][1])]
            found.append((inside[0][1].decode("ascii", "replace"), values))
    return found


def _ldap_fact(finding: Finding, key: str, values: list[bytes]) -> None:
    if not values:
        return
    if key == "supportedExtension":
        if _START_TLS in values:
            finding.detail("starttls", "yes")
        return
    if key in {"vendorName", "vendorVersion"}:
        finding.learn("ldap." + key, values[0])
    if key == "dnsHostName":
        finding.hostname = clean(values[0], 255)
    if key == "objectClass":
        if b"OpenLDAProotDSE" in values:
            finding.product_is("OpenLDAP", cpe="cpe:/a:openldap:openldap", confidence=0.9)
        return
    if key == "domainControllerFunctionality":
        release = _DC_LEVELS.get(values[0], "")
        finding.product_is("Active Directory LDAP", cpe="cpe:/o:microsoft:windows")
        finding.os = f"Windows Server {release}".strip()
    finding.detail(f"ldap.{key}", b", ".join(values))


def _read_cldap(octets: bytes) -> Finding | None:
    return _read_ldap(octets)


def _kerberos_request() -> bytes:
    """RFC 4120 section 5.4.1: an AS-REQ that no realm can grant; the error tells the realm."""
    general = bytes((0x1B,))
    realm = ber.tlv(general[0], b"INVALID")

    def name(kind: int, *parts: bytes) -> bytes:
        strings = ber.sequence(*(ber.tlv(0x1B, part) for part in parts))
        return ber.sequence(ber.tlv(0xA0, ber.integer(kind)), ber.tlv(0xA1, strings))

    body = ber.sequence(
        ber.tlv(0xA0, ber.tlv(0x03, bytes(5))),
        ber.tlv(0xA1, name(1, b"sockwright")),
        ber.tlv(0xA2, realm),
        ber.tlv(0xA3, name(2, b"krbtgt", b"INVALID")),
        ber.tlv(0xA5, ber.tlv(0x18, b"20370101000000Z")),
        ber.tlv(0xA7, ber.integer(0x5A5A5A5A)),
        ber.tlv(0xA8, ber.sequence(ber.integer(18), ber.integer(17), ber.integer(23))),
    )
    request = ber.sequence(
        ber.tlv(0xA1, ber.integer(5)), ber.tlv(0xA2, ber.integer(10)), ber.tlv(0xA4, body)
    )
    return ber.tlv(0x6A, request)


def _read_kerberos(octets: bytes) -> Finding | None:
    item = next(ber.items(octets), None)
    if item is None or item[0] != 0x7E:
        return None
    finding = Finding("kerberos")
    for _, sequence in ber.items(item[1]):
        for tag, contents in ber.items(sequence):
            value = next(ber.items(contents), (0, b""))[1]
            if tag == 0xA9:
                finding.detail("kerberos.realm", value)
            elif tag == 0xA4:
                finding.detail("kerberos.time", value)
            elif tag == 0xA6:
                finding.detail("kerberos.error", str(int.from_bytes(value, "big")))
            elif tag == 0xAB:
                finding.detail("kerberos.text", value)
                finding.learn("kerberos.text", clean(value))
    return finding


def _read_kerberos_tcp(octets: bytes) -> Finding | None:
    return _read_kerberos(octets[4:]) if octets[:2] == b"\0\0" else None


_AS_REQ: Final = _kerberos_request()


def _read_node_status(octets: bytes) -> Finding | None:
    if len(octets) < 57 or not is_answer(137, TOKEN, octets) or octets[2] & 0x80 == 0:
        return None
    if octets[46:48] != b"\0\x21":
        return None
    finding = Finding("netbios-ns", confidence=0.85)
    count = octets[56]
    names = []
    for index in range(min(count, 24)):
        entry = octets[57 + 18 * index : 75 + 18 * index]
        if len(entry) < 18:
            break
        name, kind, group = clean(entry[:15], 40), entry[15], entry[16] & 0x80
        names.append(f"{name}<{kind:02x}>")
        if kind == 0 and not group and not finding.hostname:
            finding.hostname = name
        elif kind == 0 and group:
            finding.detail("netbios.group", name)
    finding.detail("netbios.names", ", ".join(names))
    address = octets[57 + 18 * count : 63 + 18 * count]
    if len(address) == 6 and any(address):
        finding.detail("netbios.mac", address.hex(":"))
    return finding


def _read_sql_browser(octets: bytes) -> Finding | None:
    """[MC-SQLR] 2.2.5: SVR_RESP."""
    if octets[:1] != b"\5" or int.from_bytes(octets[1:3], "little") != len(octets) - 3:
        return None
    finding = Finding("ms-sql-m", confidence=0.85)
    facts = octets[3:].decode("utf-8", "replace")
    finding.detail("sql.instances", facts)
    match = re.search(r"ServerName;([^;]{1,64});", facts)
    finding.hostname = match[1] if match else ""
    match = re.search(r"Version;([\d.]{1,30});", facts)
    return finding.product_is("Microsoft SQL Server", match[1]) if match else finding


PROBES: Final = (
    Probe("smb", _smb_negotiate(), _read_smb, (445,), everywhere=8),
    Probe("netbios-ssn", _SESSION, _read_netbios_session, (139,)),
    Probe("msrpc", _RPC_BIND, _read_msrpc, (135, 593, 1025, 1026, 1027, 1028, 49152, 49153, 49154,
                                            49155, 49156, 49157), everywhere=12),
    Probe("ms-wbt-server", _RDP_REQUEST, _read_rdp, (3389, 3388), everywhere=7),
    Probe("ldap", _ldap_search(), _read_ldap, (389, 3268), (636, 3269), everywhere=9),
    Probe("kerberos", len(_AS_REQ).to_bytes(4, "big") + _AS_REQ, _read_kerberos_tcp, (88,)),
)  # fmt: skip
DATAGRAM_PROBES: Final = (
    DatagramProbe("netbios-ns", probe_for(137), _read_node_status, (137,), everywhere=6),
    DatagramProbe("ldap", _ldap_search(), _read_cldap, (389,)),
    DatagramProbe("kerberos", _AS_REQ, _read_kerberos, (88,)),
    DatagramProbe("ms-sql-m", b"\x02", _read_sql_browser, (1434,)),
)
