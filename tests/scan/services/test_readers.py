"""Readers of answers: each knows its protocol, and none trips over what strangers send."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scan.services.peers import (
    answers,
    ask_further,
    datagram_script,
    identify,
    says,
    script,
)

from sockwright.scan.services import ber, from_table
from sockwright.scan.services.finding import Finding
from sockwright.scan.services.hello import client_hello, read_server_hello
from sockwright.scan.services.protocols import (
    DATAGRAM_PROBES,
    GREETINGS,
    PROBES,
    recognise,
    recognise_datagram,
)
from sockwright.scan.services.protocols.tls import _adopt
from sockwright.scan.services.text import clean
from sockwright.sockets.udp_probes import TOKEN

# What servers say first or answer, measured or from the documents of the protocol.
_MARIADB = (
    b"\x5f\0\0\0\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0\x03\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81"
    b"\x15" + bytes(6) + b"\x1d\0\0\0ijklmnopqrst\0mysql_native_password\0"
)
_POSTGRES = (
    b"E\0\0\0\x8aSFATAL\0VFATAL\0C0A000\0Munsupported frontend protocol 255.0: server supports 3.0 "
    b"to 3.0\0Fpostmaster.c\0L2222\0RProcessStartupPacket\0\0"
)
_TDS = bytes.fromhex("0401001a0000010000000b00060100110001ff0f0007d0000002")
_RFB = b"RFB 003.008\n"
_RABBIT = (
    b"\1\0\0\0\0\0\x60\0\x0a\0\x0a\0\x09\0\0\0\x40\x07productS\0\0\0\x08RabbitMQ"
    b"\x07versionS\0\0\0\x063.10.8\x08platformS\0\0\0\x0aErlang/OTP"
)
_LDAP = ber.sequence(
    ber.integer(7),
    ber.tlv(0x64, ber.octet_string(b"") + ber.sequence(
        ber.sequence(ber.octet_string(b"objectClass"), ber.tlv(0x31, ber.octet_string(
            b"top") + ber.octet_string(b"OpenLDAProotDSE"))),
        ber.sequence(ber.octet_string(b"namingContexts"), ber.tlv(0x31, ber.octet_string(
            b"dc=example,dc=org"))),
    )),
)  # fmt: skip
_MQTT = b"\x20\2\0\5"
_RDP = bytes.fromhex("030000130ed000001234000209080002000000")
_SMB = struct.pack("!I", 64 + 64) + b"\xfeSMB" + struct.pack("<H", 64) + bytes(58) + struct.pack(
    "<HHHH", 65, 3, 0x0311, 0) + bytes(16) + bytes(40)  # fmt: skip
_X11 = b"\0\x16\x0b\0\0\0\x06\0Authorization required"
_KAFKA = struct.pack("!i4shi", 12, b"SWK1", 0, 1) + struct.pack("!hhh", 18, 0, 3)
_MONGO_DOCUMENT = b"\x10maxWireVersion\0\x15\0\0\0\x02setName\0\3\0\0\0rs\0\0"
_MONGO = struct.pack("<4i", 16 + 5 + 4 + len(_MONGO_DOCUMENT), 9, 1, 2013) + bytes(
    5) + struct.pack("<i", len(_MONGO_DOCUMENT) + 4) + _MONGO_DOCUMENT  # fmt: skip
_CASSANDRA = b"\x84\0\0\0\x06\0\0\0\x1a\0\1\0\x0bCQL_VERSION\0\1\0\x053.4.5"
_RPC = b"\x80\0\0\x2cSwso\0\0\0\1" + bytes(16) + struct.pack("!5I", 1, 100000, 2, 6, 111) + bytes(4)
_DNS = (
    b"SW\x84\0\0\1\0\1\0\0\0\0\x07version\x04bind\0\0\x10\0\3\xc0\x0c\0\x10\0\3\0\0\0\0\0\x0e"
    b"\x0dunbound 1.17."
)
_CHARGEN = bytes(range(32, 104)) + b"\r\n" + bytes(range(33, 105)) + b"\r\n"
_EPMD = (4369).to_bytes(4, "big") + b"name rabbit at port 25672\n"
_TNS = b"\0\x48\0\0\4\0\0\0\0\0\0\x34(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=1189))".ljust(72)

STREAMS = {
    "ssh": b"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13\r\n",
    "smtp": b"220 mail.example.org ESMTP Postfix (Debian/GNU)\r\n",
    "ftp": b"220 ProFTPD 1.3.8 Server (files) [::ffff:10.0.0.1]\r\n",
    "pop3": b"+OK Dovecot (Debian) ready.\r\n",
    "imap": b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n",
    "nntp": b"200 news.example.org InterNetNews NNRP server INN 2.7.0 ready (posting ok)\r\n",
    "sieve": b'"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n"STARTTLS"\r\nOK "ready."\r\n',
    "http": b"HTTP/1.1 404 Not\r\nServer: Apache/2.4.57 (Debian)\r\n\r\n<title> a\n b</title>",
    "mysql": _MARIADB,
    "mysqlx": b"\x05\0\0\0\x0b\x08\x05\x1a\0",
    "postgresql": _POSTGRES,
    "redis": b"-NOAUTH Authentication required.\r\n",
    "memcached": b"VERSION 1.6.18\r\n",
    "mongodb": _MONGO,
    "ms-sql-s": _TDS,
    "oracle-tns": _TNS,
    "cassandra": _CASSANDRA,
    "smb": _SMB,
    "msrpc": bytes.fromhex("05000c03100000003c00000001000000b810b810") + bytes(40),
    "ms-wbt-server": _RDP,
    "ldap": _LDAP,
    "mqtt": _MQTT,
    "amqp": _RABBIT,
    "kafka": _KAFKA,
    "nats": b'INFO {"server_id":"x","version":"2.10.7","go":"go1.21.5"}\r\n',
    "zookeeper": b"Zookeeper version: 3.8.0-1, built on 2022\nLatency min/avg/max: 0/0/0\n",
    "xmpp": b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' from='example.org'>",
    "irc": b":irc.example.org NOTICE * :*** Looking up your hostname...\r\n",
    "mpd": b"OK MPD 0.23.5\n",
    "telnet": b"\xff\xfd\x18\xff\xfd\x20\xff\xfb\x01router login: ",
    "vnc": _RFB,
    "x11": _X11,
    "rsync": b"@RSYNCD: 31.0 sha512 md5\n",
    "git": b"0034ERR access denied or repository not exported: /x",
    "svn": b"( success ( 2 2 ( ANONYMOUS ) ( edit-pipeline svndiff1 ) ) ) ",
    "rpcbind": _RPC,
    "epmd": _EPMD,
    "jdwp": b"JDWP-Handshake",
    "socks": b"\5\xff",
    "ajp13": b"AB\0\1\x09",
    "chargen": _CHARGEN,
    "daytime": b"Mon Nov 23 08:30:41 2026\r\n",
    "ident": b"1, 1 : ERROR : NO-USER\r\n",
    "rtsp": b"RTSP/1.0 200 OK\r\nPublic: OPTIONS\r\nServer: GStreamer RTSP server\r\n\r\n",
    "sip": b"SIP/2.0 200 OK\r\nUser-Agent: Asterisk PBX 18.10.0\r\n\r\n",
    "spamd": b"SPAMD/1.5 0 PONG\r\n",
    "clamav": b"ClamAV 1.0.3/27000/Mon Nov  1 00:00:00 2023\0",
    "domain": len(_DNS).to_bytes(2, "big") + _DNS,
    "tls": bytes.fromhex("15030300020228"),
    # Measured: Debian mumble-server 1.3.4, beanstalkd 1.12, gearman-job-server 1.1.20, nut-server
    # 2.8.0, munin-node 2.0.73, nbd-server 3.24, nagios-nrpe-server 4.1.0, snmpd 5.9.3, coturn
    # 4.6.1, dictd 1.13.0, cfingerd 1.4.3.
    "mumble": b'\0\0\0\0\x002\x08\x84\x86\x04\x12\x071.3.4-4\x1a\x03X11"\x1eDebian GNU/Linux 12 '
    b"(bookworm)",
    "beanstalk": b'OK 958\r\n---\ncurrent-jobs-urgent: 0\npid: 7048\nversion: "1.12"\n',
    "gearman": b"ERR UNKNOWN_COMMAND Unknown+server+commandsockwright\r\n",
    "nut": b"Network UPS Tools upsd 2.8.0 - http://www.networkupstools.org/\n",
    "munin": b"# munin node at vm\n",
    "nbd": b"NBDMAGICIHAVEOPT\0\3",
    "nrpe": struct.pack("!HHIH100s", 2, 2, 0, 0, b"NRPE v4.1.0"),
    "smux": b"A\1\2",
    "stun": bytes.fromhex("010100182112a442") + TOKEN + b"ghtq\x80\x22\0\x14Coturn-4.6.1 'Gorst'",
    "dict": b"220 vm dictd 1.13.0/rf on Linux 6.1.0 <auth.mime> <1.2.3@vm>\r\n",
    "finger": b"\r\nNobody logged in.\r\n",
}
_PRODUCTS = {
    "mumble": ("Mumble server", "1.3.4"),
    "beanstalk": ("beanstalkd", "1.12"),
    "gearman": ("Gearman", ""),
    "nut": ("Network UPS Tools upsd", "2.8.0"),
    "munin": ("Munin node", ""),
    "nrpe": ("NRPE", "4.1.0"),
    "stun": ("coturn", "4.6.1"),
    "dict": ("dictd", "1.13.0"),
    "ssh": ("OpenSSH", "9.6p1"),
    "smtp": ("Postfix smtpd", ""),
    "ftp": ("ProFTPD", "1.3.8"),
    "http": ("Apache httpd", "2.4.57"),
    "mysql": ("MariaDB", "10.11.6"),
    "amqp": ("RabbitMQ", "3.10.8"),
    "nats": ("NATS", "2.10.7"),
    "ms-sql-s": ("Microsoft SQL Server 2019", "15.0.2000"),
    "oracle-tns": ("Oracle TNS listener", "19.0.0.0.0"),
    "mongodb": ("MongoDB", "7.0.x"),
    "sip": ("Asterisk", "18.10.0"),
    "domain": ("Unbound", "1.17."),
    "ldap": ("OpenLDAP", ""),
    "zookeeper": ("ZooKeeper", "3.8.0"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_an_answer_is_read_as_its_protocol(name: str) -> None:
    finding = recognise(STREAMS[name])
    assert finding is not None
    assert finding.name == name
    if name in _PRODUCTS:
        assert (finding.product, finding.version) == _PRODUCTS[name]
        assert finding.confidence >= 0.85


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"router login: ", "telnet"),
        (b"\r\nUser Access Verification\r\n\r\nUsername: ", "telnet"),
        (b"ERROR\r\n", "memcached"),
        (b"\xff\xfb%\xff\xfb&\xff\xfd\x18\xff\xfd \xff\xfd#\xff\xfd'\xff\xfd$", "telnet"),
        (b"\xff\0\0\0\0\0\0\0\1\x7f\3\1", "zmtp"),
        (b"UNKNOWN_COMMAND\r\n", "beanstalk"),
        (b":irc.lab.example 451 * :Connection not registered\r\n", "irc"),
        (b"503 Leafnode must have a unique fully-qualified domain name.\r\n", "nntp"),
        (b"500 OOPS: vsftpd: refusing to run with writable root\r\n", "ftp"),
        (b"554 5.7.1 No SMTP service for you\r\n", "smtp"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", ""),
        (b"word: another thing", ""),
    ],
)
def test_an_odd_answer_is_read(octets: bytes, name: str) -> None:
    finding = recognise(octets)
    assert (finding.name if finding is not None else "") == name


@pytest.mark.parametrize("name", STREAMS)
def test_every_truncation_and_many_mutations_are_read_without_a_fault(name: str) -> None:
    octets = STREAMS[name]
    chance = random.Random(name)  # the same octets in every run
    for end in range(len(octets)):
        recognise(octets[:end])
    for _ in range(200):
        changed = bytearray(octets)
        for _ in range(3):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        found = recognise(bytes(changed))
        if found is not None:
            service = found.service()
            assert service.name.isprintable()
            assert service.banner.isprintable()


@given(st.binary(max_size=600))
def test_random_octets_are_read_without_a_fault(octets: bytes) -> None:
    for found in (recognise(octets), recognise_datagram(octets)):
        if found is not None:
            assert found.service().name


@pytest.mark.parametrize(
    "unit",
    [b"a", b"\0", b"\xff", b" ", b"\r\n", b"1", b"<title", b"( ", b'"', b": ", b"\xff\xfd\x18",
     b"220 a ", b"RFB 003.", b"a.", b"a-", b"HTTP/1.1 200 \r\n", b"\x30\x80", b"_a", b"\xc0\x0c"],
)  # fmt: skip
def test_twice_the_octets_take_at_most_somewhat_more_than_twice_the_time(unit: bytes) -> None:
    starts = (b"", b"220 ", b"* OK ", b"+OK ", b"HTTP/1.1 200 OK\r\nServer: ", b"\0\0\0")

    def took(size: int) -> float:
        best = 1e9
        for _ in range(3):
            begin = time.process_time()
            for start in starts:
                recognise(start + (unit * (size // len(unit) + 1))[:size])
            best = min(best, time.process_time() - begin)
        return best

    # What is below a few milliseconds is noise; quadratic time would take minutes.
    assert took(131072) <= 3.0 * took(65536) + 0.02


@given(st.binary(max_size=300), st.integers(1, 100))
def test_cleaned_text_is_printable_and_bounded(octets: bytes, most: int) -> None:
    text = clean(octets, most)
    assert text.isprintable()
    assert len(text) <= most


def test_a_hello_offers_one_version_and_its_answer_is_read() -> None:
    hello = client_hello(0x0304, "lab.example.org")
    assert b"lab.example.org" in hello
    assert read_server_hello(hello) is None
    # RFC 8448 section 3, the ServerHello of a simple 1-RTT handshake.
    server = bytes.fromhex(
        "160303005a020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e26928"
        "00130100002e00330024001d0020c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e"
        "751f0f002b00020304"
    )
    answer = read_server_hello(server)
    assert answer is not None
    assert (answer.version, answer.suite) == (0x0304, 0x1301)
    alert = read_server_hello(bytes.fromhex("15030100020246"))
    assert alert is not None
    assert alert.alert == 70


def test_a_service_on_a_port_of_another_says_so() -> None:
    from sockwright.scan.services.finding import Finding
    from sockwright.scan.services.identify import _told

    odd = _told(("127.0.0.1", 80, "tcp"), Finding("ssh"))
    assert odd.details["usual"] == "port 80 is usually http"
    assert "usual" not in _told(("127.0.0.1", 443, "tcp"), Finding("http", tunnel=True)).details
    assert "usual" not in _told(("127.0.0.1", 49999, "tcp"), Finding("ssh")).details


def test_the_table_knows_the_common_ports_and_claims_little() -> None:
    for port, protocol, name in ((22, "tcp", "ssh"), (6379, "tcp", "redis"), (53, "udp", "domain")):
        service = from_table(port, protocol)  # type: ignore[arg-type]
        assert service is not None
        assert (service.name, service.method, service.confidence) == (name, "table", 0.3)
    assert from_table(49999, "tcp") is None


def test_no_two_probes_of_a_kind_share_a_name_and_a_request() -> None:
    for probes in (PROBES, DATAGRAM_PROBES):
        pairs = [(probe.name, probe.request) for probe in probes]
        assert len(pairs) == len(set(pairs))
    assert len({greeting.name for greeting in GREETINGS}) == len(GREETINGS)


@pytest.fixture
def greets_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a greeting until it comes: on a busy machine that may be later than a probe."""
    monkeypatch.setattr("sockwright.scan.services.examining._GREETING_POSSIBLE", 10.0)


