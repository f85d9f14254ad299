"""The flags of `sw scan`: the letters of nmap, in the forms that nmap takes.

`_flags` reads a line by this table, and `_scan_settings` the values. Forms, as nmap has them:

    -sSUV        -s takes several letters; so do the flags without a value: -nv
    -oX FILE     -o, -i and -P take one letter, and then perhaps a value: -oX FILE, -oXFILE
    -p22, -p 22  a value may stand in the same word or be the next one
    --top-ports 10, --top-ports=10, --top_ports=10

What nmap has and this verb has not is known by name (`_scan_absent`): the error says why, and what
to use.
"""

from __future__ import annotations

from sockwright.errors import UsageError
from sockwright.tools._flags import Flags
from sockwright.tools._scan_absent import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sockwright.tools._flags import Arguments, Group

__all__ = ["add_arguments", "flag_of", "read_words"]

_GROUPS: tuple[Group, ...] = (
    (
        "whom to ask",
        (
            "TARGET: an address, 10.0.0.0/24, 10.0.0.1-20, 10.0.0,1.1-50, a name, fe80::1%eth0. "
            "Without one, or as -, they are read from standard input."
        ),
        (
            ("-iL", "input", "FILE", "targets from a file, divided by blanks or lines"),
            ("--exclude", "exclude", "TARGETS", "not these; several by commas"),
            ("--exclude-file [--excludefile]", "exclude_file", "FILE", "the same, from a file"),
            ("--all-addresses [--resolve-all]", "all_addresses", "", "every address of a name"),
            ("-4", "ipv4", "", "IPv4 alone"),
            ("-6", "ipv6", "", "IPv6 alone"),
            ("-n", "no_names", "", "look up no names of addresses (the default)"),
            ("-R", "names", "", "look up the names of the addresses that answer"),
            ("-e", "interface", "NAME", "send through this interface"),
            ("--yes", "yes", "", "do not ask before more than 4 096 addresses"),
        ),
    ),
    (
        "which hosts are there",
        "Without these flags each address is asked first: by ARP or ND, ICMP and TCP if permitted.",
        (
            ("-sn [-sP]", "only_hosts", "", "only find hosts: no ports"),
            ("-Pn [-P0 -PN]", "no_discovery", "", "take every address for a host: ask its ports"),
            ("-sL", "list", "", "only list the addresses; nothing is sent to them"),
            ("--traceroute", "traceroute", "", "the routers on the way to each host"),
        ),
    ),
    (
        "which ports",
        "Without these flags the 1 000 TCP ports that matter most; with -sU the 100 of UDP.",
        (
            ("-p", "ports", "PORTS", "22,80,8000-8100,https,U:53,- (- is all, U: is UDP)"),
            ("--top [--top-ports]", "top", "N", "the N that matter most"),
            ("-F", "fast", "", "the 100 that matter most"),
            ("--exclude-ports", "exclude_ports", "PORTS", "not these"),
        ),
    ),
    (
        "how",
        (
            "Without one of them by SYN where this process may open raw sockets, else by "
            "connecting. One method of TCP, with or without UDP: -sSU."
        ),
        (
            ("-sT", "connect", "", "connect, as every program may"),
            ("-sS", "syn", "", "SYN: half a connection (raw sockets)"),
            ("-sU", "udp", "", "UDP, with payloads that common services answer"),
            ("-sA", "ack", "", "ACK: what does a firewall let through?"),
            ("-sF", "fin", "", "FIN: past filters that only look at SYN"),
            ("-sN", "null", "", "a segment without flags"),
            ("-sX", "xmas", "", "FIN, PSH and URG"),
        ),
    ),
    (
        "what is there",
        "",
        (
            ("-sV", "services", "", "who answers? version, certificate, title of the services"),
            ("--version-intensity", "intensity", "0..9", "how many questions (7)"),
            ("--version-light", "light", "", "few questions: 2"),
            ("--version-all", "every_probe", "", "every question: 9"),
            ("-O", "system", "", "which operating system is it?"),
            ("-A", "aggressive", "", "-sV -O --traceroute"),
        ),
    ),
    (
        "how fast, how sure",
        (
            "Without these flags at most 1 000 packets a second (loopback: no bound), until the "
            "chance of a missed open port is below 1 in 100. Times are seconds, or 500ms, 30s, 5m, "
            "1h."
        ),
        (
            ("-T", "preset", "2..5", (
                "2 polite: 100 packets/s, 50 to one host; 3 the default; 4 a network of your own: "
                "10 000; 5 as fast as answers come back"
            )),
            ("--rate [--max-rate]", "rate", "N|max", "packets a second in all"),
            ("--host-rate", "host_rate", "N|max", "packets a second to one host"),
            ("--scan-delay", "delay", "TIME", "between two packets to one host"),
            ("--retries [--max-retries]", "retries", "N", "times to ask a silent port again"),
            ("--max-miss", "max_miss", "N", "open ports that may be missed, of all hosts (0.01)"),
            ("--host-timeout", "host_timeout", "TIME", "for one host, from its first packet on"),
            ("--time-limit", "time_limit", "TIME", "end the whole then, with status 3"),
            ("--patience", "patience", "TIME", "for a host that limits its answers (45s)"),
            ("--first-timeout [--initial-rtt-timeout]", "first_timeout", "TIME", (
                "how long to wait where nothing has answered yet"
            )),
            ("--min-timeout [--min-rtt-timeout]", "min_timeout", "TIME", "wait at least"),
            ("--max-timeout [--max-rtt-timeout]", "max_timeout", "TIME", "wait at most"),
            ("--hosts [--max-hostgroup]", "hosts_at_once", "N", "how many at once (256)"),
            ("--seed", "seed", "N", "the order of the packets; the summary tells that of each run"),
        ),
    ),
    (
        "what is shown and kept",
        "A file that is there is not written over without --force. - is standard output.",
        (
            ("--open", "open", "", "only open ports, and hosts that have one"),
            ("--all", "all", "", "a row for every port, however many have the same state"),
            ("--reason", "reason", "", "the packet that proves each state"),
            ("--explain", "explain", "", "the same in sentences"),
            ("-v [--verbose]", "verbose", "", (
                "open ports as they are found, and hosts that are down; -vv: --reason, too"
            )),
            ("--quiet", "quiet", "", "say neither what is asked nor how far it is"),
            ("-oN", "text_file", "FILE", "what is shown, as text"),
            ("-oX", "xml_file", "FILE", "nmap's XML"),
            ("-oG", "grep_file", "FILE", "nmap's lines for grep"),
            ("-oJ", "json_file", "FILE", "the rows of --json"),
            ("-oA", "base", "NAME", "NAME.nmap, NAME.xml, NAME.gnmap and NAME.jsonl"),
            ("-w [--write]", "evidence", "FILE", "every packet that proves something, .pcapng"),
            ("--force", "force", "", "write over files that are there"),
            ("--diff", "diff", "OLD", "what differs from a scan that --json, -oJ or -oX kept"),
            ("--resume", "resume", "FILE", "go on where Ctrl-C stopped, port by port"),
        ),
    ),
)  # fmt: skip

