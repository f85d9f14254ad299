"""`dump`: the sockets of this machine as typed rows.

Rules: everything is asked of the kernel before `dump` returns, and no descriptor stays open, so it
does not matter when, or whether, a caller goes through the rows. Till then they are the octets that
the kernel wrote, 130 for a TCP socket; a row is made when it is its turn. A dump that the kernel
calls interrupted is repeated, three tries at most. A socket that the kernel told of twice (no dump
is a snapshot) is one row, the later one. What could not be listed is not silently empty:
`Dump.remarks` says it.
"""

# ruff: noqa: SLF001  # classes of rows say where their numbers stand, for this module alone

from __future__ import annotations

import errno
from _collections_abc import Iterator  # collections.abc, without the rest of collections
from itertools import chain, repeat

from sockwright.errors import NotPossibleError, UsageError
from sockwright.sockets.diag.errand import errand
from sockwright.sockets.diag.inet import extensions_for
from sockwright.sockets.diag.lookup import lookup
from sockwright.sockets.diag.netlink import BOTH_FAMILIES, BY_FAMILY, DumpInterrupted, SockDiag
from sockwright.sockets.diag.remarks import (
    Remark,
    has_protocol,
    hidden,
    interrupted,
    missing,
    no_protocol,
)
from sockwright.sockets.diag.states import ALL, BOUND_INACTIVE, state_mask
from sockwright.sockets.diag.tables import TABLES, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal, TypedDict, Unpack, overload

    from sockwright.sockets.diag.filter import Condition, SocketFilter
    from sockwright.sockets.diag.inet import (
        InetSocket,
        MPTCPSocket,
        RawSocketRow,
        SCTPSocket,
        TCPSocket,
        UDPLiteSocket,
        UDPSocket,
    )
    from sockwright.sockets.diag.netlink import Messages
    from sockwright.sockets.diag.netlink_table import NetlinkSocket
    from sockwright.sockets.diag.packet import PacketSocketRow
    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.tables import InetTableName, Row_co, Table
    from sockwright.sockets.diag.unix import UnixSocket
    from sockwright.sockets.diag.vsock import VSockSocket

    class Selection(TypedDict, total=False):
        """The keywords of `dump`, for type checkers."""

        where: str | Condition | SocketFilter
        states: str | Iterable[str] | None
        family: str | None
        info: bool
        memory: bool
        options: bool
        processes: bool
        namespace: int | str | None


__all__ = ["Dump", "Remark", "as_filter", "dump", "lookup"]

_TRIES = 3
# The kernel keeps sockets that are merely bound in a table of their own, and looks through that for
# a fifth of the time that all others take: only for those who ask, and then beside the others.
_USUAL = ALL & ~BOUND_INACTIVE
# The kernel was built without sock_diag, or something forbids its sockets.
_NO_DIAG = {errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EACCES, errno.EPERM}
# It cannot list these sockets: no module for the protocol, or an older sock_diag.
_UNLISTED = {errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT}
# It lists them, but does not run this program: an operation of it is newer, or compares marks,
# which takes CAP_NET_ADMIN.
_NO_PROGRAM = {errno.EINVAL, errno.EPERM}


class Dump(Iterator["Row_co"]):
    """The rows of a listing, each once; an iterator.

    `remarks` is what there is to say beside them: what cannot be listed, what is uneven or hidden.
    """

    __slots__ = ("_rows", "remarks")

    def __init__(self, rows: Iterator[Row_co], remarks: list[Remark]) -> None:
        self._rows = rows
        self.remarks = remarks

    def __iter__(self) -> Iterator[Row_co]:  # without a call for each row
        """Return an iterator over the rows that are left."""
        return self._rows

    def __next__(self) -> Row_co:
        """Return the next row."""
        return next(self._rows)

    def __repr__(self) -> str:
        return f"<Dump, an iterator of rows; remarks={self.remarks!r}>"


