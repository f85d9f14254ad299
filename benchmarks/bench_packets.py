#!/usr/bin/env python3
"""Packets: build, dissect, edit and hold them, beside scapy and dpkt.

    python benchmarks/bench_packets.py [--json] [--rounds N]

Each row gives the three the same job; the octets that come out must be the same. In every round the
three take turns, so that a machine that slows down slows all of them; the ratio is the median over
the rounds, the figure beside it the best round. The clock is that of the thread's own time on the
processor; as with `timeit`, the garbage collector waits while it runs. Memory is what a fresh
process grows by. A row without a floor is there because it is asked about: the peers leave
addresses and options as they came, or read them in any case.

Exit status 1 says that a floor was missed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import socket
import statistics
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Job = Callable[[], Any]

PEERS = ("scapy", "dpkt")
HELD = 20_000
BUDGET_S = 0.02  # of one turn of one library: long against the clock, short against a drift
MAC_A, MAC_B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
OCTETS_A, OCTETS_B = b"\2\0\0\0\0\x0a", b"\2\0\0\0\0\x0b"
IP_A, IP_B = "10.0.0.1", "10.0.0.2"

# What every library has to build, and a SYN as Linux sends it: MSS, SACK permitted, timestamps,
# window scale.
PLAIN_FRAME = bytes.fromhex(
    "02000000000b02000000000a0800"
    "4500002d00000000400666c90a0000010a000002"
    "04d2005000000007000000095018200032c1000068656c6c6f"
)
OPTIONS_FRAME = bytes.fromhex(
    "02000000000b02000000000a0800"
    "4500003c1c464000400600000a0000010a000002"
    "04d200500000000700000000a002faf000000000"
    "020405b40402080a00a1b2c30000000001030307"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Figures are operations a second, or octets of memory a packet.

    `ratios` and `floors` say how many times better than each peer we are, and must be.
    """

    name: str
    unit: str
    ours: float
    peers: dict[str, float]
    ratios: dict[str, float]
    floors: dict[str, float]

    @property
    def ok(self) -> bool:
        """Whether no floor was missed."""
        return all(self.ratios[peer] >= floor for peer, floor in self.floors.items())


# The jobs: one function a library. What goes in and what comes out is the same.


def our_jobs() -> dict[str, Job]:
    from sockwright.wire.ethernet import Ethernet
    from sockwright.wire.ipv4 import IPv4
    from sockwright.wire.tcp import TCP

    def build() -> bytes:
        return bytes(
            Ethernet(dst=MAC_B, src=MAC_A)
            / IPv4(src=IP_A, dst=IP_B)
            / TCP(src_port=1234, dst_port=80, seq=7, ack=9, flags="PA", window=8192)
            / b"hello"
        )

    def dissect() -> object:
        return Ethernet.decode(PLAIN_FRAME).layers

    def read() -> object:
        packet = Ethernet.decode(OPTIONS_FRAME)
        ethernet, ip, tcp = packet[Ethernet], packet[IPv4], packet[TCP]
        return (
            *(ethernet.dst, ethernet.src, ethernet.ether_type),
            *(ip.version, ip.ihl, ip.dscp, ip.ecn, ip.total_length, ip.identification, ip.flags),
            *(ip.fragment_offset, ip.ttl, ip.protocol, ip.checksum, ip.src, ip.dst, ip.options),
            *(tcp.src_port, tcp.dst_port, tcp.seq, tcp.ack, tcp.data_offset, tcp.reserved),
            *(tcp.flags, tcp.window, tcp.checksum, tcp.urgent_pointer, tcp.options),
            packet.payload,
        )

    def edit() -> bytes:
        packet = Ethernet.decode(PLAIN_FRAME)
        packet[IPv4].ttl = 3
        return bytes(packet)

    return {"build": build, "dissect": dissect, "read": read, "edit": edit}


