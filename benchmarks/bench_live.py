#!/usr/bin/env python3
"""Live capture: a flood of small packets into a file, by `sw capture` and by tcpdump.

    python benchmarks/bench_live.py [--packets 3000000] [--rate 0] [--rounds 3] [--json]

One host of a lab has both ends of a veth pair. A sender hands the kernel large UDP segments, which
the sending end may not pass on as they are (`gso_max_size`), so that the kernel cuts each into 64
packets: measured, that is twice as fast as a transmit ring. It sends as fast as the kernel takes
them or at `--rate` a second; at the other end the two take turns with the same memory for their
rings, each writing a pcap file. The sender tells
how many it sent and how fast, the captures how many they have and lost; the file is counted too.
Processor time is that of the capture alone, its start included.

Needs what `sw lab` needs, and tcpdump. Exit status 1 says that `sw capture` lost packets, or that
it took more than `FLOOR` times tcpdump's processor time; a machine whose kernel does not carry a
million a second from one end to the other is said to be one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sockwright.lab import Host, Lab

if TYPE_CHECKING:
    from sockwright.lab import Process

SIZE = 60
WANTED_RATE = 1_000_000
FLOOR = 5.0  # times the processor time of tcpdump, Python's own start included
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
QUIET_S = 1.5  # tcpdump takes what is left of a second to hand over its last packets
PCAP_HEADER, RECORD = 24, 16 + SIZE

# Ethernet, IPv4 and UDP to discard, on addresses that are nobody's; the kernel fills in checksums.
HEADERS = bytes.fromhex(
    "02000000000202000000000108004500000000004000401100000a0000010a0000021000000900000000"
)
DATA = SIZE - len(HEADERS)
SEGMENTS = 64  # packets that the kernel cuts a large one into
LARGE = len(HEADERS) + SEGMENTS * DATA
MOST_UNCUT = 500  # octets, gso_max_size of the sending end
SOL_PACKET, VNET_HEADER = 263, 15
NEEDS_CHECKSUM, CUT_UDP = 1, 5  # of struct virtio_net_hdr


@dataclass(slots=True)
class Result:
    """What one capture made of one flood."""

    who: str
    sent: int
    rate: float
    captured: int
    in_file: int
    dropped: int
    cpu_s: float


def send(interface: str, packets: int, rate: float) -> None:
    """Send the flood; runs as a process of its own on the host."""
    large = bytearray(HEADERS)
    struct.pack_into("!H", large, 16, LARGE - 14)
    struct.pack_into("!H", large, 38, LARGE - 34)
    for number in range(SEGMENTS):  # so that they differ
        large += struct.pack("!I", number).rjust(DATA, b".")
    cut = (NEEDS_CHECKSUM, CUT_UDP, len(HEADERS), DATA, 34, 6)
    octets = struct.pack("=BBHHHH", *cut) + large
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.setsockopt(SOL_PACKET, VNET_HEADER, 1)
        sock.bind((interface, 0))
        print("ready", flush=True)
        sys.stdin.readline()
        begin = time.perf_counter()
        sent = 0
        while sent < packets:
            sock.send(octets)
            sent += SEGMENTS
            while rate and time.perf_counter() - begin < sent / rate:
                pass
        print(sent, time.perf_counter() - begin, flush=True)


def processor_seconds(process: Process) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def until_quiet(path: Path) -> None:
    """Wait until a file has stopped growing."""
    size, since = -1, time.monotonic()
    while time.monotonic() - since < QUIET_S:
        time.sleep(QUIET_S / 10)
        if path.stat().st_size != size:
            size, since = path.stat().st_size, time.monotonic()


def until_said(process: Process, text: bytes) -> None:
    assert process.stderr is not None
    said = b""
    while text not in said:
        more = process.stderr.read(4096)
        if not more:
            raise SystemExit(said.decode())
        said += more


def send_all(host: Host, options: argparse.Namespace) -> tuple[int, float]:
    """Let the senders send their shares at once; give how many and how many a second."""
    count = options.senders
    words = [str(options.packets // count), str(options.rate / count)]
    command = [sys.executable, __file__, "--send", "v0", *words]
    with contextlib.ExitStack() as running:
        senders = [
            running.enter_context(
                host.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for _ in range(count)
        ]
        for sender in senders:
            assert sender.stdout is not None
            sender.stdout.readline()
        for sender in senders:
            assert sender.stdin is not None
            sender.stdin.write(b"\n")
        told = [sender.communicate(timeout=600)[0] or b"" for sender in senders]
    sent = sum(int(line.split()[0]) for line in told)
    return sent, sent / max(float(line.split()[1]) for line in told)


def flood(host: Host, who: str, path: Path, options: argparse.Namespace) -> Result:
    """Capture one flood."""
    mebibytes = options.buffer
    if who == "tcpdump":
        command = ["tcpdump", "-i", "v1", "-B", str(mebibytes << 10), "-w", str(path)]
        command += ["-Z", "root"] if os.geteuid() == 0 else []
        ready = b"listening on"
    else:
        command = [sys.executable, "-m", "sockwright", "capture", "-i", "v1", "-w", str(path)]
        command += ["--buffer", f"{mebibytes}M"]
        ready = b"capturing on"
    with host.popen(command, stderr=subprocess.PIPE) as capture:
        until_said(capture, ready)
        sent, rate = send_all(host, options)
        until_quiet(path)
        cpu_s = processor_seconds(capture)
        capture.send_signal(signal.SIGINT)
        said = (capture.communicate(timeout=60)[1] or b"").decode()
    captured = re.search(r"(\d+) packets captured", said)
    dropped = re.search(r"(\d+)(?: packets)? dropped by (?:the )?kernel", said)
    assert captured, said
    assert dropped, said
    in_file, rest = divmod(path.stat().st_size - PCAP_HEADER, RECORD)
    assert not rest
    path.unlink()
    return Result(
        who,
        sent,
        rate,
        int(captured[1]),
        in_file,
        int(dropped[1]),
        cpu_s,
    )


def measure(options: argparse.Namespace) -> list[Result]:
    results = []
    folder = options.folder or tempfile.gettempdir()
    with Lab() as lab, tempfile.TemporaryDirectory(dir=folder) as inside:
        (host,) = lab.hosts("a")
        host.run(["ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"], check=True)
        for name in ("v0", "v1"):
            host.set(f"net.ipv6.conf.{name}.disable_ipv6", 1)  # nothing but the flood
            host.run(["ip", "link", "set", name, "up"], check=True)
        host.run(["ip", "link", "set", "v0", "gso_max_size", str(MOST_UNCUT)], check=True)
        for _ in range(options.rounds):
            for who in ("sw capture", "tcpdump"):
                results.append(flood(host, who, Path(inside) / "flood.pcap", options))
                show(results[-1], options)
    return results


def show(result: Result, options: argparse.Namespace) -> None:
    if options.json:
        row = {
            "name": result.who,
            "sent": result.sent,
            "sent_per_s": round(result.rate),
            "captured": result.captured,
            "in_file": result.in_file,
            "dropped": result.dropped,
            "cpu_s": round(result.cpu_s, 2),
        }
        print(json.dumps(row), flush=True)
        return
    print(
        f"{result.who:<12} sent {result.sent} at {result.rate / 1e6:.2f} M/s, captured "
        f"{result.captured}, in the file {result.in_file}, dropped {result.dropped}, "
        f"{result.cpu_s:.2f} s of processor",
        flush=True,
    )


def main() -> int:
    if sys.argv[1:2] == ["--send"]:
        send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=3_000_000, help="in each flood")
    parser.add_argument("--rate", type=float, default=0, help="packets a second; 0 is no limit")
    parser.add_argument("--senders", type=int, default=1, help="processes that send")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--buffer", type=int, default=64, help="MiB of ring")
    parser.add_argument("--folder", help="where the files go (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args()
    if not options.json:
        version = subprocess.run(
            ["tcpdump", "--version"], capture_output=True, text=True, check=False
        )
        theirs = (version.stdout or version.stderr).splitlines()[0]
        print(
            f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, "
            f"Python {platform.python_version()}, {theirs}: {options.packets} packets of {SIZE} "
            f"octets, {options.buffer} MiB of ring"
        )
    results = measure(options)
    ours = [result for result in results if result.who != "tcpdump"]
    theirs_ = [result for result in results if result.who == "tcpdump"]
    lost = sum(result.sent - result.in_file for result in ours)
    ratio = statistics.median(
        mine.cpu_s / max(peer.cpu_s, 0.01) for mine, peer in zip(ours, theirs_, strict=True)
    )
    fastest = max(result.rate for result in results)
    ok = lost == 0 and ratio <= FLOOR
    if options.json:
        print(json.dumps({"lost": lost, "cpu_ratio": round(ratio, 2), "ok": ok}))
        return 0 if ok else 1
    print(f"lost by sw capture: {lost} (0)  {'ok' if lost == 0 else 'MISSED'}")
    print(f"processor time: {ratio:.1f} times tcpdump's (<= {FLOOR:g})")
    if not options.rate and fastest < WANTED_RATE:
        print(f"this machine, as busy as it is, carries {fastest / 1e6:.2f} M/s and not a million")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
