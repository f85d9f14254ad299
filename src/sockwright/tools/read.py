"""Show the packets of a capture, choose among them, count, write or analyse them.

Group: look
Stands in for: tcpdump -r, tshark -r, capinfos
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sockwright.errors import SockwrightError, UsageError
from sockwright.tools._line_options import add_line_options, line_options
from sockwright.tools._rows import Progress, Remark, Text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from sockwright.columns.batch import Batch
    from sockwright.columns.capture_file import CaptureFile
    from sockwright.columns.selecting import Selector
    from sockwright.errors import DecodeError

_STATISTICS = ("conversations", "endpoints", "protocols", "io", "tcp")
_LONGEST_S = 1_000_000_000  # of --interval: 31 years, and nanoseconds still fit a column

EXAMPLES = (
    ("sw read capture.pcap", "a line a packet"),
    ("sw read -n -tttt -v capture.pcap tcp port 80", "what a filter accepts, in detail"),
    ("sw read capture.pcap -c 1 --tree", "every field of the first packet"),
    ("sw read capture.pcap --fields ipv4.src,tcp.dst_port --header tcp", "chosen fields"),
    ("sw read capture.pcap --count 'tcp[tcpflags] & tcp-syn != 0'", "how many packets match"),
    ("sw read capture.pcap -w web.pcapng port 80", "the packets that match, in a file"),
    ("sw read capture.pcap --stats conversations", "who talked with whom"),
    ("sw read capture.pcap --follow 0", "what both sides of the first flow sent"),
    ("gzip -c capture.pcap | sw read -n -", "compressed, from standard input"),
)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many packets there are, or match."""

    packets: int


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A name for --fields."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Written:
    """What -w or --export wrote."""

    file: str
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
    add_line_options(parser)
    _add_outputs(parser.add_argument_group("instead of lines"))


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--count", action="store_true", help="only how many packets there are")
    group.add_argument(
        "--fields", metavar="A,B", help="these fields, such as ipv4.src,tcp.dst_port"
    )
    group.add_argument("--header", action="store_true", help="a line of names above --fields")
    group.add_argument("--separator", metavar="TEXT", help="between --fields; else a tab")
    group.add_argument(
        "--occurrence",
        metavar="WHICH",
        help="first, last, all (with commas) or 1, 2, ... of layers that repeat, for --fields",
    )
    group.add_argument("--list-fields", action="store_true", help="the names of all fields")
    group.add_argument("--tree", action="store_true", help="every layer and field, as a tree")
    group.add_argument("-w", dest="write", metavar="OUT", help="write a capture; - is a pipe")
    group.add_argument("--format", choices=("pcap", "pcapng"), help="of OUT; else by its name")
    group.add_argument("--stats", choices=_STATISTICS, help="a table instead of packets")
    group.add_argument(
        "--interval", type=float, metavar="SECONDS", help="of a row of --stats io; else chosen"
    )
    group.add_argument(
        "--follow", type=int, metavar="N", help="what both sides of flow N (flow.id) sent"
    )
    group.add_argument(
        "--export", metavar="OUT.parquet", help="write columns, those of --fields or many"
    )


def run(args: argparse.Namespace) -> Iterator[object]:
    """Yield lines of text, or rows for programs."""
    _check(args)
    if args.list_fields:
        from sockwright.columns.fields import fields

        yield from (FieldRow(info.name, info.type, info.meaning) for info in fields())
        return
    if args.write is not None and args.file == "-":
        yield from _copy(args)
        return
    from sockwright.columns.capture_file import open_capture

    with open_capture(args.file) as capture:
        yield Progress(lambda: capture.progress)
        chosen = _Chosen(capture, args)
        if args.write is not None:
            yield from _write(capture, chosen, args)
        elif args.count:
            yield from _count(capture, chosen, as_json=args.json)
        elif args.stats is not None:
            yield from _or_a_remark(_statistics(capture, chosen, args), args)
        elif args.follow is not None:
            yield from _follow(capture, args.follow)
        elif args.export is not None:
            yield from _export(capture, chosen, args)
        elif args.fields is not None:
            yield from _fields(chosen, args)
        elif args.json:
            yield from _packets(chosen)
        elif args.tree:
            yield from _trees(chosen, args)
        else:
            yield from _lines(chosen, args)


