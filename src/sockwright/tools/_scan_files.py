"""The files of `sw scan`: reports, which are told of every host, and what --resume goes on with."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress

from sockwright.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sockwright.scan.reports import Report
    from sockwright.scan.reports.resume import ResumeNotes
    from sockwright.scan.results import HostResult, Summary
    from sockwright.scan.rows import Show
    from sockwright.scan.settings import Settings
    from sockwright.tools._flags import Arguments

__all__ = ["Kept", "Reports", "expand_base"]

_HELD = 32  # hosts that wait for somebody to need them: most scans are never interrupted


def expand_base(args: Arguments) -> None:
    """Let -oA NAME stand for its four files. Raises: UsageError."""
    if args.base is None:
        return
    if args.base == "-":
        raise UsageError("-oA wants a name that its files begin with, not -")
    if not args.json:
        args.text_file = args.text_file or f"{args.base}.nmap"
    args.xml_file = args.xml_file or f"{args.base}.xml"
    args.grep_file = args.grep_file or f"{args.base}.gnmap"
    args.json_file = args.json_file or f"{args.base}.jsonl"


class Reports:
    """The files of -oX, -oG and -oJ.

    Raises: OSError: one cannot be opened, or is there and --force was not said. BrokenPipeError,
    later: one is standard output, and nobody reads that any more.
    """

    def __init__(self, args: Arguments, show: Show, complain: Callable[[str], object]) -> None:
        self._reports: list[Report] = []
        self._like_nmap: list[Report] = []
        self._new: list[str] = []  # files that were not there before
        self._begun = False
        how: dict[str, Any] = {"complain": complain, "force": bool(args.force)}
        with ExitStack() as opened:
            opened.callback(self.close)
            if args.xml_file is not None:
                from sockwright.scan.reports.nmap_xml import NmapXml

                self._open(NmapXml, args.xml_file, how)
                self._like_nmap = list(self._reports)
            if args.grep_file is not None:
                from sockwright.scan.reports.grepable import Grepable

                self._open(Grepable, args.grep_file, how)
                self._like_nmap = list(self._reports)
            if args.json_file is not None:
                from sockwright.scan.reports.json_lines import JsonLines

                self._open(JsonLines, args.json_file, how | {"show": show})
            opened.pop_all()

    def _open(self, kind: Callable[..., Report], path: str, how: dict[str, Any]) -> None:
        is_new = path != "-" and not os.path.lexists(path)
        self._reports.append(kind(path, **how))
        if is_new:
            self._new.append(path)

    def begin(self, settings: Settings, targets: Sequence[str], started_ns: int) -> None:
        """Say how the scan was asked for."""
        self._begun = True
        for report in self._reports:
            report.begin(settings, ["sw", *sys.argv[1:]], " ".join(targets), started_ns)

    def host(self, host: HostResult) -> None:
        """Tell of a host; nmap has no word for one that nobody asked, so its formats leave it out.

        Its readers would take it for one that is down.
        """
        for report in self._reports:
            if host.reason != "not-asked" or report not in self._like_nmap:
                report.host(host)

    def end(self, summary: Summary) -> None:
        """Tell of the end."""
        for report in self._reports:
            report.end(summary)

    def close(self) -> None:
        """Close the files, whole or not; those of a scan that did not begin are taken away."""
        for report in self._reports:
            with suppress(BrokenPipeError):  # whoever read standard output is gone
                report.close()
        if not self._begun:
            for path in self._new:
                with suppress(OSError):
                    os.unlink(path)  # noqa: PTH108  # pathlib costs a start 5 ms


class Kept:
    """What is known so far, for the file that --resume goes on with."""

    def __init__(
        self,
        settings: Settings,
        targets: list[str],
        exclude: list[str],
        options: dict[str, Any],
        started_ns: int,
    ) -> None:
        self._started_ns = started_ns
        self._asked = settings, targets, exclude, options
        self._held: list[tuple[HostResult, bool]] = []
        self._notes: ResumeNotes | None = None

    def host(self, host: HostResult, *, finished: bool) -> None:
        """Keep a host; one that is not finished will be asked again, but for what is known."""
        if self._notes is not None:
            self._notes.host(host, finished=finished)
            return
        self._held.append((host, finished))
        if len(self._held) > _HELD:
            self._made()

    def save(self, *, seed: int) -> str:
        """Write the file, and return its name; `seed` is what the scan went by. Raises: OSError."""
        return self._made().save(seed=seed)

    def _made(self) -> ResumeNotes:
        if self._notes is None:
            from sockwright.scan.reports.resume import ResumeNotes

            settings, targets, exclude, options = self._asked
            self._notes = ResumeNotes(
                settings,
                targets=targets,
                exclude=exclude,
                options=options,
                started_ns=self._started_ns,
            )
            for host, finished in self._held:
                self._notes.host(host, finished=finished)
            self._held.clear()
        return self._notes
