"""HTTP CONNECT as a client, against answers of every kind."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.errors import ProxyError
from sockwright.machines.http_connect import MAX_HEAD, HttpConnect

_AGREED = b"HTTP/1.1 200 Connection established\r\nVia: here\r\nContent-Length: 7\r\n\r\n"


def _machine() -> HttpConnect:
    return HttpConnect("example.org", 443, proxy="proxy http://p:3128")


def test_the_request_names_the_target_twice() -> None:
    assert _machine().to_send() == (
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"
    )
    assert HttpConnect("::1", 80).to_send().startswith(b"CONNECT [::1]:80 HTTP/1.1\r\n")
    assert HttpConnect("bücher.example", 80).to_send().startswith(b"CONNECT xn--bcher-kva.exa")


def test_a_password_is_sent_as_the_rfc_shows() -> None:
    # RFC 7617 sections 2 and 2.1.
    request = HttpConnect("h", 80, user="Aladdin", password="open sesame").to_send()
    assert b"\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n" in request
    request = HttpConnect("h", 80, user="test", password="123£").to_send()
    assert b"Basic dGVzdDoxMjPCow==\r\n" in request


@pytest.mark.parametrize(
    "answer",
    [
        _AGREED,
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 204 \r\n\r\n",
        b"HTTP/1.1 299 x\n\n",  # LF alone, RFC 9112 section 2.2
        b"HTTP/1.1 200 x\nA: b\r\n\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n" + _AGREED,
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * (MAX_HEAD - 24) + b"\r\n\r\n",
    ],
)
def test_any_2xx_opens_the_tunnel_and_what_follows_is_the_peers(answer: bytes) -> None:
    machine = _machine()
    machine.receive(answer + b"\r\nHTTP/1.1 500 no\r\n\r\n")
    assert machine.done
    assert machine.rest == b"\r\nHTTP/1.1 500 no\r\n\r\n"


def test_an_answer_may_come_octet_by_octet() -> None:
    machine = _machine()
    for octet in b"HTTP/1.1 100 x\r\n\r\n" + _AGREED:
        assert not machine.done
        machine.receive(bytes([octet]))
    assert machine.done
    assert machine.rest == b""


def test_an_answer_that_ends_anywhere_is_said() -> None:
    for length in range(len(_AGREED)):
        machine = _machine()
        if length:
            machine.receive(_AGREED[:length])
        with pytest.raises(ProxyError, match="closed the connection"):
            machine.receive(b"")
        with pytest.raises(ProxyError):
            machine.receive(_AGREED)
        assert not machine.done


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("403 Forbidden", "403 Forbidden: its rules do not allow this connection"),
        ("407 Auth", "407 Auth: it wants a user and a password"),
        ("502 Bad Gateway", "502 Bad Gateway: it could not connect to the target"),
        ("504 Timeout", "504 Timeout: the target did not answer it in time"),
        ("405 No", "405 No: it does not do CONNECT"),
        ("302", "443: 302$"),
        ("599 Odd", "443: 599 Odd$"),
        ("101 Switching", "443: 101 Switching$"),
    ],
)
def test_each_refusal_says_what_it_means(answer: str, said: str) -> None:
    machine = _machine()
    with pytest.raises(ProxyError, match=said) as caught:
        machine.receive(f"HTTP/1.1 {answer}\r\nServer: x\r\n\r\nthe body".encode())
    assert str(caught.value).startswith("proxy http://p:3128: no connection to example.org:443: ")
    assert caught.value.code == int(answer[:3])


def test_a_password_that_is_refused_is_told_from_one_that_is_missing() -> None:
    machine = HttpConnect("h", 80, user="me", password="wrong")
    with pytest.raises(ProxyError, match="does not accept this user and password"):
        machine.receive(
            b"HTTP/1.1 407 x\r\nPROXY-AUTHENTICATE : Digest realm=a\r\n"
            b"Proxy-Authenticate: Basic realm=b\r\n\r\n"
        )
    machine = HttpConnect("h", 80, user="me", password="wrong")
    with pytest.raises(ProxyError, match="it wants digest or ntlm, only Basic is spoken here"):
        machine.receive(
            b"HTTP/1.1 407 x\r\nproxy-authenticate: Digest realm=a\n"
            b"Proxy-Authenticate: NTLM\r\n\r\n"
        )


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"\5\xff",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 \r\n\r\n",
        b"HTTP/1.1 20 x\r\n\r\n",
        b"HTTP/1.1 2000 x\r\n\r\n",
        b"HTTP/1.1 099 x\r\n\r\n",
        b"HTTP/1.1 +20 x\r\n\r\n",
        b"HTTP/1.1 \xb2\xb2\xb2 x\r\n\r\n",
        b"HTTP/1.123 200 x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_said_as_soon_as_it_is_seen(answer: bytes) -> None:
    with pytest.raises(ProxyError, match=r": (SOCKS|no HTTP|that is no status line)$"):
        _machine().receive(answer)


def test_words_of_the_proxy_cannot_act_on_a_terminal_and_are_cut() -> None:
    with pytest.raises(ProxyError) as caught:
        _machine().receive(b"HTTP/1.1 500 \x1b[2J\x9b31m\r" + b"x" * 10000 + b"\r\n\r\n")
    text = str(caught.value)
    assert text.isprintable()
    assert "500 .[2J" in text
    assert len(text) < 250


def test_an_endless_answer_ends_at_the_limit() -> None:
    for begin, more in (
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        (b"", b"HTTP/1.1 100 x\r\n\r\n"),
    ):
        machine = _machine()
        machine.receive(begin + more * ((MAX_HEAD - len(begin)) // len(more)))
        with pytest.raises(ProxyError, match=f"longer than {MAX_HEAD} octets"):
            machine.receive(more)


def test_looking_for_the_end_takes_time_in_proportion_to_the_answer() -> None:
    def seconds(octets: int) -> float:
        machine = _machine()
        machine.receive(b"HTTP/1.1 200 OK\r\n")
        begin = time.process_time()
        for _ in range(octets // 2):
            machine.receive(b"\r\n"[::-1])
        return time.process_time() - begin

    # Line ends in the wrong order never end a head, and each is looked at.
    assert min(seconds(60000) for _ in range(3)) < 4 * min(seconds(30000) for _ in range(3))


@pytest.mark.parametrize(
    ("host", "port", "user", "password", "said"),
    [
        ("a b", 80, "", "", "is not a host name"),
        ("a\r\nX", 80, "", "", "is not a host name"),
        ("a/b", 80, "", "", "is not a host name"),
        ("a@b", 80, "", "", "is not a host name"),
        ("a:b", 80, "", "", "is not an IPv6 address"),
        ("fe80::1%lo", 80, "", "", "is not an IPv6 address that a proxy knows"),
        ("h", 65536, "", "", "port 65536"),
        ("h", 80, "a:b", "", "no colon"),
        ("h", 80, "a", "b\r\nX: y", "no control characters"),
        ("h", 80, "a", "\udcff", "not text that UTF-8 has"),
        ("h", 80, "a", "b" * 4095, "more than 4096 octets"),
    ],
)
def test_nothing_can_be_smuggled_into_the_request(
    host: str, port: int, user: str, password: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        HttpConnect(host, port, user=user, password=password)


@given(st.lists(st.binary(max_size=60)), st.booleans())
def test_random_octets_end_in_an_answer_or_in_one_error(pieces: list[bytes], begun: bool) -> None:
    machine = _machine()
    machine.to_send()
    try:
        machine.receive(b"HTTP/1.1 200 x\r\n" if begun else b"HTTP/1.1 ")
        for piece in pieces:
            machine.receive(piece)
            assert machine.to_send() == b""
    except ProxyError:
        assert not machine.done


@given(st.integers(0, len(_AGREED) - 1), st.integers(0, 255))
def test_a_wrong_octet_anywhere_ends_in_an_answer_or_in_one_error(at: int, octet: int) -> None:
    wrong = bytearray(_AGREED)
    wrong[at] = octet
    machine = _machine()
    try:
        machine.receive(wrong)
        machine.receive(b"")
    except ProxyError:
        assert not machine.done
