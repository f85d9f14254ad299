#!/usr/bin/env python3
"""Moving octets: `sw nc` and `sw relay` beside OpenBSD nc, ncat and socat, over the loopback.

    python benchmarks/bench_nc.py [--gib 4] [--rounds 3] [--only NAME ...] [--json]

transfer     ``head -c 4G /dev/zero | X client``, into ``X server > /dev/null``
file         ``X < FILE``, a file in memory; the receiver drops octets without reading them
relay        a source, X, a sink that drops them; the wall time, and the processor time of X
tls          half of the octets from X to X, with the same certificate
connections  as many as two threads of compiled code open, end and see ended by ``X -lk``
clients      10 000 at once, each gets what it sent back from ``sw relay -k``; the most memory
start        from starting X until its first octet is at a listening socket

Ours and the peers take turns, so that a machine that slows down slows all; a figure is the median
of the rounds, and the ratio is the median of their ratios. Everything is a whole process as it
is typed, its start included, except that servers listen before the clock starts. Whoever is not
installed is left out, and said to be. Exit status 1 says that a limit was missed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import platform
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numba
import numpy as np

from sockwright.sockets import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SW = str(Path(sys.executable).with_name("sw"))
HOST = "127.0.0.1"
PATIENCE_S = 120
LARGE = 1 << 20
IP_BIND_ADDRESS_NO_PORT, SO_RCVTIMEO = 24, 20
TOGETHER = 4  # connections that one thread has open at once: two of them stay within ncat's backlog
PROGRAMS = {"openbsd": "nc.openbsd", "ncat": "ncat", "socat": "socat"}


@dataclass(frozen=True, slots=True)
class Peer:
    """Who does the same, and what the ratios of our figures to its ones are to reach."""

    name: str
    job: Callable[[], tuple[float, ...]]
    limits: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Contest:
    """Jobs that each give `figures`, named with their units; for `more` of them more is better.

    `absolute` are limits of ours alone.
    """

    name: str
    figures: tuple[tuple[str, str], ...]
    ours: Callable[[], tuple[float, ...]]
    peers: tuple[Peer, ...]
    more: bool = True
    absolute: tuple[float | None, ...] = ()


@dataclass(slots=True)
class Report:
    """Prints figures, and knows whether all limits were held."""

    as_json: bool
    ok: bool = True

    def show(
        self,
        name: str,
        unit: str,
        ours: list[float],
        *,
        peer: str = "",
        theirs: list[float] | None = None,
        limit: float | None = None,
        more: bool = True,
    ) -> None:
        """Print our figures of the rounds beside those of a peer, or beside the limit alone."""
        mine = statistics.median(ours)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True)) if theirs else 0
        value = ratio if theirs else mine
        ok = limit is None or (value >= limit if more else value <= limit)
        self.ok = self.ok and ok
        if self.as_json:
            row = {"name": name, "unit": unit, "ours": mine, "peer": peer or None}
            row |= {"theirs": statistics.median(theirs) if theirs else None}
            row |= {"ratio": round(ratio, 3) if theirs else None, "limit": limit, "ok": ok}
            print(json.dumps(row), flush=True)
            return
        beside = f"{peer:<8} {statistics.median(theirs):9.2f}" if theirs else f"{'':<18}"
        line = f"{name:<26} {mine:9.2f} {unit:<9} {beside}"
        line += f" {ratio:6.2f}" if theirs else f" {'':<6}"
        if limit is not None:
            line += f"  ({'>=' if more else '<='} {limit:g})  {'ok' if ok else 'MISSED'}"
        print(line.rstrip(), flush=True)


@contextlib.contextmanager
def running(
    words: list[str],
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, and end it at the end; where something failed, show what it said."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            words, stdin=stdin, stdout=stdout, stderr=errors, start_new_session=True
        )
        try:
            yield process
        except BaseException:
            errors.seek(0)
            sys.stderr.write(f"{' '.join(words)}: {errors.read(2000).decode(errors='replace')}\n")
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


def port_of(process: subprocess.Popen[bytes]) -> int:
    """Wait until the program listens; return its port."""
    deadline = time.monotonic() + PATIENCE_S
    descriptors = Path(f"/proc/{process.pid}/fd")
    while time.monotonic() < deadline and process.poll() is None:
        links = set()
        for path in descriptors.iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since
                links.add(str(path.readlink()))
        for row in dump("tcp", states="listening"):
            if f"socket:[{row.inode}]" in links:
                return int(row.local_port)
        time.sleep(0.002)
    raise RuntimeError(f"{process.args!r} does not listen")


def succeeded(process: subprocess.Popen[bytes]) -> None:
    if process.wait(PATIENCE_S) != 0:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")


def transfer(client: list[str], server: list[str], octets: int) -> tuple[float, ...]:
    """Send zeros from a program to a program; return GB/s."""
    # ncat ends a connection over TLS, and loses what comes, when its own input ends.
    stdin = subprocess.PIPE if server[0] == "ncat" else subprocess.DEVNULL
    with running([*server, HOST, "0"], stdin=stdin) as sink:
        port = str(port_of(sink))
        begin = time.perf_counter()
        head = ["head", "-c", str(octets), "/dev/zero"]
        with (
            running(head, stdout=subprocess.PIPE) as source,
            running([*client, HOST, port], stdin=source.stdout) as sender,
        ):
            assert source.stdout is not None
            source.stdout.close()
            ended = os.waitid(os.P_PID, sink.pid, os.WEXITED | os.WNOWAIT)
            took = time.perf_counter() - begin
            assert ended is not None
            if server[0] != SW and written(sink) < octets:  # what ours moves, it need not write
                raise RuntimeError(f"{server[0]} lost octets")
            succeeded(sink)
            succeeded(sender)
    return (octets / took / 1e9,)


def written(process: subprocess.Popen[bytes]) -> int:
    """Return how many octets the process has written, also when it is dead and not buried yet."""
    lines = Path(f"/proc/{process.pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


class Sink:
    """Accepts one connection in a thread, and counts what comes without looking at it."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.port = str(self._listener.getsockname()[1])
        self.octets = 0
        self.ended = 0.0
        self._thread = threading.Thread(target=self._drop)
        self._thread.start()

    def _drop(self) -> None:
        buffer = bytearray(LARGE)
        sock, _ = self._listener.accept()
        with sock, self._listener:
            # MSG_TRUNC: tcp(7), the octets are discarded and not copied.
            while count := sock.recv_into(buffer, LARGE, socket.MSG_TRUNC):
                self.octets += count
            self.ended = time.perf_counter()

    def wait(self, octets: int) -> float:
        """Wait for the end; return the time of it."""
        self._thread.join(PATIENCE_S)
        if self.octets != octets:
            raise RuntimeError(f"{self.octets} of {octets} octets arrived")
        return self.ended


