"""What a scan knew when it was stopped: written at Ctrl-C, read by ``--resume``, port by port.

The file is JSON lines: the first tells how the scan was asked for, each of the next what is known
of a host (or of a range of hosts that kept silent), the last counts them. Rules:

1. `ResumeNotes` takes hosts as they are finished and keeps them small: silent ones four octets
   each, others compressed. A scan of 65 536 hosts with 100 ports each takes a few MiB so.
2. Of each port the state and reason are kept, as ranges; which try was answered, when and with
   which TTL only for open ports, and where a reason has few (`rows.FEW`).
3. A file is created anew, for its owner alone (mode 0600), and removed again if it cannot be
   written whole. One without its last line is refused.
4. Of the system of a host it keeps what was measured, not what was made of that: who reads the
   file holds it against the signatures there are then.
5. Who reads a file need not trust it (`resumed`): everything in it is checked and bounded, and it
   names no file and no program.
"""

from __future__ import annotations

import json
import os
from array import array
from contextlib import suppress
from dataclasses import fields, replace
from errno import EEXIST
from time import gmtime, strftime, time_ns
from typing import TYPE_CHECKING, Any, Final

from sockwright.scan.reasons import REASONS
from sockwright.scan.rows import FEW, ranges

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sockwright.scan.port_table import PortTable
    from sockwright.scan.results import HostResult
    from sockwright.scan.settings import Settings

__all__ = ["HOST_NUMBERS", "NOT_KEPT", "VERSION", "ResumeNotes", "plain_types"]

VERSION: Final = 1
NOT_KEPT: Final = frozenset({"evidence", "overwrite"})
"""Settings about files, which are named anew: a file from a stranger must not name one."""
_OWN_WORDS: Final = frozenset({"no-route", "localhost-response"})
_RANGES_IN_A_LINE = 1000
HOST_NUMBERS: Final = (
    "ttl",
    "rtt_ns",
    "loss",
    "expected_misses",
    "probes",
    "answers",
    "started_ns",
    "ended_ns",
)
"""The numbers that a host's line has, under their names in `HostResult`."""


