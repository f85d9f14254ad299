"""Structures of the kernel, described field by field in the order of the C header.

Structures such as tcp_info grow at their end with the kernel, so a field may lie behind the octets
that came: it is None then. Offsets follow from the description, each field aligned to its own size
as C does it. Nothing is unpacked before it is asked for; who asks for everything gets the plain
numbers in one step.
"""

from __future__ import annotations

import struct
import sys

from sockwright.sockets.diag.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

__all__ = [
    "Bit",
    "Bits",
    "Choice",
    "Field",
    "Flag",
    "MaybeNumber",
    "Number",
    "Octets",
    "Structure",
    "bits",
]

_BYTE_ORDER = sys.byteorder
_SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
_FORMS = {1: "B", 2: "H", 4: "I", 8: "Q"}  # of the module struct, by octets


def bits(number: int, octets: int, first: int, many: int) -> int:
    """Return a bit-field of `many` bits of a unit of so many octets that holds `number`.

    C gives the first bit-field the lowest bits on little-endian machines, else the highest.
    """
    return number >> _shift(octets, first, many) & ((1 << many) - 1)


def _shift(octets: int, first: int, many: int) -> int:
    return first if _BYTE_ORDER == "little" else octets * 8 - first - many


class Structure(Value):
    """A structure of the kernel; `octets` holds as much of it as came."""

    __slots__ = ("octets",)

    fields: ClassVar[tuple[Field, ...]] = ()
    """Its fields in their order."""
    size: ClassVar[int]
    """Octets of the whole structure as it is described here, without padding at its end."""
    _numbers: ClassVar[struct.Struct]
    """The plain numbers that `as_dict` tells, up to the last of them."""
    _plain: ClassVar[tuple[tuple[str, int, int], ...]]
    """Of each its key, the value that stands for none, and how many octets it takes to be known."""
    _others: ClassVar[tuple[tuple[str, Field], ...]]
    """What else `as_dict` tells, by key."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def __init_subclass__(cls) -> None:
        """Give each field its place."""
        fields = [field for field in vars(cls).values() if isinstance(field, Field)]
        end = 0
        for field in fields:
            end = field.place(end)
        cls.fields = tuple(fields)
        cls.size = end
        told = [field for field in fields if not field.hidden]
        plain = [field for field in told if isinstance(field, Number | MaybeNumber)]
        cls._others = tuple((field.key, field) for field in told if field not in plain)
        cls._plain = tuple(
            (field.key, field.unset, field.end) if isinstance(field, MaybeNumber)
            else (field.key, -1, 0)
            for field in plain
        )  # fmt: skip
        form, end = "=", 0
        for field in plain:
            form += f"{field.at - end}x{_FORMS[field.octets]}"
            end = field.end
        cls._numbers = struct.Struct(form)

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value; names of times end with their unit."""
        octets = self.octets
        known = len(octets)
        found: dict[str, object] = {key: field.__get__(self, None) for key, field in self._others}
        numbers = self._numbers.unpack_from(octets.ljust(self._numbers.size, b"\0"))
        for (key, unset, end), number in zip(self._plain, numbers, strict=True):
            if number != unset and end <= known:
                found[key] = number
        return found

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items())
        return f"{type(self).__name__}({told})"


class Field:
    """One field: where it lies, what it means, the unit of a time ("us", "ms", "s").

    `hidden` keeps it out of `as_dict`, for what other fields tell in words.
    """

    def __init__(self, width: str, meaning: str, unit: str = "", *, hidden: bool = False) -> None:
        self.octets = _SIZES[width]
        self.unit = unit
        self.hidden = hidden
        self.__doc__ = f"{meaning}, in {unit}." if unit else f"{meaning}."
        self.name = ""
        self.at = self.end = 0

    def __set_name__(self, owner: type[Structure], name: str) -> None:
        """Learn the name."""
        self.name = name

    def place(self, at: int) -> int:
        """Take the next place from `at` on; return where it ends."""
        self.at = at + -at % self.octets
        self.end = self.at + self.octets
        return self.end

    @property
    def key(self) -> str:
        """The name in `as_dict`: with the unit of a time behind it."""
        return f"{self.name}_{self.unit}" if self.unit else self.name

    def __get__(self, structure: Structure, owner: type[Structure] | None) -> object:
        """Return the value, None where the structure is too short."""
        raise NotImplementedError


