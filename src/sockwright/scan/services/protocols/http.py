"""HTTP (RFC 9110, RFC 9112): one GET, and what its answer says; what stands on HTTP is told by it.

Nothing but GET is sent, of ``/`` and, where the answer shows that a program tells its version
elsewhere, of that one path. Redirects are told, not followed.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from sockwright.scan.services.finding import PRODUCT_KNOWN, PROTOCOL_KNOWN, Finding
from sockwright.scan.services.probe import Probe
from sockwright.scan.services.text import clean

if TYPE_CHECKING:
    from sockwright.scan.services.probe import Visit
    from sockwright.scan.services.stream import Place, Stream
    from sockwright.scan.services.waiting import Steps

__all__ = ["HTTP", "HTTP2", "get", "read_http"]

_PORTS: Final = (
    80, 81, 591, 593, 631, 2375, 2379, 3000, 3128, 4040, 5000, 5601, 5800, 5985, 5984, 7001, 8000,
    8001, 8006, 8008, 8010, 8065, 8069, 8080, 8081, 8082, 8083, 8086, 8088, 8090, 8096, 8123, 8161,
    8180, 8200, 8222, 8500, 8529, 8800, 8880, 8888, 8983, 9000, 9001, 9080, 9090, 9091, 9093, 9115,
    9200, 9411, 10000, 10255, 15672, 16686, 32400, 50000, 50070,
)  # fmt: skip
_TLS_PORTS: Final = (
    443, 832, 1443, 2376, 2379, 2443, 3443, 4443, 4444, 5443, 5986, 6443, 7443, 8006, 8443, 8834,
    9200, 9443, 10000, 10250, 10443, 12443, 15671, 20000,
)  # fmt: skip
_MOST_HEADERS: Final = 100
_MOST_BODY: Final = 16384
# What servers answer to plain HTTP on a port for TLS.
_WANTS_TLS: Final = (b"plain HTTP request was sent to HTTPS", b"HTTP request to an HTTPS server",
                     b"speaking plain HTTP to an SSL", b"requires TLS")  # fmt: skip
# Headers whose text is looked up under "http." and their name.
_TELLING: Final = (
    "server", "x-powered-by", "via", "x-jenkins", "x-influxdb-version", "x-aspnet-version",
    "x-generator", "x-drupal-cache", "api-version", "x-plex-protocol", "x-docker-registry-version",
    "docker-distribution-api-version", "kbn-name", "x-vault-token", "x-couchdb-body-time",
    "x-etcd-cluster-id", "x-clickhouse-server-display-name", "www-authenticate", "set-cookie",
    "location", "x-cache",
)  # fmt: skip
# A program that is known by its answer, and the path where it tells its version.
_VERSION_PATHS: Final = {
    "kubernetes": "/version",
    "etcd-client": "/version",
    "docker": "/version",
    "prometheus": "/api/v1/status/buildinfo",
}
_VERSION_KEYS: Final = (b"gitVersion", b"etcdserver", b"Version", b"version")


def get(path: str, place: Place) -> bytes:
    """Make a request."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {place.called}:{place.port}\r\n"
        "User-Agent: sockwright\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    ).encode("ascii", "replace")


def read_http(octets: bytes) -> Finding | None:
    """Read an answer of HTTP/1; None where it is none, or where it says that it wants TLS."""
    start = re.match(rb"HTTP/1\.[01] ([1-5]\d\d)(?: ([^\r\n]{0,200}))?", octets)
    if start is None:
        return None
    head, _, body = octets.partition(b"\r\n\r\n")
    if not body and b"\n\n" in octets[:_MOST_BODY]:
        head, _, body = octets.partition(b"\n\n")
    body = body[:_MOST_BODY]
    headers = _headers(head)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _joined(body)
    if start[1] == b"400" and any(text in body for text in _WANTS_TLS):
        return None
    finding = Finding("http", confidence=PROTOCOL_KNOWN, banner=start[0])
    finding.detail("http.status", start[1] + b" " + (start[2] or b""))
    finding.learn("http.reason", start[2] or b"")
    for name, key in (("server", "http.server"), ("location", "http.location"),
                      ("www-authenticate", "http.authenticate"), ("via", "http.via"),
                      ("x-powered-by", "http.powered_by"),
                      ("alt-svc", "http.alt_svc")):  # fmt: skip
        finding.detail(key, headers.get(name))
    if "strict-transport-security" in headers:
        finding.detail("http.hsts", headers["strict-transport-security"])
    for name in _TELLING:
        if name in headers:
            finding.learn(f"http.{name}", headers[name])
    if not finding.product and (server := headers.get("server")):
        _own_words(finding, server)
    title = _title(body)
    finding.detail("http.title", title)
    if title:
        finding.learn("http.title", clean(title))
    if body:
        finding.learn("http.body", body.decode("utf-8", "replace").lstrip())
        finding.learn("http.end", body[-200:].decode("utf-8", "replace"))
    if finding.name in _VERSION_PATHS:
        finding.follow = _ask_version
    elif not finding.product and (path := _elsewhere(start[1], body)):
        finding.follow = partial(_ask_elsewhere, path)
    return finding


