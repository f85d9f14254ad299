"""What a verb yields, returns and raises becomes output, one line on stderr, an exit status."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Workbench

_ROWS = """
import enum, ipaddress
class Kind(enum.Enum):
    STREAM = 1
class Bits(enum.Flag):
    SYN = 1
    ACK = 2
@dataclass(slots=True)
class Inner:
    port: int
@dataclass(slots=True)
class Row:
    address: object
    octets: bytes
    kind: Kind
    bits: Bits
    time_ns: int
    inner: list[Inner]
    nothing: None = None
    columns: ClassVar = ("address", "kind", "inner")
def run(args):
    address = ipaddress.ip_address("10.0.0.1")
    yield Row(address, b"\\x00\\xff", Kind.STREAM, Bits.SYN | Bits.ACK, 10**18 + 1, [Inner(80)])
"""


def test_json_is_one_object_a_line_in_plain_terms(workbench: Workbench) -> None:
    workbench.add("try", _ROWS)
    done = workbench.run("try", "--json")
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout) == {
        "address": "10.0.0.1",
        "octets": "00ff",
        "kind": "STREAM",
        "bits": "SYN|ACK",
        "time_ns": 10**18 + 1,
        "inner": [{"port": 80}],
        "nothing": None,
    }


def test_text_shows_the_columns_that_the_row_names(workbench: Workbench) -> None:
    workbench.add("try", _ROWS)
    assert workbench.run("try").stdout.splitlines() == [
        "address   kind    inner",
        "10.0.0.1  STREAM  port 80",
    ]


def test_json_rows_arrive_before_the_verb_ends(workbench: Workbench) -> None:
    workbench.add(
        "try",
        """
        import sys
        @dataclass
        class Row:
            n: int
        def run(args):
            yield Row(1)
            yield Row(int(sys.stdin.readline()))
        """,
    )
    with subprocess.Popen(
        workbench.command("try", "--json"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == '{"n": 1}\n'
        process.stdin.write("2\n")
        process.stdin.flush()
        assert process.stdout.readline() == '{"n": 2}\n'


@pytest.mark.parametrize(
    ("raised", "message", "status"),
    [
        ("UsageError('a word too many')", "a word too many", 2),
        (
            "NotPossibleError('no CAP_NET_RAW', 'run it as root')",
            "no CAP_NET_RAW; run it as root",
            5,
        ),
        ("DecodeError('TCP', 34, 'is short')", "TCP at octet 34: is short", 6),
        ("SockwrightError('wrong')", "wrong", 1),
        ("SockwrightError('\\x1b[2J\\nwiped')", "\\x1b[2J\\nwiped", 1),
        (
            "ConnectionRefusedError(111, 'Connection refused')",
            "Connection refused (ECONNREFUSED)",
            1,
        ),
        ("PermissionError(1, 'not you (EPERM)')", "not you (EPERM)", 5),
        ("FileNotFoundError(2, 'No such file', 'x')", "x: No such file (ENOENT)", 1),
        ("TimeoutError('no answer')", "no answer", 3),
        ("BrokenPipeError(32, 'Broken pipe')", "Broken pipe (EPIPE)", 1),
    ],
)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_errors_are_one_line_with_their_status(
    workbench: Workbench, raised: str, message: str, status: int, options: tuple[str, ...]
) -> None:
    source = f"from sockwright.errors import *\ndef run(args):\n    raise {raised}\n    yield"
    workbench.add("try", source)
    done = workbench.run("try", *options)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"sw try: {message}\n")


def test_errors_are_folded_between_words_on_a_narrow_terminal(workbench: Workbench) -> None:
    words = "nothing came back from the host in all that time; is it there, and is it on"
    workbench.add(
        "try",
        f"""
def run(args):
    from sockwright.errors import NotPossibleError
    raise NotPossibleError({words!r}, "look")
    yield
""",
    )
    shown = workbench.show("try", columns=30).splitlines()
    assert len(shown) > 2
    assert all(len(line) <= 30 for line in shown)
    assert " ".join(shown).startswith(f"sw try: {words}")
    usage = workbench.show("try", "--no-such-option", columns=30).splitlines()
    assert " ".join(usage) == (
        "sw try: unrecognized arguments: --no-such-option (see sw try --help)"
    )


def test_what_the_generator_returns_is_the_status(workbench: Workbench) -> None:
    workbench.add("try", "def run(args):\n    return 1\n    yield")
    assert workbench.run("try").returncode == 1


def test_rows_before_an_error_are_shown(workbench: Workbench) -> None:
    workbench.add(
        "try",
        """
        @dataclass
        class Row:
            n: int
        def run(args):
            yield Row(1)
            raise OSError(5, "gone")
        """,
    )
    done = workbench.run("try")
    assert (done.returncode, done.stdout) == (1, "n\n1\n")


_ENDLESS = """
import sys
@dataclass
class Row:
    n: int
def run(args):
    try:
        while True:
            yield Row(1)
    finally:
        print("undone", file=sys.stderr)
"""


def test_closed_output_ends_the_verb_quietly(workbench: Workbench) -> None:
    workbench.add("try", _ENDLESS)
    for options, colour in (["--json"], {}), ([], {}), ([], {"FORCE_COLOR": "1"}):
        with subprocess.Popen(
            workbench.command("try", *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/bin"} | colour,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == "undone\n"
        assert process.returncode == 141


def test_interrupt_closes_the_verb_and_says_nothing(workbench: Workbench) -> None:
    workbench.add("try", _ENDLESS)
    with subprocess.Popen(
        workbench.command("try", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read() == "undone\n"
    assert process.returncode == 130


def test_module_runs_as_the_command_does(workbench: Workbench) -> None:
    command = [workbench.command()[0], "-m", "sockwright", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == workbench.run("--version").stdout
