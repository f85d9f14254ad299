"""Every netcat as a client or a server: started, waited for, fed, read, counted and ended.

Rules. A server is told port 0 and asked afterwards, by way of its descriptors, which port it got,
so no two tests meet; one that cannot be told that gets a port which is held for it (`hold_port`).
That it listens is seen in the kernel's tables: nobody connects to find out.
Nothing waits longer than `PATIENCE_S`; a wait looks at the process too, and fails at once when that
ends. What a program writes is collected by a thread as it comes, and what it is fed waits in
another, so that two programs can be fed and read at once. Everything started is ended by its own
process group when `Peers` is closed.

`PROGRAMS` says who there is, and what each can do: the classics differ most in how they end.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from sockwright.sockets import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from _pytest.mark import ParameterSet

__all__ = [
    "PATIENCE_S",
    "PROGRAMS",
    "SW",
    "Peers",
    "Place",
    "Program",
    "Running",
    "cases",
    "clients",
    "closed_port",
    "servers",
    "until",
]

PATIENCE_S = 30.0
_LOOK_AGAIN_MS = 4
SW = str(Path(sys.executable).with_name("sw"))
# A stream both ways through the shell; its end is that of standard input and of the connection.
_BASH = """
exec 3<>"/dev/$1/$2/$3" || exit 1
cat <&3 &
cat >&3
exec 3>&-
wait
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is, and what is spoken there.

    `kind` is "tcp4", "tcp6", "udp4", "udp6", "unix", "unix-datagram" or "tls" (over IPv4).
    `folder` holds cert.pem and key.pem, and takes the sockets that datagram clients bind.
    """

    kind: str
    folder: Path
    port: int = 0
    path: str = ""

    @property
    def host(self) -> str:
        return "::1" if self.kind.endswith("6") else "127.0.0.1"

    @property
    def url(self) -> str:
        """The endpoint in the words of `sw`."""
        if self.kind == "unix-datagram":
            return f"unix:{self.path}?type=datagram"
        if self.kind == "unix":
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind.rstrip('46')}://{host}:{self.port}"

    @property
    def table(self) -> str:
        """The kernel's table that has its sockets."""
        if self.kind.startswith("u"):
            return self.kind[:4].rstrip("46-")
        return "tcp"

    @property
    def keeps_boundaries(self) -> bool:
        return self.kind in {"udp4", "udp6", "unix-datagram"}


@dataclass(frozen=True, slots=True)
class Program:
    """A netcat: how it is called, and how it ends.

    `kinds` are those of `Place` that it knows as a client, `serves` those as a server.
    `half_closes` tells whether it sends FIN at the end of its input and still takes an answer.
    `outlives_fin` are the roles in which it goes on sending after the peer's FIN. `wants_port` are
    the kinds that it serves at a port of its own only, not at 0.
    """

    name: str
    needs: str
    client: Callable[[Place], list[str]]
    server: Callable[[Place], list[str]]
    kinds: frozenset[str]
    serves: frozenset[str]
    half_closes: bool = True
    outlives_fin: frozenset[str] = frozenset()
    wants_port: frozenset[str] = frozenset()


def _openbsd(place: Place) -> list[str]:
    words = ["nc.openbsd", "-n", "-N"]
    words += ["-6"] if place.kind.endswith("6") else []
    words += ["-u"] if place.keeps_boundaries else []
    return words + (["-U"] if place.table == "unix" else [])


def _address(place: Place) -> list[str]:
    return [place.path] if place.table == "unix" else [place.host, str(place.port)]


def _traditional(place: Place) -> list[str]:
    return ["nc.traditional", "-n", *(["-u"] if place.keeps_boundaries else [])]


def _traditional_server(place: Place) -> list[str]:
    port = ["-p", str(place.port)] if place.port else []
    return [*_traditional(place), "-l", "-s", place.host, *port]


def _ncat(place: Place) -> list[str]:
    words = ["ncat", "-6" if place.kind.endswith("6") else "-4"]
    words = ["ncat", "-U"] if place.table == "unix" else words
    words += ["-u"] if place.keeps_boundaries else []
    return words if place.table == "unix" else [*words, "-n"]


def _ncat_client(place: Place) -> list[str]:
    words = _ncat(place)
    if place.kind == "tls":
        words += ["--ssl-verify", "--ssl-trustfile", f"{place.folder}/cert.pem"]
        words += ["--ssl-servername", "localhost"]
    if place.kind == "unix-datagram":  # where the answer goes
        words += ["-s", _own_path(place, "ncat")]
    return [*words, *_address(place)]


