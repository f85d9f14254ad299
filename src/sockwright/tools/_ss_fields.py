"""The fields of sockets by name, for --columns and --csv of `sw ss`."""

from __future__ import annotations

from functools import partial

from sockwright.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.structures.structure import Structure

__all__ = [
    "Chosen",
    "ChosenFields",
    "Devices",
    "FieldName",
    "Table",
    "all_fields",
    "chosen_fields",
    "explainer",
    "fields_help",
]

_USUAL = "netid,state,receive_queue,send_queue,local,peer,uid,inode"
_COMMON = (
    ("netid", "the kind, as ss names it: tcp, u_str, p_raw ..."),
    ("protocol", "the table: tcp, udp, unix, packet ..."),
    ("family", "inet, inet6, unix, link, netlink or vsock"),
    ("state", "ESTAB, LISTEN, UNCONN ..."),
    ("receive_queue", "octets not yet read; of a listener, connections not yet accepted"),
    ("send_queue", "octets not yet acknowledged; of a listener, how many may wait"),
    ("local", "the own address with its port"),
    ("peer", "the peer's address with its port"),
    ("uid", "the user who made it"),
    ("inode", "its number in sockfs"),
    ("cookie", "its number, which no other socket gets"),
    ("processes", "who holds it: name:pid fd descriptors"),
    ("pids", "the numbers of the processes that hold it"),
    ("explanation", "the sentence of --explain"),
)
# Fields of some kinds only, with the kinds.
_OF_SOME = (
    ("local_address", "the own address (IP)"),
    ("local_port", "the own port (IP)"),
    ("peer_address", "the peer's address (IP)"),
    ("peer_port", "the peer's port (IP)"),
    ("interface", "the index of the interface it is bound to (IP, packet)"),
    ("is_mapped", "whether it speaks IPv4 by IPv6 (IP)"),
    ("shutdown", "which directions are shut down: receive, send, both"),
    ("v6only", "whether it refuses IPv4 (IPv6)"),
    ("mark", "SO_MARK; told to CAP_NET_ADMIN (IP)"),
    ("tos", "IP_TOS (IP)"),
    ("tclass", "IPV6_TCLASS (IPv6)"),
    ("class_id", "the class of traffic control (IP)"),
    ("cgroup_id", "the control group by number (IP)"),
    ("timer.name", "the timer: on, keepalive, timewait, persist (TCP)"),
    ("timer.expires_ms", "milliseconds until it goes off (TCP)"),
    ("timer.retransmits", "how often it did without an answer (TCP)"),
    ("congestion", "the congestion control (TCP)"),
    ("type", "stream, dgram, seqpacket, raw (Unix, packet, netlink)"),
    ("path", "the name it is bound to (Unix)"),
    ("peer_inode", "the inode of the other end (Unix)"),
    ("waiting", "inodes of who waits to be accepted (Unix)"),
    ("ethernet_protocol_name", "what it receives (packet)"),
    ("netlink_protocol_name", "the subject (netlink)"),
    ("port_id", "its address (netlink)"),
    ("groups", "multicast groups (netlink)"),
)
_MISSING = ""


class Devices:
    """The names of the interfaces of a network namespace, asked for when there is one to name."""

    __slots__ = ("_names", "_namespace")

    def __init__(self, namespace: str | None) -> None:
        self._namespace = namespace
        self._names: dict[int, str] | None = None

    def local(self, row: SocketRow) -> str:
        """Return the own address as ``ss -n`` has it, with the interface: "0.0.0.0%eth0:68"."""
        index = getattr(row, "interface", 0)
        if not index:
            return row.local
        if self._names is None:
            from sockwright.sockets.diag.devices import device_names

            self._names = device_names(self._namespace)
        return row.local_on(self._names.get(index, ""))  # type: ignore[attr-defined,no-any-return]


def explainer(namespace: str | None) -> Callable[[SocketRow], str]:
    """Return what makes the sentence of --explain, for the sockets of a network namespace."""
    from sockwright.sockets.diag.explain import explain
    from sockwright.sockets.diag.explain.machine import Machine

    machine = Machine.gather(namespace)
    return lambda row: explain(row, machine)


class FieldName:
    """The name of a field for --columns, and what it means."""

    columns = ("name", "meaning")
    __slots__ = ("meaning", "name")

    def __init__(self, name: str, meaning: str) -> None:
        self.name = name
        self.meaning = meaning

    def as_dict(self) -> dict[str, str]:
        """Return both."""
        return {"name": self.name, "meaning": self.meaning}


class Chosen:
    """The chosen fields of one socket, for programs."""

    __slots__ = ("_values",)

    def __init__(self, names: Sequence[str], values: Sequence[object]) -> None:
        self._values = dict(zip(names, values, strict=True))

    def as_dict(self) -> dict[str, object]:
        """Return them by name, None for those that the socket does not have."""
        return self._values