@pytest.mark.usefixtures("greets_late")
def test_a_greeting_that_could_be_two_things_is_asked() -> None:
    replies = {b"EHLO": b"250-a\r\n250 SIZE 1000\r\n", b"QUIT": b"221 bye\r\n"}
    with script(answers(replies, greeting=b"220 host.example.org ready\r\n")) as port:
        service = identify(port)
    assert (service.name, service.hostname) == ("smtp", "host.example.org")
    assert service.details["smtp.extensions"] == "SIZE 1000"


@pytest.mark.usefixtures("greets_late")
def test_a_server_of_ftp_that_says_so_in_its_name_is_not_asked_for_mail() -> None:
    # ProFTPD ends the connection when it hears EHLO.
    replies = {b"FEAT": b"211-Features:\r\n MDTM\r\n211 End\r\n", b"SYST": b"215 UNIX Type: L8\r\n"}
    greeting = b"220 ProFTPD Server (lab) [::ffff:127.0.0.1]\r\n"
    with script(answers(replies, greeting=greeting)) as port:
        service = identify(port)
    assert (service.name, service.product, service.os) == ("ftp", "ProFTPD", "Unix")
    assert service.details["ftp.features"] == "MDTM"


@pytest.mark.usefixtures("greets_late")
def test_a_server_of_mail_that_knows_no_ehlo_is_asked_in_the_older_way() -> None:
    replies = {b"EHLO": b"500 Command not implemented\r\n", b"HELO": b"250 localhost Hello\r\n"}
    greeting = b"220 localhost NO UCE NO UBE NO RELAY PROBES\r\n"
    with script(answers(replies, greeting=greeting)) as port:
        service = identify(port)
    assert (service.name, service.product) == ("smtp", "Twisted smtpd")