def scapy_jobs() -> dict[str, Job]:
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    def build() -> bytes:
        return bytes(
            Ether(dst=MAC_B, src=MAC_A)
            / IP(src=IP_A, dst=IP_B, id=0)
            / TCP(sport=1234, dport=80, seq=7, ack=9, flags="PA", window=8192)
            / b"hello"
        )

    def dissect() -> object:
        return Ether(PLAIN_FRAME)

    def read() -> object:
        packet = Ether(OPTIONS_FRAME)
        ip, tcp = packet[IP], packet[TCP]
        return (
            *(packet.dst, packet.src, packet.type),
            *(ip.version, ip.ihl, ip.tos, ip.len, ip.id, ip.flags),
            *(ip.frag, ip.ttl, ip.proto, ip.chksum, ip.src, ip.dst, ip.options),
            *(tcp.sport, tcp.dport, tcp.seq, tcp.ack, tcp.dataofs, tcp.reserved),
            *(tcp.flags, tcp.window, tcp.chksum, tcp.urgptr, tcp.options),
            bytes(tcp.payload),
        )

    def edit() -> bytes:
        packet = Ether(PLAIN_FRAME)
        packet[IP].ttl = 3
        del packet[IP].chksum  # or the old one is sent
        return bytes(packet)

    return {"build": build, "dissect": dissect, "read": read, "edit": edit}


def dpkt_jobs() -> dict[str, Job]:
    import dpkt

    def build() -> bytes:
        tcp = dpkt.tcp.TCP(sport=1234, dport=80, seq=7, ack=9, flags=0x18, win=8192, data=b"hello")
        ip = dpkt.ip.IP(
            src=socket.inet_aton(IP_A),
            dst=socket.inet_aton(IP_B),
            p=dpkt.ip.IP_PROTO_TCP,
            data=tcp,
        )
        ethernet = dpkt.ethernet.Ethernet(
            dst=OCTETS_B, src=OCTETS_A, type=dpkt.ethernet.ETH_TYPE_IP, data=ip
        )
        return bytes(ethernet)

    def dissect() -> object:
        return dpkt.ethernet.Ethernet(PLAIN_FRAME)

    def read() -> object:
        packet = dpkt.ethernet.Ethernet(OPTIONS_FRAME)
        ip = packet.data
        tcp = ip.data
        return (
            *(packet.dst, packet.src, packet.type),
            *(ip.v, ip.hl, ip.tos, ip.len, ip.id, ip.rf, ip.df, ip.mf),
            *(ip.offset, ip.ttl, ip.p, ip.sum, ip.src, ip.dst, ip.opts),
            *(tcp.sport, tcp.dport, tcp.seq, tcp.ack, tcp.off),
            *(tcp.flags, tcp.win, tcp.sum, tcp.urp, dpkt.tcp.parse_opts(tcp.opts)),
            tcp.data,
        )

    def edit() -> bytes:
        packet = dpkt.ethernet.Ethernet(PLAIN_FRAME)
        packet.data.ttl = 3
        packet.data.sum = 0  # or the old one is sent
        return bytes(packet)

    return {"build": build, "dissect": dissect, "read": read, "edit": edit}


JOBS: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("build", "build Ethernet/IPv4/TCP/5 octets", {"scapy": 80, "dpkt": 2.5}),
    ("dissect", "dissect, every layer made", {"scapy": 40, "dpkt": 2}),
    ("read", "dissect a SYN, read every field and option", {}),
    ("edit", "dissect, set the TTL, rebuild", {"scapy": 50}),
)


def timed_rows(rounds: int) -> Iterator[Row]:
    jobs = {"sockwright": our_jobs(), "scapy": scapy_jobs(), "dpkt": dpkt_jobs()}
    edited = {made["edit"]() for made in jobs.values()}
    if {made["build"]() for made in jobs.values()} != {PLAIN_FRAME} or len(edited) != 1:
        sys.exit("the three do not make the same octets")
    for job, name, floors in JOBS:
        rates = rate_in_turns({library: made[job] for library, made in jobs.items()}, rounds)
        ours = rates["sockwright"]
        yield Row(
            name,
            "/s",
            max(ours),
            {peer: max(rates[peer]) for peer in PEERS},
            {
                peer: statistics.median(
                    mine / theirs for mine, theirs in zip(ours, rates[peer], strict=True)
                )
                for peer in PEERS
            },
            floors,
        )


