"""The flags of `sw os`. Those that `sw scan` has too are called alike and take the same values."""

from __future__ import annotations

from sockwright.errors import UsageError
from sockwright.tools._flags import Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sockwright.tools._flags import Arguments, Group

__all__ = ["MOST_HOSTS", "add_arguments", "read_words", "why_absent"]

MOST_HOSTS = 64
"""Hosts that are probed without --yes: the probes are no whispers."""

_GROUPS: tuple[Group, ...] = (
    (
        "whom to ask",
        (
            "TARGET: an address, 10.0.0.0/24, 10.0.0.1-20, a name, fe80::1%eth0; - reads them from "
            "standard input. The probes take CAP_NET_RAW."
        ),
        (
            ("-iL", "input", "FILE", "targets from a file, divided by blanks or lines"),
            ("--exclude", "exclude", "TARGETS", "not these; several by commas"),
            ("--exclude-file", "exclude_file", "FILE", "the same, from a file"),
            ("--all-addresses", "all_addresses", "", "every address of a name"),
            ("-4", "ipv4", "", "IPv4 alone"),
            ("-6", "ipv6", "", "IPv6 alone"),
            ("--yes", "yes", "", f"more than {MOST_HOSTS} hosts are meant"),
        ),
    ),
    (
        "how",
        "Ports that are not given are looked for among those that are often open.",
        (
            ("-p --port", "ports", "PORTS", (
                "TCP ports, one of which is open: 22,ssh,8000-8010; the first that is gets the "
                "probes"
            )),
            ("--closed", "closed", "PORT", "a closed TCP port"),
            ("--closed-udp", "closed_udp", "PORT", "a closed UDP port"),
            ("--timeout", "timeout", "TIME", "for each host: 30s, 500ms, 2m (30s)"),
        ),
    ),
    (
        "what is shown",
        "",
        (
            ("--explain", "explain", "", "every test that agrees or fails, and its weight"),
            ("--measured", "measured", "", "what each test gave"),
        ),
    ),
    (
        "a signature of one's own",
        "",
        (
            ("--learn", "learn", "NAME", "measure a host that is known to run NAME"),
            ("--family", "family", "FAMILY", "of NAME; its first word where not given"),
            ("--replace", "replace", "", "write over the one of that name"),
        ),
    ),
    (
        "without a packet of one's own",
        "",
        (
            ("--passive", "passive", "FILE", (
                "the hosts of a capture, of several: --passive FILE FILE ...; any format; - is "
                "standard input"
            )),
            ("-i --interface", "interface", "IFACE", "the hosts heard at an interface, or at any"),
            ("--duration", "duration", "TIME", "how long to listen: 30s, 500ms (until Ctrl-C)"),
            ("--most-hosts", "most_hosts", "N", (
                "hosts that are remembered; the one silent longest is forgotten (10000)"
            )),
            ("--p0f", "p0f", "FILE", "use the signatures of a p0f.fp of yours, too"),
        ),
    ),
)  # fmt: skip

# What nmap and p0f have besides: names, the value that it takes there, and what to do instead.
_ABSENT = (
    ("-O", "", "sw os asks for the system by itself; leave -O out"),
    ("-A -sV", "", "services are asked by sw scan: sw scan -A HOST"),
    ("-Pn", "", "every host is probed, whether or not it answers a ping; leave -Pn out"),
    ("-n", "", "addresses are not turned into names; leave -n out"),
    ("-v --verbose -d", "", "--explain tells every test, --measured what each gave"),
    ("-r", "FILE", "a capture is read by --passive FILE"),
    ("-f", "FILE", "signatures of p0f are read by --p0f FILE"),
)


class _OsFlags(Flags):
    usage = """sw os TARGET ...            by probes
       sw os --passive FILE ...    by what is in a capture
       sw os -i IFACE              by what is overheard"""
    operands = "TARGET"
    groups = _GROUPS
    absent = _ABSENT
    several = frozenset({"exclude", "exclude_file", "input", "passive"})
    once = frozenset({
        "ports", "closed", "closed_udp", "learn", "family", "interface", "duration", "p0f",
        "timeout", "most_hosts",
    })  # fmt: skip
    files = frozenset({"FILE"})

    def _read_letters(self, word: str) -> None:
        # As nmap has them; an interface whose name begins with L is -i L...
        if word.startswith("-iL"):
            value = word[3:]
            self._keep("-iL", self._value("-iL", value.removeprefix("="), given=bool(value)))
        elif word in {"-Pn", "-sV"}:
            self._keep(word)
        else:
            super()._read_letters(word)


def read_words(words: Sequence[str]) -> Arguments | None:
    """Read a line; None where it asks for help, which argparse gives. See `Flags.read`."""
    return _OsFlags(words).read()


def why_absent(name: str) -> UsageError:
    """Return what to say of a flag of nmap or p0f that is not here."""
    return UsageError(next(f"{name}: {why}" for names, _, why in _ABSENT if name in names.split()))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all of them to `parser`, for its help and for completion."""
    _OsFlags().add_to(parser)
