"""Show the packets of a capture, choose among them, count, write or analyse them.

Group: look
Stands in for: tcpdump -r, tshark -r, capinfos
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sockwright.errors import UsageError
from sockwright.tools._line_options import add_line_options, line_options
from sockwright.tools._rows import Text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from sockwright.columns.batch import Batch
    from sockwright.columns.capture_file import CaptureFile
    from sockwright.columns.selecting import Selector

EXAMPLES = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """How many packets there are, or match."""

    packets: int


@dataclass(frozen=True, slots=True)
class PacketRow:
    """A packet with all its fields, for programs."""

    frame: dict[str, Any]
    layers: list[dict[str, Any]]
    payload: str
    trailer: str
    errors: list[str]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="a capture; - is standard input")
    parser.add_argument(
        "filter", nargs="*", metavar="FILTER", help="show only what this filter accepts"
    )
    parser.add_argument("-c", dest="limit", type=int, metavar="N", help="end after N packets")
    parser.add_argument("--count", action="store_true", help="only how many packets there are")
    add_line_options(parser)


def run(args: argparse.Namespace) -> Iterator[object]:
    """Yield lines of text, or rows for programs."""
    if args.file is None:
        raise UsageError("which FILE? (- is standard input)")
    from sockwright.columns.capture_file import open_capture

    with open_capture(args.file) as capture:
        chosen = _Chosen(capture, args)
        if args.count:
            yield from _count(capture, chosen, as_json=args.json)
        elif args.json:
            yield from _packets(chosen)
        else:
            yield from _lines(chosen, args)


class _Chosen:
    """The packets that the filter accepts, up to the limit: batches with rows."""

    def __init__(self, capture: CaptureFile, args: argparse.Namespace) -> None:
        self._capture = capture
        self.limit: int | None = args.limit
        self.selector: Selector | None = None
        if args.limit is not None and args.limit < 0:
            raise UsageError(f"-c takes a number from 0 on, not {args.limit}")
        if args.filter:
            from sockwright.columns.selecting import Selector

            link_types = [interface.link_type for interface in capture.interfaces]
            self.selector = Selector(" ".join(args.filter), link_types)

    def __iter__(self) -> Iterator[tuple[Batch, Sequence[int]]]:
        left = self.limit
        if left == 0:
            return
        for batch in self._capture.batches():
            rows: Sequence[int] = range(len(batch))
            if self.selector is not None:
                rows = self.selector.rows(batch)
            if left is not None:
                rows = rows[:left]
                left -= len(rows)
            if len(rows):
                yield batch, rows
            if left == 0:
                return


def _lines(chosen: _Chosen, args: argparse.Namespace) -> Iterator[Text]:
    from sockwright.columns.lines import LinePrinter

    printer = LinePrinter(line_options(args))
    for batch, rows in chosen:
        for block in printer.blocks(batch, rows):
            yield Text(block)


def _count(capture: CaptureFile, chosen: _Chosen, *, as_json: bool) -> Iterator[object]:
    from sockwright.columns.selecting import count_packets

    packets = count_packets(capture, chosen.selector)
    if chosen.limit is not None:
        packets = min(packets, chosen.limit)
    yield Counted(packets) if as_json else Text(b"%d\n" % packets)
    if capture.error is not None:
        raise capture.error


def _packets(chosen: _Chosen) -> Iterator[PacketRow]:
    from sockwright.columns.packet_values import frame_values, layer_values

    for batch, rows in chosen:
        for row in rows:
            packet = batch.packet(row)
            layers = [layer_values(header) for header in packet.layers]
            yield PacketRow(
                frame_values(packet),
                layers,
                packet.payload.hex(),
                packet.trailer.hex(),
                [str(error) for error in packet.errors],
            )
