"""HTTP heads, SSH banners, DHCP requests: what is read, what is refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.identify.passive.dhcp import read_request
from sockwright.identify.passive.http import read_head
from sockwright.identify.passive.ssh import read_banner

_GET = (
    b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n"
    b"Accept: */*\r\nCookie: secret=1\r\nAccept-Encoding: gzip\r\n\r\n"
)


def test_a_request_tells_its_agent_and_the_order_of_its_fields() -> None:
    head = read_head(_GET)
    assert head is not None
    assert head.kind == "http-request"
    assert head.software == "Mozilla/5.0 (X11; Linux)"
    assert head.fields == ("host", "user-agent", "accept", "accept-encoding")
    assert head.traits() == {
        "http.agent": "Mozilla/5.0 (X11; Linux)",
        "http.headers": "host,user-agent,accept,accept-encoding",
    }


def test_a_response_tells_its_server() -> None:
    head = read_head(b"HTTP/1.1 200 OK\r\nServer: Apache/2.4.41 (Ubuntu)\r\nVia: 1.1 squid\r\n\r\n")
    assert head is not None
    assert head.kind == "http-response"
    assert head.traits()["http.server"] == "Apache/2.4.41 (Ubuntu)"
    assert head.via == "1.1 squid"


_FIREFOX = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_CHROME = "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0"


@pytest.mark.parametrize(
    ("fields", "borrowed"),
    [
        (["Host: x", _FIREFOX, "Accept: a", "Accept-Language: b", "Accept-Encoding: c"], False),
        (["Host: x", _FIREFOX, "Accept: a", "DNT: 1", "Accept-Encoding: c"], False),
        (["Host: x", "Accept: a", "Accept-Encoding: c", _FIREFOX], True),
        (["Host: x", "Connection: keep-alive", _CHROME, "Accept: a", "Accept-Encoding: c"], False),
        (["Host: x", _CHROME, "Accept: a", "Accept-Language: b", "Accept-Encoding: c"], True),
        (["Host: x", _CHROME, "Accept: a"], True),
        (["Host: x", _FIREFOX, "Accept: a"], True),
        (["Via: 1.1 p", "Host: x", "Accept: a", "Accept-Encoding: c", _FIREFOX], False),
        (["Accept: a", "Host: x", "User-Agent: curl/8.0", "Accept-Encoding: c"], False),
    ],
)
def test_a_browser_is_known_by_fields_and_their_order(fields: list[str], borrowed: bool) -> None:
    octets = "\r\n".join(["GET / HTTP/1.1", *fields, "", ""]).encode()
    head = read_head(octets)
    assert head is not None
    assert head.borrowed is borrowed
    assert ("http.agent" in head.traits()) is not borrowed
    assert ("borrows" in str(head)) is borrowed


def test_fields_that_may_be_in_the_next_segment_are_not_missing() -> None:
    head = read_head(f"GET / HTTP/1.1\r\nHost: x\r\n{_CHROME}\r\n".encode())
    assert head is not None
    assert not head.borrowed
    assert "http.agent" in head.traits()


def test_escape_sequences_do_not_come_through() -> None:
    head = read_head(b"HTTP/1.1 200 OK\r\nServer: \x1b[31mred\x07\xe2\x80\xae\r\n\r\n")
    assert head is not None
    assert head.software.isprintable()
    banner = read_banner(b"SSH-2.0-\x1b]0;title\x07\r\n")
    assert banner is not None
    assert banner.line.isprintable()


def test_texts_and_fields_are_bounded() -> None:
    fields = b"".join(b"X-%d: y\r\n" % n for n in range(1000))
    head = read_head(b"GET / HTTP/1.1\r\nUser-Agent: " + b"a" * 5000 + b"\r\n" + fields)
    assert head is not None
    assert len(head.software) == 200
    assert len(head.fields) == 40


@pytest.mark.parametrize(
    "octets", [b"", b"GET", b"GET /", b"GET / SPDY/1\r\n", b"HTTP/1.1 2\r\n", b"\x16\x03\x01"]
)
def test_what_is_no_http_is_none(octets: bytes) -> None:
    assert read_head(octets) is None


def test_a_banner_is_the_whole_first_line() -> None:
    banner = read_banner(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n\0\0\1")
    assert banner is not None
    assert banner.line == "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3"


@pytest.mark.parametrize(
    "octets",
    [b"SSH-2.0-cut off", b"SSH-3.0-x\r\n", b"SSH-2.0-\r\n", b"SSH-2.0-" + b"x" * 300 + b"\r\n"],
)
def test_a_banner_that_is_cut_or_too_long_is_none(octets: bytes) -> None:
    assert read_banner(octets) is None


def _dhcp(options: bytes, *, op: int = 1, client: bytes = bytes(4)) -> bytes:
    head = bytes((op, 1, 6, 0)) + bytes(8) + client + bytes(12) + b"\2\0\0\0\0\1" + bytes(10)
    return head + bytes(192) + b"\x63\x82\x53\x63" + options


_DISCOVER = b"\x35\x01\x01\x37\x04\x01\x03\x06\x0f\x3c\x08MSFT 5.0\x0c\x02pc\x39\x02\x05\xdc\xff"


def test_a_discover_tells_parameters_vendor_and_order() -> None:
    request = read_request(_dhcp(_DISCOVER))
    assert request is not None
    assert request.type == "DISCOVER"
    assert request.mac == "02:00:00:00:00:01"
    assert request.hostname == "pc"
    assert request.traits() == {
        "dhcp.options": "53,55,60,12,57",
        "dhcp.requested": "1,3,6,15",
        "dhcp.vendor": "MSFT 5.0",
        "dhcp.max_size": 1500,
    }


def test_the_address_is_the_clients_own_or_the_one_it_asks_for() -> None:
    asked = read_request(_dhcp(b"\x35\x01\x03\x32\x04\x0a\0\0\x07\xff"))
    own = read_request(_dhcp(b"\x35\x01\x08\xff", client=b"\x0a\0\0\x09"))
    assert asked is not None
    assert asked.address == "10.0.0.7"
    assert own is not None
    assert own.address == "10.0.0.9"


def test_an_option_in_pieces_is_one() -> None:
    request = read_request(_dhcp(b"\x35\x01\x01\x37\x02\x01\x03\x37\x01\x06\xff"))
    assert request is not None
    assert request.parameters == (1, 3, 6)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        _dhcp(_DISCOVER, op=2),
        _dhcp(b"\x37\x02\x01\x03\xff"),  # no type
        _dhcp(b"\x35\x01\x02\xff"),  # an OFFER, which servers send
        _dhcp(b"\x35\x01\x01\x37\xc8\x01"),  # a length that lies
        _dhcp(b"\x35"),
        _dhcp(_DISCOVER).replace(b"\x63\x82", b"\0\0"),
        _dhcp(_DISCOVER) + bytes(2000),
    ],
)
def test_what_is_not_well_formed_is_no_evidence(octets: bytes) -> None:
    assert read_request(octets) is None


@given(st.binary(max_size=600))
def test_no_octets_make_a_reader_fail(octets: bytes) -> None:
    read_request(_dhcp(octets))
    read_request(octets)
    read_head(b"GET / HTTP/1.1\r\n" + octets)
    read_head(b"HTTP/1.1 200 OK\r\n" + octets)
    read_banner(b"SSH-2.0-" + octets)


def test_every_truncation_and_change_is_read_or_left() -> None:
    rng = random.Random(4711)
    for whole in (_GET, _dhcp(_DISCOVER)):
        for end in range(len(whole)):
            changed = bytearray(whole[:end] or b"\0")
            changed[rng.randrange(len(changed))] = rng.randrange(256)
            for octets in (whole[:end], bytes(changed)):
                read_head(octets)
                read_request(octets)
