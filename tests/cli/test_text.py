"""Text for people: tables that fit, colour where it is wanted, nothing that acts on a terminal."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import pytest

from sockwright.cli.clean import clean, readable
from sockwright.cli.values import as_line
from sockwright.cli.width import folded

if TYPE_CHECKING:
    from tests.cli.conftest import Workbench

_TABLE = """
@dataclass
class Row:
    action: str
    may: bool
    what_to_do: str
def run(args):
    yield Row("listen below 1024", True, "")
    yield Row("raw send", False, "run it as root, or give the process CAP_NET_RAW by setpriv")
"""


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a  b ccc", ["a  b", "ccc"]),
        ("\u9577\u9577\u9577 end", ["\u9577\u9577", "\u9577", "end"]),
        ("abcdefg h", ["abcd", "efg", "h"]),
    ],
)
def test_text_is_folded_by_columns(text: str, lines: list[str]) -> None:
    assert folded(text, 4) == lines


def test_json_is_unicode_and_knows_no_nan() -> None:
    told = {"name": "a\udcff\u9577\n", "a\udcfe": float("nan"), "many": [float("inf"), "NaN"]}
    assert as_line(told) == (r'{"name": "a\\xff\u9577\n", "a\\xfe": null, "many": [null, "NaN"]}')
    assert readable("plain\x1b\n") == "plain\x1b\n"


def test_clean_leaves_printable_text_alone() -> None:
    assert clean("plain, größer, 日本") == "plain, größer, 日本"


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\udc80.pcap", r"a\x80.pcap"),
        ("\ud800\udbff\udc7f", r"\ud800\udbff\udc7f"),
        ("\u200b", r"\u200b"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_clean_escapes_what_acts_on_a_terminal(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


def test_clean_lets_no_unprintable_character_through() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert clean(everything).isprintable()


def test_pipe_gets_one_line_a_row(workbench: Workbench) -> None:
    workbench.add("try", _TABLE)
    assert workbench.run("try").stdout.splitlines() == [
        "action             may  what to do",
        "listen below 1024  yes  -",
        "raw send           no   run it as root, or give the process CAP_NET_RAW by setpriv",
    ]


_LIVE = """
@dataclass
class Row:
    live: ClassVar[bool] = True
    least_widths: ClassVar[dict[str, int]] = {"state": 13}
    state: str
    reason: str
def run(args):
    yield Row("open", "it answers")
    yield Row("open|filtered", "it does not answer")
"""


def test_rows_that_come_one_by_one_keep_to_the_columns_of_the_first(workbench: Workbench) -> None:
    workbench.add("try", _LIVE)
    lines = [
        "state          reason",
        "open           it answers",
        "open|filtered  it does not answer",
    ]
    assert workbench.run("try").stdout.splitlines() == lines
    assert workbench.show("try", columns=60, NO_COLOR="1").splitlines() == lines
    # Where there is no room for that, what there is shows as far as it fits.
    assert "state" in workbench.show("try", columns=30, NO_COLOR="1")


@pytest.mark.parametrize("columns", [20, 30, 40, 60, 80, 200])
def test_table_fits_the_terminal(workbench: Workbench, columns: int) -> None:
    workbench.add("try", _TABLE)
    text = workbench.show("try", columns=columns, NO_COLOR="1")
    assert all(len(line) <= columns for line in text.splitlines())
    words = text.split()
    assert {"listen", "CAP_NET_RAW", "setpriv"} <= set(words)


def test_narrow_terminal_gets_a_block_a_row(workbench: Workbench) -> None:
    workbench.add("try", _TABLE)
    assert workbench.show("try", columns=40, NO_COLOR="1").splitlines() == [
        "listen below 1024",
        "  may         yes",
        "  what to do  -",
        "",
        "raw send",
        "  may         no",
        "  what to do  run it as root, or give",
        "              the process CAP_NET_RAW by",
        "              setpriv",
    ]


def test_colour_only_on_a_terminal_and_never_with_no_color(workbench: Workbench) -> None:
    workbench.add("try", _TABLE)
    for words in ("try",), ("--help",):
        assert "\x1b[" in workbench.show(*words)
        assert "\x1b" not in workbench.show(*words, NO_COLOR="1")
        assert "\x1b" not in workbench.show(*words, TERM="dumb")
        assert "\x1b" not in workbench.run(*words).stdout
        assert "\x1b[" in workbench.run(*words, FORCE_COLOR="1").stdout
        assert "\x1b" not in workbench.run(*words, FORCE_COLOR="1", NO_COLOR="1").stdout
        assert "\x1b[" in workbench.show(*words, NO_COLOR="")


def test_colour_changes_no_character(workbench: Workbench) -> None:
    workbench.add("try", _TABLE)
    coloured = re.sub(r"\x1b\[[0-9;]*m", "", workbench.show("try"))
    plain = workbench.show("try", NO_COLOR="1")
    assert [line.rstrip() for line in coloured.splitlines()] == plain.splitlines()


def test_hostile_text_reaches_no_terminal(workbench: Workbench) -> None:
    workbench.add(
        "try",
        """
        @dataclass
        class Row:
            banner: str
        def run(args):
            yield Row("\\x1b]0;owned\\x07\\u202e[bold]x[/bold]")
        """,
    )
    for text in workbench.show("try"), workbench.show("try", "--json"), workbench.run("try").stdout:
        assert "\x1b]" not in text
        assert "\x07" not in text
        assert "\u202e" not in text
        assert "[bold]x[/bold]" in text


def test_live_rows_come_one_by_one_and_other_rows_start_a_new_table(workbench: Workbench) -> None:
    workbench.add(
        "try",
        """
        @dataclass
        class Row:
            name: str
            n: int
            live: ClassVar = True
        @dataclass
        class Sum:
            total: int
        def run(args):
            yield Row("a", 1)
            yield Row("longer name", 2)
            yield Sum(3)
        """,
    )
    assert workbench.run("try").stdout.splitlines() == [
        "name  n",
        "a     1",
        "longer name  2",
        "",
        "total",
        "3",
    ]


def test_name_that_the_locale_cannot_write_is_escaped(workbench: Workbench) -> None:
    workbench.add(
        "try",
        """
        @dataclass
        class Row:
            name: str
        def run(args):
            yield Row("größer")
        """,
    )
    done = workbench.run("try", PYTHONIOENCODING="ascii")
    assert done.stdout == "name\ngr\\xf6\\xdfer\n"


def test_names_that_are_not_utf_8_show_their_octets_in_messages(workbench: Workbench) -> None:
    workbench.add(
        "try",
        """
        from sockwright.errors import UsageError
        def arguments(parser):
            parser.add_argument("word")
        def run(args):
            raise UsageError(f"{args.word} is no {args.word!r}")
            yield
        """,
    )
    word = os.fsdecode(b"a\xff")
    assert workbench.run("try", word).stderr == "sw try: a\\xff is no 'a\\xff'\n"
    assert workbench.run(word).stderr.startswith("sw: no verb 'a\\xff'; ")
    assert "arguments: --a\\xff (see" in workbench.run("try", "x", f"--{word}").stderr
    assert workbench.run("try", r"\\udcff").stderr.startswith(r"sw try: \\udcff is no")


def test_usage_errors_reach_no_terminal_as_they_are(workbench: Workbench) -> None:
    workbench.add("try", "def run(args):\n    yield")
    assert "\\x1b[2J" in workbench.run("try", "--\x1b[2J").stderr
