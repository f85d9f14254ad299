"""What the tests of the engine share: a loop that is stepped until something has happened."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.open_files import open_descriptors

from sockwright.nc.channels.channel import Channel, SocketChannel
from sockwright.nc.engine import loop as loop_module
from sockwright.nc.engine.loop import Loop
from sockwright.nc.engine.outcome import Outcome
from sockwright.nc.engine.run import run
from sockwright.nc.engine.session import Session
from sockwright.nc.engine.settings import Job, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from sockwright.nc.engine.events import Event

__all__ = [
    "PATIENCE_S",
    "Bench",
    "Clock",
    "descriptors",
    "events_of",
    "noise",
    "nothing_left_open",
    "served",
]

PATIENCE_S = 10.0


def descriptors() -> int:
    """Count the descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """See that what the block opens in this process is closed after it.

    What was open before may be closed meanwhile, by the garbage collector for instance; and what a
    thread of an earlier test has open for a moment is waited for.
    """
    before = open_descriptors()
    yield
    deadline = time.monotonic() + PATIENCE_S
    while left := open_descriptors() - before:
        assert time.monotonic() < deadline, f"these are left open: {sorted(left)}"
        time.sleep(0.01)


def noise(count: int) -> bytes:
    """Return octets of which no piece is like another, so that a wrong order is seen."""
    return b"".join(number.to_bytes(4, "big") for number in range(count // 4 + 1))[:count]


class Clock:
    """The time of a loop, which passes only where the loop waits for a timer, and then at once.

    For a test of times within this process: to hold it up does not make anything late.
    """

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.monotonic()
        patience = bench.loop._patience

        def skip() -> float:
            seconds = patience()
            if seconds < 0:
                return seconds  # no timer: the kernel is waited for
            if not select.select([bench.loop._epoll], [], [], 0)[0]:  # else that comes first
                self.now += seconds
            return 0.0

        monkeypatch.setattr(loop_module, "monotonic", lambda: self.now)
        monkeypatch.setattr(bench.loop, "_patience", skip)


class Bench(ExitStack):
    """A loop, and sockets for it; all is closed at the end. `outcomes` are those of sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.callback(self.loop.close)
        self.outcomes: list[Outcome] = []

    def until(self, wanted: Callable[[], object]) -> None:
        """Step until `wanted` holds."""
        late: list[bool] = []
        timer = self.loop.later(PATIENCE_S, lambda: late.append(True))
        while not wanted():
            assert not late, "it took too long"
            self.loop.step()
        timer.cancel()

    def spend(self, seconds: float) -> None:
        """Step for so long."""
        over: list[bool] = []
        self.loop.later(seconds, lambda: over.append(True))
        self.until(lambda: over)

    def pair(
        self, kind: socket.SocketKind = socket.SOCK_STREAM, *, tcp: bool = False
    ) -> tuple[socket.socket, socket.socket]:
        """Return two sockets that are connected; both are closed at the end."""
        if tcp:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                one = socket.create_connection(listener.getsockname())
                two = listener.accept()[0]
        else:
            one, two = socket.socketpair(socket.AF_UNIX, kind)
        for sock in (one, two):
            sock.settimeout(PATIENCE_S)
            self.callback(sock.close)
        return one, two

    def channel(self, name: str = "peer", *, tcp: bool = False) -> tuple[Channel, socket.socket]:
        """Return a channel, and the socket at its other end."""
        ours, theirs = self.pair(tcp=tcp)
        return SocketChannel(ours, name), theirs

    def session(
        self,
        near: Channel,
        far: Channel,
        limits: Limits | None = None,
        *,
        person: bool = False,
        shy: bool = False,
    ) -> Session:
        """Begin a session; it is ended at the end."""
        session = Session(
            self.loop, near, far, limits or Limits(), lambda _, end: self.outcomes.append(end),
            person=person, shy=shy,
        )  # fmt: skip
        self.callback(lambda: session.finish(Outcome()))
        session.start()
        return session

    def outcome(self) -> Outcome:
        """Step until the one session has ended; return how."""
        self.until(lambda: self.outcomes)
        (outcome,) = self.outcomes
        return outcome


def events_of(job: Job) -> tuple[int, list[Event]]:
    """Do a job that ends by itself; return its status and what it told."""
    told: list[Event] = []
    events = run(job)
    while True:
        try:
            told.append(next(events))
        except StopIteration as end:
            status: int = end.value
            return status, told


class Served:
    """A job in a thread; see `served`."""

    def __init__(self, job: Job) -> None:
        self.events: list[Event] = []
        self.error: BaseException | None = None
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._run, args=(job,))
        self._thread.start()

    def _run(self, job: Job) -> None:
        events = run(job)
        try:
            for event in events:
                with self._changed:
                    self.events.append(event)
                    self._changed.notify_all()
                if self._over:
                    break
        except BaseException as error:  # the test looks at it
            self.error = error
        finally:
            events.close()
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def wait_for(self, wanted: Callable[[list[Event]], object]) -> None:
        """Wait until what was told is as wanted."""
        with self._changed:
            assert self._changed.wait_for(lambda: wanted(self.events) or self._over, PATIENCE_S)
            assert wanted(self.events), (self.events, self.error)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        self.wait_for(lambda events: [event for event in events if event.kind == "listening"])
        place = next(event.local for event in self.events if event.kind == "listening")
        assert place is not None
        host, _, port = place.partition("://")[2].rpartition(":")
        return host, int(port)

    def lines(self, kind: str) -> list[str]:
        """Return what was told of one kind."""
        return [event.text for event in self.events if event.kind == kind]

    def connect(self) -> socket.socket:
        """Connect to it."""
        sock = socket.create_connection(self.address, PATIENCE_S)
        sock.settimeout(PATIENCE_S)
        return sock

    def stop(self, *, udp: bool = False) -> None:
        """Stop it: one more client is an event, and with that it is over."""
        alive = not self._over
        self._over = True
        if alive:
            kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
            # Refused, where an event of its own was the last one meanwhile.
            with socket.socket(socket.AF_INET, kind) as sock, suppress(ConnectionError):
                sock.connect(self.address)
                sock.send(b"over, and no TLS")
                self._thread.join(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@contextmanager
def served(job: Job, *, udp: bool = False) -> Iterator[Served]:
    """Do a job that keeps listening and is verbose, in a thread; no error escapes from it."""
    server = Served(job)
    try:
        yield server
    finally:
        server.stop(udp=udp)
    assert server.error is None