if TYPE_CHECKING:  # which rows come from which tables

    @overload
    def dump(table: Literal["tcp"], /, **selection: Unpack[Selection]) -> Dump[TCPSocket]: ...
    @overload
    def dump(table: Literal["mptcp"], /, **selection: Unpack[Selection]) -> Dump[MPTCPSocket]: ...
    @overload
    def dump(table: Literal["udp"], /, **selection: Unpack[Selection]) -> Dump[UDPSocket]: ...
    @overload
    def dump(
        table: Literal["udplite"], /, **selection: Unpack[Selection]
    ) -> Dump[UDPLiteSocket]: ...
    @overload
    def dump(table: Literal["raw"], /, **selection: Unpack[Selection]) -> Dump[RawSocketRow]: ...
    @overload
    def dump(table: Literal["sctp"], /, **selection: Unpack[Selection]) -> Dump[SCTPSocket]: ...
    @overload
    def dump(table: Literal["unix"], /, **selection: Unpack[Selection]) -> Dump[UnixSocket]: ...
    @overload
    def dump(
        table: Literal["packet"], /, **selection: Unpack[Selection]
    ) -> Dump[PacketSocketRow]: ...
    @overload
    def dump(
        table: Literal["netlink"], /, **selection: Unpack[Selection]
    ) -> Dump[NetlinkSocket]: ...
    @overload
    def dump(table: Literal["vsock"], /, **selection: Unpack[Selection]) -> Dump[VSockSocket]: ...
    @overload
    def dump(
        table: InetTableName, /, *tables: InetTableName, **selection: Unpack[Selection]
    ) -> Dump[InetSocket]: ...
    @overload
    def dump(*tables: str, **selection: Unpack[Selection]) -> Dump[SocketRow]: ...


def dump(
    *tables: str,
    where: str | Condition | SocketFilter = "",
    states: str | Iterable[str] | None = None,
    family: str | None = None,
    info: bool = False,
    memory: bool = False,
    options: bool = False,
    processes: bool = False,
    namespace: int | str | None = None,
) -> Dump[SocketRow]:
    """List the sockets of this machine, or of the network namespace that is named.

    `tables` are of "tcp", "mptcp", "udp", "udplite", "raw", "sctp", "unix", "packet", "netlink" and
    "vsock"; none of them means all. `where` is a filter in the language of ss(8), or one made of
    expressions (`sockwright.sockets.diag.filter`); the kernel itself applies it to TCP, UDP and
    their kin. `states` are words such as "established", "listening" or "all", or as rows have them
    ("ESTAB"); None means those of `where`, or all but "bound-inactive": TCP sockets that have a
    port and do nothing with it.
    `family` is "inet", "inet6", "unix" ...: no others.

    The kernel tells more when asked: with `info` TCP_INFO and the congestion control, with `memory`
    what buffers hold, with `options` traffic classes. `processes` finds who holds each socket.
    `namespace` is the number of a process, a name of ``ip netns``, or a path.

    Raises:
        UsageError: there is no such table, state, family or namespace.
        FilterError: `where` is wrong.
        NotPossibleError: the namespace is closed to this user; no /proc for `processes`; `where`
            asks for a mark, which the kernel tells to processes with CAP_NET_ADMIN only.
        TypeError: an argument is of another type than these.
        OSError: as the kernel says.
        TimeoutError: the kernel does not answer.
    """
    if family is not None:
        _check_family(family)
    chosen = [table(name) for name in tables] or list(TABLES.values())
    extensions = extensions_for(info=info, memory=memory, options=options)
    mask = None if states is None else state_mask(states)
    wanted = as_filter(where, family, namespace)
    listing = _Listing(mask, wanted, family, extensions, namespace)
    try:
        diag = SockDiag(namespace)
    except OSError as error:
        if error.errno not in _NO_DIAG:
            raise
        for one in chosen:
            listing.fall_back(one, named=bool(tables))
        if processes:
            listing.find_processes()
    else:
        with diag:
            for one in chosen:
                listing.ask(diag, one, named=bool(tables))
            if processes:  # before it is closed: this socket is among those that were listed
                listing.find_processes()
    return Dump(chain.from_iterable(listing.answers), listing.remarks)


