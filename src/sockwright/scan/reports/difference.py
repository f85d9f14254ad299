"""The rows of a comparison of two scans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

__all__ = ["Compared", "Difference"]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs, or seems to (`proven` is False then); `why` is a sentence.

    `what` is ``host`` (up, down, silent, or not listed), ``port``, ``service`` or ``system``.
    `ports` are numbers as ranges, of `protocol`.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "host",
        "ports",
        "protocol",
        "old",
        "new",
        "proven",
        "why",
    )

    host: str
    what: Literal["host", "port", "service", "system"]
    old: str
    new: str
    proven: bool
    why: str
    ports: str = ""
    protocol: str = ""
    old_reason: str = ""
    new_reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        row: dict[str, Any] = {
            "kind": "difference" if self.proven else "unproven",
            "what": self.what,
            "host": self.host,
        }
        if self.ports.isdigit():
            row["port"] = int(self.ports)
        elif self.ports:
            row["ports"] = self.ports
        for key in ("protocol", "old", "new", "old_reason", "new_reason", "why"):
            if text := getattr(self, key):
                row[key] = text
        return row


@dataclass(frozen=True, slots=True)
class Compared:
    """The last row of a comparison.

    `not_compared` are ports that only one of the scans asked, those of whole hosts too;
    `hosts_not_compared` are the hosts that were up in the one scan and not asked by the other.
    `old_not_complete` says why the old scan is not complete, if it is not: it was interrupted, or
    its file ends early.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "hosts",
        "differences",
        "unproven",
        "not_compared",
        "hosts_not_compared",
        "old_not_complete",
    )

    hosts: int
    differences: int
    unproven: int
    not_compared: int
    hosts_not_compared: int = 0
    old_not_complete: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        row = {
            "kind": "comparison",
            "hosts": self.hosts,
            "differences": self.differences,
            "unproven": self.unproven,
            "not_compared": self.not_compared,
            "hosts_not_compared": self.hosts_not_compared,
        }
        if self.old_not_complete:
            row["old_not_complete"] = self.old_not_complete
        return row
