"""One host of a scan: its ports as nmap's table, and below it what else is known.

A table that is too wide for the terminal gives its last columns to lines below each port; a pipe
gets whole lines, one a port.

Open ports are never hidden. But where more than `FEW` (25) of one protocol have the same to say,
service, version and all, they are one line below the table, with their numbers as ranges. Who asks
for more of each port than the table has (``--all``, ``--reason``, ``--explain``, ``-v``) gets a row
for each. This is about what people read: reports and rows for programs have every open port.
"""

from __future__ import annotations

from sockwright.cli.clean import clean
from sockwright.cli.pages._scan_words import (
    certainty,
    evidence,
    is_lossy,
    latency,
    name_of,
    version_of,
)
from sockwright.cli.width import text_width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sockwright.cli.screen import Part, Screen
    from sockwright.identify.identification import Identification
    from sockwright.scan.results import HostResult, PortResult, Service
    from sockwright.scan.rows import HiddenPorts
    from sockwright.tools._scan_rows import View

__all__ = ["show_host"]

_STYLES = {
    "open": "green",
    "closed": "dim",
    "filtered": "yellow",
    "open|filtered": "yellow",
    "unfiltered": "cyan",
}
_NOT_ASKED = "not-asked"  # the scan ended before: that is no state of the port
_GAP = " "
_INDENT = "  "
_NARROWEST = 24  # columns that the last cell of a line may be folded to
_LONG = 120  # characters of what a service told
_UNKNOWN = "unknown"  # the system that no signature fits


def show_host(host: HostResult, screen: Screen, view: View) -> None:
    """Show what is known of a host that is up, or whose ports were asked anyway."""
    from sockwright.scan.reasons import REASONS
    from sockwright.scan.rows import hidden_ports, shown_ports

    ports, alike = _parted(list(shown_ports(host, view.show)), view)
    name = host.names[0] if host.names else ""
    where = f"{name} ({host.host})" if name and name != host.host else host.host
    screen.line()
    screen.line(("Scan report for ", ""), (where, "bold"))
    _show_state(host, screen)
    if others := view.others.get(name):
        _paragraph(f"Other addresses of {name}, not scanned: {', '.join(others)}", screen)
    hidden = [] if view.show == "open" else list(hidden_ports(host, view.show))
    if hidden:
        if not (ports or alike or all(part.reason == _NOT_ASKED for part in hidden)):
            _paragraph(_no_port(hidden), screen)
        _paragraph("Not shown: " + _not_shown(hidden), screen)
    if ports:
        _show_ports(ports, screen, view)
    for group in alike:
        _show_alike(group, screen, view)
    if view.several and (host.complete is False or is_lossy(host)):
        _paragraph(_sentence(certainty(host)), screen, "" if host.complete else "yellow")
    for remark in host.remarks:
        _paragraph(f"Note: {remark}", screen, "yellow")
    if any("unproven" in {REASONS[number].word for number in t.counts()} for t in host.ports):
        _paragraph("--patience 5m gives the unproven ports more time than the usual 45s.", screen)
    if host.os is not None:
        _show_system(host.os, screen, explain=bool(view.args.explain))
    if host.hops:
        _show_way(host, screen)


def _show_state(host: HostResult, screen: Screen) -> None:
    told = host.reason
    if host.rtt_ns is not None:
        told = f"{told or 'answered'} after {latency(host.rtt_ns)}"
    state = "may be up: nothing was asked first" if host.state == "unknown" else host.state
    _paragraph(f"Host is {state}" + (f" ({told})." if told else "."), screen)
    if len(host.names) > 1:
        _paragraph(f"Also called {', '.join(host.names[1:])}", screen)
    if host.mac:
        screen.line(f"MAC address: {host.mac}")


def _no_port(hidden: Sequence[HiddenPorts]) -> str:
    """Return what is so of a host of which no port is shown: none of these is open."""
    asked = [part for part in hidden if part.reason != _NOT_ASKED]
    count = sum(len(part.ports) for part in asked)
    states = {part.state for part in asked}
    if count == 1:
        return f"The port that was asked is {asked[0].state}."
    if len(states) == 1:
        return f"All {count} ports that were asked are {states.pop()}."
    return f"No open port was found among the {count} that were asked."


