"""Ask systems, keep what was said in capture files, and hear it again from them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sockwright.identify.active.measuring import measure
from sockwright.identify.active.prober import Prober
from sockwright.identify.active.probes import Addresses
from sockwright.identify.probing import ask
from sockwright.records import PcapWriter, Record, read_records
from sockwright.wire import TCP, UDP, IPv4, IPv6
from sockwright.wire.core.packet import Packet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.identify.systems import System

    from sockwright.identify.signature import Traits

__all__ = ["CLOSED_PORT", "CLOSED_UDP_PORT", "VECTORS", "Replay", "ask_system", "record"]

CLOSED_PORT: Final = 9
CLOSED_UDP_PORT: Final = 40123
SEED: Final = 1
VECTORS: Final = Path(__file__).resolve().parents[1] / "vectors" / "identify"
_RAW: Final = 101
_ROOT: Final = Path(__file__).resolve().parents[2]


def _ask(host: str, open_port: int) -> tuple[Traits, list[tuple[int, bytes]]]:
    said: list[tuple[int, bytes]] = []
    prober = ask(
        host,
        open_port=open_port,
        closed_port=CLOSED_PORT,
        closed_udp_port=CLOSED_UDP_PORT,
        seed=SEED,
        on_packet=lambda octets, time_ns: said.append((time_ns, octets)),
    )
    return measure(prober), said


def ask_system(system: System, host: str, port: int) -> tuple[Traits, list[tuple[int, bytes]]]:
    """Return what a system gave, and the packets of the conversation with their times."""
    way_in = system.way_in
    if way_in is None:
        return system.prober.call(_ask, host, port)
    # The stack serves a namespace of its own: a program has to go there.
    command = [*way_in, sys.executable, "-m", "tests.identify.asking", host, str(port)]
    told = json.loads(system.prober.run(command, check=True, timeout=60, cwd=_ROOT).stdout)
    return told["traits"], [(time_ns, bytes.fromhex(octets)) for time_ns, octets in told["said"]]


def record(path: Path, said: list[tuple[int, bytes]]) -> None:
    """Write a conversation as a capture file, its times from 0 on."""
    start = said[0][0]
    with path.open("wb") as file:
        writer = PcapWriter(file, link_type=_RAW, nanoseconds=True)
        for time_ns, octets in said:
            writer.write(Record(time_ns - start, octets, len(octets), _RAW))


class Replay:
    """A recorded conversation, held with a new `Prober`: it must ask the same again."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.packets = [
                (one.time_ns or 0, Packet.decode(one.octets, link_type=_RAW))
                for one in read_records(file)
            ]
        first = self.packets[0][1]
        ip = first.layers[0]
        assert isinstance(ip, IPv4 | IPv6)
        self.way = Addresses(4 if isinstance(ip, IPv4) else 6, str(ip.src), str(ip.dst))
        self.open_port = first[TCP].dst_port
        self.unforeseen: list[bytes] = []

    def _mine(self, packet: Packet) -> bool:
        ip = packet.layers[0]
        return isinstance(ip, IPv4 | IPv6) and str(ip.src) == self.way.src

    def traits(self) -> Traits:
        """Hold the conversation; `unforeseen` are packets that were not asked then."""
        ports: dict[str, Iterator[int]] = {
            "tcp": iter([p[TCP].src_port for _, p in self.packets if self._mine(p) and TCP in p]),
            "udp": iter([p[UDP].src_port for _, p in self.packets if self._mine(p) and UDP in p]),
        }
        prober = Prober(
            self.way,
            open_port=self.open_port,
            closed_port=CLOSED_PORT,
            closed_udp_port=CLOSED_UDP_PORT,
            source_port=lambda kind: next(ports[kind]),
            seed=SEED,
            now=-1e-6,  # the first packet went a moment after the start
        )
        asked: list[bytes] = []
        for time_ns, packet in self.packets:
            now = time_ns / 1e9
            if not self._mine(packet):
                prober.receive(bytes(packet), now)
                continue
            asked += prober.take(now)
            if bytes(packet) in asked:
                asked.remove(bytes(packet))
            else:
                self.unforeseen.append(bytes(packet))
        # Silence ends it: nobody sends any more, since every outcome is there.
        while (due := prober.next_timeout()) is not None:
            asked += prober.take(due)
        self.unforeseen += asked
        return measure(prober)


if __name__ == "__main__":
    _traits, _said = _ask(sys.argv[1], int(sys.argv[2]))
    _told = {"traits": _traits, "said": [(time_ns, octets.hex()) for time_ns, octets in _said]}
    sys.stdout.write(json.dumps(_told))
