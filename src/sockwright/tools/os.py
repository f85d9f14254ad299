"""Say what system a host runs, by its answers to probes or by what is overheard.

Group: look
Stands in for: nmap -O, p0f

The ports that the probes need are looked for among those that are often open, unless they are
given. A host gets some twenty packets of odd shapes, most of them twice or three times. Sixteen
hosts are asked at once.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from sockwright.errors import SockwrightError
from sockwright.tools._os_flags import add_arguments, read_words
from sockwright.tools._os_passive import overhear
from sockwright.tools._os_settings import check, make_ports, read_targets
from sockwright.tools._rows import Progress, Remark

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Iterator, Sequence

    from sockwright.identify.finding import Ports
    from sockwright.identify.identification import Identification
    from sockwright.identify.many import FindPorts
    from sockwright.scan.targets import Targets
    from sockwright.tools._flags import Arguments

__all__ = ["LearnedRow", "OsView", "SystemRow", "arguments", "quick_arguments", "run"]

EXAMPLES = (
    ("sw os 127.0.0.1", "what this machine looks like from outside"),
    ("sw os --explain -p 22 127.0.0.1", "every test that speaks for it or not, by port 22"),
    ("sw os -p ssh,http,https localhost", "by the first of these ports that is open"),
    ("sw os --passive capture.pcap", "what the hosts in a capture tell of themselves"),
    ("sw os -i lo --duration 0.2", "what is overheard at an interface in a fifth of a second"),
    ("sw os --json --measured 127.0.0.1", "for programs, and what each test gave"),
)


class OsView:
    """Tells the page what was asked for; it is no row of the output."""

    aside = True
    __slots__ = ("args",)

    def __init__(self, args: Arguments) -> None:
        self.args = args

    def __str__(self) -> str:
        return ""


class SystemRow:
    """What one host is; `ports` are those that the probes went to."""

    __slots__ = ("explained", "found", "measured", "name", "ports")

    def __init__(
        self,
        found: Identification,
        ports: Ports,
        name: str,
        *,
        explained: bool,
        measured: bool,
    ) -> None:
        self.found = found
        self.ports = ports
        self.name = name
        self.explained = explained
        self.measured = measured

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        row = self.found.as_dict()
        if not self.explained:
            del row["explanation"]
        if not self.measured:
            del row["measured"]
        ports = {
            "open": self.ports.open,
            "closed": self.ports.closed,
            "closed_udp": self.ports.closed_udp,
        }
        return {"kind": "system", "name": self.name, **row, "ports": ports}


class LearnedRow:
    """A signature that was written."""

    __slots__ = ("name", "path", "tests")

    def __init__(self, name: str, path: str, tests: int) -> None:
        self.name = name
        self.path = path
        self.tests = tests

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {"kind": "learned", "name": self.name, "path": self.path, "tests": self.tests}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_arguments(parser)


def quick_arguments(words: Sequence[str]) -> Arguments | None:
    """Return what `arguments` would make of `words`; None where it asks for help."""
    return read_words(words)


def run(args: Arguments) -> Generator[object, None, int]:
    """Yield what each host is.

    Raises: UsageError, NotPossibleError: CAP_NET_RAW is missing, SockwrightError, OSError.
    """
    check(args)
    yield OsView(args)
    if args.passive is not None or args.interface is not None:
        return (yield from overhear(args))
    from sockwright.identify.probing import check_privilege

    find = _finder(args)
    targets = read_targets(args)
    check_privilege()
    for text, why in targets.refused:
        yield Remark(f"{text} {why}")
    if args.learn is not None:
        yield _learn(args, str(targets[0]), find)
        return 0
    return (yield from _systems(args, targets, find))


def _systems(args: Arguments, targets: Targets, find: FindPorts) -> Generator[object, None, int]:
    """Probe the hosts, several at once, and yield a row for each as soon as it is known."""
    from sockwright.identify.many import probe_hosts

    names = {}

    def addresses() -> Iterator[str]:
        for target in targets:
            names[str(target)] = target.name
            yield str(target)

    failed = done = 0
    yield Progress(lambda: done / len(targets))
    rows = probe_hosts(addresses(), find=find, timeout=args.timeout)
    with closing(rows):
        for done, row in enumerate(rows, 1):  # noqa: B007  # the progress looks at it
            name = names.pop(row.host, "")
            if row.found is not None and row.ports is not None:
                yield SystemRow(
                    row.found, row.ports, name, explained=args.explain, measured=args.measured
                )
            elif row.error is not None:
                if len(targets) == 1:
                    raise row.error
                failed = 1
                yield Remark(f"{row.host}: {row.error}")
    return failed


def _finder(args: Arguments) -> FindPorts:
    """Return what finds the ports of a host. Raises: UsageError."""
    from sockwright.identify.finding import find_ports

    ports, closed, closed_udp = make_ports(args)
    find = partial(find_ports, closed_port=closed, closed_udp_port=closed_udp)
    # One port is taken for what the user says it is; whether it is open shows by its answers.
    return partial(find, open_port=ports[0]) if len(ports) == 1 else partial(find, among=ports)


def _learn(args: Arguments, host: str, find: FindPorts) -> LearnedRow:
    """Measure a host twice and write its signature. Raises: SockwrightError: no answer."""
    from datetime import UTC, datetime

    from sockwright.identify.active.measuring import measure
    from sockwright.identify.learning import check_free, expect, save
    from sockwright.identify.probing import ask
    from sockwright.identify.signature import Provenance, Signature

    check_free(args.learn, replace=args.replace)
    ports = find(host, charge=None, wake=None)
    if ports.open is None:
        raise SockwrightError(
            f"{host}: no open TCP port was found, without which little is measured; -p names one"
        )
    measured = [
        measure(
            ask(
                host,
                open_port=ports.open,
                closed_port=ports.closed,
                closed_udp_port=ports.closed_udp,
                timeout=args.timeout,
            )
        )
        for _ in range(2)
    ]
    tests = expect(measured)
    if "syn_ack.options" not in tests:
        raise SockwrightError(f"{host}: TCP {ports.open} is not open: nothing is learned")
    signature = Signature(
        name=args.learn,
        family=args.family or args.learn.split()[0],
        provenance=Provenance(
            "learned", f"a host that runs {args.learn}", datetime.now(UTC).date().isoformat(),
            "sw os --learn",
        ),
        tests=tests,
    )  # fmt: skip
    return LearnedRow(args.learn, str(save(signature, replace=args.replace)), len(tests))
