"""Proxies as people write them, and real proxies: ncat, microsocks and Dante, over loopback."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import until

from sockwright.errors import EndpointError, ProxyError
from sockwright.nc.proxy import Proxy, handshake, needs_lookup, parse_proxy
from sockwright.sockets import Endpoint, Listener, Stream, connect, listen, parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nc.peers import Peers

_PATIENCE_S = 20


@pytest.mark.parametrize(
    ("text", "kind", "proxy"),
    [
        ("127.0.0.1", "", "socks5://127.0.0.1:1080"),
        ("127.0.0.1:99", "4", "socks4://127.0.0.1:99"),
        ("proxy.example", "connect", "http://proxy.example:3128"),
        ("[::1]", "http", "http://[::1]:3128"),
        ("::1", "5", "socks5://[::1]:1080"),
        ("[::1]:99", "socks4a", "socks4a://[::1]:99"),
        ("http://h", "", "http://h:3128"),
        ("HTTP://h:8080/", "connect", "http://h:8080"),
        ("socks5h://h", "5", "socks5://h:1080"),
        ("socks4a://h:1", "", "socks4a://h:1"),
    ],
)
def test_a_proxy_is_read_in_the_words_of_nc_ncat_and_curl(text: str, kind: str, proxy: str) -> None:
    assert str(parse_proxy(text, kind)) == proxy


def test_user_and_password_stand_in_the_url_or_beside_it() -> None:
    proxy = parse_proxy("socks5://me%40home:p%3Aw%2F@h")
    assert (proxy.user, proxy.password) == ("me@home", "p:w/")
    proxy = parse_proxy("h", auth="me:p%3A:w")
    assert (proxy.user, proxy.password) == ("me", "p%3A:w")
    assert parse_proxy("socks4://me@h").user == "me"


def test_a_password_is_never_shown() -> None:
    proxy = parse_proxy("http://me:secret@h")
    assert "secret" not in f"{proxy} {proxy!r} {proxy.endpoint}"
    for text in ("http://me:secret@", "http://me:secret@h:x", "ftp://me:secret@h", "me:secret@:1"):
        with pytest.raises(EndpointError) as caught:
            parse_proxy(text)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "auth", "said"),
    [
        ("ftp://h", "", "", "'ftp' is no kind of proxy; known: socks4, socks4a, socks5"),
        ("h", "6", "", "'6' is no kind of proxy"),
        ("http://h", "5", "", "http in its URL and 5 beside it"),
        ("http://a:b@h", "", "a:b", "stands twice"),
        ("", "", "", "host of the proxy is missing"),
        ("http://", "", "", "host of the proxy is missing"),
        (":80", "", "", "host of the proxy is missing"),
        ("h:http", "", "", "the proxy 'h:http': the port 'http' is not a number"),
        ("h:99999", "", "", "the proxy 'h:99999': port 99999 is not in"),
        ("socks4://a:b@h", "", "", "SOCKS4 knows a user but no password"),
        ("http://:b@h", "", "", "needs a user"),
        ("http://%ff@h", "", "", "is not UTF-8"),
    ],
)
def test_what_is_no_proxy_is_said(text: str, kind: str, auth: str, said: str) -> None:
    with pytest.raises(EndpointError, match=said):
        parse_proxy(text, kind, auth=auth)


@pytest.mark.parametrize(
    ("proxy", "target", "said"),
    [
        ("socks5://p", "udp://h:1", "connects to tcp: endpoints"),
        ("socks5://p", "tcp://:1", "means this host"),
        ("socks5://p", "tcp://[fe80::1%lo]:1", "means this host"),
        ("socks5://p", "tcp://h:0", "port 0"),
        ("socks4://p", "tcp://[::1]:1", "no IPv6 addresses"),
        ("http://p", f"tcp://{'a' * 300}:1", "is not a host name"),
    ],
)
def test_a_target_that_a_proxy_cannot_reach_is_said(proxy: str, target: str, said: str) -> None:
    with pytest.raises(EndpointError, match=said):
        handshake(parse_proxy(proxy), parse_endpoint(target))


def test_only_plain_socks4_asks_the_resolver_of_this_host() -> None:
    name, address = parse_endpoint("tcp://localhost:80"), parse_endpoint("tcp://127.0.0.1:80")
    assert needs_lookup(parse_proxy("socks4://p"), name)
    assert not needs_lookup(parse_proxy("socks4://p"), address)
    assert not needs_lookup(parse_proxy("socks4a://p"), name)
    request = handshake(parse_proxy("socks4://me@p"), name).to_send()
    assert request == b"\4\1\0\x50\x7f\0\0\1me\0"
    request = handshake(parse_proxy("socks4a://p"), name).to_send()
    assert request == b"\4\1\0\x50\0\0\0\1\0localhost\0"


# Real proxies.


@pytest.fixture
def target() -> Iterator[Listener[Stream]]:
    with listen("tcp://127.0.0.1:0", timeout=_PATIENCE_S) as listener:
        yield listener


@pytest.fixture
def ncat(peers: Peers) -> Proxy:
    return _ncat(peers)


def _ncat(peers: Peers, *options: str) -> Proxy:
    # As a proxy ncat listens on every address, whatever it is told.
    words = ["ncat", "-4", "-k", "-l", "--allow", "127.0.0.1", "--proxy-type", "http", *options]
    server = peers.run([*words, "127.0.0.1", "0"])
    return Proxy("http", Endpoint("tcp", "127.0.0.1", server.until_listening().port))


def _microsocks(peers: Peers, *options: str) -> Proxy:
    server = peers.run(["microsocks", "-i", "127.0.0.1", "-p", "0", *options])
    return Proxy("socks5", Endpoint("tcp", "127.0.0.1", server.until_listening().port))


def _tinyproxy(peers: Peers, *lines: str) -> Proxy:
    configuration = peers.folder / "tinyproxy.conf"
    port = peers.hold_port(peers.place("tcp4"))
    settings = [f"Port {port}", "Listen 127.0.0.1", "Allow 127.0.0.1", *lines]
    configuration.write_text("\n".join([*settings, ""]))
    server = peers.run(["tinyproxy", "-d", "-c", str(configuration)])
    return Proxy("http", Endpoint("tcp", "127.0.0.1", server.until_listening().port))


def _dante(peers: Peers) -> Endpoint:
    """Start Dante, which knows all versions of SOCKS, with a rule against port 9."""
    port = peers.hold_port(peers.place("tcp4"))
    configuration = peers.folder / "danted.conf"
    privileged = pwd.getpwuid(os.geteuid()).pw_name
    user = "nobody" if privileged == "root" else privileged
    configuration.write_text(
        f"""
        logoutput: stderr
        internal: 127.0.0.1 port = {port}
        external: lo
        clientmethod: none
        socksmethod: none
        user.privileged: {privileged}
        user.unprivileged: {user}
        client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
        socks block {{ from: 0.0.0.0/0 to: 127.0.0.0/8 port = 9 }}
        socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 command: connect }}
        """
    )
    server = peers.run(["danted", "-f", str(configuration), "-p", str(peers.folder / "pid")])
    server.read_errors("running")
    return Endpoint("tcp", "127.0.0.1", port)


def _through(proxy: Proxy, host: str, port: int) -> tuple[Stream, bytes]:
    """Connect through `proxy`; return the stream and what came behind the proxy's answer."""
    machine = handshake(proxy, Endpoint("tcp", host, port))
    stream = connect(proxy.endpoint, timeout=_PATIENCE_S)
    try:
        while not machine.done:
            if octets := machine.to_send():
                stream.send_all(octets)
            else:
                machine.receive(stream.receive())
    except BaseException:
        stream.close()
        raise
    return stream, machine.rest


