"""What a capture tells beside its packets: interfaces, sections, names, statistics, secrets."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Contents", "Interface", "InterfaceStatistics", "Secrets", "Section"]

# Texts of all these come from the file: a stranger's, they may hold terminal escapes.


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that packets were captured on (pcapng section 4.2).

    A packet's time in nanoseconds is ``ticks * 10**9 // ticks_per_second + offset_ns``. `number`
    counts the interfaces of the file from 0, through all sections; a `snaplen` of 0 is no limit;
    `addresses` are those of IP and MAC as text, `speed` is bits a second.
    """

    number: int = 0
    link_type: int = 1
    snaplen: int = 0
    name: str | None = None
    description: str | None = None
    ticks_per_second: int = 1_000_000
    offset_ns: int = 0
    filter: str | None = None
    hardware: str | None = None
    os: str | None = None
    comment: str | None = None
    speed: int | None = None
    addresses: tuple[str, ...] = ()
    section: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a pcapng file (section 4.1): where and with what it was captured."""

    number: int = 0
    byte_order: str = "little"
    hardware: str | None = None
    os: str | None = None
    application: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class InterfaceStatistics:
    """What an interface counted (section 4.6); None is a number that the file does not tell.

    `received` and `dropped` are the interface's, `accepted` passed the filter, `dropped_by_os`
    found no room in the system, `delivered` reached the program. Times are nanoseconds since 1970.
    """

    interface_number: int
    time_ns: int = 0
    start_ns: int | None = None
    end_ns: int | None = None
    received: int | None = None
    dropped: int | None = None
    accepted: int | None = None
    dropped_by_os: int | None = None
    delivered: int | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """Keys that let others decrypt what was captured (section 4.7), kept as they stand.

    `kind` says what they are: 0x544C534B is the key log of TLS.
    """

    kind: int
    octets: bytes = field(repr=False)


@dataclass(slots=True)
class Contents:
    """What was met so far; each list grows while the capture is read."""

    interfaces: list[Interface] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    names: list[tuple[str, str]] = field(default_factory=list)  # of an address, a name
    statistics: list[InterfaceStatistics] = field(default_factory=list)
    secrets: list[Secrets] = field(default_factory=list)
