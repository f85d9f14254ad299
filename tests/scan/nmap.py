"""What nmap and `sw scan` say of the same ports, as the tests of agreement compare it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.lab import Host, Process

__all__ = ["SW", "PortSaid", "Said", "both", "by_us", "read_ours"]

SW = str(Path(sys.executable).with_name("sw"))
PATIENCE_S = 60
NMAP = ["nmap", "-n", "-T4", "--max-retries", "3", "-oX", "-"]
OURS = [SW, "scan", "--json", "--all", "-T4"]


class PortSaid(NamedTuple):
    """The state of a port and why; `ttl` is None where nothing came, or where it is not told."""

    state: str
    reason: str
    ttl: int | None = None


@dataclass(slots=True)
class Said:
    """The ports of one host by number, the hosts by address: state and reason."""

    ports: dict[int, PortSaid] = field(default_factory=dict)
    hosts: dict[str, tuple[str, str]] = field(default_factory=dict)
    host_rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)


def read_nmap(xml: bytes) -> Said:
    """Read nmap's XML: ports by themselves, or in a list where many are in one state."""
    said = Said()
    root = ET.fromstring(xml)  # what a program wrote that we started
    for host in root.iter("host"):
        status, address = host.find("status"), host.find("address")
        assert status is not None
        assert address is not None
        said.hosts[address.attrib["addr"]] = status.attrib["state"], status.attrib["reason"]
        for port in host.iter("port"):
            state = port.find("state")
            assert state is not None
            said.ports[int(port.attrib["portid"])] = PortSaid(
                state.attrib["state"],
                state.attrib["reason"],
                int(state.attrib["reason_ttl"]) or None,
            )
        for extra in host.iter("extraports"):
            for reason in extra:
                for number in _numbers(reason.attrib["ports"]):
                    said.ports[number] = PortSaid(extra.attrib["state"], reason.attrib["reason"])
    return said


def _numbers(ranges: str) -> Iterable[int]:
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def read_ours(lines: bytes) -> Said:
    """Read the rows of ``sw scan --json --all``."""
    said = Said()
    for line in lines.splitlines():
        row = json.loads(line)
        if row["kind"] == "port":
            said.ports[row["port"]] = PortSaid(row["state"], row["reason"], row.get("ttl"))
        elif row["kind"] == "host":
            said.hosts[row["host"]] = row["state"], row["reason"]
            said.host_rows.append(row)
        else:
            said.summary = row
    return said


def by_us(host: Host, *words: str, privileged: bool = True) -> Said:
    """Run `sw scan`."""
    return read_ours(_end(_start(host, [*OURS, *words], privileged=privileged)))


def both(host: Host, nmap: list[str], ours: list[str]) -> tuple[Said, Said]:
    """Run the two at the same time; return what nmap said, and what we said."""
    with (
        _start(host, [*NMAP, *nmap]) as theirs,
        _start(host, [*OURS, *ours]) as mine,
    ):
        return read_nmap(_end(theirs)), read_ours(_end(mine))


def _start(host: Host, words: list[str], *, privileged: bool = True) -> Process:
    return host.popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        privileged=privileged,
    )


def _end(process: Process) -> bytes:
    with process:
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err.decode()
    return out
