"""Write what a live capture takes into capture files, a block of the ring at a time.

Rules
    1. A file holds whole records, and never more octets than `size` (but always one record at
       least), nor more packets than `count`.
    2. With `seconds` a file holds the packets of one interval, and intervals start at multiples of
       that many seconds since 1970: they do not drift, and two captures agree about them. It is the
       packet's time that decides. There are no empty files.
    3. Of more files than `keep` the oldest that this recorder wrote are deleted.
"""

from __future__ import annotations

import struct
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sockwright.records.contents import Interface, InterfaceStatistics
from sockwright.records.pcap import PcapWriter
from sockwright.records.pcapng_writer import PcapngWriter
from sockwright.records.record_file import RecordFile
from sockwright.records.ring import FOREVER, PCAP, PCAPNG, interpreted
from sockwright.sockets.block_queue import BlockQueue
from sockwright.sockets.ring import BLOCK_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sockwright.records.record_file import RawFile
    from sockwright.sockets.live_capture import LiveCapture
    from sockwright.sockets.ring import Block

    Convert = Callable[..., tuple[int, int, int]]

__all__ = ["Recorder", "Rotation", "numbered"]

_TIME = struct.Struct("=II")
_TIME_AT = 4
_LAST_BLOCK = 128  # octets that the statistics at the end of a pcapng file may take
_GRACE_NS = 500_000_000  # a packet is in its block and the block is here long before


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is full: `size` octets, `seconds`, `count` packets; and how many to keep."""

    size: int | None = None
    seconds: int | None = None
    count: int | None = None
    keep: int | None = None

    def __bool__(self) -> bool:
        return any((self.size, self.seconds, self.count))


def numbered(path: Path, number: int, time_ns: int) -> Path:
    """Name file `number` of a rotation, the one whose packets start at `time_ns` (in UTC)."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time_ns // 1_000_000_000))
    return path.with_name(f"{path.stem}-{number:05d}-{stamp}{path.suffix}")


