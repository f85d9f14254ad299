"""Options of kind, length and data, as IPv4 (RFC 791) and TCP (RFC 9293) have them.

Typed values, and a codec that keeps what it cannot read.

An option class is a frozen dataclass with a `kind`, `body()` for the octets behind kind and length,
and `from_body()` to read them; `from_body` raises ValueError where the octets do not fit, and the
option is then kept as an `UnknownOption`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "END",
    "NO_OPERATION",
    "EndOfOptions",
    "MalformedOption",
    "NoOperation",
    "Option",
    "OptionCodec",
    "UnknownOption",
    "check_uint",
]

END, NO_OPERATION = 0, 1


def check_uint(name: str, value: int, bits: int) -> None:
    """Check that `value` fits `bits` bits.

    Raises: ValueError names the field, value and range; TypeError for what is no int.
    """
    if not isinstance(value, int):
        raise TypeError(f"{name} takes an int, not {value!r}")
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name}: {value!r} is outside 0 to {(1 << bits) - 1}")


@dataclass(frozen=True, slots=True)
class Option:
    """The base of options with kind and length."""

    kind: ClassVar[int] = -1

    def encode(self) -> bytes:
        """Return kind, length and body. Raises: ValueError when the body is over 253 octets."""
        body = self.body()
        if len(body) > 253:
            raise ValueError(f"{type(self).__name__} has {len(body)} octets; 253 fit an option")
        return bytes((self.kind, 2 + len(body))) + body

    def body(self) -> bytes:
        """Return what stands behind kind and length."""
        return b""

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read what stands behind kind and length. Raises: ValueError where it does not fit."""
        if body:
            raise ValueError(f"{cls.__name__} has no data")
        return cls()


@dataclass(frozen=True, slots=True)
class EndOfOptions(Option):
    """Kind 0: nothing follows but `padding`."""

    kind: ClassVar[int] = END
    padding: bytes = b""

    def encode(self) -> bytes:
        """Return the octet 0 and the padding."""
        return b"\0" + self.padding


@dataclass(frozen=True, slots=True)
class NoOperation(Option):
    """Kind 1: one octet that aligns the next option."""

    kind: ClassVar[int] = NO_OPERATION

    def encode(self) -> bytes:
        """Return the octet 1."""
        return b"\1"


@dataclass(frozen=True, slots=True)
class UnknownOption(Option):
    """An option whose kind is not known here, or whose data do not fit its kind."""

    number: int
    data: bytes = b""

    def __post_init__(self) -> None:
        if not 0 <= self.number <= 255:
            raise ValueError(f"option kind {self.number} is outside 0 to 255")

    def encode(self) -> bytes:
        """Return kind, length and data. Raises: ValueError when the data are over 253 octets."""
        if len(self.data) > 253:
            raise ValueError(f"UnknownOption has {len(self.data)} octets; 253 fit an option")
        return bytes((self.number, 2 + len(self.data))) + self.data


@dataclass(frozen=True, slots=True)
class MalformedOption(Option):
    """Octets from here to the end of the header that are no option: a length that lies."""

    octets: bytes = b""

    def encode(self) -> bytes:
        """Return the octets as they came."""
        return self.octets


_NO_OPERATION: Final = NoOperation()
_OF_ANY_HEADER: Final = (EndOfOptions, MalformedOption, NoOperation, UnknownOption)


# Options are values, and but for timestamps a few of them fill a capture.
@lru_cache(maxsize=4096)
def _typed(cls: type[Option] | None, kind: int, body: bytes) -> Option:
    """Return the option of `cls` in `body`, or an unknown one where it does not fit."""
    if cls is not None:
        try:
            return cls.from_body(body)
        except ValueError:
            pass
    return UnknownOption(kind, body)


@dataclass(frozen=True, slots=True)
class OptionCodec:
    """Reads and writes a list of options; `kinds` maps a kind to its class.

    Encoding pads with zeros (end of options) to a multiple of `alignment` octets.
    """

    kinds: Mapping[int, type[Option]]
    limit: int = 40
    alignment: int = 4

    def decode(self, octets: bytes) -> tuple[Option, ...]:
        """Return the options in `octets`; never raises."""
        found: list[Option] = []
        offset = 0
        while offset < len(octets):
            kind = octets[offset]
            if kind == NO_OPERATION:
                found.append(_NO_OPERATION)
                offset += 1
                continue
            if kind == END:
                found.append(EndOfOptions(octets[offset + 1 :]))
                break
            length = octets[offset + 1] if offset + 1 < len(octets) else 0
            if length < 2 or offset + length > len(octets):
                found.append(MalformedOption(octets[offset:]))
                break
            body = octets[offset + 2 : offset + length]
            found.append(_typed(self.kinds.get(kind), kind, body))  # type: ignore[arg-type]  # mypy holds a dataclass for unhashable
            offset += length
        return tuple(found)

    def encode(self, items: tuple[Option, ...]) -> bytes:
        """Return the octets of `items`, padded. Raises: ValueError when they do not fit."""
        for item in items:
            if not isinstance(item, (*_OF_ANY_HEADER, *self.kinds.values())):
                raise TypeError(f"{item!r} is not an option of this header")
        octets = b"".join([item.encode() for item in items])
        octets += bytes(-len(octets) % self.alignment)
        if len(octets) > self.limit:
            raise ValueError(f"the options take {len(octets)} octets; {self.limit} fit the header")
        return octets
