"""A packet that knows when and where it was captured."""

# ruff: noqa: SLF001  # Packet and its subclass are one machine

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sockwright.errors import DecodeError
from sockwright.wire import Packet
from sockwright.wire.core.registry import tables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.wire import Header

__all__ = ["CapturedPacket", "captured"]

_new = object.__new__
_MOST_LAYERS = 32


class CapturedPacket(Packet):
    """A `Packet` out of a capture: decoded when first looked at, as lazily as any.

    What was captured says nothing of what is built from it: ``packet / data`` is a plain `Packet`.
    A copy (`vary` makes copies) still tells it, also when it is edited.
    """

    __slots__ = ("comment", "interface", "link_type", "number", "original_length", "time_ns")

    number: int
    """The place in the capture, counted from 1; 0 where it is not known."""
    time_ns: int | None
    """Nanoseconds since 1970 (UTC), None where the capture has no time for this packet."""
    original_length: int
    """Octets on the wire, of which only the first may have been captured."""
    interface: str | None
    """The name of the interface; a stranger's text."""
    comment: str | None
    """What somebody noted on the packet; a stranger's text."""
    link_type: int
    """A `LINKTYPE_` value; 1 is Ethernet."""

    def __init__(
        self,
        layers: Iterable[Header] = (),
        payload: bytes = b"",
        *,
        number: int = 0,
        time_ns: int | None = None,
        original_length: int = 0,
        interface: str | None = None,
        comment: str | None = None,
        link_type: int = 1,
    ) -> None:
        super().__init__(layers, payload)
        self._place((comment, interface, link_type, number, original_length, time_ns))

    def copy(self) -> CapturedPacket:
        """Return a packet of its own with the same headers, payload, trailer and capture data."""
        plain = super().copy()
        new = _new(CapturedPacket)
        if plain._headers is None:
            new._octets, new._headers, new._source = plain._octets, None, plain._source
        else:
            Packet.__setstate__(new, Packet.__getstate__(plain))
        new._place(self._captured())
        return new

    def __getstate__(self) -> tuple[Any, ...]:
        return *super().__getstate__(), self._captured()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        super().__setstate__(state[:-1])
        self._place(state[-1])

    def _captured(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in CapturedPacket.__slots__])

    def _place(self, values: tuple[Any, ...]) -> None:
        for name, value in zip(CapturedPacket.__slots__, values, strict=True):
            setattr(self, name, value)


def captured(  # noqa: PLR0917  # names would cost a tenth of the call
    octets: bytes,
    link_type: int,
    number: int,
    time_ns: int | None,
    original_length: int,
    interface: str | None = None,
    comment: str | None = None,
) -> CapturedPacket:
    """Return the packet in `octets`; content never raises, see `Packet.decode`.

    This runs for every packet of a capture, so it takes its arguments by position and sets the
    slots of a lazy packet without a call between.
    """
    packet: CapturedPacket = _new(CapturedPacket)
    packet.number = number
    packet.time_ns = time_ns
    packet.original_length = original_length
    packet.link_type = link_type
    packet.interface = interface
    packet.comment = comment
    form = tables()["link_type"].get(link_type)
    if form is not None:
        packet._octets = octets
        packet._headers = None
        packet._source = (form, (), _MOST_LAYERS)
        return packet
    Packet.__init__(packet, (), octets)
    packet._octets = octets
    error = DecodeError("frame", 0, f"link type {link_type} is not known here")
    packet._rest = ((), (error,))
    return packet
