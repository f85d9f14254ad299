"""The options that `sw read` and `sw capture` share: what a line shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from sockwright.columns.lines import LineOptions

__all__ = ["add_line_options", "line_options"]

_MOST_T = 5


def add_line_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a line to `parser`; they mean what they mean to tcpdump."""
    group = parser.add_argument_group("what a line shows")
    group.add_argument("-n", dest="numeric", action="count", default=0, help="ports as numbers")
    group.add_argument(
        "-t",
        dest="time_form",
        action="count",
        default=0,
        help="-t no time, -tt seconds since 1970, -ttt since the packet before, -tttt with the "
        "date, -ttttt since the first packet",
    )
    group.add_argument(
        "-v", dest="detail", action="count", default=0, help="every header, and what is wrong"
    )
    group.add_argument("-e", dest="link_header", action="store_true", help="the link header")
    group.add_argument(
        "-#", "--number", dest="numbers", action="store_true", help="the number of the packet"
    )
    for letter, meaning in (
        ("x", "octets in hexadecimal; -xx from the link header on"),
        ("X", "octets in hexadecimal and ASCII; -XX from the link header on"),
        ("A", "octets in ASCII; -AA from the link header on"),
    ):
        group.add_argument(
            f"-{letter}", dest=f"dump_{letter}", action="count", default=0, help=meaning
        )


def line_options(args: argparse.Namespace) -> LineOptions:
    """Return what `args` ask for. Raises: UsageError for more -t than there are forms."""
    from sockwright.columns.lines import LineOptions

    if args.time_form > _MOST_T:
        raise UsageError(f"-t is known up to {_MOST_T} times: -{_MOST_T * 't'}")
    dump = ""
    for letter in "xXA":
        times = getattr(args, f"dump_{letter}")
        if times:
            dump = letter * min(times, 2)
    return LineOptions(
        time_form=args.time_form,
        numbers=args.numbers,
        port_names=not args.numeric,
        link_header=args.link_header,
        detail=args.detail > 0,
        dump=dump,
    )
