"""A packet: headers in order, the octets they carry, and the octets nobody claimed.

Rules
    1. A packet decoded from octets keeps them. Headers are made when first asked for, and until the
       first edit `bytes()` gives back those very octets, padding, trailer and errors included.
    2. A packet built with ``/`` has headers and no octets; `bytes()` encodes them, innermost first,
       and keeps the result until the next edit.
    3. The first edit of a decoded packet sets its derived fields to automatic, but for those that
       are pinned and those nobody could compute (`Header._pinned` set while decoding).
    4. ``/`` never changes its operands. Packets made by it share header objects until one of them
       is asked for a header; then it makes its own copies (`_own`).

`_state` tells where a packet with headers stands: SHARED (rule 4), STALE (its own headers, whose
derived fields are to be computed), SETTLED (they hold what the octets hold) or DECODED (settled,
and never edited).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, overload

from sockwright.errors import DecodeError, LayerError, TruncatedError
from sockwright.wire.core.field import ADOPTED, DECODED, PIECE, SETTLED, SHARED, STALE, Adopted
from sockwright.wire.core.finding import Finding, Place
from sockwright.wire.core.header import Header, adopt
from sockwright.wire.core.registry import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from sockwright.wire.core.field import Field
    from sockwright.wire.core.header import Form
    from sockwright.wire.views.diff import Difference

__all__ = ["Packet"]

H = TypeVar("H", bound=Header)
D = TypeVar("D")

_new = object.__new__
NOTHING: Final = ((), ())  # no trailers, no errors


class Packet:
    """Headers, payload and trailer. Made by ``Ethernet() / IPv4() / b"data"`` or by decoding."""

    __slots__ = (
        "_headers",
        "_octets",
        "_payload",
        "_rest",
        "_source",
        "_state",
    )

    _octets: bytes | None
    _headers: tuple[Header, ...] | None
    _state: int
    # How to decode: the form of the first header, the fields to keep, the most layers.
    _source: tuple[Form, Iterable[str], int]
    # Trailers and errors. A trailer is (n, octets): what lies behind the extent of layer n and
    # inside that of the layer around it.
    _rest: tuple[tuple[tuple[int, bytes], ...], tuple[DecodeError, ...]]

    def __init__(self, layers: Iterable[Header] = (), payload: bytes = b"") -> None:
        self._headers = tuple([adopt(header) for header in layers])
        self._payload = payload
        self._octets = None
        self._state = SHARED
        self._rest = NOTHING

    @classmethod
    def decode(
        cls,
        octets: bytes | bytearray | memoryview,
        *,
        link_type: int = 1,
        strict: bool = False,
        keep: Iterable[str] = (),
        max_layers: int = 32,
    ) -> Packet:
        """Decode what a capture of `link_type` (a `LINKTYPE_` value; 1 is Ethernet) holds.

        A link type without a header class here gives a packet that is payload alone, with an error.

        Raises: DecodeError with `strict`; see `Header.decode`.
        """
        first = tables()["link_type"].get(link_type)
        if first is not None:
            return lazy((first, keep, max_layers), octets, strict)
        packet = cls((), bytes(octets))
        packet._octets = packet._payload
        error = DecodeError("frame", 0, f"link type {link_type} is not known here")
        packet._rest = ((), (error,))
        if strict:
            raise error
        return packet

    # Decoding

    def _walk(self) -> tuple[Header, ...]:
        """Make the headers out of the octets: one loop, and a limit on their number."""
        octets = self._octets
        assert octets is not None
        form: Form | None
        form, keep, most = self._source
        self._rest = NOTHING
        self._state = DECODED  # headers read their own fields while they are decoded
        known = tables()
        room = most
        headers: list[Header] = []
        offset = 0
        end = len(octets)
        while form is not None:
            choose, size, step, cls = form
            if choose is not None:
                choose, size, step, cls = choose(octets, offset, end)._form
            if end - offset < size:
                self.note(cls.layer, offset, size, end - offset)
                break
            if not room:
                self._rest = _and_error(
                    self._rest,
                    DecodeError(cls.layer, offset, f"more than {most} layers; raise max_layers"),
                )
                break
            room -= 1
            offset, stop, form = step(octets, offset, end, known, self, headers)
            if stop < end:
                # What a header cuts off lies behind its own extent.
                stop = max(stop, offset)
                trailers, errors = self._rest
                self._rest = ((*trailers, (len(headers) - 1, octets[stop:end])), errors)
                end = stop
        self._payload = octets[offset:end]
        self._headers = made = tuple(headers)
        if self._state == PIECE:
            self._state = DECODED
            self._pin_pieces()
        if keep:
            self._pin_kept(keep)
        return made

    def _pin_pieces(self) -> None:
        """Keep what headers in a piece of a datagram hold: it is about octets that are not here."""
        behind = False
        for header in self._headers or ():
            if behind:
                header._auto = 0
            behind = behind or header.carries_fragment

    def begin_piece(self) -> None:
        """Note that a piece of a datagram follows; called by a header while it is decoded.

        What a header in the piece misses is then no error, as it is in the other pieces, and its
        lengths and checksums stay as they are when the packet is edited.
        """
        self._state = PIECE

    def _pin_kept(self, keep: Iterable[str]) -> None:
        for name in (keep,) if isinstance(keep, str) else keep:
            layer, _, field_name = name.rpartition(".")
            fitting = [
                header
                for header in self._headers or ()
                if (not layer or header.layer == layer) and field_name in header._by_name
            ]
            for header in fitting:
                header.pin(field_name)

    def note(self, layer: str, offset: int, needed: int, available: int, what: str = "") -> None:
        """Note that octets end too early; called by headers while they are decoded."""
        if self._state == PIECE:
            return
        error = TruncatedError(layer, offset, needed, available, what)
        self._rest = _and_error(self._rest, error)

    @property
    def errors(self) -> tuple[DecodeError, ...]:
        """What ended before its claimed length while decoding, in the order met."""
        if self._headers is None:
            self._walk()
        return self._rest[1]

    # Layers

    def _own(self) -> tuple[Header, ...]:
        """Return the headers, made to be this packet's alone."""
        headers = self._headers
        if headers is None:
            return self._walk()
        if self._state == SHARED:
            self._headers = headers = tuple([header.copy() for header in self._shared()])
            for header in headers:
                header._packet = self
            self._state = STALE
        return headers

    def _shared(self) -> tuple[Header, ...]:
        """Return the adopted headers as they were adopted."""
        headers = self._headers
        assert headers is not None
        for header in headers:
            if header._packet is not ADOPTED:
                # Edited since by whoever else holds it.
                self._headers = tuple(
                    [
                        header._packet.before or header
                        if isinstance(header._packet, Adopted)
                        else header
                        for header in headers
                    ]
                )
                return self._headers
        return headers

    @property
    def layers(self) -> tuple[Header, ...]:
        """The headers, outermost first; made for ``match packet.layers``."""
        return self._walk() if self._headers is None else self._own()

    @overload
    def __getitem__(self, layer: type[H]) -> H: ...
    @overload
    def __getitem__(self, layer: int) -> Header: ...
    def __getitem__(self, layer: type[H] | int) -> Header:
        """Return the first header of a class, or the one at a position.

        Raises: LayerError (a KeyError) when the packet has no such layer.
        """
        headers = self._headers
        if headers is None:
            headers = self._walk()
        elif self._state == SHARED:
            headers = self._own()
        for header in headers:
            if type(header) is layer:
                return header
        if isinstance(layer, int):
            return headers[layer]
        if not isinstance(layer, type):
            raise TypeError(f"a packet is asked for a header class or a position, not {layer!r}")
        names = " / ".join(type(header).__name__ for header in headers) or "no headers"
        raise LayerError(f"no {layer.__name__} in this packet: it has {names}")

    @overload
    def get(self, layer: type[H]) -> H | None: ...
    @overload
    def get(self, layer: type[H], default: D) -> H | D: ...
    def get(self, layer: type[H], default: D | None = None) -> H | D | None:
        """Return the first header of a class, or `default`."""
        for header in self._own():
            if type(header) is layer:
                return header
        return default

    def __contains__(self, layer: type[Header]) -> bool:
        return any(type(header) is layer for header in self._own())

    def __iter__(self) -> Iterator[Header]:
        return iter(self._own())

    @property
    def payload(self) -> bytes:
        """The octets the innermost header carries."""
        if self._headers is None:
            self._walk()
        return self._payload

    @payload.setter
    def payload(self, octets: bytes) -> None:
        octets = bytes(memoryview(octets))
        self._own()
        self._touch()
        self._payload = octets

    @property
    def trailer(self) -> bytes:
        """Octets behind what the headers claim: Ethernet padding, a frame check sequence."""
        if self._headers is None:
            self._walk()
        return b"".join(octets for _, octets in reversed(self._rest[0]))

    @trailer.setter
    def trailer(self, octets: bytes) -> None:
        octets = bytes(memoryview(octets))
        self._own()
        self._touch()
        # The first header behind the link layer is the one whose extent ends before padding. With
        # no header at all, -1 puts it behind the payload.
        trailers = ((min(1, len(self._own()) - 1), octets),) if octets else ()
        self._rest = (trailers, self._rest[1])

    def offset_of(self, header: Header) -> int:
        """Return the octet at which `header` starts.

        Raises: LayerError when it is not of this packet.
        """
        offset = 0
        for own in self._own():
            if own is header:
                return offset
            offset += own.size
        raise LayerError(f"this {type(header).__name__} is not of this packet")

    # Building

    def __truediv__(self, upper: Header | Packet | bytes | bytearray | memoryview) -> Packet:
        """Return a new packet with `upper` behind what is here.

        Raises: ValueError when a header would follow payload octets.
        """
        headers = self._headers
        if headers is None:
            headers = self._walk()
        if self._state:
            headers = tuple([adopt(header) for header in headers])
        new: Packet = _new(Packet)
        new._octets = None
        new._state = SHARED
        new._rest = self._rest
        if type(upper) is bytes:
            new._headers = headers
            new._payload = self._payload + upper
            return new
        if isinstance(upper, Header):
            if upper._packet is None:
                upper._packet = ADOPTED
            else:
                upper = adopt(upper)
            new._headers = headers + (upper,)  # noqa: RUF005 (half the time of a display)
            new._payload = b""
        elif isinstance(upper, Packet):
            others = upper._headers if upper._headers is not None else upper._walk()
            if upper._state:
                others = tuple([adopt(header) for header in others])
            new._headers = headers + others
            new._payload = upper._payload
            shift = len(headers)
            if upper._rest[0]:
                more = tuple([(index + shift, octets) for index, octets in upper._rest[0]])
                new._rest = (self._rest[0] + more, ())
        elif isinstance(upper, (bytes, bytearray, memoryview)):
            return self / bytes(upper)
        else:
            return NotImplemented
        if self._payload:
            raise ValueError("a header cannot stand behind payload octets")
        return new

    def copy(self) -> Packet:
        """Return a packet of its own with the same headers, pins, payload and trailer."""
        if self._headers is None:
            new: Packet = _new(Packet)
            new._octets = self._octets
            new._headers = None
            new._source = self._source
            return new
        new = Packet(self._shared() if self._state == SHARED else self._headers, self._payload)
        new._rest = self._rest
        new._octets = self._octets
        if self._state >= SETTLED:
            new._own()
            new._state = self._state
        return new

    def __copy__(self) -> Packet:
        return self.copy()

    def __deepcopy__(self, memo: object) -> Packet:
        return self.copy()

    def __getstate__(self) -> tuple[Any, ...]:
        headers = self._own()
        return self._octets, headers, self._payload, self._rest, self._state

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._octets, self._headers, self._payload, self._rest, self._state = state
        for header in self._headers or ():
            header._packet = self

    def __bytes__(self) -> bytes:
        octets = self._octets
        if octets is not None:
            return octets
        headers = self._headers
        assert headers is not None
        if self._state == SHARED:
            for header in headers:
                if header._packet is not ADOPTED:
                    headers = self._shared()
                    break
        if self._rest[0]:
            self._octets = octets = self._encode_with_trailers(headers)
            return octets
        # Innermost first: each header sees the octets it carries and the header above it.
        octets = self._payload
        upper: Header | None = None
        index = len(headers)
        while index:
            index -= 1
            header = headers[index]
            octets = header.emit(octets, upper, headers, index)
            upper = header
        self._octets = octets
        return octets

    def _encode_with_trailers(self, headers: tuple[Header, ...]) -> bytes:
        """Encode as `__bytes__` does, each trailer behind the extent of its layer."""
        trailers = self._rest[0]
        octets = self._payload
        upper: Header | None = None
        for index in range(len(headers) - 1, -1, -1):
            octets = headers[index].emit(octets, upper, headers, index)
            octets += b"".join([behind for place, behind in trailers if place == index])
            upper = headers[index]
        return octets + b"".join([behind for place, behind in trailers if place < 0])

    # Editing

    def _touch(self) -> None:
        """Note an edit: the octets are stale, and in a decoded packet derived fields follow now."""
        self._octets = None
        self._state = STALE

    def _settle(self) -> None:
        """Encode if need be and read the automatic fields back from the octets."""
        if self._state >= SETTLED:
            return
        octets = bytes(self)
        offset = 0
        for header in self._own():
            header._values = header._layout.unpack_from(octets, offset)
            offset += header.size
        self._state = SETTLED

    # Judging and showing; the work is done in `views`, loaded when asked for.

    def verify(self) -> tuple[Finding, ...]:
        """Return what is wrong with the packet, outermost layer first; see `Finding`."""
        return tuple([finding for _, finding in self.judge()])

    def judge(self) -> Iterator[tuple[int, Finding]]:
        """Yield the findings of `verify`, each with the index of its layer (-1: a missing one)."""
        octets = bytes(self)
        headers = self._own()
        self._settle()
        ends = self._extents(len(octets))
        network: Header | None = None
        fragment = False
        start = 0
        for index, header in enumerate(headers):
            upper = headers[index + 1] if index + 1 < len(headers) else None
            place = Place(
                self,
                index,
                octets,
                start,
                start + header.size,
                ends[index],
                upper,
                network,
                fragment,
                bool(self._rest[1]),
            )
            for finding in header.inspect(place):
                yield index, finding
            if header.is_network:
                network = header
            fragment = fragment or header.carries_fragment
            start += header.size
        for error in self._rest[1]:
            yield (
                -1,
                Finding(
                    "truncated",
                    "error",
                    error.layer,
                    "",
                    f"{getattr(error, 'available', '')}",
                    f"{getattr(error, 'needed', '')}",
                    "RFC 1122 section 1.2.2",
                    error.message,
                ),
            )

    def _extents(self, total: int) -> list[int]:
        """Return for each layer the octet behind what it claims."""
        cut: dict[int, int] = {}
        for position, octets in self._rest[0]:
            cut[position] = cut.get(position, 0) + len(octets)
        ends = []
        for index in range(len(self._headers or ())):
            total -= cut.get(index, 0)
            ends.append(total)
        return ends

    def show(self) -> str:
        """Return the packet as a tree of layers and fields, with the names of known values."""
        from sockwright.wire.views.show import show

        return show(self)

    def diagram(self) -> str:
        """Return the headers as the RFCs draw them: a 32-bit ruler, here with values."""
        from sockwright.wire.views.diagram import diagram

        return diagram(self)

    def hexdump(self) -> str:
        """Return the octets in hexadecimal, each line tied to the fields it holds."""
        from sockwright.wire.views.hexdump import hexdump

        return hexdump(self)

    def code(self) -> str:
        """Return Python source that builds a packet with the same octets."""
        from sockwright.wire.views.code import code

        return code(self)

    def diff(self, other: Packet) -> tuple[Difference, ...]:
        """Return the fields, layers and octets in which `other` differs from this packet."""
        from sockwright.wire.views.diff import diff

        return diff(self, other)

    def vary(
        self,
        choices: Mapping[Field[Any, Any], Iterable[Any]] | None = None,
        **names: Iterable[Any],
    ) -> Iterator[Packet]:
        """Yield a packet for each combination of field values; see `sockwright.wire.vary`."""
        from sockwright.wire.views.vary import vary

        return vary(self, choices, **names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Packet):
            return NotImplemented
        return bytes(self) == bytes(other) and [type(header) for header in self] == [
            type(header) for header in other
        ]

    __hash__ = None  # type: ignore[assignment]  # packets can be edited

    def __repr__(self) -> str:
        parts = [repr(header) for header in self._own()]
        if self._payload or not parts:
            parts.append(repr(self._payload))
        return " / ".join(parts)


def _and_error(
    rest: tuple[tuple[tuple[int, bytes], ...], tuple[DecodeError, ...]], error: DecodeError
) -> tuple[tuple[tuple[int, bytes], ...], tuple[DecodeError, ...]]:
    return rest[0], (*rest[1], error)


def lazy(
    source: tuple[Form, Iterable[str], int],
    octets: bytes | bytearray | memoryview,
    strict: bool,
) -> Packet:
    """Return the packet in `octets`, to be decoded as `source` says when first asked for."""
    packet: Packet = _new(Packet)
    packet._octets = octets if type(octets) is bytes else bytes(octets)
    packet._headers = None
    packet._source = source
    if strict and packet.errors:
        raise packet.errors[0]
    return packet
