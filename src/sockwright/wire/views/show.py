"""A packet as a tree of layers and fields."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from sockwright.wire.views.values import encoded, item_pieces, meant, preview, read, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.wire.core.finding import Finding
    from sockwright.wire.core.header import Header
    from sockwright.wire.core.packet import Packet

__all__ = ["show"]

WIDTH = 80
_COLUMN = 20  # where values start
_SAID = {"error": "wrong", "warning": "odd", "note": "note"}


def show(packet: Packet) -> str:
    """Return the packet as a tree of layers and fields, at most 80 columns wide where that can be.

    Numbers have their names beside them, derived fields that were set by hand are marked
    ``pinned``, and what `Packet.verify` finds stands at the field it is about. Lines end with a
    newline, except for the last.
    """
    octets = encoded(packet)
    headers = packet.layers
    findings: dict[int, list[Finding]] = {}
    if not isinstance(octets, ValueError):
        for index, finding in packet.judge():
            findings.setdefault(index, []).append(finding)
    lines: list[str] = []
    start = 0
    for index, header in enumerate(headers):
        lines.append(_title(type(header).__name__, start, header.size))
        lines += _layer(header, findings.get(index, []))
        start += header.size
    for name, part in (("payload", packet.payload), ("trailer", packet.trailer)):
        if part:
            lines.append(_title(name, start, len(part)))
            lines.append("  " + preview(part, WIDTH - 2))
            start += len(part)
    if not lines:
        lines.append("an empty packet")
    lines += _remark("", [f"cut short: {error}" for error in packet.errors])
    if isinstance(octets, ValueError):
        lines += _remark("", [f"cannot be encoded: {octets}"])
    return "\n".join(lines)


def _title(name: str, start: int, size: int) -> str:
    if size > 1:
        place = f"octets {start} to {start + size - 1}"
    else:
        place = f"octet {start}" if size else "no octets"
    return f"{name} {'-' * (WIDTH - len(name) - len(place) - 2)} {place}"


def _layer(header: Header, findings: list[Finding]) -> list[str]:
    lines = []
    left = list(findings)
    for field in meant(header):
        if field.codec is not None:
            lines += _items(header, field)
        else:
            marks = "  pinned" if field.derived and header.is_pinned(field.name) else ""
            lines.append(_pair(field.name, shown(field, read(header, field)) + marks))
        for finding in findings:
            if finding.field == field.name:
                lines += _judged(lines, finding)
                left.remove(finding)
    for finding in left:
        name = f"{finding.field}: " if finding.field else ""
        lines += _remark("  ", [_verdict(finding, name + finding.message)])
    return lines


def _pair(name: str, value: str) -> str:
    return f"  {name:<{_COLUMN - 3}} {value}"


def _items(header: Header, field: Any) -> list[str]:
    lines: list[str] = []
    whole = isinstance(read(header, field), bytes)
    for octets, described in item_pieces(header, field):
        words = preview(octets, WIDTH - _COLUMN) if whole else described
        name = "" if lines else field.name
        first, *more = wrap(words, WIDTH - _COLUMN - 2, break_on_hyphens=False) or [""]
        lines.append(_pair(name, first))
        lines += [" " * (_COLUMN + 2) + line for line in more]
    return lines


def _judged(lines: list[str], finding: Finding) -> list[str]:
    """Return the lines for a finding at the field whose line is the last; that may get longer."""
    said = f"  <- {_SAID[finding.severity]}"
    if finding.expected:
        said += f": {finding.expected} expected"
    said += f" ({finding.reference})" if finding.reference else ""
    if len(lines[-1]) + len(said) <= WIDTH:
        lines[-1] += said
        return _remark(" " * _COLUMN, [finding.message])
    return _remark(" " * _COLUMN, [said.strip(), finding.message])


def _verdict(finding: Finding, message: str) -> str:
    reference = f" ({finding.reference})" if finding.reference else ""
    return f"<- {_SAID[finding.severity]}: {message}{reference}"


def _remark(indent: str, texts: Iterable[str]) -> list[str]:
    lines = []
    for part in texts:
        lines += wrap(
            part,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent + "   " * part.startswith("<-"),
            break_on_hyphens=False,
        )
    return lines
