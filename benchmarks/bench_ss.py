#!/usr/bin/env python3
"""Sockets: listing 50 and then 20 000 of TCP, by the library, by `sw ss` and by ss.

    python benchmarks/bench_ss.py [--sockets 20000] [--rounds 15] [--json]

A host of a lab holds the sockets: connections over its loopback between processes that make them,
a tenth over IPv6, and one listener for each process and family. Ours and ss take turns, so that a
machine that slows down slows both; a figure is the median of the rounds, beside it the best one,
and the ratio is the median of the rounds' ratios. The library runs in this process, as it would in
a program that is there already; commands are run as a whole, from start to end, their output goes
to /dev/null. Memory is the most that a process had of it.

Needs what `sw lab` needs, and ss. Exit status 1 says that a limit was missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sockwright.lab import Lab
from sockwright.sockets import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FEW = 50
MOST_PROCESSES = 64
SPARE = 100  # descriptors of a process that are not for sockets
PATIENCE_S = 300
SW = [str(Path(sys.executable).with_name("sw")), "ss"]
# What this process is told to do by its first argument, when it is a copy of the benchmark.
INSIDE, HOLD = "--inside", "--hold"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two jobs that do the same: ours, and the peer's; at most `limit` times its time."""

    name: str
    ours: Callable[[], object]
    peer: Callable[[], object]
    limit: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """What rounds took: `ours` and `peer` in the same order."""

    name: str
    sockets: int
    unit: str
    ours: tuple[float, ...]
    peer: tuple[float, ...]
    limit: float | None

    @property
    def ratio(self) -> float:
        """The median of the ratios of the rounds."""
        return statistics.median(a / b for a, b in zip(self.ours, self.peer, strict=True))

    @property
    def ok(self) -> bool:
        """Whether the limit was held."""
        return self.limit is None or self.ratio <= self.limit