def test_algorithms_that_come_together_with_the_identification_are_read() -> None:
    lists = [b"sntrup761x25519-sha512", b"ssh-ed25519", *[b"none"] * 8]
    payload = b"\x14" + bytes(16) + b"".join(struct.pack("!I", len(one)) + one for one in lists)
    packet = b"\x04" + payload + bytes(5 + 4)
    octets = b"SSH-2.0-dropbear_2022.83\r\n" + struct.pack("!I", len(packet)) + packet
    with script(says(octets)) as port:
        service = identify(port)
    assert service.details["ssh.kex"] == "sntrup761x25519-sha512"
    assert service.details["ssh.host_keys"] == "ssh-ed25519"


def test_chunks_of_a_page_are_joined() -> None:
    page = b'<html lang="en"><head><link rel="shortcut icon" href="https://nats.io/favicon.ico">'
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%s\r\n%x;a=b\r\n%s\r\n0\r\n\r\n"
    finding = recognise(head + chunks % (20, page[:20], len(page) - 20, page[20:]))
    assert finding is not None
    assert finding.product == "NATS monitoring"
    for lie in (b"ffffffff\r\nx", b"0\r\n\r\n" * 9000, b"1\r\nx\r\n" * 9000, b"g\r\n"):
        assert recognise(head + lie) is not None


