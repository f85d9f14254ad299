"""Write the rows of a scan as JSON lines: what `sw scan --json` prints, in a file."""

from __future__ import annotations

from json import dumps
from typing import TYPE_CHECKING, Any

from sockwright.scan.reports.report_file import ReportFile
from sockwright.scan.rows import host_row, port_row, shown_ports, summary_row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sockwright.scan.results import HostResult, Summary
    from sockwright.scan.rows import Show
    from sockwright.scan.settings import Settings

__all__ = ["JsonLines"]


class JsonLines:
    """A `Report` that writes the rows of `rows` to `path` (``-``: standard output).

    The last is that of the summary: a file without it is not whole. `complain` is given one line if
    the file takes no more. Raises: FileExistsError for a file that is there, unless `force`;
    OSError as open(2).
    """

    def __init__(
        self,
        path: str,
        *,
        complain: Callable[[str], object],
        force: bool = False,
        show: Show = "few",
    ) -> None:
        self._file = ReportFile(path, entry_ends=b"}\n", complain=complain, force=force)
        self._show: Show = show

    def begin(
        self,
        settings: Settings,  # noqa: ARG002  # the rows tell what was asked
        arguments: Sequence[str],  # noqa: ARG002
        targets_text: str,  # noqa: ARG002
        started_ns: int,  # noqa: ARG002
    ) -> None:
        """Write nothing yet: a scan's rows begin with its first port."""
        self._file.header("")

    def host(self, result: HostResult) -> None:
        """Write the rows of a host's ports, then its own."""
        rows = [_line(port_row(port)) for port in shown_ports(result, self._show)]
        rows.append(_line(host_row(result, self._show)))
        self._file.entry("".join(rows), "")

    def end(self, summary: Summary) -> None:
        """Write the last row, and close the file."""
        self._file.ending(_line(summary_row(summary)), "")

    def close(self) -> None:
        """Close the file of a scan that did not end: it lacks the last row."""
        self._file.ending("", "")


def _line(row: dict[str, Any]) -> str:
    # ASCII only: neither a terminal nor a lone surrogate can come of it.
    return dumps(row, default=str) + "\n"