class Table:
    """The chosen fields of all sockets: `columns` are lists of texts, one for each of `names`.

    With `csv` it is to be written so, else laid out.
    """

    __slots__ = ("columns", "csv", "header", "names")

    def __init__(
        self, names: Sequence[str], columns: Sequence[list[str]], *, csv: bool, header: bool
    ) -> None:
        self.names = names
        self.columns = columns
        self.csv = csv
        self.header = header


class ChosenFields:
    """Fields by name. `needs` is what `dump` has to be asked for, so that they are there."""

    __slots__ = ("_names", "needs")

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        first = {name.partition(".")[0] for name in names}
        self.needs: dict[str, bool] = {}
        for option, roots in (
            ("info", {"info", "congestion", "explanation"}),
            ("memory", {"memory", "explanation"}),
            ("options", {"tos", "tclass", "class_id"}),
            ("processes", {"processes", "pids", "explanation"}),
        ):
            if first & roots:
                self.needs[option] = True

    def of(self, rows: Iterable[SocketRow], args: argparse.Namespace) -> Iterator[object]:
        """Yield the fields of all rows: objects for programs, else one table."""
        # What a row does not know by itself.
        known: dict[str, Callable[[SocketRow], str]] = {"local": Devices(args.namespace).local}
        if "explanation" in self._names:
            known["explanation"] = explainer(args.namespace)
        values = [known.get(name) or partial(_value, name) for name in self._names]
        if args.json:
            for row in rows:
                yield Chosen(self._names, [value(row) for value in values])
            return
        found = list(rows)
        columns = [[_text(value(row)) for row in found] for value in values]
        yield Table(self._names, columns, csv=args.csv, header=not args.no_header)


def all_fields() -> Iterator[FieldName]:
    """Yield every name with its meaning."""
    from sockwright.sockets.diag.structures.memory import SocketMemory
    from sockwright.sockets.diag.structures.tcp_info import TCPInfo

    for name, meaning in (*_COMMON, *_OF_SOME):
        yield FieldName(name, meaning)
    for prefix, structure in (("memory", SocketMemory), ("info", TCPInfo)):
        yield from _fields_of(prefix, structure)


def fields_help(args: argparse.Namespace) -> Iterator[object]:
    """Yield every name with its meaning, with --csv as one table."""
    if not args.csv:
        yield from all_fields()
        return
    fields = list(all_fields())
    columns = [[field.name for field in fields], [field.meaning for field in fields]]
    yield Table(FieldName.columns, columns, csv=True, header=not args.no_header)


def chosen_fields(columns: str | None, *, processes: bool, explain: bool) -> ChosenFields:
    """Return the fields that a list such as "state,local,info.rtt_us" names; None for the usual.

    `processes` adds them to the usual, `explain` the sentence to any.

    Raises: UsageError at a name that is none.
    """
    if columns is None:
        columns = _USUAL + (",processes" if processes else "")
    names = [name.strip() for name in columns.split(",")]
    if explain and "explanation" not in names:
        names.append("explanation")
    known = [field.name for field in all_fields()]
    for name in names:
        if not name:
            raise UsageError("--columns lacks the name of a field; --columns help lists them")
        if within := next((one for one in known if one.startswith(f"{name}.")), ""):
            text = f"{name} is many fields, {name}.*, such as {within}"
            raise UsageError(f"{text}; --columns help lists the names")
        if name not in known:
            raise UsageError(f"there is no field '{name}'; {_near(name, known)}")
    return ChosenFields(tuple(names))


def _fields_of(prefix: str, structure: type[Structure]) -> Iterator[FieldName]:
    for field in structure.fields:
        if not field.hidden:
            name = f"{field.name}_{field.unit}" if field.unit else field.name
            meaning = (field.__doc__ or "").rstrip(".")
            yield FieldName(f"{prefix}.{name}", meaning)


def _near(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=3, cutoff=0.5)
    # Who writes "rtt" wants "info.rtt_us".
    close += [one for one in known if name and name in one and one not in close][: 4 - len(close)]
    listed = "--columns help lists the names"
    return f"did you mean {' or '.join(close)}? {listed}" if close else listed


def _value(name: str, row: SocketRow) -> object:
    """Return a field of a row, None where it has none such."""
    if name == "pids":
        return tuple(dict.fromkeys(one.pid for one in row.processes or ()))
    first, _, rest = name.partition(".")
    found = getattr(row, first, None)
    if not rest or found is None:
        return found
    as_dict: Callable[[], Mapping[str, object]] | None = getattr(found, "as_dict", None)
    return None if as_dict is None else as_dict().get(rest)


def _text(value: object) -> str:
    if value is None:
        return _MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        if value and hasattr(value[0], "descriptor"):
            return ", ".join(f"{one.name}:{one.pid} fd {one.descriptor}" for one in value)
        return ",".join(map(str, value))
    return str(value)