def send_file(words: list[str], path: Path, *, by_name: bool) -> tuple[float, ...]:
    """Send a file to a sink, as standard input or by its name; return GB/s."""
    sink = Sink()
    octets = path.stat().st_size
    named = [str(path)] if by_name else []
    with path.open("rb") as file:
        begin = time.perf_counter()
        with running([*words, *named, HOST, sink.port], stdin=file) as sender:
            took = sink.wait(octets) - begin
            succeeded(sender)
    return (octets / took / 1e9,)


def pour(port: int, octets: int) -> None:
    """Send zeros."""
    with socket.create_connection((HOST, port)) as sock:
        piece = memoryview(bytes(LARGE))
        for _ in range(octets // LARGE):
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)


def relay(words: Callable[[str], list[str]], octets: int) -> tuple[float, ...]:
    """Send zeros through a program; return GB/s, and its processor seconds for a GB."""
    sink = Sink()
    with running(words(sink.port)) as process:
        port = port_of(process)
        begin = time.perf_counter()
        source = threading.Thread(target=pour, args=(port, octets))
        source.start()
        took = sink.wait(octets) - begin
        source.join(PATIENCE_S)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        succeeded(process)
    return octets / took / 1e9, (usage.ru_utime + usage.ru_stime) / (octets / 1e9)


def connector() -> Callable[[int, Any, int], int]:
    """Compile what opens connections, ends them, and waits until the other side did so as well.

    Python would take as long for each as a server does, and so be what is measured.
    """
    libc = ctypes.CDLL(None)
    word, number = ctypes.c_ssize_t, ctypes.c_int

    def function(name: str, *arguments: Any) -> Any:
        found = getattr(libc, name)
        found.argtypes, found.restype = arguments, number
        return found

    make = function("socket", number, number, number)
    option = function("setsockopt", number, number, number, word, number)
    bind = function("bind", number, word, number)
    connect = function("connect", number, word, number)
    shutdown = function("shutdown", number, number)
    receive = function("recv", number, word, word, number)
    close = function("close", number)

    @numba.njit(nogil=True)
    def connections(count: int, own: Any, peer: Any) -> int:
        descriptors = np.zeros(TOGETHER, np.int32)
        room = np.ones(8, np.int32)
        room[2:6] = 0
        room[2] = 10  # seconds, of a struct timeval
        done = 0
        while done < count:
            for i in range(TOGETHER):
                # SOCK_STREAM with SOCK_CLOEXEC; a source address of its own has ports of its own.
                descriptors[i] = make(2, 0o2000001, 0)
                option(descriptors[i], 0, IP_BIND_ADDRESS_NO_PORT, room.ctypes.data, 4)
                if bind(descriptors[i], own.ctypes.data, 16) != 0:
                    return -1
                if connect(descriptors[i], peer.ctypes.data, 16) != 0:
                    return -2
                option(descriptors[i], 1, SO_RCVTIMEO, room.ctypes.data + 8, 16)
                shutdown(descriptors[i], 1)
            for i in range(TOGETHER):
                if receive(descriptors[i], room.ctypes.data + 24, 8, 0) != 0:
                    return -3
                close(descriptors[i])
            done += TOGETHER
        return done

    return connections