def _ncat_server(place: Place) -> list[str]:
    words = [*_ncat(place), "-l"]
    if place.kind == "tls":
        words += ["--ssl", "--ssl-cert", f"{place.folder}/cert.pem"]
        words += ["--ssl-key", f"{place.folder}/key.pem"]
    return [*words, *_address(place)]


def _socat(place: Place, address: str) -> list[str]:
    # Half closed, it waits for the other half as long as -t says.
    return ["socat", "-t", str(int(PATIENCE_S)), "-", address]


def _socat_client(place: Place) -> list[str]:
    addresses = {
        "tcp4": f"TCP4:127.0.0.1:{place.port}",
        "tcp6": f"TCP6:[::1]:{place.port}",
        "udp4": f"UDP4:127.0.0.1:{place.port}",
        "udp6": f"UDP6:[::1]:{place.port}",
        "unix": f"UNIX-CONNECT:{place.path}",
        "unix-datagram": f"UNIX-SENDTO:{place.path},bind={_own_path(place, 'socat')}",
        "tls": f"OPENSSL:127.0.0.1:{place.port},cafile={place.folder}/cert.pem"
        ",commonname=localhost",
    }
    return _socat(place, addresses[place.kind])


def _socat_server(place: Place) -> list[str]:
    addresses = {
        "tcp4": "TCP4-LISTEN:0,bind=127.0.0.1",
        "tcp6": "TCP6-LISTEN:0,bind=[::1]",
        "udp4": "UDP4-LISTEN:0,bind=127.0.0.1",
        "udp6": "UDP6-LISTEN:0,bind=[::1]",
        "unix": f"UNIX-LISTEN:{place.path}",
        "unix-datagram": f"UNIX-RECVFROM:{place.path}",
        "tls": f"OPENSSL-LISTEN:0,bind=127.0.0.1,cert={place.folder}/cert.pem"
        f",key={place.folder}/key.pem,verify=0",
    }
    return _socat(place, addresses[place.kind])


def _bash(place: Place) -> list[str]:
    return ["bash", "-c", _BASH, "bash", place.table, place.host, str(place.port)]


def _openssl_client(place: Place) -> list[str]:
    words = ["openssl", "s_client", "-quiet", "-connect", f"{place.host}:{place.port}"]
    words += ["-CAfile", f"{place.folder}/cert.pem", "-verify_return_error"]
    return [*words, "-servername", "localhost"]


def _openssl_server(place: Place) -> list[str]:
    words = ["openssl", "s_server", "-quiet", "-accept", f"{place.host}:{place.port}"]
    words += ["-cert", f"{place.folder}/cert.pem", "-key", f"{place.folder}/key.pem"]
    return [*words, "-naccept", "1"]


def _sw(place: Place) -> list[str]:
    words = [SW, "nc"]
    words += ["-u"] if place.keeps_boundaries else []
    return words + (["-U"] if place.table == "unix" else [])


def _sw_client(place: Place) -> list[str]:
    words = _sw(place)
    if place.kind == "tls":
        words += ["--ssl", "--ssl-trustfile", f"{place.folder}/cert.pem"]
        words += ["--ssl-servername", "localhost"]
    return [*words, *_address(place)]


def _sw_server(place: Place) -> list[str]:
    words = _sw(place)
    if place.kind == "tls":
        words += ["--ssl", "--ssl-cert", f"{place.folder}/cert.pem"]
        words += ["--ssl-key", f"{place.folder}/key.pem"]
    return [*words, "-l", *_address(place)]


_CLIENT = frozenset({"client"})
_BOTH_ROLES = frozenset({"client", "server"})
_IP = frozenset({"tcp4", "tcp6", "udp4", "udp6"})
_ALL = _IP | {"unix", "unix-datagram", "tls"}