def test_a_program_that_says_nothing_under_the_root_is_asked_where_its_name_is() -> None:
    replies = {
        b"GET / ": b"HTTP/1.1 404 Not Found\r\n\r\n404 page not found\n",
        b"GET /version ": b'HTTP/1.1 200 OK\r\n\r\n{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}',
    }

    def talk(sock):  # type: ignore[no-untyped-def]
        octets = sock.recv(4096)
        sock.sendall(next(reply for start, reply in replies.items() if octets.startswith(start)))

    finding = recognise(replies[b"GET / "])
    assert finding is not None
    with script(talk) as port:
        ask_further(finding, port)
    assert (finding.name, finding.product, finding.version) == ("etcd-client", "etcd", "3.4.23")
    assert finding.details["http.version_path"] == "/version"


@pytest.mark.parametrize(
    ("refusal", "asked", "answer", "program"),
    [
        (b"AMQP\0\0\x09\1", b"AMQP", STREAMS["amqp"], ("RabbitMQ", "3.10.8")),
        (b"ERR INVALID-ARGUMENT\n", b"VER\n", STREAMS["nut"], _PRODUCTS["nut"]),
        (b"UNKNOWN COMMAND\n", b"zVERSION", b"ClamAV 1.4.6\0", ("ClamAV", "1.4.6")),
        (b"UNKNOWN_COMMAND\r\n", b"stats", STREAMS["beanstalk"], _PRODUCTS["beanstalk"]),
        (STREAMS["gearman"], b"version", b"OK 1.1.20+ds\n", ("Gearman", "1.1.20+ds")),
        (b"UNKNOWN COMMAND\n", b"nothing", b"", ("", "")),
    ],
)
def test_a_program_that_refuses_another_protocol_is_asked_in_its_own(
    refusal: bytes, asked: bytes, answer: bytes, program: tuple[str, str]
) -> None:
    finding = recognise(refusal)
    assert finding is not None
    with script(answers({asked: answer})) as port:
        ask_further(finding, port)
    assert (finding.product, finding.version) == program
    assert finding.confidence >= 0.9 or finding.name == "unknown"