class Number(Field):
    """A number that every kernel tells; 0 where the octets are too few."""

    def __get__(self, structure: Structure, owner: type[Structure] | None) -> int:
        """Return the number."""
        if structure is None:
            return self  # type: ignore[unreachable]  # asked of the class, for its text
        octets = structure.octets
        return int.from_bytes(octets[self.at : self.end], _BYTE_ORDER)


class Octets(Field):
    """So many octets as they are, such as an address; on an offset that 8 divides."""

    def __init__(self, many: int, meaning: str) -> None:
        super().__init__("u64", meaning, hidden=True)
        self.many = many

    def place(self, at: int) -> int:
        """Take the next place from `at` on; return where it ends."""
        super().place(at)
        self.end = self.at + self.many
        return self.end

    def __get__(self, structure: Structure, owner: type[Structure] | None) -> bytes:
        """Return the octets, as many as came."""
        if structure is None:
            return self  # type: ignore[unreachable]
        return structure.octets[self.at : self.end]


class MaybeNumber(Field):
    """A number that older kernels do not tell, or that says `unset` for none: None then."""

    def __init__(
        self, width: str, meaning: str, unit: str = "", unset: int = -1, *, hidden: bool = False
    ) -> None:
        super().__init__(width, meaning, unit, hidden=hidden)
        self.unset = unset

    def __get__(self, structure: Structure, owner: type[Structure] | None) -> int | None:
        """Return the number, or None."""
        if structure is None:
            return self  # type: ignore[unreachable]
        octets = structure.octets
        if self.end > len(octets):
            return None
        number = int.from_bytes(octets[self.at : self.end], _BYTE_ORDER)
        return None if number == self.unset else number


class Choice(Field):
    """One of a few words, by its number; a number without a word stays a number, as text."""

    def __init__(self, width: str, words: tuple[str, ...], meaning: str) -> None:
        super().__init__(width, meaning)
        self.words = words

    def __get__(self, structure: Structure, owner: type[Structure] | None) -> str:
        """Return the word."""
        if structure is None:
            return self  # type: ignore[unreachable]
        number = int.from_bytes(structure.octets[self.at : self.end], _BYTE_ORDER)
        return self.words[number] if number < len(self.words) else str(number)


class Bits(Field):
    """A bit-field of `many` bits, from bit `first` on of a unit that it may share."""

    def __init__(self, width: str, first: int, many: int, meaning: str) -> None:
        super().__init__(width, meaning)
        self.first = first
        self.shift = _shift(self.octets, first, many)
        self.mask = (1 << many) - 1

    def place(self, at: int) -> int:
        """Take the next place, or where `first` is not 0 that of the field before."""
        return super().place(at - self.octets if self.first else at)

    def __get__(self, structure: Structure, owner: type[Structure] | None) -> int:
        """Return the number."""
        if structure is None:
            return self  # type: ignore[unreachable]
        number = int.from_bytes(structure.octets[self.at : self.end], _BYTE_ORDER)
        return number >> self.shift & self.mask


class Bit(Bits):
    """A bit-field of one bit."""

    def __init__(self, width: str, first: int, meaning: str) -> None:
        super().__init__(width, first, 1, meaning)

    def __get__(self, structure: Structure, owner: type[Structure] | None) -> bool:
        """Return whether it is set."""
        if structure is None:
            return self  # type: ignore[unreachable]
        number = int.from_bytes(structure.octets[self.at : self.end], _BYTE_ORDER)
        return bool(number >> self.shift & 1)


class Flag(Field):
    """Whether the bits `mask` of the field `of` are set; takes no room of its own."""

    def __init__(self, of: str, mask: int, meaning: str) -> None:
        super().__init__("u8", meaning)
        self.of = of
        self.mask = mask

    def __set_name__(self, owner: type[Structure], name: str) -> None:
        """Learn the name, and which field holds the bits."""
        super().__set_name__(owner, name)
        self.number: Field = vars(owner)[self.of]

    def place(self, at: int) -> int:
        """Take no room."""
        return at

    def __get__(self, structure: Structure, owner: type[Structure] | None) -> bool:
        """Return whether they are set."""
        if structure is None:
            return self  # type: ignore[unreachable]
        number = self.number
        octets = structure.octets[number.at : number.end]
        return int.from_bytes(octets, _BYTE_ORDER) & self.mask != 0
