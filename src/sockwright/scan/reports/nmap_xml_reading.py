"""Read nmap's XML, as nmap and `nmap_xml` write it, host by host.

Rules
    1. expat is fed piece by piece, so a host is given as soon as its element ends, and memory holds
       one host.
    2. Entities that a document declares are refused (they expand without bound), as are elements
       nested deeper than `_MAX_DEPTH`, single tokens over `_MAX_TOKEN` octets, and hosts with more
       ports than there are. A document type without declarations is what nmap writes.
    3. Nothing outside the file is read: there are no external entities without declarations.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final, cast

from sockwright.errors import DecodeError
from sockwright.scan.reports.kept import (
    Equals,
    KeptGroup,
    KeptHost,
    KeptPort,
    KeptService,
    KeptSummary,
    KeptSystem,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.parsers.expat import XMLParserType

    from sockwright.scan.results import PortState, Protocol

__all__ = ["read_nmap_xml"]

_PIECE: Final = 64 << 10
_MAX_DEPTH: Final = 32
_MAX_TOKEN: Final = 4 << 20
_MAX_PORTS: Final = 2 << 16
_MAX_TEXT: Final = 1 << 12
_STATES = frozenset({"open", "closed", "filtered", "unfiltered", "open|filtered"})


def read_nmap_xml(file: IO[bytes], name: str) -> Iterator[KeptHost | KeptSummary]:
    """Give the hosts of a document, and how the scan ended if the document says so.

    `name` is that of the file, for errors. Raises: DecodeError for what is no nmap XML or is
    refused; OSError as read(2).
    """
    from xml.parsers.expat import ExpatError, ParserCreate

    # nmap writes UTF-8: what a document says of its encoding could be any codec of Python.
    parser = ParserCreate("UTF-8")
    reader = _Reader(parser)
    fed = 0
    try:
        while piece := file.read(_PIECE):
            fed += len(piece)
            parser.Parse(piece, False)
            yield from reader.take()
            if fed - parser.CurrentByteIndex > _MAX_TOKEN:
                raise ValueError("a tag or text is too long")  # noqa: TRY301  # told as the others
        # nmap leaves its document open when it is stopped: what there is of it counts.
        if not reader.open:
            parser.Parse(b"", True)
    except ExpatError as error:
        raise DecodeError(name, max(parser.CurrentByteIndex, 0), str(error)) from None
    except (ValueError, KeyError) as error:
        told = f"the attribute {error} is missing" if isinstance(error, KeyError) else str(error)
        raise DecodeError(name, max(parser.CurrentByteIndex, 0), told) from None


class _Reader:
    """Makes hosts of elements."""

    def __init__(self, parser: XMLParserType) -> None:
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._refuse
        self._ready: list[KeptHost | KeptSummary] = []
        self._summary = KeptSummary(lists_all=False)
        self._listed = 0  # hosts
        self._tags: list[str] = []
        self._equal = Equals()
        self._program = "nmap"
        self._asked: dict[str, str] = {}
        self._host: KeptHost | None = None
        self._port: tuple[Protocol, int] | None = None
        self._classed = False  # whether the family of the host's system was told
        self._extra_state = ""
        self._extra_reasons: list[dict[str, str]] = []

    def take(self) -> list[KeptHost | KeptSummary]:
        """Return what was read since the last time."""
        ready, self._ready = self._ready, []
        return ready

    @property
    def open(self) -> bool:
        """Whether an element has begun and not ended."""
        return bool(self._tags)

    def _refuse(self, *_: object) -> None:
        raise ValueError("it declares entities, which nmap does not")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        parents = self._tags
        if not parents and tag != "nmaprun":
            raise ValueError(f"it is a document of {tag!r}, not of 'nmaprun'")
        if len(parents) >= _MAX_DEPTH:
            raise ValueError("its elements are nested too deep")
        parent = parents[-1] if parents else ""
        parents.append(tag)
        match parent, tag:
            case "", "nmaprun":
                self._program = _text(attributes.get("scanner", "nmap"))
            case "nmaprun", "scaninfo":
                self._asked[attributes["protocol"]] = attributes.get("services", "")
            case "nmaprun", "host":
                self._host = KeptHost("", "up")
                self._host.program = self._program
                self._classed = False
                self._host.complete = attributes.get("timedout") != "true"
            case "runstats", "finished":
                self._finished(attributes)
            case "runstats", "hosts":
                # nmap lists hosts that are down only if asked to (-v), but it counts them.
                lists_all = int(attributes.get("total", "-1")) == self._listed
                self._ready.append(self._summary._replace(lists_all=lists_all))
        if self._host is not None:
            self._start_in_host(self._host, parent, tag, attributes)

    def _start_in_host(
        self, host: KeptHost, parent: str, tag: str, attributes: dict[str, str]
    ) -> None:
        match parent, tag:
            case "host", "status":
                state = attributes["state"]
                host.state = state if state in {"up", "down"} else "unknown"  # type: ignore[assignment]
                host.reason = _text(attributes.get("reason", ""))
            case "host", "address" if attributes.get("addrtype", "ipv4") != "mac":
                host.host = host.host or _text(attributes["addr"])
            case "ports", "port" if attributes["protocol"] in {"tcp", "udp"}:
                number = int(attributes["portid"])
                if not 0 <= number <= 65535 or len(host.ports) >= _MAX_PORTS:
                    raise ValueError(f"there is no port {number}, or there are too many")
                self._port = self._equal((cast("Protocol", attributes["protocol"]), number))
            case "port", "state" if self._port is not None:
                port = _port(attributes["state"], attributes.get("reason", ""))
                if port is not None:
                    host.ports[self._port] = self._equal(port)
            case "port", "service" if self._port in host.ports:
                if attributes.get("method") == "probed":
                    port = host.ports[self._port]
                    host.ports[self._port] = port._replace(service=_service(attributes))
            case "ports", "extraports":
                self._extra_state = attributes["state"]
                self._extra_reasons = []
            case "extraports", "extrareasons":
                self._extra_reasons.append(dict(attributes))
            case "os", "osmatch" if host.system is None:  # the best stands first
                name = _text(attributes["name"])
                accuracy = min(max(int(attributes["accuracy"]), 0), 100) / 100
                host.system = KeptSystem(name, name.partition(" ")[0], accuracy)
            case "osmatch", "osclass" if host.system is not None and not self._classed:
                self._classed = True
                host.system = host.system._replace(family=_text(attributes["osfamily"]))

    def _end(self, tag: str) -> None:
        self._tags.pop()
        host = self._host
        if tag == "extraports" and host is not None:
            self._extra_ports(host)
        elif tag == "port":
            self._port = None
        elif tag == "host" and len(self._tags) == 1:
            if host is not None and host.host:
                self._ready.append(host)
                self._listed += 1
            self._host = None

    def _extra_ports(self, host: KeptHost) -> None:
        """Add the ports that are only counted, by protocol and reason.

        Before nmap 7.92 the numbers are not told; where all have one reason and one protocol was
        asked, they are those of `scaninfo` that are not listed: a port that is listed is looked up
        there first.
        """
        for told in self._extra_reasons:
            port = _port(self._extra_state, told.get("reason", ""))
            numbers = told.get("ports")
            protocol = told.get("proto", "")
            if numbers is None and len(self._extra_reasons) == len(self._asked) == 1:
                protocol, numbers = next(iter(self._asked.items()))
            if port is not None and numbers is not None and protocol in {"tcp", "udp"}:
                group = KeptGroup(
                    cast("Protocol", protocol), self._equal(port), self._equal.ranges(numbers)
                )
                host.groups.append(group)

    def _finished(self, attributes: dict[str, str]) -> None:
        if attributes.get("exit", "success") != "success":
            why = _text(attributes.get("errormsg", "")) or "it ended with an error"
            self._summary = KeptSummary(complete=False, why_not=why, lists_all=False)
        self._ready.append(self._summary)


def _port(state: str, reason: str) -> KeptPort | None:
    """Return a port; None in a state that is not compared (``closed|filtered`` of idle scans)."""
    if state not in _STATES:
        return None
    singular = {"resets": "reset", "no-responses": "no-response"}  # nmap before 7.9
    return KeptPort(cast("PortState", state), _text(singular.get(reason, reason)))


def _service(attributes: dict[str, str]) -> KeptService:
    return KeptService(
        _text(attributes.get("name", "")),
        _text(attributes.get("product", "")),
        _text(attributes.get("version", "")),
        "tls" if attributes.get("tunnel") == "ssl" else "",
        min(max(int(attributes.get("conf", "10")), 0), 10) / 10,
    )


def _text(text: str) -> str:
    return text[:_MAX_TEXT]
