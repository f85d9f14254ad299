"""Print the completion script of a shell.

Group: setup
Stands in for: completion files

The script asks `sw` itself what fits, so new verbs and options complete at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockwright.errors import NotPossibleError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

EXAMPLES = (
    ('eval "$(sw completion bash)"', "complete sw in this bash; put the line in ~/.bashrc"),
    ("sw completion zsh", "the same for zsh: evaluate it after compinit"),
    ("sw completion fish", "the same for fish: sw completion fish | source"),
)

_SHELLS = ("bash", "zsh", "fish")
_COMMANDS = ("sw", "sockwright")


@dataclass(slots=True)
class Script:
    """A completion script for one shell."""

    shell: str
    script: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name of the shell."""
    parser.add_argument("shell", choices=_SHELLS, help="the shell that evaluates the script")


def run(args: argparse.Namespace) -> Iterator[Script]:
    """Yield the script for the shell `args.shell`.

    Raises:
        NotPossibleError: argcomplete is not installed.
    """
    try:
        from argcomplete.shell_integration import shellcode
    except ModuleNotFoundError:
        missing = "the package argcomplete is not installed"
        raise NotPossibleError(missing, "pip install argcomplete") from None
    # The same code serves bash and zsh: it asks which of them evaluates it.
    text = shellcode(_COMMANDS, shell=args.shell)
    yield Script(args.shell, text.strip() + "\n")