def address_of(host: str, port: int) -> Any:
    """Return a struct sockaddr_in."""
    octets = socket.AF_INET.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big")
    return np.frombuffer(octets + socket.inet_aton(host) + bytes(8), np.uint8)


class Connections:
    """Opens connections to a server, from new addresses each time: TIME-WAIT keeps the ports."""

    def __init__(self, count: int) -> None:
        self._count = count // (2 * TOGETHER) * TOGETHER
        self._run = connector()
        self._sources = iter(f"127.{a}.{b}.1" for a in range(10, 250) for b in range(250))

    def rate(self, server: list[str]) -> tuple[float, ...]:
        """Return the connections a second."""
        with running(server) as process:
            port = port_of(process)
            done: list[int] = []

            def run(count: int) -> None:
                own = address_of(next(self._sources), 0)
                done.append(self._run(count, own, address_of(HOST, port)))

            run(TOGETHER)
            threads = [threading.Thread(target=run, args=(self._count,)) for _ in range(2)]
            begin = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_S)
            took = time.perf_counter() - begin
        if min(done) < 0:
            raise RuntimeError(f"connections failed: {done}")
        return ((sum(done) - TOGETHER) / took,)


def clients_at_once(words: list[str], count: int) -> tuple[float, ...]:
    """Connect clients and answer each; return the MiB that the server had, and the seconds."""
    with running(words) as process, contextlib.ExitStack() as stack:
        port = port_of(process)
        poll = stack.enter_context(contextlib.closing(select.epoll()))
        begin = time.perf_counter()
        clients: dict[int, tuple[socket.socket, bytes]] = {}
        for number in range(count):
            client = stack.enter_context(socket.socket())
            client.bind((f"127.9.{number % 7}.1", 0))
            client.connect((HOST, port))
            clients[client.fileno()] = client, b"client %d\n" % number
            poll.register(client, select.EPOLLIN)
        for client, octets in clients.values():
            client.sendall(octets)
        left = dict(clients)
        while left:
            ready = poll.poll(PATIENCE_S)
            if not ready:
                raise RuntimeError(f"{len(left)} clients got no answer")
            for descriptor, _ in ready:
                client, octets = left.pop(descriptor)
                if client.recv(100) != octets:
                    raise RuntimeError("a client got another answer")
        took = time.perf_counter() - begin
        status = Path(f"/proc/{process.pid}/status").read_text()
        most = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(most.split()[1]) / 1024, took


def start(words: Callable[[str], list[str]]) -> tuple[float, ...]:
    """Return the milliseconds from starting a client until its octet has arrived."""
    with socket.create_server((HOST, 0)) as listener, tempfile.TemporaryFile() as octet:
        octet.write(b"x")
        octet.seek(0)
        port = str(listener.getsockname()[1])
        begin = time.perf_counter()
        with running(words(port), stdin=octet):
            sock, _ = listener.accept()
            with sock:
                assert sock.recv(1) == b"x"
                took = time.perf_counter() - begin
    return (took * 1000,)


def certificate(folder: Path) -> tuple[list[str], list[str]]:
    """Make a certificate; return the words of a client and of a server, the same for ncat."""
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
    request += ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    request += ["-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"]
    request += ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    subprocess.run(request, check=True, capture_output=True)
    client = ["--ssl", "--ssl-verify", "--ssl-trustfile", f"{folder}/cert.pem"]
    client += ["--ssl-servername", "localhost"]
    return client, ["--ssl", "--ssl-cert", f"{folder}/cert.pem", "--ssl-key", f"{folder}/key.pem"]


