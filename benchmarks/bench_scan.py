#!/usr/bin/env python3
"""Scanning: `sw scan` beside nmap and masscan, across a router, 201 open ports of 65 535.

    python benchmarks/bench_scan.py [--ports 65535] [--rounds 5] [--lossy 20] [--patience 120]
                                    [--only NAME ...] [--json]

syn        ``sw scan -sS`` and ``nmap -sS``, all ports, nothing lost: the wall time
connect    ``sw scan -sT`` and ``nmap -sT``, the same
lossy      one packet of ten is lost, each way: wall time, missed and false ports of all runs
far        a round-trip time of 50 ms and one packet of a hundred lost, each way
policed    the router drops what is beyond 2 000 packets a second
silent     the target drops everything but its open ports
udp        100 closed ports, where Linux limits its ICMP errors: time, ports called closed, and
           those not called so and not said to be unproven
discovery  1 000 addresses of a /16 answer, spread or in a few /24; 10 000 packets a second, one
           packet of ten lost, towards them or each way; until less than 0.01 hosts are expected to
           be missed, and with three tries of each address, which are all that 20 s have room for
memory     100 ports of each address of a /16, ten of which answer: the most memory

Ours is asked to go as fast as answers come back, ``-T5 --rate max``: without that it sends 1 000
packets a second, as a guest should. nmap has ``-T4``, which its manual recommends for a network
like this, and is ended after --patience seconds: what it had found by then is counted. masscan
sends 10 000 packets a second, waits ten seconds at the end whatever it is told, and with --ping it
does not end. All have discovery and names turned off, but where discovery is measured.

Everything is a whole process as it is typed, its start included; ours and nmap take turns, so that
a machine that slows down slows both. A figure is the median of the rounds, a ratio the median of
their ratios, and what is missed or false is counted over all of them. Exit status 1 says that a
limit was missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.scan.topology import TARGET, Network, listen, open_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.lab import Host

SW = str(Path(sys.executable).with_name("sw"))
FAST = ["-T5", "--rate", "max", "--host-rate", "max", "-Pn"]
NMAP = ["nmap", "-n", "-T4", "-v"]
BLOCK = "10.63.0.0/{}"  # the prefix length is an option
POLICED = 2000
DISCOVERY_RATE = 10_000
LOOK_S = 0.02
PING_S = 30  # masscan --ping has sent everything by then, and does not end


@dataclass(slots=True)
class Run:
    """One run of one program. `seconds` is the wall time, `memory` the most of it in octets."""

    seconds: float
    out: str
    err: str
    status: int | None
    memory: int = 0

    @property
    def ended(self) -> bool:
        """Whether the program ended by itself."""
        return self.status is not None


def run(host: Host, words: list[str], patience: float) -> Run:
    """Run a program in a host to its end, or kill it when its time is up."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.perf_counter()
        memory = 0
        with host.popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err) as process:
            status: int | None = None
            while status is None and time.perf_counter() - begin < patience:
                memory = max(memory, most_memory(process.pid))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = process.wait(LOOK_S)
            seconds = time.perf_counter() - begin
        out.seek(0)
        err.seek(0)
        said, complained = (file.read().decode(errors="replace") for file in (out, err))
        return Run(seconds, said, complained, status, memory)


