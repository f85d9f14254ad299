"""The small services, and those that speak in lines: RFC 862 to 868, 1288, 1413, 1436, 2326, 3261.

Also DICT (RFC 2229), spamd, clamd, Varnish, the line printer daemon and what else answers a line.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from sockwright.scan.services.finding import PROTOCOL_KNOWN, PROTOCOL_LIKELY, Finding
from sockwright.scan.services.iana import table_name
from sockwright.scan.services.probe import DatagramProbe, Greeting, Probe
from sockwright.scan.services.text import clean, first_line
from sockwright.sockets.udp_probes import sip_options

if TYPE_CHECKING:
    from sockwright.scan.services.probe import Visit
    from sockwright.scan.services.stream import Place, Stream
    from sockwright.scan.services.waiting import Steps

__all__ = ["DATAGRAM_PROBES", "GREETINGS", "PROBES"]

_DAYS: Final = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTHS: Final = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_EPOCH_1900: Final = 2_208_988_800  # RFC 868: seconds from 1900 to 1970


def _read_daytime(octets: bytes) -> Finding | None:
    text = octets.strip()
    day = rb"(?:\d\d? " + _MONTHS + rb"|" + _MONTHS + rb" {1,2}\d\d?)"
    date = rb"(?:" + _DAYS + rb"[a-z]{0,6},? )?" + day
    if len(text) < 80 and re.match(date, text) and re.search(rb"\d\d:\d\d:\d\d", text):
        return Finding("daytime", confidence=0.7, banner=text)
    if re.match(rb"\d{5} \d\d-\d\d-\d\d \d\d:\d\d:\d\d .{0,40}UTC\(NIST\)", text):
        return Finding("daytime", extra="NIST", banner=text)
    return None


def _read_time(octets: bytes) -> Finding | None:
    # GNU inetutils sends its `long` whole: 64 bits, of which the last 32 are nothing.
    if len(octets) != 4 and not (len(octets) == 8 and octets[4:] == bytes(4)):
        return None
    from time import time

    seconds = int.from_bytes(octets[:4], "big") - _EPOCH_1900
    return Finding("time", confidence=0.7) if abs(seconds - time()) < 86400 else None


def _read_chargen(octets: bytes) -> Finding | None:
    # RFC 864: lines of 72 characters, each begins one further on in the ring of 95.
    ring = bytes(range(32, 127))
    start = ring.find(octets[:1])
    if len(octets) >= 72 and start >= 0:
        line = (ring * 2)[start : start + 72]
        if octets[:72] == line:
            return Finding("chargen", confidence=0.9, banner=line)
    return None


def _read_dict(octets: bytes) -> Finding | None:
    match = re.match(rb"220 \S{1,100} dictd? ([\w./-]{1,40})", octets)
    if match is None:
        return None
    return Finding("dict").product_is("dictd", match[1].decode().partition("/")[0])


def _read_ident(octets: bytes) -> Finding | None:
    if re.match(rb"\s{0,4}\d{1,5} ?, ?\d{1,5} ?: ?(?:ERROR|USERID) ?:", octets):
        return Finding("ident", confidence=0.85)
    return None


def _read_finger(octets: bytes) -> Finding | None:
    if re.match(rb"(?:\r?\n)?(?:Login +(?:Name|User)|No one logged on|Nobody logged in|"
                rb"Welcome to Linux version|finger: )", octets, re.IGNORECASE):  # fmt: skip
        return Finding("finger", confidence=0.8)
    return None


def _read_whois(octets: bytes) -> Finding | None:
    if octets[:1] == b"%" and re.search(rb"whois|RIPE|RIR|query", octets[:500], re.IGNORECASE):
        return Finding("whois", confidence=PROTOCOL_LIKELY)
    return None


def _read_gopher(octets: bytes) -> Finding | None:
    lines = [line for line in octets[:4096].splitlines()[:5] if line not in {b"", b"."}]
    entry = rb"[0-9gIihsT3][^\t]{0,200}\t[^\t]{0,200}\t[^\t]{1,100}\t\d{1,5}"
    if lines and all(re.match(entry, line) for line in lines):
        return Finding("gopher", confidence=0.7)
    return None


def _sip_options(place: Place) -> bytes:
    return sip_options(called=place.called)


def _read_sip(octets: bytes) -> Finding | None:
    status = re.match(rb"SIP/2\.0 (\d{3}) ?([^\r\n]{0,100})", octets)
    if status is None:
        return None
    finding = Finding("sip", confidence=0.85, banner=status[0])
    finding.detail("sip.status", status[1] + b" " + status[2])
    _header(finding, octets, rb"Allow", "sip.allow", "")
    _header(finding, octets, rb"Server", "sip.server", "sip.agent")
    _header(finding, octets, rb"User-Agent", "sip.user_agent", "sip.agent")
    return finding


def _read_rtsp(octets: bytes) -> Finding | None:
    status = re.match(rb"RTSP/[12]\.0 (\d{3}) ?([^\r\n]{0,100})", octets)
    if status is None:
        return None
    finding = Finding("rtsp", confidence=0.85, banner=status[0])
    finding.detail("rtsp.status", status[1] + b" " + status[2])
    _header(finding, octets, rb"Public", "rtsp.methods", "")
    _header(finding, octets, rb"Server", "rtsp.server", "rtsp.server")
    return finding


def _header(finding: Finding, octets: bytes, name: bytes, key: str, on: str) -> None:
    match = re.search(rb"\n" + name + rb": {0,4}([^\r\n]{1,200})", octets[:8192], re.IGNORECASE)
    if match is None:
        return
    finding.detail(key, match[1])
    if on:
        finding.learn(on, match[1])
        if not finding.product:
            product, _, version = clean(match[1], 80).partition("/")
            finding.product_is(product, version.partition(" ")[0], confidence=0.9)


def _read_spamd(octets: bytes) -> Finding | None:
    if re.match(rb"SPAMD/[\d.]{1,5} \d{1,3} ", octets):
        return Finding("spamd").product_is("SpamAssassin spamd", confidence=0.85)
    return None


def _read_clamd(octets: bytes) -> Finding | None:
    if octets == b"UNKNOWN COMMAND\n":
        return Finding("clamav", confidence=0.4, follow=_clamd)
    match = re.match(rb"ClamAV ([\w.-]{1,30})(?:/(\d{1,8})/)?", octets)
    if match is None:
        return None
    finding = Finding("clamav").product_is(
        "ClamAV", match[1].decode(), cpe="cpe:/a:clamav:clamav:{version}"
    )
    finding.detail("clamav.signatures", match[2])
    return finding


def _clamd(visit: Visit, _: Stream, finding: Finding) -> Steps[None]:
    told = _read_clamd((yield from visit.ask_again(b"zVERSION\0")))
    if told is None or not told.product:
        finding.name = table_name(visit.place.port, "tcp") or "unknown"
        return
    finding.product_is(told.product, told.version)
    finding.cpe, finding.details = told.cpe, told.details


def _read_generic_greetings(octets: bytes) -> Finding | None:
    match = re.match(rb"Asterisk Call Manager/([\d.]{1,20})", octets)
    if match:
        return Finding("asterisk-manager").product_is("Asterisk Call Manager", match[1].decode())
    if octets.startswith(b'{"class":"VERSION"'):
        match = re.search(rb'"release":"([\w.~+-]{1,30})"', octets[:300])
        return Finding("gpsd").product_is("gpsd", match[1].decode() if match else "")
    if re.match(rb"<\?xml .{0,200}<!DOCTYPE GANGLIA_XML", octets[:400], re.DOTALL):
        match = re.search(rb'<GANGLIA_XML VERSION="([\d.]{1,20})"', octets)
        return Finding("ganglia").product_is("Ganglia", match[1].decode() if match else "")
    match = re.match(rb"TS3\r?\n", octets)
    if match:
        return Finding("ts3-query").product_is("TeamSpeak 3 ServerQuery", confidence=0.85)
    match = re.match(rb"(?:\d{3} \d{1,4} {1,8}\n.{0,300}Varnish|107 \d{1,4} {1,8}\n[a-z]{32})",
                     octets[:400], re.DOTALL)  # fmt: skip
    if match:
        return Finding("varnish-cli").product_is("Varnish", confidence=0.85)
    match = re.match(rb"# munin node at (\S{1,100})\n", octets)
    if match:
        finding = Finding("munin", hostname=clean(match[1]), follow=_munin)
        return finding.product_is("Munin node", confidence=0.85)
    # The greeting of both styles of the protocol (NBD's doc/proto.md).
    match = re.match(rb"NBDMAGIC(IHAVEOPT|\0\0\x42\x02\x81\x86\x12\x53)", octets)
    if match:
        style = "newstyle" if match[1] == b"IHAVEOPT" else "oldstyle"
        return Finding("nbd", confidence=0.9, extra=f"network block device, {style} negotiation")
    if re.match(rb"\|/dev/[\w/]{1,40}\|", octets):
        return Finding("hddtemp").product_is("hddtemp", confidence=0.85)
    match = re.match(rb"ICY (\d{3}) ", octets)
    if match:
        return Finding("shoutcast", confidence=PROTOCOL_KNOWN)
    return None


def _munin(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    answer = yield from stream.ask(b"version\n", visit.patience)
    match = re.search(rb"version: (\d[\w.+~-]{0,40})", answer[:500])
    if match:
        finding.product_is("Munin node", clean(match[1]))
    yield from stream.send(b"quit\n")


def _read_nut(octets: bytes) -> Finding | None:
    # The answer to VER (networkupstools.org: the network protocol), or to what is none.
    match = re.match(rb"Network UPS Tools upsd (\d[\w.-]{0,30}) ", octets)
    if match:
        return Finding("nut", banner=octets).product_is(
            "Network UPS Tools upsd", clean(match[1]), cpe="cpe:/a:networkupstools:nut:{version}"
        )
    if re.match(rb"ERR (?:UNKNOWN-COMMAND|INVALID-ARGUMENT)\n", octets):
        return Finding("nut", confidence=PROTOCOL_LIKELY, follow=_nut)
    return None


def _nut(visit: Visit, _: Stream, finding: Finding) -> Steps[None]:
    told = _read_nut((yield from visit.ask_again(b"VER\n")))
    if told is not None and told.product:
        finding.product_is(told.product, told.version)
        finding.cpe = told.cpe


def _memcached(visit: Visit, _: Stream, finding: Finding) -> Steps[None]:
    answer = yield from visit.ask_again(b"version\r\n")
    match = re.match(rb"VERSION ([\w.-]{1,40})\r\n", answer)
    if match:
        version = match[1].decode()
        finding.product_is("Memcached", version, cpe="cpe:/a:memcached:memcached:{version}")
    else:
        finding.name, finding.confidence = "unknown", 0.4


# Version 2 of NRPE's packets: version, query (1), CRC-32 of the whole with 0 in its place, result,
# and 1024 octets of text, padded.
_NRPE_FORM: Final = "!HHIH1024s2x"
_NRPE_TEXT: Final = b"_NRPE_CHECK"
_NRPE_CRC: Final = 0xD4673F00
_NRPE: Final = struct.pack(_NRPE_FORM, 2, 1, _NRPE_CRC, 0, _NRPE_TEXT)


def _read_nrpe(octets: bytes) -> Finding | None:
    if len(octets) < 100 or octets[:4] not in {b"\0\2\0\2", b"\0\3\0\2", b"\0\4\0\2"}:
        return None
    match = re.match(rb"NRPE v(\d[\w.]{0,20})", octets[10:])
    return Finding("nrpe", banner=match[0]).product_is("NRPE", clean(match[1])) if match else None


def _read_error_line(octets: bytes) -> Finding | None:
    """Recognise programs by how they refuse what was not meant for them."""
    line = first_line(octets)
    if line == "ERROR" and octets == b"ERROR\r\n":
        return Finding("memcached", confidence=PROTOCOL_LIKELY, follow=_memcached)
    if line.startswith("You have sent a GET request to a Redis"):
        return Finding("redis", confidence=PROTOCOL_LIKELY)
    if line.startswith("It looks like you are trying to access MongoDB over HTTP"):
        return Finding("mongodb", confidence=0.9).product_is("MongoDB")
    return None


GREETINGS: Final = (
    Greeting("dict", _read_dict, (2628,)),
    Greeting("chargen", _read_chargen, (19,)),
    Greeting("daytime", _read_daytime, (13,)),
    Greeting("time", _read_time, (37,)),
    Greeting("qotd", lambda _: None, (17,)),
    Greeting(
        "several", _read_generic_greetings, (2947, 4949, 5038, 6082, 7634, 8649, 10011, 10809)
    ),
    Greeting("errors", _read_error_line),
)
PROBES: Final = (
    Probe("ident", b"1, 1\r\n", _read_ident, (113,)),
    Probe("finger", b"\r\n", _read_finger, (79,)),
    Probe("whois", b"?\r\n", _read_whois, (43, 4321)),
    Probe("gopher", b"\r\n", _read_gopher, (70,)),
    Probe("echo", b"sockwright\r\n", lambda _: None, (7,)),
    Probe("rtsp", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", _read_rtsp,
          (554, 8554, 7070, 10554), (322,), everywhere=5),
    Probe("sip", _sip_options, _read_sip, (5060,), (5061,), everywhere=12),
    Probe("spamd", b"PING SPAMC/1.2\r\n\r\n", _read_spamd, (783,)),
    Probe("nut", b"VER\n", _read_nut, (3493,)),
    Probe("nrpe", _NRPE, _read_nrpe, (5666,), (5666,)),
    Probe("clamav", b"zVERSION\0", _read_clamd, (3310,)),
)  # fmt: skip
DATAGRAM_PROBES: Final = (
    DatagramProbe("echo", b"sockwright", lambda _: None, (7,)),
    DatagramProbe("daytime", b"\r\n", _read_daytime, (13,)),
    DatagramProbe("chargen", b"\r\n", _read_chargen, (19,)),
    DatagramProbe("time", b"\r\n", _read_time, (37,)),
    DatagramProbe("sip", _sip_options, _read_sip, (5060,), everywhere=4),
)