def _not_shown(hidden: Iterable[HiddenPorts]) -> str:
    """Return how many ports are not shown, by protocol and state, with the reasons."""
    groups: dict[tuple[str, str], list[HiddenPorts]] = {}
    for part in hidden:
        state = _NOT_ASKED if part.reason == _NOT_ASKED else part.state
        groups.setdefault((part.protocol, state), []).append(part)
    told = []
    for (protocol, state), parts in groups.items():
        count = sum(len(part.ports) for part in parts)
        ports = f"{protocol} port{'' if count == 1 else 's'}"
        if state == _NOT_ASKED:
            told.append(f"{count} {ports} not asked")
            continue
        reasons = ", ".join(
            part.reason if len(parts) == 1 else f"{part.reason} {len(part.ports)}"
            for part in sorted(parts, key=lambda part: -len(part.ports))
        )
        told.append(f"{count} {state} {ports} ({reasons})")
    return ", ".join(told)


# -- ports ---------------------------------------------------------------------------------------


def _show_ports(ports: Sequence[PortResult], screen: Screen, view: View) -> None:
    args = view.args
    asked = bool(args.services or args.aggressive)
    with_reason = bool(args.reason or args.verbose > 1)
    heads = ["PORT", "STATE", "SERVICE"]
    heads += ["REASON"] if with_reason else []
    heads += ["VERSION"] if asked else []
    rows = []
    for port in ports:
        cells = [f"{port.port}/{port.protocol}", port.state, name_of(port, asked=asked)]
        cells += [evidence(port)] if with_reason else []
        cells += [version_of(port.service)] if asked else []
        rows.append([clean(cell) for cell in cells])
    widths = [max(map(text_width, column)) for column in zip(heads, *rows, strict=True)]
    whole = _whole_columns(widths, screen)
    room = screen.width - sum(widths[: whole - 1]) - len(_GAP) * (whole - 1)
    screen.line((_joined(heads[:whole], widths), "bold"))
    explained: dict[object, str] = {}
    for port, cells in zip(ports, rows, strict=True):
        start: list[Part] = []
        for index, (cell, width) in enumerate(zip(cells[: whole - 1], widths, strict=False)):
            start += [(cell, _STYLES[port.state] if index == 1 else "")]
            start += [" " * (width - text_width(cell)) + _GAP]
        last, style = cells[whole - 1], _STYLES[port.state] if whole == 2 else ""
        folds = screen.fold(last, room) if screen.terminal and text_width(last) > room else [last]
        screen.line(*start, (folds[0], style))
        for more in folds[1:]:
            screen.line(" " * (screen.width - room), more)
        for cell in filter(None, cells[whole:]):
            screen.paragraph(cell, _INDENT)
        _show_service(port, screen, whole=bool(args.verbose))
        if args.explain:
            _show_explanation(port, explained, screen)


def _parted(ports: list[PortResult], view: View) -> tuple[list[PortResult], list[list[PortResult]]]:
    """Return the ports that have a row each, and groups of open ones that have the same to say."""
    from sockwright.scan.rows import FEW

    args = view.args
    if len(ports) <= FEW or view.show == "all" or args.reason or args.explain or args.verbose:
        return ports, []
    asked = bool(args.services or args.aggressive)
    groups: dict[object, list[PortResult]] = {}
    for port in ports:
        if port.state == "open":
            told = name_of(port, asked=asked), version_of(port.service), _told(port.service)
            groups.setdefault((port.protocol, port.reason, str(told)), []).append(port)
    alike = [group for group in groups.values() if len(group) > FEW]
    left_out = {(port.protocol, port.port) for group in alike for port in group}
    return [port for port in ports if (port.protocol, port.port) not in left_out], alike


def _show_alike(group: Sequence[PortResult], screen: Screen, view: View) -> None:
    """Show open ports that have the same to say as one line, and what that is."""
    from sockwright.scan.rows import ranges

    first = group[0]
    asked = bool(view.args.services or view.args.aggressive)
    what = " ".join(filter(None, (name_of(first, asked=asked), version_of(first.service))))
    numbers = ranges(port.port for port in group).replace(",", ", ")
    told = f"{len(group)} open {first.protocol} ports alike, {clean(what)}: {numbers}"
    _paragraph(f"{told} (--all has a row for each)", screen, _STYLES["open"])
    _show_service(first, screen, whole=False)