def _check(args: argparse.Namespace) -> None:
    outputs = {
        "--count": args.count,
        "--fields": args.fields is not None and args.export is None,  # --export takes fields
        "--tree": args.tree,
        "-w": args.write is not None,
        "--stats": args.stats is not None,
        "--follow": args.follow is not None,
        "--export": args.export is not None,
    }
    asked = [name for name, there in outputs.items() if there]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} do not go together; choose one")
    names = {"FILE": args.file, "-w": args.write, "--export": args.export}
    if "" in names.values():
        where = next(one for one, name in names.items() if name == "")
        raise UsageError(f"{where} takes the name of a file, not an empty text")
    _check_what_options_need(args)
    if args.interval is not None and not 1e-9 <= args.interval <= _LONGEST_S:  # nor is NaN
        told = f"from a nanosecond to {_LONGEST_S} seconds"
        raise UsageError(f"--interval is a number of seconds, {told}, not {args.interval}")
    if args.limit is not None and args.limit < 0:
        raise UsageError(f"-c takes a number from 0 on, not {args.limit}")
    if args.follow is not None and (args.filter or args.limit is not None):
        raise UsageError("--follow shows one flow whole; it takes neither a filter nor -c")
    if args.file is None and not args.list_fields:
        raise UsageError("which FILE? (- is standard input)")


def _check_what_options_need(args: argparse.Namespace) -> None:
    """Refuse options that would change nothing."""
    lines_of_fields = args.fields is not None and args.export is None
    needs = (
        ("--header", args.header, "--fields", lines_of_fields),
        ("--separator", args.separator is not None, "--fields", lines_of_fields),
        ("--occurrence", args.occurrence is not None, "--fields", lines_of_fields),
        ("--interval", args.interval is not None, "--stats io", args.stats == "io"),
        ("--format", args.format is not None, "-w", args.write is not None),
    )
    for option, asked, needed, there in needs:
        if asked and not there:
            raise UsageError(f"{option} goes with {needed} alone")


class _Choice:
    """Says which packets of a batch are chosen: those that the filter accepts, up to the limit."""

    def __init__(self, selector: Selector | None, limit: int | None) -> None:
        self._selector = selector
        self.left = limit

    def rows(self, batch: Batch) -> Sequence[int]:
        """Return the rows that are chosen, in order. Batches have to come in order."""
        found: Sequence[int] = range(len(batch))
        if self._selector is not None:
            found = self._selector.rows(batch)
        if self.left is not None:
            found = found[: self.left]
            self.left -= len(found)
        return found


class _Chosen:
    """The packets that the filter accepts, up to the limit: batches with rows."""

    def __init__(self, capture: CaptureFile, args: argparse.Namespace) -> None:
        self._capture = capture
        self.limit: int | None = args.limit
        self.selector: Selector | None = None
        if args.filter:
            from sockwright.columns.selecting import Selector

            link_types = [interface.link_type for interface in capture.interfaces]
            self.selector = Selector(" ".join(args.filter), link_types)

    def __iter__(self) -> Iterator[tuple[Batch, Sequence[int]]]:
        choice = _Choice(self.selector, self.limit)
        if self.limit == 0:
            return
        for batch in self._capture.batches():
            yield batch, choice.rows(batch)
            if choice.left == 0:
                return

    def accept(self) -> _Choice | None:
        """Return what says which packets count, None where all do."""
        if self.selector is None and self.limit is None:
            return None
        return _Choice(self.selector, self.limit)


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
            packet = batch.packet(int(row))
            layers = [layer_values(header) for header in packet.layers]
            yield PacketRow(
                frame_values(packet),
                layers,
                packet.payload.hex(),
                packet.trailer.hex(),
                [str(error) for error in packet.errors],
            )


