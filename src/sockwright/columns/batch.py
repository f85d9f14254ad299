"""Consecutive records of a capture: where each lies in the octets, and what its header says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sockwright.columns.kernels.index import NO_TIME
from sockwright.columns.kernels.octets import u16, u32
from sockwright.records.pcapng import MAX_OPTIONS

if TYPE_CHECKING:
    from sockwright.records import CapturedPacket, Interface

__all__ = ["NO_TIME", "Batch", "Numbers", "Octets"]

_SIMPLE = 3  # a block
_END_OF_OPTIONS, _COMMENT = 0, 1


class Octets(Protocol):
    """What kernels read octets from: bytes, a memoryview, an mmap, or a numpy array of uint8."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: int, /) -> int: ...


class Numbers(Protocol):
    """What kernels read numbers from and write them to: an array.array or a numpy array."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: int, /) -> int: ...

    def __setitem__(self, at: int, value: int, /) -> None: ...


@dataclass(slots=True)
class Batch:
    """Consecutive records of a capture, as columns of equal length.

    If `compiled`, `octets` is a numpy array of uint8 that cannot be written to, and the columns are
    numpy arrays; else `octets` is a memoryview and the columns are of `array.array`.

        record_start   int64    where the record starts in `octets`, its own header included
        start          int64    where the octets of the packet start
        captured       uint32   octets of the packet that are there
        original       uint32   octets it had on the wire
        time_ns        int64    nanoseconds since 1970, NO_TIME for none
        interface      uint32   index into `interfaces` and `link_types`

    `number` is that of the first record, counted from 1; `interfaces` are all those of the capture
    up to the last record, `link_types` their `LINKTYPE_` values (int64). `record_end` is where the
    last record ends in `octets`; other blocks may lie between records. `octets[0]` is the octet
    `base` of the capture, whose format is `format`.
    """

    number: int
    octets: Any
    record_start: Any
    start: Any
    captured: Any
    original: Any
    time_ns: Any
    interface: Any
    interfaces: tuple[Interface, ...]
    link_types: Any
    record_end: int = 0
    compiled: bool = False
    base: int = 0
    format: str = "pcap"

    def __len__(self) -> int:
        return len(self.start)

    def octets_of(self, row: int) -> bytes:
        """Return what was captured of the packet in `row`, counted from 0."""
        begin = int(self.start[row])
        return bytes(self.octets[begin : begin + int(self.captured[row])])

    def packet(self, row: int) -> CapturedPacket:
        """Return the packet in `row`, counted from 0."""
        from sockwright.records.captured_packet import captured

        interface = self.interfaces[int(self.interface[row])]
        time_ns = int(self.time_ns[row])
        return captured(
            self.octets_of(row),
            interface.link_type,
            self.number + row,
            None if time_ns == NO_TIME else time_ns,
            int(self.original[row]),
            interface.name,
            self.comment(row),
        )

    def comment(self, row: int) -> str | None:
        """Return what somebody noted on the packet in `row`, several notes as lines."""
        if self.format != "pcapng":
            return None
        octets = memoryview(self.octets)  # which gives ints, where numpy gives 8 bits that overflow
        record = int(self.record_start[row])
        big = int(octets[record] == 0)  # types of blocks with packets are below 256
        if u32(octets, record, big) == _SIMPLE:
            return None  # it has no options
        captured = int(self.captured[row])
        at = int(self.start[row]) + captured + (-captured & 3)
        stop = record + u32(octets, record + 4, big) - 4
        found = []
        for _ in range(MAX_OPTIONS):
            if at + 4 > stop:
                break
            code, size = u16(octets, at, big), u16(octets, at + 2, big)
            at += 4
            if code == _END_OF_OPTIONS or at + size > stop:
                break
            if code == _COMMENT:
                text = bytes(octets[at : at + size]).rstrip(b"\0")
                found.append(text.decode("utf-8", "replace"))
            at += size + (-size & 3)
        return "\n".join(found) if found else None