_PAIRS = "Poi"  # letters behind which another one says which flag it is


class _ScanFlags(Flags):
    usage = """sw scan TARGET ...               which of 1 000 ports are open
       sw scan -p- HOST                 all 65 535
       sw scan -sn 192.168.1.0/24       which hosts are there
       sw scan -sV -p 22,80,443 HOST    and who answers
       sw scan --resume FILE            go on after Ctrl-C"""
    operands = "TARGET"
    groups = _GROUPS
    absent = ABSENT
    several = frozenset({"exclude", "exclude_file", "input"})
    once = frozenset({
        "ports", "top", "xml_file", "grep_file", "json_file", "text_file", "base", "evidence",
        "diff", "resume",
    })  # fmt: skip
    files = frozenset({"FILE", "NAME", "OLD"})
    alike = 0.65  # --tpo for --top

    def _read_word(self, name: str, equals: str, value: str) -> None:
        super()._read_word(name.replace("_", "-"), equals, value)

    def _read_letters(self, word: str) -> None:
        if word[1] == "s":
            self._read_methods(word)
        elif word[1] in _PAIRS:
            self._read_pair(word)
        else:
            super()._read_letters(word)

    def _read_methods(self, word: str) -> None:
        """Read -s and its letters."""
        letters = word[2:]
        if not letters:
            raise UsageError("-s wants letters behind it: -sS, -sT, -sU, -sn, -sV")
        for letter in letters:
            name = f"-s{letter}"
            if name not in self._known:
                among = f" (in {word})" if len(letters) > 1 else ""
                raise UsageError(
                    f"there is no flag {name}{among}; sw scan --help lists the methods"
                )
            self._keep(name, next(self._rest, "") if self._known[name][1] else "")

    def _read_pair(self, word: str) -> None:
        """Read -P, -o or -i, the letter that belongs to it, and the value if there is one."""
        name, value = word[:3], word[3:]
        if name == "-o":
            raise UsageError("-o wants a letter that says what file it is: -oX, -oG, -oN, -oJ, -oA")
        if name not in self._known:
            raise UsageError(f"there is no flag {name}")
        attribute, metavar = self._known[name]
        if metavar:
            value = self._value(name, value.removeprefix("="), given=bool(value))
        if value and not metavar and not attribute.startswith("-"):
            raise UsageError(f"{name} takes no value, and {value!r} is one")
        self._keep(name, value)


def read_words(words: Sequence[str]) -> Arguments | None:
    """Read a line; None where it asks for help, which argparse gives. See `Flags.read`."""
    return _ScanFlags(words).read()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all of them to `parser`, for its help and for completion."""
    _ScanFlags().add_to(parser)


def flag_of(attribute: str) -> str:
    """Return the first name of the flag that sets an attribute. Raises: StopIteration."""
    return next(
        names.split()[0]
        for _, _, flags in _GROUPS
        for names, name, _, _ in flags
        if name == attribute
    )
