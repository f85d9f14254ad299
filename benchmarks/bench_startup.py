#!/usr/bin/env python3
"""Start-up: what `import sockwright` and `sw --help` cost above bare Python.

    python benchmarks/bench_startup.py [--json]

Commands take turns; the figure is the median of the differences to bare Python in the same round.
`import scapy.all` stands beside for comparison. Exit status 1 says that a budget was missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time

ROUNDS = 15
BARE = [sys.executable, "-c", "pass"]
# Name, command, budget in milliseconds above bare Python.
COMMANDS: tuple[tuple[str, list[str], float | None], ...] = (
    ("import sockwright", [sys.executable, "-c", "import sockwright"], 10),
    ("sw --help", [sys.executable, "-m", "sockwright", "--help"], 60),
    ("import dpkt", [sys.executable, "-c", "import dpkt"], None),
    ("import scapy.all", [sys.executable, "-c", "import scapy.all"], None),
)


def milliseconds(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a line")
    arguments = parser.parse_args()
    extra: dict[str, list[float]] = {name: [] for name, _, _ in COMMANDS}
    for _, command, _ in COMMANDS:
        milliseconds(command)  # compiles and caches
    bare_times = []
    for _ in range(ROUNDS):
        bare = milliseconds(BARE)
        bare_times.append(bare)
        for name, command, _ in COMMANDS:
            extra[name].append(milliseconds(command) - bare)
    if not arguments.json:
        bare = statistics.median(bare_times)
        print(
            f"Python {platform.python_version()} on {platform.machine()}: {bare:.1f} ms, and above:"
        )
    ok = True
    for name, _, budget in COMMANDS:
        above = statistics.median(extra[name])
        held = budget is None or above <= budget
        ok = ok and held
        if arguments.json:
            row = {"name": name, "above_bare_ms": round(above, 2), "budget_ms": budget, "ok": held}
            print(json.dumps(row))
        else:
            limit = "" if budget is None else f"(<= {budget:g})  {'ok' if held else 'MISSED'}"
            print(f"{name:<20} {above:8.1f} ms  {limit}".rstrip())
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
