#!/usr/bin/env python3
"""Captures: index, columns, filters, text, export and memory, beside tcpdump and tshark.

    python benchmarks/bench_captures.py [--json] [--rounds N] [--packets N] [--kept]

The input is made here: packets of mixed real sizes of many flows, the same in every run, in a
folder that is removed at the end. The large file is the small one ten times. Ours and the peer
take turns in every round; a ratio is the median over the rounds, figures are those of the best
round. Rates of one thread are measured with this process bound to one core. What runs as a whole
process is timed as one, its start included.

Exit status 1 says that a floor was missed.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import platform
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from sockwright.columns import open_capture
from sockwright.columns.parquet import export_parquet
from sockwright.wire import ARP, ICMP, TCP, UDP, VLAN, Ethernet, ICMPv6, IPv4, IPv6
from sockwright.wire.icmpv6_messages import EchoRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.wire import Header, Packet

    Job = Callable[[], None]

PEERS = ("tcpdump", "tshark")
SW = str(Path(sys.executable).with_name("sw"))
FIELDS = ("frame.number", "frame.time_epoch", "ip.src", "ip.dst", "tcp.srcport", "tcp.dstport")
FILTER = "tcp port 80"
TIMES = 10  # the large file is so many small ones
TSHARK_PACKETS = 100_000  # it takes long enough for these
KINDS = 4000  # different packets


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: our figure, the peer's where there is one, how they compare.

    `ratio` is how many times better we are than the peer, or than the limit asked for; `floor` what
    it has to be.
    """

    name: str
    unit: str
    ours: float
    peer: str
    theirs: float
    ratio: float
    floor: float | None

    @property
    def ok(self) -> bool:
        """Whether the floor was not missed."""
        return self.floor is None or self.ratio >= self.floor


# The input


def packet(draw: random.Random) -> bytes:
    """Return a frame such as come by: mostly TCP of full size or without data, some of all else."""
    ethernet = Ethernet(dst="02:00:00:00:00:0b", src=f"02:00:00:00:00:{draw.randrange(256):02x}")
    kind = draw.random()
    if kind < 0.01:
        return bytes(ethernet / ARP()).ljust(60, b"\0")
    flow = draw.randrange(500)
    ports = random.Random(flow)
    client = {"src_port": 40000 + flow, "dst_port": ports.choice((80, 443, 443, 22, 8080))}
    if draw.random() < 0.5:
        client = {"src_port": client["dst_port"], "dst_port": client["src_port"]}
    size = draw.choices((0, 1448, 536, draw.randrange(1448)), (50, 16, 10, 24))[0]
    layers: Header | Packet
    if kind < 0.80:
        numbers = {"seq": draw.getrandbits(32), "ack": draw.getrandbits(32), "window": 501}
        layers = TCP(**client, **numbers, flags="PA" if size else "A") / draw.randbytes(size)  # type: ignore[arg-type]
    elif kind < 0.96:
        layers = UDP(src_port=client["src_port"], dst_port=53) / draw.randbytes(size % 512)
    elif kind < 0.98:
        layers = ICMP(identifier=flow) / draw.randbytes(56)
    else:
        layers = ICMPv6() / EchoRequest(identifier=flow) / draw.randbytes(56)
    if kind >= 0.98 or (flow % 5 == 0 and kind < 0.96):
        prefix = int(ipaddress.IPv6Address("2001:db8::"))
        addresses = [str(ipaddress.IPv6Address(prefix + flow + side)) for side in (0, 1 << 32)]
        packet = IPv6(src=addresses[0], dst=addresses[1], hop_limit=64) / layers
    else:
        packet = IPv4(src=f"10.{flow % 200}.0.1", dst="10.0.0.2", ttl=64) / layers
    tagged = flow % 10 == 3
    return bytes(ethernet / VLAN(vid=7) / packet if tagged else ethernet / packet).ljust(60, b"\0")


