"""Heads of HTTP messages: who says what of itself, and in which order; RFC 9112 sections 2 to 5.

Programs write their header fields in an order of their own, which tells them from others that
borrow their User-Agent: a browser whose fields stand in an order that it never had, or that leaves
out what it always sends, is another program, and its User-Agent counts for nothing. Only a head
that starts with its segment is read, of which the first segment is enough for what is looked at;
nothing is put together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sockwright.identify.signature import Traits

__all__ = ["STARTS", "Head", "printable", "read_head"]

STARTS: Final = frozenset(
    (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"DELE", b"PATC", b"CONN", b"TRAC", b"HTTP")
)
"""The first four octets of a request or response."""

_REQUEST: Final = re.compile(rb"([A-Z]{3,7}) [^ \r\n]{1,4096} HTTP/(\d\.\d)\r?\n")
_RESPONSE: Final = re.compile(rb"HTTP/(\d\.\d) \d{3}(?: [^\r\n]*)?\r?\n")
# A field name is a token, RFC 9110 section 5.6.2; white space before the colon is not allowed.
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([^\r\n]*)\r?\n")
_MOST_OCTETS: Final = 8192
_MOST_FIELDS: Final = 40
_MOST_TEXT: Final = 200
# How browsers order these fields over HTTP/1.1, from their source: nsHttpHandler.cpp of Firefox
# (AddStandardRequestHeaders), net/http and HttpNetworkTransaction of Chromium. They send all of
# them; one may be missing: a user wants no language, a proxy that hides itself no compression.
_ORDERS: Final = (
    ("Firefox/", ("host", "user-agent", "accept", "accept-language", "accept-encoding")),
    # Scripts of a page move Accept to the front.
    ("Chrome/", ("host", "connection", "user-agent", "accept-encoding", "accept-language")),
)
_TELLING: Final = 3  # fields of an order that must be there to say that it is another
# What a person or a page chooses, not the program: it would make one program many.
_NOT_TOLD: Final = frozenset(
    ("cookie", "set-cookie", "referer", "authorization", "content-length", "content-type")
)


@dataclass(frozen=True, slots=True)
class Head:
    """What a head of HTTP tells of the program that wrote it; text is cleaned and bounded.

    `request` is whether it is a client's, `software` its User-Agent or Server, `powered_by` a
    response's X-Powered-By, `via` whether a proxy says that it was there, `fields` the names of the
    header fields in order, in small letters, without those that depend on the page. `whole` is
    whether all of them were there.
    """

    request: bool
    version: str
    software: str
    powered_by: str
    via: str
    fields: tuple[str, ...]
    whole: bool

    @property
    def borrowed(self) -> bool:
        """Whether the User-Agent is that of a browser which has other fields, or another order.

        A proxy may put them into an order of its own, so what came through one is not judged.
        """
        if not self.request or self.via:
            return False
        for name, order in _ORDERS:
            if name in self.software:
                there = [field for field in self.fields if field in order]
                expected = [field for field in order if field in there]
                if self.whole and len(there) < len(order) - 1:
                    return True
                return len(there) >= _TELLING and there != expected
        return False

    @property
    def kind(self) -> str:
        """The kind of evidence: ``http-request`` or ``http-response``."""
        return "http-request" if self.request else "http-response"

    def traits(self) -> Traits:
        """Return what signatures are compared with."""
        found: Traits = {"http.headers": ",".join(self.fields)}
        if self.software and not self.borrowed:
            found["http.agent" if self.request else "http.server"] = self.software
        return found

    def __str__(self) -> str:
        told = self.software or self.powered_by or "no name"
        if self.borrowed:
            told += ", which another program borrows"
        if self.via:
            told += f", via {self.via}"
        return f"{told} ({','.join(self.fields)})"


def read_head(octets: bytes) -> Head | None:
    """Read the head that `octets` start with; None where they are no HTTP.

    It may be cut anywhere: fields up to there are told. Never raises.
    """
    octets = octets[:_MOST_OCTETS]
    request = True
    start = _REQUEST.match(octets)
    version = start[2] if start else b""
    if start is None:
        request = False
        start = _RESPONSE.match(octets)
        if start is None:
            return None
        version = start[1]
    names: list[str] = []
    values: dict[str, str] = {}
    at = start.end()
    while len(names) < _MOST_FIELDS:
        field = _FIELD.match(octets, at)
        if field is None:
            break
        name = field[1].decode("ascii").lower()
        if name not in _NOT_TOLD:
            names.append(name)
        values.setdefault(name, printable(field[2]))
        at = field.end()
    return Head(
        request,
        version.decode("ascii"),
        values.get("user-agent" if request else "server", ""),
        values.get("x-powered-by", ""),
        values.get("via", ""),
        tuple(names),
        octets[at : at + 2] == b"\r\n" or octets[at : at + 1] == b"\n",
    )


def printable(octets: bytes, most: int = _MOST_TEXT) -> str:
    """Return at most `most` characters of text; what could act on a terminal becomes a point."""
    text = octets[: 4 * most].decode("utf-8", "replace").strip()[:most]
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else "." for one in text)
