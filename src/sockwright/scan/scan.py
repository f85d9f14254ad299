"""A scan as programs use it: blocking and asynchronous, over one engine.

    with Scan("10.0.0.0/24", ports="22,80,443") as scan:
        for event in scan:
            if isinstance(event, PortResult):
                print(event.explain())

    async with Scan("router.example") as scan:
        async for event in scan:
            ...

Events are `PortResult` (an open port, as soon as it is found), `HostResult` (all about a host, when
it is finished), `Progress` (several a second) and, last, one `Summary`.
"""

from __future__ import annotations

import contextlib
import os
from _thread import RLock  # threading itself is not needed here
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from sockwright.scan.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterable, Iterator
    from types import TracebackType
    from typing import Unpack

    from sockwright.scan.port_table import PortTable
    from sockwright.scan.pumping import Pump
    from sockwright.scan.results import HostResult, PortResult, Progress, Summary
    from sockwright.scan.results import Protocol as PortProtocol
    from sockwright.scan.settings import Changes, Method
    from sockwright.scan.targets import Targets

    Event = PortResult | HostResult | Progress | Summary

__all__ = ["Course", "Known", "Scan"]

_T = TypeVar("_T", bound=str)


class Known(Protocol):
    """What an earlier scan has found out; see `sockwright.scan.reports.resumed`."""

    def finished(self, host: str) -> HostResult | None:
        """Return all that is known of a host that need not be asked again, else None."""

    def begun(self, host: str) -> HostResult | None:
        """Return what is known of a host that is not finished, else None."""

    def fill(self, table: PortTable) -> int:
        """Set in `table` what is known of the ports of its host; return how many there were."""


class Course:
    """What a scan and its run tell each other.

    The run knows no more of the scan than this. So no cycle goes through its generator, and when
    nobody has that any more it is closed at once, and before the sockets that it closes.
    """

    __slots__ = (
        "_wake",
        "_waking",
        "evidence_failed",
        "failure",
        "known",
        "methods",
        "rate",
        "settings",
        "stopped",
        "targets",
        "why_methods",
    )

    def __init__(self, targets: Targets, settings: Settings, known: Known | None) -> None:
        self.targets = targets
        self.settings = settings
        self.known = known
        self.methods: tuple[Method, ...] = ()
        self.why_methods = ""
        self.rate = settings.rate
        self.stopped = False
        self.evidence_failed = False
        self.failure = ""
        self._wake = -1
        # Reentrant, since a signal handler may call `stop` while `over` runs.
        self._waking = RLock()

    def begin(self) -> int:
        """Return an eventfd, open until `over`, that becomes readable when `stop` is called."""
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return self._wake

    def over(self) -> None:
        """Close the eventfd, while nobody writes to it: its number may soon be another file's."""
        with self._waking:
            wake, self._wake = self._wake, -1
            os.close(wake)

    def fail(self, why: str) -> None:
        """Stop the scan, since it cannot go on."""
        self.failure = why
        self.stopped = True

    def stop(self) -> None:
        """Stop the scan, also from a signal handler or another thread."""
        self.stopped = True
        with self._waking:
            if self._wake >= 0:
                with contextlib.suppress(BlockingIOError):  # it is full of calls
                    os.eventfd_write(self._wake, 1)