def test_a_server_that_writes_its_version_after_a_blank_is_taken_by_its_word() -> None:
    finding = recognise(b"HTTP/1.1 200 OK\r\nServer: Yaws 2.1.1\r\n\r\n")
    assert finding is not None
    assert (finding.product, finding.version) == ("Yaws", "2.1.1")


def test_one_letter_alone_does_not_make_a_database() -> None:
    with script(lambda sock: sock.sendall(b"N")) as port:
        service = identify(port)
    assert (service.name, service.product, service.confidence) == ("unknown", "", 0.4)


def test_echo_is_known_by_its_answer() -> None:
    def echo(sock):  # type: ignore[no-untyped-def]
        while octets := sock.recv(4096):
            sock.sendall(octets)

    with script(echo) as port:
        assert identify(port).name == "echo"
    with datagram_script(lambda octets: octets) as port:
        assert identify(port, "udp").name == "echo"


def test_what_nobody_can_read_is_shown_and_not_named() -> None:
    with script(says(b"hello, I speak nothing you know\r\n")) as port:
        service = identify(port, seconds=1.0)
    assert (service.name, service.method) == ("unknown", "probed")
    assert service.confidence <= 0.4
    assert service.banner == "hello, I speak nothing you know"


def test_what_nobody_can_read_is_shown_with_its_controls_escaped() -> None:
    octets = b"\x1b[31mEVIL\x07\x1b]0;pwn\x07 hi <b>&\r\n"
    with script(says(octets)) as stream, datagram_script(lambda _: octets) as datagrams:
        for port, protocol in ((stream, "tcp"), (datagrams, "udp")):
            service = identify(port, protocol, octets=len(octets))  # type: ignore[arg-type]
            assert service.banner == r"\x1b[31mEVIL\x07\x1b]0;pwn\x07 hi <b>&"


