"""Proxies: what people write after ``-x`` and ``--proxy``, and the machine that talks to each kind.

    proxy = [scheme "://" [user [":" password] "@"]] host [":" port]
    scheme = "socks4" / "socks4a" / "socks5" / "socks5h" / "http"

User and password may have ``%41`` in them. Without a scheme the kind is what ``-X`` or
``--proxy-type`` says, else SOCKS5; the port is 1080, for HTTP 3128. Names are looked up by the
proxy, so this host's resolver does not hear of them; only plain SOCKS4 has no names.

    machine = handshake(proxy, parse_endpoint("tcp://example.org:80"))

`sockwright.machines.handshake` shows how to go on, over a stream that is connected to
`proxy.endpoint`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sockwright.errors import EndpointError
from sockwright.sockets import addresses
from sockwright.sockets.endpoint import Endpoint, parse_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from sockwright.machines.handshake import Handshake

    Kind = Literal["socks4", "socks4a", "socks5", "http"]

__all__ = ["Proxy", "handshake", "needs_lookup", "parse_proxy"]

# The words of curl, of OpenBSD nc's -X and of ncat's --proxy-type.
_KINDS: dict[str, Kind] = {
    "socks4": "socks4",
    "4": "socks4",
    "socks4a": "socks4a",
    "4a": "socks4a",
    "socks5": "socks5",
    "socks5h": "socks5",
    "5": "socks5",
    "http": "http",
    "connect": "http",
}
_SCHEMES = ("socks4", "socks4a", "socks5", "socks5h", "http")
_EXAMPLES = "socks5://127.0.0.1:1080, http://user:password@proxy:3128"


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy; `str()` writes it without the password.

    Raises:
        EndpointError: the endpoint is not one of TCP or UNIX, or SOCKS4 was given a password.
    """

    kind: Kind
    endpoint: Endpoint
    user: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.kind not in {"socks4", "socks4a", "socks5", "http"}:
            raise EndpointError(f"{self.kind!r} is no kind of proxy; known: {', '.join(_SCHEMES)}")
        if self.endpoint.scheme not in {"tcp", "unix", "unix-abstract"}:
            raise EndpointError(f"a proxy is reached by tcp: or unix:, not by {self.endpoint}")
        if self.password and self.kind in {"socks4", "socks4a"}:
            raise EndpointError("SOCKS4 knows a user but no password; socks5 and http do")
        if self.password and not self.user:
            raise EndpointError("the password of a proxy needs a user: USER:PASSWORD")

    def __str__(self) -> str:
        text = str(self.endpoint)
        return f"{self.kind}://{text.removeprefix('tcp://')}"


def parse_proxy(text: str, kind: str = "", *, auth: str = "") -> Proxy:
    """Read a proxy as the grammar above says.

    `kind` is what ``-X`` (4, 5, connect) or ``--proxy-type`` (socks4, socks4a, socks5, http) says,
    `auth` what ``--proxy-auth`` says: ``USER:PASSWORD`` as it is, without escapes.

    Raises:
        EndpointError: (a `ValueError`) with what is wrong; no password is repeated in it.
    """
    if kind and kind not in _KINDS:
        raise EndpointError(
            f"{kind!r} is no kind of proxy; known: {', '.join(_SCHEMES)}, and 4, 5, connect"
        )
    scheme, colon, rest = text.partition("://")
    scheme = scheme.lower()
    if not colon:
        scheme, rest = kind or "socks5", text
    elif scheme not in _SCHEMES:
        raise EndpointError(
            f"{scheme!r} is no kind of proxy; known: {', '.join(_SCHEMES)}, as in {_EXAMPLES}"
        )
    elif kind and _KINDS[kind] != _KINDS[scheme]:
        raise EndpointError(f"the proxy is {scheme} in its URL and {kind} beside it")
    userinfo, at, place = rest.rpartition("@")
    if at and auth:
        raise EndpointError("the user of the proxy stands twice: in its URL, and beside it")
    if at:
        user, _, password = (_unescape(part) for part in userinfo.partition(":"))
    else:
        user, _, password = auth.partition(":")
    return Proxy(_KINDS[scheme], _endpoint(place.removesuffix("/"), _KINDS[scheme]), user, password)


def _endpoint(place: str, kind: Kind) -> Endpoint:
    if place.count(":") > 1 and "[" not in place:
        place = f"[{place}]"
    if not place or place.startswith(":"):
        raise EndpointError(f"the host of the proxy is missing; what fits: {_EXAMPLES}")
    host_end = place.find("]") + 1  # the colons of an IPv6 address are no ports
    port = "" if ":" in place[host_end:] else f":{3128 if kind == 'http' else 1080}"
    try:
        return parse_endpoint(f"tcp://{place}{port}")
    except EndpointError as error:
        raise EndpointError(f"the proxy {place!r}: {str(error).partition(': ')[2]}") from None


def _unescape(text: str) -> str:
    from urllib.parse import unquote  # rare: the rest of nc starts without it

    try:
        return unquote(text, errors="strict")
    except UnicodeError:
        raise EndpointError("the user or the password of the proxy is not UTF-8") from None


def needs_lookup(proxy: Proxy, target: Endpoint) -> bool:
    """Whether `handshake` would ask this host's resolver, which blocks."""
    return proxy.kind == "socks4" and addresses.needs_lookup(target)


def handshake(proxy: Proxy, target: Endpoint) -> Handshake:
    """Return the machine that has `proxy` connect to `target`, a ``tcp:`` endpoint.

    Raises:
        EndpointError: the target, the user or the password do not fit into the protocol.
        OSError: `socket.gaierror`, plain SOCKS4 needed an address and there is none of IPv4.
    """
    if target.scheme != "tcp":
        raise EndpointError(f"a proxy connects to tcp: endpoints, not to {target}")
    if target.host in {"", "*"} or target.zone:
        raise EndpointError(f"{target} means this host, but it is the proxy that connects")
    name = f"proxy {proxy}"
    host, port = target.host, target.port
    try:
        if proxy.kind == "http":
            from sockwright.machines.http_connect import HttpConnect

            return HttpConnect(host, port, user=proxy.user, password=proxy.password, proxy=name)
        from sockwright.machines.socks import Socks4, Socks5

        if proxy.kind == "socks5":
            return Socks5(host, port, user=proxy.user, password=proxy.password, proxy=name)
        if needs_lookup(proxy, target):
            host = _look_up(host)
        return Socks4(host, port, user=proxy.user, proxy=name)
    except EndpointError:
        raise
    except ValueError as error:
        raise EndpointError(f"{name} to {target}: {error}") from None


def _look_up(host: str) -> str:
    import socket

    from sockwright.sockets.explain import explaining

    with explaining(f"look up {host} in IPv4, for SOCKS4 (socks4a sends the name)"):
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    return str(found[0][4][0])
