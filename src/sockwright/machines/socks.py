r"""SOCKS as a client: version 5 (RFC 1928), with a password (RFC 1929), and versions 4 and 4a.

Version 5, three questions at most:

    05 n method...                 -> 05 method               0 none, 2 password, FF refused
    01 len user len password       -> 01 status               0 agreed; only for method 2
    05 01 00 type address port     -> 05 reply 00 type address port

Version 4 (Y.-D. Lee, "SOCKS: A protocol for TCP proxy across firewalls") and 4a, one question. An
address 0.0.0.1 says that a name follows, which is what 4a adds:

    04 01 port address user 00 [name 00]  -> 00 code port address

The fields are octets of the wire, so the user and the password are UTF-8 here. Both go in the
clear: over a network that others can read they are no secret.
"""

from __future__ import annotations

import socket

from sockwright.machines.handshake import Handshake, as_name, ipv6_octets, port_octets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Socks4", "Socks5"]

_CONNECT = 1
_GRANTED = 90
_IPV4, _NAME, _IPV6 = 1, 3, 4
_NO_AUTHENTICATION, _PASSWORD, _NONE_ACCEPTED = 0, 2, 0xFF
_MAX_FIELD = 255

# RFC 1928 section 6.
_REPLIES_5 = {
    1: "general failure of the proxy",
    2: "its rules do not allow this connection",
    3: "no route leads from it to the network of the target",
    4: "the target does not answer it, or its name does not resolve",
    5: "nobody listens there, the target refused the connection",
    6: "the time to live ran out on the way to the target",
    7: "it does not support CONNECT",
    8: "it does not support this type of address",
}
_REPLIES_4 = {
    91: "it rejects the request, or could not connect to the target",
    92: "it cannot reach an identd (RFC 1413) on this host, which it asks for the user",
    93: "identd on this host names another user than the request",
}


class Socks5(Handshake):
    """Have a SOCKS5 proxy connect to `host`, an address or a name that the proxy looks up.

    Without a `user` only "no authentication" is offered, with one a password as well.

    Raises:
        ValueError: a name, the user or the password does not fit into its field.
    """

    def __init__(
        self, host: str, port: int, *, user: str = "", password: str = "", proxy: str = "the proxy"
    ) -> None:
        self._user = _field(user, "user")
        self._password = _field(password, "password")
        if password and not user:
            raise ValueError("a password needs a user")
        self._address = _typed_address(host) + port_octets(port)
        super().__init__(proxy, host, port)

    def _talk(self) -> Generator[None, None, None]:
        offered = [_NO_AUTHENTICATION, _PASSWORD] if self._user else [_NO_AUTHENTICATION]
        self._say(bytes([5, len(offered), *offered]))
        (version,) = yield from self._hear(1)
        if version != 5:
            raise self._error(_no_socks(version, 5))
        (method,) = yield from self._hear(1)
        if method == _NONE_ACCEPTED:
            raise self._error(
                "it accepts neither this user with a password nor none"
                if self._user
                else "it wants a user and a password, or another kind of authentication"
            )
        if method not in offered:
            raise self._error(f"it chose authentication {method}, which was not offered")
        if method == _PASSWORD:
            yield from self._authenticate()
        self._say(bytes([5, _CONNECT, 0]) + self._address)
        version, reply = yield from self._hear(2)
        if version != 5:
            raise self._error(_no_socks(version, 5))
        if reply:
            # Some proxies end the connection here, without the address.
            meaning = _REPLIES_5.get(reply, "unassigned")
            raise self._error(f"no connection to {self._target}: {meaning} (reply {reply})", reply)
        _, kind = yield from self._hear(2)
        if kind == _NAME:
            (length,) = yield from self._hear(1)
        elif kind in {_IPV4, _IPV6}:
            length = 4 if kind == _IPV4 else 16
        else:
            raise self._error(f"its answer has an address of type {kind}; known are 1, 3 and 4")
        yield from self._hear(length + 2)

    def _authenticate(self) -> Generator[None, None, None]:
        user, password = self._user, self._password
        self._say(bytes([1, len(user)]) + user + bytes([len(password)]) + password)
        # The version is 1, but some proxies say 5: all that counts is the status.
        _, status = yield from self._hear(2)
        if status:
            raise self._error(f"it does not accept this user and password (status {status})")


class Socks4(Handshake):
    """Have a SOCKS4 proxy connect to `host`: an IPv4 address, or a name, which makes it 4a.

    `user` is a name that the proxy may compare; there are no passwords.

    Raises:
        ValueError: an IPv6 address, or something that does not fit into its field.
    """

    def __init__(self, host: str, port: int, *, user: str = "", proxy: str = "the proxy") -> None:
        if ":" in host:
            raise ValueError(f"SOCKS4 has no IPv6 addresses such as {host}; SOCKS5 has")
        if "\0" in user:
            raise ValueError("a user has no NUL in SOCKS4")
        address, name = _ipv4(host), b""
        if address is None:
            address, name = b"\0\0\0\1", as_name(host) + b"\0"
        elif address[:3] == b"\0\0\0":
            raise ValueError(f"SOCKS4 cannot say {host}: it would mean that a name follows")
        self._request = (
            bytes([4, _CONNECT]) + port_octets(port) + address + _field(user, "user") + b"\0" + name
        )
        super().__init__(proxy, host, port)

    def _talk(self) -> Generator[None, None, None]:
        self._say(self._request)
        (version,) = yield from self._hear(1)
        if version:
            raise self._error(_no_socks(version, 4))
        (code,) = yield from self._hear(1)
        if code != _GRANTED:
            meaning = _REPLIES_4.get(code, "unassigned")
            raise self._error(f"no connection to {self._target}: {meaning} (code {code})", code)
        yield from self._hear(6)


def _typed_address(host: str) -> bytes:
    if ":" in host:
        return bytes([_IPV6]) + ipv6_octets(host)
    if (address := _ipv4(host)) is not None:
        return bytes([_IPV4]) + address
    name = as_name(host)
    return bytes([_NAME, len(name)]) + name


def _ipv4(host: str) -> bytes | None:
    try:
        return socket.inet_pton(socket.AF_INET, host)
    except (OSError, ValueError):
        return None


def _field(text: str, what: str) -> bytes:
    try:
        octets = text.encode()
    except UnicodeError:
        raise ValueError(f"the {what} is not text that UTF-8 has") from None
    if len(octets) > _MAX_FIELD:
        raise ValueError(f"the {what} has {len(octets)} octets, SOCKS takes {_MAX_FIELD}")
    return octets


def _no_socks(version: int, wanted: int) -> str:
    if version == ord("H"):
        return f"it answers as HTTP does, not as SOCKS{wanted}"
    if version == wanted:  # of 4, whose answers begin with 0
        return f"its answer begins as a question does: it sends back what it gets, no SOCKS{wanted}"
    if version in {0, 4, 5}:
        return f"it answers in version {version} of SOCKS, not {wanted}"
    return f"its answer begins with octet {version}: that is not SOCKS{wanted}"