class Scan:
    """A scan of `targets`: texts as on the command line, or `Targets`.

    `ports` are numbers, texts as of ``-p``, or several of them in any mixture: ``22``,
    ``[22, 80]``, ``"22,8000-8100,U:53"``. Those without T: or U: are for the methods asked for, and
    for TCP where none is; without it and without ports in `settings` it is the 1 000 TCP (and 100
    UDP) ports that are most often in use. `methods` is one method or several. Other keywords are
    those of `Settings`, and change them. `known` is what need not be asked again. `many` says that
    more than 4 096 addresses (`ASK_ABOVE`) are meant: nobody else can be asked whether a network
    was mistyped.

    Raises:
        TargetError: the targets or the ports are not well formed; nobody is left to scan; or there
            are more than 4 096 addresses, and `many` does not say that they are meant.
        SettingError: a setting is out of range.
        TypeError: an argument is of a kind that it cannot be.
    """

    def __init__(
        self,
        targets: Targets | str | Iterable[str],
        settings: Settings | None = None,
        *,
        ports: str | int | Iterable[int | str] | None = None,
        methods: Method | Iterable[Method] | None = None,
        known: Known | None = None,
        many: bool = False,
        **changes: Unpack[Changes],
    ) -> None:
        from sockwright.scan.targets import Targets, parse_port_set, parse_targets

        if not isinstance(targets, Targets):
            targets = parse_targets(_texts(targets, "targets"))
        settings = settings or Settings()
        if changes:
            settings = replace(settings, **changes)
        if methods is not None:
            settings = replace(settings, methods=_texts(methods, "methods"))
        if ports is not None:
            chosen = parse_port_set(ports, _protocols(settings.methods))
            settings = replace(settings, tcp_ports=chosen.tcp, udp_ports=chosen.udp)
        _check_targets(targets, many=many or settings.discovery == "list")
        self._course = Course(targets, _with_ports(settings), known)
        self._closed = False
        self._events: Generator[Event, None, None] | None = None
        self._pump: Pump[Event] | None = None

    @property
    def targets(self) -> Targets:
        """Who is scanned."""
        return self._course.targets

    @property
    def settings(self) -> Settings:
        """How, with the ports that are asked."""
        return self._course.settings

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods that were chosen, once the scan has begun."""
        return self._course.methods

    @property
    def why_methods(self) -> str:
        """Why those, as a sentence."""
        return self._course.why_methods

    @property
    def rate(self) -> float | None:
        """Packets a second that it may send in all, once it has begun; None: as answers come."""
        return self._course.rate

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called before the end."""
        return self._course.stopped

    @property
    def evidence_failed(self) -> bool:
        """Whether the file of evidence is not whole: a remark of the summary says why."""
        return self._course.evidence_failed

    @property
    def failure(self) -> str:
        """Why the scan stopped by itself before its end, if it did; also the summary's remark."""
        return self._course.failure

    def stop(self) -> None:
        """End soon, with what is known: the hosts and the summary still come.

        It may be called from a signal handler or another thread.
        """
        self._course.stop()

    def close(self) -> None:
        """End at once, and close everything; a second time does nothing."""
        self._closed = True
        if self._pump is not None:
            self._pump.close()
        if self._events is not None:
            self._events.close()

    def __enter__(self) -> Self:
        """Let the block have the scan, and close it at its end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the scan."""
        self.close()

    def __iter__(self) -> Iterator[Event]:
        """Scan, and give the events; a second time it goes on where it was left.

        Raises:
            PermissionError: a method that was asked for needs raw sockets.
            OSError: this machine has no way to scan (descriptors, ports).
            ClosedError: the scan is closed.
        """
        return self._generator()

    def _generator(self) -> Generator[Event, None, None]:
        self._check_open()
        if self._events is None:
            self._events = _run(self._course)
        return self._events

    async def __aenter__(self) -> Self:
        """Let the block have the scan, and close it at its end."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the scan if it goes on, and close it."""
        try:
            if self._pump is not None:
                await self._pump.aclose()
        finally:
            self.close()

    def __aiter__(self) -> AsyncIterator[Event]:
        """Scan in a thread, and give the events; a second time it goes on where it was left.

        The thread ends with the scan, or at the end of the `async with` block, however it is left.
        Where there is no such block, and nobody calls `close`, it ends with a ResourceWarning as
        soon as nobody has the scan any more.
        Raises: as `__iter__`.
        """
        self._check_open()
        if self._pump is None:
            from sockwright.scan.pumping import Pump

            self._pump = Pump(self._generator(), self._course.stop)
        return self._pump

    def _check_open(self) -> None:
        if self._closed:
            from sockwright.errors import ClosedError

            raise ClosedError(
                "this scan is closed, so it gives no more events: loop over it inside its "
                "`with` block, or make a new Scan"
            )


def _run(course: Course) -> Generator[Event, None, None]:
    """Scan; what is open is closed at the end, or when nobody has the generator any more."""
    from sockwright.scan.running import Running

    wake = course.begin()
    try:
        yield from Running(course, wake).events()
    finally:
        course.over()


def _check_targets(targets: Targets, *, many: bool) -> None:
    """Refuse to scan nobody, and a whole network by mistake. Raises: TargetError."""
    from sockwright.errors import TargetError

    if not len(targets):
        raise TargetError(targets.why_none())
    if targets.many and not many:
        raise TargetError(f"these are {len(targets)} addresses; many=True says that they are meant")


def _texts(given: _T | Iterable[_T], name: str) -> tuple[_T, ...]:
    """Return one text or several as a tuple. Raises: TypeError: it is something else."""
    several = (given,) if isinstance(given, str) else given
    if hasattr(several, "__iter__"):
        texts = tuple(several)
        if all(isinstance(text, str) for text in texts):
            return texts
    raise TypeError(f"{name} takes text, or several texts, not {given!r}")


def _protocols(methods: tuple[Method, ...]) -> tuple[PortProtocol, ...]:
    """Return those that a port is meant for where no T: or U: says it, as the methods tell."""
    udp = "udp" in methods
    return ("tcp", "udp") if udp and len(methods) > 1 else ("udp",) if udp else ("tcp",)


def _with_ports(settings: Settings) -> Settings:
    """Fill in the ports that are asked where none were named."""
    from sockwright.scan.targets import top_ports

    if settings.tcp_ports or settings.udp_ports or settings.discovery in {"only", "list"}:
        return settings
    udp = "udp" in settings.methods
    tcp = not settings.methods or settings.methods != ("udp",)
    return replace(
        settings,
        tcp_ports=tuple(top_ports(1000, "tcp")) if tcp else (),
        udp_ports=tuple(top_ports(100, "udp")) if udp else (),
    )
