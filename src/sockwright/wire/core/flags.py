"""Sets of named bits that are plain integers: fast to read, easy to print."""

from __future__ import annotations

import operator
from typing import ClassVar, Self

__all__ = ["FlagSet"]


class FlagSet(int):
    """An integer whose bits have names, lowest bit first: ``TCPFlags("SA") == 0x12``.

    Single-letter names are written without a separator, longer ones with ``|`` between them.
    Compared with text it is equal where the text names the same flags, in any order; it hashes as
    the number that it is. An `enum.IntFlag` takes 15 times the time to read, and a capture holds
    millions of them.
    """

    __slots__ = ()
    names: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[tuple[str, ...]] = ()
    separator: ClassVar[str] = ""

    def __init_subclass__(cls, *, names: tuple[str, ...], words: tuple[str, ...] = ()) -> None:
        """Note the names of the bits, lowest first.

        `words` are longer names, made to be shown; each is an attribute, as in ``TCPFlags.SYN``.
        """
        cls.names = names
        cls.words = words
        cls.separator = "" if all(len(name) == 1 for name in names) else "|"
        for bit, word in enumerate(words):
            setattr(cls, word, cls(1 << bit))

    def __new__(cls, value: int | str = 0) -> Self:
        """Make a set of a number or text. Raises: ValueError as `parse` does."""
        return cls.parse(value) if isinstance(value, str) else super().__new__(cls, value)

    @classmethod
    def parse(cls, value: int | str) -> Self:
        """Return the set for a number or for text such as ``SA`` or ``DF|MF``.

        Raises: ValueError names the flag that is unknown, or the range.
        """
        if not isinstance(value, str):
            number = operator.index(value)
            if not 0 <= number < 1 << len(cls.names):
                raise ValueError(f"{number} is outside 0 to {(1 << len(cls.names)) - 1:#x}")
            return cls(number)
        words = value.replace(",", "|").split("|") if cls.separator else list(value)
        bits = 0
        for word in words:
            if word in cls.names:
                bits |= 1 << cls.names.index(word)
            elif word:
                known = ", ".join(cls.names)
                raise ValueError(f"{word!r} in {value!r} is no flag of {cls.__name__}: {known}")
        return cls(bits)

    def __str__(self) -> str:
        return self.separator.join(
            name for bit, name in enumerate(self.names) if int(self) >> bit & 1
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec) if not spec or spec[-1] == "s" else format(int(self), spec)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            try:
                other = self.parse(other)
            except ValueError:
                return False
        return int.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__

    def __contains__(self, flags: str) -> bool:
        """Whether each of `flags` is set: ``"SA" in flags`` is SYN and ACK."""
        wanted = self.parse(flags)
        return self & wanted == wanted
