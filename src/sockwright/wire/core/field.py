"""One field of a header, described as data.

A header class lists its fields in wire order::

    class UDP(Header, layer="udp", carried_by={"ip_protocol": 17}):
        src_port: UInt = uint(16, "port of the sender")
        length: Derived = derived(16, "octets of header and data")

Each `Field` is a property of the class: read on a header it gives the typed value, assigned it
checks and converts, and read on the class it is the description itself (``UDP.length.width``).
Widths are in bits. `Header` lays the fields out in words of 16 bits or more (see `header.py`), and
each field then gets a getter and a setter made for its place; there is no generated source.

For type checkers a field is a descriptor with two types: what reading gives, what assigning takes.
"""

from __future__ import annotations

import operator
from enum import Enum
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6, inet_pton
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Protocol, TypeVar, final, overload

from sockwright.wire.core.address import MACAddress, mac_octets
from sockwright.wire.core.flags import FlagSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from sockwright.wire.core.header import Header

__all__ = [
    "AUTO",
    "Auto",
    "Derived",
    "Field",
    "IPv4Value",
    "IPv6Value",
    "MACValue",
    "Octets",
    "UInt",
    "VariableCodec",
    "derived",
    "flags",
    "following",
    "ipv4",
    "ipv6",
    "mac",
    "octets",
    "overlay",
    "raw",
    "uint",
    "variable",
]

Got = TypeVar("Got")
Put = TypeVar("Put")
Item = TypeVar("Item")
FlagsT = TypeVar("FlagsT", bound=FlagSet)


def own_code(function: Any) -> Any:
    """Return the same function with a code object of its own.

    CPython keeps what it learnt about attribute look-ups in the code object. Functions made from
    one `def` for many header classes share it, and then forget all the time: with code of their own
    building and decoding take 7 % less time (CPython 3.11, the benchmark of packets).
    """
    own = FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    own.__qualname__ = function.__qualname__
    own.__doc__ = function.__doc__
    return own


# States of a packet (`Packet._state`): its headers are shared with other packets; they are its own
# and their derived fields are to be computed; they hold what the octets hold; and it is as decoded.
SHARED, STALE, SETTLED, DECODED = range(4)
PIECE = -1  # while it is decoded, and what follows is a piece of a datagram


@final
class Adopted:
    """Stands in `Header._packet` of a header that packets took over without a copy (`adopt`).

    `before` is what the header was then, once it was edited since.
    """

    __slots__ = ("before",)
    _state = SHARED

    def __init__(self, before: Header | None) -> None:
        self.before = before


ADOPTED: Final = Adopted(None)

# What a field of each kind takes, for the error that refuses something else.
_TAKES: Final = {
    "uint": "an int",
    "flags": "an int or letters",
    "mac": "a MAC address, as text or six octets",
    "ipv4": "an IPv4 address, as text, number, four octets or IPv4Address",
    "ipv6": "an IPv6 address, as text, number, 16 octets or IPv6Address",
    "octets": "octets",
    "variable": "a series of items",
}

MOST_TEXTS = 4096  # raw values of texts a field keeps


class Auto(Enum):
    """The type of `AUTO`."""

    AUTO = "AUTO"

    def __repr__(self) -> str:
        return "AUTO"


AUTO: Final = Auto.AUTO
"""Assigned to a derived field: compute it from the packet again."""


class VariableCodec(Protocol[Item]):
    """How the variable part behind the fixed fields of a header is read and written."""

    def decode(self, octets: bytes) -> tuple[Item, ...]:
        """Return the items in `octets`; what cannot be read becomes an item that keeps it raw."""

    def encode(self, items: tuple[Item, ...]) -> bytes:
        """Return the octets of `items`, padded as the header wants."""


if TYPE_CHECKING:

    class _Property:
        fget: Callable[[Any], Any]
        fset: Callable[[Any, Any], None]

        def __init__(
            self, fget: Callable[[Any], Any], fset: Callable[[Any, Any], None], fdel: None, doc: str
        ) -> None: ...
else:
    _Property = property