def _converse(proxy: Proxy, host: str, target: Listener[Stream]) -> None:
    """Have both sides say something large, the peer at once, and count every octet."""
    local = target.local_address
    stream, rest = _through(proxy, host, local.port)
    with stream, target.accept() as peer:
        peer.timeout = _PATIENCE_S
        peer.send_all(b"banner\r\n")
        if len(rest) < 8:
            rest += stream.recv_exactly(8 - len(rest))
        assert rest == b"banner\r\n"
        stream.send_all(b"\5\0" * 10000)
        assert peer.recv_exactly(20000) == b"\5\0" * 10000
        peer.close()
        assert stream.receive() == b""


@pytest.mark.needs("ncat")
def test_http_through_ncat(ncat: Proxy, target: Listener[Stream]) -> None:
    _converse(ncat, "127.0.0.1", target)
    _converse(ncat, "localhost", target)


@pytest.mark.needs("ncat")
def test_http_through_ncat_with_a_password(peers: Peers, target: Listener[Stream]) -> None:
    proxy = _ncat(peers, "--proxy-auth", "me:se:cret")
    _converse(Proxy("http", proxy.endpoint, "me", "se:cret"), "127.0.0.1", target)
    port = target.local_address.port
    with pytest.raises(ProxyError, match=r"407 .*: it wants a user and a password"):
        _through(proxy, "127.0.0.1", port)
    with pytest.raises(ProxyError, match=r"407 .*: it does not accept this user and password"):
        _through(Proxy("http", proxy.endpoint, "me", "wrong"), "127.0.0.1", port)


@pytest.mark.needs("ncat")
def test_http_to_a_closed_port_says_that_the_target_is_not_reached(ncat: Proxy) -> None:
    with pytest.raises(ProxyError, match=r"no connection to 127\.0\.0\.1:1: 504 ") as caught:
        _through(ncat, "127.0.0.1", 1)
    assert caught.value.code == 504