def _elsewhere(status: bytes, body: bytes) -> str:
    """Return the path by which a program tells its name that says nothing under ``/``."""
    if status == b"404" and body == b"404 page not found\n":  # Go's net/http: maybe etcd
        return "/version"
    return "/v2/" if status == b"200" and not body else ""  # maybe a Docker registry


def _joined(body: bytes) -> bytes:
    """Join the chunks (RFC 9112 section 7.1), as many as are there."""
    pieces = []
    at = 0
    while size := re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]{0,80}\r\n").match(body, at):
        pieces.append(body[size.end() : size.end() + int(size[1], 16)])
        at = size.end() + int(size[1], 16) + 2
    return b"".join(pieces)


def _headers(head: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in head.split(b"\n", _MOST_HEADERS)[1:_MOST_HEADERS]:
        name, colon, value = line[:2048].partition(b":")
        if colon and name:
            # Of a header that comes twice the first counts.
            found.setdefault(
                name.strip().decode("latin-1").lower(), value.strip().decode("utf-8", "replace")
            )
    return found


def _own_words(finding: Finding, server: str) -> None:
    """Take ``Product/version (extra)``, RFC 9110 section 10.2.4, by its word; or with a blank."""
    match = re.match(r"([A-Za-z][\w .+!-]{0,60}?)(?:[/ ]v?(\d[\w.+~-]{0,40}))?(?=[ (;,]|$)", server)
    if match:
        finding.product_is(match[1], match[2] or "", confidence=0.9)
        finding.extra = server[match.end() :].strip(" ()")[:100]


def _title(body: bytes) -> bytes:
    lower = body.lower()
    begin = lower.find(b"<title")
    begin = lower.find(b">", begin, begin + 256) if begin >= 0 else -1
    if begin < 0:
        return b""
    end = lower.find(b"</title", begin)
    title = body[begin + 1 : end if end >= 0 else begin + 400]
    return b" ".join(title[:1200].split())


def _ask_version(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    stream.close()
    path = _VERSION_PATHS[finding.name]
    answer = yield from visit.ask_again(get(path, visit.place))
    for key in _VERSION_KEYS:
        # JSON of strangers is not parsed for one string: it may be nested without end.
        match = re.search(rb'"' + key + rb'"\s{0,8}:\s{0,8}"([^"]{1,60})"', answer[:_MOST_BODY])
        if match and not finding.version:
            finding.version = clean(match[1], 60)
            finding.confidence = PRODUCT_KNOWN
            finding.detail("http.version_path", path)


def _ask_elsewhere(path: str, visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    stream.close()
    there = read_http((yield from visit.ask_again(get(path, visit.place))))
    if there is None or not there.product or not there.details["http.status"].startswith("200"):
        return
    for key in ("name", "confidence", "product", "version", "extra", "cpe"):
        setattr(finding, key, getattr(there, key))
    finding.detail("http.version_path", path)


def read_http2(octets: bytes) -> Finding | None:
    """Read the SETTINGS frame that an HTTP/2 server begins with (RFC 9113 section 3.4)."""
    length = int.from_bytes(octets[:3], "big")
    is_settings = len(octets) >= 9 and octets[3] == 4 and octets[5:9] == bytes(4)
    if not is_settings or length % 6 or length > 120:
        return None
    finding = Finding("http", confidence=PROTOCOL_KNOWN, extra="HTTP/2 only, as gRPC servers do")
    finding.detail("http.version", "2")
    return finding


HTTP = Probe(
    "http",
    lambda place: get("/", place),
    read_http,
    ports=_PORTS,
    tls_ports=_TLS_PORTS,
    everywhere=1,
)
# RFC 9113 section 3.4: the preface and an empty SETTINGS frame.
HTTP2 = Probe(
    "http/2",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]),
    read_http2,
    ports=(50051,),
    tls_ports=(50051,),
    everywhere=14,
)
