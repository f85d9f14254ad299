"""Consoles, screens, files: telnet, VNC, X11, rsync, git, Subversion, RPC, epmd, JDWP, SOCKS.

Sources: RFC 854, RFC 6143, the X11 protocol (X.Org), rsync's csprotocol.txt, gitprotocol-pack(5),
Subversion's ra_svn protocol, RFC 5531 and 1833, Erlang's distribution protocol, the specifications
of JDWP and AJP 1.3, RFC 1928.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from sockwright.scan.services.finding import PROTOCOL_LIKELY, Finding
from sockwright.scan.services.probe import DatagramProbe, Greeting, Probe
from sockwright.scan.services.text import clean
from sockwright.sockets.udp_probes import TOKEN, is_answer, probe_for

if TYPE_CHECKING:
    from sockwright.scan.services.probe import Visit
    from sockwright.scan.services.stream import Stream
    from sockwright.scan.services.waiting import Steps

__all__ = ["DATAGRAM_PROBES", "GREETINGS", "PROBES"]

_IAC, _SB, _SE, _WILL, _WONT, _DO, _DONT = 255, 250, 240, 251, 252, 253, 254
_TELNET_OPTIONS: Final = {
    0: "binary", 1: "echo", 3: "suppress go ahead", 5: "status", 6: "timing mark",
    24: "terminal type", 25: "end of record", 31: "window size", 32: "terminal speed",
    33: "flow control", 34: "line mode", 35: "X display", 36: "environment",
    37: "authentication", 38: "encryption", 39: "new environment",
}  # fmt: skip


def _read_telnet(octets: bytes) -> Finding | None:
    if len(octets) < 3 or octets[0] != _IAC or octets[1] not in {_WILL, _WONT, _DO, _DONT, _SB}:
        return None
    if octets[1] != _SB and octets[2] > 60 and octets[2] not in {70, 85, 86, 201, 255}:
        return None
    finding = Finding("telnet", follow=_telnet)
    wanted, text = _telnet_split(octets)
    finding.detail("telnet.options", ", ".join(wanted))
    _telnet_text(finding, text)
    return finding


def _read_login(octets: bytes) -> Finding | None:
    """Read the prompt of a telnet server that offers no options, or of a console behind a port."""
    last = octets[-200:].rpartition(b"\n")[2]
    if len(octets) > 2000 or not re.match(rb"[\w ().-]{0,60}(?:login|username|password): ?$", last,
                                          re.IGNORECASE):  # fmt: skip
        return None
    finding = Finding("telnet", confidence=PROTOCOL_LIKELY)
    _telnet_text(finding, octets)
    return finding


def _telnet_split(octets: bytes) -> tuple[list[str], bytes]:
    wanted: dict[str, None] = {}
    text = bytearray()
    at = 0
    while at < len(octets):
        if octets[at] != _IAC:
            text.append(octets[at])
            at += 1
        elif at + 2 < len(octets) and octets[at + 1] in {_WILL, _WONT, _DO, _DONT}:
            verb = "do" if octets[at + 1] == _DO else "will"
            if octets[at + 1] in {_DO, _WILL}:
                name = _TELNET_OPTIONS.get(octets[at + 2], str(octets[at + 2]))
                wanted[f"{verb} {name}"] = None
            at += 3
        elif octets[at + 1 : at + 2] == bytes((_SB,)):
            end = octets.find(bytes((_IAC, _SE)), at)
            at = end + 2 if end >= 0 else len(octets)
        else:
            at += 2
    return list(wanted)[:24], bytes(text)


def _telnet(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    """Refuse every option, once: then most servers say who they are."""
    refusals = b"".join(
        bytes((_IAC, _WONT if banner[0] == _DO else _DONT, banner[1]))
        for banner in re.findall(rb"\xff([\xfb\xfd])(.)", finding.banner[:512], re.DOTALL)
        for banner in (banner[0] + banner[1],)
    )
    answer = yield from stream.ask(refusals, visit.patience, settle=0.3)
    _telnet_text(finding, _telnet_split(answer)[1])


def _telnet_text(finding: Finding, text: bytes) -> None:
    text = b" ".join(text.split())
    if text:
        finding.detail("telnet.text", text, 200)
        finding.banner = text
        finding.learn("telnet.text", clean(text))


def _read_vnc(octets: bytes) -> Finding | None:
    match = re.match(rb"RFB (\d{3})\.(\d{3})\n", octets)
    if match is None:
        return None
    finding = Finding("vnc", banner=match[0], follow=_vnc)
    version = f"{int(match[1])}.{int(match[2])}"
    finding.detail("vnc.protocol", version)
    return finding.learn("vnc.protocol", version)


_VNC_SECURITY: Final = {
    0: "invalid", 1: "none", 2: "VNC password", 5: "RA2", 6: "RA2ne", 16: "Tight", 17: "Ultra",
    18: "TLS", 19: "VeNCrypt", 20: "SASL", 21: "MD5", 22: "xvp", 30: "Apple",
}  # fmt: skip


def _vnc(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    known = finding.details["vnc.protocol"] in {"3.3", "3.7", "3.8"}
    version = finding.banner if known else b"RFB 003.008\n"
    answer = yield from stream.ask(version, visit.patience)
    if version == b"RFB 003.003\n":
        kinds = [int.from_bytes(answer[:4], "big")] if len(answer) >= 4 else []
    else:
        kinds = list(answer[1 : 1 + answer[0]]) if answer else []
    names = [_VNC_SECURITY.get(kind, str(kind)) for kind in kinds[:16]]
    finding.detail("vnc.security", ", ".join(names))


def _read_x11(octets: bytes) -> Finding | None:
    # Failed (0) or success (1), protocol 11.0, in the order that was asked for (little endian).
    if len(octets) < 8 or octets[0] > 2 or octets[2:6] != b"\x0b\0\0\0":
        return None
    if octets[0] == 1 and len(octets) >= 40:
        length = int.from_bytes(octets[24:26], "little")
        release = int.from_bytes(octets[8:12], "little")
        vendor = clean(octets[40 : 40 + length], 100)
        finding = Finding("x11", confidence=0.85, extra="open to anybody")
        finding.detail("x11.vendor", vendor)
        if "X.Org" in vendor:
            # 10 000 000 * major + 100 000 * minor + 1 000 * patch, by xorg-server's configure.
            parts = (release // 10_000_000, release // 100_000 % 100, release // 1000 % 100)
            finding.product_is("X.Org X server", ".".join(map(str, parts)))
        return finding
    finding = Finding("x11", confidence=0.85, extra="access denied")
    finding.detail("x11.reason", octets[8 : 8 + octets[1]])
    return finding


def _read_rsync(octets: bytes) -> Finding | None:
    match = re.match(rb"@RSYNCD: (\d{1,3}\.\d{1,3})([^\r\n]{0,100})", octets)
    if match is None:
        return None
    finding = Finding("rsync", banner=match[0])
    finding.detail("rsync.protocol", match[1])
    finding.detail("rsync.digests", match[2])
    return finding.product_is("rsync", confidence=0.85, cpe="cpe:/a:samba:rsync")


def _read_git(octets: bytes) -> Finding | None:
    if re.match(rb"[0-9a-f]{4}(?:ERR |version |[0-9a-f]{40} )", octets):
        finding = Finding("git", extra="Git daemon")
        finding.detail("git.answer", octets[4:])
        return finding
    return None


def _read_svn(octets: bytes) -> Finding | None:
    match = re.match(rb"\( success \( (\d) (\d) \( ([^)]{0,100})\) \( ([^)]{0,300})\)", octets)
    if match is None:
        return None
    finding = Finding("svn").product_is("Subversion", cpe="cpe:/a:apache:subversion")
    finding.detail("svn.authentication", match[3].strip())
    finding.detail("svn.capabilities", match[4].strip())
    return finding


# RFC 5531: a call of program 100000 (rpcbind), version 2, procedure 4 (dump), nobody's credentials.
_RPC_DUMP: Final = TOKEN[:4] + struct.pack("!9I", 0, 2, 100000, 2, 4, 0, 0, 0, 0)
_RPC_PROGRAMS: Final = {
    100000: "rpcbind", 100003: "nfs", 100004: "ypserv", 100005: "mountd", 100011: "rquotad",
    100021: "nlockmgr", 100024: "status", 100227: "nfs_acl", 100007: "ypbind", 391002: "sgi_fam",
}  # fmt: skip


def _read_rpc(octets: bytes) -> Finding | None:
    if not is_answer(111, TOKEN, octets) or octets[4:8] != b"\0\0\0\1" or len(octets) < 12:
        return None
    finding = Finding("rpcbind", confidence=0.85)
    if octets[8:12] != b"\0\0\0\0":
        finding.extra = "refuses the call"
        return finding
    if len(octets) < 24:
        return None
    status = int.from_bytes(octets[20:24], "big")
    if status:
        # Program unavailable, or in other versions: ONC RPC it is.
        finding.name = "rpc"
        finding.detail("rpc.accept_status", str(status))
        if status == 2 and len(octets) >= 32:
            low, high = struct.unpack_from("!II", octets, 24)
            finding.detail("rpc.versions", f"{low}-{high}")
        return finding
    programs: dict[str, set[int]] = {}
    at = 24
    while octets[at : at + 4] == b"\0\0\0\1" and at + 20 <= len(octets) and len(programs) < 40:
        program, version, _, port = struct.unpack_from("!4I", octets, at + 4)
        name = f"{_RPC_PROGRAMS.get(program, program)} on {port}"
        programs.setdefault(name, set()).add(version)
        at += 20
    listed = (f"{name} v{','.join(map(str, sorted(v)))}" for name, v in programs.items())
    finding.detail("rpc.programs", "; ".join(listed))
    if not programs:
        finding.name = "rpc"
    return finding


def _read_rpc_tcp(octets: bytes) -> Finding | None:
    # RFC 5531 section 11: the record mark.
    return _read_rpc(octets[4:]) if octets[:1] in {b"\x80", b"\0"} else None


def _read_nfs(octets: bytes) -> Finding | None:
    finding = _read_rpc(octets)
    if finding is not None and finding.name == "rpc" and len(octets) >= 24:
        status = int.from_bytes(octets[20:24], "big")
        if status in {0, 2}:
            finding.name = "nfs"
            if status == 0:
                finding.detail("rpc.versions", "3")
    return finding


def _marked(call: bytes) -> bytes:
    return struct.pack("!I", 0x80000000 | len(call)) + call


def _read_epmd(octets: bytes) -> Finding | None:
    if len(octets) < 4 or int.from_bytes(octets[:4], "big") != 4369:
        return None
    finding = Finding("epmd").product_is("Erlang Port Mapper Daemon", confidence=0.85)
    finding.detail("epmd.nodes", b", ".join(octets[4:].split(b"\n")[:20]))
    return finding


def _read_jdwp(octets: bytes) -> Finding | None:
    if not octets.startswith(b"JDWP-Handshake"):
        return None
    return Finding("jdwp", confidence=0.95, extra="Java debugger: whoever connects runs code")


def _read_socks5(octets: bytes) -> Finding | None:
    if len(octets) != 2 or octets[0] != 5 or octets[1] not in {0, 1, 2, 255}:
        return None
    finding = Finding("socks", confidence=PROTOCOL_LIKELY + 0.1, extra="SOCKS 5", follow=_socks)
    methods = {0: "no authentication", 1: "GSSAPI", 2: "user name and password",
               255: "none of: nobody, password"}  # fmt: skip
    finding.detail("socks.method", methods[octets[1]])
    return finding


def _socks(visit: Visit, _: Stream, finding: Finding) -> Steps[None]:
    # Tor says so to who takes it for a proxy of HTTP.
    answer = yield from visit.ask_again(b"GET / HTTP/1.0\r\n\r\n")
    if re.match(rb"HTTP/1\.0 501 Tor is not an HTTP Proxy", answer):
        finding.product_is("Tor", cpe="cpe:/a:torproject:tor")


def _read_smux(octets: bytes) -> Finding | None:
    # RFC 1227 section 3: ClosePDU, with the reason protocolError (2) among its nine.
    if len(octets) == 3 and octets[:2] == b"\x41\1" and octets[2] < 9:
        return Finding("smux", confidence=PROTOCOL_LIKELY)
    return None


def _read_ajp(octets: bytes) -> Finding | None:
    if octets == b"AB\0\1\x09":  # CPong
        return Finding("ajp13", confidence=0.9)
    return None


def _read_adb(octets: bytes) -> Finding | None:
    if octets[:4] not in {b"CNXN", b"AUTH", b"STLS"} or len(octets) < 24:
        return None
    # The magic is the command with its bits turned.
    command, magic = octets[:4], octets[20:24]
    if bytes(one ^ 255 for one in command) != magic:
        return None
    finding = Finding("adb").product_is("Android Debug Bridge", confidence=0.9)
    finding.os = "Android"
    finding.detail("adb.device", octets[24:300])
    return finding


_ADB_BODY: Final = b"host::sockwright\0"
_ADB: Final = (
    struct.pack(
        "<4s5I", b"CNXN", 0x01000000, 4096, len(_ADB_BODY), sum(_ADB_BODY), 0x4E584E43 ^ 0xFFFFFFFF
    )
    + _ADB_BODY
)


GREETINGS: Final = (
    Greeting("telnet", _read_telnet, (23, 2323, 107), (992,)),
    Greeting("login", _read_login, (23, 2323)),
    Greeting("vnc", _read_vnc, tuple(range(5900, 5911))),
    Greeting("rsync", _read_rsync, (873,), (874,)),
    Greeting("svn", _read_svn, (3690,)),
)
PROBES: Final = (
    Probe("x11", b"l\0\x0b\0\0\0\0\0\0\0\0\0", _read_x11, tuple(range(6000, 6010)), (), 10),
    Probe("git", b"002fgit-upload-pack /sockwright\0host=localhost\0", _read_git, (9418,)),
    Probe("rpcbind", _marked(_RPC_DUMP), _read_rpc_tcp, (111, 32771), (), everywhere=19),
    Probe("nfs", _marked(probe_for(2049)), lambda octets: _read_nfs(octets[4:]), (2049,)),
    Probe("epmd", b"\0\1n", _read_epmd, (4369,)),
    Probe("jdwp", b"JDWP-Handshake", _read_jdwp, (5005, 8787), (), everywhere=23),
    Probe("socks", b"\5\2\0\2", _read_socks5, (1080, 9050, 9150), (), everywhere=13),
    Probe("ajp13", b"\x124\0\1\x0a", _read_ajp, (8009,), (), everywhere=24),
    Probe("adb", _ADB, _read_adb, (5555,)),
    Probe("smux", b"\r\n", _read_smux, (199,)),
)
DATAGRAM_PROBES: Final = (
    DatagramProbe("rpcbind", _RPC_DUMP, _read_rpc, (111, 32771), everywhere=5),
    DatagramProbe("nfs", probe_for(2049), _read_nfs, (2049,)),
)
