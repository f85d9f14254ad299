"""What a host is, as text: the answer, what it rests on, what is missing."""

from __future__ import annotations

import sys

from sockwright.cli.pages._os_passive import (
    show_evidence,
    show_fields,
    show_lines,
    show_overheard_host,
    show_summary,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sockwright.cli.screen import Part, Screen
    from sockwright.identify.finding import Ports
    from sockwright.identify.identification import Identification
    from sockwright.tools._flags import Arguments
    from sockwright.tools.os import LearnedRow, SystemRow

__all__ = ["render"]

_SURE = 0.8
_STATES = {
    "open": "it is open", "closed": "it is closed", "filtered": "it is filtered",
    "silent": "it does not answer",
}  # fmt: skip


def render(rows: Iterable[object], screen: Screen) -> None:
    """Show hosts as they are known; what is beside them goes to standard error."""
    args: Arguments | None = None
    for row in rows:
        name = type(row).__name__
        if name == "OsView":
            args = row.args  # type: ignore[attr-defined]
        elif name == "SystemRow":
            _show_system(row, screen)  # type: ignore[arg-type]
        elif name == "LearnedRow":
            _show_learned(row, screen)  # type: ignore[arg-type]
        elif name == "HostIdentity":
            show_overheard_host(row, screen, explained=args is not None and args.explain)  # type: ignore[arg-type]
        elif name == "Evidence":
            show_evidence(row, screen)  # type: ignore[arg-type]
        elif name == "OverheardSummary":
            if args is not None and args.explain:
                show_fields(screen)
            show_summary(row, screen)  # type: ignore[arg-type]
        elif str(row):
            _say(str(row), screen)


def _say(text: str, screen: Screen) -> None:
    from sockwright.cli.screen import Screen as Beside

    screen.stream.flush()
    Beside(sys.stderr).message(f"sw os: {text}")


def _headline(host: str, found: Identification, screen: Screen) -> None:
    style = "bold green" if found.confidence >= _SURE else "bold yellow"
    parts: list[Part] = [(host, "bold"), ": ", (found.best, style)]
    if found.best != "unknown":
        parts.append(f"  confidence {found.confidence:.2f}")
        if found.device:
            parts.append(f"  {found.device}")
    screen.line(*parts)


def _show_system(row: SystemRow, screen: Screen) -> None:
    found = row.found
    host = f"{row.name} ({found.host})" if row.name and row.name != found.host else found.host
    _headline(host, found, screen)
    if not found.measured:
        screen.paragraph("nothing answered", "  ")
        return
    _show_ports(row.ports, found.states, screen)
    if row.explained:
        # The first line says what the headline does.
        show_lines(found.explain().splitlines()[1:], screen, "  ")
    else:
        _summarise(found, screen)
    if row.measured:
        for test, value in found.measured.items():
            screen.line(f"  {test} = ", str(value))


def _show_ports(ports: Ports, states: Mapping[int, str], screen: Screen) -> None:
    """Say which ports were asked, and what they are; those that are missing are told below."""
    told = []
    for port, role in ((ports.open, "open"), (ports.closed, "closed")):
        if port is not None:
            state = states.get(port, role)
            how = f"as the {role} one" if state == role else f"({_STATES[state]})"
            told.append(f"TCP {port} {how}")
    if ports.closed_udp is not None:
        told.append(f"UDP {ports.closed_udp}")
    if told:
        screen.paragraph(f"asked at {', '.join(told)}", "  ", style="dim")
    if ports.open is None and ports.asked:
        screen.paragraph(f"none of {ports.asked} TCP ports is open; -p names others", "  ")


def _summarise(found: Identification, screen: Screen) -> None:
    from sockwright.identify.explain import summarise

    for text in summarise(found):
        screen.paragraph(text, "  ")
    for text in found.missing:
        screen.paragraph(f"not tested, {text}", "  ")
    if found.uptime_ns is not None:
        screen.paragraph(f"up for at least {found.uptime_ns / 86_400e9:.2f} days", "  ")
    else:
        screen.paragraph(f"no uptime: {found.why_no_uptime}", "  ")


def _show_learned(row: LearnedRow, screen: Screen) -> None:
    screen.line(("learned ", "green"), (row.name, "bold"), f": {row.tests} tests, in ", row.path)
