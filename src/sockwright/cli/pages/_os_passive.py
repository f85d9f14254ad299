"""Hosts that were overheard: what each is, and below it what it told."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.cli.screen import Screen
    from sockwright.identify.identification import Identification
    from sockwright.identify.passive import Evidence, HostIdentity
    from sockwright.tools._os_passive import OverheardSummary

__all__ = ["show_evidence", "show_fields", "show_lines", "show_overheard_host", "show_summary"]

_SURE, _LIKELY = 0.8, 0.5
_DAY_NS = 86_400e9
_DEEPER = "    "
# What a segment is written as, as p0f orders its fields.
_FIELDS = (
    "SYN and SYN-ACK are written as IP version : TTL + hops so far : octets of IP options : MSS : "
    "window, window scale : TCP options in order : unusual header fields : data (0 none, + some). "
    "A window of mss*10 is ten times the MSS, payload*10 ten times the MSS less the 12 octets of "
    "timestamps, mtu*10 ten times the MSS with its headers; mss*max is the largest multiple of the "
    "MSS below 65536, payload*max that of the other."
)


def show_evidence(one: Evidence, screen: Screen) -> None:
    """Show what a host has just told, in one line."""
    found = one.identification
    screen.line(
        (one.host, "bold"), "  ", (_named(found.best, found.confidence), _style(found.confidence)),
        "  ", (f"{one.kind} {one.told}", "dim"),
    )  # fmt: skip


def show_overheard_host(host: HostIdentity, screen: Screen, *, explained: bool = False) -> None:
    """Show a host: what it is, each piece of evidence, remarks, and why there is no uptime.

    With `explained`, the tests that agree and fail stand below each piece.
    """
    found = host.identification
    beside = " ".join([word for word in (host.hostname, host.mac) if word and word != host.host])
    screen.line(
        (host.host, "bold"), f" ({beside})" if beside else "", "  ",
        (_named(found.best, found.confidence), _style(found.confidence)),
    )  # fmt: skip
    for one in host.evidence:
        said = one.identification
        times = f"  {one.count} times" if one.count > 1 else ""
        way = [f"{one.distance} hop{'s' if one.distance != 1 else ''}"] if one.distance else []
        way += [one.link] if one.link and one.link != "Ethernet" else []
        head = f"  {one.kind:<13}  {_said(said)}"
        screen.line(head, (f"{times}{'  ' * bool(way)}{', '.join(way)}", "dim"))
        screen.paragraph(one.told, indent=" " * 17, style="dim")
        if explained and said.candidates and said.candidates[0].evidence > 0:
            # The first line says what stands above.
            lines = [x for x in said.explain().splitlines()[1:] if not x.startswith("No uptime")]
            show_lines(lines, screen, _DEEPER)
    for remark in host.remarks:
        screen.paragraph(f"{remark[:1].upper()}{remark[1:]}.", indent="  ", style="yellow")
    if found.uptime_ns is not None:
        screen.line(f"  up for {found.uptime_ns / _DAY_NS:.2f} days, by its timestamps")
    elif any(one.kind in {"syn", "syn_ack"} for one in host.evidence):
        screen.paragraph(f"no uptime: {found.why_no_uptime}", indent="  ", style="dim")


def show_summary(row: OverheardSummary, screen: Screen) -> None:
    """Show how much there was to hear."""
    hosts = f"{row.hosts} host{'s' if row.hosts != 1 else ''}"
    screen.line(f"{hosts}; {row.telling} of {row.packets} packets told something")


def show_lines(lines: Iterable[str], screen: Screen, indent: str) -> None:
    """Show lines of an explanation; a terminal gets long ones folded, and set in."""
    for line in lines:
        text = line.lstrip(" ")
        own = indent + " " * (len(line) - len(text))
        if not screen.terminal:
            screen.line(own, text)
            continue
        first, *rest = screen.fold(text, screen.width - len(own) - 2) or [""]
        screen.line(own, first)
        for more in rest:
            screen.line(own, "  ", more)


def show_fields(screen: Screen) -> None:
    """Say how segments are written."""
    screen.paragraph(_FIELDS, style="dim")


def _said(found: Identification) -> str:
    """Return what one piece of evidence speaks for, with what it may be where that is unsure."""
    from sockwright.identify.explain import listed

    near = listed(found.candidates) if found.best == "unknown" else ""
    return _named(found.best, found.confidence) + (f"; perhaps {near}" if near else "")


def _named(best: str, confidence: float) -> str:
    return best if best == "unknown" else f"{best} ({confidence:.2f})"


def _style(confidence: float) -> str:
    if confidence >= _SURE:
        return "green"
    return "yellow" if confidence >= _LIKELY else "dim"
