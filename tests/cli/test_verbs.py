"""Verbs are found by their files, described by their docstrings, imported only to run."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sockwright.cli.verbs import GROUPS, Verb, find_verbs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Workbench


def _verb(folder: Path, name: str, source: str) -> Verb:
    path = folder / f"{name}.py"
    path.write_text(source)
    return Verb(name, str(path))


def test_docstring_gives_summary_group_and_tools(tmp_path: Path) -> None:
    source = '# why\n"""Do it.\n\nGroup: look\nStands in for: ss, netstat\n"""\n'
    verb = _verb(tmp_path, "two_words", source)
    assert (verb.name, verb.summary) == ("two-words", "Do it")
    assert (verb.group, verb.stands_in_for) == ("look", "ss, netstat")


def test_file_without_docstring_is_still_a_verb(tmp_path: Path) -> None:
    verb = _verb(tmp_path, "bare", "x = 1\n")
    assert (verb.name, verb.summary, verb.group) == ("bare", "", "")


@pytest.mark.parametrize("name", list(find_verbs()))
def test_every_verb_is_described_and_has_examples(name: str) -> None:
    verb = find_verbs()[name]
    assert verb.summary
    assert len(verb.summary) <= 80
    assert verb.group in GROUPS
    assert verb.stands_in_for
    examples = verb.load().EXAMPLES
    assert examples
    for command, meaning in examples:
        assert "sw " in command
        assert meaning


def test_only_the_verb_that_runs_is_imported(workbench: Workbench) -> None:
    workbench.add("broken", "raise RuntimeError('imported')")
    workbench.add("try", "def run(args):\n    return\n    yield")
    assert workbench.run("try").returncode == 0
    help_page = workbench.run("--help")
    assert help_page.returncode == 0
    assert "broken" in help_page.stdout
    assert "RuntimeError" in workbench.run("broken").stderr


def test_help_groups_the_verbs_and_names_what_they_stand_in_for(workbench: Workbench) -> None:
    workbench.add("try_it", "")
    page = workbench.run("--help").stdout
    assert "look: what is here" in page
    assert "  try-it" in page
    assert "nothing" in page
    assert page.index("look:") < page.index("setup:")


@pytest.mark.parametrize("columns", [30, 40, 60, 72, 80, 132])
def test_help_fits_the_terminal(workbench: Workbench, columns: int) -> None:
    page = workbench.show("--help", columns=columns, NO_COLOR="1")
    longest_word = max(len(word) for word in page.split())
    assert all(len(line) <= max(columns, longest_word + 4) for line in page.splitlines())
    assert "\x1b" not in page


def test_no_verb_at_all_shows_the_help_and_ends_as_a_usage_error(workbench: Workbench) -> None:
    alone = workbench.run()
    assert alone.returncode == 2
    assert alone.stdout == workbench.run("--help").stdout


def test_misspelt_verb_is_told_what_it_may_mean(workbench: Workbench) -> None:
    wrong = workbench.run("completoin")
    assert wrong.returncode == 2
    assert wrong.stderr == "sw: no verb 'completoin'; did you mean completion?\n"
    assert "sw --help lists the verbs" in workbench.run("qqqq").stderr
    assert "did you mean --version?" in workbench.run("--verison").stderr


def test_verb_help_shows_its_examples(workbench: Workbench) -> None:
    workbench.add("try", "")
    page = workbench.run("try", "--help").stdout
    assert "  # try it\n  sw try\n" in page
    assert "--json" in page
    assert workbench.run("help", "try").stdout == page


def test_usage_error_is_one_line_with_status_2(workbench: Workbench) -> None:
    workbench.add("try", "")
    wrong = workbench.run("try", "--level", "middle")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("sw try: argument --level: invalid choice: 'middle'")
    assert wrong.stderr.count("\n") == 1


def test_version_is_printed(workbench: Workbench) -> None:
    assert workbench.run("--version").stdout.startswith("sockwright 0.")


@pytest.mark.parametrize("words", ["--help", "--version", "completion bash", "filter ip"])
def test_output_that_is_full_or_closed_is_no_traceback(words: str) -> None:
    sw = f"{sys.executable} -m sockwright {words}"
    full = subprocess.run(["sh", "-c", f"{sw} >/dev/full"], stderr=subprocess.PIPE, check=False)
    assert full.returncode == 1
    assert full.stderr.count(b"\n") == 1
    closed = subprocess.run(["sh", "-c", f"{sw} >&-"], stderr=subprocess.PIPE, check=False)
    assert closed.returncode == 1
    assert b"standard output: it is closed" in closed.stderr
    assert closed.stderr.count(b"\n") == 1