def hold(count: int) -> None:
    """Make `count` sockets, say so, and keep them until standard input ends."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kinds = [(socket.AF_INET, "127.0.0.1", count - count // 10)]
    kinds += [(socket.AF_INET6, "::1", count // 10)] if count >= 30 else []
    kept = []
    for family, address, share in kinds:
        listener = socket.create_server((address, 0), family=family)
        kept.append(listener)
        for _ in range((share - 1) // 2):
            kept.append(socket.create_connection(listener.getsockname()[:2]))
            kept.append(listener.accept()[0])
    kept += [socket.create_server(("127.0.0.1", 0)) for _ in range(count - len(kept))]
    print(len(kept), flush=True)
    sys.stdin.read()


@contextlib.contextmanager
def population(count: int) -> Iterator[None]:
    """Have `count` TCP sockets, in as many processes as the limit of descriptors takes."""
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE
    processes = max(3, -(-count // room))
    if processes > MOST_PROCESSES:
        raise SystemExit(f"{count} sockets would take {processes} processes (see ulimit -Hn)")
    with contextlib.ExitStack() as stack:
        holders = []
        for number in range(processes):
            share = count // processes + (number < count % processes)
            holders.append(
                stack.enter_context(
                    subprocess.Popen(
                        [sys.executable, __file__, HOLD, str(share)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                    )
                )
            )
            stack.callback(holders[-1].kill)  # and the sockets with it
        for holder in holders:
            assert holder.stdout is not None
            if not holder.stdout.readline():
                raise SystemExit("the sockets could not be made")
        yield


def milliseconds(job: Callable[[], object]) -> float:
    begin = time.perf_counter()
    job()
    return (time.perf_counter() - begin) * 1000


def run(command: list[str]) -> None:
    # Without a time-out: to keep one, Python would look after the process now and then only.
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def most_memory(command: list[str]) -> float:
    """Return the most memory that a command was seen to have, in MiB."""
    # What wait4(2) tells would count the memory of this process, whose child it is for a moment.
    most = 0
    while not most:  # on a busy machine it may end before it is looked at
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            status = Path(f"/proc/{process.pid}/status")
            while process.poll() is None:
                found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
                if found and Path(f"/proc/{process.pid}/exe").exists():
                    most = max(most, int(found[1]))
        assert process.returncode == 0, command
    return most / 1024


def iterate(where: str = "") -> int:
    rows = 0
    for _ in dump("tcp", where=where):
        rows += 1
    return rows


def pairs(count: int) -> list[Pair]:
    many = count > FEW
    limits = (0.5, 1.5, 1.0) if many else (None, None, None)
    # A port that few sockets have, or one.
    port = next(row for row in dump("tcp", states="established") if row.family == "inet").peer
    words = ["dport", "=", f":{port.rpartition(':')[2]}"]
    return [
        Pair('for row in dump("tcp")', iterate, lambda: run(["ss", "-tan"]), limits[0]),
        Pair("sw ss -tan", lambda: run([*SW, "-tan"]), lambda: run(["ss", "-tan"]), limits[1]),
        Pair("sw ss -tanp", lambda: run([*SW, "-tanp"]), lambda: run(["ss", "-tanp"]), limits[2]),
        Pair(
            'dump("tcp", where=...)',
            lambda: iterate(" ".join(words)),
            lambda: run(["ss", "-tan", *words]),
            None,
        ),
        Pair(
            "sw ss -tan FILTER",
            lambda: run([*SW, "-tan", *words]),
            lambda: run(["ss", "-tan", *words]),
            None,
        ),
    ]


def lines_of(command: list[str]) -> int:
    done = subprocess.run(command, check=True, capture_output=True)
    return len(done.stdout.splitlines())


def measure(count: int, options: argparse.Namespace) -> bool:
    """Measure with `count` sockets; return whether every limit was held."""
    ok = True
    jobs = pairs(count)
    for pair in jobs:  # compiles, caches, and has the kernel number each socket
        pair.ours()
        pair.peer()
    listed = iterate()
    assert listed == lines_of(["ss", "-tanH"]) == count, "ours and ss list other sockets"
    times: dict[str, list[tuple[float, float]]] = {pair.name: [] for pair in jobs}
    for _ in range(options.rounds):
        for pair in jobs:
            times[pair.name].append((milliseconds(pair.ours), milliseconds(pair.peer)))
    for pair in jobs:
        ours, peer = zip(*times[pair.name], strict=True)
        result = Result(pair.name, count, "ms", ours, peer, pair.limit)
        show(result, options)
        ok = ok and result.ok
    code = "from sockwright.sockets import dump\nfor row in dump('tcp'): pass"
    for name, command in (
        ("memory of the library", [sys.executable, "-c", code]),
        ("memory of sw ss -tan", [*SW, "-tan"]),
    ):
        ours, peer = (most_memory(command),), (most_memory(["ss", "-tan"]),)
        show(Result(name, count, "MiB", ours, peer, None), options)
    return ok


def show(result: Result, options: argparse.Namespace) -> None:
    ours, peer = statistics.median(result.ours), statistics.median(result.peer)
    best, peer_best = min(result.ours), min(result.peer)
    if options.json:
        row = {
            "name": result.name,
            "sockets": result.sockets,
            "unit": result.unit,
            "ours": round(ours, 2),
            "ours_best": round(best, 2),
            "peer": round(peer, 2),
            "peer_best": round(peer_best, 2),
            "ratio": round(result.ratio, 3),
            "limit": result.limit,
            "ok": result.ok,
        }
        print(json.dumps(row), flush=True)
        return
    line = (
        f"{result.name:<24} {result.sockets:>6} {f'{ours:.1f} ({best:.1f})':>16} "
        f"{f'{peer:.1f} ({peer_best:.1f})':>16} {result.unit:<3} {result.ratio:6.2f}"
    )
    if result.limit is not None:
        line += f"  (<= {result.limit:g})  {'ok' if result.ok else 'MISSED'}"
    print(line, flush=True)


def without_numpy(options: argparse.Namespace) -> bool:
    """Tell whether `sw ss` and the library do without numpy, and say it."""
    loaded = []
    for what in (
        "import sockwright.sockets as s; list(s.dump())",
        "from sockwright.cli import main; main(['ss', '-tanp'])",
    ):
        code = f"import sys\n{what}\nprint('numpy' in sys.modules, file=sys.stderr)"
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        loaded.append(done.stderr.split()[-1] == "True")
    if options.json:
        print(json.dumps({"name": "numpy is loaded", "loaded": any(loaded), "ok": not any(loaded)}))
    else:
        print(f"numpy is {'loaded  MISSED' if any(loaded) else 'not loaded  ok'}")
    return not any(loaded)


def main() -> int:
    if sys.argv[1:2] == [HOLD]:
        hold(int(sys.argv[2]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sockets", type=int, default=20_000, help="in the second part")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument(INSIDE, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside is not None:
        with population(options.inside):
            return 0 if measure(options.inside, options) else 1
    if shutil.which("ss") is None:
        raise SystemExit("this needs ss, which is in iproute2")
    if not options.json:
        version = subprocess.run(["ss", "-V"], capture_output=True, text=True, check=True)
        print(
            f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, "
            f"Python {platform.python_version()}, {version.stdout.strip()}; "
            f"{options.rounds} rounds\n"
            f"{'':<24} {'':>6} {'ours (best)':>16} {'ss (best)':>16}      ratio"
        )
    # Compiled code is to be kept, as it is for everyone who runs the command a second time.
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ok = True
    for count in (FEW, options.sockets):
        with Lab() as lab:  # a new one: connections that ended leave traces for a minute
            (host,) = lab.hosts("a")
            command = [sys.executable, __file__, *sys.argv[1:], INSIDE, str(count)]
            done = host.run(command, capture=False, env=kept, timeout=PATIENCE_S)
            ok = done.returncode == 0 and ok
    return 0 if without_numpy(options) and ok else 1


if __name__ == "__main__":
    sys.exit(main())
