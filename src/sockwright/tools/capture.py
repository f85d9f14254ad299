"""Capture packets live: show them, or write them to files.

Group: look
Stands in for: tcpdump, dumpcap, tshark

The order of what happens is what makes it safe: it is found out whether the user of -Z can do the
rest, the filter compiled, the socket opened, the ring made, the filter attached, the socket bound;
only then the file is opened, which empties it; then privileges are dropped; only then is the first
packet looked at.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from sockwright.errors import UsageError
from sockwright.tools._line_options import add_line_options
from sockwright.tools._rows import Remark
from sockwright.tools._stopping import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from sockwright.sockets.live_capture import LiveCapture
    from sockwright.tools._capture_output import Output

EXAMPLES = (
    ("sw capture --list", "the interfaces there are"),
    ("sw capture -i lo -c 3 --duration 0.2", "three packets, or what comes in a fifth of a second"),
    ("sw capture -i any -w trace.pcapng --duration 0.2 tcp port 80", "write packets to a file"),
    (
        "sw capture -i lo -w a.pcap --rotate-size 10M --rotate-time 1h --keep 24 --duration 0.2",
        "files of at most 10 MiB and an hour each, of which the last 24 are kept",
    ),
)

_HAPPENED = {
    "down": "is down; waiting for it to come back",
    "up": "is up again",
    "gone": "is gone: it was deleted",
}
_STATUS_S = 0.25  # how long the loop sleeps at most
_RATE_S = 1.0
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TIMES = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST_SNAPLEN = 262_144
_SHOWN = 72  # characters of a filter


@dataclass(frozen=True, slots=True)
class InterfaceRow:
    """An interface that can be captured on."""

    columns: ClassVar[tuple[str, ...]] = ("name", "state", "link", "mtu", "mac", "addresses")

    index: int
    name: str
    state: str
    link_type: int
    link: str
    mtu: int | None
    mac: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """What `-w` has written, for programs: packets and octets; the files that are there."""

    interface: str
    packets: int
    dropped: int
    octets: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """How the capture goes, for a terminal; the next one takes its place."""

    aside: ClassVar[bool] = True

    text: str

    def __str__(self) -> str:
        return ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "filter", nargs="*", metavar="FILTER", help="only packets that this accepts"
    )
    parser.add_argument(
        "-i",
        dest="interface",
        default="any",
        metavar="IFACE",
        help="an interface, or any (default)",
    )
    parser.add_argument("-D", "--list", action="store_true", help="list the interfaces and end")
    group = parser.add_argument_group("which packets")
    group.add_argument("-c", dest="count", type=_count, metavar="N", help="end after N packets")
    group.add_argument(
        "--duration", type=_seconds, metavar="TIME", help="end after so long: 10, 0.5, 5m, 1h"
    )
    group.add_argument(
        "-Q", "--direction", choices=("in", "out", "both", "inout"), default="both",
        help="only what comes in, or goes out",
    )  # fmt: skip
    group.add_argument(
        "-p", "--no-promiscuous", dest="promiscuous", action="store_false",
        help="do not ask the interface for packets to other hosts",
    )  # fmt: skip
    group.add_argument(
        "-s", "--snaplen", type=_snaplen, default=_MOST_SNAPLEN, metavar="N",
        help="keep at most N octets of a packet (0: all, the default)",
    )  # fmt: skip
    group.add_argument(
        "--buffer", type=_buffer, default=None, metavar="SIZE",
        help="memory of the ring, such as 64M (default 32M)",
    )  # fmt: skip
    _file_arguments(parser)
    add_line_options(parser)


def _file_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("files")
    group.add_argument("-w", dest="write", metavar="FILE", help="write to FILE; - is a pipe")
    group.add_argument(
        "--format", choices=("pcap", "pcapng"), help="of the file (default: by its name, else pcap)"
    )
    group.add_argument(
        "--rotate-size", type=_size, metavar="SIZE", help="a next file before one exceeds SIZE"
    )
    group.add_argument(
        "--rotate-time", type=_whole_seconds, metavar="TIME",
        help="a next file at each multiple of TIME since midnight UTC: 60, 15m, 1h",
    )  # fmt: skip
    group.add_argument(
        "--rotate-count", type=_count, metavar="N", help="a next file after N packets"
    )
    group.add_argument("--keep", type=_count, metavar="N", help="delete all but the last N files")
    group.add_argument(
        "-Z", "--user", default="", metavar="USER", help="run as USER once the socket is open"
    )


def run(args: argparse.Namespace) -> Generator[object, None, int]:
    """Yield packets as text or rows, notices, the state of things; return the exit status."""
    if args.list:
        yield from _interfaces()
        return 0
    _check(args)
    return (yield from _capture(args))


def _check(args: argparse.Namespace) -> None:
    """Refuse what does not go together. Raises: UsageError."""
    rotating = _rotates(args)
    if args.keep and not rotating:
        raise UsageError("--keep needs --rotate-size, --rotate-time or --rotate-count")
    if rotating and args.write in {None, "-"}:
        raise UsageError("files rotate with -w FILE, which gives them their name")
    if args.format and not args.write:
        raise UsageError("--format is that of the file of -w")
    if args.write == "-":
        if args.json:
            raise UsageError("--json and -w - both want standard output")
        if sys.stdout.isatty():
            raise UsageError("-w - writes octets, not for a terminal: add '| tcpdump -r -'")


def _rotates(args: argparse.Namespace) -> bool:
    return bool(args.rotate_size or args.rotate_time or args.rotate_count)


# -- the capture -----------------------------------------------------------------------------------


def _capture(args: argparse.Namespace) -> Generator[object, None, int]:
    from sockwright.sockets.dropping import drop_privileges, rehearse_drop
    from sockwright.sockets.live_capture import capture
    from sockwright.sockets.ring import DEFAULT_BUFFER
    from sockwright.tools._capture_output import Files, Lines

    if args.user:
        _with_user(rehearse_drop, args)
    with capture(
        args.interface,
        " ".join(args.filter),
        promiscuous=args.promiscuous,
        snaplen=args.snaplen,
        buffer=args.buffer or DEFAULT_BUFFER,
        direction="both" if args.direction == "inout" else args.direction,
        duration=args.duration,
    ) as live:
        output: Output = Files(live, args) if args.write else Lines(live, args)
        failure: OSError | None = None
        try:
            _with_user(drop_privileges, args)
            with stopping(live.stop):
                yield Remark(_begun(live, args))
                try:
                    yield from _packets(live, output)
                    yield from output.finish()
                except OSError as error:  # of the file: what was captured is told all the same
                    failure = error
        finally:
            output.close()
    counted = live.statistics
    yield Remark(f"{output.count} packets captured, {counted.dropped} dropped by the kernel")
    if args.json and isinstance(output, Files):
        yield WrittenRow(live.interface, output.count, counted.dropped, output.octets, output.paths)
    if failure is not None and not (args.write == "-" and isinstance(failure, BrokenPipeError)):
        raise failure
    if counted.dropped:
        yield Remark(
            f"packets were lost: the ring was full {counted.freezes} times; a larger --buffer, a "
            "narrower filter or a smaller --snaplen helps"
        )
    gone = any(event.state == "gone" for event in live.events)
    return 1 if counted.dropped or gone else 0


def _packets(live: LiveCapture, output: Output) -> Iterator[object]:
    """Yield what is to be seen of packets as they come, and what happens beside them."""
    status = _Rate(live, output) if output.wants_status and sys.stderr.isatty() else None
    told = 0
    for block in live.blocks(_STATUS_S):
        yield from output.rest() if block is None else output.take(block)
        for event in live.events[told:]:
            told += 1
            yield Remark(f"{event.interface} {_HAPPENED[event.state]}")
        if status is not None:
            yield from status.due()
        if output.done:
            return
    for event in live.events[told:]:
        yield Remark(f"{event.interface} {_HAPPENED[event.state]}")


class _Rate:
    """The state of things, every second or so."""

    def __init__(self, live: LiveCapture, output: Output) -> None:
        self._live = live
        self._output = output
        self._at = time.monotonic()
        self._count = 0

    def due(self) -> Iterator[Status]:
        now = time.monotonic()
        if now - self._at < _RATE_S:
            return
        count = self._output.count
        rate = (count - self._count) / (now - self._at)
        self._at, self._count = now, count
        dropped = self._live.statistics.dropped
        yield Status(f"{count} packets, {rate:.0f} a second, {dropped} dropped")


def _with_user(drop: Callable[..., object], args: argparse.Namespace) -> None:
    """Call what gives up privileges; see `drop_privileges` for what may have to be kept."""
    # What is loaded later has to be readable, and the next files must be made.
    read = os.R_OK | os.X_OK
    folders = (Path(__file__).parent, Path(sys.prefix), Path(os.__file__).parent)
    needed = [(folder, read) for folder in folders]
    if _rotates(args):
        needed.append((Path(args.write).parent, os.W_OK | os.X_OK))
    try:
        drop(args.user, needed=needed)
    except KeyError:
        raise UsageError(f"--user: there is no user {args.user!r}") from None


def _begun(live: LiveCapture, args: argparse.Namespace) -> str:
    text = f"capturing on {live.interface} ({_link_name(live.link_type)})"
    if args.filter:
        words = " ".join(args.filter)
        shown = words if len(words) <= _SHOWN else words[: _SHOWN - 1] + "…"
        text += f", only {shown!r}"
    if args.write:
        text += f", into {'a pipe' if args.write == '-' else args.write}"
    return text + "; Ctrl-C ends it"


def _link_name(number: int) -> str:
    from sockwright.filters.link_types import LINK_TYPES

    names = {link.number: link.description for link in LINK_TYPES}
    return names.get(number, f"link type {number}")


# -- interfaces ------------------------------------------------------------------------------------


def _interfaces() -> Iterator[InterfaceRow]:
    from sockwright.sockets.interface_list import interfaces
    from sockwright.sockets.ring import SLL2

    for one in interfaces():
        yield InterfaceRow(
            one.index, one.name, one.state, one.link_type, _link_name(one.link_type), one.mtu,
            one.mac, one.addresses,
        )  # fmt: skip
    yield InterfaceRow(0, "any", "up", SLL2, _link_name(SLL2), None, "", ())


# -- numbers of the command line -------------------------------------------------------------------


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _snaplen(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > _MOST_SNAPLEN:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number up to {_MOST_SNAPLEN}")
    return int(text) or _MOST_SNAPLEN


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]+)([kmg]?)(?:i?b)?", text.lower())
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500000, 64k, 10M or 1G")
    return int(found[1]) * _SIZES[found[2]]


def _buffer(text: str) -> int:
    from sockwright.sockets.ring import MAXIMUM_BUFFER, MINIMUM_BUFFER

    size = _size(text)
    if not MINIMUM_BUFFER <= size <= MAXIMUM_BUFFER:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not from {MINIMUM_BUFFER >> 10}k to {MAXIMUM_BUFFER >> 30}G"
        )
    return size


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)(ms|[smhd]?)", text.lower())
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 10, 500ms, 5m or 1h")
    return float(found[1]) * (0.001 if found[2] == "ms" else _TIMES[found[2]])


def _whole_seconds(text: str) -> int:
    seconds = _seconds(text)
    if seconds != int(seconds):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds")
    return int(seconds)
