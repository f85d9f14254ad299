"""The parser of one verb, and the tree of all of them that completion walks."""

from __future__ import annotations

import argparse
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

    from sockwright.cli.verbs import Verb, VerbModule

__all__ = ["VerbParser", "complete", "verb_parser"]


_EXAMPLES = "examples:\n"
_WIDTH_OF_A_PIPE = 80


class VerbParser(argparse.ArgumentParser):
    """A parser that keeps a usage error to one line."""

    def error(self, message: str) -> NoReturn:
        """Print `message` and leave with status 2."""
        from sockwright.cli.clean import clean_message
        from sockwright.cli.screen import Screen

        told = f"{self.prog}: {clean_message(message)} (see {self.prog} --help)"
        Screen(sys.stderr).message(told)
        self.exit(2)

    def parse_words(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse `words`; options may stand anywhere, also between FILE and the words of a filter.

        A verb with sub-commands, or with a command of its own at the end, takes them in order.
        """
        ordered = (argparse.PARSER, argparse.REMAINDER)
        if any(action.nargs in ordered for action in self._actions):
            return self.parse_args(words)
        return self.parse_intermixed_args(words)


def verb_parser(verb: Verb, module: VerbModule) -> VerbParser:
    """Return the parser of `verb`, whose imported file is `module`."""
    # The formatter from the start on: argparse makes one to check its own -h.
    name = f"sw {verb.name}"
    parser = VerbParser(prog=name, formatter_class=_Formatter, allow_abbrev=False)
    _fill(parser, verb, module)
    return parser


def complete(verbs: dict[str, Verb], words: list[str]) -> None:
    """Answer the shell's request for completions, which the environment holds, and leave.

    `words` are the words of the line so far, the command first. Only the verb that the line names
    is imported.
    """
    from argcomplete import autocomplete

    tree = VerbParser(prog="sw", allow_abbrev=False)
    tree.add_argument("--version", action="store_true", help="print the version")
    branches = tree.add_subparsers(parser_class=VerbParser)
    for verb in verbs.values():
        branch = branches.add_parser(verb.name, help=verb.summary, allow_abbrev=False)
        if words[1:2] == [verb.name]:
            _fill(branch, verb, verb.load())
    autocomplete(tree)


def words_before(line: str, point: int) -> Iterable[str]:
    """Return the words of `line` up to the octet `point`."""
    return line.encode()[:point].decode(errors="replace").split()


def _fill(parser: VerbParser, verb: Verb, module: VerbModule) -> None:
    parser.description = f"{verb.summary}."
    if verb.stands_in_for:
        parser.description += f" Stands in for {verb.stands_in_for}."
    parser.formatter_class = _Formatter
    parser.epilog = _examples(module.EXAMPLES)
    module.arguments(parser)
    for choices in (action.choices for action in parser._actions):  # noqa: SLF001 - no other way
        for one in choices.values() if isinstance(choices, dict) else ():
            own = [pair for pair in module.EXAMPLES if f"{pair[0]} ".startswith(f"{one.prog} ")]
            one.formatter_class = _Formatter
            one.epilog = _examples(own) if own else None
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")


def _examples(examples: Iterable[tuple[str, str]]) -> str:
    return _EXAMPLES + "\n\n".join(f"#{meaning}\n  {command}" for command, meaning in examples)


class _Formatter(argparse.HelpFormatter):
    """Folds prose to the width and leaves the commands of the examples whole, to be copied."""

    def __init__(self, prog: str) -> None:
        # argparse makes a formatter to check each option, and each would look for the width with
        # shutil: 3 ms of every start.
        super().__init__(prog, width=_width() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if not text.startswith(_EXAMPLES):
            return super()._fill_text(text, width, indent)
        lines = text.splitlines()
        for index, line in enumerate(lines):
            if line.startswith("#"):
                lines[index] = super()._fill_text(line[1:], width, "  # ")
        return "\n".join(lines)


def _width() -> int:
    """Return the width for the help: that of COLUMNS, of the terminal, or of a pipe."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(1).columns or _WIDTH_OF_A_PIPE
    except OSError:  # no terminal
        return _WIDTH_OF_A_PIPE
