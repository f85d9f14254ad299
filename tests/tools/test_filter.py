"""`sw filter`: the program as tcpdump prints it, its meaning, and errors with a mark."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sockwright.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def _sw(*words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "sockwright", "filter", *words]
    return subprocess.run(command, capture_output=True, check=False)


@pytest.mark.needs("tcpdump")
@pytest.mark.parametrize("form", ["d", "dd", "ddd"])
def test_output_is_that_of_tcpdump_octet_for_octet(form: str) -> None:
    words = ["tcp", "port", "80", "or", "vlan", "5"]
    peer = ["tcpdump", "-O", f"-{form}", "-y", "LINUX_SLL", *words[:3]]
    done = _sw("--format", form, "--link-type", "linux_sll", *words[:3])
    assert done.stdout == subprocess.run(peer, capture_output=True, check=True).stdout
    peer = ["tcpdump", "-O", f"-{form}", "-y", "EN10MB", *words]
    assert _sw("--format", form, *words).stdout == subprocess.run(
        peer, capture_output=True, check=True
    ).stdout  # fmt: skip


def test_json_has_one_instruction_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "--json", "ip"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["number"] for row in rows] == [0, 1, 2, 3]
    assert rows[1] == {
        "number": 1, "code": 0x15, "jt": 0, "jf": 1, "k": 0x800,
        "text": "(001) jeq      #0x800           jt 2\tjf 3",
    }  # fmt: skip


def test_explain_says_how_it_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "--explain", "arp", "or", "ip", "and", "tcp"]) == 0
    out = capsys.readouterr().out
    assert "  (arp or ip) and tcp\n" in out
    assert max(map(len, out.splitlines())) <= 80
    assert main(["filter", "--explain", "--json", "arp or ip and tcp"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["read_as"] == "(arp or ip) and tcp"
    assert row["traps"]


def test_a_mark_stands_under_the_wrong_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "tpc port 80"]) == 2
    assert capsys.readouterr().err == (
        "sw filter: 'tpc' is no word of the language; did you mean tcp?\n  tpc port 80\n  ^^^\n"
    )


def test_an_expression_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "tcp \x1b]0;x\x07 and\nfoo"]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 3
    assert all(line.isprintable() for line in err.splitlines())


def test_link_types_have_names_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "--link-type", "DLT_RAW", "ip"]) == 0
    by_name = capsys.readouterr().out
    assert main(["filter", "--link-type", "101", "ip"]) == 0
    assert capsys.readouterr().out == by_name
    assert main(["filter", "--link-type", "wire", "ip"]) == 2
    assert "names are EN10MB" in capsys.readouterr().err


def test_live_and_any_differ_from_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "--live", "vlan"]) == 0
    assert "[vlanp]" in capsys.readouterr().out
    assert main(["filter", "--any", "ip and inbound"]) == 0
    out = capsys.readouterr().out
    assert "[proto]" in out
    assert "[type]" in out
    assert main(["filter", "--live", "protochain 6"]) == 2
    assert "kernel refuses" in capsys.readouterr().err


def test_no_expression_takes_every_packet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter"]) == 0
    assert capsys.readouterr().out == "(000) ret      #262144\n"


def test_words_that_start_with_a_minus_follow_two(tmp_path: Path) -> None:
    assert _sw("--", "- len = 3").returncode == 0
