"""What Wireshark makes of a capture: followed streams, fields, complaints."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Followed", "fields", "follow", "tshark"]

_CHECKSUMS = ("tcp.check_checksum:TRUE", "udp.check_checksum:TRUE", "ip.check_checksum:TRUE")
_PATIENCE_S = 60


@dataclass
class Followed:
    """A stream: its two nodes as "address:port", and what each sent."""

    nodes: list[str] = field(default_factory=list)
    octets: list[bytes] = field(default_factory=lambda: [b"", b""])


def tshark(path: Path, *options: str) -> str:
    """Run tshark on a capture, with checksums verified; return what it prints."""
    preferences = [word for one in _CHECKSUMS for word in ("-o", one)]
    command = ["tshark", "-n", "-r", str(path), *preferences, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE_S)
    return done.stdout


def fields(path: Path, *names: str, display_filter: str = "") -> list[list[str]]:
    """Return these fields of each packet."""
    chosen = [word for name in names for word in ("-e", name)]
    kept = ["-Y", display_filter] if display_filter else []
    return [line.split("\t") for line in tshark(path, "-T", "fields", *chosen, *kept).splitlines()]


def follow(path: Path, protocol: str, *streams: int) -> list[Followed]:
    """Return what was sent in the streams of these numbers (tcp.stream, udp.stream)."""
    asked = [word for one in streams for word in ("-z", f"follow,{protocol},raw,{one}")]
    found = {one: Followed() for one in streams}
    followed = Followed()
    for line in tshark(path, "-q", *asked).splitlines():
        if line.startswith("Filter:"):
            followed = found[int(line.rpartition(" ")[2])]
        elif line.startswith("Node "):
            followed.nodes.append(line.partition(": ")[2])
        elif line and not line.startswith(("=", "Follow:")):
            followed.octets[line.startswith("\t")] += bytes.fromhex(line.strip())
    return list(found.values())