def test_a_banner_of_controls_is_bounded_and_shown_only_where_nobody_could_read_it() -> None:
    octets = b"\n\x9b1m\1\2" * 9000
    banner = Finding("unknown", banner=octets, read=False).service().banner
    assert (len(banner), banner[:14]) == (200, r"\x9b1m\x01\x02")
    assert banner.isprintable()
    assert not Finding("mysql", banner=octets).service().banner
    tunnel = Finding("tls", tunnel=True)
    _adopt(tunnel, Finding("unknown", banner=octets, read=False))
    assert tunnel.service().banner == banner


_STUN_ANSWER = b"\1\1\0\x14\x21\x12\xa4\x42Swsockwrsw..\x80\x22\0\x10Coturn-4.5.2 'da"
_QUIC_ANSWER = b"\xc0\0\0\0\0\x08Swsockwr\x08sockwrig\0\0\0\1\x6b\x33\x43\xcf\x0a\x1a\x2a\x3a"
DATAGRAMS = {
    "domain": _DNS,
    "ntp": b"\x24\2" + bytes(10) + b"\x0a\0\0\1" + bytes(8) + TOKEN + bytes(16),
    "tftp": b"\0\5\0\1File not found\0",
    "stun": _STUN_ANSWER,
    "quic": _QUIC_ANSWER,
    "coap": b"\x60\x45SW\xc1\x28\xff</time>",
    "isakmp": TOKEN + b"12345678" + bytes((0x29, 0x20, 0x22, 0x20)) + bytes(8),
    "openvpn": b"\x40ABCDEFGH\1\0\0\0\0Swsockwr\0\0\0\0",
    "snmp": ber.sequence(
        ber.integer(3),
        ber.sequence(ber.integer(1), ber.integer(65507), ber.octet_string(b"\0"), ber.integer(3)),
        ber.octet_string(ber.sequence(ber.octet_string(bytes.fromhex("80001f8880112233")),
                                      ber.integer(3), ber.integer(77))),
        ber.sequence(),
    ),
    "ssdp": b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nSERVER: Linux/4.1 UPnP/1.0 Foo/2.1\r\n\r\n",
    "dtls": b"\x16\xfe\xff" + bytes(8) + b"\0\x1c\3" + bytes(27),
    "nat-pmp": b"\0\x80\0\0\0\0\0\x09\xc0\0\2\1",
    "xdmcp": b"\0\1\0\5\0\x0e\0\0\0\4host\0\4fine",
    "netbios-ns": b"Sw\x84\0\0\0\0\1\0\0\0\0 CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\0\0\x21\0\1"
    + bytes(4) + b"\0\x2f\1HOST           \0\4\0" + bytes.fromhex("020000000001"),
    "sip": STREAMS["sip"],
    "rpcbind": _RPC[4:],
}  # fmt: skip


@pytest.mark.parametrize("name", DATAGRAMS)
def test_a_datagram_is_read_as_its_protocol(name: str) -> None:
    octets = DATAGRAMS[name]
    finding = recognise_datagram(octets)
    assert finding is not None
    assert finding.name == name
    for end in range(len(octets)):
        recognise_datagram(octets[:end])


def test_a_datagram_service_is_found_by_its_answer() -> None:
    def stun(octets: bytes) -> bytes:
        return _STUN_ANSWER if octets.startswith(b"\0\1\0\0\x21\x12\xa4\x42") else b""

    with datagram_script(stun) as port:
        service = identify(port, "udp")
    assert (service.name, service.product) == ("stun", "coturn")
    assert service.version == "4.5.2"


def test_the_table_costs_a_plain_scan_next_to_nothing() -> None:
    code = """
import sys
from sockwright.scan.services import from_table
from_table(22, "tcp"), from_table(4711, "udp")
print(*sys.modules)
"""
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert not {"asyncio", "ssl", "cryptography", "tomllib", "logging"} & set(done.stdout.split())