def most_memory(process: int) -> int:
    """Return the most octets that a process had resident so far; 0 when it has ended."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0


@dataclass(slots=True)
class Findings:
    """What a run said: of hosts that are up, and of ports by their states."""

    seconds: float
    ended: bool
    memory: int
    ports: dict[str, set[int]] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    unproven: int = 0

    def missed(self, ports: list[int]) -> int:
        """Count the open ports that were not called open."""
        return len(set(ports) - self.ports.get("open", set()))

    def false(self, ports: list[int]) -> int:
        """Count the ports called open that are not, and the open ones called closed."""
        said_open, said_closed = (self.ports.get(state, set()) for state in ("open", "closed"))
        return len(said_open - set(ports)) + len(said_closed & set(ports))


def ours(network: Network, words: list[str], patience: float) -> Findings:
    """Run `sw scan`."""
    done = run(network.scanner, [SW, "scan", "--json", *words], patience)
    if done.status not in {0, None}:
        raise SystemExit(f"sw scan {' '.join(words)}: {done.status}\n{done.err[-2000:]}")
    found = Findings(done.seconds, done.ended, done.memory)
    for line in done.out.splitlines():
        row = json.loads(line)
        if row["kind"] == "port":
            found.ports.setdefault(row["state"], set()).add(row["port"])
            found.unproven += row["reason"] == "unproven"
        elif row["kind"] == "host":
            for counted in row.get("not_shown", ()):
                ports = found.ports.setdefault(counted["state"], set())
                ports |= numbers(counted["ports"])
                found.unproven += counted["count"] * (counted["reason"] == "unproven")
            if row["state"] == "up":
                found.hosts.add(row["host"])
    return found


def numbers(ranges: str) -> set[int]:
    """Return the numbers of ``22,80,8000-8100``."""
    ends = (part.partition("-") for part in ranges.split(","))
    return {port for first, _, last in ends for port in range(int(first), int(last or first) + 1)}


def nmap(network: Network, words: list[str], patience: float) -> Findings:
    """Run nmap; -v makes it say each port when it is found, so that nothing is lost at its end."""
    done = run(network.scanner, [*NMAP, *words], patience)
    found = Findings(done.seconds, done.ended, done.memory)
    for port in re.findall(r"Discovered open port (\d+)/", done.out):
        found.ports.setdefault("open", set()).add(int(port))
    for port, state in re.findall(r"^(\d+)/(?:tcp|udp) +([a-z|]+)", done.out, re.MULTILINE):
        found.ports.setdefault(state, set()).add(int(port))
    found.hosts = set(
        re.findall(r"^Nmap scan report for (\S+)\nHost is up", done.out, re.MULTILINE)
    )
    return found


def masscan(network: Network, words: list[str], patience: float) -> Findings:
    """Run masscan, its own source port kept free of the kernel's resets, as its manual says."""
    chain = "chain out { type filter hook output priority 0;\ntcp sport 61000 tcp flags rst drop\n}"
    network.rules(network.scanner, "masscan", chain)
    try:
        command = ["masscan", "--rate", "10000", "--wait", "2", "--source-port", "61000"]
        done = run(network.scanner, [*command, "-oL", "-", *words], patience)
    finally:
        network.rules(network.scanner, "masscan", "")
    found = Findings(done.seconds, done.ended, done.memory)
    for port, host in re.findall(r"^open tcp (\d+) (\S+)", done.out, re.MULTILINE):
        found.ports.setdefault("open", set()).add(int(port))
        found.hosts.add(host)
    found.hosts |= set(re.findall(r"^open icmp 0 (\S+)", done.out, re.MULTILINE))
    return found


@dataclass(slots=True)
class Report:
    """Prints figures, and knows whether all limits were held."""

    as_json: bool
    ok: bool = True

    def show(
        self,
        name: str,
        unit: str,
        mine: list[float],
        *,
        peer: str = "",
        theirs: list[float] | None = None,
        limit: float | None = None,
        over: float | None = None,
    ) -> None:
        """Print our figures beside a peer's. `limit` is of the ratio, `over` of ours alone."""
        value = statistics.median(mine)
        row: dict[str, Any] = {"name": name, "unit": unit, "ours": round(value, 3)}
        bound, measured = over, value
        if theirs is not None:
            ratio = statistics.median(a / b if b else 0.0 for a, b in zip(mine, theirs))  # noqa: B905  # a slow peer has fewer rounds
            row |= {"peer": peer, "theirs": round(statistics.median(theirs), 3)}
            row |= {"ratio": round(ratio, 3)}
            if limit is not None:
                bound, measured = limit, ratio
        ok = bound is None or measured <= bound
        self.ok = self.ok and ok
        if self.as_json:
            print(json.dumps(row | {"limit": bound, "ok": ok}), flush=True)
            return
        text = f"{name:<38} {value:9.2f} {unit:<7}"
        if theirs is not None:
            text += f" {peer:<8} {row['theirs']:9.2f}  ratio {row['ratio']:6.3f}"
        if bound is not None:
            text += f"  (<= {bound:g})  {'ok' if ok else 'MISSED'}"
        print(text.rstrip(), flush=True)


