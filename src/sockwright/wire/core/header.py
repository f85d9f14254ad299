"""What every header is: fixed fields laid out in words, and perhaps a variable part behind them.

How a header holds its fields
    The fields are grouped, in wire order, into words of 16, 32 or 64 bits (octet strings stay
    whole; a single odd octet at the end is a word of 8). `_values` holds one number or octet string
    a word: a tuple straight out of `struct` while untouched, a list once edited. Getters shift and
    mask. Because all words but octet strings are multiples of 16 bits, a checksum may simply sum
    them (see `checksum.py`).

Derived fields
    Lengths, checksums and next-header numbers are derived. Each has a bit in `_derived`; `_auto`
    says which of them are computed when the packet is encoded: all but those that were set by hand
    (pinned) or that could not be computed when the header was decoded. A packet as it was decoded
    is not encoded at all before its first edit, so until then its fields are what the wire had.

Belonging
    A header inside a packet that was asked for it belongs to that packet alone (`_packet`). One
    of its own has no packet. ``/`` takes such a header over without a copy and marks it as adopted;
    when it is edited later, it leaves behind what it was for the packets that adopted it (`adopt`,
    `_leave`). So a header that was used to build one packet can be changed and used for the next.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, dataclass_transform

from sockwright.wire.core.field import ADOPTED, SHARED, Adopted, Field, own_code
from sockwright.wire.core.finding import Finding
from sockwright.wire.core.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Place, Severity
    from sockwright.wire.core.packet import Packet

__all__ = ["Form", "Header", "Tables"]

_new = object.__new__
_WORDS = {8: "B", 16: "H", 32: "I", 64: "Q"}
MOST_LAYERS = 32
_WHOLE = ("octets", "mac", "ipv6")


Step: TypeAlias = (
    "Callable[[bytes, int, int, Tables, Packet, list[Header]], tuple[int, int, Form | None]]"
)
Form: TypeAlias = "tuple[Choose | None, int, Step, type[Header]]"
"""What decoding needs of a class, in one look-up: `_choose`, fixed size, step, the class itself."""


Choose: TypeAlias = "Callable[[bytes, int, int], type[Header]]"
Tables: TypeAlias = "dict[str, dict[int, Form]]"
"""The registry: namespace -> number -> form of the header announced by it."""


@dataclass_transform(kw_only_default=True, eq_default=False)
class Header:
    """The base of all headers. A subclass is a list of fields and what the protocol adds to it.

    `layer` is the name used in paths such as ``tcp.dst_port``; `carried_by` maps a registry
    namespace to the numbers that announce this header (the first one is written when it follows);
    `fields` are the described fields in wire order, overlays and variable part included.
    """

    __slots__ = ("_auto", "_packet", "_tail", "_values")

    layer: ClassVar[str] = ""
    carried_by: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    fields: ClassVar[tuple[Field[Any, Any], ...]] = ()
    fixed_size: ClassVar[int] = 0
    """Octets of the fixed part."""
    walk: ClassVar[Walk | None] = Walk()
    """What `advance` does, as data; None where a class has an `advance` of its own and no walk."""
    is_network: ClassVar[bool] = False
    """Whether this is an IP header, which gives transports their pseudo-header."""

    _layout: ClassVar[struct.Struct]
    _pack: ClassVar[Callable[..., bytes]]
    _form: ClassVar[Form]
    _source: ClassVar[tuple[Form, tuple[str, ...], int]]
    _derived: ClassVar[int]
    _by_name: ClassVar[dict[str, Field[Any, Any]]]
    _following: ClassVar[tuple[int, int, int, int, str] | None]
    # A header with several forms sets this to a static method (octets, offset, end) -> class, which
    # chooses by the octets to come. Any: as a Callable it would be taken for a method.
    _choose: ClassVar[Any] = None

    _values: Any
    _auto: int
    _tail: bytes
    _packet: Packet | Adopted | None

    def __init_subclass__(
        cls, *, layer: str, carried_by: Mapping[str, int | tuple[int, ...]] | None = None
    ) -> None:
        """Lay the fields out in words."""
        if "__slots__" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} needs __slots__ = (), or a misspelt field would pass")
        cls.layer = layer
        cls.carried_by = {
            namespace: numbers if isinstance(numbers, tuple) else (numbers,)
            for namespace, numbers in (carried_by or {}).items()
        }
        if "advance" in vars(cls) and "walk" not in vars(cls):
            cls.walk = None
        fields = [field for field in vars(cls).values() if isinstance(field, Field)]
        for name, field in vars(cls).items():
            if isinstance(field, Field):
                field.name, field.owner = name, cls
        _lay_out(cls, fields)

    if TYPE_CHECKING:

        def __init__(self, **values: Any) -> None: ...

        def copy(self) -> Self:
            """Return a header of its own with the same values; pinned fields stay pinned."""

    # Building

    def __truediv__(self, upper: Header | Packet | bytes | bytearray | memoryview) -> Packet:
        """Put `upper` behind this header and return the packet. Neither side changes."""
        packet = _new(_packet.Packet)
        packet._octets = None
        packet._state = SHARED
        packet._rest = _packet.NOTHING
        packet._payload = b""
        if isinstance(upper, Header):
            # Most headers are new: taken over here, they need no call of `adopt`.
            if self._packet is None:
                self._packet = ADOPTED
                lower: Header = self
            else:
                lower = adopt(self)
            if upper._packet is None:
                upper._packet = ADOPTED
            else:
                upper = adopt(upper)
            packet._headers = (lower, upper)
            return packet
        packet._headers = (adopt(self),)
        return packet / upper

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Return the octets of this header and `body`, with the fields in `_auto` computed.

        `body` is all that follows and belongs to this header, `upper` the next header, and
        ``headers[index]`` is this one. A subclass with lengths or checksums has its own.
        """
        values = self._values
        if self._auto and upper is not None:
            values = list(values)
            self.derive_following(values, upper)
        return self._pack(*values) + self._tail + body

    def derive_following(self, values: list[Any], upper: Header) -> None:
        """Write the number of `upper` into the field that announces it.

        A number that already leads to `upper` stays: 0x9100 is as good as 0x88A8 for a VLAN tag.
        """
        following = self._following
        if following is not None and self._auto & following[0]:
            _, index, shift, mask, namespace = following
            numbers = upper.carried_by.get(namespace)
            if numbers is not None and values[index] >> shift & mask not in numbers:
                values[index] = values[index] & ~(mask << shift) | numbers[0] << shift

    def pseudo_sum(self, headers: Sequence[Header], index: int) -> int | None:
        """Return the word sum of the addresses in the pseudo-header of what this header carries.

        RFC 9293 section 3.1, RFC 8200 section 8.1. The transport adds its protocol number and
        length. Headers between IP and transport pass the question down; None without IP.
        ``headers[index]`` is this one.
        """
        return headers[index - 1].pseudo_sum(headers, index - 1) if index else None

    # Decoding

    @classmethod
    def decode(
        cls,
        octets: bytes | bytearray | memoryview,
        *,
        strict: bool = False,
        keep: Iterable[str] = (),
        max_layers: int = MOST_LAYERS,
    ) -> Packet:
        """Return the packet that starts with this header in `octets`.

        Content never raises: what ends too early is in `packet.errors`, everything else that is
        wrong is for `packet.verify()`. `keep` names derived fields (``tcp.checksum``, or
        ``checksum`` for that field of every layer) that stay as decoded when the packet is edited.

        Raises: DecodeError with `strict`, when `packet.errors` is not empty.
        """
        if type(octets) is bytes and not strict and not keep and max_layers == MOST_LAYERS:
            packet = _new(_packet.Packet)  # what `lazy` does, for most packets without a call
            packet._octets = octets
            packet._headers = None
            packet._source = cls._source
            return packet
        return _packet.lazy((cls._form, keep, max_layers), octets, strict)

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Say where decoding goes on: offset of the next header, end of what it may read, its form.

        The fixed part at `offset` is already in `_values`. A header with a variable part takes it
        here. An end nearer than `end` makes the octets between the two a trailer. What is missing
        is noted with `packet.note`.
        """
        following = self._following
        if following is None:
            return offset + self.fixed_size, end, None
        _, index, shift, mask, namespace = following
        return (
            offset + self.fixed_size,
            end,
            tables[namespace].get(self._values[index] >> shift & mask),
        )

    def take_tail(self, octets: bytes, offset: int, size: int, end: int, packet: Packet) -> int:
        """Take the variable part of a header that claims `size` octets; return where it ends."""
        start = offset + self.fixed_size
        stop = offset + size
        if stop > end:
            packet.note(self.layer, offset, size, end - offset, "header")
            stop = end
        if stop > start:
            self._tail = octets[start:stop]
            return stop
        return start

    # Judging

    def verify(self) -> tuple[Finding, ...]:
        """Return what is wrong with this header in its packet, or alone; see `Packet.verify`."""
        packet = self.packet
        if packet is None:
            return _packet.Packet((self,)).verify()
        own = next(index for index, header in enumerate(packet) if header is self)
        return tuple([finding for index, finding in packet.judge() if index == own])

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield what is wrong with this header at its place; a subclass says it, `verify` asks."""
        yield from ()

    def finding(  # noqa: PLR0917  # the parts of a finding, in their order
        self,
        code: str,
        severity: Severity,
        field: str,
        found: object,
        expected: object,
        reference: str,
        message: str,
    ) -> Finding:
        """Return a finding on this header; its code gets the layer in front, `_` as `-`."""
        return Finding(
            f"{self.layer}-{code}".replace("_", "-"),
            severity,
            self.layer,
            field,
            str(found),
            str(expected),
            reference,
            message,
        )

    # Reading

    @property
    def carries_fragment(self) -> bool:
        """Whether what follows is a piece of a datagram, whose length and checksum may not fit."""
        return False

    @property
    def size(self) -> int:
        """Octets this header takes, the variable part included."""
        return self.fixed_size + len(self._tail)

    @property
    def packet(self) -> Packet | None:
        """The packet this header belongs to."""
        return None if isinstance(self._packet, Adopted) else self._packet

    def pin(self, *names: str) -> Self:
        """Keep derived fields at their present values from now on; return the header itself.

        Raises: ValueError for a name that is not a derived field of this header.
        """
        for name in names:
            field = self._by_name.get(name)
            if field is None or not field.derived:
                raise ValueError(f"{self.layer} has no derived field {name!r}")
            if self._auto & field.mask:
                self._settle()
            if isinstance(self._packet, Adopted):
                self._leave()
            self._auto &= ~field.mask
        return self

    def is_pinned(self, name: str) -> bool:
        """Whether the derived field `name` was set by hand."""
        return not self._auto & self._by_name[name].mask

    def __bytes__(self) -> bytes:
        packet = self.packet
        if packet is None:
            return bytes(_packet.Packet((self,)))
        start = packet.offset_of(self)
        return bytes(packet)[start : start + self.size]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Header):
            return NotImplemented
        return type(self) is type(other) and bytes(self) == bytes(other)

    __hash__ = None  # type: ignore[assignment]  # headers can be edited

    def __repr__(self) -> str:
        parts = []
        for field in self.fields:
            if field.overlay or self._auto & field.mask:
                continue
            value = getattr(self, field.name)
            if field.codec is not None:
                if value:
                    parts.append(f"{field.name}={value!r}")
            elif field.convert(value) != field.default:
                shown = str(value) if field.kind not in ("uint", "octets") else value
                parts.append(f"{field.name}={shown!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    # A header out of a pickle or a `copy.copy` is one of its own.

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: object) -> Self:
        return self.copy()

    def __getstate__(self) -> tuple[Any, int, bytes]:
        return self._values, self._auto, self._tail

    def __setstate__(self, state: tuple[Any, int, bytes]) -> None:
        self._values, self._auto, self._tail = state
        self._packet = None

    def _leave(self) -> None:
        """Leave a copy to the packets that adopted this header, which is about to change."""
        if self._packet is ADOPTED:
            before = self.copy()
            before._packet = ADOPTED
            self._packet = Adopted(before)

    def _settle(self) -> None:
        """Bring the automatic fields up to date."""
        packet = self.packet
        if packet is not None:
            packet._settle()
        else:
            self._values = list(self._layout.unpack_from(bytes(self)))


