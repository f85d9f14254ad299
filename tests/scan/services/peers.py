"""Peers for the tests of services: real programs on ports of the kernel's choice, and scripts."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sockwright.scan.services import identify_services
from sockwright.scan.services.probe import Visit, follow_up
from sockwright.scan.services.stream import Budget, Place
from sockwright.scan.services.waiting import Conversations
from sockwright.scan.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sockwright.scan.results import Protocol, Service
    from sockwright.scan.services.finding import Finding
    from sockwright.scan.services.waiting import Steps

T = TypeVar("T")
HERE = "127.0.0.1"
_PATIENCE = 30.0
_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


@contextmanager
def script(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each TCP connection by `talk`; give the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(_PATIENCE)
            with contextlib.suppress(OSError):
                talk(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

    with Server((HERE, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def datagram_script(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """Answer each datagram by `answer` (nothing for nothing); give the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            octets, sock = self.request
            if reply := answer(octets):
                sock.sendto(reply, self.client_address)

    with socketserver.UDPServer((HERE, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def says(octets: bytes) -> Callable[[socket.socket], None]:
    """Return a talk that greets, and then reads until the client ends."""

    def talk(sock: socket.socket) -> None:
        sock.sendall(octets)
        while sock.recv(4096):
            pass

    return talk


def answers(
    replies: dict[bytes, bytes], *, greeting: bytes = b""
) -> Callable[[socket.socket], None]:
    """Return a talk that answers what begins so with that, and closes on anything else."""

    def talk(sock: socket.socket) -> None:
        sock.sendall(greeting)
        while octets := sock.recv(65536):
            for start, reply in replies.items():
                if octets.startswith(start):
                    sock.sendall(reply)
                    break
            else:
                return

    return talk


def identify(port: int, protocol: Protocol = "tcp", **limits: float) -> Service:
    """Ask one port of this machine."""
    found = identify_services([(HERE, port, protocol)], Settings(), **limits)  # type: ignore[arg-type]
    ((_, service),) = found
    return service


def run(steps: Steps[T]) -> T:
    """Go through a conversation to its end."""
    with Conversations[None, T]() as conversations:
        ended = conversations.start(None, steps)
        while not ended:
            ended = conversations.step()
    return ended[0][1]


def visit_to(port: int) -> Visit:
    """Return a visit to a port of this machine."""
    place = Place(HERE, port, socket.AF_INET, (HERE, port))
    return Visit(place, Budget(1 << 18, time.monotonic() + _PATIENCE))


def ask_further(finding: Finding, port: int) -> None:
    """Ask a port what is asked once `finding` is known."""
    visit = visit_to(port)
    stream = run(visit.dial())
    try:
        run(follow_up(finding, visit, stream))
    finally:
        stream.close()


@contextmanager
def free_port() -> Iterator[int]:
    """Hold a port for a program that cannot take port 0, and sets SO_REUSEADDR.

    Nobody else on this machine is given it meanwhile, of TCP or of UDP.
    """
    with contextlib.ExitStack() as opened:
        while True:
            held = [opened.enter_context(socket.socket(type=kind)) for kind in _KINDS]
            for sock in held:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held[0].bind((HERE, 0))
            here = held[0].getsockname()
            with contextlib.suppress(OSError):  # another program has it for UDP: another port
                held[1].bind(here)
                break
        held[1].connect(here)  # to itself: the kernel gives it the datagrams of nobody else
        yield here[1]


@contextmanager
def program(command: Sequence[str], port: int, folder: Path) -> Iterator[int]:
    """Run a server until the block ends; it is there when its port accepts."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which(command[0], path=path)
    assert found is not None
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [found, *command[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
        )
    try:
        until = time.monotonic() + _PATIENCE
        while not accepts(port):
            assert running.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
        yield port
    finally:
        running.terminate()
        try:
            running.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def accepts(port: int) -> bool:
    """Say whether a connection is accepted."""
    with socket.socket() as sock:
        sock.settimeout(0.2)
        return sock.connect_ex((HERE, port)) == 0


def descriptors() -> int:
    """Count the open descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))