class Contests:
    """Each method is one of the figures."""

    def __init__(self, options: argparse.Namespace, report: Report) -> None:
        self.options = options
        self.report = report
        self.rounds: int = options.rounds
        self.patience: float = options.patience
        self.which = f"1-{options.ports}"
        self.open = [port for port in open_ports() if port <= options.ports]

    def all_ports(self, name: str, method: str, limit: float) -> None:
        """Nothing is lost: the wall time."""
        with self.network() as network:
            asked = [method, "-p", self.which, TARGET]
            ours(network, [*FAST, *asked], self.patience)  # compiled code is there next time
            mine, theirs = self.turns(
                lambda: ours(network, [*FAST, *asked], self.patience),
                lambda: nmap(network, ["-Pn", *asked], self.patience),
            )
            self.times(name, mine, theirs, limit=limit)
            self.faults(name, mine)

    def syn(self) -> None:
        """Send SYN to all ports."""
        self.all_ports("SYN", "-sS", 1.0)

    def connect(self) -> None:
        """Connect to all ports."""
        self.all_ports("connect", "-sT", 1.3)

    def lossy(self) -> None:
        """Lose one packet of ten, each way."""
        with self.network() as network:
            network.lose(0.1)
            self.beside("10 % lost each way", network, self.options.lossy, 3.0)

    def far(self) -> None:
        """Take 50 ms for the way and back."""
        with self.network(delay=0.025) as network:
            network.lose(0.01)
            self.beside("RTT 50 ms, 1 % lost each way", network, self.rounds, 5.0)

    def policed(self) -> None:
        """Let a limited number pass each second."""
        with self.network() as network:
            network.police(POLICED)
            over = 1.3 * self.options.ports / POLICED
            self.beside(f"{POLICED} packets a second", network, self.options.slow, over)

    def silent(self) -> None:
        """Ask a host that says nothing about the other ports."""
        with self.network() as network:
            ports = ", ".join(map(str, self.open))
            chain = "chain input { type filter hook input priority 0;\n"
            chain += f"meta l4proto {{ tcp, udp }} th dport != {{ {ports} }} drop\n}}"
            network.rules(network.target, "firewall", chain)
            self.beside("a host that drops silently", network, self.rounds, 8.0)

    def udp(self) -> None:
        """Ask closed UDP ports where ICMP errors are limited, as the lab's own hosts are not."""
        with Network() as network:
            network.target.set("net.ipv4.icmp_ratelimit", 1000)
            network.target.set("net.ipv4.icmp_msgs_per_sec", 1000)
            network.target.set("net.ipv4.icmp_msgs_burst", 50)
            ports = list(range(2001, 2001 + self.options.udp))
            asked = ["-sU", "-p", f"{ports[0]}-{ports[-1]}", TARGET]
            mine = ours(network, [*FAST, "--all", *asked], 600)
            theirs = nmap(network, ["-Pn", *asked], 600)
            self.times("UDP, 100 closed ports", [mine], [theirs], limit=1.0)
            # nmap names the ports of the states with few ports, and counts the others.
            open_or_filtered = [len(one.ports.get("open|filtered", ())) for one in (mine, theirs)]
            closed = [float(len(ports) - count) for count in open_or_filtered]
            wrong = [open_or_filtered[0] - float(mine.unproven), float(open_or_filtered[1])]
            self.report.show(
                "UDP, called closed", "ports", closed[:1], peer="nmap", theirs=closed[1:]
            )
            self.report.show(
                "UDP, wrong and not said to be unproven",
                "ports",
                wrong[:1],
                peer="nmap",
                theirs=wrong[1:],
                over=0,
            )

    def discovery(self) -> None:
        """Find the hosts of a large block."""
        for how in ("spread", "clustered"):
            hosts = addresses(how, self.options.hosts, self.options.prefix)
            block = BLOCK.format(self.options.prefix)
            with Network() as network:
                answer_for(network, hosts)
                for way, back in (("one way", 0.0), ("each way", 0.1)):
                    network.lose(0.1, back)
                    name = f"/{self.options.prefix}, {how}, 10 % lost {way}"
                    asked = ["-sn", "--yes", "--rate", str(DISCOVERY_RATE), "-T5"]
                    asked += ["--host-rate", "max", block]
                    mine = self.swept(name, network, asked, hosts)
                    self.swept(f"{name}, three tries", network, ["--retries", "2", *asked], hosts)
                    rate = ["--min-rate", str(DISCOVERY_RATE)]
                    peers = {"nmap": nmap(network, ["-sn", *rate, block], self.patience)}
                    patience = min(PING_S, self.patience)
                    if shutil.which("masscan"):
                        peers["masscan"] = masscan(network, ["--ping", block], patience)
                    missed = [float(len(hosts - mine.hosts))]
                    for peer, theirs in peers.items():
                        self.times(name, [mine], [theirs], peer=peer)
                        beside = [float(len(hosts - theirs.hosts))]
                        self.report.show(
                            f"{name}, missed", "hosts", missed, peer=peer, theirs=beside
                        )

    def swept(self, name: str, network: Network, asked: list[str], hosts: set[str]) -> Findings:
        """Find hosts with `sw scan`; show how long it took, and what was missed and false."""
        mine = ours(network, asked, self.patience)
        self.report.show(f"{name}, ours", "s", [mine.seconds], over=20.0)
        self.report.show(f"{name}, missed", "hosts", [float(len(hosts - mine.hosts))], over=1)
        self.report.show(f"{name}, false", "hosts", [float(len(mine.hosts - hosts))], over=0)
        return mine

    def memory(self) -> None:
        """Scan a large block."""
        hosts = addresses("spread", 10, self.options.prefix)
        with Network() as network:
            answer_for(network, hosts)
            block = BLOCK.format(self.options.prefix)
            asked = ["-sS", *FAST, "--yes", "--retries", "0", "-p", "1-100", block]
            mine = ours(network, asked, 3600)
            name = f"100 ports of a /{self.options.prefix}"
            self.report.show(f"{name}, memory", "MB", [mine.memory / 1e6], over=150)
            self.report.show(f"{name}, time", "s", [mine.seconds])

    @contextlib.contextmanager
    def network(self, delay: float = 0.0) -> Iterator[Network]:
        """Make the network, with the open ports."""
        with Network(delay) as network:
            network.start(network.target, listen, self.open)
            yield network

    def turns(
        self, mine: Callable[[], Findings], theirs: Callable[[], Findings]
    ) -> tuple[list[Findings], list[Findings]]:
        """Let ours and a peer take turns."""
        pairs = [(mine(), theirs()) for _ in range(self.rounds)]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def beside(self, name: str, network: Network, rounds: int, over: float) -> None:
        """Measure ours some times, and the peers, which take minutes, once."""
        asked = ["-sS", "-p", self.which, TARGET]
        mine = [ours(network, [*FAST, *asked], self.patience) for _ in range(rounds)]
        self.report.show(f"{name}, ours", "s", [one.seconds for one in mine], over=over)
        self.report.show(f"{name}, slowest", "s", [max(one.seconds for one in mine)])
        self.faults(name, mine)
        peers = {"nmap": nmap(network, ["-Pn", *asked], self.patience)}
        if shutil.which("masscan"):
            peers["masscan"] = masscan(network, ["-p", self.which, TARGET], self.patience)
        for peer, theirs in peers.items():
            ended = "" if theirs.ended else ", not ended"
            self.times(name, mine, [theirs], peer=peer + ended)
            missed = [float(one.missed(self.open)) for one in (*mine, theirs)]
            self.report.show(f"{name}, missed", "ports", missed[:-1], peer=peer, theirs=missed[-1:])

    def times(
        self,
        name: str,
        mine: list[Findings],
        theirs: list[Findings],
        *,
        peer: str = "nmap",
        limit: float | None = None,
        over: float | None = None,
    ) -> None:
        """Show wall times."""
        self.report.show(
            name,
            "s",
            [one.seconds for one in mine],
            peer=peer,
            theirs=[one.seconds for one in theirs],
            limit=limit,
            over=over,
        )

    def faults(self, name: str, mine: list[Findings]) -> None:
        """Show what was missed and false in all runs together, of which there may be none."""
        runs = f"{len(mine)} runs" if len(mine) > 1 else "1 run"
        missed = float(sum(one.missed(self.open) for one in mine))
        false = float(sum(one.false(self.open) for one in mine))
        self.report.show(f"{name}, missed in {runs}", "ports", [missed], over=0)
        self.report.show(f"{name}, false in {runs}", "ports", [false], over=0)


