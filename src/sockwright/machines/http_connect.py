"""HTTP CONNECT as a client: a tunnel through an HTTP proxy, RFC 9110 section 9.3.6.

    CONNECT example.org:443 HTTP/1.1       -> HTTP/1.1 200 Connection established
    Host: example.org:443                     (fields)
    [Proxy-Authorization: Basic ...]          (an empty line; the tunnel begins behind it)

Any 2xx opens the tunnel, and whatever length such an answer claims to have counts for nothing: the
section says to ignore it. 1xx answers may come before (RFC 9110 section 15.2). Lines may end
with LF alone (RFC 9112 section 2.2). `Basic` (RFC 7617) sends the password in the clear.
"""

from __future__ import annotations

from sockwright.machines.handshake import Handshake, as_name, ipv6_octets, port_octets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from sockwright.errors import ProxyError

__all__ = ["MAX_HEAD", "HttpConnect"]

MAX_HEAD = 65536
"""Octets of the answer up to its empty line, with all 1xx answers before it."""

_MAX_CREDENTIALS = 4096  # octets of user and password: proxies take 8192 for a whole request
_MAX_REASON = 80  # characters of the proxy's words that are repeated

# What the codes mean here, RFC 9110 section 15.
_MEANINGS = {
    400: "it does not understand the request",
    401: "this is what a web server says, not a proxy",
    403: "its rules do not allow this connection",
    404: "it knows no such host, or is a web server and no proxy",
    405: "it does not do CONNECT: a web server, or a proxy for plain HTTP only",
    408: "it waited too long for the request",
    429: "too many requests: try later",
    500: "general failure of the proxy",
    501: "it does not do CONNECT",
    502: "it could not connect to the target",
    503: "it is overloaded, or could not reach the target",
    504: "the target did not answer it in time",
}


class HttpConnect(Handshake):
    """Have an HTTP proxy connect to `host`, an address or a name that the proxy looks up.

    Raises:
        ValueError: the host, the user or the password cannot stand in a request.
    """

    def __init__(
        self, host: str, port: int, *, user: str = "", password: str = "", proxy: str = "the proxy"
    ) -> None:
        port_octets(port)
        if ":" in host:
            ipv6_octets(host)
            authority = b"[%b]:%d" % (host.encode(), port)
        else:
            authority = b"%b:%d" % (as_name(host), port)
        self._credentials = _basic(user, password)
        self._request = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n" % (authority, authority)
        if self._credentials:
            self._request += b"Proxy-Authorization: Basic %b\r\n" % self._credentials
        super().__init__(proxy, host, port)

    def _talk(self) -> Generator[None, None, None]:
        self._say(self._request + b"\r\n")
        room = MAX_HEAD
        while True:
            head = yield from self._hear_head(room)
            room -= len(head)
            status, reason = self._status(head)
            if status == 101 or status >= 200:
                break
        if not 200 <= status < 300:
            raise self._refusal(status, reason, head)

    def _hear_head(self, room: int) -> Generator[None, None, bytes]:
        """Wait for an answer up to its empty line, `room` octets at most, and take it."""
        looked = 0
        while True:
            received = self._received
            # What does not begin like HTTP may never have an empty line.
            if not b"HTTP/".startswith(received[:5]):
                kind = "SOCKS" if received[0] in {0, 4, 5} else "no HTTP"
                raise self._error(f"its answer begins with {bytes(received[:20])!r}: {kind}")
            end = _end_of_head(received, max(looked - 3, 0))
            if end > room or (end < 0 and len(received) > room):
                raise self._error(f"its answer is longer than {MAX_HEAD} octets")
            if end >= 0:
                return (yield from self._hear(end))
            if self._ended:
                raise self._broken_off()
            looked = len(received)
            yield

    def _status(self, head: bytes) -> tuple[int, str]:
        """Take the status line apart: RFC 9112 section 4."""
        line = head.partition(b"\n")[0].rstrip(b"\r")
        version, _, rest = line.partition(b" ")
        code, _, reason = rest.partition(b" ")
        known = version[:7] == b"HTTP/1." and len(version) == 8
        if not known or len(code) != 3 or not code.isdigit() or not 100 <= int(code) <= 599:
            raise self._error(f"its answer begins with {line[:40]!r}: that is no status line")
        return int(code), _printable(reason)

    def _refusal(self, status: int, reason: str, head: bytes) -> ProxyError:
        if status == 407:
            schemes = _schemes(head)
            if schemes and "basic" not in schemes:
                meaning = f"it wants {' or '.join(schemes)}, only Basic is spoken here"
            elif self._credentials:
                meaning = "it does not accept this user and password"
            else:
                meaning = "it wants a user and a password"
        else:
            meaning = _MEANINGS.get(status, "")
        said = f"{status} {reason}".rstrip()
        return self._error(
            f"no connection to {self._target}: {said}" + (f": {meaning}" if meaning else ""), status
        )


def _end_of_head(octets: bytearray, start: int) -> int:
    """Return where the octets behind the empty line begin, -1 if it is not there yet."""
    while (at := octets.find(b"\n", start)) >= 0:
        if octets[at + 1 : at + 2] == b"\n":
            return at + 2
        if octets[at + 1 : at + 3] == b"\r\n":
            return at + 3
        start = at + 1
    return -1


def _schemes(head: bytes) -> tuple[str, ...]:
    """Return the names of the schemes in the Proxy-Authenticate fields, in lower case.

    One challenge a field: a list of them in one field gives the first, RFC 9110 section 11.7.1.
    """
    names = []
    for line in head.split(b"\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"proxy-authenticate" and (words := value.split()):
            names.append(_printable(words[0].lower().rstrip(b",")))
    return tuple(names)


def _basic(user: str, password: str) -> bytes:
    """Return the credentials of RFC 7617 section 2; none without a user and a password."""
    if not user and not password:
        return b""
    if ":" in user:
        raise ValueError("a user has no colon in HTTP's Basic authentication")
    pair = f"{user}:{password}"
    if any(ord(mark) < 32 or ord(mark) == 127 for mark in pair):
        raise ValueError("a user and a password have no control characters in HTTP")
    from binascii import b2a_base64

    try:
        octets = pair.encode()
    except UnicodeError:
        raise ValueError("the user or the password is not text that UTF-8 has") from None
    if len(octets) > _MAX_CREDENTIALS:
        raise ValueError(f"user and password have more than {_MAX_CREDENTIALS} octets")
    return b2a_base64(octets, newline=False)


def _printable(octets: bytes) -> str:
    """Return words of the proxy for a message of one line."""
    text = octets[:_MAX_REASON].decode("latin-1").strip()
    return "".join(mark if mark.isprintable() else "." for mark in text)
