"""What is asked of a scan; everything in it has a default that is polite."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypedDict, get_args

from sockwright.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["PRESETS", "Changes", "Discovery", "Method", "Preset", "Settings"]

Method = Literal["connect", "syn", "udp", "ack", "fin", "null", "xmas"]
Discovery = Literal["auto", "none", "only", "list"]

MAX_MISS: Final = 0.01

_MOST_TRIES: Final = 100
_HIGHEST_INTENSITY: Final = 9
# Fields that are numbers, and what they may be at least.
_MORE_THAN_ZERO: Final = (
    "rate", "host_rate", "max_miss", "max_timeout", "first_timeout", "host_timeout",
)  # fmt: skip
_NOT_NEGATIVE: Final = ("retries", "min_timeout", "patience", "seed", "service_intensity")
_WHOLE: Final = ("retries", "hosts_at_once", "seed", "service_intensity")
_YES_OR_NO: Final = (
    "spare_loopback", "services", "identify_os", "traceroute", "names", "overwrite",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a scan goes about it.

    `methods` empty means: SYN where raw sockets may be opened, connect where not. `rate` is in
    packets a second in all and `host_rate` to one host (where TCP and UDP are both scanned, half of
    it for each, and what one does not need for the other); None is no bound but what the answers
    say. `max_miss` is how many open ports may be expected to be missed by the whole scan, and how
    many hosts. It is divided among the hosts, but no host has to do better than a hundredth of it:
    of more than a hundred hosts all may be done and the summary yet not be complete. `retries` None
    means as many as that takes. Times are in seconds. `host_timeout` begins with the first packet
    to a host. `patience` is how long one host that limits its answers (ICMP unreachables of UDP) is
    waited for. With `spare_loopback` the rates do not bound a scan whose targets are all loopback
    addresses. `evidence` is a new pcapng file for every packet that proves something, which may be
    there before with `overwrite`.

    Raises:
        SettingError: a value is out of range, or two contradict each other.
    """

    methods: tuple[Method, ...] = ()
    tcp_ports: tuple[int, ...] = ()
    udp_ports: tuple[int, ...] = ()
    discovery: Discovery = "auto"
    rate: float | None = 1000.0
    host_rate: float | None = 1000.0
    spare_loopback: bool = True
    retries: int | None = None
    max_miss: float = MAX_MISS
    min_timeout: float = 0.02
    max_timeout: float = 3.0
    first_timeout: float = 1.0
    host_timeout: float | None = None
    patience: float = 45.0
    hosts_at_once: int = 256
    seed: int | None = None
    services: bool = False
    service_intensity: int = 7
    identify_os: bool = False
    traceroute: bool = False
    names: bool = False
    evidence: Path | None = None
    overwrite: bool = False
    interface: str = ""

    def __post_init__(self) -> None:
        """Check everything: what is wrong shows here, not in the middle of a scan."""
        for name in _WHOLE:
            value = getattr(self, name)
            if value is not None and type(value) is not int:
                raise SettingError(f"{name} takes a whole number, not {value!r}")
        for name in _YES_OR_NO:
            if type(getattr(self, name)) is not bool:  # "no" would be as good as yes
                raise SettingError(f"{name} takes True or False, not {getattr(self, name)!r}")
        for name in (*_MORE_THAN_ZERO, *_NOT_NEGATIVE):
            value = getattr(self, name)
            if value is None:
                continue
            zero = name in _NOT_NEGATIVE
            if not isinstance(value, int | float) or not (value > 0 or (zero and value == 0)):
                raise SettingError(
                    f"{name} takes a number {'of 0 or more' if zero else 'above 0'}, not {value!r}"
                )
        if self.hosts_at_once < 1:
            raise SettingError(f"hosts_at_once takes 1 or more, not {self.hosts_at_once}")
        if self.retries is not None and self.retries > _MOST_TRIES:
            raise SettingError(f"retries takes {_MOST_TRIES} at most, not {self.retries}")
        if self.service_intensity > _HIGHEST_INTENSITY:
            raise SettingError(f"service_intensity takes 0 to 9, not {self.service_intensity}")
        if self.min_timeout > self.max_timeout:
            raise SettingError(
                f"min_timeout is {self.min_timeout:g} s, and max_timeout less: {self.max_timeout:g}"
            )
        if self.discovery not in get_args(Discovery):
            raise SettingError(
                f"discovery takes {_listed(get_args(Discovery))}, not {self.discovery!r}"
            )
        self._check_methods()
        for name in ("tcp_ports", "udp_ports"):
            _check_ports(name, getattr(self, name))

    def _check_methods(self) -> None:
        if not isinstance(self.methods, tuple):
            raise SettingError(
                f"methods takes a tuple of names, such as ('connect',), not {self.methods!r}"
            )
        for method in self.methods:
            if method not in get_args(Method):
                raise SettingError(f"methods takes {_listed(get_args(Method))}, not {method!r}")
        tcp = [method for method in self.methods if method != "udp"]
        if len(tcp) > 1:
            raise SettingError(
                f"{_listed(tcp, 'and')} are two methods for TCP ports; one may be asked for, "
                "with udp beside it or not"
            )


class Changes(TypedDict, total=False):
    """The keywords by which `Scan` changes its `Settings`, for type checkers."""

    tcp_ports: tuple[int, ...]
    udp_ports: tuple[int, ...]
    discovery: Discovery
    rate: float | None
    host_rate: float | None
    spare_loopback: bool
    retries: int | None
    max_miss: float
    min_timeout: float
    max_timeout: float
    first_timeout: float
    host_timeout: float | None
    patience: float
    hosts_at_once: int
    seed: int | None
    services: bool
    service_intensity: int
    identify_os: bool
    traceroute: bool
    names: bool
    evidence: Path | None
    overwrite: bool
    interface: str


def _listed(words: Sequence[str], last: str = "or") -> str:
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _check_ports(name: str, ports: Sequence[int]) -> None:
    try:
        # At the speed of C: there may be 65 536.
        array("H", ports)
    except (OverflowError, TypeError):
        raise SettingError(f"{name} takes numbers from 0 to 65535") from None
    if len(frozenset(ports)) != len(ports):
        raise SettingError(f"{name} has a port twice")


@dataclass(frozen=True, slots=True)
class Preset:
    """What -T2 to -T5 stand for."""

    rate: float | None
    host_rate: float | None
    max_timeout: float
    first_timeout: float
    why: str


PRESETS: Final = {
    2: Preset(100.0, 50.0, 10.0, 2.0, "polite: 100 packets a second, 50 to one host"),
    3: Preset(1000.0, 1000.0, 3.0, 1.0, "the default: 1 000 packets a second"),
    4: Preset(10_000.0, 10_000.0, 1.5, 0.5, "a network of your own: 10 000 packets a second"),
    5: Preset(None, None, 1.0, 0.3, "a laboratory: as fast as the answers come back"),
}