def rate_in_turns(jobs: dict[str, Job], rounds: int) -> dict[str, list[float]]:
    """Return operations a second of each job in each round."""
    counts = {name: calibrate(job) for name, job in jobs.items()}
    rates: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        gc.collect()
        for name, job in jobs.items():
            rates[name].append(rate(job, counts[name]))
    return rates


def calibrate(job: Job) -> int:
    rate(job, 20)  # warm up
    return max(5, int(rate(job, 50) * BUDGET_S))


def rate(job: Job, count: int) -> float:
    turns = range(count)
    gc.disable()
    begin = time.thread_time()  # in which nobody else has had the processor
    for _ in turns:
        job()
    seconds = time.thread_time() - begin
    gc.enable()
    return count / seconds


# Memory


def frames(count: int) -> Iterator[bytes]:
    """Yield different packets, each made anew, so that whoever keeps the octets pays for them."""
    for number in range(count):
        yield PLAIN_FRAME[:38] + struct.pack("!I", number) + PLAIN_FRAME[42:]


def hold(library: str, count: int) -> list[Any]:
    if library == "scapy":
        import scapy.layers.inet  # noqa: F401  # or what follows Ethernet stays undissected
        from scapy.layers.l2 import Ether

        return [Ether(frame) for frame in frames(count)]
    if library == "dpkt":
        import dpkt

        return [dpkt.ethernet.Ethernet(frame) for frame in frames(count)]
    from sockwright.wire.ethernet import Ethernet

    packets: list[Any] = [Ethernet.decode(frame) for frame in frames(count)]
    if library == "layers":
        for packet in packets:
            packet.errors  # noqa: B018  # makes the headers and keeps them
    return packets


def print_growth(library: str) -> None:
    """Print by how many octets this process grows; the second time all is imported and warm."""
    hold(library, 10)
    gc.collect()
    before = resident()
    kept = hold(library, HELD)
    gc.collect()
    print(resident() - before)
    del kept


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def growth(library: str) -> float:
    command = [sys.executable, __file__, "--hold", library]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / HELD


def memory_rows() -> Iterator[Row]:
    peers = {peer: growth(peer) for peer in PEERS}
    for library, name in (
        ("sockwright", f"hold {HELD} decoded packets"),
        ("layers", f"hold {HELD}, every layer made"),
    ):
        ours = growth(library)
        ratios = {peer: octets / ours for peer, octets in peers.items()}
        yield Row(name, "B/packet", ours, peers, ratios, {"scapy": 4})


# Output


def machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}"


def show(row: Row) -> str:
    cells = [f"{row.name:<44}", figure(row.ours, row.unit)]
    for peer in PEERS:
        floor = row.floors.get(peer)
        wanted = f"(>= {floor:g})" if floor is not None else ""
        cells += [figure(row.peers[peer], row.unit), f"{row.ratios[peer]:6.1f}x {wanted:<9}"]
    return "  ".join([*cells, "ok" if row.ok else "MISSED"])


def figure(value: float, unit: str) -> str:
    return f"{f'{value:,.0f} {unit}':>16}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--rounds", type=int, default=25, metavar="N", help="default: 25")
    parser.add_argument("--hold", choices=["sockwright", "layers", *PEERS], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.hold:
        print_growth(arguments.hold)
        return 0
    versions = {name: version(name) for name in ("sockwright", *PEERS)}
    if not arguments.json:
        print(machine())
        print(", ".join(f"{name} {number}" for name, number in versions.items()))
        sizes = f"{len(PLAIN_FRAME)} and {len(OPTIONS_FRAME)}"
        print(f"input: frames of {sizes} octets; {arguments.rounds} rounds")
        print()
        head = f"{'':<44}  {'sockwright':>16}"
        print(head + "".join(f"  {peer:>16}  {'ratio':<17}" for peer in PEERS))
    ok = True
    for rows in (timed_rows(arguments.rounds), memory_rows()):
        for row in rows:
            ok = ok and row.ok
            if arguments.json:
                extra = {"ok": row.ok, "machine": machine(), "versions": versions}
                print(json.dumps({**vars_of(row), **extra}), flush=True)
            else:
                print(show(row), flush=True)
    return 0 if ok else 1


def vars_of(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Row.__dataclass_fields__}


if __name__ == "__main__":
    sys.exit(main())
