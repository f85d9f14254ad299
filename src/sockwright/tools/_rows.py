"""Rows that are no tables: text that is ready to be shown, and how far a verb has come."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress", "Text"]


@dataclass(frozen=True, slots=True)
class Text:
    """Whole lines, for verbs with so many of them that a row for each would take the time.

    `octets` are printable ASCII and line ends; whoever makes them has escaped everything else.
    """

    octets: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verb has come: `done` of `total` octets; `total` is 0 where nobody knows.

    It is shown as a bar on a terminal when the verb takes longer than a second, and is no row of
    the output.
    """

    done: int
    total: int