def contests(options: argparse.Namespace, folder: Path) -> Iterator[Contest]:
    """Say who does what, one after the other; what is named by --only, or everything."""
    octets = int(options.gib * (1 << 30)) // LARGE * LARGE
    wanted = options.only or list(NAMES)
    nc, speed = [SW, "nc"], (("GB/s", "GB/s"),)
    if "transfer" in wanted:
        yield Contest(
            "transfer",
            speed,
            lambda: transfer(nc, [*nc, "-l"], octets),
            (
                Peer(
                    "openbsd",
                    lambda: transfer(["nc.openbsd", "-N"], ["nc.openbsd", "-l"], octets),
                    (1.3,),
                ),
                Peer(
                    "ncat",
                    lambda: transfer(["ncat"], ["ncat", "-l"], octets),
                    (1.6,),
                ),
            ),
        )
    if "file" in wanted:
        path = folder / "file"
        with path.open("wb") as file:
            for _ in range(octets // LARGE):
                file.write(os.urandom(64) * (LARGE // 64))

        def by_peer() -> tuple[float, ...]:
            return send_file(["nc.openbsd", "-N"], path, by_name=False)

        peer = Peer("openbsd", by_peer, (1.8,))
        yield Contest("sw nc < FILE", speed, lambda: send_file(nc, path, by_name=False), (peer,))
        send = [*nc, "--send"]
        yield Contest(
            "sw nc --send FILE", speed, lambda: send_file(send, path, by_name=True), (peer,)
        )
        path.unlink()
    if "relay" in wanted:
        yield Contest(
            "relay",
            (("GB/s", "GB/s"), ("CPU", "CPU-s/GB")),
            lambda: relay(
                lambda port: [SW, "relay", "-l", f"tcp://{HOST}:0", f"tcp://{HOST}:{port}"], octets
            ),
            (
                Peer(
                    "socat",
                    lambda: relay(
                        lambda port: [
                            "socat",
                            f"TCP4-LISTEN:0,bind={HOST}",
                            f"TCP4:{HOST}:{port}",
                        ],
                        octets,
                    ),
                    (2.0, 0.5),
                ),
            ),
        )
    if "tls" in wanted:
        client, server = certificate(folder)

        def tls(program: list[str]) -> tuple[float, ...]:
            return transfer([*program, *client], [*program, *server, "-l"], octets // 2)

        ncat = Peer("ncat", lambda: tls(["ncat"]), (1.4,))
        yield Contest("TLS", speed, lambda: tls(nc), (ncat,))
    if "connections" in wanted:
        opened = Connections(options.connections)
        listening = ["-lk", HOST, "0"]
        yield Contest(
            "connections",
            (("rate", "a second"),),
            lambda: opened.rate([*nc, *listening]),
            (Peer("ncat", lambda: opened.rate(["ncat", *listening]), (1.0,)),),
        )
    if "clients" in wanted:
        words = [SW, "relay", "-k", f"tcp://{HOST}:0", "echo:"]
        yield Contest(
            f"{options.clients} clients",
            (("memory", "MiB"), ("time", "s")),
            lambda: clients_at_once(words, options.clients),
            (),
            more=False,
            absolute=(128e6 / (1 << 20), None),
        )
    if "start" in wanted:
        yield Contest(
            "start",
            (("first octet", "ms"),),
            lambda: start(lambda port: [*nc, HOST, port]),
            (
                Peer("openbsd", lambda: start(lambda port: ["nc.openbsd", HOST, port]), (None,)),
                Peer("ncat", lambda: start(lambda port: ["ncat", HOST, port]), (None,)),
                Peer(
                    "socat",
                    lambda: start(lambda port: ["socat", "-", f"TCP4:{HOST}:{port}"]),
                    (None,),
                ),
            ),
            more=False,
            absolute=(100.0,),
        )


NAMES = ("transfer", "file", "relay", "tls", "connections", "clients", "start")


def hold(contest: Contest, rounds: int, report: Report) -> None:
    """Let ours and the peers take turns, and show what came of it."""
    peers = [peer for peer in contest.peers if shutil.which(PROGRAMS[peer.name])]
    contest.ours()  # compiled code, and files, are there the second time
    mine: list[tuple[float, ...]] = []
    theirs: dict[str, list[tuple[float, ...]]] = {peer.name: [] for peer in peers}
    for _ in range(rounds):
        mine.append(contest.ours())
        for peer in peers:
            theirs[peer.name].append(peer.job())
    for column, (figure, unit) in enumerate(contest.figures):
        ours = [row[column] for row in mine]
        name = contest.name if column == 0 else f"{contest.name}, {figure}"
        more = contest.more and column == 0
        if contest.absolute:
            report.show(name, unit, ours, limit=contest.absolute[column], more=more)
        for peer in peers:
            beside = [row[column] for row in theirs[peer.name]]
            report.show(
                name,
                unit,
                ours,
                peer=peer.name,
                theirs=beside,
                limit=peer.limits[column],
                more=more,
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=4.0, help="octets of a transfer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=40_000)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--only", nargs="+", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Compiled code is to be kept, as it is for everyone who runs the command a second time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    report = Report(options.json)
    if not options.json:
        absent = [program for program in PROGRAMS.values() if not shutil.which(program)]
        print(
            f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, "
            f"Python {platform.python_version()}; {options.gib:g} GiB, {options.rounds} rounds"
            + (f"; not here: {', '.join(absent)}" if absent else "")
        )
    memory = Path("/dev/shm")  # without a disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for contest in contests(options, Path(folder)):
            hold(contest, options.rounds, report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
