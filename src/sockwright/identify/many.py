"""Probe many hosts, some of them at once.

A host takes a second or ten, nearly all of it waiting: for the tenth of a second between its
SYNs, for answers that got lost. So each host has a thread, with sockets of its own.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from select import EPOLLIN, POLLIN, epoll, poll
from typing import TYPE_CHECKING, Final

from sockwright.errors import SockwrightError
from sockwright.identify.finding import find_ports
from sockwright.identify.probing import check_privilege, probe

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from typing import Protocol

    from sockwright.identify.finding import Ports
    from sockwright.identify.identification import Identification
    from sockwright.identify.signature import Signature

    Charge = Callable[[int, float], float]

    class FindPorts(Protocol):
        """What finds the ports of a host, as `find_ports` does."""

        def __call__(self, host: str, /, *, charge: Charge | None, wake: int | None) -> Ports: ...


__all__ = ["AT_ONCE", "Probed", "probe_hosts"]

AT_ONCE: Final = 16
"""Hosts at the same time: some three hundred packets a second, all told."""


@dataclass(frozen=True, slots=True)
class Probed:
    """One host: what it is, by which ports, or the `error` that kept it from being asked.

    `found` and `ports` are None then, and where it was not asked to the end.
    """

    host: str
    found: Identification | None = None
    ports: Ports | None = None
    error: OSError | SockwrightError | None = None


def probe_hosts(
    hosts: Iterable[str],
    *,
    find: FindPorts = find_ports,
    signatures: Sequence[Signature] | None = None,
    timeout: float = 30.0,
    at_once: int = AT_ONCE,
    charge: Callable[[str], Charge] | None = None,
    wake: int | None = None,
) -> Generator[Probed, None, None]:
    """Find out what systems `hosts` run, `at_once` at the same time; rows come as they are known.

        for row in probe_hosts(["10.0.0.2", "10.0.0.3"]):
            print(row.host, row.found.best if row.found else row.error)

    `hosts` are addresses, and read as they are needed. `find` gives the ports that the probes go
    to, and is called in a thread, with `charge` and `wake` as `find_ports` has them; `signatures`
    and `timeout` are those of `probe`, and `charge` gives that of a host, for its ports and its
    probes, which is called in threads, too. It blocks while it waits. Leaving the iteration ends
    what is under way, within two seconds; so does the descriptor `wake` when it becomes readable,
    but then rows come still, without what was not asked to the end.

    Raises:
        NotPossibleError: CAP_NET_RAW is missing.
        SignatureError: a file of signatures is not well formed.
        ValueError: `at_once` is below 1.
    """
    from sockwright.identify.database import load_signatures

    if at_once < 1:
        raise ValueError(f"at least one host is probed at once, not {at_once}")
    check_privilege()
    known = load_signatures() if signatures is None else signatures

    def ask(host: str, ending: int) -> Probed:
        ended = poll()
        ended.register(ending, POLLIN)
        of_host = None if charge is None else charge(host)
        try:
            ports = find(host, charge=of_host, wake=ending)
            found = probe(
                host,
                open_port=ports.open,
                closed_port=ports.closed,
                closed_udp_port=ports.closed_udp,
                signatures=known,
                timeout=timeout,
                charge=of_host,
                wake=ending,
            )
        except (OSError, SockwrightError) as error:
            return Probed(host, error=error)
        return Probed(host) if ended.poll(0) else Probed(host, found, ports)

    return _in_threads(hosts, ask, at_once, wake)


def _in_threads(
    hosts: Iterable[str],
    ask: Callable[[str, int], Probed],
    at_once: int,
    wake: int | None = None,
) -> Generator[Probed, None, None]:
    """Give what `ask` returns for each host; a descriptor that it gets tells it to end early.

    It becomes readable when `wake` does, and when nobody wants rows any more.
    """
    import os
    from queue import SimpleQueue
    from threading import Thread

    todo: SimpleQueue[str | None] = SimpleQueue()
    done: SimpleQueue[Probed | BaseException] = SimpleQueue()

    def work() -> None:
        while (host := todo.get()) is not None:
            try:
                done.put(ask(host, ending.fileno()))
            except BaseException as error:  # it is raised where rows are taken
                done.put(error)

    left = iter(hosts)
    threads: list[Thread] = []
    under_way = 0
    with ExitStack() as opened:
        left_alone = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        opened.callback(os.close, left_alone)
        ending = opened.enter_context(epoll())
        for descriptor in (left_alone, wake):
            if descriptor is not None:
                ending.register(descriptor, EPOLLIN)
        try:
            while True:
                while under_way < at_once and (host := next(left, None)) is not None:
                    if under_way == len(threads):
                        thread = Thread(target=work, name=f"sockwright-identify-{under_way}")
                        thread.start()
                        threads.append(thread)
                    todo.put(host)
                    under_way += 1
                if not under_way:
                    return
                row = done.get()
                under_way -= 1
                if isinstance(row, BaseException):
                    raise row
                yield row
        finally:
            while not todo.empty():
                todo.get()
            os.eventfd_write(left_alone, 1)
            for _ in threads:
                todo.put(None)
            for thread in threads:
                thread.join()
