"""Databases and caches: MySQL, PostgreSQL, Redis, memcached, MongoDB, SQL Server and others.

Sources: MySQL's and PostgreSQL's manuals (client/server protocol), redis.io (RESP), memcached's
protocol.txt, MongoDB's wire protocol, [MS-TDS], Cassandra's native_protocol_v4.spec. Nobody logs
in.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from sockwright.scan.services.finding import (
    PROTOCOL_KNOWN,
    PROTOCOL_LIKELY,
    Finding,
)
from sockwright.scan.services.iana import table_name
from sockwright.scan.services.probe import Greeting, Probe
from sockwright.scan.services.text import clean, first_line

if TYPE_CHECKING:
    from sockwright.scan.services.probe import Visit
    from sockwright.scan.services.stream import Stream
    from sockwright.scan.services.waiting import Steps

__all__ = ["GREETINGS", "PROBES"]


def _read_mysql(octets: bytes) -> Finding | None:
    """Read Protocol::HandshakeV10, or the error that refuses this host."""
    if len(octets) < 8 or octets[3] not in {0, 1}:
        return None
    length = int.from_bytes(octets[:3], "little")
    if octets[4] == 0xFF and 8 < length < 512:
        code = int.from_bytes(octets[5:7], "little")
        if not 1000 <= code < 5000:
            return None
        text = octets[7 : 4 + length]
        finding = Finding("mysql", extra=f"error {code}: {clean(text, 120)}", banner=text)
        return finding.learn("mysql.error", clean(text))
    end = octets.find(b"\0", 5, 5 + 100)
    if octets[4] != 10 or end < 6 or not 20 < length < 1024:
        return None
    version = octets[5:end]
    if not version.isascii() or not re.match(rb"[\w.+~:-]+$", version):
        return None
    finding = Finding("mysql", banner=version)
    finding.detail("mysql.thread", str(int.from_bytes(octets[end + 1 : end + 5], "little")))
    rest = octets[end + 5 + 9 :]
    if len(rest) >= 18:
        capabilities = int.from_bytes(rest[:2] + rest[5:7], "little")
        finding.detail("mysql.tls", "offered" if capabilities & 0x0800 else "not offered")
    plugin = re.search(rb"((?:mysql_native|caching_sha2|sha256|mysql_clear)_password|auth_\w{1,40}|"
                       rb"client_ed25519)\0", rest)  # fmt: skip
    finding.detail("mysql.authentication", plugin[1] if plugin else "")
    finding.learn("mysql.version", version)
    if not finding.product:
        finding.product_is("MySQL", clean(version, 60))
    return finding


def _read_mysqlx(octets: bytes) -> Finding | None:
    # A frame of the X protocol: length, type 11 (NOTICE); what servers greet with.
    if len(octets) >= 7 and octets[:5] == b"\x05\0\0\0\x0b" and octets[5] == 0x08:
        return Finding("mysqlx").product_is("MySQL", confidence=0.85)
    return None


_SSL_REQUEST: Final = struct.pack("!II", 8, 80877103)


def _read_postgresql(octets: bytes) -> Finding | None:
    if octets in {b"S", b"N"}:
        finding = Finding("postgresql", confidence=PROTOCOL_KNOWN, follow=_postgresql)
        finding.detail("postgresql.tls", "offered" if octets == b"S" else "not offered")
        return finding
    if octets[:1] in {b"E", b"R"} and len(octets) > 8:
        length = int.from_bytes(octets[1:5], "big")
        if octets[:1] == b"E" and 8 < length < 4096 and octets[5:6] in {b"S", b"V"}:
            finding = Finding("postgresql")
            _postgresql_error(finding, octets)
            return finding
        if octets[:1] == b"R" and 8 <= length < 256 and octets[5:8] == b"\0\0\0":
            return Finding("postgresql", confidence=PROTOCOL_LIKELY)
    return None


def _postgresql(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    if finding.details["postgresql.tls"] == "offered" and stream.tls is None:
        from sockwright.scan.services.protocols.tls import upgrade

        yield from upgrade(visit, stream, finding)
    # A version of the protocol that nobody has: the error tells where in the source it comes from,
    # and lines move from release to release.
    request = struct.pack("!II", 8 + 15, 0x00FF0000) + b"user\0nobody\0\0\0\0"
    answer = yield from visit.ask_again(request)
    if answer[:1] != b"E":
        # It was one letter, which anything may begin with.
        finding.name = table_name(visit.place.port, "tcp") or "unknown"
        finding.confidence = 0.4
        return
    _postgresql_error(finding, answer)
    if not finding.product:
        finding.product_is("PostgreSQL", confidence=0.85, cpe="cpe:/a:postgresql:postgresql")


def _postgresql_error(finding: Finding, octets: bytes) -> None:
    fields = {part[:1]: part[1:] for part in octets[5:4096].split(b"\0") if part}
    finding.detail("postgresql.message", fields.get(b"M", b""))
    where = b":".join(fields[key] for key in (b"F", b"L", b"R") if key in fields)
    finding.detail("postgresql.source", where)
    finding.learn("postgresql.source", where)
    range_of = re.search(rb"server supports (\d+\.\d+) to (\d+\.\d+)", fields.get(b"M", b""))
    if range_of:
        finding.detail("postgresql.protocols", range_of[1] + b" to " + range_of[2])


def _read_redis(octets: bytes) -> Finding | None:
    line = octets[:200]
    refused = re.match(rb"-(NOAUTH|DENIED|MISCONF|LOADING|NOPERM|MASTERDOWN) ", line)
    if not refused and not line.startswith((b"+PONG\r\n", b"-ERR wrong number of a")):
        return None
    finding = Finding("redis", follow=_redis)
    if refused:
        finding.extra = {
            b"NOAUTH": "a password is needed", b"DENIED": "protected mode: only for its own machine"
        }.get(refused[1], clean(line))  # fmt: skip
    return finding


def _redis(visit: Visit, _: Stream, finding: Finding) -> Steps[None]:
    finding.product_is("Redis key-value store", confidence=PROTOCOL_KNOWN)
    if finding.extra:
        return
    answer = yield from visit.ask_again(b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n")
    told = dict(re.findall(rb"(?:^|\n)([a-z_]{1,40}):([^\r\n]{0,200})", answer[:16384]))
    for key in (b"redis_mode", b"os", b"arch_bits", b"tcp_port", b"process_id", b"executable"):
        finding.detail(f"redis.{key.decode()}", told.get(key, b""))
    if version := told.get(b"valkey_version"):
        finding.product = "Valkey key-value store"
        finding.product_is(
            finding.product, clean(version, 40), cpe="cpe:/a:lfprojects:valkey:{version}"
        )
    elif version := told.get(b"redis_version"):
        finding.product_is(finding.product, clean(version, 40), cpe="cpe:/a:redis:redis:{version}")
    system = clean(told.get(b"os", b""), 60)
    finding.os = system.partition(" ")[0]


def _read_memcached(octets: bytes) -> Finding | None:
    match = re.match(rb"VERSION ([\w.-]{1,40})\r\n", octets)
    if match:
        return Finding("memcached", banner=match[0]).product_is(
            "Memcached", match[1].decode(), cpe="cpe:/a:memcached:memcached:{version}"
        )
    return None


def _mongodb_hello() -> bytes:
    # OP_MSG (2013) with the BSON document {hello: 1, "$db": "admin"}.
    document = b"\x10hello\0\1\0\0\0" + b"\x02$db\0\x06\0\0\0admin\0"
    document = struct.pack("<i", len(document) + 5) + document + b"\0"
    body = struct.pack("<i", 0) + b"\0" + document
    return struct.pack("<4i", 16 + len(body), 1, 0, 2013) + body


# maxWireVersion -> release, from MongoDB's server source (wire_version.h).
_MONGODB: Final = {
    6: "3.6", 7: "4.0", 8: "4.2", 9: "4.4", 13: "5.0", 14: "5.1", 15: "5.2", 16: "5.3", 17: "6.0",
    18: "6.1", 19: "6.2", 20: "6.3", 21: "7.0", 22: "7.1", 23: "7.2", 24: "7.3", 25: "8.0",
}  # fmt: skip


def _read_mongodb(octets: bytes) -> Finding | None:
    if len(octets) < 21 or struct.unpack_from("<i", octets, 12)[0] not in {1, 2013}:
        return None
    if b"maxWireVersion\0" not in octets and b"errmsg\0" not in octets:
        return None
    finding = Finding("mongodb", confidence=0.85).product_is(
        "MongoDB", cpe="cpe:/a:mongodb:mongodb"
    )
    finding.confidence = 0.85
    at = octets.find(b"\x10maxWireVersion\0")
    if 0 <= at <= len(octets) - 20:
        wire = struct.unpack_from("<i", octets, at + 16)[0]
        finding.detail("mongodb.wire_version", str(wire))
        if wire in _MONGODB:
            finding.version = f"{_MONGODB[wire]}.x"
    at = octets.find(b"\x02setName\0")
    if at >= 0:
        finding.detail("mongodb.replica_set", octets[at + 13 :][:64].partition(b"\0")[0])
    return finding


# [MS-TDS] section 2.2.6.5: PRELOGIN with VERSION and ENCRYPTION.
_TDS: Final = bytes.fromhex(
    "1201002100000000" "00000b0006" "0100110001" "ff" "0b000c3800000200" "00000000"
)  # fmt: skip


def _read_tds(octets: bytes) -> Finding | None:
    if len(octets) < 20 or octets[0] != 4 or octets[1] != 1:
        return None
    if int.from_bytes(octets[2:4], "big") != len(octets) or octets[8] != 0:
        return None
    at = 8 + int.from_bytes(octets[9:11], "big")
    major, minor, build = octets[at], octets[at + 1], int.from_bytes(octets[at + 2 : at + 4], "big")
    finding = Finding("ms-sql-s").product_is("Microsoft SQL Server", f"{major}.{minor}.{build}")
    release = {8: "2000", 9: "2005", 11: "2012", 12: "2014", 13: "2016", 14: "2017", 15: "2019",
               16: "2022"}.get(major)  # fmt: skip
    if major == 10:
        release = "2008 R2" if minor >= 50 else "2008"
    finding.product += f" {release}" if release else ""
    finding.add_cpe("cpe:/a:microsoft:sql_server" + (f":{release[:4]}" if release else ""))
    return finding


_ORACLE_DATA: Final = b"(CONNECT_DATA=(COMMAND=version))"
_ORACLE: Final = (
    struct.pack("!HHBBH", 58 + len(_ORACLE_DATA), 0, 1, 0, 0)
    + struct.pack("!HHHHHHHHHHIBB", 0x136, 0x12C, 0, 0x800, 0x7FFF, 0x7F08, 0, 1,
                  len(_ORACLE_DATA), 58, 0, 0, 0)
    + bytes(24)
    + _ORACLE_DATA
)  # fmt: skip


def _read_oracle(octets: bytes) -> Finding | None:
    """Read TNS: accept (2), refuse (4), redirect (5), data (6), resend (11)."""
    if len(octets) < 8 or octets[4] not in {2, 4, 5, 6, 11} or octets[5:8] not in {
        b"\0\0\0", b"\x20\0\0", b"\x08\0\0", b"\x04\0\0",
    } or octets[2:4] != b"\0\0" or int.from_bytes(octets[:2], "big") > len(octets):  # fmt: skip
        return None
    text = octets[8:2048]
    if octets[4] != 11 and b"(" not in text and b"TNSLSNR" not in text:
        return None
    finding = Finding("oracle-tns", confidence=PROTOCOL_KNOWN if b"(" in text else 0.5)
    match = re.search(rb"TNSLSNR for ([^:\r\n]{1,60}): Version ([\d.]{3,30})", text)
    if match:
        finding.product_is("Oracle TNS listener", match[2].decode())
        finding.os = clean(match[1], 60)
    number = re.search(rb"\(VSNNUM=(\d{1,10})\)", text)
    if number and not finding.version:
        value = int(number[1])
        parts = (value >> 24, value >> 20 & 15, value >> 12 & 255, value >> 8 & 15, value & 255)
        finding.product_is("Oracle TNS listener", ".".join(map(str, parts)))
    return finding


def _read_cassandra(octets: bytes) -> Finding | None:
    # A response frame of version 3 to 5: SUPPORTED (6) or ERROR (0).
    if len(octets) < 9 or octets[0] & 0x7F not in {3, 4, 5, 6} or not octets[0] & 0x80:
        return None
    length = int.from_bytes(octets[5:9], "big")
    if octets[4] == 6 and b"CQL_VERSION" in octets and length < 8192:
        finding = Finding("cassandra").product_is("Apache Cassandra", confidence=0.85)
        match = re.search(rb"CQL_VERSION\0\x01\0.([\d.]{3,10})", octets, re.DOTALL)
        finding.detail("cassandra.cql", match[1] if match else "")
        return finding
    if octets[4] == 0 and b"protocol version" in octets:
        return Finding("cassandra", extra=first_line(octets[15:], 100))
    return None


GREETINGS: Final = (
    Greeting("mysql", _read_mysql, (3306, 3307)),
    Greeting("mysqlx", _read_mysqlx, (33060,)),
)
PROBES: Final = (
    Probe("redis", b"PING\r\n", _read_redis, (6379, 6380), (6379, 6380), everywhere=3),
    Probe("postgresql", _SSL_REQUEST, _read_postgresql, (5432, 5433, 6432), everywhere=6),
    Probe("memcached", b"version\r\n", _read_memcached, (11211,), (11211,), everywhere=11),
    Probe("mongodb", _mongodb_hello(), _read_mongodb, (27017, 27018, 27019), (27017,), 10),
    Probe("ms-sql-s", _TDS, _read_tds, (1433, 2433), everywhere=13),
    Probe("oracle-tns", _ORACLE, _read_oracle, (1521, 1522, 1526), everywhere=17),
    Probe("cassandra", bytes((4, 0, 0, 0, 5, 0, 0, 0, 0)), _read_cassandra, (9042,), (9142,), 18),
)