class ResumeNotes:
    """Notes what a scan knows, to be saved if it is stopped.

    `targets` and `exclude` are the words the user gave; `options` is what else the caller wants to
    find again: flat, of texts, numbers, truths and lists of texts.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        targets: Sequence[str],
        exclude: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        started_ns: int = 0,
    ) -> None:
        import zlib

        self._settings = settings
        self._head = {
            "kind": "resume",
            "version": VERSION,
            "started_ns": started_ns,
            "targets": list(targets),
            "exclude": list(exclude),
            "options": dict(options or {}),
        }
        self._ports: dict[str, Sequence[int]] = {
            "tcp": settings.tcp_ports,
            "udp": settings.udp_ports,
        }
        self._silent4: dict[tuple[str, str], array[int]] = {}
        self._silent6: dict[tuple[str, str], list[int]] = {}
        self._compressor = zlib.compressobj(1)
        self._pieces: list[bytes] = []
        self.hosts = 0

    def host(self, result: HostResult, *, finished: bool = True) -> None:
        """Note a host: a finished one will not be asked again, of another only what is unknown."""
        self.hosts += 1
        if finished and _is_plain(result) and self._note_silent(result):
            return
        told = _host_as_dict(result, self._ports, finished=finished)
        line = json.dumps(told, separators=(",", ":")) + "\n"
        self._pieces.append(self._compressor.compress(line.encode()))

    def save(self, path: str = "", *, seed: int | None = None) -> str:
        """Write the file and return its path; without one, a new name in this folder is taken.

        `seed` is what the scan went by, where the settings left that to it (`Summary.seed`).

        Raises: FileExistsError; OSError as open(2) and write(2), and then there is no file.
        """
        if path:
            names = iter((path,))
        else:
            name = strftime("sockwright-scan-%Y%m%d-%H%M%S", gmtime())
            names = (f"{name}{'' if n == 1 else f'-{n}'}.resume" for n in range(1, 100))
        for name in names:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            try:
                descriptor = os.open(name, flags, 0o600)
            except FileExistsError:
                last_one_taken = name
                continue
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.writelines(self._lines(seed))
                    file.flush()
                    os.fsync(descriptor)
            except BaseException as error:
                with suppress(OSError):
                    os.unlink(name)  # noqa: PTH108  # pathlib is not needed for one call
                if isinstance(error, OSError) and error.filename is None:
                    error.filename = name
                raise
            return name
        raise FileExistsError(
            EEXIST, "it is there already, and is not written over", last_one_taken
        )

    def _lines(self, seed: int | None) -> Iterator[bytes]:
        import zlib

        settings = self._settings if seed is None else replace(self._settings, seed=seed)
        head = {"saved_ns": time_ns(), "settings": _settings_as_dict(settings)}
        yield _line(self._head | head)
        # The stream goes on after this: what is saved is a copy, ended.
        ending = self._compressor.copy().flush()
        decompressor = zlib.decompressobj()
        for piece in (*self._pieces, ending):
            yield decompressor.decompress(piece)
        yield decompressor.flush()
        for version, silent in ((4, self._silent4), (6, self._silent6)):
            for (state, reason), numbers in silent.items():
                texts = _address_ranges(version, sorted(numbers))
                for at in range(0, len(texts), _RANGES_IN_A_LINE):
                    part = texts[at : at + _RANGES_IN_A_LINE]
                    yield _line({"silent": part, "state": state, "reason": reason})
        yield _line({"kind": "end", "hosts": self.hosts})

    def _note_silent(self, result: HostResult) -> bool:
        """Note a host of which nothing is known but that; False if its address has a zone."""
        from socket import AF_INET, AF_INET6, inet_pton

        key = (result.state, result.reason)
        try:
            if ":" in result.host:
                number = int.from_bytes(inet_pton(AF_INET6, result.host), "big")
                self._silent6.setdefault(key, []).append(number)
            else:
                number = int.from_bytes(inet_pton(AF_INET, result.host), "big")
                self._silent4.setdefault(key, array("I")).append(number)
        except OSError:
            return False
        return True


def _line(told: dict[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def _is_plain(result: HostResult) -> bool:
    return (
        result.state == "down"
        and not (result.names or result.mac or result.ports or result.remarks or result.hops)
        and result.complete is not False
        and not result.answers
    )


def _address_ranges(version: int, numbers: Sequence[int]) -> list[str]:
    from ipaddress import IPv4Address, IPv6Address

    kind = IPv4Address if version == 4 else IPv6Address
    found: list[str] = []
    at = 0
    while at < len(numbers):
        end = at
        while end + 1 < len(numbers) and numbers[end + 1] <= numbers[end] + 1:
            end += 1
        first, last = kind(numbers[at]), kind(numbers[end])
        found.append(f"{first}" if first == last else f"{first}-{last}")
        at = end + 1
    return found


def _settings_as_dict(settings: Settings) -> dict[str, Any]:
    """Return the settings that `resumed` knows how to check."""
    told: dict[str, Any] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name in {"tcp_ports", "udp_ports"}:
            told[field.name] = ranges(sorted(value))
        elif field.name == "methods":
            told[field.name] = list(value)
        elif field.name not in NOT_KEPT and plain_types(field.type) is not None:
            told[field.name] = value
    return told


def plain_types(annotation: object) -> tuple[type, ...] | None:
    """Return the types of a field such as ``float | None``; None where it has others."""
    known = {
        "int": (int,),
        "float": (float, int),
        "bool": (bool,),
        "str": (str,),
        "Discovery": (str,),
        "None": (type(None),),
    }
    found: list[type] = []
    for word in str(annotation).split(" | "):
        if word not in known:
            return None
        found += known[word]
    return tuple(found)


# What is known of a host, as the file has it


def _host_as_dict(
    result: HostResult, asked: Mapping[str, Sequence[int]], *, finished: bool
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "host": result.host,
        "state": result.state,
        "reason": result.reason,
        "finished": finished,
    }
    for name in HOST_NUMBERS:
        if (number := getattr(result, name)) is not None:
            told[name] = number
    for name in ("names", "remarks"):
        if texts := getattr(result, name):
            told[name] = list(texts)
    if result.mac:
        told["mac"] = result.mac
    if result.complete is not True:
        told["complete"] = result.complete
    if result.hops:
        told["hops"] = [[hop.ttl, hop.host, hop.name, hop.rtt_ns] for hop in result.hops]
    if result.ports:
        told["tables"] = [
            _table_as_dict(table, asked[table.protocol], finished=finished)
            for table in result.ports
        ]
    if result.os is not None:
        told["os"] = {"measured": result.os.measured, "missing": list(result.os.missing)}
    if result.services:
        from sockwright.scan.rows import service_row

        told["services"] = [
            [protocol, port, service_row(service)]
            for (protocol, port), service in result.services.items()
        ]
    return told


def _table_as_dict(table: PortTable, asked: Sequence[int], *, finished: bool) -> dict[str, Any]:
    silent = REASONS[table.silent]
    told: dict[str, Any] = {
        "protocol": table.protocol,
        "tries": table.tries,
        "silent": [silent.word, silent.state],
    }
    if table.limited:
        told["limited"] = table.limited
    if table.numbers is not asked and tuple(table.numbers) != tuple(asked):
        told["ports"] = ranges(sorted(table.numbers))
    known: dict[str, str] = {}
    evidence: list[list[Any]] = []
    for number in table.counts():
        word, state, _ = REASONS[number]
        places = [at for at in table.at_reason(number) if table.known(at)]
        # What was not asked is to be asked yet. What this machine itself said, that it had no route
        # or held the port, may be otherwise next time; a router's word has answered a try.
        if not finished and word in _OWN_WORDS:
            places = [at for at in places if table.row(at).attempt]
        if not places or word == "not-asked":
            continue
        if state == "open" or len(places) <= FEW:
            for port in map(table.row, places):
                rtt = None if port.rtt_ns is None else port.rtt_ns // 1000
                evidence.append([port.port, word, state, port.attempt, rtt, port.ttl, port.sender])
        else:
            known[f"{word} {state}"] = ranges(sorted(table.numbers[at] for at in places))
    if known:
        told["known"] = known
    if evidence:
        told["evidence"] = evidence
    return told
