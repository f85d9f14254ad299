"""Random filters as text that ss 6.1 takes, about the sockets of `filtered_sockets.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sockets.diag.filter.filtered_sockets import PORTS, V4_ADDRESSES, V6_ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

__all__ = ["Filters"]

_EQUAL = ("", "", "=", "==", "eq")
_UNEQUAL = ("!=", "ne", "neq")
_ORDERED = (">", "gt", "<", "lt", ">=", "ge", "geq", "<=", "le", "leq")
_AND = ("", "", "and", "&", "&&")
_OR = ("or", "|", "||")
_NOT = ("not", "!")
_STATES = (
    "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait", "unconnected",
    "close", "closed", "close-wait", "last-ack", "listening", "closing", "syn-rcv", "ESTABLISHED",
)  # fmt: skip
_STATE_SETS = ("all", "connected", "synchronized", "big")
_V4_PARTS = ("127/8", "127.0.0/24", "127.1/16", "127.0.0.0/30", "127.0.0.1/255.0.0.0", "0/0",
             "10.0.0.0/8", "193.233.7/24", "0.0.0.0", "127.0.0.3/31", "127.0.0.1/0x8")  # fmt: skip
_V6_PARTS = ("::/0", "[::]", "[::1]", "[::1/128]", "::ffff:0:0/96", "[::ffff:127.0.0.2]",
             "::/1", "2001:db8::/32", "[::ffff:127.0.0.0/104]")  # fmt: skip


class Filters:
    """A source of filters that repeats itself for the same `random`."""

    def __init__(self, random: Random, chosen: list[int], cgroup: str) -> None:
        self._random = random
        self._ports = (*PORTS, 0, 2, 2000, 2003, 3000, 3001, 4000, 4002, 4101, 5000, 32768, 60999,
                       *chosen)  # fmt: skip
        self._cgroup = cgroup

    def inet(self, *, states: bool = True) -> str:
        """Return a filter of sockets of IPv4 and IPv6, now and then with states."""
        random = self._random
        # ss takes the last family that is named for all of them, so one is named, or none.
        family = random.choice(("", "", "", "", "inet:", "inet6:"))
        terms: list[Callable[[str], str]] = [self._device, self._mark, self._autobound]
        terms += [self._port, self._host] * 4 + [self._group] * bool(self._cgroup)
        expression = self._expression(lambda: random.choice(terms)(family), random.randint(0, 3))
        words = self._state_words() if states else ""
        return " ".join(filter(None, (words, expression)))

    def unix(self) -> str:
        """Return a filter of Unix sockets."""
        return self._expression(self._unix_term, self._random.randint(0, 2))

    def packet(self) -> str:
        """Return a filter of packet sockets."""
        return self._expression(self._packet_term, self._random.randint(0, 2))

    def netlink(self) -> str:
        """Return a filter of netlink sockets, with protocols by name or by number.

        Not with both: ss takes a name that it met before for the number that it met last.
        """
        names = self._random.choice((("rtnl", "genl", "uevent"), ("0", "16", "0x10", "21")))
        depth = self._random.randint(0, 2)
        return self._expression(lambda: self._netlink_term((*names, "*", "")), depth)

    def vsock(self) -> str:
        """Return a filter of vsock sockets; of context ids only any, since ss looks at none."""
        return self._expression(self._vsock_term, self._random.randint(0, 2))

    def _expression(self, term: Callable[[], str], depth: int) -> str:
        random = self._random
        if depth == 0 or random.random() < 0.15:
            return term()
        kind = random.random()
        if kind < 0.2:
            inner = self._expression(term, depth - 1)
            inner = inner if random.random() < 0.3 else f"( {inner} )"
            return f"{random.choice(_NOT)} {inner}"
        if kind < 0.4:
            return f"( {self._expression(term, depth - 1)} )"
        parts = [self._expression(term, depth - 1) for _ in range(random.randint(2, 3))]
        text = parts[0]
        for part in parts[1:]:
            text += f" {random.choice(_AND if random.random() < 0.5 else _OR)} {part}"
        return " ".join(text.split())

    def _state_words(self) -> str:
        random = self._random
        if random.random() < 0.7:
            return ""
        several = random.random() < 0.5
        words = [("state", random.choice(_STATE_SETS if several else _STATES))]
        for _ in range(random.randint(0, 2)):
            # Sets are never taken out: ss would say that no state is left.
            head = random.choice(("exclude", "excl")) if several else "state"
            words.append((head, random.choice(_STATES)))
        return " ".join(" ".join(pair) for pair in words)

    def _port(self, family: str) -> str:
        random = self._random
        operator = random.choice((*_EQUAL, *_UNEQUAL, *_ORDERED))
        port = random.choice(self._ports)
        text = random.choice((f"{port}", f"{port}", f"{port:#x}", f"0{port:o}"))
        services = {22: "ssh", 80: "http", 443: "https", 53: "domain"}
        if port in services and random.random() < 0.5:
            text = services[port]
        if operator in _EQUAL and random.random() < 0.1:
            text = "*"
        colon = random.choice((":", ""))
        return f"{random.choice(('sport', 'dport'))} {operator} {family}{colon}{text}"

    def _host(self, family: str) -> str:
        random = self._random
        v4 = [*V4_ADDRESSES, *_V4_PARTS]
        v6 = [*(f"[{address}]" for address in V6_ADDRESSES), *_V6_PARTS]
        known = {"": [*v4, *v6], "inet:": v4, "inet6:": v6}[family]
        address = random.choice([*known, *known, "*", "", "any", "default"])
        port = random.choice(("", "", "", f":{random.choice(self._ports)}", ":*"))
        if not address and not port:
            address = "*"
        return f"{random.choice(('src', 'dst'))} {random.choice(_EQUAL)} {family}{address}{port}"

    def _device(self, _: str) -> str:
        random = self._random
        operator = random.choice((*_EQUAL, *_UNEQUAL))
        return f"dev {operator} {random.choice(('lo', 'd0', '0', '1', '2', '0x2', '7'))}"

    def _mark(self, _: str) -> str:
        random = self._random
        operator = random.choice((*_EQUAL, *_UNEQUAL))
        mask = random.choice((0, 1, 5, 0xFF, 0xFFFF, 0xFFFF_FFFF))
        mark = random.choice((0, 1, 5, 0xFF, 0x1234_0001, 0xFFFF_FFFF))
        if mask == 0xFFFF_FFFF:
            return f"fwmark {operator} {mark:#x}"
        return f"fwmark {operator} {mark & mask}/{mask:#x}"

    def _autobound(self, _: str) -> str:
        return "autobound"

    def _group(self, _: str) -> str:
        return f"cgroup {self._random.choice((*_EQUAL, *_UNEQUAL))} {self._cgroup}"

    def _vsock_term(self) -> str:
        random = self._random
        port = random.choice((22, 1024, 5000, 0xFFFF_FFF0, 7))
        if random.random() < 0.4:
            side = random.choice(("src", "dst"))
            return f"{side} {random.choice(_EQUAL)} vsock:{random.choice(('*', ''))}:{port}"
        # ss keeps ports in numbers with a sign: the largest ones are less than all others.
        operator = random.choice((*_EQUAL, *_UNEQUAL))
        return f"{random.choice(('sport', 'dport'))} {operator} vsock:{port}"

    def _unix_term(self) -> str:
        random = self._random
        pattern = random.choice((
            "*", "", "plain", "PLAIN", "p*n", "upper.sock", "[a-m]*", "[!a-m]*", "[^@]*", "@*",
            "@?*", "?????", "with\\ space", "with?space", "a(b)", "[[]x[]]", "\\\\[x\\\\]", "[x]",
            "*/*", "*\\\\\\\\*", "star\\\\*", "@abstract*", "@Abstract/*", "@zero@*",
            "*[[:digit:]]*", "@[0-9a-f]*", "dir/*", ".*", "*t*", "*état", "état", "[",
            "[a", "*[", "@*\xff*", "[]x]",
        ))  # fmt: skip
        kind = random.random()
        if kind < 0.8:
            side = "src" if kind < 0.7 else "dst"
            return f"{side} {random.choice(_EQUAL)} unix:{pattern}"
        return "autobound" if kind < 0.9 else random.choice(("dev 0", "dev lo", "fwmark 0"))

    def _packet_term(self) -> str:
        random = self._random
        protocol = random.choice(("ip", "IP", "arp", "all", "ipv6", "0x800", "4660", "*", "", "0"))
        device = random.choice(("", ":lo", ":d0", ":0", ":1", ":2", ":*", ":"))
        kind = random.random()
        if kind < 0.6:
            return (
                f"{'src' if kind < 0.5 else 'dst'} {random.choice(_EQUAL)} link:{protocol}{device}"
            )
        if kind < 0.7:
            operator = random.choice((*_EQUAL, *_UNEQUAL))
            return f"sport {operator} link:{random.choice(('lo', 'd0', '0', '1', ':2'))}"
        if kind < 0.8:
            side = random.choice(("sport", "dport"))
            return f"{side} {random.choice(_ORDERED)} link:{random.choice((0, 1, 2, 3))}"
        return random.choice(("autobound", "fwmark 0", "fwmark != 0"))

    def _netlink_term(self, protocols: tuple[str, ...]) -> str:
        random = self._random
        protocol = random.choice(protocols)
        port = random.choice(("", ":kernel", ":0", ":4242", ":77", ":*"))
        kind = random.random()
        if kind < 0.6:
            return f"src {random.choice(_EQUAL)} netlink:{protocol}{port}"
        if kind < 0.85:
            side = random.choice(("sport", "dport"))
            number = random.choice(("0", "kernel", ":77", "4242", "4241"))
            operator = random.choice((*_EQUAL, *_UNEQUAL, *_ORDERED))
            return f"{side} {operator} netlink:{number}"
        return random.choice(("autobound", "dev 0", "fwmark 0"))
