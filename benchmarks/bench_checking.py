#!/usr/bin/env python3
"""Checking every port of a host by TCP: `sw nc -z` beside nc -z and nmap -sT, over loopback.

    python benchmarks/bench_checking.py [--ports 65535] [--rounds 7] [--json]

A host of a lab has a few listeners; commands run there as a whole, from start to end, and take
turns, so that a machine that slows down slows all. A figure is the median of the rounds, beside it
the best one, and the ratio is the median of the rounds' ratios, ours to the peer's. The library
is a line of its own: the time of `check_ports` in a program that is there already.

Needs what `sw lab` needs, and OpenBSD's nc; nmap is left out where it is missing. Exit status 1
says that a limit was missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sockwright.lab import Lab
from sockwright.nc.checking.check_ports import check_ports

if TYPE_CHECKING:
    from sockwright.lab import Host

LISTENERS = 20
PATIENCE_S = 300
SW = str(Path(sys.executable).with_name("sw"))
LIMITS = {"nc": 1.0, "nmap": 1.0}  # times the time of the peer


def seconds_of(host: Host, command: list[str]) -> float:
    """Return how long a command takes in `host`; open and closed ports give different statuses."""
    begin = time.perf_counter()
    done = host.run(command, timeout=PATIENCE_S, env=environment())
    taken = time.perf_counter() - begin
    assert done.returncode in {0, 1}, done.stderr
    return taken


def environment() -> dict[str, str]:
    # Compiled code is to be kept, as it is for everyone who runs the command a second time.
    return {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def by_library(last: int, *, udp: bool) -> tuple[float, int]:
    """Return the seconds that the library takes, and how many ports are open."""
    begin = time.perf_counter()
    rows = check_ports("127.0.0.1", range(1, last + 1), udp=udp)
    count = sum(row.state == "open" for row in rows)
    return time.perf_counter() - begin, count


def measure(host: Host, last: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each way in each round."""
    ports = f"1-{last}"
    commands = {
        "sw nc -z": [SW, "nc", "-z", "127.0.0.1", ports],
        "nc": ["nc.openbsd", "-z", "127.0.0.1", ports],
    }
    if shutil.which("nmap"):
        commands["nmap"] = ["nmap", "-sT", "-Pn", "-n", "-T5", "-p", ports, "127.0.0.1"]
    times: dict[str, list[float]] = {}
    for number in range(rounds + 1):  # the first compiles and caches
        for udp, name in ((False, "check_ports"), (True, "check_ports, UDP")):
            seconds, count = host.call(by_library, last, udp=udp)
            assert udp or count >= LISTENERS
            if number:
                times.setdefault(name, []).append(seconds)
        for name, command in commands.items():
            seconds = seconds_of(host, command)
            if number:
                times.setdefault(name, []).append(seconds)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ports", type=int, default=65535, help="the last of the ports")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args()
    if shutil.which("nc.openbsd") is None:
        raise SystemExit("this needs nc.openbsd, which is in the package netcat-openbsd")
    with Lab() as lab, contextlib.ExitStack() as stack:
        (host,) = lab.hosts("a")
        for port in range(1, LISTENERS + 1):
            listener = stack.enter_context(host.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.bind(("127.0.0.1", port * (options.ports // LISTENERS)))
            listener.listen(1000)
        times = measure(host, options.ports, options.rounds)
    if not options.json:
        print(
            f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, "
            f"Python {platform.python_version()}; "
            f"{options.ports} ports, {options.rounds} rounds"
        )
    ok = True
    for name, taken in times.items():
        row: dict[str, object] = {
            "name": name,
            "ports": options.ports,
            "seconds": round(statistics.median(taken), 3),
            "best": round(min(taken), 3),
        }
        line = f"{name:<18} {row['seconds']:>8} s, best {row['best']}"
        if name in LIMITS:
            pairs = zip(times["sw nc -z"], taken, strict=True)
            ratio = statistics.median(ours / peer for ours, peer in pairs)
            held = ratio <= LIMITS[name]
            ok = ok and held
            row |= {"ratio": round(ratio, 3), "limit": LIMITS[name], "ok": held}
            verdict = "ok" if held else "MISSED"
            line += f"; sw nc -z takes {ratio:.2f} of it (<= {LIMITS[name]:g})  {verdict}"
        print(json.dumps(row) if options.json else line, flush=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
