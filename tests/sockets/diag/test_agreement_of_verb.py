"""`sw ss` lists the sockets that ss(8) lists for the same words, with the same values.

ss runs before and after; a line that it had one of the times only may be there or not. Where we
differ on purpose, or it is wrong (iproute2 6.1):

- it has no UDP-Lite, and no TCP sockets that have a port and neither listen nor are connected;
- it lists some netlink sockets twice, and takes their ports for signed numbers;
- it leaves out the column of states where the filter names one, we do not;
- it gives a raw socket's protocol without a name as "ipproto-253", we as 253;
- ``-A packet_raw`` lists those of the other type too; of ``-4 -6`` it takes the last, we both;
  ``-A`` there puts away the flags before it, here it adds to them.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.sockets.diag.agreement import Told, as_ss_tells, disagreements, of_ss
from tests.sockets.diag.ss_listing import SsRow, read_listing

from sockwright.cli.clean import clean
from sockwright.sockets.diag.listing import dump

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.sockets.diag.population import Population

pytestmark = pytest.mark.needs("ss", "nsenter", "unshare", "root")

_CLUSTERS = [
    *("-tan", "-ltn", "-tn", "-nat", "-nlt", "-tanu", "-lntu", "-uan", "-un", "-ua4n", "-ua6n"),
    *("-ta4n", "-ta6n", "-wan", "-wn", "-xan", "-xln", "-xn", "-0an", "-0n", "-aMn", "-Mn", "-nl"),
    *("-na", "-n", "-an4", "-an6", "-Sna", "-anStuwx", "-tna0", "-lnx0", "-aM0n"),
    "-an --vsock",
    "-t -a -n",
    "-f netlink -an",
    "-f inet6 -an",
    "-f inet -n",
    "-f unix -n",
    "-f link -n",
    "-n -A tcp,udp",
    "-a -n -A inet",
    "-a -n -A unix_dgram,netlink",
    "-an -A raw",
    "-tn state all",
    "-tn state connected",
    "-tn state synchronized",
    "-tn state bucket",
    "-tn state big",
    "-tan state time-wait state syn-recv",
    "-tan exclude established exclude listening",
    "-tn state closing",
    "-tun state established",
    "-tan sport = :443",
    "-tan src 127.0.0.0/8",
    "-tan src [::1]",
    "-tan dev lo",
    "-xan src *stream*",
    # By names
    "-ta",
    "-lu",
    "-wa",
    "-xa",
    "-0",
    "-f netlink -a",
    "-lnt sport = :https",
]
"""Words that people type; those with spaces are split."""
_TABLES = {"-Sna": "sctp", "-an --vsock": "vsock"}


_SW = [sys.executable, "-m", "sockwright", "ss"]
_NETLINK = re.compile(r"(\d+|[a-z-]+):\S+")
_ESCAPED = re.compile(r"\\x([89a-f][0-9a-f])")


class Line(NamedTuple):
    """What is compared of a line."""

    netid: str
    state: str
    receive_queue: int
    send_queue: int
    local: str
    peer: str


def _line(row: SsRow) -> Line:
    """Return what is compared, written as we do."""
    local = clean(row.local)
    protocol, _, port = local.rpartition(":")
    if re.fullmatch(r"-\d+", port):
        local = f"{protocol}:{int(port) % (1 << 32)}"
    local = local.replace(":ipproto-", ":")
    return Line(row.netid, row.state, row.receive_queue, row.send_queue, local, row.peer)


def _lines(machine: Population, program: Sequence[str | Path], words: str) -> Counter[Line]:
    done = machine.run(*program, "-H", *words.split())
    counted = Counter(map(_line, read_listing(done.stdout)))
    for line in counted:
        if _NETLINK.fullmatch(line.local) and line.peer == "*":
            counted[line] = 1
    return counted


@pytest.fixture(scope="module")
def bound(machine: Population) -> set[str]:
    """The addresses of the TCP sockets that ss does not ask for."""
    with machine.inside():
        return {row.local for row in dump("tcp", states=["bound-inactive"])}


@pytest.mark.parametrize("words", _CLUSTERS)
def test_lines_are_those_of_ss(machine: Population, bound: set[str], words: str) -> None:
    if words in _TABLES:
        with machine.inside():
            listing = dump(_TABLES[words])
            if not list(listing):
                pytest.skip(f"this kernel: {listing.remarks[0]}")  # and `sw ss` fails with that
    before = _lines(machine, ["ss", "-O"], words)
    ours = _lines(machine, _SW, words)
    after = _lines(machine, ["ss", "-O"], words)
    if not any(line.state for line in before):
        ours = Counter({line._replace(state=""): count for line, count in ours.items()})
    assert before
    assert not (before & after) - ours
    assert not [line for line in ours - (before | after) if not _is_accounted_for(line, bound)]


def _is_accounted_for(row: Line | Told, bound: set[str]) -> bool:
    """Whether ss leaves it out, or it is the socket that `sw ss` itself asks by."""
    return (
        row.netid == "udplite"
        or (row.netid in {"", "tcp"} and row.local in bound)
        or row.local.startswith(("4:", "tcpdiag:"))
    )


@pytest.mark.parametrize(
    "words",
    [
        "-tanoe",
        "-uane",
        "-xane",
        "-0ane",
        "-aMne",
        "-wane",
        "-an -f netlink",
        "-nle -A all",
        "-tuxanpe",
    ],
)
def test_json_tells_what_ss_tells(machine: Population, bound: set[str], words: str) -> None:
    # With a table that is empty here ss says of which kind each row is.
    before = of_ss(machine, *words.split(), "-d")
    done = machine.run(*_SW, "--json", *words.split())
    after = of_ss(machine, *words.split(), "-d")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        if "path" in row:  # octets that are no UTF-8 are told as a terminal shows them
            row["path"] = _ESCAPED.sub(lambda found: chr(0xDC00 + int(found[1], 16)), row["path"])
    ours = list(map(as_ss_tells, rows))
    if "p" not in words:
        ours = [row._replace(users=frozenset()) for row in ours]
    wrong, alone = disagreements(before, ours, after)
    assert not wrong, "\n".join(wrong)
    assert not [row for row in alone if not _is_accounted_for(row, bound)]