def _trees(chosen: _Chosen, args: argparse.Namespace) -> Iterator[Text]:
    from sockwright.columns.line_detail import tree_lines
    from sockwright.columns.lines import LinePrinter

    printer = LinePrinter(line_options(args))
    for batch, rows in chosen:
        for row in rows:
            lines = b"".join(printer.blocks(batch, [int(row)]))
            yield Text(lines + tree_lines(batch.packet(int(row))))


def _fields(chosen: _Chosen, args: argparse.Namespace) -> Iterator[object]:
    from sockwright.tools._read_fields import field_lines, fields_named, header_line

    infos = fields_named(args.fields)
    separator = "\t" if args.separator is None else args.separator.replace("\\t", "\t")
    if args.json:
        from sockwright.columns.packet_values import field_values

        for batch, rows in chosen:
            for row in rows:
                yield field_values(batch.packet(int(row)), infos)
        return
    if args.header:
        yield header_line(infos, separator)
    occurrence = args.occurrence or "all"
    yield from field_lines(chosen, infos, separator=separator, occurrence=occurrence)


def _write(capture: CaptureFile, chosen: _Chosen, args: argparse.Namespace) -> Iterator[Written]:
    from sockwright.tools._read_write import write_packets

    yield from _written(args, *write_packets(capture, chosen, args))


def _copy(args: argparse.Namespace) -> Iterator[Written]:
    from sockwright.tools._read_write import copy_stream

    yield from _written(args, *copy_stream(args, " ".join(args.filter)))


def _written(
    args: argparse.Namespace, packets: int, error: DecodeError | None
) -> Iterator[Written]:
    if args.json and args.write != "-":
        yield Written(args.write, packets)
    if error is not None:
        raise error


def _statistics(
    capture: CaptureFile, chosen: _Chosen, args: argparse.Namespace
) -> Iterator[object]:
    accept = chosen.accept()
    if args.stats in ("conversations", "endpoints"):
        from sockwright.columns import conversations

        return iter(getattr(conversations, args.stats)(capture, accept))
    if args.stats == "protocols":
        from sockwright.columns.hierarchy import protocols

        return protocols(capture, accept)
    if args.stats == "tcp":
        from sockwright.columns.tcp_analysis import tcp_flows

        return tcp_flows(capture, accept)
    from sockwright.columns.rates import rates

    interval = None if args.interval is None else round(args.interval * 1e9)
    return rates(capture, interval, accept)


def _or_a_remark(rows: Iterator[object], args: argparse.Namespace) -> Iterator[object]:
    """Yield the rows, or what is not there: a table without rows would be shown as nothing."""
    nothing = True
    for row in rows:
        nothing = False
        yield row
    if nothing:
        what = {"tcp": "TCP", "protocols": "packet", "io": "packet"}.get(args.stats, "IP packet")
        some = args.filter or args.limit is not None
        yield Remark(f"there is no {what} {'among those chosen' if some else 'in this capture'}")


def _follow(capture: CaptureFile, flow: int) -> Iterator[object]:
    from sockwright.columns.follow import follow

    try:
        yield from follow(capture, flow)
    except ValueError as error:
        if isinstance(error, SockwrightError):
            raise
        raise UsageError(str(error)) from None


def _export(capture: CaptureFile, chosen: _Chosen, args: argparse.Namespace) -> Iterator[Written]:
    from sockwright.columns.parquet import export_parquet
    from sockwright.tools._read_fields import fields_named

    names = [info.name for info in fields_named(args.fields)] if args.fields else ()
    accept = chosen.accept()
    try:
        packets = export_parquet(capture, args.export, names, accept)
    except ValueError as error:  # a field without a column
        if isinstance(error, SockwrightError):
            raise
        raise UsageError(str(error)) from None
    if args.json:
        yield Written(args.export, packets)