PROGRAMS = {
    program.name: program
    for program in (
        Program(
            "openbsd",
            "nc.openbsd",
            lambda place: [*_openbsd(place), *_address(place)],
            lambda place: [*_openbsd(place), "-l", *_address(place)],
            _ALL - {"tls"},
            _ALL - {"tls"},
            outlives_fin=_CLIENT,
        ),
        Program(
            "traditional",
            "nc.traditional",
            lambda place: [*_traditional(place), *_address(place)],
            _traditional_server,
            frozenset({"tcp4", "udp4"}),
            frozenset({"tcp4", "udp4"}),
            half_closes=False,
            wants_port=frozenset({"udp4"}),
        ),
        Program(
            "ncat",
            "ncat",
            _ncat_client,
            _ncat_server,
            _ALL,
            _ALL,
            outlives_fin=_CLIENT,
        ),
        Program(
            "socat", "socat", _socat_client, _socat_server, _ALL, _ALL, outlives_fin=_BOTH_ROLES
        ),
        Program(
            "bash",
            "bash",
            _bash,
            _bash,
            _IP,
            frozenset(),
            half_closes=False,
            outlives_fin=_CLIENT,
        ),
        Program(
            "openssl",
            "openssl",
            _openssl_client,
            _openssl_server,
            frozenset({"tls"}),
            frozenset({"tls"}),
            half_closes=False,
        ),
        Program("sw", SW, _sw_client, _sw_server, _ALL, _ALL, outlives_fin=_BOTH_ROLES),
    )
}


def clients(kind: str, *, but: Iterable[str] = ("sw",)) -> list[str]:
    """Return the names of the programs that are clients of `kind`."""
    return [name for name, it in PROGRAMS.items() if kind in it.kinds and name not in but]


def servers(kind: str, *, but: Iterable[str] = ("sw",)) -> list[str]:
    """Return the names of the programs that are servers of `kind`."""
    return [name for name, it in PROGRAMS.items() if kind in it.serves and name not in but]


def cases(*kinds: str, knows: Callable[[Program, str], bool] | None = None) -> list[ParameterSet]:
    """Make test cases of (kind, ours, program): `ours` is "client" or "server", theirs the other.

    `knows(program, role)` chooses the programs that are in the role that ours is not in.
    """
    found = []
    for kind in kinds:
        for ours, names in (("client", servers(kind)), ("server", clients(kind))):
            role = "server" if ours == "client" else "client"
            for name in names:
                program = PROGRAMS[name]
                if knows is not None and not knows(program, role):
                    continue
                mark = pytest.mark.needs(program.needs)
                found.append(pytest.param(kind, ours, name, id=f"{kind}-{role}-{name}", marks=mark))
    return found


def until(condition: Callable[[], object], what: str, *processes: Running) -> None:
    """Wait until `condition` holds; fail when it takes too long, or when a process ends first."""
    deadline = time.monotonic() + PATIENCE_S
    poll = select.poll()
    for process in processes:
        poll.register(process.pidfd, select.POLLIN)
    while not condition():
        ended = [process for process in processes if process.ended]
        if ended and not condition():
            raise AssertionError(f"{what}: {ended[0]} ended before")
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {PATIENCE_S:g} s; {list(processes)}")
        poll.poll(_LOOK_AGAIN_MS)


