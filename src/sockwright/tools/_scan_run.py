"""`sw scan` while it runs: the events of a scan become rows, reports and the line of progress.

Rules: Ctrl-C ends the scan in good order (status 130), so that what is known is shown, reports are
whole and a file is written that --resume goes on with; a second Ctrl-C ends it at once. SIGTERM
(143), SIGHUP (129) and a time limit (3) do the same. Where the scan of a host ended early by itself
(`HostResult.ended_early`) the file is written, too. A report that could not be written whole makes
it status 1, and so does a scan that could send nothing. Programs get the row of an open port at
once, unless its service is to be asked; the others come with their host.
"""

from __future__ import annotations

from signal import SIGINT
from time import time_ns

from sockwright.errors import NotPossibleError
from sockwright.tools._rows import Remark
from sockwright.tools._scan_files import Kept, Reports
from sockwright.tools._scan_rows import Begun, Explained, Found, HostRow, Status, View
from sockwright.tools._stopping import stopping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

    from sockwright.scan.reports.diff import Comparison
    from sockwright.scan.results import HostResult, PortResult, Summary
    from sockwright.scan.rows import Show
    from sockwright.scan.scan import Event, Known, Scan
    from sockwright.scan.settings import Settings
    from sockwright.scan.targets import Targets
    from sockwright.tools._flags import Arguments
    from sockwright.tools._stopping import Asked as Stopped

__all__ = ["Asked", "scanning"]

_BY_SIGNAL, _TIME_LIMIT, _NOT_WRITTEN, _FAILED = 128, 3, 1, 1
_OUTPUT_CLOSED = 141  # without a word, as of whatever SIGPIPE ends
_LONG = 5.0  # seconds from which on it is worth saying that a scan could be faster
_FLAGS = {"syn": "-sS", "ack": "-sA", "fin": "-sF", "null": "-sN", "xmas": "-sX"}


class Asked:
    """What is to be done: of whom, how, and what is known from a scan that was stopped.

    `is_done` is whether all of it was done, and every report written whole.
    """

    def __init__(
        self,
        settings: Settings,
        targets: Targets,
        words: tuple[list[str], list[str]],
        options: dict[str, Any],
        known: Known | None = None,
    ) -> None:
        self.settings = settings
        self.targets = targets
        self.words, self.excluded = words
        self.options = options
        self.known = known
        self.is_done = False


def scanning(
    asked: Asked, args: Arguments, time_limit: float | None
) -> Generator[object, None, int]:
    """Yield what is to be shown; return the exit status. Raises: OSError, SockwrightError."""
    from sockwright.scan.scan import Scan

    show = _shown(args)
    complaints: list[str] = []
    not_written = False
    reports = Reports(args, show, complaints.append)
    # As with nmap, a report on standard output is alone there.
    has_output = "-" in {args.xml_file, args.grep_file, args.json_file}
    try:
        if not has_output:
            others = asked.targets.not_scanned
            yield View(args, show, several=len(asked.targets) > 1, others=others)
        yield from (Remark(f"{text} {why}; left out") for text, why in asked.targets.refused)
        with (
            Scan(asked.targets, asked.settings, known=asked.known, many=True) as scan,
            stopping(scan.stop) as stopped,
        ):
            run = _Run(scan, asked, args, reports, stopped)
            for row in run.rows(time_limit):
                if not has_output or isinstance(row, Remark | Status):
                    yield row
                while complaints:
                    not_written = True
                    yield Remark(complaints.pop())
        reports.close()  # what is in a buffer may not get to the disk either
        not_written = not_written or scan.evidence_failed or bool(complaints)
        yield from map(Remark, complaints)
        asked.is_done = not (run.is_left or run.status or not_written)
    except BrokenPipeError:
        if not has_output:
            raise
        return _OUTPUT_CLOSED
    else:
        return run.status or (_NOT_WRITTEN if not_written else 0)
    finally:
        reports.close()


