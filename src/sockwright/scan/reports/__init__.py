"""What is written about a scan: nmap's XML, grepable lines, evidence, the way back in, differences.

A `Report` is told of a scan as it goes: `begin` once, `host` for each host as soon as it is known,
`end` once. It writes to its file as it is told and keeps no host, so its size is that of the file
and not of the memory. What it cannot write it says once and is silent from then on: a full disk
costs the file, not the scan. A reader of standard output that is gone is a BrokenPipeError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.results import HostResult, Summary
    from sockwright.scan.settings import Settings

__all__ = ["Report"]


class Report(Protocol):
    """Is told of a scan, and writes about it."""

    def begin(
        self,
        settings: Settings,
        arguments: Sequence[str],
        targets_text: str,
        started_ns: int,
    ) -> None:
        """Write what stands before the hosts. `settings.methods` are those that are carried out."""

    def host(self, result: HostResult) -> None:
        """Write what is known of one host."""

    def end(self, summary: Summary) -> None:
        """Write what stands behind the hosts, and close the file."""

    def close(self) -> None:
        """Close the file, whole if it can be; does nothing after `end`. May be called twice."""
