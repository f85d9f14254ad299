r"""Write a scan as nmap's XML, for ndiff, python-libnmap and whatever else reads that.

Elements and attributes are those of nmap's documented document type (nmap Network Scanning,
appendix A), output version 1.05. Rules:

1. Hosts are written as they come. However the scan ends, the document is closed: `runstats` then
   says ``exit="error"`` and why.
2. Ports in a state with more than `rows.FEW` of them are counted in `extraports`, with their
   numbers, as nmap does; hosts that are down are only counted, in `runstats`. Ports that a scan
   did not come to are left out: nmap has no state for them.
3. A connection that was accepted has the reason ``syn-ack``: so says nmap of a connect scan, too.
4. Text from the network is escaped. What XML 1.0 has no way to say (section 2.2: control
   characters, lone surrogates), and what acts on terminals, is written as ``\x1b``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sockwright.scan.reports.report_file import ReportFile
from sockwright.scan.rows import hidden_ports, ranges, shown_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sockwright.identify.identification import Identification
    from sockwright.scan.results import HostResult, Service, Summary
    from sockwright.scan.settings import Settings

__all__ = ["NmapXml", "escape"]

_OUTPUT_VERSION = "1.05"
_MOST_CANDIDATES = 10  # of operating systems
_NMAPS: Final = {"conn-accept": "syn-ack"}  # words that nmap has another one for
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_WHITE = {"\t", "\n", "\r"}  # the control characters that XML 1.0 has


def escape(text: str) -> str:
    """Return `text` for an attribute or element of XML, harmless to parsers and terminals."""
    if text.isalnum():
        return text
    return "".join([_escaped(one) for one in text])


def _escaped(character: str) -> str:
    if character in _ENTITIES:
        return _ENTITIES[character]
    if character.isprintable():
        return character
    if character in _WHITE:
        return f"&#{ord(character)};"
    if "\udc80" <= character <= "\udcff":  # an octet that is not UTF-8 (PEP 383)
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def _element(tag: str, /, *inside: str, **attributes: object) -> str:
    """Return an element; attributes that are None or empty are left out."""
    told = "".join(
        f' {key}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    if not any(inside):
        return f"<{tag}{told}/>"
    return f"<{tag}{told}>{''.join(inside)}</{tag}>"


class NmapXml:
    """A `Report` that writes nmap's XML to `path` (``-``: standard output).

    `complain` is given one line if the file takes no more. Raises: FileExistsError for a file that
    is there, unless `force`; OSError as open(2).
    """

    def __init__(
        self, path: str, *, complain: Callable[[str], object], force: bool = False
    ) -> None:
        self._file = ReportFile(path, entry_ends=b"</host>\n", complain=complain, force=force)
        self._started_ns = 0
        self._last_ns = 0
        self._up = self._hosts = 0

    def begin(
        self,
        settings: Settings,
        arguments: Sequence[str],
        targets_text: str,
        started_ns: int,
    ) -> None:
        """Write the head of the document: how the scan was asked for."""
        from sockwright import __version__

        self._started_ns = self._last_ns = started_ns
        head = _element(
            "nmaprun",
            scanner="sockwright",
            args=_command(arguments) or targets_text,
            start=_seconds(started_ns),
            startstr=_date(started_ns),
            version=__version__,
            xmloutputversion=_OUTPUT_VERSION,
        )
        lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<!DOCTYPE nmaprun>"]
        lines.append(head.removesuffix("/>") + ">")
        for method in settings.methods:
            protocol = "udp" if method == "udp" else "tcp"
            ports = settings.udp_ports if protocol == "udp" else settings.tcp_ports
            lines.append(
                _element(
                    "scaninfo",
                    type=method,
                    protocol=protocol,
                    numservices=len(ports),
                    services=ranges(sorted(ports)),
                )
            )
        lines += [_element("verbose", level=0), _element("debugging", level=0), ""]
        self._file.header("\n".join(lines))

    def host(self, result: HostResult) -> None:
        """Write a host, unless it is down."""
        self._last_ns = max(self._last_ns, result.ended_ns)
        self._hosts += 1
        if result.state == "down":
            return
        self._up += result.state == "up"
        self._file.entry(_host(result) + "\n", self._unfinished("the disk was full"))

    def end(self, summary: Summary) -> None:
        """Close the document."""
        why = ""
        if summary.interrupted:
            why = "interrupted"
        elif not self._file.active:
            return
        ended = summary.ended_ns or self._last_ns
        tail = _run_stats(
            summary.started_ns or self._started_ns, ended, summary.up, summary.hosts, why
        )
        self._file.ending(tail, self._unfinished("the disk was full"))

    def close(self) -> None:
        """Close the document as one of a scan that did not end; nothing after `end`."""
        ending = self._unfinished("the scan did not end")
        self._file.ending(ending, ending)

    def _unfinished(self, why: str) -> str:
        return _run_stats(self._started_ns, self._last_ns, self._up, self._hosts, why)


def _host(result: HostResult) -> str:
    lines = [
        _element(
            "status",
            state=result.state,
            reason=_NMAPS.get(result.reason, result.reason),
            reason_ttl=result.ttl or 0,
        ),
        _element("address", addr=result.host, addrtype="ipv6" if ":" in result.host else "ipv4"),
    ]
    if result.mac:
        lines.append(_element("address", addr=result.mac.upper(), addrtype="mac"))
    if result.names:
        # Only the reverse lookup gives names here; the one that the user wrote is in `args`.
        names = [_element("hostname", name=name, type="PTR") for name in result.names]
        lines.append(_element("hostnames", *names))
    if result.ports:
        lines.append("<ports>" + "\n".join([*_extra_ports(result), *_ports(result)]) + "</ports>")
    if result.os is not None:
        lines.append(_system(result))
    if result.hops:
        lines.append(_element("distance", value=result.hops[-1].ttl))
        hops = [
            _element(
                "hop",
                ttl=hop.ttl,
                ipaddr=hop.host,
                rtt="" if hop.rtt_ns is None else f"{hop.rtt_ns / 1e6:.2f}",
                host=hop.name,
            )
            for hop in result.hops
            if hop.host
        ]
        lines.append("<trace>" + "".join(hops) + "</trace>")
    if result.rtt_ns is not None:
        # In microseconds; what RFC 6298 section 2.2 makes of a single measurement.
        rtt = result.rtt_ns // 1000
        lines.append(_element("times", srtt=rtt, rttvar=rtt // 2, to=3 * rtt))
    head = _element(
        "host",
        starttime=_seconds(result.started_ns) if result.started_ns else "",
        endtime=_seconds(result.ended_ns) if result.ended_ns else "",
        # What nmap says of a host that it gave up: silence is no proof there.
        timedout="true" if result.complete is False else "",
        comment="; ".join(result.remarks),
    )
    return head.removesuffix("/>") + ">" + "\n".join(lines) + "\n</host>"


def _extra_ports(result: HostResult) -> Iterable[str]:
    """Give one element for each state that is only counted, with the reasons inside it."""
    reasons: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for part in hidden_ports(result):
        if part.reason == "not-asked":
            continue
        counts[part.state] = counts.get(part.state, 0) + len(part.ports)
        reasons.setdefault(part.state, []).append(
            _element(
                "extrareasons",
                reason=_NMAPS.get(part.reason, part.reason),
                count=len(part.ports),
                proto=part.protocol,
                ports=ranges(part.ports),
            )
        )
    for state, count in counts.items():
        yield _element("extraports", *reasons[state], state=state, count=count)


def _ports(result: HostResult) -> Iterable[str]:
    from sockwright.scan.services import from_table

    for port in shown_ports(result):
        if port.reason == "not-asked":
            continue
        service = port.service or from_table(port.port, port.protocol)
        inside = [
            _element(
                "state",
                state=port.state,
                reason=_NMAPS.get(port.reason, port.reason),
                reason_ttl=port.ttl or 0,
                reason_ip=port.sender,
            )
        ]
        if service is not None:
            inside += [_service(service), *_script(service)]
        yield _element("port", *inside, protocol=port.protocol, portid=port.port)


def _service(service: Service) -> str:
    return _element(
        "service",
        *(_element("cpe", escape(cpe)) for cpe in service.cpe),
        name=service.name,
        product=service.product,
        version=service.version,
        extrainfo=service.extra,
        hostname=service.hostname,
        ostype=service.os,
        devicetype=service.device,
        tunnel="ssl" if service.tunnel == "tls" else "",
        method=service.method,
        conf=round(10 * service.confidence),
    )


def _script(service: Service) -> Iterable[str]:
    """Give banner and details as one script's output.

    One, because ndiff 7.93 fails for a port with two: it sorts them, and cannot under Python 3.
    """
    values = {"banner": service.banner} if service.banner else {}
    values |= service.details
    if values:
        elements = [_element("elem", escape(value), key=key) for key, value in values.items()]
        told = "\n".join(f"{key}: {value}" for key, value in values.items())
        yield _element("script", *elements, id="sockwright", output=told)


def _system(result: HostResult) -> str:
    """Return what is known of the system: the answer, then the other candidates."""
    found: Identification = result.os
    matches = [(one.name, one.score) for one in found.candidates if one.score > 0]
    if found.best and found.best != "unknown":
        matches = [(found.best, found.confidence)] + [
            (name, score) for name, score in matches if name != found.best
        ]
    elements = [
        _element("osmatch", name=name, accuracy=round(100 * confidence), line=0)
        for name, confidence in matches[:_MOST_CANDIDATES]
    ]
    text = _element("os", *elements)
    if found.uptime_ns is not None:
        booted = _date(result.ended_ns - found.uptime_ns)
        text += _element("uptime", seconds=_seconds(found.uptime_ns), lastboot=booted)
    return text


def _run_stats(started_ns: int, ended_ns: int, up: int, total: int, why: str) -> str:
    elapsed = max(ended_ns - started_ns, 0) / 1e9
    addresses = "1 address" if total == 1 else f"{total} addresses"
    summary = f"{addresses} ({up} up) scanned in {elapsed:.2f} seconds"
    finished = _element(
        "finished",
        time=_seconds(ended_ns),
        timestr=_date(ended_ns),
        summary=f"{summary}; {why}" if why else summary,
        elapsed=f"{elapsed:.2f}",
        exit="error" if why else "success",
        errormsg=why,
    )
    hosts = _element("hosts", up=up, down=total - up, total=total)
    return f"<runstats>{finished}{hosts}\n</runstats>\n</nmaprun>\n"


def _command(arguments: Sequence[str]) -> str:
    from shlex import join

    return join(arguments)


def _seconds(time_ns: int) -> int:
    return time_ns // 1_000_000_000


def _date(time_ns: int) -> str:
    from time import ctime

    return ctime(time_ns / 1e9)