class Field(_Property, Generic[Got, Put]):
    """The description of one field, and the property that reads and writes it.

    `kind` is one of ``uint flags mac ipv4 ipv6 octets variable``; `width` and `bit_offset` are in
    bits from the start of the header (a variable part has width 0); `derived` fields can be `AUTO`;
    `namespace` is set on the field that says which header follows; `values` names known values;
    an `overlay` reads octets that another field owns, and has a meaning only `when` the field named
    first holds one of the values named second.
    """

    name: str
    owner: type[Header]
    bit_offset: int
    default: Any

    def __init__(
        self,
        kind: str,
        width: int,
        meaning: str,
        *,
        default: Any = 0,
        is_derived: bool = False,
        namespace: str = "",
        values: Mapping[int, str] | None = None,
        to_raw: Callable[[Any], Any] | None = None,
        from_raw: Callable[[Any], Any] | None = None,
        codec: VariableCodec[Any] | None = None,
        split: Callable[[Any], Any] | None = None,
    ) -> None:
        # The property itself is filled in by `bind`, when the place in the header is known.
        self.kind = kind
        self.width = width
        self.meaning = meaning
        self.default = default
        self.derived = is_derived
        self.namespace = namespace
        self.values: Mapping[int, str] = values or {}
        self.to_raw = to_raw
        # Raw values of texts met before. Addresses and flags repeat from packet to packet, and
        # parsing their text is half of what building one costs.
        self.texts: dict[str, Any] = {}
        self.from_raw = from_raw
        self.codec = codec
        self.split = split  # reads a variable part whose form the fixed fields tell
        self.overlay = False
        self.when: tuple[str, tuple[int, ...]] | None = None
        self.mask = 0
        self.assign: Callable[[Header, Any], None]
        # Index of the word, largest number and known texts that may be put there as they are.
        self.plain: tuple[int, int, dict[str, Any]] = (0, -1, {})

    if TYPE_CHECKING:

        @overload
        def __get__(self, header: None, owner: type) -> Self: ...
        @overload
        def __get__(self, header: Header, owner: type) -> Got: ...
        def __get__(self, header: Header | None, owner: type) -> Any: ...
        def __set__(self, header: Header, value: Put) -> None: ...

    @property
    def path(self) -> str:
        """Layer and name, as in ``tcp.dst_port``."""
        return f"{self.owner.layer}.{self.name}"

    def __repr__(self) -> str:
        return f"<field {self.path}>" if hasattr(self, "owner") else f"<field of {self.width} bits>"

    def applies(self, header: Header) -> bool:
        """Whether the field has a meaning in this header (False for overlays of other kinds)."""
        if self.when is None:
            return True
        name, wanted = self.when
        return getattr(header, name) in wanted

    def convert(self, value: Any) -> Any:
        """Return the raw form of `value`: an int of `width` bits, or octets.

        Raises: ValueError names the field, the value and the range; TypeError for a wrong type.
        """
        if value is AUTO:
            raise TypeError(f"{self.path} is not derived from anything, so it cannot be AUTO")
        try:
            if self.to_raw is not None:
                raw = self.to_raw(value)
                if type(value) is str:
                    if len(self.texts) >= MOST_TEXTS:
                        self.texts.clear()
                    self.texts[value] = raw
                return raw
            number = operator.index(value)
        except TypeError:
            raise TypeError(f"{self.path} takes {_TAKES[self.kind]}, not {value!r}") from None
        except (ValueError, OSError) as error:
            raise ValueError(f"{self.path}: {value!r} does not fit: {error}") from None
        if not 0 <= number < 1 << self.width:
            raise ValueError(f"{self.path}: {value!r} is outside 0 to {(1 << self.width) - 1}")
        return number

    def bind(self, index: int, shift: int, word: int) -> None:
        """Make the getter and setter for bits `shift` and up of word `index`, `word` bits wide."""
        if self.codec is not None:
            self._bind_variable(self.codec)
        elif self.width == word:
            self._bind_word(index)
            if not self.mask:
                number = self.to_raw is None
                self.plain = (index, (1 << self.width) - 1 if number else -1, self.texts)
        else:
            self._bind_bits(index, shift)

    def _bind_word(self, index: int) -> None:
        convert, from_raw = self.convert, self.from_raw
        maximum = (1 << self.width) - 1

        assign: Callable[[Header, Any], None]
        if self.to_raw is None:

            def assign(header: Header, value: Any) -> None:
                if not (type(value) is int and 0 <= value <= maximum):
                    value = convert(value)
                header._values[index] = value
        else:

            def assign(header: Header, value: Any) -> None:
                header._values[index] = convert(value)

        getter: Callable[[Header], Any]
        if from_raw is None:

            def getter(header: Header) -> Any:
                return header._values[index]
        else:

            def getter(header: Header) -> Any:
                return from_raw(header._values[index])

        self._install(getter, assign)

    def _bind_bits(self, index: int, shift: int) -> None:
        convert, texts, from_raw = self.convert, self.texts, self.from_raw
        maximum = (1 << self.width) - 1
        others = ~(maximum << shift)

        def assign(header: Header, value: Any) -> None:
            values = header._values
            if type(value) is int and 0 <= value <= maximum:
                values[index] = values[index] & others | value << shift
            elif type(value) is str and value in texts:
                values[index] = values[index] & others | texts[value] << shift
            else:
                values[index] = values[index] & others | convert(value) << shift

        getter: Callable[[Header], Any]
        if from_raw is None:

            def getter(header: Header) -> Any:
                return header._values[index] >> shift & maximum
        else:

            def getter(header: Header) -> Any:
                return from_raw(header._values[index] >> shift & maximum)

        self._install(getter, assign)

    def _bind_variable(self, codec: VariableCodec[Any]) -> None:
        def assign(header: Header, value: Any) -> None:
            header._tail = codec.encode(tuple(value))

        def getter(header: Header) -> Any:
            return codec.decode(header._tail)

        self._install(self.split or getter, assign)

    def _install(
        self, getter: Callable[[Header], Any], assign: Callable[[Header, Any], None]
    ) -> None:
        """Become the property; `assign` is also what `Header.__init__` calls."""
        mask, codec, convert = self.mask, self.codec, self.convert
        largest = (1 << self.width) - 1 if codec is None and self.to_raw is None else -1

        def assign_derived(header: Header, value: Any) -> None:
            if value is AUTO:
                header._auto |= mask
            else:
                assign(header, value)
                header._auto &= ~mask

        def check(value: Any) -> Any:
            if codec is not None:
                value = tuple(value)
                codec.encode(value)
            elif not (value is AUTO and mask):
                convert(value)
            return value

        def set_value(header: Header, value: Any) -> None:
            # What does not fit is refused before the packet counts as edited.
            if not (type(value) is int and 0 <= value <= largest):
                value = check(value)
            packet = header._packet
            if packet is not None:
                if type(packet) is Adopted:
                    header._leave()
                else:
                    packet._octets = None
                    packet._state = STALE
            if type(header._values) is tuple:
                header._values = list(header._values)
            chosen(header, value)

        def get_derived(header: Header) -> Any:
            if header._auto & mask:
                packet = header._packet
                if packet is None or packet._state < SETTLED:
                    header._settle()
            return get(header)

        get = own_code(getter)
        assign = own_code(assign)
        self.assign = chosen = own_code(assign_derived) if mask else assign
        reader = own_code(get_derived) if mask else get
        _Property.__init__(self, reader, own_code(set_value), None, self.meaning)


