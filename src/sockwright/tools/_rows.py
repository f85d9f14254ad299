"""Rows that are no tables: text that is ready to be shown, a word beside it, how far a verb is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Progress", "Remark", "Text"]


@dataclass(frozen=True, slots=True)
class Text:
    """Whole lines, for verbs with so many of them that a row for each would take the time.

    `octets` are printable ASCII and line ends; whoever makes them has escaped everything else.
    """

    octets: bytes


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to say beside the rows, on standard error."""

    aside: ClassVar[bool] = True

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Progress:
    """Says from now on how far a verb has come; it is no row of the output.

    `part` gives 0 to 1, or None where nobody knows. The command asks it now and then, from another
    thread, when the verb takes longer than a second and a terminal looks on.
    """

    is_progress: ClassVar[bool] = True

    part: Callable[[], float | None]
