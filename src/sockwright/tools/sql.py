"""Ask a capture in SQL.

Group: look
Stands in for: tshark -T fields into a database

The table packets has a row for each packet, with the columns tcp_dst_port, ipv4_src and so on: the
fields of sw read --list-fields with underscores for dots; what a packet lacks is null. The table
flows has a row for each conversation. Addresses are text: ipv4_src = '192.0.2.1', or
in_network(ipv4_src, '192.0.2.0/24').
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator

_TOUR = "sw tour --step tcp4 --pcap tour.pcap > tour.txt"

EXAMPLES: tuple[tuple[str, str], ...] = (
    (
        f"{_TOUR} && sw sql tour.pcap 'select ipv4_src, count(*) from packets group by all'",  # noqa: S608  # an example
        "who sent how many packets, in a capture that the tour makes",
    ),
    (
        f"{_TOUR} && sw sql tour.pcap --filter 'tcp dst port 7000' 'select * from packets' --json",  # noqa: S608  # an example
        "only what a capture filter accepts, as JSON lines",
    ),
    (
        f"{_TOUR} && sw sql tour.pcap 'select src, dst, octets, octets_back from flows'",  # noqa: S608  # an example
        "the conversations",
    ),
    (f"{_TOUR} && sw sql tour.pcap 'describe packets'", "all columns, with their types"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a capture of any format, compressed or not; - is standard input",
    )
    parser.add_argument(
        "query",
        metavar="QUERY",
        help="one statement that selects from packets (columns tcp_dst_port, ipv4_src and so on; "
        "'describe packets' lists them) and flows, the conversations. Addresses are text: "
        "ipv4_src = '192.0.2.1', in_network(ipv4_src, '192.0.2.0/24')",
    )
    parser.add_argument(
        "--filter",
        metavar="EXPR",
        help="a capture filter, as for tcpdump: the tables hold only what it accepts",
    )


def run(args: argparse.Namespace) -> Generator[dict[str, Any], None, None]:
    """Yield the rows of the result, as values by column.

    Raises:
        SqlError: the query is wrong.
        FilterError: the filter is.
        NotPossibleError: duckdb or pyarrow is missing.
        TruncatedError, DecodeError: the capture ends in the middle; whole packets were counted.
        OSError: the file cannot be read.
    """
    from sockwright.columns.capture_file import open_capture
    from sockwright.columns.selecting import Selector
    from sockwright.columns.sql import query

    accept = Selector(args.filter) if args.filter is not None else None
    with open_capture(args.file) as capture:
        yield from query(capture, args.query, accept)