def _whole_columns(widths: Sequence[int], screen: Screen) -> int:
    """Return how many columns stand beside each other; the others go below."""
    if not screen.terminal:
        return len(widths)
    used, count = 0, 0
    for width in widths:
        least = width if count < 3 else min(width, _NARROWEST)
        if count and used + least > screen.width:
            break
        used += width + len(_GAP)
        count += 1
        if used > screen.width:
            break
    return count


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=False)
    return _GAP.join(cell.ljust(width) for cell, width in pairs).rstrip()


def _show_service(port: PortResult, screen: Screen, *, whole: bool) -> None:
    """Show what a service told beside its version; long lists are cut unless `whole`."""
    for name, text in _told(port.service).items():
        _show_detail(name, text if whole else _cut(text), screen)


def _told(service: Service | None) -> dict[str, str]:
    """Return what a service told beside its version, by name."""
    if service is None or service.method != "probed":
        return {}
    told = {
        name: text
        for name, text in (("host", service.hostname), ("system", service.os),
                           ("device", service.device))
        if text
    } | service.details  # fmt: skip
    if service.banner and not service.product:
        told["banner"] = service.banner
    return told


def _cut(text: str) -> str:
    """Return the beginning of a long list, such as the ciphers of a server."""
    if len(text) <= _LONG:
        return text
    return f"{text[:_LONG].rpartition(' ')[0] or text[:_LONG]} ... (-v shows all)"


def _show_explanation(port: PortResult, explained: dict[object, str], screen: Screen) -> None:
    """Show the sentences of --explain; where another port has had the same, only which one."""
    name = f"{port.port}/{port.protocol}"
    alike = port.state, port.reason, port.tries, port.attempt, port.ttl, port.sender, port.limited
    first = explained.setdefault(alike, name)
    if first == name or (port.service is not None and port.service.method == "probed"):
        text = port.explain()
    else:
        text = f"As {first}" + (f", after {latency(port.rtt_ns)}." if port.rtt_ns else ".")
    _paragraph(text, screen, indent=_INDENT)


def _show_detail(name: str, text: str, screen: Screen) -> None:
    head = f"{_INDENT}{clean(name)}: "
    if not screen.terminal:
        screen.line((head, "dim"), text)
        return
    room = screen.width - len(head)
    if room >= _NARROWEST or text_width(text) <= room:
        first, *others = screen.fold(text, room) or [""]
        screen.line((head, "dim"), first)
        indent = " " * len(head)
    else:
        screen.line((head.rstrip(), "dim"))
        indent = _INDENT * 2
        others = screen.fold(text, screen.width - len(indent))
    for line in others:
        screen.line(indent, line)


# -- below the table -----------------------------------------------------------------------------


def _show_system(system: Identification, screen: Screen, *, explain: bool) -> None:
    """Show which operating system it is, and how sure that is."""
    if explain:
        screen.line()
        for line in system.explain().splitlines():
            indent = " " * (len(line) - len(line.lstrip(" ")))
            _paragraph(line[len(indent) :], screen, indent=indent)
        return
    from sockwright.identify.explain import summarise

    sure = f" (confidence {system.confidence:.2f})" if system.best != _UNKNOWN else ""
    screen.line("OS: ", (system.best, "bold"), sure)
    for told in (*summarise(system), *[f"not tested, {text}" for text in system.missing]):
        _paragraph(told, screen, indent=_INDENT)
    if system.uptime_ns is not None:
        screen.line(f"Up for at least {system.uptime_ns / 86_400e9:.1f} days, by its timestamps")


def _show_way(host: HostResult, screen: Screen) -> None:
    """Show the routers on the way."""
    rows = [
        (
            str(hop.ttl),
            latency(hop.rtt_ns) if hop.rtt_ns is not None else "-",
            (f"{hop.name} ({hop.host})" if hop.name else hop.host) or "no answer",
        )
        for hop in host.hops
    ]
    screen.line()
    wide = max(3, *(len(row[1]) for row in rows))
    screen.line((f"{'HOP':>3}  {'RTT':<{wide}}  ADDRESS", "bold"))
    for number, time, address in rows:
        screen.line(f"{number:>3}  {time:<{wide}}  ", address)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _paragraph(text: str, screen: Screen, style: str = "", indent: str = "") -> None:
    """Write a text, folded where a person looks."""
    if screen.terminal:
        screen.paragraph(text, indent, style)
    else:
        screen.line(indent, (text, style))