def records(count: int) -> Iterator[bytes]:
    """Yield records of a pcap file, in some large pieces."""
    draw = random.Random(20)
    frames = [packet(draw) for _ in range(KINDS)]
    known = [struct.pack("<II", len(frame), len(frame)) + frame for frame in frames]
    stamp = struct.Struct("<II").pack
    for start in range(0, count, 50_000):
        numbers = range(start, min(start + 50_000, count))
        chosen = draw.choices(known, k=len(numbers))
        yield b"".join(
            [
                octets
                for number, rest in zip(numbers, chosen, strict=True)
                for octets in (stamp(1_700_000_000 + number // 9000, number % 9000 * 111), rest)
            ]
        )


HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)


@dataclass(frozen=True, slots=True)
class Input:
    """The files that all read: `small` has 100 packets, `some` what tshark gets."""

    file: Path
    packets: int
    large: Path
    small: Path
    some: Path
    pcapng: Path

    @classmethod
    def make(cls, folder: Path, packets: int) -> Input:
        """Write them."""
        names = ("mixed.pcap", "large.pcap", "small.pcap", "some.pcap", "mixed.pcapng")
        file, large, small, some, pcapng = [folder / name for name in names]
        pieces = list(records(packets))
        body = b"".join(pieces)
        file.write_bytes(HEADER + body)
        with large.open("wb") as out:
            out.write(HEADER)
            for _ in range(TIMES):
                out.write(body)
        for path, count in ((small, 100), (some, min(TSHARK_PACKETS, packets))):
            path.write_bytes(HEADER + b"".join(records(count)))
        with pcapng.open("wb") as out:
            out.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
            out.write(block(1, struct.pack("<HHI", 1, 0, 262144)))
            for piece in pieces:
                out.write(b"".join(enhanced(piece)))
        return cls(file, packets, large, small, some, pcapng)


def block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def enhanced(piece: bytes) -> Iterator[bytes]:
    """Yield the pcap records in `piece` as Enhanced Packet Blocks."""
    at = 0
    head = struct.Struct("<IIII")
    while at < len(piece):
        seconds, fraction, there, wire = head.unpack_from(piece, at)
        ticks = seconds * 1_000_000 + fraction
        body = struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, there, wire)
        yield block(6, body + piece[at + 16 : at + 16 + there] + bytes(-there % 4))
        at += 16 + there


# Measuring


def seconds(job: Job) -> float:
    begin = time.perf_counter()
    job()
    return time.perf_counter() - begin


def in_turns(jobs: dict[str, Job], rounds: int) -> dict[str, list[float]]:
    """Return seconds of each job in each round, after one to warm up."""
    for job in jobs.values():
        job()
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            taken[name].append(seconds(job))
    return taken


def run(*command: str | Path) -> Job:
    def job() -> None:
        subprocess.run(
            [str(word) for word in command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )

    return job


@contextmanager
def one_core() -> Iterator[None]:
    """Bind this process to one core: our threads are then one."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def compared(
    name: str,
    taken: dict[str, list[float]],
    peer: str,
    floor: float | None,
    ours: str = "ours",
    *,
    counts: tuple[int, int] = (1, 1),
) -> Row:
    """Return a row of rates, where the two did `counts` packets; of times, where these are 1."""
    mine, theirs = counts
    ratio = statistics.median(
        (mine / a) / (theirs / b) for a, b in zip(taken[ours], taken[peer], strict=True)
    )
    best, others = min(taken[ours]), min(taken[peer])
    if mine == 1:
        return Row(name, "ms", best * 1e3, peer, others * 1e3, ratio, floor)
    return Row(name, "/s", mine / best, peer, theirs / others, ratio, floor)


def limited(name: str, unit: str, value: float, limit: float) -> Row:
    """Return a row of something that may be at most `limit`."""
    return Row(name, unit, value, "limit", limit, limit / value, 1)


# What is measured


def columns_rows(files: Input, rounds: int) -> Iterator[Row]:
    """Measure the index and the standard columns."""

    def ours(path: Path) -> Job:
        def job() -> None:
            with open_capture(path) as capture:
                assert len(capture.columns()) == files.packets

        return job

    def index() -> None:
        with open_capture(files.file) as capture:
            assert sum(capture.in_parts(lambda batches: sum(map(len, batches)))) == files.packets

    text = run("tcpdump", "-nn", "-r", files.file)
    options = [word for field in FIELDS for word in ("-e", field)]
    fields = run("tshark", "-n", "-r", files.some, "-T", "fields", *options)
    some = min(TSHARK_PACKETS, files.packets)
    both = (files.packets, files.packets)
    ours(files.file)()  # all is compiled now
    # "warm" is not counted. A virtual machine hands free memory back to its host while a peer runs
    # for seconds, and whoever takes it first pays for that.
    warm = {"warm": ours(files.file), "ours": ours(files.file)}
    with one_core():
        jobs = {"index": index, **warm, "pcapng": ours(files.pcapng), "tcpdump": text}
        taken = in_turns(jobs, rounds)
        yield compared("index, one thread", taken, "tcpdump", None, "index", counts=both)
        yield compared("index + standard columns, one thread", taken, "tcpdump", 12, counts=both)
        yield compared("the same of pcapng", taken, "tcpdump", None, "pcapng", counts=both)
        taken = in_turns({**warm, "tshark": fields}, max(1, rounds // 3))
        yield compared(
            "the same, beside tshark -T fields", taken, "tshark", 120, counts=(files.packets, some)
        )

    def bound() -> None:
        with one_core():
            ours(files.file)()

    taken = in_turns({**warm, "one thread": bound}, rounds)
    yield compared("the same, all cores", taken, "one thread", 1.6, counts=both)


def process_rows(files: Input, rounds: int, folder: Path) -> Iterator[Row]:
    """Measure what `sw read` does, as whole processes."""
    start = {
        "ours": run(SW, "read", files.small),
        "tcpdump": run("tcpdump", "-nn", "-r", files.small),
    }
    taken = in_turns(start, 4 * rounds)
    yield limited("sw read of 100 packets, whole process", "ms", min(taken["ours"]) * 1e3, 120)
    count = files.packets * TIMES
    jobs = {
        "ours": run(SW, "read", files.large, "--count", FILTER),
        "start": run(SW, "read", files.some, "--count", FILTER),
        "tcpdump": run("tcpdump", "--count", "-nn", "-r", files.large, FILTER),
    }
    taken = in_turns(jobs, max(1, rounds // 2))
    name = f"--count '{FILTER}' of {count / 1e6:g} M"
    yield compared(name, taken, "tcpdump", 1, counts=(count, count))
    yield Row("  of that, start and load", "ms", min(taken["start"]) * 1e3, "", 0, 0, None)
    jobs = {
        "ours": run(SW, "read", files.file),
        "tcpdump": run("tcpdump", "-nn", "-r", files.file),
    }
    taken = in_turns(jobs, max(1, rounds // 2))
    yield compared("text", taken, "tcpdump", 0.5, counts=(files.packets, files.packets))
    out = folder / "out.parquet"
    export = in_turns({"ours": export_job(files.file, out)}, max(1, rounds // 2))
    least = min(export["ours"]) * 1e6 / files.packets
    yield limited("export to Parquet of 1 M, all loaded", "s", least, 1)


def export_job(path: Path, out: Path) -> Job:
    def job() -> None:
        with open_capture(path) as capture:
            export_parquet(capture, out)

    return job


SEQUENTIAL = """
import sys
from sockwright import open_capture
with open_capture(sys.argv[1]) as capture:
    for batch in capture.batches():
        batch.captured.sum()
status = open("/proc/self/status").read().splitlines()
print(next(line for line in status if line.startswith("VmHWM")).split()[1])
"""

EVERYTHING = """
import sys
from sockwright.cli import main
stats = [["--stats", name] for name in ("tcp", "conversations", "protocols", "io")]
for words in (*stats, ["--count", "tcp port 80"], ["--fields", "ipv4.src,tcp.dst_port"], []):
    try:
        main(["read", sys.argv[1], *words])
    except SystemExit:
        pass
"""


def memory_rows(files: Input) -> Iterator[Row]:
    command = [sys.executable, "-c", SEQUENTIAL, str(files.large)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    size = files.large.stat().st_size / 1e9
    mib = int(done.stdout) / 1024
    yield limited(f"memory, {size:.1f} GB read from first to last", "MiB", mib, 300 * 1e6 / 2**20)


def compile_rows(files: Input, folder: Path) -> Iterator[Row]:
    """Measure the first use of all kernels, with an empty cache, less the second."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-c", EVERYTHING, str(files.some)]

    def job() -> None:
        subprocess.run(command, env=environment, capture_output=True, check=True)

    first = seconds(job)
    second = seconds(job)
    yield limited("all kernels of sw read compiled, once", "s", first - second, 20)


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


