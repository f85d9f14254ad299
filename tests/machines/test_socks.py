"""SOCKS as a client, against answers given octet by octet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.errors import ProxyError
from sockwright.machines.socks import Socks4, Socks5

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.machines.handshake import Handshake

    Make = Callable[[], Handshake]

# A whole talk with each kind of answer: what the proxy says, piece by piece.
_AGREED_5 = bytes.fromhex("050005000001 7f000001 1f90")
_AGREED_5_PASSWORD = bytes.fromhex("0502010005000004" + "00" * 15 + "011f90")
_AGREED_5_NAME = bytes.fromhex("050005000003 03616263 0050")
_AGREED_4 = bytes.fromhex("005a 0000 00000000")


def _socks5() -> Socks5:
    return Socks5("example.org", 80)


def _socks5_password() -> Socks5:
    return Socks5("::1", 80, user="me", password="secret")


def _socks4() -> Socks4:
    return Socks4("127.0.0.1", 80, user="me")


_TALKS = [
    pytest.param(_socks5, _AGREED_5, id="5"),
    pytest.param(_socks5, _AGREED_5_NAME, id="5 name"),
    pytest.param(_socks5_password, _AGREED_5_PASSWORD, id="5 password"),
    pytest.param(_socks4, _AGREED_4, id="4"),
]


def test_version_5_asks_for_a_name_without_authentication() -> None:
    machine = Socks5("example.org", 8080)
    assert machine.to_send() == bytes([5, 1, 0])
    assert machine.to_send() == b""
    machine.receive(bytes([5, 0]))
    assert machine.to_send() == b"\5\1\0\3\x0bexample.org\x1f\x90"
    machine.receive(_AGREED_5[2:])
    assert machine.done
    assert machine.rest == b""


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", bytes([1, 127, 0, 0, 1])),
        ("::1", bytes([4]) + bytes(15) + b"\1"),
        ("bücher.example", b"\3\x15xn--bcher-kva.example"),
    ],
)
def test_version_5_says_addresses_as_addresses_and_names_in_ascii(
    host: str, address: bytes
) -> None:
    machine = Socks5(host, 80)
    machine.to_send()
    machine.receive(bytes([5, 0]))
    assert machine.to_send() == b"\5\1\0" + address + b"\0\x50"


def test_version_5_sends_a_password_where_the_proxy_chooses_that() -> None:
    machine = Socks5("127.0.0.1", 80, user="mé", password="se:cret")
    assert machine.to_send() == bytes([5, 2, 0, 2])
    machine.receive(bytes([5, 2]))
    assert machine.to_send() == b"\1\3m\xc3\xa9\7se:cret"
    machine.receive(bytes([1, 0]))
    assert machine.to_send().startswith(b"\5\1\0\1")


def test_version_5_sends_no_password_where_none_is_wanted() -> None:
    machine = Socks5("127.0.0.1", 80, user="me", password="secret")
    machine.to_send()
    machine.receive(bytes([5, 0]))
    assert b"secret" not in machine.to_send()


def test_version_4_is_one_question() -> None:
    machine = Socks4("192.0.2.1", 80, user="me")
    assert machine.to_send() == b"\4\1\0\x50\xc0\0\2\1me\0"
    machine.receive(_AGREED_4)
    assert machine.done


def test_version_4a_sends_a_name_behind_an_address_that_cannot_be() -> None:
    assert Socks4("example.org", 80).to_send() == b"\4\1\0\x50\0\0\0\1\0example.org\0"


@pytest.mark.parametrize(("make", "answer"), _TALKS)
def test_what_comes_behind_the_answer_is_the_peers(make: Make, answer: bytes) -> None:
    machine = make()
    machine.receive(answer + b"\5\1SSH")
    assert machine.done
    assert machine.rest == b"\5\1SSH"
    machine.receive(b"-2.0")
    assert machine.rest == b"\5\1SSH-2.0"


@pytest.mark.parametrize(("make", "answer"), _TALKS)
def test_an_answer_may_come_octet_by_octet(make: Make, answer: bytes) -> None:
    machine = make()
    for octet in answer:
        assert not machine.done
        machine.receive(bytes([octet]))
    assert machine.done
    assert machine.rest == b""


@pytest.mark.parametrize(("make", "answer"), _TALKS)
def test_an_answer_that_ends_anywhere_is_said(make: Make, answer: bytes) -> None:
    for length in range(len(answer)):
        machine = make()
        if length:
            machine.receive(answer[:length])
        with pytest.raises(ProxyError, match="closed the connection"):
            machine.receive(b"")
        with pytest.raises(ProxyError, match="closed the connection"):
            machine.receive(answer)
        assert not machine.done


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (1, "general failure"),
        (2, "rules do not allow"),
        (3, "no route leads from it"),
        (4, "does not answer"),
        (5, "nobody listens there"),
        (6, "time to live ran out"),
        (7, "does not support CONNECT"),
        (8, "does not support this type of address"),
        (9, "unassigned"),
        (255, "unassigned"),
    ],
)
def test_each_refusal_of_version_5_says_what_it_means(reply: int, said: str) -> None:
    machine = Socks5("::1", 80, proxy="proxy socks5://p:1080")
    machine.receive(b"\5\0")
    with pytest.raises(ProxyError, match=said) as caught:
        machine.receive(bytes([5, reply]))  # some proxies say no more
    assert str(caught.value).startswith("proxy socks5://p:1080: no connection to [::1]:80: ")
    assert str(caught.value).endswith(f"(reply {reply})")
    assert caught.value.code == reply
    assert caught.value.exit_status == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [(91, "rejects the request"), (92, "cannot reach an identd"), (93, "names another user"),
     (0, "unassigned"), (255, "unassigned")],
)  # fmt: skip
def test_each_refusal_of_version_4_says_what_it_means(code: int, said: str) -> None:
    machine = _socks4()
    with pytest.raises(ProxyError, match=said) as caught:
        machine.receive(bytes([0, code]) + bytes(6))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("make", "answer", "said"),
    [
        (_socks5, b"\5\xff", "wants a user and a password"),
        (_socks5_password, b"\5\xff", "neither this user with a password nor none"),
        (_socks5, b"\5\2", "chose authentication 2, which was not offered"),
        (_socks5_password, b"\5\1", "chose authentication 1, which was not offered"),
        (_socks5_password, b"\5\2\1\1", r"does not accept this user and password \(status 1\)"),
        (_socks5_password, b"\5\2\5\xff", "does not accept this user and password"),
        (_socks5, b"H", "answers as HTTP does"),
        (_socks5, b"\4", "version 4 of SOCKS, not 5"),
        (_socks5, b"\x15", "begins with octet 21: that is not SOCKS5"),
        (_socks5, b"\5\0\4\0", "version 4 of SOCKS, not 5"),
        (_socks5, b"\5\0\5\0\0\2", "address of type 2"),
        (_socks4, b"\5", "version 5 of SOCKS, not 4"),
        (_socks4, b"\4\1", "sends back what it gets, no SOCKS4"),
        (_socks4, b"HTTP/1.1 400", "answers as HTTP does, not as SOCKS4"),
    ],
)
def test_what_no_such_proxy_says_is_said(make: Make, answer: bytes, said: str) -> None:
    machine = make()
    with pytest.raises(ProxyError, match=said):
        machine.receive(answer)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Socks5("a" * 254, 80), "is not a host name"),
        (lambda: Socks5("", 80), "is not a host name"),
        (lambda: Socks5("a\nb", 80), "is not a host name"),
        (lambda: Socks5("\udcff", 80), "is not a host name"),
        (lambda: Socks5("fe80::1%eth0", 80), "is not an IPv6 address that a proxy knows"),
        (lambda: Socks5("h", 0), "port 0"),
        (lambda: Socks5("h", 80, user="a" * 256), "256 octets, SOCKS takes 255"),
        (lambda: Socks5("h", 80, user="a", password="é" * 128), "password has 256 octets"),
        (lambda: Socks5("h", 80, user="\udcff"), "not text that UTF-8 has"),
        (lambda: Socks5("h", 80, password="a"), "needs a user"),
        (lambda: Socks4("::1", 80), "no IPv6 addresses"),
        (lambda: Socks4("0.0.0.7", 80), "would mean that a name follows"),
        (lambda: Socks4("a\0b", 80), "is not a host name"),
        (lambda: Socks4("h", 80, user="a\0b"), "no NUL"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_sent(make: Make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


@given(st.sampled_from([_socks5, _socks5_password, _socks4]), st.lists(st.binary(max_size=40)))
def test_random_octets_end_in_an_answer_or_in_one_error(make: Make, pieces: list[bytes]) -> None:
    machine = make()
    sent = len(machine.to_send())
    try:
        for piece in pieces:
            machine.receive(piece)
            sent += len(machine.to_send())
    except ProxyError:
        assert not machine.done
    assert sent < 100


@given(st.sampled_from(_TALKS), st.data())
def test_a_wrong_octet_anywhere_ends_in_an_answer_or_in_one_error(
    talk: object, data: st.DataObject
) -> None:
    make, answer = talk.values  # type: ignore[attr-defined]
    wrong = bytearray(answer)
    wrong[data.draw(st.integers(0, len(answer) - 1))] = data.draw(st.integers(0, 255))
    machine = make()
    try:
        machine.receive(wrong)
        machine.receive(b"")
    except ProxyError:
        assert not machine.done