def addresses(how: str, count: int, prefix: int) -> set[str]:
    """Choose addresses of the block: at random, or in as few /24 as half full ones make."""
    generator = random.Random(2)
    if how == "spread":
        numbers = generator.sample(range(1, (1 << (32 - prefix)) - 1), count)
    else:
        blocks = generator.sample(range(1 << (24 - prefix)), -(-count // 125))
        each = -(-count // len(blocks))
        numbers = [
            block << 8 | low for block in blocks for low in generator.sample(range(1, 255), each)
        ][:count]
    return {f"10.63.{number >> 8}.{number & 255}" for number in numbers}


def answer_for(network: Network, hosts: set[str]) -> None:
    """Let the target be all these hosts; the rest of the block is dropped there, silently."""
    network.router.run(["ip", "route", "add", BLOCK.format(16), "via", TARGET], check=True)
    batch = "".join(f"route add local {host} dev lo\n" for host in sorted(hosts))
    network.target.run(["ip", "-batch", "-"], input=batch, check=True)


NAMES = (
    "syn",
    "connect",
    "lossy",
    "far",
    "policed",
    "silent",
    "udp",
    "discovery",
    "memory",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ports", type=int, default=65535, help="from 1 to this")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lossy", type=int, default=20, help="runs with one packet of ten lost")
    parser.add_argument("--slow", type=int, default=2, help="runs of what takes half a minute")
    parser.add_argument("--patience", type=float, default=120, help="seconds that a peer may take")
    parser.add_argument("--udp", type=int, default=100, help="closed UDP ports")
    parser.add_argument("--hosts", type=int, default=1000, help="of the block that answer")
    parser.add_argument("--prefix", type=int, default=16, help="of the block, at most 24")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args()
    # Compiled code is to be kept, as it is for everyone who runs the command a second time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    report = Report(options.json)
    if not options.json:
        print(
            f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, "
            f"Python {platform.python_version()}; {versions()}; {options.ports} ports"
        )
    contests = Contests(options, report)
    for name in NAMES:
        if name in options.only:
            getattr(contests, name)()
    return 0 if report.ok else 1


def versions() -> str:
    """Name the peers with their versions."""
    said = []
    for program in ("nmap", "masscan"):
        if shutil.which(program) is None:
            said.append(f"no {program}")
            continue
        # masscan tells its version with status 1.
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        found = re.search(r"[Vv]ersion (\S+)", done.stdout)
        said.append(f"{program} {found[1] if found else '?'}")
    return ", ".join(said)


if __name__ == "__main__":
    sys.exit(main())