class Recorder:
    """Writes packets of `live` into files that `open_file` opens, in `form` "pcap" or "pcapng".

    `path` is the file, or None for what `open_file` opens whatever it is asked for (a pipe). At
    most `most` packets are written; `done` tells that they are. `compile` gives a faster function
    that does what `sockwright.records.ring.interpreted` does; see `BlockQueue`. `filter` is told in
    pcapng files.

    The one file is opened at once; with `rotation` each is opened for its first packet.

    Raises: OSError when a file cannot be opened or written to; see `RecordFile`.
    """

    def __init__(
        self,
        live: LiveCapture,
        path: Path | None,
        open_file: Callable[[Path | None], RawFile],
        *,
        form: Literal["pcap", "pcapng"] = "pcap",
        rotation: Rotation | None = None,
        most: int | None = None,
        filter: str = "",  # noqa: A002 - what every capture program calls it
        compile: Callable[[], Convert] | None = None,  # noqa: A002
    ) -> None:
        self.written = 0
        """Packets in the files, or waiting to be written to one."""
        self.octets = 0
        """Octets of all files so far."""
        self.paths: deque[Path] = deque()
        """The files that are there, oldest first."""
        self._live = live
        self._path = path
        self._open_file = open_file
        self._form = form
        self._rotation = rotation or Rotation()
        self._most = most
        self._filter = filter
        self._convert: Convert = interpreted
        self._blocks = BlockQueue(self._write, None if compile is None else self._load)
        self._compile = compile
        self._out = bytearray(BLOCK_SIZE)
        self._file: RecordFile | None = None
        self._pcapng: PcapngWriter | None = None
        self._number = 0
        self._until_ns = FOREVER
        self._start_ns = time.time_ns()
        if not self._rotation:
            self._next_file(self._start_ns)

    @property
    def done(self) -> bool:
        """Whether all packets that were asked for have been written."""
        return self._most is not None and self.written >= self._most

    def take(self, block: Block) -> None:
        """Write the packets of a block; it may be released after that."""
        self._blocks.take(block)

    def rest(self) -> None:
        """Do what is due while no packets come: at least every second."""
        self._blocks.empty()
        if self._file is not None:
            self._file.flush_due()
            if time.time_ns() >= self._until_ns + _GRACE_NS:
                self._close_file()

    def flush(self) -> None:
        """Write what waits, for a reader at the other end of a pipe."""
        self._blocks.empty()
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Write what waits and close the file; may be called twice."""
        try:
            self._blocks.empty()
        finally:
            self._close_file()

    # -- converting -----------------------------------------------------------------------------

    def _load(self) -> None:
        assert self._compile is not None
        self._convert = self._compile()

    def _write(self, octets: memoryview | bytearray, at: int, frames: int) -> None:
        left = frames if self._most is None else min(frames, self._most - self.written)
        while left > 0:
            if self._file is None:
                second, nanosecond = _TIME.unpack_from(octets, at + _TIME_AT)
                self._next_file(second * 1_000_000_000 + nanosecond)
            at, taken = self._write_some(octets, at, left)
            left -= taken

    def _write_some(self, octets: memoryview | bytearray, at: int, left: int) -> tuple[int, int]:
        """Write what fits into this file; give where the next frame is and how many it were."""
        assert self._file is not None
        file, rotation = self._file, self._rotation
        asked, limit = left, BLOCK_SIZE
        if rotation.count is not None:
            asked = min(left, rotation.count - file.records)
        if rotation.size is not None:
            last = _LAST_BLOCK if self._pcapng is not None else 0
            limit = max(0, min(limit, rotation.size - file.size - last))
        at, taken, end = self._converted(octets, at, asked, limit)
        if not taken and not file.records:  # larger than a file is to be: still a packet
            asked = 1
            at, taken, end = self._converted(octets, at, 1, BLOCK_SIZE)
        if taken:
            file.write_records(memoryview(self._out)[:end], taken)
            self.written += taken
            self.octets += end
        if taken < asked or file.records == rotation.count:
            self._close_file()
        return at, taken

    def _converted(
        self, octets: memoryview | bytearray, at: int, frames: int, limit: int
    ) -> tuple[int, int, int]:
        form = PCAP if self._pcapng is None else PCAPNG
        live = self._live
        return self._convert(
            octets, at, frames, self._out, 0, limit, form, live.cooked, live.snaplen,
            self._until_ns,
        )  # fmt: skip

    # -- files ----------------------------------------------------------------------------------

    def _next_file(self, time_ns: int) -> None:
        rotation, path = self._rotation, self._path
        self._number += 1
        if rotation.seconds is not None:
            interval = rotation.seconds * 1_000_000_000
            time_ns -= time_ns % interval
            self._until_ns = time_ns + interval
        if rotation and path is not None:
            path = numbered(path, self._number, time_ns)
        raw = self._open_file(path)
        self._file = RecordFile(raw, str(path or ""))
        if path is not None:
            self.paths.append(path)
        self._begin(self._file)
        self.octets += self._file.size
        while rotation.keep is not None and len(self.paths) > rotation.keep:
            self.paths.popleft().unlink(missing_ok=True)

    def _begin(self, file: RecordFile) -> None:
        live = self._live
        order: Literal["little", "big"] = "little" if sys.byteorder == "little" else "big"
        if self._form == "pcap":
            PcapWriter(file, live.link_type, live.snaplen, byte_order=order)
            return
        import platform

        system = f"{platform.system()} {platform.release()}"
        self._pcapng = PcapngWriter(file, os=system, snaplen=live.snaplen, byte_order=order)
        self._pcapng.add_interface(
            Interface(
                link_type=live.link_type,
                snaplen=live.snaplen,
                name=live.interface,
                filter=self._filter or None,
                os=system,
            )
        )

    def _close_file(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        self._until_ns = FOREVER
        try:
            if self._pcapng is not None and not file.closed:
                counted = self._live.statistics
                self._pcapng.write_statistics(
                    InterfaceStatistics(
                        0,
                        time_ns=time.time_ns(),
                        start_ns=self._start_ns,
                        accepted=counted.accepted,
                        dropped_by_os=counted.dropped,
                        delivered=self.written,
                    )
                )
        finally:
            file.close()