class Running:
    """A program that runs, with its three streams."""

    def __init__(
        self,
        words: list[str],
        place: Place,
        *,
        stdin: int | IO[bytes] | None = None,
        stdout: int | IO[bytes] | None = None,
        prepare: Callable[[], None] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.words = words
        self.place = place
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE if stdin is None else stdin,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # so that what it starts ends with it
            preexec_fn=prepare,  # noqa: PLW1509  # sets limits, and no thread of ours holds a lock
            env=os.environ | environment if environment else None,
        )
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._output = bytearray()
        self._errors = bytearray()
        self._ended_streams: set[str] = set()
        self.unfed = False  # whether it stopped reading before it had everything
        for name, stream, buffer in (
            ("output", self.process.stdout, self._output),
            ("errors", self.process.stderr, self._errors),
        ):
            if stream is not None:
                self._thread(self._collect, name, stream, buffer)
        if self.process.stdin is not None:
            self._thread(self._write, self.process.stdin)

    def __repr__(self) -> str:
        state = f"ended with {self.process.returncode}" if self.ended else "runs"
        words = " ".join(self.words[:12])
        return f"<{words!r} {state}; {len(self._output)} octets out; errors {self.errors!r}>"

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def errors(self) -> str:
        """What it wrote to standard error so far."""
        return bytes(self._errors).decode(errors="replace")

    @property
    def complaints(self) -> list[str]:
        """The lines on standard error, but for the one that says where it listens."""
        return [line for line in self.errors.splitlines() if "listening on " not in line]

    @property
    def received(self) -> bytes:
        """What it wrote to standard output so far."""
        return bytes(self._output)

    @property
    def count(self) -> int:
        """How many octets it wrote to standard output so far."""
        return len(self._output)

    def feed(self, octets: bytes) -> None:
        """Give it input; it takes that when it can."""
        self._queue.put(octets)

    def end_input(self) -> None:
        """End its standard input behind what it was fed."""
        self._queue.put(None)

    def read(self, count: int) -> bytes:
        """Wait until it wrote at least `count` octets, since the beginning; return all of them."""
        self._await(lambda: len(self._output) >= count, f"{count} octets")
        return bytes(self._output)

    def read_all(self) -> bytes:
        """Wait until its standard output ends; return all of it."""
        self._await(lambda: "output" in self._ended_streams, "the end of the output")
        return bytes(self._output)

    def read_errors(self, text: str) -> str:
        """Wait until standard error has `text`; return all of it so far."""
        self._await(lambda: text in self.errors, f"{text!r} among the errors")
        return self.errors

    def wait(self) -> int:
        """Wait until it ends; return its exit status (negative for a signal).

        All that it wrote has been collected then.
        """
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end: {self}") from None
        self._await(lambda: "errors" in self._ended_streams, "the end of the errors")
        if self.process.stdout is not None:
            self.read_all()
        return status

    def finish(self) -> tuple[int, bytes, list[str]]:
        """Wait until it ends; return its status, its output and its complaints."""
        status = self.wait()
        return status, self.received, self.complaints

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def descriptors(self) -> list[str]:
        """Return what its descriptors are, as /proc names them."""
        found = []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for name in sorted(Path(f"/proc/{self.pid}/fd").iterdir()):
                with contextlib.suppress(OSError):
                    found.append(str(name.readlink()))
        return found

    def sockets(self) -> set[int]:
        """Return the inodes of the sockets that it has."""
        return {
            int(name[len("socket:[") : -1])
            for name in self.descriptors()
            if name.startswith("socket:[")
        }

    def memory(self, field: str = "VmHWM") -> int:
        """Return a line of /proc/PID/status, in octets: VmHWM is the most memory it had."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"{field} is not known of {self}")

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until `condition` holds; fail when this ends before."""
        until(condition, what, self)

    def until_state(self, *states: str) -> None:
        """Wait until one of its sockets is in one of the states, such as "CLOSE-WAIT"."""

        def reached() -> bool:
            own = self.sockets()
            rows = dump(self.place.table, states="all")
            return any(row.inode in own and row.state in states for row in rows)

        until(reached, " or ".join(states), self)

    def until_listening(self) -> Place:
        """Wait until it listens; return where."""
        place = self.place
        found: list[Place] = []

        def listens() -> bool:
            own = self.sockets()
            for row in dump(place.table, states=("listening", "unconnected")) if own else ():
                if row.inode not in own or row.state != _WAITING_STATE[place.kind]:
                    continue
                if place.table != "unix":
                    port = getattr(row, "local_port", 0)
                    if port:
                        found.append(Place(place.kind, place.folder, port))
                elif getattr(row, "path", None) == place.path:
                    found.append(place)
            return bool(found)

        until(listens, "it listens", self)
        self.place = found[0]
        return self.place

    def stop(self) -> None:
        """End it, and what it started, if it did not end; forget its streams."""
        if self.pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        self._queue.put(None)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        os.close(self.pidfd)
        self.pidfd = -1

    def _thread(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _collect(self, name: str, stream: IO[bytes], buffer: bytearray) -> None:
        while octets := stream.read(1 << 18):
            with self._changed:
                buffer += octets
                self._changed.notify_all()
        with self._changed:
            self._ended_streams.add(name)
            self._changed.notify_all()

    def _write(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(BrokenPipeError):  # said again by close, where octets are left
            try:
                while (octets := self._queue.get()) is not None:
                    view = memoryview(octets)
                    while view:
                        view = view[stream.write(view) :]
            except BrokenPipeError:
                self.unfed = True
            finally:
                stream.close()

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, PATIENCE_S):
                raise AssertionError(f"{what} did not come within {PATIENCE_S:g} s: {self}")
        both = {"output", "errors"} <= self._ended_streams
        if both and not condition():
            raise AssertionError(f"{what} did not come: {self}")


_WAITING_STATE = {
    "tcp4": "LISTEN",
    "tcp6": "LISTEN",
    "tls": "LISTEN",
    "unix": "LISTEN",
    "udp4": "UNCONN",
    "udp6": "UNCONN",
    "unix-datagram": "UNCONN",
}


class Peers:
    """What a test started; ended when it is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Running] = []
        self._held: list[socket.socket] = []
        self._paths = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for running in reversed(self._started):
            running.stop()
        for held in self._held:
            held.close()

    def run(
        self,
        words: list[str],
        place: Place | None = None,
        *,
        stdin: int | IO[bytes] | None = None,
        stdout: int | IO[bytes] | None = None,
        prepare: Callable[[], None] | None = None,
        environment: dict[str, str] | None = None,
    ) -> Running:
        """Start any command. Standard input and output are pipes, or what is given."""
        running = Running(
            words,
            place or Place("tcp4", self.folder),
            stdin=stdin,
            stdout=stdout,
            prepare=prepare,
            environment=environment,
        )
        self._started.append(running)
        return running

    def server(self, name: str, kind: str, *options: str, **how: int | IO[bytes]) -> Running:
        """Start a program as a server of `kind`, and wait until it listens at its `place`."""
        place = self.place(kind)
        if kind in PROGRAMS[name].wants_port:
            place = replace(place, port=self.hold_port(place))
        words = [*PROGRAMS[name].server(place), *options]
        running = self.run(words, place, **how)  # type: ignore[arg-type]
        running.until_listening()
        return running

    def client(self, name: str, place: Place, *options: str, **how: int | IO[bytes]) -> Running:
        """Start a program as a client of the server at `place`."""
        words = [*PROGRAMS[name].client(place), *options]
        return self.run(words, place, **how)  # type: ignore[arg-type]

    def join(
        self, kind: str, ours: str, program: str, *options: str, theirs: tuple[str, ...] = ()
    ) -> tuple[Running, Running]:
        """Join ours, a "client" or "server" with `options`, to a program; return ours, theirs."""
        if ours == "server":
            mine = self.server("sw", kind, *options)
            return mine, self.client(program, mine.place, *theirs)
        other = self.server(program, kind, *theirs)
        return self.client("sw", other.place, *options), other

    def place(self, kind: str) -> Place:
        """Return a place for a server to be: port 0, or a path that is free."""
        if kind == "tls":
            self._write_certificate()
        if not kind.startswith("unix"):
            return Place(kind, self.folder)
        self._paths += 1
        return Place(kind, self.folder, path=f"{self.folder}/socket{self._paths}")

    def hold_port(self, place: Place) -> int:
        """Return a port of `place` for a server that sets SO_REUSEADDR and is not told port 0.

        It is held until the end, or somebody else on this machine could be given it meanwhile.
        """
        held = _holding(place)
        self._held.append(held)
        port: int = held.getsockname()[1]
        return port

    def _write_certificate(self) -> None:
        if (self.folder / "cert.pem").exists():
            return
        # A test needs it fast and for a day only: a self-signed one, for the name localhost.
        request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        request += ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj"]
        request += ["/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        request += ["-keyout", f"{self.folder}/key.pem", "-out", f"{self.folder}/cert.pem"]
        subprocess.run(request, check=True, capture_output=True, timeout=PATIENCE_S)


def _own_path(place: Place, name: str) -> str:
    """Return a path for the socket of a datagram client, which is to have an address."""
    number = 1
    while (path := place.folder / f"{name}{number}").exists():
        number += 1
    return str(path)


@contextlib.contextmanager
def closed_port(kind: str = "tcp4") -> Iterator[int]:
    """Hold a port at which nobody listens, so that nobody else takes it."""
    with _holding(Place(kind, Path())) as held:
        yield held.getsockname()[1]


def _holding(place: Place) -> socket.socket:
    """Return a socket that has a port to itself, and takes nothing that is sent there."""
    datagrams = place.keeps_boundaries
    held = socket.socket(
        socket.AF_INET6 if place.kind.endswith("6") else socket.AF_INET,
        socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM,
    )
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((place.host, 0))
    if datagrams:  # whose peer is itself: the kernel gives it the datagrams of nobody else
        held.connect(held.getsockname())
    return held


def missing(names: Iterable[str]) -> list[str]:
    """Return the programs among `names` that are not on this machine."""
    return [name for name in names if shutil.which(PROGRAMS[name].needs) is None]
