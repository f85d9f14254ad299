"""Brokers, queues and chats: MQTT, AMQP, Kafka, NATS, STOMP, ZooKeeper, XMPP, IRC, MPD, Mumble.

Sources: OASIS MQTT 3.1.1, AMQP 0-9-1 and 1.0 (ISO/IEC 19464), Kafka's protocol guide, docs.nats.io,
stomp.github.io, ZooKeeper's administrator's guide, ZMTP 3.1, RFC 6120, RFC 1459, MPD's manual.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from sockwright.scan.services.finding import PROTOCOL_LIKELY, Finding
from sockwright.scan.services.probe import Greeting, Probe
from sockwright.scan.services.text import clean, first_line

if TYPE_CHECKING:
    from sockwright.scan.services.probe import Visit
    from sockwright.scan.services.stream import Stream
    from sockwright.scan.services.waiting import Steps

__all__ = ["GREETINGS", "PROBES"]

# MQTT 3.1.1 section 3.1: CONNECT, clean session, keep alive 10 s, client "sockwright".
_MQTT_CONNECT: Final = b"\x10\x16\0\4MQTT\4\2\0\x0a\0\x0asockwright"
_MQTT_CODES: Final = {
    0: "accepts anybody", 1: "another version of the protocol", 2: "refuses the client's name",
    3: "unavailable", 4: "bad user name or password", 5: "not authorized",
}  # fmt: skip


def _read_mqtt(octets: bytes) -> Finding | None:
    if octets[:2] != b"\x20\x02" or len(octets) < 4 or octets[2] > 1 or octets[3] > 5:
        return None
    finding = Finding("mqtt", confidence=0.85, follow=_mqtt if octets[3] == 0 else None)
    finding.detail("mqtt.answer", _MQTT_CODES[octets[3]])
    return finding


def _mqtt(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    topic = b"$SYS/broker/version"
    subscribe = b"\0\1" + len(topic).to_bytes(2, "big") + topic + b"\0"
    answer = yield from stream.ask(
        bytes((0x82, len(subscribe))) + subscribe, visit.patience, settle=0.3
    )
    at = answer.find(topic)
    if at >= 2:
        length = answer[at - 3] - 2 - len(topic) if at >= 3 else 0
        text = clean(answer[at + len(topic) :][: max(0, length)], 80)
        finding.detail("mqtt.version_topic", text)
        finding.learn("mqtt.version", text)
    yield from stream.send(b"\xe0\0")  # DISCONNECT


_AMQP_091: Final = b"AMQP\0\0\x09\1"


def _read_amqp(octets: bytes) -> Finding | None:
    if octets[:4] == b"AMQP" and len(octets) >= 8:
        version = f"{octets[5]}-{octets[6]}-{octets[7]}" if octets[4] == 0 else "1.0"
        finding = Finding("amqp")
        finding.detail("amqp.version", version.replace("-", "."))
        # It closes on whoever asks otherwise than this.
        if octets[:8] == _AMQP_091:
            finding.follow = _amqp
        return finding
    # Connection.Start: method frame, channel 0, class 10 method 10.
    if octets[:3] == b"\1\0\0" and octets[7:11] == b"\0\x0a\0\x0a":
        finding = Finding("amqp", confidence=0.85)
        finding.detail("amqp.version", f"{octets[11]}.{octets[12]}")
        facts = {}
        for key in (b"product", b"version", b"platform", b"cluster_name"):
            at = octets.find(bytes((len(key),)) + key + b"S")
            if at >= 0:
                at += len(key) + 2
                length = int.from_bytes(octets[at : at + 4], "big")
                facts[key] = clean(octets[at + 4 : at + 4 + min(length, 200)], 120)
                finding.detail(f"amqp.{key.decode()}", facts[key])
        if product := facts.get(b"product"):
            finding.product_is(product, facts.get(b"version", ""))
            if product == "RabbitMQ":
                finding.add_cpe(f"cpe:/a:vmware:rabbitmq:{finding.version}")
        host = facts.get(b"cluster_name", "")
        finding.hostname = host.partition("@")[2]
        return finding
    return None


def _amqp(visit: Visit, _: Stream, finding: Finding) -> Steps[None]:
    told = _read_amqp((yield from visit.ask_again(_AMQP_091)))
    if told is not None and told.product:
        finding.product_is(told.product, told.version)
        finding.cpe, finding.hostname = told.cpe, told.hostname
        finding.details.update(told.details)


_KAFKA: Final = struct.pack("!ihhih", 20, 18, 0, 0x53574B31, 10) + b"sockwright"


def _read_kafka(octets: bytes) -> Finding | None:
    # ApiVersions response version 0: length, correlation id, error code, array of (key, min, max).
    if len(octets) < 14 or octets[4:8] != b"SWK1":
        return None
    if int.from_bytes(octets[:4], "big") + 4 > 4096:
        return None
    finding = Finding("kafka", confidence=0.85).product_is("Apache Kafka", confidence=0.85)
    count = int.from_bytes(octets[10:14], "big")
    finding.detail("kafka.apis", str(count) if count < 500 else "")
    return finding


def _read_nats(octets: bytes) -> Finding | None:
    if not octets.startswith(b"INFO {"):
        return None
    finding = Finding("nats")
    match = re.search(rb'"version":"([\w.+-]{1,40})"', octets[:4096])
    finding.product_is("NATS", match[1].decode() if match else "")
    if match:
        finding.add_cpe(f"cpe:/a:linuxfoundation:nats-server:{finding.version}")
    match = re.search(rb'"server_name":"([^"]{1,80})"', octets[:4096])
    finding.detail("nats.server", match[1] if match else "")
    return finding


def _read_zookeeper(octets: bytes) -> Finding | None:
    match = re.match(rb"Zookeeper version: (\d[\w.]{1,20})", octets)
    if match:
        return Finding("zookeeper").product_is(
            "ZooKeeper", match[1].decode(), cpe="cpe:/a:apache:zookeeper:{version}"
        )
    if b"is not executed because it is not in the whitelist" in octets[:200]:
        return Finding("zookeeper").product_is("ZooKeeper", cpe="cpe:/a:apache:zookeeper")
    return None


def _read_zmtp(octets: bytes) -> Finding | None:
    # Its signature: a frame of version 1, whose length of 64 bits nobody makes full use of. Telnet
    # begins with 0xff too.
    if len(octets) >= 10 and octets[:5] == b"\xff\0\0\0\0" and octets[9] == 0x7F:
        finding = Finding("zmtp", confidence=PROTOCOL_LIKELY, extra="ZeroMQ")
        if len(octets) >= 12:
            finding.detail("zmtp.version", f"{octets[10]}.{octets[11]}")
        return finding
    return None


def _xmpp(name: str) -> bytes:
    host = name if name and all(one.isalnum() or one in ".-" for one in name) else "localhost"
    return (
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
        f"xmlns:stream='http://etherx.jabber.org/streams' to='{host}' version='1.0'>"
    ).encode()


def _read_xmpp(octets: bytes) -> Finding | None:
    head = octets[:2048]
    if b"<stream:stream" not in head and b"http://etherx.jabber.org/streams" not in head:
        return None
    finding = Finding("xmpp", confidence=0.85)
    if b"urn:ietf:params:xml:ns:xmpp-tls" in octets:
        finding.detail("starttls", "yes")
    match = re.search(rb"""\sfrom=['"]([^'"<>]{1,200})['"]""", head)
    finding.detail("xmpp.from", match[1] if match else "")
    mechanisms = re.findall(rb"<mechanism>([\w-]{1,40})</mechanism>", octets[:8192])
    finding.detail("xmpp.mechanisms", b", ".join(mechanisms[:12]))
    if b"process-one.net" in octets:
        finding.product_is("ejabberd", confidence=0.85)
    elif b"prosody" in octets.lower():
        finding.product_is("Prosody", confidence=0.85)
    return finding


def _read_irc(octets: bytes) -> Finding | None:
    line = octets[:512]
    match = re.match(rb"(?::([\w.-]{1,63}) )?(NOTICE (?:AUTH|\*|Auth)|ERROR|451|020|439) ?:?", line)
    if match is None or (match[2] == b"ERROR" and b"Closing Link" not in line):
        return None
    if match[2] != b"ERROR" and match[1] is None and not line.startswith(b"NOTICE"):
        return None
    finding = Finding("irc", hostname=clean(match[1] or b""))
    return finding.learn("irc.notice", first_line(octets))


def _read_mpd(octets: bytes) -> Finding | None:
    match = re.match(rb"OK MPD (\d[\w.]{1,20})\n", octets)
    if match is None:
        return None
    # The version is that of the protocol, by MPD's manual.
    finding = Finding("mpd").product_is("Music Player Daemon")
    finding.detail("mpd.protocol", match[1])
    return finding


def _read_stomp(octets: bytes) -> Finding | None:
    if not re.match(rb"(?:CONNECTED|ERROR)\r?\n[a-z-]{1,40}:", octets):
        return None
    finding = Finding("stomp")
    match = re.search(rb"\nserver:([^\r\n/]{1,60})(?:/([\w.-]{1,30}))?", octets[:2048])
    if match:
        finding.product_is(clean(match[1]), clean(match[2] or b""))
    return finding


def _read_beanstalk(octets: bytes) -> Finding | None:
    # The answer to `stats`, or to what is no command (protocol.txt of beanstalkd).
    if octets.startswith(b"UNKNOWN_COMMAND\r\n"):
        return Finding("beanstalk", follow=_beanstalk)
    if not re.match(rb"OK \d{1,6}\r\n---\ncurrent-jobs-urgent: ", octets):
        return None
    finding = Finding("beanstalk", banner=octets[:9])
    match = re.search(rb'\nversion: "?([\w.+-]{1,40})', octets[:8192])
    return finding.product_is("beanstalkd", clean(match[1]) if match else "")


def _beanstalk(visit: Visit, _: Stream, finding: Finding) -> Steps[None]:
    told = _read_beanstalk((yield from visit.ask_again(b"stats\r\n")))
    if told is not None and told.product:
        finding.product_is(told.product, told.version)


def _read_gearman(octets: bytes) -> Finding | None:
    # The administrative protocol, gearman.org: PROTOCOL.
    if octets.startswith(b"ERR UNKNOWN_COMMAND Unknown+server+command"):
        return Finding("gearman", follow=_gearman).product_is("Gearman", confidence=0.85)
    return None


def _gearman(visit: Visit, _: Stream, finding: Finding) -> Steps[None]:
    answer = yield from visit.ask_again(b"version\r\n")
    if match := re.match(rb"OK (\d[\w.+-]{0,40})\r?\n", answer):
        finding.product_is("Gearman", clean(match[1]))


def _read_mumble(octets: bytes) -> Finding | None:
    """Read the Version message that a server begins with (Mumble's protocol documentation).

    A type and a length, then fields of Protocol Buffers: 1 is the version, 2 to 4 are texts.
    """
    length = int.from_bytes(octets[2:6], "big")
    if octets[:2] != b"\0\0" or octets[6:7] != b"\x08" or not 8 <= length < 512:
        return None
    at = 7
    number = 0
    for shift in range(0, 35, 7):
        number |= (octets[at] & 0x7F) << shift
        at += 1
        if octets[at - 1] < 0x80:
            break
    texts = {}
    while at + 2 <= min(len(octets), 6 + length) and octets[at] in {0x12, 0x1A, 0x22}:
        texts[octets[at] >> 3] = octets[at + 2 : at + 2 + octets[at + 1]]
        at += 2 + octets[at + 1]
    if 2 not in texts:
        return None
    version = f"{number >> 16}.{number >> 8 & 255}.{number & 255}"
    finding = Finding("mumble", banner=texts[2])
    finding.detail("mumble.release", texts[2])
    finding.detail("mumble.system", b" ".join(texts[key] for key in (3, 4) if key in texts))
    return finding.product_is("Mumble server", version, cpe="cpe:/a:mumble:mumble:{version}")


GREETINGS: Final = (
    Greeting("nats", _read_nats, (4222,), (4222,)),
    Greeting("zmtp", _read_zmtp, (5555, 5556)),
    Greeting("irc", _read_irc, (194, 6660, 6665, 6666, 6667, 6668, 6669, 7000), (6697, 7000)),
    Greeting("mpd", _read_mpd, (6600,)),
    Greeting("mumble", _read_mumble, (), (64738,)),
)
PROBES: Final = (
    Probe("mqtt", _MQTT_CONNECT, _read_mqtt, (1883, 1884), (8883,), everywhere=15),
    Probe("amqp", _AMQP_091, _read_amqp, (5672,), (5671,), everywhere=16),
    Probe("kafka", _KAFKA, _read_kafka, (9092, 9093, 9094), (9093,), everywhere=20),
    Probe("zookeeper", b"srvr", _read_zookeeper, (2181, 2182), (), everywhere=21),
    Probe("xmpp", lambda place: _xmpp(place.name), _read_xmpp, (5222, 5269, 5280), (5223,), 22),
    Probe("beanstalk", b"stats\r\n", _read_beanstalk, (11300,)),
    Probe("gearman", b"sockwright\r\n", _read_gearman, (4730,)),
    Probe("stomp", b"CONNECT\naccept-version:1.2\nhost:/\n\n\0", _read_stomp, (61613,), (61614,)),
)
