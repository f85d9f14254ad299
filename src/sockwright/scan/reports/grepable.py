r"""Write a scan as nmap's grepable lines: all of a host on one line, for grep, awk and cut.

Fields are parted by tabs, ports by ", ", and the seven parts of a port by "/":
``port/state/protocol/owner/service/rpc/version/``. Rules:

1. A host that is up has a line with ``Status``, and one with ``Ports`` if ports were asked.
2. In texts "/" is written as "|", as nmap does, and what acts on terminals as ``\x1b``.
3. The last line begins with ``# Sockwright done``; a file without it is not whole.
"""

from __future__ import annotations

from time import ctime
from typing import TYPE_CHECKING

from sockwright.scan.reports.report_file import ReportFile
from sockwright.scan.rows import hidden_ports, ranges, shown_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sockwright.scan.results import HostResult, PortResult, Summary
    from sockwright.scan.settings import Settings

__all__ = ["Grepable"]


class Grepable:
    """A `Report` that writes grepable lines to `path` (``-``: standard output).

    `complain` is given one line if the file takes no more. Raises: FileExistsError for a file that
    is there, unless `force`; OSError as open(2).
    """

    def __init__(
        self, path: str, *, complain: Callable[[str], object], force: bool = False
    ) -> None:
        self._file = ReportFile(path, entry_ends=b"\n", complain=complain, force=force)

    def begin(
        self,
        settings: Settings,
        arguments: Sequence[str],
        targets_text: str,
        started_ns: int,
    ) -> None:
        """Write how the scan was asked for, and the ports."""
        from shlex import join

        from sockwright import __version__

        command = _printable(join(arguments) or targets_text)
        asked = "; ".join(
            f"{name}({len(ports)};{ranges(sorted(ports))})"
            for name, ports in (("TCP", settings.tcp_ports), ("UDP", settings.udp_ports))
        )
        self._file.header(
            f"# Sockwright {__version__} scan initiated {ctime(started_ns / 1e9)} as: {command}\n"
            f"# Ports scanned: {asked}\n"
        )

    def host(self, result: HostResult) -> None:
        """Write the lines of a host, unless it is down."""
        if result.state == "down":
            return
        name = _clean(result.names[0]) if result.names else ""
        head = f"Host: {result.host} ({name})"
        lines = f"{head}\tStatus: {result.state.capitalize()}\n"
        if result.ports:
            shown = [_port(port) for port in shown_ports(result) if port.reason != "not-asked"]
            fields = [f"Ports: {', '.join(shown)}", *_ignored(result)]
            if result.os is not None and result.os.best != "unknown":
                fields.append(f"OS: {_clean(result.os.best)}")
            lines += "\t".join([head, *fields]) + "\n"
        self._file.entry(lines, "")

    def end(self, summary: Summary) -> None:
        """Write the last line, and close the file."""
        elapsed = max(summary.ended_ns - summary.started_ns, 0) / 1e9
        addresses = "1 address" if summary.hosts == 1 else f"{summary.hosts} addresses"
        hosts = "1 host" if summary.up == 1 else f"{summary.up} hosts"
        interrupted = "; interrupted" if summary.interrupted else ""
        self._file.ending(
            f"# Sockwright done at {ctime(summary.ended_ns / 1e9)} -- {addresses} ({hosts} up) "
            f"scanned in {elapsed:.2f} seconds{interrupted}\n",
            "",
        )

    def close(self) -> None:
        """Close the file of a scan that did not end: it lacks the last line."""
        self._file.ending("", "")


def _port(port: PortResult) -> str:
    from sockwright.scan.services import from_table

    service = port.service or from_table(port.port, port.protocol)
    name = version = ""
    if service is not None:
        tunnel = "ssl|" if service.tunnel == "tls" else ""
        name = tunnel + _clean(service.name)
        extra = f"({service.extra})" if service.extra else ""
        version = _clean(" ".join(filter(None, (service.product, service.version, extra))))
    return f"{port.port}/{port.state}/{port.protocol}//{name}//{version}/"


def _ignored(result: HostResult) -> Iterable[str]:
    counts: dict[str, int] = {}
    for part in hidden_ports(result):
        if part.reason != "not-asked":
            counts[part.state] = counts.get(part.state, 0) + len(part.ports)
    # nmap names one state; where there are more, so do we, in the same form.
    for state, count in counts.items():
        yield f"Ignored State: {state} ({count})"


def _clean(text: str) -> str:
    """Return `text` without what parts fields: "/" becomes "|"."""
    return _printable(text.replace("/", "|"))


def _printable(text: str) -> str:
    r"""Return `text` with what acts on terminals and lines, tabs too, as ``\x09``."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )
