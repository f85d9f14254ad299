"""From a capture, or from an interface, to what the hosts are.

for host in identify_capture("trace.pcapng").hosts:
print(host.host, host.identification.best)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sockwright.errors import DecodeError
from sockwright.identify.passive.observer import Observer
from sockwright.identify.passive.sieve import CAPTURE_FILTER

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from sockwright.identify.passive.conclusion import Evidence, HostIdentity
    from sockwright.records import Readable
    from sockwright.sockets import LiveCapture

__all__ = ["Listening", "Overheard", "identify_capture", "listen", "observe"]

_SNAPLEN = 9216
"""Octets kept of each packet: the head of a request is told from its first segment."""


@dataclass(frozen=True, slots=True)
class Overheard:
    """What a capture told: its hosts, and how much was looked at.

    `telling` of the `packets` were evidence; `evicted` hosts were forgotten for lack of room.
    `error` is what is wrong with the file behind its last whole record, or None.
    """

    hosts: tuple[HostIdentity, ...]
    packets: int
    telling: int
    evicted: int
    error: DecodeError | None


def observe(file: Readable, observer: Observer) -> DecodeError | None:
    """Show `observer` all records of a capture, open for reading octets, of any format.

    Returns: what is wrong behind the last whole record, if anything is. Raises: DecodeError, at
    once, for a file of no known format, TruncatedError for one that ends in its header; OSError.
    """
    from sockwright.records import read_records

    records = read_records(file)
    record = observer.record
    try:
        for one in records:
            record(one)
    except DecodeError as error:
        return error
    return None


def identify_capture(source: str | Path | Readable, observer: Observer | None = None) -> Overheard:
    """Say what the hosts in a capture are; `source` is a path, or a file open for reading octets.

    Raises: as `observe`; OSError as opening does.
    """
    if observer is None:  # one that has heard nothing yet is false
        observer = Observer()
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            error = observe(file, observer)
    else:
        error = observe(source, observer)
    hosts = tuple(observer.hosts())
    return Overheard(hosts, observer.packets, observer.telling, observer.evicted, error)


class Listening:
    """Yields what is new about the hosts at an interface; made by `listen`, closed by its context.

    `live` is the capture: ``live.statistics`` tells what the kernel had to drop, ``live.stop()``
    ends the iteration from a signal handler or another thread.
    """

    def __init__(self, observer: Observer, live: LiveCapture) -> None:
        self.observer = observer
        self.live = live

    def __iter__(self) -> Iterator[Evidence]:
        for packet in self.live:
            evidence = self.observer.packet(packet)
            if evidence is not None:
                yield evidence

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.live.close()


def listen(
    observer: Observer,
    interface: str = "any",
    *,
    duration: float | None = None,
    promiscuous: bool = True,
    sock: socket.socket | None = None,
) -> Listening:
    """Listen at an interface, from now on, for `duration` seconds or until it is stopped.

    The kernel hands over what `CAPTURE_FILTER` accepts and drops the rest. `sock` is as for
    `sockwright.capture`. At any time, ``observer.hosts()`` says what the hosts are.

        with listen(observer, "eth0", duration=60) as heard:
            for evidence in heard:
                print(evidence.host, evidence.identification.best)

    Raises: PermissionError where CAP_NET_RAW is missing; OSError as `sockwright.capture`.
    """
    from sockwright.sockets import capture

    live = capture(
        interface,
        CAPTURE_FILTER,
        promiscuous=promiscuous,
        snaplen=_SNAPLEN,
        duration=duration,
        sock=sock,
    )
    return Listening(observer, live)