def versions() -> str:
    found = [f"{name} {version(name)}" for name in ("sockwright", "numpy", "numba")]
    for peer in PEERS:
        done = subprocess.run([peer, "--version"], capture_output=True, text=True, check=False)
        first = (done.stdout or done.stderr).splitlines()[0]
        found.append(
            first.removeprefix("TShark (Wireshark) ").replace("tcpdump version", "tcpdump")
        )
    return ", ".join(found)


def show(row: Row) -> str:
    cells = [f"{row.name:<42}", figure(row.ours, row.unit)]
    if row.peer:
        wanted = f"(>= {row.floor:g})" if row.floor is not None else ""
        cells += [f"{row.peer:>10}", figure(row.theirs, row.unit), f"{row.ratio:7.2f}x {wanted:<9}"]
    return "  ".join([*cells, "ok" if row.ok else "MISSED"])


def figure(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1
    return f"{f'{value:,.{digits}f} {unit}':>15}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--rounds", type=int, default=6, metavar="N", help="default: 6")
    parser.add_argument(
        "--packets", type=int, default=1_000_000, metavar="N", help="of the input; default: 1000000"
    )
    parser.add_argument("--kept", action="store_true", help="do not measure compiling")
    arguments = parser.parse_args()
    if missing := [peer for peer in PEERS if shutil.which(peer) is None]:
        sys.exit(f"needs {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = Input.make(folder, arguments.packets)
        if not arguments.json:
            size = files.file.stat().st_size
            print(machine())
            print(versions())
            each = size / files.packets
            print(f"input: {files.packets} packets, {size / 1e6:.0f} MB, {each:.0f} octets each")
            print()
        ok = True
        rows = [
            columns_rows(files, arguments.rounds),
            process_rows(files, arguments.rounds, folder),
            memory_rows(files),
        ]
        if not arguments.kept:
            rows.append(compile_rows(files, folder))
        for group in rows:
            for row in group:
                ok = ok and row.ok
                if arguments.json:
                    extra = {"ok": row.ok, "machine": machine()}
                    print(json.dumps({**asdict(row), **extra}), flush=True)
                else:
                    print(show(row), flush=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