class _Run:
    """The state of a run between its events."""

    def __init__(
        self, scan: Scan, asked: Asked, args: Arguments, reports: Reports, stopped: Stopped
    ) -> None:
        self.status = 0
        self._stopped = stopped
        self._late = False  # whether the time limit stopped it
        self._scan = scan
        self._asked = asked
        self._args = args
        self._show = _shown(args)
        self._reports = reports
        self._kept = Kept(
            asked.settings, asked.words, asked.excluded, asked.options, started_ns=time_ns()
        )
        self._left = 0  # hosts whose scan ended early, though nobody stopped it
        self._told: set[tuple[str, str, int]] = set()
        self._comparison: Comparison | None = None
        self._differences: list[object] = []
        if args.diff is not None:
            from sockwright.scan.reports.diff import Comparison
            from sockwright.scan.reports.kept_files import read_kept

            self._comparison = Comparison(read_kept(args.diff))

    @property
    def is_left(self) -> bool:
        """Whether the scan of any host ended early."""
        return self._left > 0

    def rows(self, time_limit: float | None) -> Iterator[object]:
        from sockwright.scan.results import HostResult, PortResult, Progress

        begun = False
        for event in self._within(time_limit):
            if not begun:
                begun = True
                yield from self._begin()
            if isinstance(event, Progress):
                if not self._args.quiet:
                    yield Status(event)
            elif isinstance(event, PortResult):
                yield from self._port(event)
            elif isinstance(event, HostResult):
                yield from self._host(event)
            else:
                yield from self._end(event)

    def _within(self, time_limit: float | None) -> Iterator[Event]:
        """Give the events; stop the scan when its time is up, also where events are rare."""
        if time_limit is None:
            yield from self._events()
            return
        from threading import Timer

        def stop() -> None:
            self._late = True
            self._scan.stop()

        timer = Timer(time_limit, stop)
        timer.daemon = True
        timer.start()
        try:
            yield from self._events()
        finally:
            timer.cancel()
            timer.join()

    def _events(self) -> Iterator[Event]:
        """Give the events. Raises: NotPossibleError: the method takes a privilege."""
        raw = [one for one in self._asked.settings.methods if one not in {"connect", "udp"}]
        try:
            yield from self._scan
        except PermissionError as error:
            if not raw or error.filename is not None:  # a file that may not be written
                raise
            raise NotPossibleError(
                f"{_FLAGS[raw[0]]} takes raw sockets, and this process may not open them",
                "-sT connects without; root may, or who has CAP_NET_RAW",
            ) from None

    def _begin(self) -> Iterator[object]:
        settings = self._asked.settings
        from dataclasses import replace

        carried_out = replace(settings, methods=tuple(self._scan.methods))
        self._reports.begin(carried_out, self._asked.words, time_ns())
        if settings.discovery != "list" and not self._args.quiet:
            bound = _bound(self._asked, self._scan, self._args)
            yield Begun(_announced(self._asked, self._scan) + bound)

    def _port(self, port: PortResult) -> Iterator[object]:
        if port.state != "open":
            return
        if self._args.json:
            if not self._asked.settings.services:
                self._told.add((port.host, port.protocol, port.port))
                yield self._for_programs(_with_service(port))
        elif self._args.verbose:
            yield Found(port)

    def _host(self, host: HostResult) -> Iterator[object]:
        args = self._args
        self._reports.host(host)
        self._kept.host(host, finished=self._is_finished(host))
        self._left += host.ended_early
        if self._comparison is not None:
            self._differences += self._comparison.host(host)
        if not args.json:
            yield host
            return
        from sockwright.scan.rows import shown_ports

        yield [
            self._for_programs(_with_service(port))
            for port in shown_ports(host, self._show)
            if (port.host, port.protocol, port.port) not in self._told
        ]
        yield HostRow(host, self._show)

    def _is_finished(self, host: HostResult) -> bool:
        """Tell whether nothing about a host is left to ask."""
        if not self._scan.stopped:
            return not host.ended_early
        settings = self._asked.settings
        more = settings.services or settings.identify_os or settings.traceroute
        return host.complete is not False and host.state == "up" and not more

    def _for_programs(self, port: PortResult) -> object:
        return Explained(port) if self._args.explain else port

    def _end(self, summary: Summary) -> Iterator[object]:
        self._reports.end(summary)
        if self._comparison is not None:
            yield from self._differences
            yield from self._comparison.end(summary)
        yield summary
        if summary.interrupted:
            number = self._stopped.signal or SIGINT
            self.status = (
                _TIME_LIMIT if self._late and not self._stopped.signal else _BY_SIGNAL + number
            )
            if self._scan.failure:
                self.status = _FAILED
            yield from self._save(summary)
        elif self._left:
            yield from self._save(summary)
        elif summary.complete is False and not (summary.probes or summary.answers):
            self.status = _FAILED

    def _save(self, summary: Summary) -> Iterator[object]:
        """Keep what is known, and say why and what for."""
        why = "the time limit was reached" if self._late else "interrupted"
        if not summary.interrupted:
            hosts = "1 host" if self._left == 1 else f"{self._left} hosts"
            why = f"the scan of {hosts} ended early"
        elif self._scan.failure:
            why = "the scan could not go on"
        if self._asked.settings.discovery == "list":
            return
        try:
            name = self._kept.save(seed=summary.seed)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            told = f"{where}{error.strerror or error}"
            yield Remark(f"{why}; what is known is shown, but not kept for --resume: {told}")
        else:
            yield Remark(f"{why}; what is known is shown. To go on: sw scan --resume {name}")


def _shown(args: Arguments) -> Show:
    return "open" if args.open else "all" if args.all else "few"


def _with_service(port: PortResult) -> PortResult:
    """Return the port with what its number stands for, where nothing better is known."""
    if port.service is not None or port.state not in {"open", "open|filtered"}:
        return port
    from dataclasses import replace

    from sockwright.scan.services.iana import from_table

    return replace(port, service=from_table(port.port, port.protocol))


def _announced(asked: Asked, scan: Scan) -> str:
    """Say what is asked of whom, by which method and why by that one."""
    settings = asked.settings
    count = len(asked.targets)
    whom = str(asked.targets[0].host) if count == 1 else f"{count} addresses"
    ports = [
        f"{len(numbers)} {name} port{'' if len(numbers) == 1 else 's'}"
        for name, numbers in (("TCP", settings.tcp_ports), ("UDP", settings.udp_ports))
        if numbers
    ]
    what = f", {' and '.join(ports)}" if ports else ""
    why = scan.why_methods
    if "udp" in scan.methods and len(scan.methods) > 1:
        why += "; and a UDP scan"
    begin = "Going on with" if asked.known is not None else "Scanning"
    return f"{begin} {whom}{what}" + (f". {why[0].upper()}{why[1:]}" if why else "")


def _bound(asked: Asked, scan: Scan, args: Arguments) -> str:
    """Say what bounds a scan that it makes long, unless the user chose the pace."""
    from sockwright.scan.settings import PRESETS

    faster = PRESETS[4].rate
    if scan.rate is None or args.preset or args.rate or args.host_rate or args.delay:
        return ""
    if faster is None or scan.rate >= faster:  # a scan that goes on, which was faster before
        return ""
    settings = asked.settings
    # UDP waits for limits on ICMP errors. How many hosts are up is not known: at worst all of them.
    ports = len(settings.tcp_ports) or (0 if settings.udp_ports else 1)
    if len(asked.targets) * ports <= _LONG * scan.rate:
        return ""
    return f". At most {scan.rate:g} packets a second; -T4 is faster"
