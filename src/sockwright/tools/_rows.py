"""Rows that are no tables: text that is ready to be shown, a word beside it, how far a verb is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Progress", "Remark", "Text"]

# Plain classes: dataclasses take 10 ms to load, and not every verb has other use for them.


class Text:
    """Whole lines, for verbs with so many of them that a row for each would take the time.

    `octets` are printable ASCII and line ends; whoever makes them has escaped everything else.
    """

    __slots__ = ("octets",)

    def __init__(self, octets: bytes) -> None:
        self.octets = octets


class Remark:
    """Something to say beside the rows, on standard error."""

    aside = True
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class Progress:
    """Says from now on how far a verb has come; it is no row of the output.

    `part` gives 0 to 1, or None where nobody knows. `octets`, of a verb that moves octets, gives
    those that are done and those that there are, None where nobody knows: how fast they move and
    how long that will take is then shown, too. The command asks now and then, from another thread,
    when the verb takes longer than a second and a terminal looks on.
    """

    is_progress = True
    __slots__ = ("octets", "part")

    def __init__(
        self,
        part: Callable[[], float | None],
        octets: Callable[[], tuple[int, int | None]] | None = None,
    ) -> None:
        self.part = part
        self.octets = octets
