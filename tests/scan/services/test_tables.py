"""The tables of programs: each entry has a source and a pattern that takes linear time."""

from __future__ import annotations

import re
import time

import pytest

from sockwright.scan.services.finding import Finding
from sockwright.scan.services.matching import MOST_TEXT, banners, look_up

_ENTRIES = [banner for entries in banners().values() for banner in entries]


@pytest.mark.parametrize("banner", _ENTRIES, ids=lambda banner: banner.pattern.pattern[:40])
def test_an_entry_has_a_source_and_fills_what_it_names(banner) -> None:  # type: ignore[no-untyped-def]
    assert len(banner.source) >= 6
    assert banner.templates or banner.cpe or banner.name
    names = set(banner.pattern.groupindex)
    for template in [*banner.templates.values(), *banner.cpe]:
        assert set(re.findall(r"\{(\w+)\}", template)) <= names
    for cpe in banner.cpe:
        assert re.match(r"cpe:/[aho]:[a-z0-9._-]+:[a-z0-9._-]+", cpe)


def test_no_pattern_takes_long_for_any_long_text() -> None:
    # A text of the longest kind, of every unit that patterns repeat: 5 ms is a thousand times what
    # a linear pattern takes here.
    units = ["a", "1", "1.", " ", "-", "(", "a ", "9.9", "x/1", "é", "{", '"', "a.b ", "Version "]
    for banner in _ENTRIES:
        literal = re.sub(r"\\(.)", r"\1", re.split(r"[(\[{.*+?|]", banner.pattern.pattern)[0])
        for unit in units:
            text = (literal + unit * MOST_TEXT)[:MOST_TEXT]
            best = 1.0
            for _ in range(3):
                begin = time.thread_time()  # what others take of the processor does not count
                banner.pattern.match(text)
                best = min(best, time.thread_time() - begin)
                if best < 0.005:
                    break
            assert best < 0.005, (banner.pattern.pattern, unit)


@pytest.mark.parametrize(
    ("on", "text", "product", "version", "system"),
    [
        ("ssh.software", "OpenSSH_9.2p1 Debian-2+deb12u10", "OpenSSH", "9.2p1", "Debian 12"),
        ("ssh.software", "OpenSSH_9.6p1 Ubuntu-3ubuntu13.5", "OpenSSH", "9.6p1", "Ubuntu"),
        ("ssh.software", "dropbear_2022.83", "Dropbear sshd", "2022.83", ""),
        ("http.server", "Apache/2.4.57 (Debian) PHP/8.2", "Apache httpd", "2.4.57", "Debian"),
        ("http.server", "nginx", "nginx", "", ""),
        ("http.server", "Microsoft-IIS/10.0", "Microsoft IIS httpd", "10.0", "Windows"),
        ("http.server", "Jetty(9.4.53.v20231009)", "Jetty", "9.4.53.v20231009", ""),
        ("http.server", "CUPS/2.4 IPP/2.1", "CUPS", "2.4", ""),
        ("http.server", "Python/3.11 websockets/17.4", "websockets", "17.4", ""),
        ("http.server", "ZNC 1.8.2+deb3.1+deb12u2 - https://znc.in", "ZNC", "1.8.2", ""),
        ("http.server", "Icecast 2.4.4", "Icecast", "2.4.4", ""),
        ("http.server", "Netdata Embedded HTTP Server v1.37.1", "Netdata", "1.37.1", ""),
        ("http.location", "/classic/graph", "Prometheus", "", ""),
        ("http.reason", "Tor ControlPort is not an HTTP proxy", "Tor control port", "", ""),
        ("http.reason", "Invalid header received from client", "Privoxy", "", ""),
        (
            "http.end",
            "<h3>Apache Tomcat/10.1.60 (Debian)</h3>",
            "Apache Tomcat",
            "10.1.60",
            "Debian",
        ),
        ("http.body", '{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}', "etcd", "3.4.23", ""),
        ("ssh.software", "tinyssh_20230101-1 rn5QdRYE", "TinySSH", "20230101", ""),
        ("kerberos.text", "CLIENT_NOT_FOUND", "MIT Kerberos", "", ""),
        ("irc.notice", ":localhost NOTICE * :BitlBee-IRCd initialized", "BitlBee", "", ""),
        ("smtp.greeting", "mx.example.org ESMTP Exim 4.96 Mon, 23 Nov", "Exim smtpd", "4.96", ""),
        ("ftp.greeting", "(vsFTPd 3.0.3)", "vsftpd", "3.0.3", ""),
        ("mysql.version", "8.0.36-0ubuntu0.22.04.1", "MySQL", "8.0.36", "Ubuntu"),
        ("dns.version", "9.18.49-1~deb12u3-Debian", "ISC BIND", "9.18.49", "Debian 12"),
    ],
)
def test_a_text_is_looked_up(on: str, text: str, product: str, version: str, system: str) -> None:
    finding = Finding(on.partition(".")[0], confidence=0.5)
    look_up(finding, on, text)
    assert (finding.product, finding.version, finding.os) == (product, version, system)
    assert finding.confidence >= 0.9


def test_a_text_that_nobody_knows_changes_nothing() -> None:
    finding = Finding("ssh", confidence=0.5)
    look_up(finding, "ssh.software", "Nobody_1.0")
    look_up(finding, "no.such.heading", "x")
    assert finding == Finding("ssh", confidence=0.5)
