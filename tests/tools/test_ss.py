"""`sw ss` as it is typed, on a machine with sockets of every kind.

That its lines are those of ss(8) is held in `tests/sockets/diag/test_agreement_of_verb.py`.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import gc
import io
import json
import os
import pty
import re
import select
import socket
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.sockets.diag.population import Population

from sockwright.cli import main
from sockwright.cli.parser import verb_parser
from sockwright.cli.verbs import find_verb
from sockwright.cli.width import text_width
from sockwright.sockets.diag.namespace import open_socket
from sockwright.sockets.diag.states import CONNECTED, STATE_WORDS
from sockwright.tools._ss_fields import all_fields
from sockwright.tools._ss_request import request
from sockwright.tools.ss import quick_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


pytestmark = pytest.mark.needs("namespaces", "nsenter", "unshare")

_SW = [sys.executable, "-W", "error", "-m", "sockwright", "ss"]
_SECONDS = 30
_LASTING = ("exclude", "time-wait")  # what is the same from one listing to the next


@pytest.fixture(scope="module")
def machine() -> Iterator[Population]:
    """A machine with sockets of every kind."""
    with Population() as population:
        yield population


def sw(machine: Population, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``sw ss`` there, without a terminal."""
    return subprocess.run(
        machine.command([*_SW, *words]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=_SECONDS,
        check=False,
    )


def lines(machine: Population, *words: str) -> list[str]:
    """Return what ``sw ss`` prints; it has to succeed."""
    done = sw(machine, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def objects(machine: Population, *words: str) -> list[dict[str, object]]:
    """Return what ``sw ss --json`` prints."""
    return [json.loads(line) for line in lines(machine, "--json", *words)]


def on_terminal(
    command: list[str],
    *,
    width: int = 80,
    keys: bytes = b"",
    before_keys: Callable[[], None] | None = None,
    colour: bool = False,
) -> tuple[int, str]:
    """Run `command` on a terminal, type `keys` when it asks; return status and what was shown."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "" if colour else "1"}
    environment.pop("COLUMNS", None)  # the terminal is to say how wide it is
    shown = b""
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        while select.select([ours], [], [], _SECONDS)[0]:
            try:
                octets = os.read(ours, 65536)
            except OSError:  # EIO: nobody has the other side any more
                break
            shown += octets
            if keys and b"[y/N]" in shown:
                if before_keys is not None:
                    before_keys()
                os.write(ours, keys)
                keys = b""
    os.close(ours)
    return process.returncode, shown.decode().replace("\r\n", "\n")


# -- which sockets ---------------------------------------------------------------------------------


def asked_for(*words: str) -> tuple[object, ...]:
    """Return what flags ask for: tables, kinds, families, states."""
    verb = find_verb("ss")
    assert verb is not None
    asked = request(verb_parser(verb, verb.load()).parse_words(words))
    return asked.tables, asked.kinds, asked.families, asked.states


@pytest.mark.parametrize(
    "words",
    ["-lnt", "-tln", "-l -t -n", "-nlt", "--listening --tcp", "-A tcp -l", "-alt", "-ltA tcp"],
)
def test_flags_stand_in_any_order_and_cluster(words: str) -> None:
    assert asked_for(*words.split()) == asked_for("-tl")


@pytest.mark.parametrize(
    ("words", "states"),
    [
        ("-t", "connected"),
        ("-u", "established"),
        ("-0", "close"),
        ("-f netlink", "close"),
        ("-la", "all"),
        ("-al", "listening close"),
        ("-t0", "connected close"),
        ("-4u", "connected"),
    ],
)
def test_default_states_are_those_of_ss(words: str, states: str) -> None:
    mask = 0
    for word in states.split():
        mask |= CONNECTED if word == "connected" else STATE_WORDS[word]
    assert asked_for(*words.split())[3] == mask


def test_flags_may_follow_the_filter(machine: Population) -> None:
    first = lines(machine, "-tn", "state", "listening")
    assert len(first) > 1
    assert lines(machine, "state", "listening", "-tn") == first


def test_a_word_behind_watch_that_is_no_number_belongs_to_the_filter(machine: Population) -> None:
    done = sw(machine, "-tn", "--duration", "0.1", "--watch", "state", "listening")
    assert done.returncode == 0, done.stderr
    assert "watching" in done.stderr
    assert "state listening" in done.stderr


def test_a_filter_may_stand_in_a_file(machine: Population, tmp_path: Path) -> None:
    path = tmp_path / "filter"
    path.write_text("state\nlistening\n")
    assert lines(machine, "-tn", "-F", str(path)) == lines(machine, "-tn", "state", "listening")


def test_a_wrong_filter_is_marked_at_the_word(machine: Population) -> None:
    done = sw(machine, "-t", "dport", "=", ":99999")
    assert done.returncode == 2
    told, expression, mark = done.stderr.splitlines()
    assert told.startswith("sw ss: 99999 ")
    assert expression[mark.index("^") : mark.rindex("^") + 1] == "99999"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("-A tpc", "there is no table of sockets 'tpc'; did you mean tcp"),
        ("-A !tcp", "no table of sockets is left"),
        ("-Z", "-Z: contexts of SELinux are not told here"),
        ("--columns stat", "there is no field 'stat'; did you mean state"),
        ("--columns rtt", "info.rtt_us"),
        ("--watch=0", "a number of seconds above 0"),
        ("-s -K", "-K and -s do not go together"),
        ("--csv --json", "do not go together"),
        ("--yes", "--yes goes with -K alone"),
        ("--count 3", "--count goes with"),
        ("-K", "--yes closes without a question"),
        ("-N nosuchname", "'nosuchname' is not there"),
        ("--columns explain", "did you mean explanation"),
        ("--columns=", "--columns lacks the name of a field"),
        ("--columns state,,local", "--columns lacks the name of a field"),
        ("-F /nosuch/file", "-F /nosuch/file: No such file or directory"),
        ("-K --yes", "-K --yes wants a FILTER"),
        ("-tuwa -K --yes", "-K --yes wants a FILTER"),
        ("-u --graph", "--graph follows a TCP connection, and udp was asked for"),
        ("-t --watch -im", "--watch does not show -m and -i"),
        ("-t -E --explain", "-E does not show --explain"),
        ("-tH --graph", "--graph does not show -H"),
        ("-tan --csv -im", "--csv does not show -m and -i"),
        ("-tan --csv -oe --tos", "--csv does not show -o and -e and --tos"),
        ("-tan --columns state -ip", "--columns does not show -p and -i"),
        ("-tan --columns state --csv -e", "--columns does not show -e"),
        ("--columns info", "info is many fields, info.*, such as info."),
        ("-F /dev/zero", "-F /dev/zero: a filter has 262144 characters at most"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str, reason: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["ss", *words.split()]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert reason in shown.err


@pytest.mark.parametrize("path", ["/proc/self/mem", "-"])
def test_a_file_of_a_filter_that_cannot_be_read_is_named(path: str) -> None:
    with Path("/proc/self/mem").open("rb") as nothing_at_0:
        done = subprocess.run(
            [*_SW, "-tan", "-F", path], stdin=nothing_at_0, capture_output=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == f"sw ss: -F {path}: Input/output error (EIO)\n".encode()


def test_a_filter_from_standard_input_is_read_and_missed_where_there_is_none(
    machine: Population,
) -> None:
    piped = ["sh", "-c", 'echo state listening | "$@"', "sh", *_SW, "-tn", "-F", "-"]
    found = machine.run(*piped).stdout.decode()
    assert found.splitlines() == lines(machine, "-tn", "state", "listening")
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *_SW, "-tan", "-F", "-"]
    done = subprocess.run(closed, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (2, "sw ss: -F -: standard input is closed\n")


def test_what_this_kernel_has_not_is_said_and_is_a_failure_alone(machine: Population) -> None:
    if "sctp" not in machine.refused:
        pytest.skip("this kernel has SCTP")
    alone = sw(machine, "-S")
    assert alone.returncode == 5
    assert "SCTP" in alone.stderr
    both = sw(machine, "-St")
    assert both.returncode == 0
    assert "SCTP" in both.stderr
    assert "SCTP" not in sw(machine, "-4").stderr  # nobody named it


def test_vsock_is_spoken_of_where_somebody_named_it(machine: Population) -> None:
    assert "VSOCK" not in sw(machine, "-a").stderr
    assert "VSOCK" not in sw(machine, "-s").stderr
    assert "VSOCK" not in sw(machine, "-a", "--watch", "--duration", "0.1").stderr


def test_an_empty_list_says_on_a_terminal_how_to_see_more(machine: Population) -> None:
    words = ["-tn", "dport", "=", ":1"]
    _, shown = on_terminal(machine.command([*_SW, *words]), width=120)
    assert shown.endswith(
        "sw ss: no socket that is connected matches; -l lists what waits for peers, -a everything\n"
    )
    assert sw(machine, *words).stderr == ""


@pytest.mark.needs("root")
def test_another_namespace_is_looked_into_by_the_number_of_a_process(machine: Population) -> None:
    command = [*_SW, "-lnt", "-N", str(machine.pid)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.splitlines() == lines(machine, "-lnt")


# -- the table -------------------------------------------------------------------------------------


def _cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def test_columns_never_run_together(machine: Population) -> None:
    head, *rows = lines(machine, "-tuan")
    assert _cells(head) == [
        *("Netid", "State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port"),
    ]
    assert rows
    assert all(len(_cells(re.sub(r": +", ":", row))) == 6 for row in rows)
    colon = head.index("Address:") + len("Address")
    assert {row[colon] for row in rows} == {":"}


def test_there_is_no_head_where_none_is_wanted(machine: Population) -> None:
    assert lines(machine, "-tlnH") == lines(machine, "-tln")[1:]


@pytest.mark.parametrize(
    ("words", "width"), [("-anp", 40), ("-an", 60), ("-anp", 80), ("-xap", 60), ("-tanpi", 120)]
)
def test_a_terminal_is_never_too_narrow(machine: Population, words: str, width: int) -> None:
    status, shown = on_terminal(machine.command([*_SW, words]), width=width)
    assert status == 0
    assert max(map(text_width, shown.splitlines())) <= width
    assert len(shown.splitlines()) > len(lines(machine, words)) / 2


def test_what_gives_way_on_a_narrow_terminal_stands_below(machine: Population) -> None:
    _, shown = on_terminal(machine.command([*_SW, "-tanp", "state", "established"]), width=60)
    head = shown.splitlines()[0]
    assert _cells(head)[-2:] == ["Local:Port", "Peer:Port"]
    assert re.search(r"^    held by \S+:\d+ fd \d+", shown, re.MULTILINE)


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_holders_of_a_socket_are_counted_where_they_do_not_fit(
    machine: Population, width: int
) -> None:
    made = machine.sockets["tcp4 listen, shared"]
    port = _port(machine, made.inode)
    [line] = lines(machine, "-tlnpH", "sport", "=", f":{port}")
    everybody = len(re.findall(r":\d+ fd [\d,]+", line))
    assert everybody > 1, line
    command = machine.command([*_SW, "-tlnp", "sport", "=", f":{port}"])
    _, shown = on_terminal(command, width=width)
    [(held, left)] = re.findall(r"(\S+:\d+ fd .*?)(?: \+(\d+))?$", shown, re.MULTILINE)
    assert len(re.findall(r":\d+ fd [\d,]+", held)) + int(left or 0) == everybody
    assert len(shown.splitlines()) <= 3


def test_no_peer_takes_no_line(machine: Population) -> None:
    _, shown = on_terminal(machine.command([*_SW, "-tan"]), width=40)
    assert "    peer 127.0.0.1:" in shown
    assert not re.search(r"^    peer (0\.0\.0\.0|\[::\]|\*):\*", shown, re.MULTILINE)
    assert "Peer" not in shown.splitlines()[0]


def _port(machine: Population, inode: int) -> object:
    rows = objects(machine, "-tln")
    return next(row["local_port"] for row in rows if row["inode"] == inode)


def test_a_listener_shows_its_backlog_and_the_limit(machine: Population) -> None:
    _, shown = on_terminal(machine.command([*_SW, "-tln"]))
    assert re.search(r"^LISTEN +\d+ +of \d+ ", shown, re.MULTILINE)
    piped = lines(machine, "-tln")  # for awk both are numbers
    assert all(row.split()[1].isdecimal() and row.split()[2].isdecimal() for row in piped[1:])


def test_states_have_colours_on_a_terminal_alone(machine: Population) -> None:
    _, shown = on_terminal(machine.command([*_SW, "-tan"]), colour=True)
    assert "\x1b[32mESTAB\x1b[0m" in shown
    assert "\x1b" not in "".join(lines(machine, "-tan"))


@pytest.mark.parametrize("words", ["-xanp", "-xan --columns path,processes", "-xane --explain"])
def test_names_from_outside_cannot_act_on_a_terminal(machine: Population, words: str) -> None:
    for text in (
        sw(machine, *words.split()).stdout,
        on_terminal(machine.command([*_SW, *words.split()]))[1],
    ):
        assert all(line.isprintable() for line in text.splitlines())
        assert "\\x1b[31mred" in text.replace("\n    ", "")


def test_processes_are_named_with_their_descriptors(machine: Population) -> None:
    made = machine.sockets["tcp4 listen"]
    rows = [row for row in lines(machine, "-tlnp") if f":{made.pid} fd " in row]
    assert any(re.search(rf":{made.pid} fd (\d+,)*{made.descriptor}\b", row) for row in rows)


@pytest.mark.needs("setpriv", "nobody")
def test_processes_that_may_not_be_seen_are_counted_and_said(machine: Population) -> None:
    command = machine.command([*_SW, "-tlnp"], nobody=True)
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert re.search(r"sw ss: \d+ sockets have no process that this user may see", done.stderr)


# -- details ---------------------------------------------------------------------------------------


def test_details_stand_below_by_name_and_behind_with_oneline(machine: Population) -> None:
    words = ("-tn", "-oemi", "--tos", "--inet-sockopt", "state", "established")
    below = lines(machine, *words)
    assert any(re.match(r"    memory: rmem_alloc \d+, rcvbuf \d+", line) for line in below)
    assert any(re.match(r"    time: rtt [\d.]+ ms, rttvar", line) for line in below)
    assert any(re.match(r"    timer: keepalive, in ", line) for line in below)
    behind = lines(machine, *words, "-O")
    assert len(behind) == len(lines(machine, "-tn", "state", "established"))
    assert all("  owner: uid " in line and "  memory: " in line for line in behind[1:])


@pytest.mark.needs("root")
def test_what_a_packet_socket_has_joined_is_told_in_words(machine: Population) -> None:
    code = """
import socket, subprocess, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as sock:
    sock.setsockopt(263, 1, bytes([1, 0, 0, 0, 1, 0]) + bytes(10))  # PACKET_MR_PROMISC on lo
    subprocess.run([sys.executable, "-m", "sockwright", "ss", "-0ae"], check=True)
"""
    command = machine.command([sys.executable, "-c", code])
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    assert "memberships interface 1 kind promiscuous count 1" in done.stdout


def test_explain_says_what_each_socket_does(machine: Population) -> None:
    rows = lines(machine, "-tan", "--explain", "state", "close-wait")
    assert rows[1].startswith("CLOSE-WAIT ")
    assert "has closed its side" in rows[2]


def test_explanations_are_a_field_for_programs(machine: Population) -> None:
    rows = objects(machine, "-tn", "--explain", "state", "close-wait")
    assert rows
    assert all("has closed its side" in str(row["explanation"]) for row in rows)


def test_summary_tells_numbers_and_memory(machine: Population) -> None:
    text = "\n".join(lines(machine, "-s"))
    assert re.search(r"^TCP +\d+ in ESTAB or CLOSE-WAIT, \d+ in TIME-WAIT", text, re.MULTILINE)
    assert re.search(r"^Sockets +\d+ made by programs, of every kind", text)
    assert re.search(r"^tcp +LISTEN +\d+$", text, re.MULTILINE)
    [told] = objects(machine, "-s")
    assert told["sockets"]


# -- for programs ----------------------------------------------------------------------------------


def test_json_is_an_object_a_socket(machine: Population) -> None:
    rows = objects(machine, "-tanimp", *_LASTING)
    assert len(rows) == len(lines(machine, "-tanH", *_LASTING))
    [row] = [row for row in rows if row["inode"] == machine.inode("tcp4 listen")]
    assert (row["protocol"], row["state"]) == ("tcp", "LISTEN")
    assert row["memory"]
    assert row["processes"]


def test_chosen_columns_are_as_chosen(machine: Population) -> None:
    columns = ("--columns", "local_port,state,info.snd_cwnd")
    head, *rows = lines(machine, "-tan", *columns, *_LASTING)
    assert head.split() == ["local_port", "state", "info.snd_cwnd"]
    assert len(rows) == len(lines(machine, "-tanH", *_LASTING))
    some = objects(machine, "-tan", "--columns", "state,pids")
    assert {tuple(row) for row in some} == {("state", "pids")}


def test_every_field_has_a_name_and_a_meaning(machine: Population) -> None:
    listed = objects(machine, "--columns", "help")
    assert all(row["name"] and row["meaning"] for row in listed)
    everything = ",".join(str(row["name"]) for row in listed)
    rows = objects(machine, "-a", "--columns", everything)
    used = {name for row in rows for name, value in row.items() if value is not None}
    lacking = {field.name for field in all_fields()} - used
    # What the kernel tells of other sockets, to other users, or not yet.
    assert {name for name in lacking if not name.startswith("info.")} <= {"mark", "md5_peers"}


def test_the_names_of_fields_come_as_csv_too(machine: Population) -> None:
    head, *rows = csv.reader(lines(machine, "--columns", "help", "--csv"))
    assert head == ["name", "meaning"]
    assert [name for name, _ in rows] == [field.name for field in all_fields()]


def test_csv_takes_processes_beside_its_usual_fields(machine: Population) -> None:
    assert lines(machine, "-tanp", "--csv")[0].endswith(",inode,processes")


@pytest.mark.parametrize("words", ["--json", "--columns local", "--csv", "", "-r"])
def test_a_bound_interface_stands_in_the_address(machine: Population, words: str) -> None:
    numeric = [] if words == "-r" else ["-n"]
    shown = "\n".join(lines(machine, "-tl", *numeric, *words.split()))
    address = "localhost" if words == "-r" else "127.0.0.1"
    assert re.search(rf"\b{re.escape(address)}%lo:(8080|http-alt)\b", shown)


def test_explanations_are_a_column_too(machine: Population) -> None:
    head, *rows = lines(machine, "-tn", "--explain", "--csv", "state", "close-wait")
    assert head.endswith(",explanation")
    assert all("has closed its side" in row for row in rows)
    shown = lines(machine, "-tn", "--columns", "explanation", "state", "close-wait")
    assert "has closed its side" in shown[1]


def test_octets_that_are_no_text_are_told_everywhere_as_on_a_terminal(
    machine: Population,
) -> None:
    words = ["-xa", "--columns", "path"]
    rows = objects(machine, *words)
    texts = [str(row["path"]) for row in rows] + lines(machine, "--csv", *words)
    assert {text for text in texts if "\\xff\\xfe\\xe4" in text} == {"\\xff\\xfe\\xe4"}
    assert not any("\udc80" <= one <= "\udfff" for text in texts for one in text)
    _, shown = on_terminal(machine.command([*_SW, "--csv", *words]))
    assert "\\xff\\xfe\\xe4" in shown.split()


def test_csv_is_quoted_so_that_each_name_comes_back(machine: Population) -> None:
    done = subprocess.run(
        machine.command([*_SW, "-xa", "--csv", "--columns", "path,state"]),
        capture_output=True,
        check=True,
    )
    assert b"\r\n" in done.stdout
    read = list(csv.reader(io.StringIO(done.stdout.decode(errors="replace"), newline="")))
    assert read[0] == ["path", "state"]
    assert {len(row) for row in read} == {2}
    assert any("new\nline" in row[0] for row in read)
    assert any("\x1b[31mred" in row[0] for row in read)
    _, shown = on_terminal(machine.command([*_SW, "-xa", "--csv", "--columns", "path"]))
    assert "\x1b" not in shown


# -- closing ---------------------------------------------------------------------------------------


class Victim:
    """A connection on the machine that may be closed."""

    def __init__(self, machine: Population) -> None:
        with open_socket(machine.pid, socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            self.client = open_socket(machine.pid, socket.AF_INET, socket.SOCK_STREAM)
            self.client.connect(listener.getsockname())
            self.server = listener.accept()[0]
        self.filter = ["sport", "=", f":{self.client.getsockname()[1]}"]

    def close(self) -> None:
        """Close it as its program does, with no trace in TIME-WAIT."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()
        self.server.close()

    @property
    def is_closed(self) -> bool:
        return self.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNABORTED


@pytest.fixture
def victim(machine: Population) -> Iterator[Victim]:
    """A connection that may be closed."""
    found = Victim(machine)
    with found.client, found.server:
        yield found


@pytest.mark.needs("root")
@pytest.mark.parametrize("keys", [b"\n", b"n\n", b"what?\n", b"\x04"])
def test_nothing_is_closed_unless_somebody_says_yes(
    machine: Population, victim: Victim, keys: bytes
) -> None:
    command = machine.command([*_SW, "-nK", *victim.filter])
    status, shown = on_terminal(command, keys=keys)
    assert status == 1
    assert "Close this socket? [y/N]" in shown
    assert "nothing was closed" in shown
    assert not victim.is_closed


@pytest.mark.needs("root")
def test_what_was_shown_is_closed_after_a_yes(machine: Population, victim: Victim) -> None:
    command = machine.command([*_SW, "-nK", *victim.filter])
    status, shown = on_terminal(command, keys=b"y\n")
    assert status == 0
    table, _, outcome = shown.partition("[y/N]")
    assert re.search(r"^tcp +ESTAB +0 +0 +127\.0\.0\.1:", table, re.MULTILINE)
    assert re.search(r"^closed  tcp  127\.0\.0\.1:", outcome, re.MULTILINE)
    assert victim.is_closed


@pytest.mark.needs("root")
def test_what_is_asked_about_is_shown_where_the_question_is(
    machine: Population, victim: Victim, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    command = machine.command(["sh", "-c", f'exec "$@" >{path}', "sh", *_SW, "-nK", *victim.filter])
    status, shown = on_terminal(command, keys=b"y\n")
    assert status == 0
    assert re.search(r"^tcp +ESTAB .*\nClose this socket\?", shown, re.MULTILINE)
    assert path.read_text().startswith("closed  tcp  127.0.0.1:")


@pytest.mark.needs("root")
def test_a_closed_socket_is_named_as_it_was_shown(machine: Population) -> None:
    with (
        open_socket(machine.pid, socket.AF_INET, socket.SOCK_STREAM) as listener,
        open_socket(machine.pid, socket.AF_INET, socket.SOCK_STREAM) as client,
    ):
        listener.bind(("127.0.0.9", 8080))
        listener.listen()
        client.connect(("127.0.0.9", 8080))
        [told] = lines(machine, "-tK", "--yes", "dst", "127.0.0.9:8080")
    assert told.endswith("  127.0.0.9:http-alt")


@pytest.mark.needs("root")
def test_a_socket_that_goes_on_is_not_called_closed(machine: Population) -> None:
    with open_socket(machine.pid, socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.9", 5300))  # one that the kernel chose would be given up
        bound.connect(("127.0.0.9", 9))
        words = ["-unK", "--yes", "dst", "127.0.0.9:9"]
        done = sw(machine, *words)
        assert bound.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNABORTED
    assert done.returncode == 1
    assert re.match(r"told  udp  127\.0\.0\.9:\d+  \S+  its next call fails", done.stdout)


@pytest.mark.needs("root")
def test_the_interface_of_a_closed_socket_is_told(machine: Population) -> None:
    with open_socket(machine.pid, socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        bound.connect(("127.0.0.10", 9))
        [told] = objects(machine, "-uK", "--yes", "dst", "127.0.0.10:9")
    assert re.fullmatch(r"127\.0\.0\.1%lo:\d+", str(told["local"]))
    assert told["outcome"] == "closed"


@pytest.mark.needs("root")
def test_scripts_close_with_yes_and_read_json(machine: Population, victim: Victim) -> None:
    [told] = objects(machine, "-tK", "--yes", *victim.filter)
    assert told["outcome"] == "closed"
    assert victim.is_closed
    again = sw(machine, "-tK", "--yes", *victim.filter)
    assert again.returncode == 1
    assert "nothing to close" in again.stderr


@pytest.mark.needs("root")
def test_a_socket_that_is_merely_bound_is_not_called_gone(machine: Population) -> None:
    with open_socket(machine.pid, socket.AF_INET, socket.SOCK_STREAM) as bound:
        bound.bind(("127.0.0.11", 0))
        here = f"127.0.0.11:{bound.getsockname()[1]}"
        if not objects(machine, "-ta", "src", here):
            pytest.skip("this kernel lists no sockets that are merely bound (Linux 6.8)")
        done = sw(machine, "-taKn", "--yes", "src", here)
        assert objects(machine, "-ta", "src", here)
    assert done.returncode == 1
    assert re.match(rf"failed  tcp  {here}  \S+  it is merely bound .* finds only", done.stdout)


@pytest.mark.needs("root")
def test_a_udp_socket_behind_another_of_its_port_is_not_called_gone(machine: Population) -> None:
    with (
        open_socket(machine.pid, socket.AF_INET, socket.SOCK_DGRAM) as first,
        open_socket(machine.pid, socket.AF_INET, socket.SOCK_DGRAM) as second,
    ):
        for sock in (first, second):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("127.0.0.11", 5300))
        told = sw(machine, "-uaK", "--yes", "--json", "src", "127.0.0.11:5300")
    outcomes = {json.loads(line)["outcome"]: line for line in told.stdout.splitlines()}
    assert set(outcomes) == {"told", "failed"}
    assert "shares its port" in outcomes["failed"]


@pytest.mark.needs("root")
def test_a_socket_that_is_closed_by_then_is_called_gone(machine: Population) -> None:
    found = Victim(machine)
    command = machine.command([*_SW, "-nK", *found.filter])
    with found.client, found.server:
        status, shown = on_terminal(command, keys=b"y\n", before_keys=found.close)
    assert status == 0
    assert re.search(r"^gone  tcp  127\.0\.0\.1:", shown, re.MULTILINE)


@pytest.mark.needs("root")
def test_a_raw_socket_without_a_cookie_does_not_keep_others_from_being_closed(
    machine: Population, victim: Victim
) -> None:
    with open_socket(machine.pid, socket.AF_INET, socket.SOCK_RAW, 253) as raw:
        raw.bind(("127.0.0.12", 0))
        port = victim.client.getsockname()[1]
        words = ["-twaK", "--yes", "--json", "(", "sport", "=", f":{port}", "or", "src"]
        done = sw(machine, *words, "127.0.0.12", ")")
        alone = sw(machine, "-waK", "--yes", "src", "127.0.0.12")
    outcomes = {row["protocol"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert victim.is_closed
    assert outcomes["tcp"]["outcome"] == "closed"
    if outcomes["raw"]["cookie"]:  # this kernel has raw_diag
        assert (done.returncode, outcomes["raw"]["outcome"]) == (0, "closed")
        return
    assert (done.returncode, outcomes["raw"]["outcome"]) == (1, "failed")
    assert "does not tell the cookie" in outcomes["raw"]["reason"]
    assert alone.returncode == 5


@pytest.mark.needs("root")
def test_json_on_a_terminal_wants_yes(machine: Population, victim: Victim) -> None:
    status, shown = on_terminal(machine.command([*_SW, "-tK", "--json", *victim.filter]), width=200)
    assert (status, shown) == (2, "sw ss: -K --json wants --yes: it closes without a question\n")
    assert not victim.is_closed


@pytest.mark.needs("setpriv", "nobody")
def test_closing_takes_a_privilege_and_says_which(machine: Population, victim: Victim) -> None:
    command = machine.command([*_SW, "-tK", "--yes", *victim.filter], nobody=True)
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 5
    assert "CAP_NET_ADMIN" in done.stderr
    assert not victim.is_closed


def test_sockets_that_nobody_can_close_are_left_and_counted(machine: Population) -> None:
    done = sw(machine, "-xK", "--yes", "state", "all")
    assert done.returncode == 1
    assert re.search(r"\d+ sockets of other kinds are left alone", done.stderr)


# -- a live view -----------------------------------------------------------------------------------


@pytest.mark.needs("root")
def test_events_tell_of_closed_sockets_alone(machine: Population) -> None:
    command = machine.command([*_SW, "-tn", "-E", "--json", "--count", "1"])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stderr is not None
        assert "watching" in process.stderr.readline()
        found = Victim(machine)
        found.client.close()
        found.server.close()
        out, _ = process.communicate(timeout=_SECONDS)
    [event] = [json.loads(line) for line in out.splitlines()]
    assert event["event"] == "closed"


def test_graph_follows_a_connection(machine: Population, victim: Victim) -> None:
    samples = objects(machine, "--graph", "--count", "2", *victim.filter)
    assert len(samples) == 2
    assert all("rtt_us" in sample for sample in samples)


def test_examples_run_in_process_without_leaving_the_collector_off(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gc.isenabled()
    assert main(["ss", "-tan"]) == 0
    assert gc.isenabled()
    assert capsys.readouterr().out.startswith("State ")


@pytest.mark.parametrize(
    "words",
    [
        *("", "-tan", "-lntup", "-4x0", "-a -l", "-l -a", "--tcp --no-header -n", "-sE --graph"),
        *("-t state listening -n", "--json -u", "--vsock -K --yes", "-Z", "--tipc -b", "-T"),
        *("-tnp dst 10.0.0.0/8 and dport = :443 -i", "--cgroup --tos --inet-sockopt --csv"),
    ],
)
def test_quick_arguments_are_those_of_argparse(words: str) -> None:
    verb = find_verb("ss")
    assert verb is not None
    parsed = verb_parser(verb, verb.load()).parse_words(words.split())
    assert vars(quick_arguments(words.split())) == vars(parsed)


@pytest.mark.parametrize(
    "words", ["-h", "-tV", "-A tcp", "--columns help", "-tq", "--js", "-", "--", "--watch", "-N1"]
)
def test_what_takes_a_value_or_is_wrong_is_left_to_argparse(words: str) -> None:
    assert quick_arguments(words.split()) is None
