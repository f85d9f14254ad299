"""Where `sw capture` puts packets: lines, rows for programs, files, a pipe."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from sockwright.tools._line_options import line_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from sockwright.columns.batch import Batch
    from sockwright.records.record_file import RawFile
    from sockwright.sockets.live_capture import LiveCapture
    from sockwright.sockets.ring import Block

__all__ = ["Files", "Lines", "Output"]

_PCAPNG = (".pcapng", ".ntar")


class Output(Protocol):
    """Where packets go."""

    wants_status: bool

    @property
    def count(self) -> int:
        """How many packets have gone there."""

    @property
    def done(self) -> bool:
        """Whether all that were asked for have."""

    def take(self, block: Block) -> Iterator[object]:
        """Take a block; yield what is to be shown."""

    def rest(self) -> Iterator[object]:
        """Do what is due while no packets come; yield what is to be shown."""

    def finish(self) -> Iterator[object]:
        """Take what was set aside; yield what is to be shown."""

    def close(self) -> None:
        """Close what is open."""


class Lines:
    """Packets as lines of text, or as rows for programs."""

    def __init__(self, live: LiveCapture, args: argparse.Namespace) -> None:
        from sockwright.tools._live_text import LiveLines

        self.wants_status = not args.json and not sys.stdout.isatty()
        row = _row if args.json else None
        self._lines = LiveLines(live, line_options(args), most=args.count, row=row)

    @property
    def count(self) -> int:
        return self._lines.shown

    @property
    def done(self) -> bool:
        return self._lines.done

    def take(self, block: Block) -> Iterator[object]:
        return self._lines.take(block)

    def rest(self) -> Iterator[object]:
        return self._lines.rest()

    def finish(self) -> Iterator[object]:
        return self._lines.rest()

    def close(self) -> None:
        """Do nothing: nothing is open."""


def _row(batch: Batch, row: int) -> object:
    from sockwright.columns.packet_values import frame_values, layer_values
    from sockwright.tools.read import PacketRow

    packet = batch.packet(row)
    return PacketRow(
        frame_values(packet),
        [layer_values(header) for header in packet.layers],
        packet.payload.hex(),
        packet.trailer.hex(),
        [str(error) for error in packet.errors],
    )


class Files:
    """Packets in a capture file, or in many; or in a pipe."""

    wants_status = True

    def __init__(self, live: LiveCapture, args: argparse.Namespace) -> None:
        from sockwright.sockets.recorder import Recorder, Rotation

        self._live = live
        self._pipe = args.write == "-"
        path = None if self._pipe else Path(args.write)
        named: Literal["pcap", "pcapng"] = (
            "pcapng" if path is not None and path.suffix in _PCAPNG else "pcap"
        )
        self._recorder = Recorder(
            live,
            path,
            _open,
            form=args.format or named,
            rotation=Rotation(args.rotate_size, args.rotate_time, args.rotate_count, args.keep),
            most=args.count,
            filter=" ".join(args.filter),
            compile=_compiled,
        )

    @property
    def count(self) -> int:
        return self._recorder.written

    @property
    def octets(self) -> int:
        """Octets of all files so far, those that were deleted again included."""
        return self._recorder.octets

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that are there, oldest first."""
        return tuple(map(str, self._recorder.paths))

    @property
    def done(self) -> bool:
        return self._recorder.done

    def take(self, block: Block) -> Iterator[object]:
        self._recorder.take(block)
        if self._pipe and not self._live.waiting:
            self._recorder.flush()
        return iter(())

    def rest(self) -> Iterator[object]:
        self._recorder.rest()
        return iter(())

    def finish(self) -> Iterator[object]:
        self._recorder.close()
        return iter(())

    def close(self) -> None:
        self._recorder.close()


def _open(path: Path | None) -> RawFile:
    if path is None:
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    return path.open("wb", buffering=0)


def _compiled() -> Callable[..., tuple[int, int, int]]:
    """Load the compiled form of `block_to_records`; it takes one buffer for a block."""
    import numpy as np

    from sockwright.columns.compiling import compiled
    from sockwright.records.ring import FOREVER, block_to_records

    kernel: Callable[..., tuple[int, int, int]] = compiled(block_to_records)

    def convert(
        octets: memoryview, at: int, frames: int, out: bytearray, *rest: int
    ) -> tuple[int, int, int]:
        block, room = np.frombuffer(octets, np.uint8), np.frombuffer(out, np.uint8)
        return kernel(block, block.view(np.uint16), block.view(np.uint32), at, frames, room, *rest)

    # For no frames: the machine code is loaded, or made, by the first call.
    convert(memoryview(bytearray(64)), 0, 0, bytearray(64), 0, 64, 0, False, 64, FOREVER)
    return convert