UInt = Field[int, int]
Derived = Field[int, int | Auto]
MACValue = Field[MACAddress, str | bytes]
IPv4Value = Field[IPv4Address, str | int | bytes | IPv4Address]
IPv6Value = Field[IPv6Address, str | int | bytes | IPv6Address]
Octets = Field[bytes, bytes]


def uint(
    width: int, meaning: str, *, default: int = 0, values: Mapping[int, str] | None = None
) -> UInt:
    """Describe an unsigned integer of `width` bits."""
    return Field("uint", width, meaning, default=default, values=values)


def derived(
    width: int, meaning: str, *, default: int = 0, values: Mapping[int, str] | None = None
) -> Derived:
    """Describe an integer that the packet itself determines: a length or a checksum."""
    return Field("uint", width, meaning, default=default, values=values, is_derived=True)


def following(
    width: int,
    namespace: str,
    meaning: str,
    *,
    default: int,
    values: Mapping[int, str] | None = None,
) -> Derived:
    """Describe the number that says which header follows, out of the registry `namespace`."""
    return Field(
        "uint",
        width,
        meaning,
        default=default,
        values=values,
        is_derived=True,
        namespace=namespace,
    )


def flags(kind: type[FlagsT], meaning: str, *, default: int = 0) -> Field[FlagsT, int | str]:
    """Describe as many bits as `kind` names."""
    width = len(kind.names)
    table = tuple(kind(bits) for bits in range(1 << width))
    return Field(
        "flags",
        width,
        meaning,
        default=default,
        to_raw=lambda value: int(kind.parse(value)),
        from_raw=table.__getitem__,
    )


