"""Where a step of the tour takes place: two hosts, a capture between them, the peer's counters.

Rules
    1. What a step shows is what ran: `start` and `call` note the source of the function they run,
       the words of the call and what came back.
    2. The capture is on the interface of host a. It holds what a sent and what reached a; the
       kernels here leave no checksum to a network card, so each is judged as it is.
    3. A step waits for events: for `ready`, for the last packet, for a counter. All have a limit.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sockwright.lab.tour.observe import OpenedSocket, observed
from sockwright.lab.tour.played import Played, imports_of, played, shown, source_of
from sockwright.wire import Packet

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from sockwright.lab.call import Call
    from sockwright.lab.capture import Capture
    from sockwright.lab.host import Host
    from sockwright.lab.tour.counters import Counters
    from sockwright.sockets.packet_socket import Frame
    from sockwright.wire import Header

__all__ = ["Message", "Ready", "Running", "Stage", "StepFailedError"]

T = TypeVar("T")

LIMIT = 5.0
"""Seconds that anything in a step may take."""
_POLL_S = 0.0005


class StepFailedError(Exception):
    """What a step was to show did not happen."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one end of a UNIX socket sent to the other; no packet carries it."""

    sender: str
    receiver: str
    octets: bytes


class Ready:
    """What a function of the tour calls to say that the other side may start."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self) -> None:
        """Tell the tour."""
        os.write(self._descriptor, b"r")


@dataclass(slots=True)
class Running(Generic[T]):
    """A function that runs in a host."""

    _call: Call[tuple[T, list[OpenedSocket]]]
    _told: Played
    _sockets: list[OpenedSocket]

    def result(self) -> T:
        """Wait for the end and return the result. Raises: as `Call.result`."""
        value, opened = self._call.result(LIMIT)
        self._sockets += opened
        self._told.result = shown(value)
        return value

    def stop(self) -> None:
        """End the function, as a step does with a server that would wait for ever."""
        self._call.kill()


@dataclass(slots=True)
class Stage:
    """Host a and host b for one step."""

    a: Host
    b: Host
    counters: Counters
    capture: Capture
    played: list[Played] = field(default_factory=list)
    sockets: list[OpenedSocket] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    imports: dict[str, set[str]] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    _running: list[Running[Any]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.before = self.counters.read()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._running:
            with contextlib.suppress(OSError):
                one.stop()
        self.capture.close()

    def show(self, *functions: Callable[..., object]) -> None:
        """Show functions that others call."""
        for function in functions:
            self._note(function, Played("", function.__name__, "", source_of(function)))

    def start(self, host: Host, function: Callable[..., T], *arguments: object) -> Running[T]:
        """Start a function in a host and wait until it calls its last argument, ``ready``.

        Raises: `StepFailedError` if it does not within the limit; what the function raises before.
        """
        reading, writing = os.pipe()
        try:
            try:
                running = self._begin(host, function, arguments, Ready(writing))
            finally:
                os.close(writing)
            if not select.select([reading], [], [], LIMIT)[0]:
                raise StepFailedError(f"{function.__name__} was not ready in {LIMIT:g} s")
            if not os.read(reading, 1):
                running.result()
        finally:
            os.close(reading)
        return running

    def call(self, host: Host, function: Callable[..., T], *arguments: object) -> T:
        """Run a function in a host and return its result. Raises: what the function raises."""
        return self._begin(host, function, arguments).result()

    def call_unprivileged(self, host: Host, function: Callable[..., T], *arguments: object) -> T:
        """Run a function in a host without any privilege, else as `call`."""
        told = played(host, function, arguments)
        told.call += "   # every capability dropped"
        self._note(function, told)
        value, _ = host.call_unprivileged(observed, host.name, function, arguments)
        told.result = shown(value)
        return value

    def wait_for(self, wanted: Callable[[Frame], bool], what: str) -> None:
        """Wait for a frame. Raises: `StepFailedError` if it does not come within the limit."""
        try:
            self.capture.until(wanted, LIMIT)
        except TimeoutError:
            raise StepFailedError(f"no {what} within {LIMIT:g} s") from None

    def packets_with(self, header: type[Header]) -> list[Packet]:
        """Return the packets on the wire so far that have such a header.

        By it a step picks its own: hosts may ask for each other's Ethernet address at any time.
        """
        packets = (Packet.decode(frame.octets) for frame in self.capture.frames)
        return [packet for packet in packets if header in packet]

    def wait_for_counter(self, name: str) -> None:
        """Wait until a counter of host b is higher than when the step began.

        Raises: `StepFailedError` if it is not within the limit.
        """
        deadline = time.monotonic() + LIMIT
        while not self.counted().get(name):
            if time.monotonic() > deadline:
                raise StepFailedError(f"{name} of host b did not go up within {LIMIT:g} s")
            time.sleep(_POLL_S)

    def counted(self) -> dict[str, int]:
        """Return by how much each counter of host b has grown, those that have not left out."""
        after = self.counters.read()
        return {
            name: value - self.before.get(name, 0)
            for name, value in after.items()
            if value > self.before.get(name, 0)
        }

    @staticmethod
    def expect(condition: object, otherwise: str) -> None:
        """Raise `StepFailedError` with the words `otherwise` unless `condition` holds."""
        if not condition:
            raise StepFailedError(otherwise)

    def _note(self, function: Callable[..., object], told: Played) -> None:
        self.played.append(told)
        for module, names in imports_of(function).items():
            self.imports.setdefault(module, set()).update(names)

    def _begin(
        self,
        host: Host,
        function: Callable[..., T],
        arguments: tuple[object, ...],
        ready: Ready | None = None,
    ) -> Running[T]:
        told = played(host, function, arguments, () if ready is None else ("ready",))
        self._note(function, told)
        given = arguments if ready is None else (*arguments, ready)
        call = host.start(observed, host.name, function, given)
        running = Running(call, told, self.sockets)
        self._running.append(running)
        return running