def adopt(header: Header) -> Header:
    """Return `header` as a packet made by ``/`` may hold it: itself, or a copy if it is taken."""
    packet = header._packet
    if packet is None:
        header._packet = ADOPTED
    elif packet is not ADOPTED:
        header = header.copy()
        header._packet = ADOPTED
    return header


def _lay_out(cls: type[Header], fields: list[Field[Any, Any]]) -> None:
    """Group `fields` into words, make the struct, and bind each field to its place."""
    words: list[tuple[int, int, str]] = []  # first bit, bits, struct format
    start = bits = 0
    position = 0
    for field in fields:
        if field.overlay or field.codec is not None:
            continue
        field.bit_offset = position
        position += field.width
        if field.kind in _WHOLE:
            if bits:
                words.append((start, bits, _WORDS[bits]))
            words.append((position - field.width, field.width, f"{field.width // 8}s"))
            start, bits = position, 0
            continue
        bits += field.width
        if bits in (16, 32, 64):
            words.append((start, bits, _WORDS[bits]))
            start, bits = position, 0
    if bits:
        words.append((start, bits, _WORDS[bits]))
    layout = struct.Struct("!" + "".join(form for _, _, form in words))
    cls.fixed_size = layout.size
    cls._layout = layout
    cls._pack = layout.pack
    cls.fields = tuple(fields)
    cls._by_name = {field.name: field for field in fields}
    cls._derived = 0
    cls._following = None
    defaults: list[Any] = [bytes(size // 8) if "s" in form else 0 for _, size, form in words]
    for field in fields:
        if field.codec is not None:
            field.bit_offset = position
            field.bind(0, 0, 0)
            continue
        index, shift, size = _place(words, field)
        if field.derived:
            field.mask = cls._derived + 1
            cls._derived |= field.mask
        field.bind(index, shift, size)
        if field.overlay:
            continue
        if isinstance(defaults[index], int):
            defaults[index] |= field.default << shift
        else:
            defaults[index] = field.default
        if field.namespace:
            cls._following = (field.mask, index, shift, (1 << field.width) - 1, field.namespace)
    cls._form = (cls._choose, cls.fixed_size, _stepper(cls), cls)
    cls._source = (cls._form, (), MOST_LAYERS)
    setattr(cls, "__init__", _initializer(cls, defaults))  # noqa: B010  # for mypy, as below
    setattr(cls, "copy", _copier(cls))  # noqa: B010


# The functions below run for every header of every packet, so each class gets its own of them: what
# they need of the class is in the closure, and the interpreter learns for one class only.


def _initializer(cls: type[Header], defaults: list[Any]) -> Callable[..., None]:
    """Return the `__init__` of `cls`: default words, then the values given, each checked."""
    derived = cls._derived
    setters = {field.name: (*field.plain, field.assign) for field in cls.fields}
    # Without items the variable part may still need padding, as that of IPv6 options does.
    tail = b"".join([field.codec.encode(()) for field in cls.fields if field.codec is not None])

    def __init__(self: Header, **values: Any) -> None:  # noqa: N807
        self._values = words = defaults[:]
        self._auto = derived
        self._tail = tail
        self._packet = None
        try:
            for name in values:  # noqa: PLC0206 (half the time of items())
                value = values[name]
                # Numbers and known texts that fill a word need no call; `Field.plain` says which.
                index, maximum, texts, assign = setters[name]
                if type(value) is int and 0 <= value <= maximum:
                    words[index] = value
                elif type(value) is str and value in texts:
                    words[index] = texts[value]
                else:
                    assign(self, value)
        except KeyError:
            unknown = ", ".join(name for name in values if name not in setters)
            raise TypeError(
                f"{cls.__name__} has no field {unknown}; it has {', '.join(setters)}"
            ) from None

    own: Callable[..., None] = own_code(__init__)
    own.__qualname__ = f"{cls.__name__}.__init__"
    return own


def _copier(cls: type[Header]) -> Callable[[Header], Header]:
    """Return the `copy` of `cls`."""

    def copy(self: Header) -> Header:
        """Return a header of its own with the same values; pinned fields stay pinned."""
        new: Header = _new(cls)
        new._values = self._values[:]
        new._auto = self._auto
        new._tail = self._tail
        new._packet = None
        return new

    own: Callable[[Header], Header] = own_code(copy)
    return own


def _stepper(cls: type[Header]) -> Step:
    """Return the function that makes a header of `cls` out of octets and says what is behind it."""
    unpack, derived = cls._layout.unpack_from, cls._derived
    advance = cls.advance

    def step(  # noqa: PLR0917 (called for every header of every packet)
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
        headers: list[Header],
    ) -> tuple[int, int, Form | None]:
        header: Header = _new(cls)
        header._values = unpack(octets, offset)
        header._auto = derived
        header._tail = b""
        header._packet = packet
        headers.append(header)
        return advance(header, octets, offset, end, tables, packet)

    own: Step = own_code(step)
    return own


def _place(words: list[tuple[int, int, str]], field: Field[Any, Any]) -> tuple[int, int, int]:
    """Return index, shift and size of the word that holds `field`."""
    for index, (first, size, _) in enumerate(words):
        if first <= field.bit_offset and field.bit_offset + field.width <= first + size:
            return index, first + size - field.bit_offset - field.width, size
    raise TypeError(f"{field.name} of {field.owner.__name__} crosses a word")


# Header and packet need each other; by now everything that `packet` asks of this module is there.
from sockwright.wire.core import packet as _packet  # noqa: E402
