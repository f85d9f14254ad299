"""What `sw scan` yields beside the rows of `sockwright.scan.results`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sockwright.scan.results import HostResult, PortResult, Progress
    from sockwright.scan.rows import Show
    from sockwright.tools._flags import Arguments

__all__ = ["Begun", "Explained", "Found", "HostRow", "Status", "View"]


class View:
    """How rows are to be shown: the arguments, which ports; of how many hosts, by which names.

    `others` has by name the addresses that it has and that are not scanned.
    """

    aside = True  # no row of the output
    __slots__ = ("args", "others", "several", "show")

    def __init__(
        self,
        args: Arguments,
        show: Show,
        *,
        several: bool,
        others: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.args = args
        self.show: Show = show
        self.several = several
        self.others = others or {}

    def __str__(self) -> str:
        return ""


class Begun:
    """What is asked, by which method, and why by that one."""

    aside = True
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class HostRow:
    """A host for programs, whose ports have had rows of their own."""

    __slots__ = ("_host", "_show")

    def __init__(self, host: HostResult, show: Show) -> None:
        self._host = host
        self._show = show

    def as_dict(self) -> dict[str, Any]:
        """Return the fields of the host."""
        from sockwright.scan.rows import host_row

        return host_row(self._host, self._show)


class Found:
    """An open port, the moment it is found; its row comes with its host."""

    aside = True
    __slots__ = ("port",)

    def __init__(self, port: PortResult) -> None:
        self.port = port

    def __str__(self) -> str:
        port = self.port
        return f"{port.port}/{port.protocol} is open on {port.host}"


class Explained:
    """A port for programs, with the sentences of --explain."""

    __slots__ = ("_port",)

    def __init__(self, port: PortResult) -> None:
        self._port = port

    def as_dict(self) -> dict[str, Any]:
        """Return the fields of the port, and the sentences."""
        return self._port.as_dict() | {"explanation": self._port.explain()}


class Status:
    """How far the scan is: a line in place of the one before, in pieces, the most telling first."""

    is_progress = True
    __slots__ = ("pieces",)

    def __init__(self, progress: Progress) -> None:
        part = f" {100 * progress.done // progress.total} %" if progress.total else ""
        self.pieces = [f"{progress.phase}{part}"]
        if progress.open_ports:
            self.pieces.append(f"{progress.open_ports} open")
        if progress.remaining_s is not None:
            self.pieces.append(f"{_time(progress.remaining_s)} left")
        if progress.rate >= 0.5:  # none go while services are asked
            self.pieces.append(f"{progress.rate:.0f} packets/s")
        if progress.loss:
            self.pieces.append(f"{100 * progress.loss:.0f} % lost")
        if progress.host:
            self.pieces.append(progress.host)


def _time(seconds: float) -> str:
    """Return a time to come, no finer than anybody knows it."""
    whole = max(1, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes, hours = round(whole / 60), round(whole / 3600)
    return f"{minutes} min" if minutes < 100 else f"{hours} h"
