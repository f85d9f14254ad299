"""Read a scan that was kept, our JSON lines or nmap's XML, host by host.

Who reads a file need not trust it: lines, texts, numbers and the count of hosts are bounded, and
what does not hold is a `DecodeError`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from sockwright.errors import DecodeError
from sockwright.scan.reports.kept import (
    Equals,
    KeptGroup,
    KeptHost,
    KeptPort,
    KeptService,
    KeptSummary,
    KeptSystem,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from sockwright.scan.results import HostState, PortState, Protocol

__all__ = ["KeptFile", "KeptScan", "read_kept"]

_MAX_LINE: Final = 8 << 20
_MAX_HOSTS: Final = 1 << 21
_MAX_WAITING: Final = 1 << 20  # ports whose host's row has not come
_MAX_TEXT: Final = 1 << 12
_STATES = frozenset({"open", "closed", "filtered", "unfiltered", "open|filtered"})
_HOST_STATES = frozenset({"up", "down", "unknown"})
_OF_COMPARISONS: Final = frozenset({"difference", "unproven", "comparison"})
_COMPLETE: Final = (True, None)  # None: nothing answered, which silence is judged by anyway
_ENDED_EARLY = KeptSummary(
    complete=False, why_not="its file ends before its summary", lists_all=False
)


class KeptScan:
    """All hosts of a scan, and how it ended."""

    __slots__ = ("hosts", "summary")

    def __init__(self, hosts: dict[str, KeptHost], summary: KeptSummary) -> None:
        self.hosts = hosts
        self.summary = summary


def read_kept(path: str) -> KeptScan:
    """Read the scan at `path` into memory.

    Raises: DecodeError for what is neither our JSON lines nor nmap's XML; OSError as open(2).
    """
    with KeptFile(path) as file:
        hosts = {host.host: host for host in file}
        return KeptScan(hosts, file.summary)


class KeptFile:
    """Gives the hosts of a file, once; `summary` holds from then on.

    Raises: DecodeError, also while hosts are read; OSError as open(2) and read(2).
    """

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115, PTH123  # closed by `close`
        self._name = path
        self.summary = _ENDED_EARLY
        self._equal = Equals()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[KeptHost]:
        """Give the hosts as they stand in the file."""
        start = self._file.peek(64)[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
        if start.startswith(b"<"):
            from sockwright.scan.reports.nmap_xml_reading import read_nmap_xml

            for found in read_nmap_xml(self._file, self._name):
                if isinstance(found, KeptSummary):
                    self.summary = found
                else:
                    yield found
        elif start.startswith(b"{"):
            yield from self._rows()
        elif not start:
            raise DecodeError(self._name, 0, "this is an empty file, and no report of a scan")
        else:
            raise DecodeError(self._name, 0, "this is neither rows of JSON nor nmap's XML")

    def _rows(self) -> Iterator[KeptHost]:
        offset = hosts = 0
        waiting: dict[str, dict[tuple[Protocol, int], KeptPort]] = {}
        for line in iter(lambda: self._file.readline(_MAX_LINE + 1), b""):
            if offset and _is_cut(line):
                break
            try:
                row = _parsed(line)
                kind = row.get("kind")
                if kind == "port":
                    self._take_port(row, waiting)
                elif kind == "summary":
                    self.summary = _summary(row)
                elif kind == "host":
                    hosts += 1
                    host = self._host(row, waiting)
                    _bounded(hosts, 0, _MAX_HOSTS, "the count of hosts")
                    yield host
                else:
                    _pass_over(kind)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
                raise DecodeError(self._name, offset, told) from None
            offset += len(line)
        for name, ports in waiting.items():
            # The file ends before their host's row.
            host = KeptHost(name, "up")
            host.ports = ports
            host.complete = False
            yield host

    def _take_port(
        self, row: dict[str, Any], waiting: dict[str, dict[tuple[Protocol, int], KeptPort]]
    ) -> None:
        ports = waiting.setdefault(_text(row["host"]), {})
        number = int(_bounded(row["port"], 0, 65535, "port"))
        port = KeptPort(*_state_of(row), service=_service(row.get("service")))
        ports[self._equal((_protocol(row["protocol"]), number))] = self._equal(port)
        if len(ports) > 2 << 16 or len(waiting) > _MAX_WAITING:
            raise ValueError("there are too many ports before the row of their host")

    def _host(
        self, row: dict[str, Any], waiting: dict[str, dict[tuple[Protocol, int], KeptPort]]
    ) -> KeptHost:
        name = _text(row["host"])
        state = row["state"]
        if state not in _HOST_STATES:
            raise ValueError(f"{state!r} is no state of a host")
        host = KeptHost(name, cast("HostState", state), _text(row["reason"]))
        host.ports = waiting.pop(name, {})
        for part in row.get("not_shown", ()):
            group = KeptGroup(
                _protocol(part["protocol"]),
                self._equal(KeptPort(*_state_of(part))),
                self._equal.ranges(_text(part["ports"], _MAX_LINE)),
            )
            host.groups.append(group)
        if "loss" in row:
            host.loss = _bounded(row["loss"], 0, 1, "loss")
        host.expected_misses = _bounded(
            row.get("expected_misses", 0), 0, 1 << 20, "expected_misses"
        )
        host.complete = row.get("complete", True) in _COMPLETE
        host.system = _system(row.get("os"))
        return host


def _parsed(line: bytes) -> dict[str, Any]:
    if len(line) > _MAX_LINE:
        raise ValueError("a line is too long")
    row = json.loads(line)
    if not isinstance(row, dict):
        raise TypeError("a line is no object")
    return row


def _is_cut(line: bytes) -> bool:
    """Whether a line is the beginning of one, as whoever is ended while writing leaves it."""
    if line.endswith(b"\n") or len(line) > _MAX_LINE:
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def _pass_over(kind: object) -> None:
    """Pass over the rows of an earlier comparison. Raises: ValueError: it is a row of no scan."""
    if kind == "resume":
        raise ValueError("this is a file for --resume, and not a report to compare with")
    if kind not in _OF_COMPARISONS:
        raise ValueError("this is no row of a scan")


def _state_of(row: dict[str, Any]) -> tuple[PortState, str, int, str]:
    state = row["state"]
    if state not in _STATES:
        raise ValueError(f"{state!r} is no state of a port")
    tries = int(_bounded(row.get("tries", 0), 0, 1 << 20, "tries"))
    return cast("PortState", state), _text(row["reason"]), tries, _text(row.get("limited", ""))


def _service(told: object) -> KeptService | None:
    if not isinstance(told, dict) or told.get("method") != "probed":
        return None
    return KeptService(
        _text(told["name"]),
        _text(told.get("product", "")),
        _text(told.get("version", "")),
        _text(told.get("tunnel", "")),
        _bounded(told.get("confidence", 0), 0, 1, "confidence"),
    )


def _system(told: object) -> KeptSystem | None:
    if not isinstance(told, dict) or told.get("best", "unknown") == "unknown":
        return None
    return KeptSystem(
        _text(told["best"]),
        _text(told.get("family", "")),
        _bounded(told.get("confidence", 0), 0, 1, "confidence"),
    )


def _summary(row: dict[str, Any]) -> KeptSummary:
    if row.get("interrupted") is True:
        return KeptSummary(complete=False, why_not="it was interrupted")
    if row.get("complete", True) not in _COMPLETE:
        missed = _bounded(row.get("expected_misses", 0), 0, 1 << 40, "expected_misses")
        return KeptSummary(
            complete=False, why_not=f"it expects to have missed {missed:.2g} open ports"
        )
    return KeptSummary()


def _protocol(found: object) -> Protocol:
    if found == "tcp":
        return "tcp"
    if found == "udp":
        return "udp"
    raise ValueError(f"{found!r} is no protocol")


def _text(found: object, most: int = _MAX_TEXT) -> str:
    if not isinstance(found, str) or len(found) > most:
        raise ValueError(f"a text of at most {most} characters should be here")
    return found


def _bounded(found: object, least: float, most: float, name: str) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise TypeError(f"{name} should be a number")
    # This is true of no NaN either. What is wrong is not shown: it may have thousands of digits.
    if not least <= found <= most:
        raise ValueError(f"{name} is outside {least} to {most}")
    return found