@pytest.mark.needs("tinyproxy")
def test_http_through_tinyproxy(peers: Peers, target: Listener[Stream]) -> None:
    proxy = _tinyproxy(peers, "BasicAuth me secret")
    allowed = Proxy("http", proxy.endpoint, "me", "secret")
    _converse(allowed, "127.0.0.1", target)
    _converse(allowed, "localhost", target)
    with pytest.raises(ProxyError, match=r"407 .*: it wants a user and a password") as caught:
        _through(proxy, "127.0.0.1", 9)
    assert caught.value.code == 407
    with pytest.raises(ProxyError, match=r"127\.0\.0\.1:1: 500 "):
        _through(allowed, "127.0.0.1", 1)


@pytest.mark.needs("tinyproxy")
def test_http_to_a_port_that_the_proxy_forbids(peers: Peers) -> None:
    proxy = _tinyproxy(peers, "ConnectPort 443")
    with pytest.raises(ProxyError, match=r"403 .*: its rules do not allow this connection"):
        _through(proxy, "127.0.0.1", 9)


@pytest.mark.needs("microsocks")
def test_socks5_through_microsocks(peers: Peers, target: Listener[Stream]) -> None:
    proxy = _microsocks(peers)
    _converse(proxy, "127.0.0.1", target)
    _converse(proxy, "localhost", target)
    with pytest.raises(ProxyError, match="nobody listens there") as caught:
        _through(proxy, "127.0.0.1", 1)
    assert caught.value.code == 5


@pytest.mark.needs("microsocks")
def test_socks5_to_ipv6(peers: Peers) -> None:
    proxy = _microsocks(peers)
    with listen("tcp://[::1]:0", timeout=_PATIENCE_S) as target:
        _converse(proxy, "::1", target)


@pytest.mark.needs("microsocks")
def test_socks5_with_a_password(peers: Peers, target: Listener[Stream]) -> None:
    proxy = _microsocks(peers, "-u", "me", "-P", "se:cret")
    _converse(Proxy("socks5", proxy.endpoint, "me", "se:cret"), "127.0.0.1", target)
    port = target.local_address.port
    with pytest.raises(ProxyError, match="wants a user and a password"):
        _through(proxy, "127.0.0.1", port)
    with pytest.raises(ProxyError, match="does not accept this user and password"):
        _through(Proxy("socks5", proxy.endpoint, "me", "wrong"), "127.0.0.1", port)


@pytest.mark.needs("danted")
def test_socks_4_and_5_through_dante(peers: Peers, target: Listener[Stream]) -> None:
    endpoint = _dante(peers)
    proxy = Proxy("socks4", endpoint, "me")
    _converse(proxy, "127.0.0.1", target)
    _converse(proxy, "localhost", target)
    with pytest.raises(ProxyError, match=r"rejects the request, .*\(code 91\)"):
        _through(proxy, "127.0.0.1", 1)
    proxy = Proxy("socks5", endpoint)
    _converse(proxy, "127.0.0.1", target)
    _converse(proxy, "localhost", target)
    with pytest.raises(ProxyError, match=r"nobody listens there, .*\(reply 5\)"):
        _through(proxy, "127.0.0.1", 1)
    with pytest.raises(ProxyError, match=r"its rules do not allow this .*\(reply 2\)"):
        _through(proxy, "127.0.0.1", 9)


@pytest.mark.needs("twistd3")
def test_socks_4a_through_twisted(peers: Peers, target: Listener[Stream]) -> None:
    # Dante reads no names in version 4.
    words = ["twistd3", "--nodaemon", "--pidfile=", "--logfile=-"]
    server = peers.run(
        [*words, "socks", "-i", "127.0.0.1", "-p", "0"], environment={"PYTHONPATH": ""}
    )
    until(lambda: b" starting on " in server.received, "Twisted says its port", server)
    port = int(server.received.partition(b" starting on ")[2].split()[0])
    endpoint = Endpoint("tcp", "127.0.0.1", port)
    for proxy in (Proxy("socks4a", endpoint, "me"), Proxy("socks4", endpoint)):
        _converse(proxy, "localhost", target)
        _converse(proxy, "127.0.0.1", target)
        with pytest.raises(ProxyError, match=r"could not connect .*\(code 91\)"):
            _through(proxy, "127.0.0.1", 1)


@pytest.mark.needs("microsocks")
def test_a_proxy_of_another_kind_is_recognised(peers: Peers) -> None:
    with pytest.raises(ProxyError, match=r"its answer begins with .*: SOCKS$"):
        _through(Proxy("http", _microsocks(peers).endpoint), "127.0.0.1", 9)
