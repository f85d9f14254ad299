"""libpcap, asked through tcpdump: its programs without the optimiser, and what it lets through.

And the packets to ask about: those of strangers' captures, each once, one file for a link type,
with times that number them.
"""

from __future__ import annotations

import io
import struct
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.filters.generator import Pools

from sockwright.errors import SockwrightError
from sockwright.filters import LINK_TYPES, Instruction
from sockwright.records import PcapWriter, Record, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["NAMES", "Packets", "Peer", "collect"]

NAMES = {link_type.number: link_type.name for link_type in LINK_TYPES}
_NULL = 0
_MOST_OCTETS = 400  # of a packet: headers are what filters look at


class Peer:
    """Compiles with tcpdump, for files: an empty one of each link type stands for all."""

    def __init__(self, folder: Path) -> None:
        self._files: dict[int, Path] = {}
        for number, name in NAMES.items():
            self._files[number] = folder / f"empty-{name}.pcap"
            with self._files[number].open("wb") as file:
                PcapWriter(file, number)

    @property
    def known(self) -> bool:
        """Whether it is of the version whose programs ours are, word by word; others differ."""
        done = subprocess.run(["tcpdump", "--version"], capture_output=True, text=True, check=True)
        return "libpcap version 1.10." in done.stdout + done.stderr

    def text(self, expression: str, link_type: int, form: str = "-d") -> str | None:
        """Return what tcpdump prints of its program, None where it refuses the expression."""
        command = ["tcpdump", "-O", form, "-r", str(self._files[link_type]), "--", expression]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def program(self, expression: str, link_type: int) -> tuple[Instruction, ...] | None:
        """Return tcpdump's program, None where it refuses the expression."""
        text = self.text(expression, link_type, "-ddd")
        if text is None:
            return None
        return tuple(Instruction(*map(int, line.split())) for line in text.splitlines()[1:])


@dataclass(frozen=True, slots=True)
class Packets:
    """The packets of one link type, and a file of them whose times are their numbers."""

    link_type: int
    records: tuple[Record, ...]
    file: Path

    def passed(self, expression: str) -> set[int] | None:
        """Return the numbers of the packets that tcpdump lets through, None where it refuses."""
        done = subprocess.run(
            ["tcpdump", "-O", "-r", str(self.file), "-w", "-", "--", expression],
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            return None
        seconds = (record.time_ns for record in read_records(io.BytesIO(done.stdout)))
        return {(time_ns or 0) // 1_000_000_000 for time_ns in seconds}

    def pools(self) -> Pools:
        """Return addresses and ports that are common in these packets."""
        ipv4: Counter[str] = Counter()
        mac: Counter[str] = Counter()
        ports: Counter[str] = Counter()
        for record in self.records:
            octets = record.octets
            if self.link_type == 1 and octets[12:14] == b"\x08\x00" and len(octets) >= 38:
                ipv4.update((".".join(map(str, octets[26:30])), ".".join(map(str, octets[30:34]))))
                mac.update((octets[:6].hex(":"), octets[6:12].hex(":")))
                if octets[23] in {6, 17}:
                    ports.update(map(str, struct.unpack_from("!HH", octets, 34)))
        if not ipv4:
            return Pools()
        return Pools(
            tuple(name for name, _ in ipv4.most_common(25)), Pools().ipv6,
            (*Pools().mac, *(name for name, _ in mac.most_common(10))),
            (*Pools().ports, *(name for name, _ in ports.most_common(20))),
        )  # fmt: skip


def collect(captures: Path, folder: Path, link_types: Iterable[int]) -> dict[int, Packets]:
    """Return the distinct packets of all captures, for each of `link_types` that has any."""
    wanted = {101: 101, 12: 101, 14: 101, **{number: number for number in link_types}}
    found: dict[int, dict[tuple[bytes, int], None]] = {}
    for path in sorted(captures.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                try:
                    for record in read_records(file):
                        if record.link_type in wanted:
                            # Cut packets stay cut; the others are cut here, to save time.
                            key = (record.octets[:_MOST_OCTETS], record.original_length)
                            found.setdefault(wanted[record.link_type], {})[key] = None
                except SockwrightError:
                    continue
    return {
        number: _written(number, list(packets), folder)
        for number, packets in found.items()
        if number in set(link_types)
    }


def _written(number: int, packets: Sequence[tuple[bytes, int]], folder: Path) -> Packets:
    records = tuple(
        Record(index * 1_000_000_000, octets, original, number)
        for index, (octets, original) in enumerate(packets)
    )
    path = folder / f"{NAMES[number]}.pcap"
    with path.open("wb") as file:
        writer = PcapWriter(file, number)
        for record in records:
            writer.write(record)
    return Packets(number, records, path)