class _Listing:
    """What is asked of each table, and what came: `answers`, iterators of rows, and `remarks`."""

    __slots__ = (
        "_extensions",
        "_families",
        "_filter",
        "_namespace",
        "_states",
        "answers",
        "remarks",
    )

    def __init__(
        self,
        states: int | None,
        where: SocketFilter | None,
        family: str | None,
        extensions: int,
        namespace: int | str | None,
    ) -> None:
        self.answers: list[Iterator[SocketRow]] = []
        self.remarks: list[Remark] = []
        self._states = _USUAL if states is None else states
        self._families = None if family is None else frozenset((family,))
        self._filter = None
        self._extensions = extensions
        self._namespace = namespace
        if where is not None:
            if where.states is not None:
                self._states = where.states & (where.states if states is None else states)
            if where.families is not None:
                self._families = where.families & (self._families or where.families)
            if where.condition is not None:
                self._filter = where

    def ask(self, diag: SockDiag, of: Table, *, named: bool) -> None:
        """Ask sock_diag for the sockets of a table, or read of them in /proc.

        `named` says that someone wants just this table, and is to hear of it in any case.

        Raises:
            NotPossibleError, OSError, TimeoutError: as `dump` does.
        """
        families = self._families_of(of)
        if not families:
            return
        # A kernel older than MPTCP would take the request for one for raw sockets.
        if of.name == "mptcp" and not has_protocol(of.name):
            self.fall_back(of, named=named)
            return
        programs = [self._program(of, family) for family in families]
        try:
            if of.name != "tcp" or len(families) != 2 or programs[0] != programs[1]:
                for family, program in zip(families, programs, strict=True):
                    self._ask_for(diag, of, family, program)
            else:
                self._ask_for_both(diag, of, programs[0])
        except OSError as error:
            if error.errno not in _UNLISTED:
                raise
            self.fall_back(of, named=named)

    def fall_back(self, of: Table, *, named: bool) -> None:
        """Read in /proc of the sockets of a table. Raises: as `ask` does."""
        from sockwright.sockets.diag.procfs import read_proc

        families = self._families_of(of)
        if not families:
            return
        if not has_protocol(of.name):
            if named:
                self.remarks.append(no_protocol(of.name))
            return
        try:
            messages = [
                message for family in families for message in read_proc(of, family, self._namespace)
            ]
        except NotPossibleError as error:
            self.remarks.append(missing(of.name, str(error)))
            return
        self.remarks.append(missing(of.name))
        self.answers.append(self._matching(filter(self._is_in_states, map(of.row, messages))))

    def find_processes(self) -> None:
        """Tell each row its processes. Raises: NotPossibleError, OSError."""
        from sockwright.sockets.diag.processes import find_processes

        rows = list(chain.from_iterable(self.answers))
        self.answers = [iter(rows)]
        inodes = [row.inode for row in rows]
        found = find_processes(set(inodes))
        for row, inode in zip(rows, inodes, strict=True):
            row.processes = found.by_inode.get(inode, ())
        if found.unreadable or found.hidden:
            # The kernel's own ends of netlink have an inode as well, but never a process.
            ownerless = sum(
                1
                for row in rows
                if row.inode and not row.processes and not getattr(row, "is_kernel", False)
            )
            if ownerless:
                self.remarks.append(hidden(ownerless, found.unreadable, more=found.hidden))

    def _families_of(self, of: Table) -> list[str]:
        """Return the families in which to look; none where no socket can be wanted."""
        if not self._states:
            return []
        return [name for name in of.families if self._families is None or name in self._families]

    def _program(self, of: Table, family: str) -> bytes | None:
        """Return what the kernel filters by; None where the rows are to be looked at here."""
        if self._filter is None:
            return b""
        return self._filter.program(family) if of.kernel_filters else None

    def _ask_for_both(self, diag: SockDiag, of: Table, program: bytes | None) -> None:
        """Add TCP sockets of both families, by one walk through the table instead of two."""
        bound = self._states & BOUND_INACTIVE
        rest = self._states & ~BOUND_INACTIVE
        try:
            if bound and rest and self._namespace is None:
                datagrams = self._walk_beside(diag, of, bound, rest, program or b"")
            else:
                datagrams = self._walk(diag, of, self._states, program or b"")
        except OSError as error:
            if error.errno not in _UNLISTED | _NO_PROGRAM:
                raise
            for family in of.families:
                self._ask_for(diag, of, family, program)
        else:
            self._add(of, datagrams, filtered=program is not None)

    def _walk_beside(
        self, diag: SockDiag, of: Table, bound: int, rest: int, program: bytes
    ) -> list[Messages]:
        """Return what two walks tell, at the same time where there is room for a thread."""

        def walk_for_bound() -> list[Messages]:
            with SockDiag() as another:
                return self._walk(another, of, bound, program)

        try:
            found = errand(walk_for_bound)
        except OSError:
            return self._walk(diag, of, self._states, program)
        datagrams = self._walk(diag, of, rest, program)
        try:
            return found() + datagrams
        except OSError:  # no descriptor for another socket
            return self._walk(diag, of, bound, program) + datagrams

    def _walk(self, diag: SockDiag, of: Table, states: int, program: bytes) -> list[Messages]:
        """Return what the kernel tells of the TCP sockets of both families."""
        request = of.request("inet", states, self._extensions, program)
        # struct inet_diag_req, of Linux 2.6, has the same parts in another order, and no family:
        # that is 0. What stood for protocol and padding are lengths that the kernel does not use.
        old = bytes((0, 0, 0, request[2])) + request[8:56] + request[4:8] + bytes(4) + request[56:]
        return self._tries(diag, of, old, BOTH_FAMILIES)

    def _ask_for(self, diag: SockDiag, of: Table, family: str, program: bytes | None) -> None:
        """Add the sockets of one family."""
        try:
            request = of.request(family, self._states, self._extensions, program or b"")
            datagrams = self._tries(diag, of, request)
        except OSError as error:
            if not program or error.errno not in _NO_PROGRAM:
                raise
            self._ask_for(diag, of, family, None)
        else:
            self._add(of, datagrams, filtered=program is not None)

    def _tries(
        self, diag: SockDiag, of: Table, request: bytes, kind: int = BY_FAMILY
    ) -> list[Messages]:
        """Return what the kernel answers to a request; the last of three uneven answers."""
        for _ in range(_TRIES):
            try:
                return diag.dump(request, kind)
            except DumpInterrupted as uneven:
                datagrams = uneven.datagrams
        remark = interrupted(of.name, _TRIES)
        if remark not in self.remarks:
            self.remarks.append(remark)
        return datagrams

    def _add(self, of: Table, datagrams: list[Messages], *, filtered: bool) -> None:
        datagrams = _each_once(datagrams, of.row)
        rows: Iterator[SocketRow] = chain.from_iterable(
            map(of.row, repeat(octets), offsets) for octets, offsets in datagrams
        )
        if not of.kernel_selects_states and self._states & _USUAL != _USUAL:
            rows = filter(self._is_in_states, rows)
        self.answers.append(rows if filtered else self._matching(rows))

    def _matching(self, rows: Iterator[SocketRow]) -> Iterator[SocketRow]:
        """Return the rows that pass the filter, which is known at once: it may fail, by a mark."""
        return iter([*filter(self._filter.matches, rows)]) if self._filter else rows

    def _is_in_states(self, row: SocketRow) -> int:
        return self._states >> row.state_number & 1