def mac(meaning: str, *, default: bytes = bytes(6)) -> MACValue:
    """Describe a 48-bit MAC address."""
    return Field(
        "mac",
        48,
        meaning,
        default=default,
        to_raw=mac_octets,
        from_raw=partial(bytes.__new__, MACAddress),  # six octets, as MACAddress would find
    )


def _ipv4_number(value: str | int | bytes | IPv4Address) -> int:
    if isinstance(value, str):
        try:
            return int.from_bytes(inet_pton(AF_INET, value), "big")
        except OSError:
            raise ValueError("an IPv4 address is written as '192.0.2.1'") from None
    if not isinstance(value, (int, bytes, IPv4Address)):
        raise TypeError
    return int(IPv4Address(value))


def ipv4(meaning: str, *, default: int = 0) -> IPv4Value:
    """Describe an IPv4 address. It is kept as a number and read as `ipaddress.IPv4Address`."""
    return Field(
        "ipv4",
        32,
        meaning,
        default=default,
        to_raw=_ipv4_number,
        from_raw=IPv4Address,
    )


def _ipv6_octets(value: str | int | bytes | IPv6Address) -> bytes:
    if isinstance(value, str):
        try:
            return inet_pton(AF_INET6, value)
        except OSError:
            raise ValueError("an IPv6 address is written as '2001:db8::1'") from None
    if not isinstance(value, (int, bytes, IPv6Address)):
        raise TypeError
    return IPv6Address(value).packed


def ipv6(meaning: str, *, default: bytes = bytes(16)) -> IPv6Value:
    """Describe an IPv6 address. It is kept as 16 octets and read as `ipaddress.IPv6Address`."""
    return Field(
        "ipv6",
        128,
        meaning,
        default=default,
        to_raw=_ipv6_octets,
        from_raw=IPv6Address,
    )


def octets(length: int, meaning: str, *, default: bytes = b"") -> Octets:
    """Describe `length` octets without inner structure."""

    def to_raw(value: bytes) -> bytes:
        raw = bytes(memoryview(value))
        if len(raw) != length:
            raise ValueError(f"{length} octets are needed, {len(raw)} were given")
        return raw

    return Field("octets", 8 * length, meaning, default=default or bytes(length), to_raw=to_raw)


def variable(
    codec: VariableCodec[Item],
    meaning: str,
    *,
    split: Callable[[Any], tuple[Item, ...]] | None = None,
) -> Field[tuple[Item, ...], Iterable[Item]]:
    """Describe the part behind the fixed fields: options, addresses, records.

    Where the form of the items depends on fixed fields, `split` reads them from the header.
    """
    return Field("variable", 0, meaning, default=(), codec=codec, split=split)


class _RawCodec:
    """The codec of a variable part without inner structure: its items are its octets."""

    def decode(self, octets: bytes) -> Any:
        return octets

    def encode(self, items: tuple[Any, ...]) -> bytes:
        return bytes(items)


def raw(meaning: str) -> Octets:
    """Describe a variable part that is just octets; it is read and assigned as `bytes`."""
    return Field("variable", 0, meaning, default=b"", codec=_RawCodec())


FieldT = TypeVar("FieldT", bound=Field[Any, Any])


def overlay(bit_offset: int, field: FieldT, *, when: str, among: tuple[int, ...]) -> FieldT:
    """Give a second name to bits that other fields hold, for headers whose type changes them.

    The field lies at `bit_offset` and has a meaning only where the field called `when` holds one of
    the values `among`. It may not cross a word of the header.
    """
    field.overlay = True
    field.bit_offset = bit_offset
    field.when = (when, among)
    return field


Kind = Literal["uint", "flags", "mac", "ipv4", "ipv6", "octets", "variable"]
