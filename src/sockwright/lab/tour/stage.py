"""Where a step of the tour takes place: two hosts, a capture between them, the peer's counters.

Rules
    1. What a step shows is what ran: `start` and `call` note the source of the function they run,
       the words of the call and what came back.
    2. The capture is on the interface of host a. It holds what a sent and what reached a; the
       kernels here leave no checksum to a network card, so each is judged as it is.
    3. A step waits for events: for `ready`, for the last packet, for a counter. All have a limit.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import os
import select
import sys
import time
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sockwright.lab.tour.observe import OpenedSocket, observed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from sockwright.lab.call import Call
    from sockwright.lab.capture import Capture
    from sockwright.lab.host import Host
    from sockwright.lab.tour.counters import Counters
    from sockwright.sockets.packet_socket import Frame

__all__ = ["Message", "Played", "Ready", "Running", "Stage", "StepFailedError"]

T = TypeVar("T")

LIMIT = 5.0
"""Seconds that anything in a step may take."""
_POLL_S = 0.0005
_HERE = __name__.rpartition(".")[0]
_TEXT = frozenset(b"\r\n" + bytes(range(32, 127)))
_OCTETS_SHOWN = 16


class StepFailedError(Exception):
    """What a step was to show did not happen."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one end of a UNIX socket sent to the other; no packet carries it."""

    sender: str
    receiver: str
    octets: bytes


@dataclass(slots=True)
class Played:
    """A function of the tour: its source, and where it ran, how, with what result.

    `host` is empty for a function that is only shown, because another one calls it.
    """

    host: str
    name: str
    call: str
    source: str
    result: str = ""


class Ready:
    """What a function of the tour calls when its peer may start."""

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
    _played: Played
    _sockets: list[OpenedSocket]

    def result(self) -> T:
        """Wait for the end and return the result. Raises: as `Call.result`."""
        value, opened = self._call.result(LIMIT)
        self._sockets += opened
        self._played.result = _shown(value)
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
            self._note(function, Played("", function.__name__, "", _source(function)))

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
        played = _played(host, function, arguments)
        played.call += "   # every capability dropped"
        self._note(function, played)
        value, _ = host.call_unprivileged(observed, host.name, function, arguments)
        played.result = _shown(value)
        return value

    def wait_for(self, wanted: Callable[[Frame], bool], what: str) -> None:
        """Wait for a frame. Raises: `StepFailedError` if it does not come within the limit."""
        try:
            self.capture.until(wanted, LIMIT)
        except TimeoutError:
            raise StepFailedError(f"no {what} within {LIMIT:g} s") from None

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

    def _note(self, function: Callable[..., object], played: Played) -> None:
        self.played.append(played)
        for module, names in _imports(function).items():
            self.imports.setdefault(module, set()).update(names)

    def _begin(
        self,
        host: Host,
        function: Callable[..., T],
        arguments: tuple[object, ...],
        ready: Ready | None = None,
    ) -> Running[T]:
        played = _played(host, function, arguments, ready)
        self._note(function, played)
        given = arguments if ready is None else (*arguments, ready)
        call = host.start(observed, host.name, function, given)
        running = Running(call, played, self.sockets)
        self._running.append(running)
        return running


def _played(
    host: Host,
    function: Callable[..., object],
    arguments: tuple[object, ...],
    ready: Ready | None = None,
) -> Played:
    words = [json.dumps(one) if isinstance(one, str) else repr(one) for one in arguments]
    words += ["ready"] if ready is not None else []
    call = f"{function.__name__}({', '.join(words)})"
    return Played(host.name, function.__name__, call, _source(function))


def _source(function: Callable[..., object]) -> str:
    return inspect.getsource(function).rstrip()


def _imports(function: Callable[..., object]) -> dict[str, set[str]]:
    """Return what a function needs of the imports of its file: names by module.

    ``import x`` is a module without names. The functions of the tour that it calls are shown
    beside it and left out.
    """
    used = {"annotations", *_names(function.__code__)}
    found: dict[str, set[str]] = {}
    for node in ast.parse(inspect.getsource(sys.modules[function.__module__])).body:
        if isinstance(node, ast.Import):
            found |= {one.name: set() for one in node.names if one.name in used}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(_HERE):
            names = {one.name for one in node.names} & used
            found |= {node.module: names} if names else {}
    return found


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _shown(value: object) -> str:
    """Return a result as people read it: text as it is, octets that are no text in hexadecimal."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        if all(octet in _TEXT for octet in value):
            return repr(value)
        start = value[:_OCTETS_SHOWN].hex(" ")
        more = " ..." if len(value) > _OCTETS_SHOWN else ""
        return f"{len(value)} octets: {start}{more}"
    if isinstance(value, list):
        return f"{len(value)} of {type(value[0]).__name__}" if value else "nothing"
    return repr(value)
