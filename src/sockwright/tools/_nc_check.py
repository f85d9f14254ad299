"""`sw nc -z`: a row for each port, whether it is open.

The status is 0 when every port is open, 1 when one is not. Of many ports people are shown those
that are not closed, and how many there were; programs (--json) and -v get all of them.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sockwright.errors import UsageError
from sockwright.nc.checking.check_ports import DEFAULT_RATE, check_path, check_ports
from sockwright.nc.checking.ports import parse_ports
from sockwright.nc.ends import SocketEnd, is_end, parse_end
from sockwright.tools._nc_values import duration
from sockwright.tools._nc_where import family, peer, wants_tls
from sockwright.tools._rows import Remark

if TYPE_CHECKING:
    from collections.abc import Generator

    from sockwright.sockets.endpoint import Endpoint
    from sockwright.tools._flags import Arguments

__all__ = ["checking"]

_PATIENCE = 3.0  # seconds
_FEW = 32  # ports that are all shown
_FAMILIES = {0: 0, 4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(slots=True)
class _Question:
    """Which ports of which host."""

    host: str
    ports: list[int] = field(default_factory=list)
    udp: bool = False


def checking(args: Arguments) -> Generator[object, None, int]:
    """Yield a row for each port; return the exit status.

    Raises: UsageError; OSError: the name does not resolve, or this host can check nothing.
    """
    if flag := wants_tls(args):
        raise UsageError(f"-z only connects, and {flag} would never begin; leave it out")
    if args.unix or (args.words and args.words[0].startswith("unix")):
        yield (row := check_path(_path(args)))
        return int(row.state != "open")
    question = _question(args)
    if args.random:
        from random import shuffle

        shuffle(question.ports)
    rows = check_ports(
        question.host,
        question.ports,
        udp=question.udp,
        family=_FAMILIES[family(args)],
        local=args.source or "",
        timeout=_timeout(args),
        rate=DEFAULT_RATE if args.delay is None else 1 / duration(args.delay, "-i", least=0.0001),
    )
    counts: dict[str, int] = {}
    shows_all = args.json or args.verbose > 0 or len(question.ports) <= _FEW
    try:
        for row in rows:
            counts[row.state] = counts.get(row.state, 0) + 1
            if not args.quiet and (shows_all or row.state == "open"):
                yield row
    finally:
        rows.close()
    if not shows_all and not args.quiet:
        told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        yield Remark(f"{len(question.ports)} ports of {question.host}: {told} (-v shows all)")
    return int(bool(counts.keys() - {"open", "open|filtered"}))


def _timeout(args: Arguments) -> float:
    limit = args.limit if args.limit is not None else args.wait
    return _PATIENCE if limit is None else duration(limit, "-w", least=0.001)


def _path(args: Arguments) -> Endpoint:
    end = peer(args)
    if not isinstance(end, SocketEnd):
        raise UsageError(f"{end} has no ports; what fits: sw nc -z HOST PORTS")
    return end.endpoint


def _question(args: Arguments) -> _Question:
    words = args.words
    if words and is_end(words[0]):
        end = parse_end(words[0])
        if len(words) > 1:
            raise UsageError(f"{words[0]} says it all, {words[1]!r} is too much")
        if not isinstance(end, SocketEnd) or end.endpoint.scheme not in {"tcp", "udp"} or end.tls:
            raise UsageError(f"-z asks for ports of TCP or UDP; {end} is something else")
        endpoint = end.endpoint
        host = f"{endpoint.host}%{endpoint.zone}" if endpoint.zone else endpoint.host
        return _Question(host or "127.0.0.1", [endpoint.port], udp=endpoint.scheme == "udp")
    if len(words) < 2:
        what = f"PORTS of {words[0]} are missing" if words else "HOST and PORTS are missing"
        raise UsageError(f"{what}: sw nc -z {words[0] if words else 'HOST'} 20-25,80,http")
    host = words[0][1:-1] if words[0].startswith("[") and words[0].endswith("]") else words[0]
    question = _Question(host, udp=args.udp)
    for text in words[1:]:
        question.ports += parse_ports(text, "udp" if args.udp else "tcp")
    if args.numeric:
        _check_numeric(host)
    return question


def _check_numeric(host: str) -> None:
    for kind in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(kind, host.partition("%")[0])
        except OSError:
            continue
        return
    raise UsageError(f"-n looks up no names, and {host!r} is one, no address")