def _check_family(family: str) -> None:
    """Refuse what is no family. Raises: UsageError, TypeError."""
    if not isinstance(family, str):
        raise TypeError(f"a family is named by a word such as 'inet6', not by {family!r}")
    families = {name for one in TABLES.values() for name in one.families}
    if family not in families:
        raise UsageError(f"there is no family {family!r}; there are {', '.join(sorted(families))}")


def as_filter(
    where: str | Condition | SocketFilter, family: str | None, namespace: int | str | None
) -> SocketFilter | None:
    """Return `where` with its names looked up where the sockets are; None where it passes all.

    Raises: as `dump` does.
    """
    if isinstance(where, str) and not where.strip():
        return None
    from sockwright.sockets.diag.filter import Condition, SocketFilter, parse_filter

    if isinstance(where, str):
        where = parse_filter(where, family=family)
    elif isinstance(where, Condition):
        where = SocketFilter(where)
    elif not isinstance(where, SocketFilter):
        raise TypeError(f"`where` is text, a condition or a SocketFilter, not {where!r}")
    return where.resolved(namespace=namespace)


def _each_once(datagrams: list[Messages], row: type[SocketRow]) -> list[Messages]:
    """Return the messages without the earlier ones about the same socket."""
    # The lower half of the cookie differs as long as fewer than 2**32 sockets were listed since the
    # machine started; where it does not, a second look compares rows, which know what they are
    # about: the associations of an SCTP socket share its cookie.
    halves = _words(datagrams, row._cookie_at)
    if len(set(halves)) == len(halves):
        return datagrams
    last: dict[SocketRow, tuple[int, int]] = {}
    for number, (octets, offsets) in enumerate(datagrams):
        for at in offsets:
            last[row(octets, at)] = (number, at)
    kept: list[list[int]] = [[] for _ in datagrams]
    for number, at in last.values():
        kept[number].append(at)
    return [(octets, kept[number]) for number, (octets, _) in enumerate(datagrams)]


def _words(datagrams: list[Messages], place: int) -> list[int]:
    """Return the number of 32 bits that stands at `place` in each message."""
    found: list[int] = []
    for octets, offsets in datagrams:
        words = memoryview(octets)[place : len(octets) & ~3].cast("I")
        if isinstance(offsets, range):  # a memoryview steps through them 10 times as fast
            found += words[:: offsets.step >> 2].tolist()
        else:
            found += [words[at >> 2] for at in offsets]
    return found
