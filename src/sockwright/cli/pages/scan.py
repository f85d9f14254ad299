"""A scan as text: each host as nmap shows it, what differs from another scan, and the summary."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from sockwright.cli.pages._scan_words import certainty, interval, latency
from sockwright.cli.units import counted
from sockwright.cli.width import text_width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

    from sockwright.cli.screen import Screen
    from sockwright.scan.reports.diff import Compared, Difference
    from sockwright.scan.results import HostResult, Summary
    from sockwright.tools._scan_rows import Found, View

__all__ = ["render"]


def render(rows: Iterable[object], screen: Screen) -> None:
    """Show hosts as they are known; what is beside them goes to standard error."""
    page: _Page | None = None
    try:
        for row in rows:
            name = type(row).__name__
            if name == "View":
                page = _Page(row, screen)  # type: ignore[arg-type]
            elif page is None:
                _say(str(row), screen)
            else:
                page.show(name, row)
    finally:
        if page is not None:
            page.close()


class _Page:
    """Where a scan is shown: the screen, and the file of -oN."""

    def __init__(self, view: View, screen: Screen) -> None:
        self._view = view
        self._screens = [screen]
        self._file: TextIO | None = None
        self._compares = False  # differences have begun
        self._new_file = ""  # of -oN, that was not there before
        if view.args.text_file not in {None, "-"}:
            path = view.args.text_file
            is_new = not os.path.lexists(path)
            self._file = _opened(path, force=view.args.force)
            self._new_file = path if is_new else ""
            from sockwright.cli.screen import Screen as File

            self._screens.append(File(self._file))

    def close(self) -> None:
        if self._file is None:
            return
        self._file.close()
        if self._new_file:  # nothing was written: the scan failed before it began
            with suppress(OSError):
                os.unlink(self._new_file)

    def show(self, name: str, row: object) -> None:
        """Show one row by the name of its class: those of a scan are loaded by the scan alone."""
        if name == "Found":
            self._found(row)  # type: ignore[arg-type]
        elif getattr(row, "aside", False) and name != "Begun":
            _say(str(row), self._screens[0])
        else:
            self._new_file = ""
            for screen in self._screens:
                self._write(name, row, screen)
            self._compares = name == "Difference"

    def _found(self, found: Found) -> None:
        self._screens[0].line("Discovered open port ", *_port(found))

    def _write(self, name: str, row: object, screen: Screen) -> None:
        if name == "HostResult":
            self._host(row, screen)  # type: ignore[arg-type]
        elif name == "Summary":
            _show_summary(row, screen, self._view)  # type: ignore[arg-type]
        elif name == "Begun":
            screen.message(str(row))
            if self._view.args.only_hosts:
                screen.line()
        elif name == "Difference":
            if not self._compares:
                screen.line()
            _show_difference(row, screen)  # type: ignore[arg-type]
        elif name == "Compared":
            if not self._compares:
                screen.line()
            _show_comparison(row, screen, self._view)  # type: ignore[arg-type]

    def _host(self, host: HostResult, screen: Screen) -> None:
        args = self._view.args
        if args.only_hosts or args.list:
            if host.state == "up" or args.list or args.verbose:
                _show_address(host, screen)
                if host.hops or host.remarks:
                    from sockwright.cli.pages._scan_host import show_host

                    show_host(host, screen, self._view)
        elif host.state != "up" and not host.ports:
            if args.verbose or not self._view.several:
                reason = f" ({host.reason})" if host.reason else ""
                told = f" seems down{reason}." if host.state == "down" else " was not asked."
                screen.line("Host ", (host.host, "bold"), told)
        elif not args.open or any(table.indices("open") for table in host.ports):
            from sockwright.cli.pages._scan_host import show_host

            show_host(host, screen, self._view)


def _say(text: str, screen: Screen) -> None:
    from sockwright.cli.screen import Screen as Beside

    screen.stream.flush()
    Beside(sys.stderr).message(f"sw scan: {text}")


def _port(found: Found) -> Iterator[str | tuple[str, str]]:
    port = found.port
    yield f"{port.port}/{port.protocol}", "green"
    yield f" on {port.host}"


def _show_address(host: HostResult, screen: Screen) -> None:
    """Show an address as one line: of a whole network many are wanted, and little of each."""
    style = {"up": "green", "down": "dim"}.get(host.state, "")
    # That nothing was sent to an address that is only listed, the summary says once.
    told = [host.reason] if host.reason not in {"", "not-scanned"} else []
    if host.rtt_ns is not None:
        told.append(latency(host.rtt_ns))
    if host.mac:
        told.append(host.mac)
    told += host.names
    state = "" if host.state == "unknown" else f"{host.state:<4}  "
    text = ", ".join(told)
    start = f"{host.host:<15}  ", (state, style)
    room = screen.width - max(15, text_width(host.host)) - 2 - len(state)
    if not screen.terminal or text_width(text) <= room:
        screen.line(*start, text)
    else:  # a MAC address is as long as a word gets: it fits where few words are beside it
        screen.line(*start)
        screen.paragraph(text, "  ")


def _show_difference(found: Difference, screen: Screen) -> None:
    """Show what differs from another scan, and why that is taken to be so, or not."""
    where = found.host
    if found.ports:
        where += f" {found.ports}/{found.protocol}"
    change = f"{found.old or 'nothing'} -> {found.new or 'nothing'}"
    mark, style = ("differs", "bold") if found.proven else ("unproven", "dim")
    screen.line((f"{mark:<8}  ", style), (where, style), f"  {change}")
    if screen.terminal:
        screen.paragraph(found.why, " " * 10, "dim")
    else:
        screen.line(" " * 10, found.why)


def _show_comparison(compared: Compared, screen: Screen, view: View) -> None:
    told = f"Compared with {view.args.diff}"
    if compared.old_not_complete:
        told += f", which is not complete ({compared.old_not_complete})"
    told += f": {counted(compared.differences, 'difference')}"
    if compared.unproven:
        told += f", {compared.unproven} unproven"
    if compared.hosts_not_compared:
        told += f", {counted(compared.hosts_not_compared, 'host')} asked by only one of the scans"
    if compared.not_compared:
        told += f", {counted(compared.not_compared, 'port')} asked by only one of the scans"
    _paragraph(f"{told}.", screen)


def _show_summary(summary: Summary, screen: Screen, view: View) -> None:
    args = view.args
    screen.line()
    took = interval(max(0, summary.ended_ns - summary.started_ns))
    addresses = f"{summary.hosts} address{'' if summary.hosts == 1 else 'es'}"
    if args.list:
        screen.line(f"{addresses}; nothing was sent to them.")
        return
    told = f"{addresses}, {counted(summary.up, 'host')} up"
    if not args.only_hosts:
        told += f", {counted(summary.open_ports, 'open port')}"
    _paragraph(f"{told}, in {took}.", screen, "bold")
    nobody = summary.complete is False and not (summary.probes or summary.answers)
    probes = f"{counted(summary.probes, 'probe')}, {counted(summary.answers, 'answer')}"
    if nobody:
        _paragraph("Nobody was asked: not a single probe was sent.", screen, "yellow")
    elif args.only_hosts and summary.loss is None:
        if summary.probes:
            _paragraph(f"{probes}.", screen)
    else:
        style = "" if summary.complete else "yellow"
        what = "host" if args.only_hosts else "open port"
        _paragraph(f"{probes}, {certainty(summary, what)}.", screen, style)
    for remark in summary.remarks:
        _paragraph(f"Note: {remark}", screen, "yellow")
    if not (summary.up or args.no_discovery or summary.interrupted or nobody):
        whom = "the host seems" if summary.hosts == 1 else "the hosts seem"
        _paragraph(
            f"Nobody answered: {whom} down. One that answers none of the first questions is "
            "scanned all the same with -Pn.",
            screen,
        )


def _paragraph(text: str, screen: Screen, style: str = "") -> None:
    if screen.terminal:
        screen.paragraph(text, "", style)
    else:
        screen.line((text, style))


def _opened(path: str, *, force: bool) -> TextIO:
    """Open the file of -oN. Raises: OSError: it is there, and nobody said --force."""
    from io import BufferedWriter, TextIOWrapper

    from sockwright.nc.taps.output import open_output

    raw = open_output(path, force=force)
    return TextIOWrapper(BufferedWriter(raw), encoding="utf-8", errors="backslashreplace")
