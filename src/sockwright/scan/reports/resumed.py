"""Read what `resume` wrote: how a scan was asked for, and what was known when it was stopped.

Rules
    1. The file need not be trusted. Its octets, lines, texts, hosts and ranges are bounded, every
       value is checked for its type and bounds, and whatever does not hold is a `DecodeError` that
       names the octet and the field.
    2. All of it is checked before anything of it is used.
    3. Of a host only the place of its line is kept; the line is read again when it is asked for.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import fields
from typing import IO, TYPE_CHECKING, Any, Final, cast

from sockwright.errors import DecodeError, SettingError
from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import number_of
from sockwright.scan.reports.resume import HOST_NUMBERS, NOT_KEPT, VERSION, plain_types
from sockwright.scan.results import Hop, HostResult, Service
from sockwright.scan.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from sockwright.identify.identification import Identification
    from sockwright.identify.signature import Signature, Value
    from sockwright.scan.results import HostState, PortState, Protocol

__all__ = ["Resumed", "read_resume"]

MAX_FILE: Final = 2 << 30
MAX_LINE: Final = 8 << 20
_MAX_LINES = 1 << 22
_MAX_RANGES = 1 << 22
_MAX_TEXT = 1 << 16
_MAX_ITEMS = 1 << 16
_MAX_NUMBER = 1 << 63
_MAX_MEASURED = 1 << 10  # tests of a system; there are some two hundred
_MAX_VALUE = 1 << 32  # what one of them gives: sequence numbers, time stamps
_MAX_RTT_US = 3_600_000_000
_METHODS = ("connect", "syn", "udp", "ack", "fin", "null", "xmas")
_DISCOVERY = ("auto", "none", "only", "list")
_STATES = ("up", "down", "unknown")


def read_resume(path: str) -> Resumed:
    """Read and check the file at `path`, which stays open until the result is closed.

    Raises: DecodeError for what is no such file, or not whole; OSError as open(2).
    """
    file = open(path, "rb")  # noqa: SIM115, PTH123  # it belongs to what is returned
    try:
        return Resumed(file, path)
    except BaseException:
        file.close()
        raise


class _WrongError(ValueError):
    """What is wrong in a line, without saying where."""


class Resumed:
    """What is known of a scan that was stopped; to be closed, or used by ``with``.

    `settings` are those of the scan, `seed` among them; `targets` and `exclude` the words that the
    user gave, `options` what the caller saved beside them. `hosts` is how many are noted.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._places: dict[str, int] = {}
        self._silent: dict[int, list[tuple[int, int, HostState, str]]] = {4: [], 6: []}
        self.hosts = 0
        self._ended = False
        self._lines = 0
        self._signatures: list[Signature] | None = None
        self._read_all()

    def close(self) -> None:
        """Close the file; nothing can be asked after that."""
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

    def finished(self, host: str) -> HostResult | None:
        """Return all that is known of a host that need not be asked again, else None."""
        found = self._noted(host)
        if found is not None:
            return found[0] if found[1] else None
        silent = self._silent_range(host)
        return None if silent is None else HostResult(host, silent[2], silent[3])

    def begun(self, host: str) -> HostResult | None:
        """Return what is known of a host that is not finished, else None.

        Its tables know the ports that have answered (`PortTable.known`); the others are to be
        asked.
        """
        found = self._noted(host)
        return found[0] if found is not None and not found[1] else None

    def fill(self, table: PortTable) -> int:
        """Set in `table` what is known of the ports of its host; return how many there were."""
        found = self._noted(table.host)
        count = 0
        for known in found[0].ports if found is not None else ():
            if known.protocol != table.protocol:
                continue
            places = {number: at for at, number in enumerate(table.numbers)}
            for at, number in enumerate(known.numbers):
                there = places.get(number)
                if there is not None and known.known(at) and not table.known(there):
                    port = known.row(at)
                    rtt = None if port.rtt_ns is None else port.rtt_ns // 1000
                    reason = number_of(port.reason, port.state)
                    table.set(there, reason, port.attempt, rtt, port.ttl, port.sender)
                    count += 1
        return count

    def results(self) -> Iterator[HostResult]:
        """Give the finished hosts that were up, or of which anything is known, as in the file."""
        for host in self._places:
            found = self._noted(host)
            if found is not None and found[1]:
                yield found[0]

    # Reading

    def _read_all(self) -> None:
        offset = 0
        for line in iter(lambda: self._file.readline(MAX_LINE + 1), b""):
            try:
                self._take(line, offset)
            except (_WrongError, ValueError, KeyError, TypeError, RecursionError) as error:
                raise self._refusal(offset, error) from None
            offset += len(line)
            if offset > MAX_FILE:
                raise self._refusal(offset, _WrongError("the file is too long"))
        if not self._ended:
            raise self._refusal(
                offset, _WrongError("the file ends early: its last line is missing")
            )
        for known in self._silent.values():
            known.sort()

    def _refusal(self, offset: int, error: Exception) -> DecodeError:
        told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        if isinstance(error, RecursionError):
            told = "it is nested too deep"
        elif isinstance(error, ValueError) and not (offset or isinstance(error, _WrongError)):
            told = "this is no file that a scan wrote to be resumed"
        return DecodeError(self._name, offset, told)

    def _take(self, line: bytes, offset: int) -> None:
        self._lines += 1
        if len(line) > MAX_LINE or self._lines > _MAX_LINES:
            raise _WrongError("a line is too long, or there are too many")
        if self._ended:
            raise _WrongError("something stands behind the last line")
        told = _parsed(line)
        if not offset:
            self._take_head(told)
        elif "silent" in told:
            self._take_silent(told)
        elif told.get("kind") == "end":
            if _number(told, "hosts") != self.hosts:
                raise _WrongError("hosts are missing")
            self._ended = True
        else:
            result, _ = self._host(told)
            if result.host in self._places:
                raise _WrongError(f"the host {result.host!r} is there twice")
            self._places[result.host] = offset
            self.hosts += 1

    def _take_head(self, told: dict[str, Any]) -> None:
        if told.get("kind") != "resume":
            raise _WrongError("this is no file that a scan wrote to be resumed")
        if told.get("version") != VERSION:
            raise _WrongError(f"it has version {told.get('version')!r}, and {VERSION} is read here")
        self.started_ns = int(_number(told, "started_ns"))
        self.saved_ns = int(_number(told, "saved_ns"))
        self.targets = _texts(told, "targets")
        self.exclude = _texts(told, "exclude")
        self.options = _options(told.get("options", {}))
        self.settings = _settings(_mapping(told.get("settings"), "settings"))
        self._asked: dict[str, Sequence[int]] = {
            "tcp": self.settings.tcp_ports,
            "udp": self.settings.udp_ports,
        }

    def _take_silent(self, told: dict[str, Any]) -> None:
        from ipaddress import ip_address

        state = cast("HostState", _one_of(told.get("state"), _STATES, "state"))
        reason = _text(told.get("reason"), "reason")
        for text in _texts(told, "silent"):
            begin, _, end = text.partition("-")
            first, last = ip_address(begin), ip_address(end or begin)
            known = self._silent[first.version]
            if last.version != first.version or int(last) < int(first):
                raise _WrongError(f"{text!r} is no range of addresses")
            known.append((int(first), int(last), state, reason))
            self.hosts += int(last) - int(first) + 1
        for known in self._silent.values():
            if len(known) > _MAX_RANGES:
                raise _WrongError("there are too many ranges of addresses")

    def _silent_range(self, host: str) -> tuple[int, int, HostState, str] | None:
        from ipaddress import ip_address

        try:
            address = ip_address(host)
        except ValueError:
            return None
        known = self._silent[address.version]
        at = bisect_right(known, int(address), key=lambda one: one[0]) - 1
        if "%" in host or at < 0 or known[at][1] < int(address):
            return None
        return known[at]

    def _noted(self, host: str) -> tuple[HostResult, bool] | None:
        place = self._places.get(host)
        if place is None:
            return None
        self._file.seek(place)
        try:
            told = _parsed(self._file.readline(MAX_LINE + 1))
            found = self._host(told)
            if "os" in told:
                found[0].os = self._identified(host, told["os"])
        except (_WrongError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._refusal(place, error) from None
        return found

    def _identified(self, host: str, told: object) -> Identification:
        """Hold what was measured against the signatures of today."""
        from sockwright.identify.database import load_signatures
        from sockwright.identify.matching import match

        if self._signatures is None:
            self._signatures = load_signatures()
        measured, missing = _measured(told)
        return match(measured, self._signatures, host=host, missing=missing)

    def _host(self, told: dict[str, Any]) -> tuple[HostResult, bool]:
        """Return what a line says of a host, and whether that is all."""
        host = _text(told.get("host"), "host")
        state = cast("HostState", _one_of(told.get("state"), _STATES, "state"))
        result = HostResult(host, state, _text(told.get("reason"), "reason"))
        for name in HOST_NUMBERS:
            if name in told:
                number = _number(told, name)
                whole = name not in {"loss", "expected_misses"}
                setattr(result, name, int(number) if whole else float(number))
        result.names = _texts(told, "names")
        result.remarks = _texts(told, "remarks")
        result.mac = _text(told.get("mac", ""), "mac")
        complete = told.get("complete", True)
        result.complete = None if complete is None else _truth(complete, "complete")
        result.hops = tuple(map(_hop, _items(told.get("hops", []), "hops")))
        tables = _items(told.get("tables", []), "tables")
        if len(tables) > 2:
            raise _WrongError("a host has more than two tables")
        result.ports = tuple(_table(host, table, self._asked) for table in tables)
        for entry in _items(told.get("services", []), "services"):
            protocol, port, service = _items(entry, "services", 3)
            key = (_protocol(protocol), int(_bounded(port, 0, 65535, "port")))
            result.services[key] = _service(_mapping(service, "service"))
        if "os" in told:
            _measured(told["os"])  # what comes of it is made when the host is asked for
        return result, _truth(told.get("finished"), "finished")


# Tables of ports


def _table(host: str, told: object, asked: Mapping[str, Sequence[int]]) -> PortTable:
    told = _mapping(told, "tables")
    protocol = _protocol(told.get("protocol"))
    numbers = asked[protocol]
    if "ports" in told:
        numbers = _ports(told["ports"], "ports")
    table = PortTable(host, protocol, numbers, _reason(_items(told.get("silent"), "silent", 2)))
    table.tries = int(_number(told, "tries"))
    table.limited = _text(told.get("limited", ""), "limited")
    places = {number: at for at, number in enumerate(numbers)}
    for words, text in _mapping(told.get("known", {}), "known").items():
        reason = _reason(words.split(" "))
        for port in _ports(text, "known"):
            table.set(places[port], reason, 0)
    for entry in _items(told.get("evidence", []), "evidence"):
        port, word, state, attempt, rtt, ttl, sender = _items(entry, "evidence", 7)
        table.set(
            places[port],
            _reason([word, state]),
            int(_bounded(attempt, 0, 255, "try")),
            None if rtt is None else int(_bounded(rtt, 0, _MAX_RTT_US, "rtt")),
            None if ttl is None else int(_bounded(ttl, 0, 255, "ttl")),
            _text(sender, "sender"),
        )
    return table


def _reason(words: list[Any]) -> int:
    word, state = words
    try:
        return number_of(_text(word, "reason"), cast("PortState", _text(state, "state")))
    except KeyError:
        raise _WrongError(f"{word!r} is no reason for {state!r}") from None


def _protocol(found: object) -> Protocol:
    return cast("Protocol", _one_of(found, ("tcp", "udp"), "protocol"))


def _ports(found: object, name: str) -> tuple[int, ...]:
    """Read ascending ranges; as none may overlap, there are at most 65 536 numbers in them."""
    numbers: list[int] = []
    last = -1
    text = _text(found, name, MAX_LINE)
    for part in text.split(",") if text else ():
        begin, dash, end = part.partition("-")
        first, final = int(begin), int(end if dash else begin)
        if not last < first <= final <= 65535:
            raise _WrongError(f"{part!r} in {name} is no range of ports in ascending order")
        numbers += range(first, final + 1)
        last = final
    return tuple(numbers)


def _service(told: dict[str, Any]) -> Service:
    words: dict[str, Any] = {
        name: _text(told[name], name)
        for name in (
            "product", "version", "extra", "hostname", "os", "device", "banner",
        )
        if name in told
    }  # fmt: skip
    details = _mapping(told.get("details", {}), "details")
    return Service(
        _text(told.get("name"), "name"),
        _bounded(told.get("confidence"), 0, 1, "confidence"),
        cast("Any", _one_of(told.get("method"), ("table", "probed"), "method")),
        tunnel=cast("Any", _one_of(told.get("tunnel", ""), ("", "tls"), "tunnel")),
        cpe=_texts(told, "cpe"),
        details={_text(key, "details"): _text(details[key], "details") for key in details},
        **words,
    )


def _measured(told: object) -> tuple[dict[str, Value], tuple[str, ...]]:
    """Return what the tests of a system gave, and what could not be tested."""
    told = _mapping(told, "os")
    measured = _mapping(told.get("measured"), "measured")
    if len(measured) > _MAX_MEASURED:
        raise _WrongError("measured has too many entries")
    for name, value in measured.items():
        _text(name, "measured")
        if isinstance(value, int):
            _bounded(int(value), -_MAX_VALUE, _MAX_VALUE, "measured")
        else:
            _text(value, "measured")
    return measured, _texts(told, "missing")


def _hop(entry: object) -> Hop:
    ttl, host, name, rtt = _items(entry, "hops", 4)
    return Hop(
        int(_bounded(ttl, 0, 255, "ttl")),
        _text(host, "hops"),
        _text(name, "hops"),
        None if rtt is None else int(_bounded(rtt, 0, _MAX_NUMBER, "hops")),
    )


# Settings


def _settings(told: dict[str, Any]) -> Settings:
    found: dict[str, Any] = {}
    known = {field.name: field for field in fields(Settings)}
    for name, value in told.items():
        if name not in known or name in NOT_KEPT:
            raise _WrongError(f"{name!r} is no setting")
        if name in {"tcp_ports", "udp_ports"}:
            found[name] = _ports(value, name)
        elif name == "methods":
            found[name] = tuple(_one_of(one, _METHODS, name) for one in _items(value, name))
        else:
            types = plain_types(known[name].type)
            if types is None or type(value) not in types:
                raise _WrongError(f"{name} is {value!r}")
            if isinstance(value, int | float) and not isinstance(value, bool):
                _bounded(value, 0, _MAX_NUMBER, name)
            elif isinstance(value, str):
                _text(value, name)
            found[name] = value
    if "discovery" in found:
        _one_of(found["discovery"], _DISCOVERY, "discovery")
    try:
        return Settings(**found)
    except SettingError as error:
        raise _WrongError(str(error)) from None


def _options(told: object) -> dict[str, Any]:
    found = _mapping(told, "options")
    for name, value in found.items():
        if isinstance(value, list):
            _texts(found, name)
        elif isinstance(value, str):
            _text(value, name)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            _bounded(value, -_MAX_NUMBER, _MAX_NUMBER, name)
        elif not isinstance(value, bool | None):
            raise _WrongError(f"{name} is {value!r}")
    return found


# Values


def _parsed(line: bytes) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise _WrongError("a line does not end")
    return _mapping(json.loads(line), "a line")


def _mapping(found: object, name: str) -> dict[str, Any]:
    if not isinstance(found, dict) or len(found) > _MAX_ITEMS:
        raise _WrongError(f"{name} should be an object")
    return found


def _items(found: object, name: str, count: int | None = None) -> list[Any]:
    if not isinstance(found, list) or len(found) > _MAX_ITEMS:
        raise _WrongError(f"{name} should be a list")
    if count is not None and len(found) != count:
        raise _WrongError(f"{name} should have {count} entries, not {len(found)}")
    return found


def _text(found: object, name: str, most: int = _MAX_TEXT) -> str:
    if not isinstance(found, str) or len(found) > most:
        raise _WrongError(f"{name} should be a text of at most {most} characters")
    return found


def _texts(told: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(_text(one, name) for one in _items(told.get(name, []), name))


def _truth(found: object, name: str) -> bool:
    if not isinstance(found, bool):
        raise _WrongError(f"{name} should be true or false")
    return found


def _one_of(found: object, choices: tuple[str, ...], name: str) -> str:
    if not isinstance(found, str) or found not in choices:
        raise _WrongError(f"{name} is {found!r}, not one of {', '.join(choices)}")
    return found


def _number(told: Mapping[str, Any], name: str) -> float:
    return _bounded(told.get(name), 0, _MAX_NUMBER, name)


def _bounded(found: object, least: float, most: float, name: str) -> float:
    """Return a number as it is; integers stay such."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise _WrongError(f"{name} should be a number")
    # This is true of no NaN either. What is wrong is not shown: it may have thousands of digits.
    if not least <= found <= most:
        raise _WrongError(f"{name} is outside {least} to {most}")
    return found
