"""What every header must hold, whatever it is: octets come back, truncation is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sockwright.errors import TruncatedError

if TYPE_CHECKING:
    from sockwright.wire import Header, Packet

__all__ = ["codes", "decode_never_raises", "every_truncation_is_told", "survives_an_edit"]


def codes(packet: Packet) -> set[str]:
    """Return the codes of what `verify` finds."""
    return {finding.code for finding in packet.verify()}


def survives_an_edit(octets: bytes, first: type[Header]) -> Packet:
    """Check that decoding, an edit that changes nothing, and encoding give the same octets."""
    packet = first.decode(octets)
    assert bytes(packet) == octets
    assert not packet.errors
    for header in packet.layers:
        for field in header.fields:
            if not field.derived and not field.overlay:
                value = getattr(header, field.name)
                if field.codec is None or b"".join([header._tail]):
                    setattr(header, field.name, value)
    packet.payload = packet.payload
    assert bytes(packet).hex() == octets.hex()
    return first.decode(octets)


def every_truncation_is_told(octets: bytes, first: type[Header], size: int) -> None:
    """Check that fewer than the `size` octets of the header are an error, and come back."""
    for length in range(size):
        packet = first.decode(octets[:length])
        assert any(isinstance(error, TruncatedError) for error in packet.errors), length
        assert bytes(packet) == octets[:length]
        assert packet.verify()


def decode_never_raises(first: type[Header], *starts: bytes) -> None:
    """Check that any octets decode, come back, and can be judged, shown and edited."""

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(starts or (b"",)), st.binary(max_size=90), st.data())
    def check(start: bytes, rest: bytes, data: st.DataObject) -> None:
        octets = start[: data.draw(st.integers(0, len(start)))] + rest
        packet = first.decode(octets)
        assert bytes(packet) == octets
        packet.verify()
        repr(packet)
        values: list[Any] = [
            getattr(header, field.name) for header in packet.layers for field in header.fields
        ]
        assert len(values) == sum(len(header.fields) for header in packet.layers)
        packet.payload = packet.payload
        bytes(packet)

    check()
