"""Sockets as a table whose columns never run together; what is beside them on standard error."""

from __future__ import annotations

import sys

from sockwright.cli.pages._ss_layout import (
    show_fields,
    show_table,
    write_blocks,
    write_table,
)
from sockwright.cli.pages._ss_names import Devices, Names
from sockwright.tools.ss import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    from sockwright.cli.screen import Screen
    from sockwright.sockets.diag.summary import Summary
    from sockwright.tools._ss_close import Closed
    from sockwright.tools._ss_fields import FieldName, Table
    from sockwright.tools._ss_graph import Connection
    from sockwright.tools._ss_watch import Begun
    from sockwright.tools.ss import Listing

__all__ = ["render"]

# The arguments that ask for lines below a socket.
_DETAILS = ("timers", "extended", "memory", "info", "tos", "cgroup", "sockopt", "explain")


def render(rows: Iterable[object], screen: Screen) -> None:
    """Show listings as tables, asides on standard error, live views as they come."""
    # By name, since most of these classes live in modules that only some runs load.
    shows: dict[str, Callable[..., None]] = {
        "Listing": _show_listing,
        "Table": _show_fields,
        "FieldName": _show_names,
        "Summary": _show_summary,
        "Closed": _show_closed,
        "Begun": _show_watch,
        "Connection": _show_graph,
    }
    rest = iter(rows)
    view: View | None = None
    for row in rest:
        show = shows.get(type(row).__name__)
        if isinstance(row, View):
            view = row
        elif show is not None:
            show(row, rest, screen, view)
        elif getattr(row, "aside", False) and str(row):
            _say(str(row), screen)


def _say(text: str, screen: Screen) -> None:
    from sockwright.cli.screen import Screen as Beside

    screen.stream.flush()
    Beside(sys.stderr).message(f"sw ss: {text}")


def _names(args: argparse.Namespace) -> Names | None:
    return None if args.numeric else Names(hosts=args.resolve)


def _show_listing(listing: Listing, _: Iterator[object], screen: Screen, view: View) -> None:
    from sockwright.cli.pages._ss_many import ManySockets, are_of_ip

    if listing.beside:
        from sockwright.cli.screen import Screen as Beside

        screen = Beside(sys.stderr)
    args = view.args
    rows, names, devices = listing.rows, _names(args), Devices(args.namespace)
    columns = {"netid": view.with_netid, "processes": args.processes}
    form = {"one_line": args.one_line, "below": None}
    if any(getattr(args, name) for name in _DETAILS):
        from sockwright.cli.pages._ss_details import Details

        form["below"] = map(Details(args).lines, rows)
    if are_of_ip(rows):
        folds = screen.terminal and not args.one_line
        many = ManySockets(rows, names, devices, **columns, colour=screen.colour, for_people=folds)
        if not folds or many.width <= screen.width:
            head = "" if args.no_header else many.head
            if form["below"] is None:
                write_blocks(head, many.blocks(), screen)
            else:
                write_table(head, many.lines(), screen, **form)
            return
    from sockwright.cli.pages._ss_cells import Cells

    show_table(Cells(rows, names, devices, **columns), screen, header=not args.no_header, **form)


def _show_fields(table: Table, _: Iterator[object], screen: Screen, __: View) -> None:
    if not table.csv:
        show_fields(table.names, table.columns, screen, header=table.header)
        return
    import csv

    from sockwright.cli.clean import clean, readable

    lines = csv.writer(screen.stream, lineterminator="\r\n")
    if table.header:
        lines.writerow(table.names)
    rows = zip(*table.columns, strict=True)
    # Programs get every character as it is; on a terminal it could act.
    safe = clean if screen.terminal else readable
    lines.writerows(map(safe, row) for row in rows)
    screen.stream.flush()


def _show_names(first: FieldName, rest: Iterator[object], screen: Screen, _: View) -> None:
    from itertools import chain

    from sockwright.cli.table import render_table

    render_table(chain([first], rest), screen)


def _show_closed(first: Closed, rest: Iterator[object], screen: Screen, view: View) -> None:
    from itertools import chain

    from sockwright.cli.pages._ss_cells import endpoint

    names, devices = _names(view.args), Devices(view.args.namespace)
    styles = {"closed": "green", "told": "yellow", "gone": "", "failed": "red"}
    told: Iterator[Closed] = chain([first], rest)  # type: ignore[arg-type]
    for closed in told:
        row = closed.row
        ends = ["".join(endpoint(row, side, names, devices)) for side in ("local", "peer")]
        outcome = closed.outcome, styles[closed.outcome]
        about = f"  {row.netid}  {ends[0]}  {ends[1]}"
        if screen.terminal and closed.reason:
            screen.line(outcome, about)
            screen.paragraph(closed.reason, "    ")
        else:
            screen.line(outcome, about, f"  {closed.reason}" if closed.reason else "")


def _show_watch(begun: Begun, rest: Iterator[object], screen: Screen, view: View) -> None:
    from sockwright.cli.pages._ss_watch import show_watch

    args = view.args
    show_watch(begun, rest, screen, _names(args), Devices(args.namespace), netid=view.with_netid)


def _show_graph(connection: Connection, rest: Iterator[object], screen: Screen, _: View) -> None:
    from sockwright.cli.pages._ss_graph import show_graph

    show_graph(connection, rest, screen)


def _show_summary(summary: Summary, _: Iterator[object], screen: Screen, __: View) -> None:
    from sockwright.cli.units import octets

    tcp = summary.tcp
    counted = (
        f"{summary.sockets} made by programs, of every kind; TIME-WAIT and the kernel's own are "
        "not counted"
    )
    _show_subject("Sockets", counted, screen)
    told = (
        f"{tcp.established} in ESTAB or CLOSE-WAIT, {tcp.time_wait} in TIME-WAIT, "
        f"{tcp.in_use} in use; "
        f"on the whole machine {tcp.allocated} allocated, {tcp.orphaned} orphaned"
    )
    _show_subject("TCP", told, screen)
    uses = []
    for use in summary.memory:
        limit = f" of {octets(use.limit)}" if use.limit is not None else ""
        name = {"frag": "fragments"}.get(use.name, use.name.upper())
        uses.append(f"{name} {octets(use.used)}{limit}")
    _show_subject("Memory", ", ".join(uses), screen)
    screen.line()
    transports = [*summary.transports, summary.internet]
    columns = [
        [one.name for one in transports],
        *([str(getattr(one, name)) for one in transports] for name in ("total", "inet", "inet6")),
    ]
    show_fields(("Transport", "Total", "IPv4", "IPv6"), columns, screen)
    screen.line()
    counts = [
        (kind, state, str(count))
        for kind, states in summary.states.items()
        for state, count in sorted(states.items())
    ]
    show_fields(("Netid", "State", "Sockets"), list(map(list, zip(*counts, strict=True))), screen)


def _show_subject(subject: str, text: str, screen: Screen) -> None:
    first, *others = screen.fold(text, screen.width - 9) if screen.terminal else [text]
    screen.line((subject.ljust(9), "bold"), first)
    for line in others:
        screen.line(" " * 9, line)
